/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_session - feed bytes in, cut them into lines and payloads, pass payloads through.
 *
 * Happy path: INFO (nats_to_app), CONNECT (nats_to_up), then lines and payloads of both sides.
 * Ways it ends: a line that does not parse, a payload that does not end where it said, no memory:
 * the side at fault is told, feed returns the error; nats_session_lost() when a socket is gone.
 */
#include "nats/nats_session.h"

#include <stdlib.h>

#include "base/check.h"
#include "limit.h"
#include "nats/nats_js.h"
#include "nats/nats_plain.h"
#include "nats/nats_state.h"
#include "wire/nats_write.h"

enum { CRLF_BYTES = 2 };

static enum nats_side other(enum nats_side side)
{
    return side == SIDE_APP ? SIDE_UP : SIDE_APP;
}

void nats_state_move(struct nats_session *s, enum nats_state to)
{
    static const bool allowed[NATS_STATES][NATS_STATES] = {
        [NATS_WAIT_INFO] = {[NATS_WAIT_CONNECT] = true, [NATS_CLOSING] = true},
        [NATS_WAIT_CONNECT] = {[NATS_OPEN] = true, [NATS_CLOSING] = true},
        [NATS_OPEN] = {[NATS_CLOSING] = true},
        [NATS_CLOSING] = {[NATS_CLOSING] = true},
    };
    CHECK(allowed[s->state][to]);
    s->state = to;
}

enum err nats_session_new(const struct nats_ns *ns, struct nats_session **ret_session)
{
    struct nats_session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->ns = ns;
    s->flow[SIDE_APP].reader.line_max = ns->control_line;
    s->state = NATS_WAIT_INFO;
    s->verbose = true;
    s->echo = true;
    *ret_session = s;
    return ERR_OK;
}

static void held_free(struct nats_flow *f)
{
    if (f->held == NULL)
        return;
    buf_deinit(&f->held->line);
    buf_deinit(&f->held->body);
    free(f->held);
    f->held = NULL;
}

void nats_session_free(struct nats_session **ref)
{
    struct nats_session *s = *ref;
    if (s == NULL)
        return;
    for (int side = 0; side < SIDES; side++) {
        nats_reader_release(&s->flow[side].reader);
        held_free(&s->flow[side]);
        buf_deinit(&s->out[side]);
        buf_deinit(&s->later[side]);
    }
    nats_oks_deinit(&s->oks);
    buf_deinit(&s->nonce);
    nats_subs_deinit(&s->subs);
    nats_js_free(&s->js);
    free(s);
    *ref = NULL;
}

struct buf *nats_session_out(struct nats_session *s, enum nats_side side)
{
    return &s->out[side];
}

bool nats_session_is_closing(const struct nats_session *s)
{
    return s->state == NATS_CLOSING;
}

void nats_session_be_voice(struct nats_session *s)
{
    s->is_voice = true;
}

bool nats_session_wants_read(const struct nats_session *s, enum nats_side side)
{
    size_t aside = s->js == NULL ? 0 : buf_len(&s->js->aside);
    if (s->state == NATS_CLOSING || s->wants_tls[SIDE_UP] || s->wants_tls[SIDE_APP] ||
        buf_len(&s->out[other(side)]) >= LIMIT_OUT_HIGH_BYTES || aside >= LIMIT_OUT_HIGH_BYTES)
        return false;
    /* Answers of JetStream's API are published anew: a server that does not read has to wait. */
    if (side == SIDE_UP)
        return buf_len(&s->out[SIDE_UP]) + buf_len(&s->later[SIDE_UP]) < LIMIT_OUT_OWN_BYTES;
    /* An application that keeps asking for -ERR lines and never reads them has to wait. The
     * server's own words alone cannot stop it: they stop at the high mark. */
    return s->state != NATS_WAIT_INFO &&
           buf_len(&s->out[SIDE_APP]) + buf_len(&s->later[SIDE_APP]) < LIMIT_OUT_OWN_BYTES;
}

