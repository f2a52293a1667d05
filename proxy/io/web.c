/* SPDX-License-Identifier: Apache-2.0 */
/*
 * web.c - one request, one connection, all of them.
 *
 * Happy path: accept, TLS if there is any, on_read until a head is whole, then its body, answer,
 * wait for the next request. Ways it ends: the peer closes; a request is refused or asks to close
 * (tcp_close_when_sent); the sweep finds it idle or slow; web_close. The web is released when its
 * timer and its last connection are closed.
 */
#include "io/web.h"

#include <stdlib.h>

#include "base/log.h"
#include "io/listener.h"
#include "io/tcp.h"
#include "wire/http1_body.h"

/* Of a path, a query or a Content-Type; there is no longer one that is answered with 200. */
enum { WORD_BYTES = 128 };

struct web_conn {
    struct tcp tcp; /* first: handlers cast */
    struct web *web;
    struct web_conn *next, **link; /* in web->conns */
    struct http1_parser parser;
    struct http1_request request; /* of the body being read; its spans are in path, query, type */
    struct http1_body body_state;
    uint8_t path[WORD_BYTES], query[WORD_BYTES], type[WORD_BYTES];
    struct buf in; /* what was not taken yet */
    struct buf body;
    size_t held;       /* counted in web->held */
    size_t answered;   /* bytes, since the last read */
    uint64_t since_ms; /* the request's first byte, or the last answer */
    bool in_body, is_busy, is_ending, was_asked;
};

struct web {
    struct loop *loop;
    struct listener *listener;
    uv_timer_t sweep; /* runs while there are connections */
    struct web_conn *conns;
    struct web_options options;
    struct web_stats stats;
    size_t held;
    unsigned holders; /* the timer and the connections: the last one releases */
    bool is_draining, is_stopped;
};

static void release(struct web *w)
{
    if (--w->holders == 0)
        free(w);
}

/* ---- answers ---- */

static void end(struct web_conn *c)
{
    c->is_ending = true;
    tcp_close_when_sent(&c->tcp);
}

/* Written, or the connection is closed. */
static void send_out(struct web_conn *c, enum err e, struct buf *out)
{
    if (e == ERR_OK)
        e = tcp_write(&c->tcp, buf_span(out));
    buf_deinit(out);
    if (e == ERR_OK)
        return;
    c->is_ending = true;
    tcp_close(&c->tcp);
}

static void refuse(struct web_conn *c, int status, const char *why)
{
    struct buf out = {0};
    struct http1_parser p = {.refused_status = status, .refused_why = why};
    c->web->stats.refused_total++;
    log_event(LOG_INFO, "bad request", "option", c->web->options.option, "why", why, NULL);
    send_out(c, http1_refusal(&out, &p), &out);
    if (!c->is_ending)
        end(c);
}

static void answer(struct web_conn *c)
{
    struct web *w = c->web;
    const struct http1_request *h = &c->request;
    const struct web_request q = {.method = h->method,
                                  .path = h->path,
                                  .query = h->query,
                                  .content_type = h->content_type,
                                  .body = buf_span(&c->body),
                                  .is_encoded = h->is_encoded};
    struct web_answer a = {.status = 200};
    struct buf out = {0};
    w->stats.requests_total++;
    c->was_asked = true;
    w->options.answer(w->options.arg, &q, &a);
    struct http1_response r = {.status = a.status,
                               .content_type = a.content_type,
                               .body = buf_span(&a.body),
                               .head_only = h->method == HTTP1_HEAD,
                               .keep_alive = h->keep_alive && !w->is_draining,
                               .allow = a.allow};
    enum err e = http1_write(&out, &r);
    c->answered += buf_len(&out);
    send_out(c, e, &out);
    buf_deinit(&a.body);
    bool is_flood = w->options.body_max == 0 && c->answered > LIMIT_OUT_HIGH_BYTES;
    if ((!r.keep_alive || is_flood) && !c->is_ending)
        end(c);
}

/* ---- reading one request ---- */

static void request_done(struct web_conn *c)
{
    c->parser = (struct http1_parser){.takes_body = c->web->options.body_max != 0};
    buf_deinit(&c->body);
    c->web->held -= c->held;
    c->held = 0;
    c->in_body = false;
    c->since_ms = loop_now_ms(c->web->loop);
    c->is_busy = buf_len(&c->in) != 0;
}

