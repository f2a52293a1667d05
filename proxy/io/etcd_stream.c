/* SPDX-License-Identifier: Apache-2.0 */
/* etcd_stream.c - memory, states, and the application's side; etcd_stream_up.c has upstream's. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "io/etcd_head.h"
#include "io/etcd_http1.h"
#include "io/etcd_stream_private.h"

enum {
    SPARE_BUF_BYTES = 1024, /* what a spare call keeps of each buffer, at most */
    /* What an open one keeps of its answers' when they have left: room for one event, or a watch
     * would allocate for each. */
    KEPT_BUF_BYTES = 256,
};

/* -- memory and states -- */
#define TO(state) (1u << ETCD_STREAM_##state)
static const uint8_t moves[ETCD_STREAM_STATES] = {
    [ETCD_STREAM_GATHERING] = TO(WAITING) | TO(FLOWING) | TO(ENDING),
    [ETCD_STREAM_WAITING] = TO(GATHERING) | TO(FLOWING) | TO(ENDING),
    [ETCD_STREAM_FLOWING] = TO(GATHERING) | TO(WAITING) | TO(ENDING),
    [ETCD_STREAM_ENDING] = 0,
};
#undef TO

static void unqueue(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    else
        p->waiting_end = s->link;
    p->waiting_n--;
    p->resuming_n -= s->is_resuming;
}

static void queue(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    s->next = NULL;
    s->link = p->waiting_end;
    *s->link = s;
    p->waiting_end = &s->next;
    p->waiting_n++;
    p->resuming_n += s->is_resuming;
}

void etcd_stream_move(struct etcd_stream *s, enum etcd_stream_state to)
{
    CHECK((moves[s->state] >> to & 1u) != 0);
    if (s->state == ETCD_STREAM_WAITING)
        unqueue(s);
    if (to == ETCD_STREAM_ENDING)
        etcd_stream_side_end(s);
    s->state = to;
    if (to == ETCD_STREAM_WAITING)
        queue(s);
}

static struct etcd_stream *stream_new(struct etcd_plane *p)
{
    struct etcd_stream *s = p->spare;
    bool is_spare = s != NULL;
    if (!is_spare) {
        s = malloc(sizeof *s);
        if (s == NULL)
            return NULL;
    } else {
        p->spare = s->next;
        p->spare_n--;
    }
    /* The small buffers that every call needs are used again. */
    struct buf head = is_spare ? s->head : (struct buf){0};
    struct buf trailers = is_spare ? s->app.trailers : (struct buf){0};
    struct buf again = is_spare ? s->again : (struct buf){0};
    memset(s, 0, sizeof *s);
    s->head = head;
    s->app.trailers = trailers;
    s->again = again;
    s->plane = p;
    s->up.handler = &etcd_stream_up_events;
    s->app.body.bytes = &s->call.to_app;
    s->up.body.bytes = &s->call.to_up;
    return s;
}

static void empty(struct buf *b)
{
    buf_consume(b, buf_len(b));
    if (b->cap > SPARE_BUF_BYTES)
        buf_deinit(b);
}

static void stream_free(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    p->held_bytes -= s->held_bytes;
    if (s->call.route != NULL)
        etcd_call_deinit(&s->call);
    else
        buf_deinit(&s->call.to_app); /* of a plain request */
    buf_deinit(&s->early);
    empty(&s->again);
    empty(&s->head);
    empty(&s->app.trailers);
    if (p->spare_n == LIMIT_CALLS_SPARE) {
        buf_deinit(&s->head);
        buf_deinit(&s->again);
        buf_deinit(&s->app.trailers);
        free(s);
        return;
    }
    s->next = p->spare;
    p->spare = s;
    p->spare_n++;
}

void etcd_stream_free_spare(struct etcd_plane *p)
{
    while (p->spare != NULL) {
        struct etcd_stream *s = p->spare;
        p->spare = s->next;
        buf_deinit(&s->head);
        buf_deinit(&s->again);
        buf_deinit(&s->app.trailers);
        free(s);
    }
    p->spare_n = 0;
}

