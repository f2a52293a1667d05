/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_tls.c - TLS between the socket and tcp's owner.
 *
 *   SHAKING --handshake over--> UP --either side's goodbye, end--> (as without TLS)
 *        \--refused, cut, time--> BROKEN <--bad record--/   on_end, tcp_why() says why
 *
 *   socket --on_uv_read--> tcp_tls_input --on_read--> owner
 *   socket <--tcp_write_raw-- tcp_tls_write <--tcp_write-- owner
 *
 * While SHAKING libuv reads whether the owner does or not, and what the owner writes waits in
 * early. Ciphertext of an owner that stopped reading in the middle of it is kept by tls.c, at most
 * one read; libuv does not read meanwhile.
 */
#include <stdlib.h>

#include "base/log.h"
#include "io/tcp_private.h"
#include "io/tls.h"

struct tcp_tls {
    struct tls *tls;
    struct deadline *handshake;
    struct buf early; /* the owner's output, until UP */
    enum { TLS_SHAKING, TLS_UP, TLS_BROKEN } state;
    bool was_heard; /* the peer has sent something */
};

/* ---- life ---- */

enum err tcp_tls_new(struct tls_context *ctx, const char *host, struct tcp_tls **ret_tls)
{
    struct tcp_tls *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    enum err e = tls_new(ctx, host, &s->tls);
    if (e != ERR_OK)
        tcp_tls_free(&s);
    else
        *ret_tls = s;
    return e;
}

void tcp_tls_free(struct tcp_tls **tls)
{
    struct tcp_tls *s = *tls;
    *tls = NULL;
    if (s == NULL)
        return;
    deadline_cancel(&s->handshake);
    buf_deinit(&s->early);
    tls_free(&s->tls);
    free(s);
}

void tcp_tls_stop(struct tcp *t)
{
    deadline_cancel(&t->tls->handshake);
}

const char *tcp_tls_why(const struct tcp *t)
{
    return t->tls->state == TLS_BROKEN ? tls_why(t->tls->tls) : NULL;
}

/* A dialler logs its own failures; an application that never got through is nobody's but ours. */
static void log_refused(const struct tcp *t)
{
    char peer[ADDR_TEXT_BYTES];
    if (!tls_is_server(t->tls->tls))
        return;
    /* Probes of the port connect and close without a word. */
    log_event(t->tls->was_heard ? LOG_WARN : LOG_DEBUG, "TLS with an application failed", "plane",
              tls_plane(t->tls->tls), "reason", tls_why(t->tls->tls), "app", tcp_peer(t, peer),
              NULL);
    tls_refused(t->tls->tls);
}

/* The rest of the input means nothing. */
static void broken(struct tcp *t, int status)
{
    struct tcp_tls *s = t->tls;
    if (s->state == TLS_SHAKING)
        log_refused(t);
    s->state = TLS_BROKEN;
    deadline_cancel(&s->handshake);
    buf_deinit(&s->early);
    if (t->failed == 0)
        tcp_fail(t, status);
    tcp_poll(t);
}

/* ---- output ---- */

/* What the last call wrote; an alert goes out before the end does. */
static enum err send_out(struct tcp *t)
{
    struct buf *out = tls_out(t->tls->tls);
    size_t n = buf_len(out);
    enum err e = n == 0 || t->failed != 0 ? ERR_OK : tcp_write_raw(t, buf_span(out));
    buf_consume(out, n);
    if (out->cap > (size_t)2 * LIMIT_READ_BYTES)
        buf_deinit(out);
    return e;
}

static enum err write_all(struct tcp *t, struct span plain)
{
    while (plain.n != 0 && t->failed == 0) {
        enum tls_step step = tls_write(t->tls->tls, &plain);
        enum err e = send_out(t);
        if (e != ERR_OK)
            return e;
        if (step != TLS_STEP_READY) {
            broken(t, UV_EPROTO); /* UNTESTED: only for lack of memory */
            return ERR_OK;
        }
    }
    return ERR_OK;
}

enum err tcp_tls_write(struct tcp *t, struct span plain)
{
    switch (t->tls->state) {
    case TLS_UP:
        return t->state == TCP_STATE_OPEN ? write_all(t, plain) : ERR_OK;
    case TLS_SHAKING:
        return t->state == TCP_STATE_CLOSING ? ERR_OK : buf_append(&t->tls->early, plain);
    case TLS_BROKEN:
        break;
    }
    return ERR_OK;
}

size_t tcp_tls_waiting(const struct tcp *t)
{
    return buf_len(&t->tls->early);
}

