/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.c - one connection after the other: read a head, answer, go on or close.
 *
 * Happy path: accept, on_read until http1 is satisfied, write, wait for the next request. Ways it
 * ends: the peer closes; a request is refused or asks to close (tcp_close_when_sent); the sweep
 * finds it idle; admin_close. The admin is released when its timer and its last connection are
 * closed.
 */
#include "io/admin.h"

#include <stdlib.h>

#include "base/log.h"
#include "io/listener.h"
#include "io/metrics.h"
#include "io/tcp.h"
#include "wire/http1.h"

struct admin_conn {
    struct tcp tcp; /* first: handlers cast */
    struct admin *admin;
    struct admin_conn *next, **link; /* in admin->conns */
    struct http1_parser parser;
    struct buf in;     /* from the first byte of the request being read */
    uint64_t since_ms; /* last answer, or accepted */
};

struct admin {
    struct loop *loop;
    struct listener *listener;
    uv_timer_t sweep; /* runs while there are connections */
    struct admin_conn *conns;
    unsigned conn_count;
    unsigned holders; /* the timer and the connections: the last one releases */
    bool is_draining;
    struct admin_check checks[ADMIN_CHECKS_MAX];
    unsigned check_count;
    const char *namespace_name;
    void (*on_drain)(void *arg);
    void *arg;
};

static void release(struct admin *a)
{
    if (--a->holders == 0)
        free(a);
}

/* ---- answers ---- */

static bool all_ready(const struct admin *a, struct metrics_plane *planes, const char **why)
{
    bool ready = !a->is_draining;
    for (unsigned i = 0; i < a->check_count; i++) {
        why[i] = "draining";
        planes[i].name = a->checks[i].plane;
        planes[i].is_ready = !a->is_draining && a->checks[i].is_ready(a->checks[i].arg, &why[i]);
        ready = ready && planes[i].is_ready;
    }
    return ready;
}

static enum err readyz(const struct admin *a, struct http1_response *r, struct buf *body)
{
    struct metrics_plane planes[ADMIN_CHECKS_MAX];
    const char *why[ADMIN_CHECKS_MAX];
    bool ready = all_ready(a, planes, why);
    r->status = ready ? 200 : 503;
    enum err e = buf_printf(body, ready            ? "ready\n"
                                  : a->is_draining ? "draining\n"
                                                   : "not ready\n");
    for (unsigned i = 0; i < a->check_count && e == ERR_OK; i++)
        e = buf_printf(body, "%s: %s\n", planes[i].name, planes[i].is_ready ? "ready" : why[i]);
    return e;
}

static enum err metrics(const struct admin *a, struct http1_response *r, struct buf *body)
{
    struct metrics_plane planes[ADMIN_CHECKS_MAX];
    const char *why[ADMIN_CHECKS_MAX];
    (void)all_ready(a, planes, why);
    struct metrics_process process;
    metrics_read_process(&process);
    const struct metrics_view view = {
        .counters = &a->loop->counters,
        .process = &process,
        .planes = planes,
        .plane_count = a->check_count,
        .namespace_name = a->namespace_name,
    };
    r->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return metrics_write(&view, body);
}

static enum err route_admin(const struct admin *a, const struct http1_request *request,
                            struct http1_response *r, struct buf *body)
{
    if (!span_eq(request->path, SPAN_LIT("/drain"))) {
        r->status = 404;
        return buf_printf(body, "there is POST /drain\n");
    }
    if (request->method != HTTP1_POST) {
        r->status = 405;
        r->allow = "POST";
        return buf_printf(body, "only POST is answered here\n");
    }
    r->status = 202;
    a->on_drain(a->arg);
    return buf_printf(body, "draining\n");
}

/* What request gets; the body is appended to body. */
static enum err route(const struct admin *a, const struct http1_request *request,
                      struct http1_response *r, struct buf *body)
{
    if (a->on_drain != NULL)
        return route_admin(a, request, r, body);
    r->status = 200;
    if (request->method != HTTP1_GET && request->method != HTTP1_HEAD) {
        r->status = 405;
        return buf_printf(body, "only GET and HEAD are answered here\n");
    }
    if (span_eq(request->path, SPAN_LIT("/readyz")))
        return readyz(a, r, body);
    if (span_eq(request->path, SPAN_LIT("/metrics")))
        return metrics(a, r, body);
    if (span_eq(request->path, SPAN_LIT("/livez")) || span_eq(request->path, SPAN_LIT("/startupz")))
        return buf_printf(body, "ok\n");
    r->status = 404;
    return buf_printf(body, "there is /livez, /readyz, /startupz and /metrics\n");
}

static enum err answer(struct admin_conn *c, const struct http1_request *request, struct buf *out)
{
    struct http1_response r = {.head_only = request->method == HTTP1_HEAD,
                               .keep_alive = request->keep_alive};
    struct buf body = {0};
    enum err e = route(c->admin, request, &r, &body);
    r.body = buf_span(&body);
    if (e == ERR_OK)
        e = http1_write(out, &r);
    buf_deinit(&body);
    return e;
}

/* ---- one connection ---- */

