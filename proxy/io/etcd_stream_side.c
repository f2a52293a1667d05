/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_stream_side.c - reads of our own that a stream of watches needs (etcd_call_wants_side), over
 * the unary lane.
 *
 *   IDLE ── wanted ──> WAITING ── the lane is usable ──> ASKING ── answered ──> IDLE, or WAITING
 *                        ^  ^                              │  │
 *                        │  └─ the connection was lost, or ┘  │
 *                        │     etcd does not know our token   │
 *                        └─── etcd cannot answer now: later ──┘
 *
 * It ends with its stream: etcd_stream_move() to ENDING takes it back.
 */
#include "io/backoff.h"
#include "io/etcd_head.h"
#include "io/etcd_stream_private.h"
#include "wire/grpc_status.h"

static const struct h2_up_handler side_events;

static struct etcd_stream *of_side(struct h2_up_stream *up)
{
    return (struct etcd_stream *)(void *)((char *)up - offsetof(struct etcd_stream, side.up));
}

/* -- waiting -- */
static void wait_side(struct etcd_stream *s)
{
    struct etcd_side *side = &s->side;
    struct etcd_plane *p = s->plane;
    if (side->is_waiting)
        return;
    side->is_waiting = true;
    side->next = p->side_waiting;
    side->link = &p->side_waiting;
    if (side->next != NULL)
        side->next->side.link = &side->next;
    p->side_waiting = s;
    etcd_link_want(&p->links[ETCD_LANE_UNARY]);
}

static void unwait_side(struct etcd_stream *s)
{
    struct etcd_side *side = &s->side;
    if (!side->is_waiting)
        return;
    side->is_waiting = false;
    *side->link = side->next;
    if (side->next != NULL)
        side->next->side.link = side->link;
}

/* -- asking -- */
static void ask(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    struct etcd_side *side = &s->side;
    struct h2_client *client = etcd_link_client(&p->links[ETCD_LANE_UNARY]);
    struct span method;
    side->again_ms = 0;
    bool allowed = etcd_auth_allows(&p->auth, ETCD_LANE_UNARY);
    if (!allowed)
        etcd_auth_want(&p->auth, ETCD_LANE_UNARY);
    if (client == NULL || client->conn.ending || !p->ns.has_tag || !allowed) {
        wait_side(s);
        return;
    }
    enum err e = etcd_call_begin_side(&s->call, &side->request, &method);
    side->up.handler = &side_events;
    side->up.body = (struct h2_body){.bytes = &side->request, .ended = true};
    side->token = p->auth.number;
    if (e == ERR_OK) {
        nghttp2_nv nv[H2_FIELDS_MAX + ETCD_HEAD_OWN_FIELDS];
        size_t n = etcd_head_side(s, client, method, nv);
        e = h2_client_request(client, &side->up, nv, n);
    }
    if (e == ERR_LIMIT) /* that connection is used up: another one comes */
        wait_side(s);
    else if (e != ERR_OK)
        etcd_stream_finish(s, e, NULL);
    else
        unwait_side(s);
}

void etcd_stream_side(struct etcd_stream *s)
{
    if (s->call.views == NULL || s->state == ETCD_STREAM_ENDING || s->side.up.client != NULL ||
        s->side.again_ms != 0 || !etcd_call_wants_side(&s->call))
        return;
    ask(s);
}

void etcd_stream_side_pump(struct etcd_plane *p)
{
    struct etcd_stream *s = p->side_waiting;
    p->side_waiting = NULL;
    while (s != NULL) {
        struct etcd_stream *next = s->side.next;
        s->side.is_waiting = false;
        ask(s); /* may wait again */
        s = next;
    }
}

uint64_t etcd_stream_side_expire(struct etcd_plane *p, uint64_t first)
{
    uint64_t now = loop_now_ms(p->loop);
    for (struct etcd_stream *s = p->side_waiting, *next; s != NULL; s = next) {
        next = s->side.next;
        if (s->side.again_ms == 0)
            continue;
        if (s->side.again_ms <= now)
            ask(s);
        else if (first == 0 || s->side.again_ms < first)
            first = s->side.again_ms;
    }
    return first;
}

void etcd_stream_side_end(struct etcd_stream *s)
{
    unwait_side(s);
    h2_client_cancel(&s->side.up);
    buf_deinit(&s->side.request);
}