bool nats_session_wants_tls(const struct nats_session *s, enum nats_side side)
{
    return s->wants_tls[side] && s->state != NATS_CLOSING;
}

void nats_session_secured(struct nats_session *s, enum nats_side side)
{
    s->wants_tls[side] = false;
}

/* Own lines that waited for the end of the payload. */
static enum err flush_later(struct nats_session *s, enum nats_side to)
{
    if (buf_len(&s->later[to]) == 0)
        return ERR_OK;
    enum err e = buf_append(&s->out[to], buf_span(&s->later[to]));
    buf_deinit(&s->later[to]);
    return e;
}

/* A piece of a message that side from is sending, to the other one. */
static enum err pass(struct nats_session *s, enum nats_side from, struct span piece)
{
    struct buf *out = &s->out[other(from)];
    enum err e = buf_append(out, piece);
    if (e == ERR_OK && from == SIDE_APP && s->trace.left != 0)
        count(s->ns->counters, COUNTER_DENIED_TRACE,
              nats_trace_blunt(&s->trace, out->data + out->tail - piece.n, piece.n));
    return e;
}

enum err nats_write_header(struct nats_session *s, struct span block)
{
    s->trace = (struct nats_trace){.left = (uint32_t)block.n};
    return pass(s, SIDE_APP, block);
}

void nats_expect_header(struct nats_session *s, const struct nats_line *l)
{
    s->trace = (struct nats_trace){0};
    /* The parser took it for a size, or there is none. */
    (void)!nats_parse_size(l->header_text, &s->trace.left);
}

enum err nats_payload_begin(struct nats_session *s, enum nats_side from, uint32_t n, bool drop,
                            struct span *in)
{
    size_t whole = (size_t)n + CRLF_BYTES;
    struct nats_flow *f = &s->flow[from];
    f->drop = drop;
    /* Larger ones go the slow way, which minds the high mark. One that ends wrongly, too: what
     * leaves must not depend on how the input was cut. */
    bool at_once = !drop && n <= LIMIT_READ_BYTES && in->n >= whole && in->p[n] == '\r' &&
                   in->p[n + 1] == '\n';
    f->left = at_once ? 0 : n + CRLF_BYTES;
    if (!at_once)
        return ERR_OK;
    enum err e = pass(s, from, span_head(*in, whole));
    *in = span_skip(*in, whole);
    return e;
}

enum err nats_hold(struct nats_session *s, enum nats_side from, struct span line, size_t n,
                   struct span *in)
{
    struct nats_flow *f = &s->flow[from];
    if (f->held != NULL) { /* read again, and more is wanted */
        f->held->want = n;
        return ERR_OK;
    }
    f->held = calloc(1, sizeof *f->held);
    if (f->held == NULL)
        return ERR_NOMEM;
    f->held->want = n;
    enum err e = buf_append(&f->held->line, line);
    if (e == ERR_OK)
        e = buf_append(&f->held->body, *in);
    *in = span_skip(*in, in->n);
    return e;
}

/* The next piece of the payload that side is sending. */
static enum err payload_step(struct nats_session *s, enum nats_side from, struct span *in)
{
    struct nats_flow *f = &s->flow[from];
    struct buf *out = &s->out[other(from)];
    enum err e = ERR_OK;
    CHECK(in->p != NULL);
    if (f->left > CRLF_BYTES) {
        struct span piece = span_head(*in, f->left - CRLF_BYTES);
        if (!f->drop) {
            size_t room = LIMIT_OUT_HIGH_BYTES - buf_len(out);
            piece = f->held != NULL ? piece : span_head(piece, room);
            e = pass(s, from, piece);
        }
        f->left -= (uint32_t)piece.n;
        *in = span_skip(*in, piece.n);
        return e;
    }
    if (in->p[0] != (f->left == CRLF_BYTES ? '\r' : '\n'))
        return from == SIDE_APP ? ERR_NATS_UNKNOWN_OP : ERR_UPSTREAM_PROTOCOL;
    *in = span_skip(*in, 1);
    if (f->left > 1) {
        f->left--;
        return ERR_OK;
    }
    if (!f->drop)
        e = buf_append(out, SPAN_LIT("\r\n"));
    f->left = 0;
    return e == ERR_OK ? flush_later(s, other(from)) : e;
}