/* s in memory of the connection's own. */
static struct span keep(struct span s, uint8_t to[WORD_BYTES])
{
    struct span cut = span_head(s, WORD_BYTES);
    if (cut.n != 0)
        memcpy(to, cut.p, cut.n);
    return span_of(to, cut.n);
}

/* The head is whole: it goes, and the body is next. */
static void begin_body(struct web_conn *c)
{
    c->in_body = true;
    c->request.path = keep(c->request.path, c->path);
    c->request.query = keep(c->request.query, c->query);
    c->request.content_type = keep(c->request.content_type, c->type);
    buf_consume(&c->in, c->request.head_bytes);
    if (c->web->options.body_max == 0)
        return;
    struct http1_request q = c->request;
    if (!q.has_length && !q.is_chunked && q.method != HTTP1_POST)
        q.has_length = true; /* none: zero bytes */
    if (http1_body_begin(&c->body_state, &q, c->web->options.body_max) == HTTP1_REFUSED)
        refuse(c, c->body_state.refused_status, c->body_state.refused_why);
    else if (q.expects_continue &&
             tcp_write(&c->tcp, SPAN_LIT("HTTP/1.1 100 Continue\r\n\r\n")) != ERR_OK) {
        c->is_ending = true;
        tcp_close(&c->tcp);
    }
}

/* Takes from the input. False: more is needed, or the connection ends. */
static bool read_body(struct web_conn *c)
{
    struct web *w = c->web;
    if (w->options.body_max == 0)
        return true;
    struct span rest = buf_span(&c->in);
    enum err e = ERR_OK;
    enum http1_verdict verdict = http1_body_feed(&c->body_state, &rest, &c->body, &e);
    buf_consume(&c->in, buf_len(&c->in) - rest.n);
    w->held += c->body.cap - c->held;
    c->held = c->body.cap;
    if (e != ERR_OK || w->held > LIMIT_WEB_HELD_BYTES) {
        w->stats.held_refused_total++;
        refuse(c, 503, "too many requests at a time");
        return false;
    }
    if (verdict == HTTP1_REFUSED)
        refuse(c, c->body_state.refused_status, c->body_state.refused_why);
    return verdict == HTTP1_DONE;
}

/* Reads and answers what is there; stops when more is needed, or output waits. */
static void go_on(struct web_conn *c)
{
    while (!c->is_ending && tcp_queued(&c->tcp) <= LIMIT_OUT_HIGH_BYTES) {
        if (!c->in_body) {
            enum http1_verdict verdict = http1_feed(&c->parser, buf_span(&c->in), &c->request);
            if (verdict == HTTP1_REFUSED)
                refuse(c, c->parser.refused_status, c->parser.refused_why);
            if (verdict != HTTP1_DONE)
                break;
            begin_body(c);
            continue;
        }
        if (!read_body(c))
            break;
        answer(c);
        request_done(c);
    }
    if (!c->is_ending && tcp_queued(&c->tcp) > LIMIT_OUT_HIGH_BYTES)
        tcp_read(&c->tcp, false);
    buf_trim(&c->in);
}

static void on_read(struct tcp *t, struct span in)
{
    struct web_conn *c = (struct web_conn *)t;
    if (c->is_ending)
        return;
    if (!c->is_busy) {
        c->is_busy = true;
        c->since_ms = loop_now_ms(c->web->loop);
    }
    if (buf_append(&c->in, in) != ERR_OK) {
        tcp_close(t);
        return;
    }
    c->answered = 0;
    go_on(c);
}

static void on_drained(struct tcp *t)
{
    struct web_conn *c = (struct web_conn *)t;
    tcp_read(t, true);
    go_on(c);
}

static void on_end(struct tcp *t, int status)
{
    if (status == 0)
        tcp_close_when_sent(t);
    else
        tcp_close(t);
}

static void on_closed(struct tcp *t)
{
    struct web_conn *c = (struct web_conn *)t;
    struct web *w = c->web;
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    w->stats.connections--;
    w->held -= c->held;
    if (w->conns == NULL && !uv_is_closing((uv_handle_t *)&w->sweep))
        uv_timer_stop(&w->sweep);
    buf_deinit(&c->in);
    buf_deinit(&c->body);
    free(c);
    release(w);
}

static void on_connected(struct tcp *t)
{
    (void)t; /* TLS stands */
}

