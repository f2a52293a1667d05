/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls_context.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "io/tls_private.h"
#include "limit.h"

/* ---- names ---- */

const char *tls_context_path(const struct tls_context *c, enum tls_file file)
{
    const struct tls_names *n = &c->options.names;
    const char *const client[TLS_FILES] = {n->ca, n->cert, n->key};
    const char *const server[TLS_FILES] = {n->listen_ca, n->listen_cert, n->listen_key};
    const char *path = c->options.is_server ? server[file] : client[file];
    return tls_is_set(path) ? path : NULL;
}

const char *tls_context_option(const struct tls_context *c, enum tls_file file,
                               char text[TLS_OPTION_BYTES])
{
    static const char *const names[TLS_FILES] = {"ca", "cert", "key"};
    const char *own = file == TLS_FILE_CERT  ? c->options.cert_option
                      : file == TLS_FILE_KEY ? c->options.key_option
                                             : NULL;
    if (own != NULL)
        snprintf(text, TLS_OPTION_BYTES, "%s", own);
    else
        snprintf(text, TLS_OPTION_BYTES, "--%s-%s%s", c->options.plane,
                 c->options.is_server ? "listen-" : "", names[file]);
    return text;
}

/* ---- loading ---- */

/* Appends "--etcd-ca /x/ca.pem: <what>". */
static enum err wrong(const struct tls_context *c, enum tls_file file, const char *what,
                      struct buf *error)
{
    char option[TLS_OPTION_BYTES];
    enum err e = buf_printf(error, "%s %s: %s", tls_context_option(c, file, option),
                            tls_context_path(c, file), what);
    return e == ERR_OK ? ERR_CONFIG : e;
}

/* wrong(), with OpenSSL's own word for it. */
static enum err wrong_content(const struct tls_context *c, enum tls_file file, const char *what,
                              struct buf *error)
{
    char text[TLS_WHY_BYTES];
    const char *reason = c->lib->ERR_reason_error_string(c->lib->ERR_peek_last_error());
    snprintf(text, sizeof text, "%s%s%s%s", what,
             reason == NULL ? "" : " (OpenSSL: ", reason == NULL ? "" : reason,
             reason == NULL ? "" : ")");
    return wrong(c, file, text, error);
}

static enum err check_readable(const struct tls_context *c, struct buf *error)
{
    for (enum tls_file f = 0; f < TLS_FILES; f++) {
        const char *path = tls_context_path(c, f);
        if (path != NULL && access(path, R_OK) != 0) {
            char text[TLS_WHY_BYTES];
            snprintf(text, sizeof text, "%s; name a PEM file that may be read", strerror(errno));
            return wrong(c, f, text, error);
        }
    }
    return ERR_OK;
}

/* A sidecar has nobody to ask for one. */
static int no_passphrase(char *text, int size, int is_write, void *arg)
{
    (void)text, (void)size, (void)is_write, (void)arg;
    return -1;
}

static void warn_if_expired(const struct tls_context *c, SSL_CTX *ssl)
{
    const X509 *cert = c->lib->SSL_CTX_get0_certificate(ssl);
    if (cert != NULL && c->lib->X509_cmp_current_time(c->lib->X509_get0_notAfter(cert)) < 0)
        log_event(LOG_WARN, "our TLS certificate has expired; replace the file", "plane",
                  c->options.plane, "file", tls_context_path(c, TLS_FILE_CERT), NULL);
}

