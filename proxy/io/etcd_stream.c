/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_stream.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "io/etcd_head.h"

static const struct h2_up_handler up_events;

/* -- memory and states ------------------------------------------------------------------------- */
#define TO(state) (1u << ETCD_STREAM_##state)
static const uint8_t moves[ETCD_STREAM_STATES] = {
    [ETCD_STREAM_GATHERING] = TO(WAITING) | TO(FLOWING) | TO(ENDING),
    [ETCD_STREAM_WAITING] = TO(GATHERING) | TO(FLOWING) | TO(ENDING),
    [ETCD_STREAM_FLOWING] = TO(GATHERING) | TO(ENDING),
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
}

static void queue(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    s->next = NULL;
    s->link = p->waiting_end;
    *s->link = s;
    p->waiting_end = &s->next;
    p->waiting_n++;
}

static void move(struct etcd_stream *s, enum etcd_stream_state to)
{
    CHECK((moves[s->state] >> to & 1u) != 0);
    if (s->state == ETCD_STREAM_WAITING)
        unqueue(s);
    s->state = to;
    if (to == ETCD_STREAM_WAITING)
        queue(s);
}

static struct etcd_stream *stream_new(struct etcd_plane *p)
{
    struct etcd_stream *s = p->spare;
    if (s == NULL) {
        s = malloc(sizeof *s);
        if (s == NULL)
            return NULL;
    } else {
        p->spare = s->next;
        p->spare_n--;
    }
    memset(s, 0, sizeof *s);
    s->plane = p;
    s->up.handler = &up_events;
    s->app.body.bytes = &s->call.to_app;
    s->up.body.bytes = &s->call.to_up;
    return s;
}

static void stream_free(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    if (s->call.route != NULL)
        etcd_call_deinit(&s->call);
    buf_deinit(&s->head);
    buf_deinit(&s->early);
    if (p->spare_n == LIMIT_CALLS_SPARE) {
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
        free(s);
    }
    p->spare_n = 0;
}

static struct etcd_stream *of_up(struct h2_up_stream *up)
{
    return (struct etcd_stream *)(void *)((char *)up - offsetof(struct etcd_stream, up));
}

static struct counters *counters_of(const struct etcd_stream *s)
{
    return &s->plane->loop->counters;
}

/* -- how a call ends --------------------------------------------------------------------------- */
/* The application's stream cannot even be told: end it with a reset. */
static void give_up(struct etcd_stream *s)
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
        give_up(s);
}

void etcd_stream_finish(struct etcd_stream *s, enum err e, const char *message)
{
    if (s->state == ETCD_STREAM_ENDING)
        return;
    move(s, ETCD_STREAM_ENDING);
    h2_client_cancel(&s->up);
    if (s->app.server == NULL)
        return;
    if (message == NULL)
        message = s->call.route == NULL ? err_info(e)->grpc_message
                                        : etcd_call_message(&s->call, e);
    if (e == ERR_UPSTREAM_PROTOCOL)
        log_event(LOG_WARN, "etcd's answer does not parse", "method",
                  (const char *)s->call.route->path.p, NULL);
    answer(s, err_info(e)->grpc_status, message);
}

/* An error of the bytes that the application sent. */
static void refuse(struct etcd_stream *s, enum err e)
{
    if (err_info(e)->fault == FAULT_APP)
        count(counters_of(s), COUNTER_DENIED_BAD_REQUEST, 1);
    etcd_stream_finish(s, e, NULL);
}

/* -- to upstream ---------------------------------------------------------------------------------
 */
static void give_app_window(struct etcd_stream *s)
{
    if (s->app_held == 0 || buf_len(&s->call.to_up) > LIMIT_OUT_LOW_BYTES)
        return;
    h2_server_consume(&s->app, s->app_held);
    s->app_held = 0;
}

/* It has waited: upstream gets what is left of its time. */
static void shorten_timeout(struct etcd_stream *s)
{
    if (s->deadline_ms == 0)
        return;
    uint64_t now = loop_now_ms(s->plane->loop);
    grpc_timeout_print(s->deadline_ms > now ? s->deadline_ms - now : 1, s->timeout);
}

/* False: it stays where it is, because nothing can be sent. */
static bool send_up(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    struct h2_client *client = etcd_link_client(&p->links[s->call.route->lane]);
    /* No byte of an application goes to a store whose layout version is not known to be ours. */
    if (client == NULL || !p->ns.has_tag)
        return false;
    nghttp2_nv nv[H2_FIELDS_MAX + ETCD_HEAD_OWN_FIELDS];
    if (s->state == ETCD_STREAM_WAITING)
        shorten_timeout(s);
    size_t n = etcd_head_request(s, client, nv);
    enum err e = h2_client_request(client, &s->up, nv, n);
    if (e == ERR_LIMIT)
        return false;
    if (e != ERR_OK) {
        etcd_stream_finish(s, e, NULL);
        return true;
    }
    move(s, ETCD_STREAM_FLOWING);
    return true;
}