bool tcp_tls_bye(struct tcp *t)
{
    if (t->tls->state != TLS_UP)
        return false;
    tls_bye(t->tls->tls);
    return send_out(t) == ERR_OK;
}

/* ---- handshake ---- */

static void up(struct tcp *t)
{
    struct tcp_tls *s = t->tls;
    s->state = TLS_UP;
    deadline_cancel(&s->handshake);
    if (t->state == TCP_STATE_SECURING)
        tcp_move(t, TCP_STATE_OPEN);
    bool had_early = buf_len(&s->early) != 0;
    if (write_all(t, buf_span(&s->early)) != ERR_OK)
        tcp_fail(t, UV_ENOMEM);
    buf_deinit(&s->early);
    if (t->handler->on_connected != NULL)
        t->handler->on_connected(t);
    if (had_early && t->state == TCP_STATE_OPEN && t->failed == 0 &&
        tcp_queued(t) <= LIMIT_OUT_LOW_BYTES)
        t->handler->on_drained(t);
}

static void shake(struct tcp *t)
{
    enum tls_step step = tls_handshake(t->tls->tls);
    if (send_out(t) != ERR_OK)
        broken(t, UV_ENOMEM);
    else if (step == TLS_STEP_READY)
        up(t);
    else if (step != TLS_STEP_MORE)
        broken(t, UV_EPROTO);
}

static void on_time(void *arg)
{
    struct tcp *t = arg;
    tls_set_why(t->tls->tls, "TLS: the handshake was not finished in time");
    broken(t, UV_ETIMEDOUT);
}

void tcp_tls_begin(struct tcp *t)
{
    if (deadline_set(t->loop, LIMIT_DIAL_MS, on_time, t, &t->tls->handshake) != ERR_OK) {
        broken(t, UV_ENOMEM);
        return;
    }
    shake(t); /* a client speaks first; nobody is through before the other has answered */
    tcp_poll(t);
}

enum err tcp_start_tls(struct tcp *t, struct tls_context *ctx, const char *host)
{
    if (t->state != TCP_STATE_OPEN || t->failed != 0 || t->tls != NULL)
        return ERR_OK;
    enum err e = tcp_tls_new(ctx, host, &t->tls);
    if (e == ERR_OK)
        tcp_tls_begin(t);
    return e;
}

/* ---- input ---- */

bool tcp_tls_wants_input(const struct tcp *t)
{
    const struct tcp_tls *s = t->tls;
    if (s->state == TLS_SHAKING)
        return t->state == TCP_STATE_SECURING || t->state == TCP_STATE_OPEN;
    return s->state == TLS_UP && t->reading && !tls_has_input(s->tls);
}

static bool is_wanted(const struct tcp *t)
{
    return t->state == TCP_STATE_OPEN && t->reading && !t->ended && t->tls->state == TLS_UP;
}

/* Plaintext to the owner, as long as it wants it. */
static void deliver(struct tcp *t)
{
    enum tls_step step = TLS_STEP_READY;
    while (step == TLS_STEP_READY && is_wanted(t)) {
        struct span plain;
        step = tls_read(t->tls->tls, &plain);
        if (send_out(t) != ERR_OK)
            broken(t, UV_ENOMEM);
        if (plain.n != 0)
            t->handler->on_read(t, plain);
    }
    if (t->state != TCP_STATE_OPEN)
        return;
    if (step == TLS_STEP_END)
        tcp_report_end(t, t->failed);
    else if (step == TLS_STEP_FAILED)
        broken(t, UV_EPROTO);
}

void tcp_tls_input(struct tcp *t, struct span cipher)
{
    struct tcp_tls *s = t->tls;
    s->was_heard = s->was_heard || cipher.n != 0;
    tls_in(s->tls, cipher);
    if (s->state == TLS_SHAKING)
        shake(t);
    deliver(t);
    if (tls_keep(s->tls) != ERR_OK && t->failed == 0)
        broken(t, UV_ENOMEM);
    if (t->state == TCP_STATE_OPEN || t->state == TCP_STATE_SECURING)
        tcp_poll(t);
}

void tcp_tls_read(struct tcp *t)
{
    if (t->tls->state == TLS_UP && tls_has_input(t->tls->tls))
        tcp_input_later(t);
}

int tcp_tls_eof(struct tcp *t)
{
    struct tcp_tls *s = t->tls;
    if (s->state != TLS_SHAKING)
        return 0;
    tls_set_why(s->tls, tls_is_server(s->tls)
                            ? "TLS: the application closed the connection during the handshake"
                            : "TLS: the server closed the connection during the handshake; does it "
                              "speak TLS on this port?");
    broken(t, UV_EPROTO);
    return 0; /* t->failed says it */
}