void etcd_stream_flush(struct etcd_stream *s)
{
    if (s->call.views == NULL)
        return;
    bool ends = s->app.request_ended && !s->up.body.ended && !etcd_call_has_later(&s->call);
    s->up.body.ended = s->up.body.ended || ends;
    if (ends || buf_len(&s->call.to_up) != 0)
        h2_client_resume(&s->up);
}

/* -- answers -- */
/* Its bytes of the stream can move on. */
static void go_on(struct etcd_stream *s)
{
    if (!etcd_stream_weigh(s)) {
        etcd_stream_finish(s, ERR_LIMIT, NULL);
        return;
    }
    etcd_stream_flush(s);
    if (s->app.head_sent)
        h2_server_resume(&s->app);
    if (s->call.is_token_stale || s->call.begins_again)
        etcd_stream_watch_again(s);
    else
        etcd_stream_give_windows(s);
    etcd_stream_side(s); /* also of one that has ended */
}

/* A member that stops, is busy or has lost the others. The watch knows nothing of it: it waits.
 * What gRPC itself finds too large stays so. */
static bool may_pass(int status, struct span text)
{
    return status == GRPC_UNAVAILABLE || status == GRPC_CANCELLED ||
           status == GRPC_DEADLINE_EXCEEDED ||
           (status == GRPC_RESOURCE_EXHAUSTED && !span_has_prefix(text, SPAN_LIT("grpc: ")));
}

static void ask_later(struct etcd_stream *s)
{
    struct etcd_side *side = &s->side;
    side->backoff_ms = backoff_next(side->backoff_ms);
    side->again_ms = loop_now_ms(s->plane->loop) + side->backoff_ms;
    wait_side(s);
    etcd_plane_wait(s->plane, ETCD_LANE_UNARY, side->again_ms);
}

static void on_trailers(struct h2_up_stream *up, struct span fields)
{
    struct etcd_stream *s = of_side(up);
    int status = etcd_head_find_status(fields);
    struct span text = h2_field_find(fields, SPAN_LIT("grpc-message"));
    if (etcd_head_says_alone(status, text))
        etcd_plane_distrust(s->plane, &up->client->addr);
    h2_client_cancel(up);
    if (status != 0 && etcd_auth_is_stale(&s->plane->auth, s->side.token, status, text)) {
        ask(s);
        return;
    }
    if (may_pass(status, text)) {
        ask_later(s);
        return;
    }
    s->side.backoff_ms = 0;
    /* The store's permissions do not let us read descendants: clients do not try that again. */
    enum err e = status == GRPC_PERMISSION_DENIED ? ERR_DENIED : ERR_UPSTREAM_LOST;
    if (status == 0 || status == GRPC_OUT_OF_RANGE || status == GRPC_INVALID_ARGUMENT)
        e = etcd_call_end_side(&s->call, status);
    if (e != ERR_OK)
        etcd_stream_finish(s, e, NULL);
    else
        go_on(s);
}

static void on_head(struct h2_up_stream *up, struct span fields, bool ended)
{
    if (ended)
        on_trailers(up, fields);
}

static void on_data(struct h2_up_stream *up, struct span in)
{
    struct etcd_stream *s = of_side(up);
    size_t n = in.n;
    enum err e = etcd_call_feed_side(&s->call, in);
    if (e == ERR_OK && !etcd_stream_weigh(s))
        e = ERR_LIMIT;
    if (e != ERR_OK)
        etcd_stream_finish(s, e, NULL);
    else
        h2_client_consume(up, n);
}

static void on_sent(struct h2_up_stream *up)
{
    (void)up;
}

static void on_closed(struct h2_up_stream *up, uint32_t code)
{
    /* RFC 9113 8.7: a refused stream was not looked at. */
    if (code == NGHTTP2_REFUSED_STREAM || code == NGHTTP2_CANCEL)
        ask_later(of_side(up));
    else
        etcd_stream_finish(of_side(up), ERR_UPSTREAM_PROTOCOL, NULL);
}

static void on_lost(struct h2_up_stream *up, bool sent)
{
    (void)sent; /* a read may be repeated; at once, if its connection had been retired */
    ask(of_side(up));
}

static const struct h2_up_handler side_events = {.on_head = on_head,
                                                 .on_data = on_data,
                                                 .on_trailers = on_trailers,
                                                 .on_sent = on_sent,
                                                 .on_closed = on_closed,
                                                 .on_lost = on_lost};