static void wait_up(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    if (p->waiting_n >= LIMIT_CALLS_WAITING) {
        etcd_stream_finish(s, ERR_NO_UPSTREAM, NULL);
        return;
    }
    move(s, ETCD_STREAM_WAITING);
    etcd_plane_wait(p, s->call.route->lane, s->deadline_ms);
}

static void begin_up(struct etcd_stream *s)
{
    if (!send_up(s))
        wait_up(s);
}

void etcd_stream_fail_waiting(struct etcd_plane *p, enum etcd_lane lane, enum err e)
{
    for (struct etcd_stream *s = p->waiting, *next; s != NULL; s = next) {
        next = s->next;
        if (lane == ETCD_LANES || s->call.route->lane == lane)
            etcd_stream_finish(s, e, NULL);
    }
}

uint64_t etcd_stream_expire(struct etcd_plane *p)
{
    uint64_t now = loop_now_ms(p->loop), first = 0;
    for (struct etcd_stream *s = p->waiting, *next; s != NULL; s = next) {
        next = s->next;
        if (s->deadline_ms == 0)
            continue;
        if (s->deadline_ms <= now)
            etcd_stream_finish(s, ERR_DEADLINE, NULL);
        else if (first == 0 || s->deadline_ms < first)
            first = s->deadline_ms;
    }
    return first;
}

/* -- from the application ------------------------------------------------------------------------
 */
static void refuse_unknown(struct etcd_stream *s, struct span path)
{
    char text[ETCD_DETAIL_BYTES];
    count(counters_of(s), COUNTER_DENIED_UNKNOWN_RPC, 1);
    etcd_head_unknown(path, text, sizeof text);
    etcd_stream_finish(s, ERR_UNIMPLEMENTED, text);
}

static void serve(struct etcd_stream *s, const struct etcd_route *route)
{
    const char *why;
    enum err e = etcd_route_refusal(route, &why);
    if (e != ERR_OK) {
        count(counters_of(s), e == ERR_DENIED ? COUNTER_DENIED_RPC : COUNTER_DENIED_UNKNOWN_RPC, 1);
        etcd_stream_finish(s, e, why);
        return;
    }
    etcd_call_init(&s->call, &s->plane->ns, route);
    s->is_early = route->needs_tag && !s->plane->ns.has_tag;
    if (s->is_early)
        wait_up(s);
    else if (route->client_streams)
        begin_up(s);
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
        give_up(s);
        move(s, ETCD_STREAM_ENDING);
    } else if (head.http_status != 0) {
        move(s, ETCD_STREAM_ENDING);
        struct buf answer_fields = {0};
        if (etcd_head_refusal(&head, &answer_fields) != ERR_OK ||
            h2_server_answer(&s->app, buf_span(&answer_fields)) != ERR_OK)
            give_up(s);
        buf_deinit(&answer_fields);
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
        if (e != ERR_OK)
            refuse(s, e);
        else
            h2_client_resume(&s->up);
    }
    if (s->state == ETCD_STREAM_ENDING || buf_len(&s->call.to_up) <= LIMIT_OUT_HIGH_BYTES ||
        !s->call.route->client_streams) {
        h2_server_consume(&s->app, s->app_held);
        s->app_held = 0;
    }
}

void etcd_stream_on_data(struct h2_app_stream *app, struct span in)
{
    struct etcd_stream *s = etcd_stream_of_app(app);
    s->app_held += in.n;
    if (s->state == ETCD_STREAM_ENDING || !s->is_early)
        feed(s, in);
    else if (buf_append(&s->early, in) != ERR_OK)
        etcd_stream_finish(s, ERR_NOMEM, NULL);
}

/* The whole answer is in to_app; a stream (a health watch) stays open behind it. */
static void answer_local(struct etcd_stream *s)
{
    struct buf fields = {0};
    if (!s->call.route->stays_open)
        move(s, ETCD_STREAM_ENDING);
    enum err e = etcd_head_ok(&fields);
    if (e == ERR_OK)
        e = h2_server_head(&s->app, buf_span(&fields));
    buf_deinit(&fields);
    if (e != ERR_OK)
        give_up(s);
    else if (!s->call.route->stays_open)
        answer(s, 0, "");
}

static void request_ended(struct etcd_stream *s)
{
    if (s->state == ETCD_STREAM_ENDING)
        return;
    enum err e = etcd_call_end_app(&s->call);
    if (e != ERR_OK) {
        refuse(s, e);
        return;
    }
    s->up.body.ended = true;
    if (s->call.route->policy == ETCD_LOCAL)
        answer_local(s);
    else if (s->state == ETCD_STREAM_GATHERING)
        begin_up(s);
    else
        h2_client_resume(&s->up);
}

void etcd_stream_on_ended(struct h2_app_stream *app)
{
    struct etcd_stream *s = etcd_stream_of_app(app);
    if (!s->is_early)
        request_ended(s);
}

/* The tag is known now: go through what has come so far. */
static void catch_up(struct etcd_stream *s)
{
    s->is_early = false;
    shorten_timeout(s);
    move(s, ETCD_STREAM_GATHERING);
    if (s->call.route->client_streams)
        begin_up(s);
    feed(s, buf_span(&s->early));
    buf_deinit(&s->early);
    if (s->app.request_ended)
        request_ended(s);
}

