/* SPDX-License-Identifier: Apache-2.0 */
/* etcd_stream_up.c - the way to upstream, waiting for it, and what comes back. */
#include "etcd/etcd_pass.h"
#include "io/etcd_head.h"
#include "io/etcd_stream_private.h"
#include "wire/grpc_status.h"

static struct etcd_stream *of_up(struct h2_up_stream *up)
{
    return (struct etcd_stream *)(void *)((char *)up - offsetof(struct etcd_stream, up));
}

/* -- to upstream -- */
static void give_app_window(struct etcd_stream *s)
{
    if (s->app_held < LIMIT_H2_GIVE_BYTES || buf_len(&s->call.to_up) > LIMIT_OUT_LOW_BYTES ||
        etcd_call_is_behind(&s->call))
        return;
    h2_server_consume(&s->app, s->app_held);
    s->app_held = 0;
}

void etcd_stream_give_windows(struct etcd_stream *s)
{
    give_app_window(s);
    if (s->up_held < LIMIT_H2_GIVE_BYTES || buf_len(&s->call.to_app) > LIMIT_OUT_HIGH_BYTES ||
        etcd_call_is_held(&s->call))
        return;
    h2_client_consume(&s->up, s->up_held);
    s->up_held = 0;
}

void etcd_stream_shorten_timeout(struct etcd_stream *s)
{
    if (s->deadline_ms == 0)
        return;
    uint64_t now = loop_now_ms(s->plane->loop);
    grpc_timeout_print(s->deadline_ms > now ? s->deadline_ms - now : 1, s->timeout);
}

/* Keep what is sent now, in case that etcd does not know our token. It may be kept already. */
static enum err keep_sent(struct etcd_stream *s)
{
    size_t n = buf_len(&s->call.to_up);
    buf_consume(&s->again, buf_len(&s->again));
    if (!etcd_auth_is_on(&s->plane->auth) || s->call.route->client_streams || s->is_again ||
        n > LIMIT_ETCD_AGAIN_BYTES)
        return ERR_OK;
    return buf_append(&s->again, buf_span(&s->call.to_up));
}

/* False: it stays where it is, because nothing can be sent. */
static bool send_up(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    struct h2_client *client = etcd_link_client(&p->links[s->call.route->lane]);
    /* No byte of an application goes to a store whose layout version is not known to be ours. */
    if (client == NULL || client->conn.ending || !p->ns.has_tag)
        return false;
    if (!etcd_auth_allows(&p->auth, s->call.route->lane)) {
        etcd_auth_want(&p->auth, s->call.route->lane);
        return false;
    }
    nghttp2_nv nv[H2_FIELDS_MAX + ETCD_HEAD_OWN_FIELDS];
    if (s->state == ETCD_STREAM_WAITING)
        etcd_stream_shorten_timeout(s);
    size_t n = etcd_head_request(s, client, nv);
    s->token = p->auth.number;
    enum err e = keep_sent(s);
    if (e == ERR_OK)
        e = h2_client_request(client, &s->up, nv, n);
    if (e == ERR_LIMIT)
        return false;
    if (e != ERR_OK) {
        etcd_stream_finish(s, e, NULL);
        return true;
    }
    etcd_stream_move(s, ETCD_STREAM_FLOWING);
    s->up_held = 0; /* of a stream before this one */
    s->is_resuming = s->has_heard = false;
    return true;
}

void etcd_stream_wait_up(struct etcd_stream *s)
{
    struct etcd_plane *p = s->plane;
    if (!s->is_resuming && p->waiting_n - p->resuming_n >= LIMIT_CALLS_WAITING) {
        etcd_stream_finish(s, ERR_NO_UPSTREAM, NULL);
        return;
    }
    etcd_stream_move(s, ETCD_STREAM_WAITING);
    etcd_plane_wait(p, s->call.route->lane, s->deadline_ms);
}

void etcd_stream_begin_up(struct etcd_stream *s)
{
    if (!send_up(s))
        etcd_stream_wait_up(s);
}

