/* SPDX-License-Identifier: Apache-2.0 */
/* nats_auth - reading the files, signing a nonce, noticing that a file has changed. */
#include "io/nats_auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "io/tls_lib.h"

enum file { FILE_PASSWORD, FILE_TOKEN, FILE_CREDS, FILES };
enum { FILE_BYTES_MAX = 64 * 1024, SECRET_BYTES_MAX = 255 };

static const char *const option[FILES] = {"--nats-password-file", "--nats-token-file",
                                          "--nats-creds"};

/* What the files said last. */
struct content {
    char password[SECRET_BYTES_MAX + 1], token[SECRET_BYTES_MAX + 1];
    struct buf jwt;
    uint8_t seed[NKEY_BYTES];
    char public_key[NKEY_PUBLIC_TEXT_BYTES];
};

struct nats_auth {
    struct nats_signer signer; /* first: sign casts */
    const char *path[FILES];   /* NULL: none */
    struct stat stamp[FILES];
    struct content now;
    const struct tls_lib *lib; /* NULL without creds */
};

/* ---- reading ---- */

static enum err wrong(const struct nats_auth *a, enum file f, const char *what, struct buf *error)
{
    enum err e = buf_printf(error, "%s %s: %s", option[f], a->path[f], what);
    return e == ERR_OK ? ERR_CONFIG : e;
}

static enum err read_file(const struct nats_auth *a, enum file f, struct buf *out,
                          struct buf *error)
{
    uint8_t piece[4096];
    size_t n;
    FILE *in = fopen(a->path[f], "re");
    if (in == NULL)
        return wrong(a, f, strerror(errno), error);
    enum err e = ERR_OK;
    while (e == ERR_OK && (n = fread(piece, 1, sizeof piece, in)) != 0)
        e = buf_len(out) + n > FILE_BYTES_MAX
                ? wrong(a, f, "it is larger than any such file (64 KiB)", error)
                : buf_append(out, span_of(piece, n));
    if (e == ERR_OK && ferror(in) != 0)
        e = wrong(a, f, "it cannot be read; name a regular file", error);
    (void)fclose(in);
    return e;
}

/* The first line. */
static enum err take_secret(const struct nats_auth *a, enum file f, struct span text, char *secret,
                            struct buf *error)
{
    size_t n = 0;
    while (n < text.n && text.p[n] != '\n' && text.p[n] != '\r')
        n++;
    if (n == 0 || n > SECRET_BYTES_MAX || memchr(text.p, '\0', n) != NULL)
        return wrong(a, f, "its first line must be the secret, 1 to 255 bytes", error);
    memcpy(secret, text.p, n);
    secret[n] = '\0';
    return ERR_OK;
}

static enum err derive_public(const struct nats_auth *a, struct content *c)
{
    uint8_t key[NKEY_BYTES];
    size_t n = sizeof key;
    EVP_PKEY *pair = a->lib->EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, c->seed,
                                                          sizeof c->seed);
    bool done = pair != NULL && a->lib->EVP_PKEY_get_raw_public_key(pair, key, &n) == 1;
    a->lib->EVP_PKEY_free(pair);
    if (done)
        nkey_public_write(key, c->public_key);
    return done ? ERR_OK : ERR_NOMEM;
}

static enum err take_creds(const struct nats_auth *a, struct span text, struct content *c,
                           struct buf *error)
{
    struct span jwt, seed;
    if (nkey_file_parse(text, &jwt, &seed) != ERR_OK)
        return wrong(a, FILE_CREDS,
                     "neither a credentials file (JWT and key, between lines of hyphens) nor an "
                     "nkey's seed (a line that begins with SU)",
                     error);
    if (nkey_seed_parse(seed, c->seed) != ERR_OK)
        return wrong(a, FILE_CREDS, "the key in it is not a user's seed (SU...), or is damaged",
                     error);
    enum err e = buf_append(&c->jwt, jwt);
    return e == ERR_OK ? derive_public(a, c) : e;
}

static enum err load(const struct nats_auth *a, struct content *c, struct buf *error)
{
    enum err e = ERR_OK;
    for (enum file f = 0; f < FILES && e == ERR_OK; f++) {
        struct buf text = {0};
        if (a->path[f] == NULL)
            continue;
        e = read_file(a, f, &text, error);
        if (e == ERR_OK && f == FILE_CREDS)
            e = take_creds(a, buf_span(&text), c, error);
        else if (e == ERR_OK)
            e = take_secret(a, f, buf_span(&text), f == FILE_TOKEN ? c->token : c->password, error);
        buf_deinit(&text);
    }
    return e;
}

/* ---- signing ---- */