static struct counters *counters_of(const struct etcd_stream *s)
{
    return &s->plane->loop->counters;
}

/* -- how a call ends -- */
void etcd_stream_give_up(struct etcd_stream *s)
{
    h2_server_reset(&s->app, NGHTTP2_INTERNAL_ERROR);
}

static void answer(struct etcd_stream *s, int grpc_status, const char *message)
{
    struct h2_app_stream *app = &s->app;
    enum err e = ERR_OK;
    if (app->head_sent) {
        e = etcd_head_status(&app->trailers, grpc_status, message);
        app->body.ended = true;
        h2_server_resume(app);
    } else {
        struct buf fields = {0};
        e = etcd_head_ok(&fields);
        if (e == ERR_OK)
            e = etcd_head_status(&fields, grpc_status, message);
        if (e == ERR_OK)
            e = h2_server_answer(app, buf_span(&fields));
        buf_deinit(&fields);
    }
    if (e != ERR_OK)
        etcd_stream_give_up(s);
}

void etcd_stream_finish(struct etcd_stream *s, enum err e, const char *message)
{
    if (s->state == ETCD_STREAM_ENDING)
        return;
    etcd_stream_move(s, ETCD_STREAM_ENDING);
    h2_client_cancel(&s->up);
    if (s->app.server == NULL)
        return;
    if (e == ERR_NO_UPSTREAM && s->call.route != NULL && etcd_call_has_begun(&s->call))
        e = ERR_UPSTREAM_LOST;
    if (message == NULL)
        message = s->call.route == NULL ? err_info(e)->grpc_message
                                        : etcd_call_message(&s->call, e);
    if (e == ERR_UPSTREAM_PROTOCOL && s->call.route != NULL)
        log_event(LOG_WARN, "etcd's answer does not parse", "method",
                  (const char *)s->call.route->path.p, NULL);
    if (e == ERR_MARKER_DENIED)
        log_event(LOG_ERROR, err_info(e)->text, NULL);
    answer(s, err_info(e)->grpc_status, message);
}

/* An error of the bytes that the application sent. */
static void refuse(struct etcd_stream *s, enum err e)
{
    if (err_info(e)->fault == FAULT_APP)
        count(counters_of(s), COUNTER_DENIED_BAD_REQUEST, 1);
    etcd_stream_finish(s, e, NULL);
}

bool etcd_stream_weigh(struct etcd_stream *s)
{
    const struct etcd_call *c = &s->call;
    struct etcd_plane *p = s->plane;
    size_t now = c->from_app.partial.cap + c->from_up.partial.cap + c->to_up.cap + c->to_app.cap +
                 s->early.cap + s->again.cap + etcd_call_queue_bytes(c);
    p->held_bytes += now - s->held_bytes;
    bool more = now > s->held_bytes;
    s->held_bytes = now;
    return !more || p->held_bytes <= LIMIT_HELD_BYTES;
}

/* -- from the application -- */
static void refuse_unknown(struct etcd_stream *s, struct span path)
{
    char text[ETCD_DETAIL_BYTES];
    count(counters_of(s), COUNTER_DENIED_UNKNOWN_RPC, 1);
    etcd_head_unknown(path, text, sizeof text);
    log_event(LOG_INFO, "call refused", "reason", text, NULL);
    etcd_stream_finish(s, ERR_UNIMPLEMENTED, text);
}

static void serve(struct etcd_stream *s, const struct etcd_route *route)
{
    const char *why;
    enum err e = etcd_route_refusal(route, &why);
    if (e != ERR_OK) {
        count(counters_of(s), e == ERR_DENIED ? COUNTER_DENIED_RPC : COUNTER_DENIED_UNKNOWN_RPC, 1);
        log_event(LOG_INFO, "call refused", "method", (const char *)route->path.p, "reason", why,
                  NULL);
        etcd_stream_finish(s, e, why);
        return;
    }
    etcd_call_init(&s->call, &s->plane->ns, route);
    s->is_early = route->needs_tag && !s->plane->ns.has_tag;
    if (s->is_early)
        etcd_stream_wait_up(s);
    else if (route->client_streams)
        etcd_stream_begin_up(s);
}