static const struct tcp_handler handler = {
    .on_connected = on_connected,
    .on_read = on_read,
    .on_drained = on_drained,
    .on_end = on_end,
    .on_closed = on_closed,
};

/* ---- all of them ---- */

static void sweep_one(struct web_conn *c, uint64_t now)
{
    uint64_t age = now - c->since_ms;
    if (c->is_ending)
        return; /* tcp has a time for it */
    if (!c->is_busy) {
        uint64_t idle_ms = c->web->options.idle_ms;
        if (!c->was_asked && idle_ms > LIMIT_WEB_FIRST_MS)
            idle_ms = LIMIT_WEB_FIRST_MS;
        if (age >= idle_ms)
            tcp_close(&c->tcp);
        return;
    }
    if (age < (c->in_body ? (uint64_t)LIMIT_WEB_REQUEST_MS : (uint64_t)LIMIT_WEB_HEAD_MS))
        return;
    c->web->stats.timeouts_total++;
    refuse(c, 408, c->in_body ? "the body took longer than 10 s" : "the head took longer than 5 s");
}

static void on_sweep(uv_timer_t *timer)
{
    struct web *w = timer->data;
    for (struct web_conn *c = w->conns; c != NULL; c = c->next)
        sweep_one(c, loop_now_ms(w->loop)); /* on_closed comes later: the list stays as it is */
}

static void on_accept(void *arg, uv_stream_t *server)
{
    struct web *w = arg;
    bool room = w->stats.connections < w->options.max_connections;
    struct web_conn *c = room ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        w->stats.refused_total++;
        listener_refuse(server);
        return;
    }
    c->web = w;
    c->parser.takes_body = w->options.body_max != 0;
    c->since_ms = loop_now_ms(w->loop);
    c->next = w->conns;
    c->link = &w->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    w->conns = c;
    w->holders++;
    if (!uv_is_active((uv_handle_t *)&w->sweep))
        uv_timer_start(&w->sweep, on_sweep, LIMIT_WEB_SWEEP_MS, LIMIT_WEB_SWEEP_MS);
    w->stats.connections++;
    w->stats.connections_total++;
    if (tcp_accept(&c->tcp, w->loop, server, &handler) != ERR_OK)
        return;
    if (w->options.tls != NULL && tcp_start_tls(&c->tcp, w->options.tls, "") != ERR_OK)
        tcp_close(&c->tcp);
    else
        tcp_read(&c->tcp, true);
}

static void on_sweep_closed(uv_handle_t *handle)
{
    release(handle->data);
}

enum err web_open(struct loop *l, const struct web_options *options, struct web **ret_web,
                  struct buf *ret_error)
{
    struct web *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ERR_NOMEM;
    *w = (struct web){.loop = l, .holders = 1, .options = *options};
    uv_timer_init(&l->uv, &w->sweep); /* cannot fail */
    w->sweep.data = w;
    const struct listener_options listen = {
        .addrs = options->listen,
        .n = options->listens,
        .option = options->option,
        .is_unlimited = true,
        .accept = on_accept,
        .arg = w,
    };
    enum err e = listener_open(l, &listen, &w->listener, ret_error);
    if (e != ERR_OK)
        web_close(&w);
    else
        *ret_web = w;
    return e;
}

struct addr web_addr(const struct web *w)
{
    return listener_addr(w->listener);
}

const struct web_stats *web_stats(const struct web *w)
{
    return &w->stats;
}

void web_drain(struct web *w)
{
    w->is_draining = true;
}

void web_stop(struct web *w)
{
    if (w->is_stopped)
        return;
    w->is_stopped = w->is_draining = true;
    listener_close(&w->listener);
    for (struct web_conn *c = w->conns; c != NULL; c = c->next)
        if (!c->is_busy && !c->is_ending)
            end(c);
}

unsigned web_busy(const struct web *w)
{
    unsigned n = 0;
    for (const struct web_conn *c = w->conns; c != NULL; c = c->next)
        n += c->is_busy && !c->is_ending;
    return n;
}

void web_close(struct web **web)
{
    struct web *w = *web;
    *web = NULL;
    if (w == NULL)
        return;
    listener_close(&w->listener);
    for (struct web_conn *c = w->conns; c != NULL; c = c->next)
        tcp_close(&c->tcp);
    uv_close((uv_handle_t *)&w->sweep, on_sweep_closed);
}