static bool sign(const struct nats_signer *signer, struct span nonce,
                 char ret_signature[NKEY_SIGNATURE_TEXT_BYTES])
{
    const struct nats_auth *a = (const struct nats_auth *)signer;
    const struct tls_lib *lib = a->lib;
    uint8_t signature[NKEY_SIGNATURE_BYTES];
    size_t n = sizeof signature;
    EVP_PKEY *key = lib->EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, a->now.seed,
                                                      sizeof a->now.seed);
    EVP_MD_CTX *md = lib->EVP_MD_CTX_new();
    bool done = key != NULL && md != NULL &&
                lib->EVP_DigestSignInit(md, NULL, NULL, NULL, key) == 1 &&
                lib->EVP_DigestSign(md, signature, &n, nonce.p, nonce.n) == 1;
    lib->EVP_MD_CTX_free(md);
    lib->EVP_PKEY_free(key);
    if (done)
        nkey_signature_write(signature, ret_signature);
    else
        log_event(LOG_ERROR, "the NATS server's nonce could not be signed", NULL);
    return done;
}

/* ---- files that change ---- */

static void take_stamps(const struct nats_auth *a, struct stat stamp[FILES])
{
    memset(stamp, 0, FILES * sizeof *stamp);
    for (enum file f = 0; f < FILES; f++)
        if (a->path[f] != NULL && stat(a->path[f], &stamp[f]) != 0)
            memset(&stamp[f], 0, sizeof stamp[f]);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void take(struct nats_auth *a, struct content *c)
{
    buf_deinit(&a->now.jwt);
    a->now = *c;
    *c = (struct content){0};
    a->signer.jwt = buf_span(&a->now.jwt);
    memcpy(a->signer.public_key, a->now.public_key, sizeof a->signer.public_key);
}

bool nats_auth_refresh(struct nats_auth *a)
{
    struct stat now[FILES];
    bool changed = false;
    if (a == NULL)
        return false;
    take_stamps(a, now);
    for (enum file f = 0; f < FILES; f++)
        changed = changed || !is_same(&now[f], &a->stamp[f]);
    if (!changed)
        return false;
    struct buf error = {0};
    struct content c = {0};
    bool done = load(a, &c, &error) == ERR_OK;
    if (done) {
        memcpy(a->stamp, now, sizeof now);
        take(a, &c);
        log_event(LOG_INFO, "NATS credentials have changed and are used from now on", NULL);
    } else if (buf_append_byte(&error, '\0') == ERR_OK) {
        /* Tried again at the next connection. */
        log_event(LOG_WARN,
                  "NATS credentials have changed but cannot be used; the last good ones "
                  "stay",
                  "reason", (const char *)buf_span(&error).p, NULL);
    }
    buf_deinit(&c.jwt);
    buf_deinit(&error);
    return done;
}

void nats_auth_give(const struct nats_auth *a, struct nats_ns *ns)
{
    if (a == NULL)
        return;
    if (a->path[FILE_PASSWORD] != NULL)
        memcpy(ns->password, a->now.password, sizeof ns->password);
    if (a->path[FILE_TOKEN] != NULL)
        memcpy(ns->token, a->now.token, sizeof ns->token);
    ns->signer = a->path[FILE_CREDS] != NULL ? &a->signer : NULL;
}

/* ---- life ---- */

static const char *path_or_null(const char *path)
{
    return path != NULL && *path != '\0' ? path : NULL;
}

enum err nats_auth_new(const struct nats_auth_files *files, struct nats_auth **ret_auth,
                       struct buf *ret_error)
{
    const char *const path[FILES] = {path_or_null(files->password), path_or_null(files->token),
                                     path_or_null(files->creds)};
    *ret_auth = NULL;
    if (path[FILE_PASSWORD] == NULL && path[FILE_TOKEN] == NULL && path[FILE_CREDS] == NULL)
        return ERR_OK;
    const struct tls_lib *lib = path[FILE_CREDS] == NULL ? NULL : tls_lib_load(ret_error);
    if (path[FILE_CREDS] != NULL && lib == NULL)
        return ERR_CONFIG;
    struct nats_auth *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_NOMEM;
    memcpy(a->path, path, sizeof path);
    a->lib = lib;
    a->signer.sign = sign;
    take_stamps(a, a->stamp);
    struct content c = {0};
    enum err e = load(a, &c, ret_error);
    if (e == ERR_OK)
        take(a, &c);
    buf_deinit(&c.jwt);
    if (e == ERR_OK)
        *ret_auth = a;
    else
        nats_auth_free(&a);
    return e;
}

void nats_auth_free(struct nats_auth **ref)
{
    struct nats_auth *a = *ref;
    if (a == NULL)
        return;
    buf_deinit(&a->now.jwt);
    explicit_bzero(a, sizeof *a); /* it holds the credentials */
    free(a);
    *ref = NULL;
}