/* As etcd: GET and HEAD that are no gRPC are answered when the request is whole. */
static void begin_plain(struct etcd_stream *s, const struct etcd_head *head)
{
    char text[ETCD_HTTP1_TEXT_BYTES];
    struct http1_response r = etcd_http1_find(s->plane, head->is_head ? HTTP1_HEAD : HTTP1_GET,
                                              head->path, text);
    s->is_plain = true;
    buf_consume(&s->head, buf_len(&s->head)); /* nothing goes upstream */
    enum err e = etcd_head_plain(&r, &s->head);
    if (e == ERR_OK && !r.head_only)
        e = buf_append(&s->call.to_app, r.body);
    if (e != ERR_OK)
        etcd_stream_give_up(s);
}

static void answer_plain(struct etcd_stream *s)
{
    etcd_stream_move(s, ETCD_STREAM_ENDING);
    s->app.body.ended = true;
    if (h2_server_head(&s->app, buf_span(&s->head)) != ERR_OK)
        etcd_stream_give_up(s);
}

struct h2_app_stream *etcd_stream_on_request(struct h2_server *server, int32_t id,
                                             struct span fields)
{
    struct etcd_plane *p = server->owner;
    struct etcd_stream *s = stream_new(p);
    if (s == NULL)
        return NULL;
    count(counters_of(s), COUNTER_ETCD_STREAMS, 1);
    s->began_ns = uv_hrtime();
    h2_server_attach(server, id, &s->app);

    struct etcd_head head;
    enum err e = etcd_head_read(s, fields, &head);
    if (e != ERR_OK) {
        etcd_stream_give_up(s);
        etcd_stream_move(s, ETCD_STREAM_ENDING);
    } else if (head.http_status != 0) {
        etcd_stream_move(s, ETCD_STREAM_ENDING);
        struct buf answer_fields = {0};
        if (etcd_head_refusal(&head, &answer_fields) != ERR_OK ||
            h2_server_answer(&s->app, buf_span(&answer_fields)) != ERR_OK)
            etcd_stream_give_up(s);
        buf_deinit(&answer_fields);
    } else if (head.is_plain) {
        begin_plain(s, &head);
    } else if (head.route == NULL) {
        refuse_unknown(s, head.path);
    } else if (head.is_compressed) {
        char text[ETCD_DETAIL_BYTES];
        (void)snprintf(text, sizeof text,
                       "grpc: Decompressor is not installed for grpc-encoding \"%.*s\"",
                       (int)span_head(head.encoding, 64).n, (const char *)head.encoding.p);
        count(counters_of(s), COUNTER_DENIED_BAD_REQUEST, 1);
        etcd_stream_finish(s, ERR_GRPC_COMPRESSED, text);
    } else {
        serve(s, head.route);
    }
    return &s->app;
}

static void feed(struct etcd_stream *s, struct span in)
{
    if (s->state != ETCD_STREAM_ENDING) {
        enum err e = etcd_call_feed_app(&s->call, in);
        if (e == ERR_OK && !etcd_stream_weigh(s))
            e = ERR_LIMIT;
        if (e != ERR_OK)
            refuse(s, e);
        else
            h2_client_resume(&s->up);
        etcd_stream_side(s);
    }
    bool room = buf_len(&s->call.to_up) <= LIMIT_OUT_HIGH_BYTES && !etcd_call_is_behind(&s->call);
    if (s->state != ETCD_STREAM_ENDING && s->app_held < LIMIT_H2_GIVE_BYTES)
        return;
    if (s->state == ETCD_STREAM_ENDING || room || !s->call.route->client_streams) {
        h2_server_consume(&s->app, s->app_held);
        s->app_held = 0;
    }
}