static enum err load_identity(const struct tls_context *c, SSL_CTX *ssl, struct buf *error)
{
    const struct tls_lib *lib = c->lib;
    const char *cert = tls_context_path(c, TLS_FILE_CERT);
    if (cert == NULL)
        return ERR_OK;
    if (lib->SSL_CTX_use_certificate_chain_file(ssl, cert) != 1)
        return wrong_content(c, TLS_FILE_CERT,
                             "there is no usable certificate; it is a PEM file, our certificate "
                             "first, then its issuers",
                             error);
    lib->SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
    lib->ERR_clear_error();
    if (lib->SSL_CTX_use_PrivateKey_file(ssl, tls_context_path(c, TLS_FILE_KEY),
                                         SSL_FILETYPE_PEM) == 1)
        return ERR_OK;
    if (ERR_GET_REASON(lib->ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH) {
        char text[TLS_WHY_BYTES];
        snprintf(text, sizeof text,
                 "the key does not belong to the certificate in %s; replace both", cert);
        return wrong(c, TLS_FILE_KEY, text, error);
    }
    return wrong_content(c, TLS_FILE_KEY,
                         "there is no usable private key; it is a PEM file without a passphrase",
                         error);
}

static enum err load_trust(const struct tls_context *c, SSL_CTX *ssl, struct buf *error)
{
    const char *ca = tls_context_path(c, TLS_FILE_CA);
    if (c->options.is_server && ca == NULL)
        return ERR_OK;
    c->lib->SSL_CTX_set_verify(
        ssl, SSL_VERIFY_PEER | (c->options.is_server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    if (ca == NULL)
        return c->lib->SSL_CTX_set_default_verify_paths(ssl) == 1 ? ERR_OK : ERR_NOMEM;
    if (c->lib->SSL_CTX_load_verify_file(ssl, ca) == 1)
        return ERR_OK;
    return wrong_content(c, TLS_FILE_CA,
                         "there is no usable certificate; it is a PEM file of the authorities that "
                         "sign the other side's",
                         error);
}

/* The peer's list is { length 1, name }*. h2 if it knows it, else HTTP/1.1 for /health; who
 * offers only other things is refused (RFC 7301 3.2). arg: not NULL where h2 is not spoken. */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned in_n, void *arg)
{
    static const struct span known[] = {SPAN_LIT("h2"), SPAN_LIT("http/1.1")};
    (void)ssl;
    for (size_t k = arg == NULL ? 0 : 1; k < ARRAY_LEN(known); k++)
        for (unsigned i = 0; i < in_n && i + 1 + in[i] <= in_n; i += 1u + in[i]) {
            if (!span_eq(span_of(in + i + 1, in[i]), known[k]))
                continue;
            *out = in + i + 1;
            *out_n = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static enum err set_up(const struct tls_context *c, SSL_CTX *ssl)
{
    static const unsigned char h2[] = "\x02h2";
    const struct tls_lib *lib = c->lib;
    lib->SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    /* An idle connection holds no record buffers. */
    lib->SSL_CTX_ctrl(ssl, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, NULL);
    lib->SSL_CTX_ctrl(ssl, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
    if (lib->SSL_CTX_ctrl(ssl, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL) != 1 ||
        lib->SSL_CTX_set_num_tickets(ssl, 0) != 1)
        return ERR_NOMEM;
    if (c->options.is_http1)
        lib->SSL_CTX_set_alpn_select_cb(ssl, select_protocol, ssl);
    else if (c->options.is_http2 && c->options.is_server)
        lib->SSL_CTX_set_alpn_select_cb(ssl, select_protocol, NULL);
    else if (c->options.is_http2 && lib->SSL_CTX_set_alpn_protos(ssl, h2, sizeof h2 - 1) != 0)
        return ERR_NOMEM;
    return ERR_OK;
}

static enum err load(const struct tls_context *c, SSL_CTX **ret_ssl, struct buf *error)
{
    enum err e = check_readable(c, error);
    if (e != ERR_OK)
        return e;
    c->lib->ERR_clear_error();
    SSL_CTX *ssl = c->lib->SSL_CTX_new(c->lib->TLS_method());
    if (ssl == NULL)
        return ERR_NOMEM;
    e = set_up(c, ssl);
    if (e == ERR_OK)
        e = load_trust(c, ssl, error);
    if (e == ERR_OK)
        e = load_identity(c, ssl, error);
    if (e != ERR_OK) {
        c->lib->SSL_CTX_free(ssl);
        return e;
    }
    warn_if_expired(c, ssl);
    *ret_ssl = ssl;
    return ERR_OK;
}

/* ---- files that change ---- */

static void take_stamps(const struct tls_context *c, struct stat stamp[TLS_FILES])
{
    memset(stamp, 0, TLS_FILES * sizeof *stamp);
    for (enum tls_file f = 0; f < TLS_FILES; f++) {
        const char *path = tls_context_path(c, f);
        if (path != NULL && stat(path, &stamp[f]) != 0)
            memset(&stamp[f], 0, sizeof stamp[f]);
    }
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

SSL_CTX *tls_context_current(struct tls_context *c)
{
    struct stat now[TLS_FILES];
    bool changed = false;
    take_stamps(c, now);
    for (enum tls_file f = 0; f < TLS_FILES; f++)
        changed = changed || !is_same(&now[f], &c->stamp[f]);
    if (!changed)
        return c->ssl;
    struct buf error = {0};
    SSL_CTX *ssl = NULL;
    if (load(c, &ssl, &error) == ERR_OK) {
        c->lib->SSL_CTX_free(c->ssl); /* connections hold it as long as they need it */
        c->ssl = ssl;
        memcpy(c->stamp, now, sizeof now);
        log_event(LOG_INFO, "TLS files have changed and are used from now on", "plane",
                  c->options.plane, NULL);
    } else if (buf_append_byte(&error, '\0') == ERR_OK) {
        /* Tried again at the next connection: the other half of the pair may be on its way. */
        log_event(LOG_WARN, "TLS files have changed but cannot be used; the last good ones stay",
                  "plane", c->options.plane, "reason", (const char *)buf_span(&error).p, NULL);
    }
    buf_deinit(&error);
    return c->ssl;
}

int64_t tls_context_not_after(struct tls_context *c)
{
    const X509 *cert = c->lib->SSL_CTX_get0_certificate(tls_context_current(c));
    struct tm tm;
    if (cert == NULL || c->lib->ASN1_TIME_to_tm(c->lib->X509_get0_notAfter(cert), &tm) != 1)
        return 0;
    return timegm(&tm);
}

/* ---- life ---- */

enum err tls_context_new(const struct tls_options *options, struct tls_context **ret_context,
                         struct buf *ret_error)
{
    const struct tls_lib *lib = tls_lib_load(ret_error);
    if (lib == NULL)
        return ERR_CONFIG;
    struct tls_context *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ERR_NOMEM;
    c->lib = lib;
    c->refs = 1;
    c->options = *options;
    c->bio = tls_bio_method(lib);
    c->plain = malloc(LIMIT_READ_BYTES);
    take_stamps(c, c->stamp);
    enum err e = c->bio == NULL || c->plain == NULL ? ERR_NOMEM : load(c, &c->ssl, ret_error);
    if (e != ERR_OK)
        tls_context_free(&c);
    else
        *ret_context = c;
    return e;
}

void tls_context_free(struct tls_context **context)
{
    struct tls_context *c = *context;
    *context = NULL;
    if (c == NULL || --c->refs != 0)
        return;
    c->lib->SSL_CTX_free(c->ssl);
    c->lib->BIO_meth_free(c->bio);
    buf_deinit(&c->out);
    free(c->plain);
    free(c);
}