void etcd_stream_pump(struct etcd_plane *p)
{
    /* A call that goes on waiting is put behind the others: only those that wait now. */
    struct etcd_stream *s = p->waiting;
    for (unsigned n = p->waiting_n; n != 0; n--) {
        struct etcd_stream *next = s->next;
        if (s->is_early && p->ns.has_tag)
            catch_up(s);
        else
            (void)send_up(s);
        s = next;
    }
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
    if (left == 0)
        buf_trim(&s->call.to_app);
    if (s->up_held == 0 || left > LIMIT_OUT_LOW_BYTES)
        return;
    h2_client_consume(&s->up, s->up_held);
    s->up_held = 0;
}

void etcd_stream_on_closed(struct h2_app_stream *app, uint32_t code)
{
    struct etcd_stream *s = etcd_stream_of_app(app);
    if (code == NGHTTP2_NO_ERROR && s->call.route != NULL && !s->call.route->server_streams)
        count_latency(counters_of(s), LATENCY_ETCD, (uv_hrtime() - s->began_ns) / 1000);
    if (s->state != ETCD_STREAM_ENDING)
        move(s, ETCD_STREAM_ENDING);
    h2_client_cancel(&s->up);
    stream_free(s);
}

/* -- from upstream -------------------------------------------------------------------------------
 */
/* Upstream ended the call with these trailers, which are all (trailers-only) or follow a body. */
static void end(struct etcd_stream *s, struct span fields)
{
    int status = etcd_head_find_status(fields);
    if (!s->app.head_sent && etcd_call_retry(&s->call, status)) {
        h2_client_cancel(&s->up);
        move(s, ETCD_STREAM_GATHERING);
        begin_up(s);
        return;
    }
    enum err e = etcd_call_end_up(&s->call);
    if (e != ERR_OK) {
        etcd_stream_finish(s, e, NULL);
        return;
    }
    move(s, ETCD_STREAM_ENDING);
    h2_client_cancel(&s->up);
    if (!s->app.head_sent) {
        e = h2_server_answer(&s->app, fields);
    } else {
        e = buf_append(&s->app.trailers, fields);
        s->app.body.ended = true;
        h2_server_resume(&s->app);
    }
    if (e != ERR_OK)
        give_up(s);
}

static void on_head(struct h2_up_stream *up, struct span fields, bool ended)
{
    struct etcd_stream *s = of_up(up);
    if (ended) {
        end(s, fields);
        return;
    }
    struct buf filtered = {0};
    enum err e = etcd_head_response(&fields, &filtered);
    if (e == ERR_OK)
        e = h2_server_head(&s->app, fields);
    buf_deinit(&filtered);
    if (e != ERR_OK)
        etcd_stream_finish(s, e, NULL);
}

static void on_data(struct h2_up_stream *up, struct span in)
{
    struct etcd_stream *s = of_up(up);
    if (!s->app.head_sent) {
        etcd_stream_finish(s, ERR_UPSTREAM_PROTOCOL, NULL);
        return;
    }
    enum err e = etcd_call_feed_up(&s->call, in);
    if (e != ERR_OK) {
        etcd_stream_finish(s, e, NULL);
        return;
    }
    h2_server_resume(&s->app);
    s->up_held += in.n;
    if (buf_len(&s->call.to_app) <= LIMIT_OUT_HIGH_BYTES) {
        h2_client_consume(up, s->up_held);
        s->up_held = 0;
    }
}

static void on_trailers(struct h2_up_stream *up, struct span fields)
{
    struct etcd_stream *s = of_up(up);
    if (s->app.head_sent)
        end(s, fields);
    else
        etcd_stream_finish(s, ERR_UPSTREAM_PROTOCOL, NULL);
}

static void on_up_sent(struct h2_up_stream *up)
{
    struct etcd_stream *s = of_up(up);
    if (buf_len(&s->call.to_up) == 0)
        buf_trim(&s->call.to_up);
    give_app_window(s);
}

/* Upstream reset the stream: so do we, and the client makes of it what it always does. */
static void on_up_closed(struct h2_up_stream *up, uint32_t code)
{
    struct etcd_stream *s = of_up(up);
    if (code == NGHTTP2_NO_ERROR) {
        etcd_stream_finish(s, ERR_UPSTREAM_PROTOCOL, NULL); /* ended without trailers */
        return;
    }
    move(s, ETCD_STREAM_ENDING);
    h2_server_reset(&s->app, code);
}

static void on_lost(struct h2_up_stream *up, bool sent)
{
    etcd_stream_finish(of_up(up), sent ? ERR_UPSTREAM_LOST : ERR_NO_UPSTREAM, NULL);
}

static const struct h2_up_handler up_events = {.on_head = on_head,
                                               .on_data = on_data,
                                               .on_trailers = on_trailers,
                                               .on_sent = on_up_sent,
                                               .on_closed = on_up_closed,
                                               .on_lost = on_lost};