void etcd_stream_on_data(struct h2_app_stream *app, struct span in)
{
    struct etcd_stream *s = etcd_stream_of_app(app);
    s->app_held += in.n;
    if (s->is_plain) { /* nobody reads it */
        h2_server_consume(app, s->app_held);
        s->app_held = 0;
    } else if (s->state == ETCD_STREAM_ENDING || !s->is_early)
        feed(s, in);
    else if (buf_append(&s->early, in) != ERR_OK || !etcd_stream_weigh(s))
        etcd_stream_finish(s, ERR_NOMEM, NULL);
}

void etcd_stream_answer(struct etcd_stream *s)
{
    struct buf fields = {0};
    if (!s->call.route->stays_open)
        etcd_stream_move(s, ETCD_STREAM_ENDING);
    enum err e = etcd_head_ok(&fields);
    if (e == ERR_OK)
        e = h2_server_head(&s->app, buf_span(&fields));
    buf_deinit(&fields);
    if (e != ERR_OK)
        etcd_stream_give_up(s);
    else if (!s->call.route->stays_open)
        answer(s, 0, "");
}

static void request_ended(struct etcd_stream *s)
{
    if (s->state == ETCD_STREAM_ENDING)
        return;
    if (s->is_plain) {
        answer_plain(s);
        return;
    }
    enum err e = etcd_call_end_app(&s->call);
    if (e != ERR_OK) {
        refuse(s, e);
        return;
    }
    s->up.body.ended = !etcd_call_has_later(&s->call);
    if (s->call.route->policy == ETCD_LOCAL)
        etcd_stream_answer(s);
    else if (s->state == ETCD_STREAM_GATHERING)
        etcd_stream_begin_up(s);
    else
        h2_client_resume(&s->up);
}

void etcd_stream_on_ended(struct h2_app_stream *app)
{
    struct etcd_stream *s = etcd_stream_of_app(app);
    if (!s->is_early)
        request_ended(s);
}

void etcd_stream_catch_up(struct etcd_stream *s)
{
    s->is_early = false;
    etcd_stream_shorten_timeout(s);
    etcd_stream_move(s, ETCD_STREAM_GATHERING);
    if (s->call.route->client_streams)
        etcd_stream_begin_up(s);
    feed(s, buf_span(&s->early));
    buf_deinit(&s->early);
    if (s->app.request_ended)
        request_ended(s);
}

void etcd_stream_push_health(struct etcd_stream *s)
{
    if (s->state == ETCD_STREAM_ENDING || s->call.route == NULL || !s->call.route->stays_open ||
        !s->app.head_sent)
        return;
    if (etcd_call_push_health(&s->call) != ERR_OK)
        etcd_stream_finish(s, ERR_NOMEM, NULL);
    h2_server_resume(&s->app);
}

void etcd_stream_on_sent(struct h2_app_stream *app)
{
    struct etcd_stream *s = etcd_stream_of_app(app);
    size_t left = buf_len(&s->call.to_app);
    if (left == 0 && s->call.to_app.cap > KEPT_BUF_BYTES) {
        buf_trim(&s->call.to_app);
        (void)etcd_stream_weigh(s);
    }
    if (s->up_held < LIMIT_H2_GIVE_BYTES || left > LIMIT_OUT_LOW_BYTES ||
        etcd_call_is_held(&s->call))
        return;
    h2_client_consume(&s->up, s->up_held);
    s->up_held = 0;
}

void etcd_stream_on_closed(struct h2_app_stream *app, uint32_t code)
{
    struct etcd_stream *s = etcd_stream_of_app(app);
    if (code == NGHTTP2_NO_ERROR && s->call.route != NULL && !s->call.route->server_streams)
        count_latency(counters_of(s), LATENCY_ETCD, (uv_hrtime() - s->began_ns) / 1000);
    if (code == NGHTTP2_CANCEL && s->state == ETCD_STREAM_FLOWING)
        etcd_stream_judge_deadline(s);
    if (s->state != ETCD_STREAM_ENDING)
        etcd_stream_move(s, ETCD_STREAM_ENDING);
    h2_client_cancel(&s->up);
    stream_free(s);
}
