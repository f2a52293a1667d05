/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/check.h"
#include "io/tls_private.h"
#include "limit.h"

/* ---- OpenSSL's way to our bytes ---- */

static int bio_read(BIO *bio, char *to, size_t n, size_t *ret_n)
{
    struct tls *t;
    const struct tls_lib *lib = tls_lib_load(NULL); /* it is loaded: no error to write */
    t = lib->BIO_get_data(bio);
    lib->BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    bool is_kept = buf_len(&t->kept) != 0;
    struct span from = span_head(is_kept ? buf_span(&t->kept) : t->in, n);
    if (from.n == 0) {
        lib->BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        return 0;
    }
    memcpy(to, from.p, from.n);
    if (is_kept)
        buf_consume(&t->kept, from.n);
    else
        t->in = span_skip(t->in, from.n);
    *ret_n = from.n;
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t n, size_t *ret_n)
{
    const struct tls *t = tls_lib_load(NULL)->BIO_get_data(bio);
    if (buf_append(&t->ctx->out, span_of(from, n)) != ERR_OK)
        return 0;
    *ret_n = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    (void)bio, (void)number, (void)arg;
    return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(const struct tls_lib *lib)
{
    BIO_METHOD *m = lib->BIO_meth_new(lib->BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "bulkhead");
    if (m == NULL)
        return NULL;
    lib->BIO_meth_set_read_ex(m, bio_read);
    lib->BIO_meth_set_write_ex(m, bio_write);
    lib->BIO_meth_set_ctrl(m, bio_ctrl);
    return m;
}

/* ---- life ---- */

static bool set_bio(struct tls *t)
{
    BIO *bio = t->ctx->lib->BIO_new(t->ctx->bio);
    if (bio == NULL)
        return false;
    t->ctx->lib->BIO_set_data(bio, t);
    t->ctx->lib->BIO_set_init(bio, 1);
    t->ctx->lib->SSL_set_bio(t->ssl, bio, bio); /* takes it */
    return true;
}

static bool is_address(const char *name)
{
    struct in6_addr any;
    return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

/* Whom the server must be: an address stands in the certificate as one, and is never sent as a name
 * (RFC 6066 3). */
static bool set_peer(struct tls *t)
{
    const struct tls_lib *lib = t->ctx->lib;
    lib->SSL_set_connect_state(t->ssl);
    lib->SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (is_address(t->name))
        return lib->X509_VERIFY_PARAM_set1_ip_asc(lib->SSL_get0_param(t->ssl), t->name) == 1;
    return lib->SSL_set1_host(t->ssl, t->name) == 1 &&
           lib->SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                         t->name) == 1;
}

enum err tls_new(struct tls_context *ctx, const char *host, struct tls **ret_tls)
{
    const char *name = tls_is_set(ctx->options.names.server_name) ? ctx->options.names.server_name
                                                                  : host;
    size_t n = ctx->options.is_server ? 0 : strcspn(name, "%"); /* fe80::1%eth0: without the zone */
    struct tls *t = calloc(1, sizeof *t + n + 1);
    if (t == NULL)
        return ERR_NOMEM;
    if (n != 0)
        memcpy(t->name, name, n);
    t->ctx = ctx;
    ctx->refs++;
    t->ssl = ctx->lib->SSL_new(tls_context_current(ctx));
    bool ok = t->ssl != NULL && set_bio(t);
    if (ok && ctx->options.is_server)
        ctx->lib->SSL_set_accept_state(t->ssl);
    else if (ok)
        ok = set_peer(t);
    if (!ok)
        tls_free(&t);
    else
        *ret_tls = t;
    return ok ? ERR_OK : ERR_NOMEM;
}

void tls_free(struct tls **tls)
{
    struct tls *t = *tls;
    *tls = NULL;
    if (t == NULL)
        return;
    t->ctx->lib->SSL_free(t->ssl);
    tls_context_free(&t->ctx);
    buf_deinit(&t->kept);
    free(t->why);
    free(t);
}

bool tls_is_server(const struct tls *t)
{
    return t->ctx->options.is_server;
}

/* ---- input ---- */

void tls_in(struct tls *t, struct span cipher)
{
    CHECK(t->in.n == 0);
    t->in = cipher;
}

enum err tls_keep(struct tls *t)
{
    struct span rest = t->in;
    t->in = SPAN_NONE;
    if (rest.n != 0)
        return buf_append(&t->kept, rest);
    if (buf_len(&t->kept) == 0)
        buf_deinit(&t->kept);
    return ERR_OK;
}

bool tls_has_input(const struct tls *t)
{
    return buf_len(&t->kept) != 0 || t->ctx->lib->SSL_pending(t->ssl) != 0;
}

/* ---- steps ---- */

void tls_set_why(struct tls *t, const char *text)
{
    if (t->why == NULL)
        t->why = strdup(text);
}

const char *tls_why(const struct tls *t)
{
    return t->why == NULL ? "TLS failed" : t->why;
}

/* What a call's result means. The error queue is the thread's: look before anything else is done.
 */
static enum tls_step step_of(struct tls *t, int result)
{
    int error = t->ctx->lib->SSL_get_error(t->ssl, result);
    if (error == SSL_ERROR_NONE)
        return TLS_STEP_READY;
    if (error == SSL_ERROR_WANT_READ)
        return TLS_STEP_MORE;
    if (error == SSL_ERROR_ZERO_RETURN)
        return TLS_STEP_END;
    char text[TLS_WHY_BYTES];
    tls_explain(t, text);
    tls_set_why(t, text);
    return TLS_STEP_FAILED;
}

enum tls_step tls_handshake(struct tls *t)
{
    t->ctx->lib->ERR_clear_error();
    enum tls_step step = step_of(t, t->ctx->lib->SSL_do_handshake(t->ssl));
    t->is_ready = step == TLS_STEP_READY;
    return step;
}

enum tls_step tls_read(struct tls *t, struct span *ret_plain)
{
    struct tls_context *c = t->ctx;
    size_t n = 0;
    enum tls_step step = TLS_STEP_READY;
    while (n < LIMIT_READ_BYTES && step == TLS_STEP_READY) {
        size_t got = 0;
        c->lib->ERR_clear_error();
        step = step_of(t, c->lib->SSL_read_ex(t->ssl, c->plain + n, LIMIT_READ_BYTES - n, &got));
        n += got;
    }
    *ret_plain = span_of(c->plain, n);
    return step;
}

enum tls_step tls_write(struct tls *t, struct span *plain)
{
    size_t sent = 0;
    struct span part = span_head(*plain, LIMIT_READ_BYTES);
    t->ctx->lib->ERR_clear_error();
    enum tls_step step = step_of(t, t->ctx->lib->SSL_write_ex(t->ssl, part.p, part.n, &sent));
    *plain = span_skip(*plain, sent);
    return step;
}

void tls_bye(struct tls *t)
{
    t->ctx->lib->ERR_clear_error();
    (void)t->ctx->lib->SSL_shutdown(t->ssl); /* the peer's own goodbye is not waited for */
}

struct buf *tls_out(struct tls *t)
{
    return &t->ctx->out;
}

void tls_refused(struct tls *t)
{
    if (t->ctx->options.is_server)
        count(t->ctx->options.counters, t->ctx->options.refused, 1);
}

const char *tls_plane(const struct tls *t)
{
    return t->ctx->options.plane;
}