void etcd_stream_fail_waiting(struct etcd_plane *p, enum etcd_lane lane, enum err e)
{
    for (struct etcd_stream *s = p->waiting, *next; s != NULL; s = next) {
        next = s->next;
        if (!s->is_resuming && (lane == ETCD_LANES || s->call.route->lane == lane))
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
    return etcd_stream_side_expire(p, first);
}

void etcd_stream_pump(struct etcd_plane *p)
{
    /* A call that goes on waiting is put behind the others: only those that wait now. */
    struct etcd_stream *s = p->waiting;
    for (unsigned n = p->waiting_n; n != 0; n--) {
        struct etcd_stream *next = s->next;
        if (s->is_early && p->ns.has_tag)
            etcd_stream_catch_up(s);
        else
            (void)send_up(s);
        s = next;
    }
    etcd_stream_side_pump(p);
}

/* -- resume -- */
static bool wants_leader(const struct etcd_stream *s)
{
    return span_eq(h2_field_find(buf_span(&s->head), SPAN_LIT("hasleader")), SPAN_LIT("true"));
}

static bool is_resumable(const struct etcd_stream *s)
{
    return s->state == ETCD_STREAM_FLOWING && s->call.route->resumes &&
           s->plane->drain == ETCD_PLANE_SERVING && !s->plane->is_closing;
}

/* Have the call wait, to begin again where it was. False: it has ended. */
static bool begin_anew(struct etcd_stream *s)
{
    if (!etcd_call_resume(&s->call) || !etcd_stream_weigh(s)) {
        etcd_stream_finish(s, ERR_UPSTREAM_LOST, NULL);
        return false;
    }
    count(&s->plane->loop->counters, COUNTER_ETCD_RESUMED, 1);
    s->up_held = 0;
    s->is_resuming = true;
    etcd_stream_wait_up(s);
    return true;
}

/* The same, because upstream was lost. */
static bool resume(struct etcd_stream *s)
{
    if (!wants_leader(s))
        return begin_anew(s);
    etcd_stream_finish(s, ERR_NO_LEADER, NULL);
    return false;
}

/* Trailers of a response whose HEADERS the application has: without what only HEADERS may say. */
static enum err append_trailers(struct etcd_stream *s, struct span fields)
{
    struct h2_field f;
    enum err e = ERR_OK;
    while (e == ERR_OK && h2_field_next(&fields, &f))
        if (f.name.n != 0 && f.name.p[0] != ':' && !span_eq(f.name, SPAN_LIT("content-type")))
            e = h2_field_add(&s->app.trailers, &f);
    return e;
}

/* -- a token that etcd does not know any more -- */
/* Nothing was done: begin again with another one. Watches and keep-alives go on as after a loss. */
static void authenticate_again(struct etcd_stream *s)
{
    h2_client_cancel(&s->up);
    if (s->is_again && !s->has_heard) { /* a token that was just given is not taken either */
        etcd_stream_finish(s, ERR_CREDENTIALS, NULL);
        return;
    }
    bool is_stream = s->call.route->client_streams;
    s->is_again = true;
    if (is_stream && is_resumable(s)) {
        if (begin_anew(s))
            (void)send_up(s);
        return;
    }
    size_t n = buf_len(&s->again);
    buf_consume(&s->call.to_up, buf_len(&s->call.to_up)); /* answered before all of it was sent */
    if (is_stream || n == 0 || buf_append(&s->call.to_up, buf_span(&s->again)) != ERR_OK) {
        etcd_stream_finish(s, ERR_NO_UPSTREAM, NULL);
        return;
    }
    etcd_stream_shorten_timeout(s);
    etcd_stream_move(s, ETCD_STREAM_GATHERING);
    etcd_stream_begin_up(s);
}

void etcd_stream_watch_again(struct etcd_stream *s)
{
    if (s->is_resuming) { /* it waits for a connection: with other watches than it had then */
        if (!etcd_call_resume(&s->call))
            etcd_stream_finish(s, ERR_UPSTREAM_LOST, NULL);
        return;
    }
    if (!is_resumable(s)) {
        etcd_stream_finish(s, ERR_UPSTREAM_LOST, NULL);
        return;
    }
    if (s->call.is_token_stale)
        etcd_auth_forget(&s->plane->auth, s->token);
    h2_client_cancel(&s->up);
    if (begin_anew(s))
        (void)send_up(s);
}

static bool is_unauthenticated(const struct etcd_stream *s, int status, struct span fields)
{
    /* A unary call whose answer has begun was let in. */
    return (!s->app.head_sent || s->call.route->client_streams) &&
           etcd_auth_is_stale(&s->plane->auth, s->token, status,
                              h2_field_find(fields, SPAN_LIT("grpc-message")));
}

/* -- a member that has lost the others -- */
/* Deadlines are mostly shorter than etcd's own limit: a call that had time enough, and meanwhile no
 * other was answered on the lane for which a member needs the others, says the same. */
static bool is_silent(const struct etcd_stream *s)
{
    const struct etcd_route *route = s->call.route;
    uint64_t lasted_ms = (uv_hrtime() - s->began_ns) / 1000000;
    uint64_t now = loop_now_ms(s->plane->loop);
    return !route->server_streams && !s->call.is_local_read && route->kind != ETCD_KIND_LEASED &&
           s->deadline_ms != 0 && now + LIMIT_UPSTREAM_DEADLINE_SLACK_MS >= s->deadline_ms &&
           lasted_ms >= LIMIT_UPSTREAM_DISTRUST_MS &&
           s->plane->links[route->lane].answered_ms + lasted_ms < now;
}

void etcd_stream_judge_deadline(struct etcd_stream *s)
{
    if (s->up.client != NULL && s->call.route != NULL && is_silent(s))
        etcd_plane_distrust(s->plane, &s->up.client->addr);
}

/* Others say what is wrong with the request, the token or the member, before anybody is asked. */
static bool is_of_the_store(int status)
{
    return status == GRPC_OK || status == GRPC_NOT_FOUND || status == GRPC_PERMISSION_DENIED ||
           status == GRPC_FAILED_PRECONDITION || status == GRPC_OUT_OF_RANGE;
}

static void judge_member(struct etcd_stream *s, int status, struct span message)
{
    if (etcd_head_says_alone(status, message) && s->up.client != NULL)
        etcd_plane_distrust(s->plane, &s->up.client->addr);
    else if (status == GRPC_DEADLINE_EXCEEDED)
        etcd_stream_judge_deadline(s);
    else if (is_of_the_store(status) && !s->call.is_local_read)
        s->plane->links[s->call.route->lane].answered_ms = loop_now_ms(s->plane->loop);
}

/* -- from upstream -- */
/* Upstream ended the call with these trailers, which are all (trailers-only) or follow a body. */
static void end(struct etcd_stream *s, struct span fields)
{
    int status = etcd_head_find_status(fields);
    judge_member(s, status, h2_field_find(fields, SPAN_LIT("grpc-message")));
    if (is_unauthenticated(s, status, fields)) {
        authenticate_again(s);
        return;
    }
    if (!s->app.head_sent && etcd_call_retry(&s->call, status)) {
        h2_client_cancel(&s->up);
        etcd_stream_shorten_timeout(s);
        etcd_stream_move(s, ETCD_STREAM_GATHERING);
        etcd_stream_begin_up(s);
        return;
    }
    if (status == 0 && etcd_call_is_answered(&s->call)) {
        h2_client_cancel(&s->up);
        etcd_stream_answer(s);
        return;
    }
    /* A server that stops. One that says so at once, each time, means it. */
    if (status == GRPC_UNAVAILABLE && s->has_heard && is_resumable(s)) {
        h2_client_cancel(&s->up);
        if (resume(s))
            (void)send_up(s);
        return;
    }
    enum err e = etcd_call_end_up(&s->call);
    if (e == ERR_OK && etcd_call_in_prelude(&s->call) && (status == 0 || s->has_prelude_head))
        e = ERR_UPSTREAM_PROTOCOL; /* no lease; and a refusal comes without a head */
    if (e != ERR_OK) {
        etcd_stream_finish(s, e, NULL);
        return;
    }
    etcd_stream_move(s, ETCD_STREAM_ENDING);
    h2_client_cancel(&s->up);
    if (!s->app.head_sent) {
        e = h2_server_answer(&s->app, fields);
    } else {
        e = append_trailers(s, fields);
        s->app.body.ended = true;
        h2_server_resume(&s->app);
    }
    if (e != ERR_OK)
        etcd_stream_give_up(s);
}

static void on_head(struct h2_up_stream *up, struct span fields, bool ended)
{
    struct etcd_stream *s = of_up(up);
    if (ended) {
        end(s, fields);
        return;
    }
    s->has_prelude_head = etcd_call_in_prelude(&s->call);
    if (s->has_prelude_head || s->app.head_sent) /* a prelude, or resumed */
        return;
    struct buf filtered = {0};
    enum err e = etcd_head_response(&fields, &filtered);
    if (e == ERR_OK)
        e = h2_server_head(&s->app, fields);
    buf_deinit(&filtered);
    if (e != ERR_OK)
        etcd_stream_finish(s, e, NULL);
}

/* What on_data goes through, line by line. */
static void fetch(const struct h2_up_stream *up)
{
    const struct etcd_stream *s =
        (const struct etcd_stream *)(const void *)((const char *)up -
                                                   offsetof(struct etcd_stream, up));
    __builtin_prefetch(&s->app);
    __builtin_prefetch(&s->call.route);
    __builtin_prefetch(&s->call.from_up);
    __builtin_prefetch(&s->call.to_app);
    __builtin_prefetch(&s->call.prelude);
    __builtin_prefetch(&s->call.watches);
    __builtin_prefetch(&s->state);
    __builtin_prefetch(&s->up_held);
    __builtin_prefetch(&s->early);
}

static void on_data(struct h2_up_stream *up, struct span in)
{
    struct etcd_stream *s = of_up(up);
    __builtin_prefetch(s->call.watches);
    __builtin_prefetch(s->call.to_app.data, 1);
    h2_server_fetch(&s->app);
    if (!s->app.head_sent && !s->has_prelude_head) {
        etcd_stream_finish(s, ERR_UPSTREAM_PROTOCOL, NULL);
        return;
    }
    s->has_heard = true;
    s->call.is_token_old = etcd_auth_is_old(&s->plane->auth, s->token);
    const uint64_t *skipped = &s->plane->loop->counters.n[COUNTER_VIEW_SKIPPED], before = *skipped;
    enum err e = etcd_call_feed_up(&s->call, in);
    h2_client_unwanted(up, *skipped - before);
    if (e == ERR_OK && s->call.is_unmoved) {
        s->up_held += in.n;
        etcd_stream_give_windows(s);
        return;
    }
    if (e == ERR_OK && !etcd_stream_weigh(s))
        e = ERR_LIMIT;
    if (e != ERR_OK) {
        etcd_stream_finish(s, e, NULL);
        return;
    }
    if (s->app.head_sent)
        h2_server_resume(&s->app);
    if (s->call.is_token_stale) {
        etcd_stream_watch_again(s);
        return;
    }
    s->up_held += in.n;
    etcd_stream_flush(s);
    etcd_stream_give_windows(s); /* fewer answers are waited for */
    etcd_stream_side(s);
}

static void on_trailers(struct h2_up_stream *up, struct span fields)
{
    struct etcd_stream *s = of_up(up);
    if (s->app.head_sent || s->has_prelude_head)
        end(s, fields);
    else
        etcd_stream_finish(s, ERR_UPSTREAM_PROTOCOL, NULL);
}

static void on_up_sent(struct h2_up_stream *up)
{
    struct etcd_stream *s = of_up(up);
    if (buf_len(&s->call.to_up) == 0) {
        buf_trim(&s->call.to_up);
        (void)etcd_stream_weigh(s);
    }
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
    etcd_stream_move(s, ETCD_STREAM_ENDING);
    h2_server_reset(&s->app, code);
}

static void on_lost(struct h2_up_stream *up, bool sent)
{
    struct etcd_stream *s = of_up(up);
    if (!is_resumable(s))
        etcd_stream_finish(s, sent ? ERR_UPSTREAM_LOST : ERR_NO_UPSTREAM, NULL);
    else if (resume(s)) /* at once, if it was on a connection that had been retired */
        (void)send_up(s);
}

const struct h2_up_handler etcd_stream_up_events = {.on_head = on_head,
                                                    .on_data = on_data,
                                                    .fetch = fetch,
                                                    .on_trailers = on_trailers,
                                                    .on_sent = on_up_sent,
                                                    .on_closed = on_up_closed,
                                                    .on_lost = on_lost};