/* Every request that is complete is answered, in order. *ret_end: close after what is in out. */
static enum err answer_all(struct admin_conn *c, struct buf *out, bool *ret_end)
{
    for (*ret_end = false; !*ret_end;) {
        struct http1_request request;
        enum http1_verdict verdict = http1_feed(&c->parser, buf_span(&c->in), &request);
        enum err e = ERR_OK;
        if (verdict == HTTP1_MORE)
            return ERR_OK;
        if (verdict == HTTP1_DONE) {
            e = answer(c, &request, out);
            *ret_end = !request.keep_alive;
            buf_consume(&c->in, request.head_bytes);
            c->parser = (struct http1_parser){0};
        } else {
            log_event(LOG_INFO, "bad request on the health listener", "why", c->parser.refused_why,
                      NULL);
            e = http1_refusal(out, &c->parser);
            *ret_end = true;
        }
        /* Pipelined requests are one read's worth; their answers may be far larger. */
        if (buf_len(out) > LIMIT_OUT_HIGH_BYTES)
            *ret_end = true;
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static void on_read(struct tcp *t, struct span in)
{
    struct admin_conn *c = (struct admin_conn *)t;
    struct buf out = {0};
    bool end = false;
    enum err e = buf_append(&c->in, in);
    if (e == ERR_OK)
        e = answer_all(c, &out, &end);
    if (e == ERR_OK && buf_len(&out) != 0) {
        c->since_ms = loop_now_ms(c->admin->loop);
        e = tcp_write(t, buf_span(&out));
    }
    buf_deinit(&out);
    buf_trim(&c->in);
    if (e != ERR_OK)
        tcp_close(t);
    else if (end)
        tcp_close_when_sent(t);
    else if (tcp_queued(t) > LIMIT_OUT_HIGH_BYTES)
        tcp_read(t, false);
}

static void on_drained(struct tcp *t)
{
    tcp_read(t, true);
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
    struct admin_conn *c = (struct admin_conn *)t;
    struct admin *a = c->admin;
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    a->conn_count--;
    if (a->conns == NULL && !uv_is_closing((uv_handle_t *)&a->sweep))
        uv_timer_stop(&a->sweep);
    buf_deinit(&c->in);
    free(c);
    release(a);
}

static const struct tcp_handler handler = {
    .on_read = on_read,
    .on_drained = on_drained,
    .on_end = on_end,
    .on_closed = on_closed,
};

/* ---- all of them ---- */

static void on_sweep(uv_timer_t *timer)
{
    struct admin *a = timer->data;
    for (struct admin_conn *c = a->conns; c != NULL; c = c->next)
        if (loop_now_ms(a->loop) - c->since_ms >= LIMIT_HEALTH_IDLE_MS)
            tcp_close(&c->tcp); /* on_closed comes later: the list stays as it is */
}

static void on_accept(void *arg, uv_stream_t *server)
{
    struct admin *a = arg;
    struct admin_conn *c = a->conn_count < LIMIT_HEALTH_CONNECTIONS ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        listener_refuse(server);
        return;
    }
    c->admin = a;
    c->since_ms = loop_now_ms(a->loop);
    c->next = a->conns;
    c->link = &a->conns;
    if (c->next != NULL)
        c->next->link = &c->next;
    a->conns = c;
    a->conn_count++;
    a->holders++;
    if (!uv_is_active((uv_handle_t *)&a->sweep))
        uv_timer_start(&a->sweep, on_sweep, LIMIT_HEALTH_IDLE_MS / 2, LIMIT_HEALTH_IDLE_MS / 2);
    if (tcp_accept(&c->tcp, a->loop, server, &handler) == ERR_OK)
        tcp_read(&c->tcp, true);
}

static void on_sweep_closed(uv_handle_t *handle)
{
    release(handle->data);
}

enum err admin_open(struct loop *l, const struct admin_options *o, struct admin **ret_admin,
                    struct buf *ret_error)
{
    struct admin *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_NOMEM;
    *a = (struct admin){.loop = l,
                        .holders = 1,
                        .check_count = o->check_count,
                        .namespace_name = o->namespace_name,
                        .on_drain = o->on_drain,
                        .arg = o->arg};
    for (unsigned i = 0; i < o->check_count; i++)
        a->checks[i] = o->checks[i];
    uv_timer_init(&l->uv, &a->sweep); /* cannot fail */
    a->sweep.data = a;
    const struct listener_options listen = {
        .addrs = o->listen,
        .n = o->listens,
        .option = o->option,
        .is_unlimited = true,
        .accept = on_accept,
        .arg = a,
    };
    enum err e = listener_open(l, &listen, &a->listener, ret_error);
    if (e != ERR_OK)
        admin_close(&a);
    else
        *ret_admin = a;
    return e;
}

struct addr admin_addr(const struct admin *a)
{
    return listener_addr(a->listener);
}

void admin_drain(struct admin *a)
{
    a->is_draining = true;
}

void admin_close(struct admin **admin)
{
    struct admin *a = *admin;
    *admin = NULL;
    if (a == NULL)
        return;
    listener_close(&a->listener);
    for (struct admin_conn *c = a->conns; c != NULL; c = c->next)
        tcp_close(&c->tcp);
    uv_close((uv_handle_t *)&a->sweep, on_sweep_closed);
}