/* What the server may say wrongly is its protocol error, whatever the parser calls it. */
static enum err blame(enum nats_side from, enum err e)
{
    return from == SIDE_UP && err_info(e)->fault == FAULT_APP ? ERR_UPSTREAM_PROTOCOL : e;
}

/* What was held is read as if it came now. */
static enum err held_end(struct nats_session *s, enum nats_side from)
{
    struct nats_flow *f = &s->flow[from];
    struct nats_held *h = f->held;
    struct span line = buf_span(&h->line), body = buf_span(&h->body);
    size_t want = h->want;
    enum err e = from == SIDE_APP ? nats_to_up_line(s, line, &body)
                                  : nats_to_app_line(s, line, &body);
    if (e == ERR_OK && h->want > want)
        return ERR_OK;
    while (e == ERR_OK && body.n != 0)
        e = payload_step(s, from, &body);
    held_free(f);
    return e;
}

static enum err hold_step(struct nats_session *s, enum nats_side from, struct span *in)
{
    struct nats_held *h = s->flow[from].held;
    struct span piece = span_head(*in, h->want - buf_len(&h->body));
    enum err e = buf_append(&h->body, piece);
    *in = span_skip(*in, piece.n);
    if (e == ERR_OK && buf_len(&h->body) == h->want)
        e = held_end(s, from);
    return e;
}

static enum err line_step(struct nats_session *s, enum nats_side from, struct span *in)
{
    struct nats_reader *r = &s->flow[from].reader;
    struct span line;
    enum err e = ERR_OK;
    if (nats_reader_next(r, from == SIDE_APP ? NATS_FROM_CLIENT : NATS_FROM_SERVER, in, &line,
                         &e)) {
        e = from == SIDE_APP ? nats_to_up_line(s, line, in) : nats_to_app_line(s, line, in);
        nats_reader_release(r);
    }
    return blame(from, e);
}

static enum err step(struct nats_session *s, enum nats_side from, struct span *in)
{
    const struct nats_flow *f = &s->flow[from];
    if (f->held != NULL)
        return blame(from, hold_step(s, from, in));
    return f->left != 0 ? payload_step(s, from, in) : line_step(s, from, in);
}

/* The session ends; the application is told why, unless it is in the middle of a payload. */
static void end(struct nats_session *s, enum err e)
{
    const char *text = err_info(e)->nats_text;
    /* Without memory for its last words an application sees its connection close. */
    if (text != NULL && !nats_is_mid_payload(s, SIDE_APP))
        (void)!nats_write_err(&s->out[SIDE_APP], span_str(text));
    nats_state_move(s, NATS_CLOSING);
}

enum err nats_session_feed(struct nats_session *s, enum nats_side side, struct span in,
                           size_t *ret_used)
{
    struct span rest = in;
    enum err e = ERR_OK;
    while (rest.n != 0 && e == ERR_OK && nats_session_wants_read(s, side))
        if (!nats_plain_pass(s, side, &rest, &e) && e == ERR_OK)
            e = step(s, side, &rest);
    *ret_used = in.n - rest.n;
    if (e != ERR_OK) {
        if (err_info(e)->fault != FAULT_US)
            count(s->ns->counters, side == SIDE_APP ? COUNTER_BAD_NATS_APP : COUNTER_BAD_NATS_UP,
                  1);
        end(s, e);
    }
    return e;
}

void nats_session_lost(struct nats_session *s, enum nats_side side, enum err e)
{
    if (s->state == NATS_CLOSING)
        return;
    if (side == SIDE_UP)
        end(s, e);
    else
        nats_state_move(s, NATS_CLOSING);
}
