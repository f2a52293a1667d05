/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_enroll.h"

#include <time.h>

#include "base/check.h"
#include "base/log.h"
#include "io/etcd_head.h"

enum { REPLY_BYTES_MAX = 64 * 1024 }; /* one key and its entry */

static const struct h2_up_handler up_events;
static void on_timer(uv_timer_t *timer);

static struct etcd_enroll *of(struct h2_up_stream *up)
{
    return (struct etcd_enroll *)(void *)((char *)up - offsetof(struct etcd_enroll, up));
}

static void forget_request(struct etcd_enroll *e)
{
    h2_client_cancel(&e->up);
    buf_deinit(&e->request);
    grpc_reader_deinit(&e->reader);
    e->reader = (struct grpc_reader){.max_bytes = REPLY_BYTES_MAX};
    e->replied = false;
}

/* The last step is over; it changes nothing for anybody. */
static void end(struct etcd_enroll *e)
{
    forget_request(e);
    uv_timer_stop(&e->timer);
    e->state = ETCD_ENROLL_DONE;
}

static void say_compared(struct etcd_enroll *e)
{
    bool differ = e->registry.patterns_differ;
    e->loop->counters.gauge[GAUGE_PATTERNS_MISMATCH] = differ;
    if (differ)
        log_event(LOG_WARN,
                  "view-requests or view-events differ from those of this installation's first "
                  "sidecar: namespaces may not hear each other",
                  "namespace", ns_path_name(e->path), NULL);
}

static void on_again(struct entry_watch *w)
{
    struct etcd_enroll *e = w->owner;
    log_event(LOG_WARN, "somebody removes this namespace from the registry; it is registered again",
              "namespace", ns_path_name(e->path), NULL);
    etcd_enroll_start(e);
}

/* Without it the entry is only looked after at the next connection. */
static void watch_entry(struct etcd_enroll *e)
{
    struct h2_client *client = etcd_link_client(e->link);
    e->watch.owner = e;
    e->watch.on_again = on_again;
    if (client == NULL || entry_watch_begin(&e->watch, client, e->auth, &e->registry) != ERR_OK)
        log_event(LOG_WARN, "the namespace's entry is not watched", "namespace",
                  ns_path_name(e->path), NULL);
}

static void fail(struct etcd_enroll *e, enum err error, struct span detail)
{
    char text[160];
    size_t n = detail.n < sizeof text - 1 ? detail.n : sizeof text - 1;
    if (n != 0)
        memcpy(text, detail.p, n);
    text[n] = '\0';
    if (e->registry.state == REGISTRY_COMPARE) {
        log_event(LOG_WARN, "the view's patterns cannot be compared with other sidecars'", "reason",
                  err_info(error)->text, "etcd", text, NULL);
        end(e);
        watch_entry(e);
        return;
    }
    log_event(etcd_enroll_is_refused(error) ? LOG_ERROR : LOG_WARN,
              "the namespace cannot be registered", "namespace", ns_path_name(e->path), "reason",
              err_info(error)->text, "etcd", text, NULL);
    forget_request(e);
    e->state = ETCD_ENROLL_BACKOFF;
    e->error = error;
    uint64_t ms = 2 * e->backoff_ms;
    e->backoff_ms = ms < LIMIT_BACKOFF_MIN_MS   ? LIMIT_BACKOFF_MIN_MS
                    : ms > LIMIT_BACKOFF_MAX_MS ? LIMIT_BACKOFF_MAX_MS
                                                : ms;
    uv_timer_start(&e->timer, on_timer, e->backoff_ms, 0);
    if (!e->ns->has_tag)
        e->on_failed(e);
}

/* -- one request -- */
static enum err ask(struct etcd_enroll *e)
{
    struct h2_client *client = etcd_link_client(e->link);
    if (client == NULL)
        return ERR_NO_UPSTREAM;
    forget_request(e);
    uint8_t head[GRPC_HEAD_BYTES] = {0};
    struct span method;
    enum err error = buf_append(&e->request, span_of(head, sizeof head));
    if (error == ERR_OK)
        error = e->gc != NULL ? registry_gc_next(e->gc, &e->request, &method)
                              : registry_next(&e->registry, &e->request, &method);
    if (error != ERR_OK)
        return error;
    grpc_frame_head(e->request.data + e->request.head,
                    (uint32_t)(buf_len(&e->request) - sizeof head));
    e->up.handler = &up_events;
    e->up.body = (struct h2_body){.bytes = &e->request, .ended = true};
    nghttp2_nv nv[ETCD_HEAD_OWN_FIELDS] = {
        h2_nv(SPAN_LIT(":method"), SPAN_LIT("POST"), 0),
        h2_nv(SPAN_LIT(":scheme"), h2_client_scheme(client), 0),
        h2_nv(SPAN_LIT(":path"), method, 0),
        h2_nv(SPAN_LIT(":authority"), span_str(client->authority), 0),
        h2_nv(SPAN_LIT("te"), SPAN_LIT("trailers"), 0),
        h2_nv(SPAN_LIT("content-type"), SPAN_LIT("application/grpc"), 0),
        h2_nv(SPAN_LIT("user-agent"), SPAN_LIT("bulkhead/" BULKHEAD_VERSION), 0),
    };
    const size_t fixed = 7;
    size_t n = fixed + etcd_auth_field(e->auth, nv + fixed);
    e->token = e->auth->number;
    uv_timer_start(&e->timer, on_timer, LIMIT_DIAL_MS, 0);
    return h2_client_request(client, &e->up, nv, n);
}

static void go_on_gc(struct etcd_enroll *e)
{
    if (e->gc->state >= REGISTRY_GC_DONE) {
        end(e);
        e->on_done(e);
        return;
    }
    if (e->gc->state == REGISTRY_GC_WAIT) {
        forget_request(e);
        uv_timer_start(&e->timer, on_timer, LIMIT_GC_WAIT_MS, 0);
        return;
    }
    enum err error = ask(e);
    if (error != ERR_OK)
        fail(e, error, SPAN_NONE);
}

static void go_on(struct etcd_enroll *e)
{
    bool is_settled = e->registry.state >= REGISTRY_COMPARE;
    if (is_settled && !e->is_told) {
        e->is_told = true;
        e->error = ERR_OK;
        log_event(LOG_INFO, "namespace registered", "namespace", ns_path_name(e->path), NULL);
        e->on_done(e);
    }
    if (e->registry.state == REGISTRY_DONE) {
        end(e);
        if (e->patterns != 0)
            say_compared(e);
        watch_entry(e);
        return;
    }
    enum err error = ask(e);
    if (error != ERR_OK)
        fail(e, error, SPAN_NONE);
}

void etcd_enroll_start(struct etcd_enroll *e)
{
    if (e->state == ETCD_ENROLL_ASKING || (e->gc != NULL && e->state == ETCD_ENROLL_DONE))
        return;
    entry_watch_end(&e->watch);
    if (!etcd_auth_allows(e->auth, ETCD_LANE_UNARY)) {
        e->state = ETCD_ENROLL_IDLE; /* begun again when there is a token */
        etcd_auth_want(e->auth, ETCD_LANE_UNARY);
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint32_t beyond = e->registry.tag;
    registry_init(&e->registry, e->root, e->path, now_ms);
    if (e->error == ERR_REGISTRY_TAGS) /* go on behind those that were taken */
        e->registry.tag = beyond;
    e->registry.patterns = e->patterns;
    if (e->ns->has_tag) /* leases that have it are alive */
        e->registry.tag = e->ns->tag;
    e->state = ETCD_ENROLL_ASKING;
    if (e->gc == NULL) {
        go_on(e);
        return;
    }
    registry_gc_again(e->gc);
    go_on_gc(e);
}

/* -- its reply -- */
static void on_data(struct h2_up_stream *up, struct span in)
{
    struct etcd_enroll *e = of(up);
    struct span message;
    enum err error = ERR_OK;
    h2_client_consume(up, in.n);
    while (grpc_reader_next(&e->reader, &in, &message, &error)) {
        error = e->gc != NULL ? registry_gc_feed(e->gc, message)
                              : registry_feed(&e->registry, message, e->ns);
        e->replied = true;
        if (error != ERR_OK)
            break;
    }
    if (error != ERR_OK && error != ERR_NOMEM && !etcd_enroll_is_refused(error))
        error = ERR_UPSTREAM_PROTOCOL;
    if (error != ERR_OK)
        fail(e, error, SPAN_NONE);
}

static void on_trailers(struct h2_up_stream *up, struct span fields)
{
    struct etcd_enroll *e = of(up);
    int status = etcd_head_find_status(fields);
    struct span text = h2_field_find(fields, SPAN_LIT("grpc-message"));
    if (status != 0) {
        (void)etcd_auth_is_stale(e->auth, e->token, status, text);
        fail(e, ERR_NO_UPSTREAM, text);
    } else if (!e->replied) {
        fail(e, ERR_UPSTREAM_PROTOCOL, SPAN_NONE);
    } else if (e->gc != NULL) {
        go_on_gc(e);
    } else {
        go_on(e);
    }
}

static void on_head(struct h2_up_stream *up, struct span fields, bool ended)
{
    if (ended)
        on_trailers(up, fields);
}

static void on_sent(struct h2_up_stream *up)
{
    (void)up;
}

static void on_stream_closed(struct h2_up_stream *up, uint32_t code)
{
    (void)code;
    fail(of(up), ERR_UPSTREAM_PROTOCOL, SPAN_NONE);
}

static void on_lost(struct h2_up_stream *up, bool sent)
{
    (void)sent;
    struct etcd_enroll *e = of(up);
    uv_timer_stop(&e->timer);
    e->state = ETCD_ENROLL_IDLE; /* the link comes back and starts it */
}

static const struct h2_up_handler up_events = {.on_head = on_head,
                                               .on_data = on_data,
                                               .on_trailers = on_trailers,
                                               .on_sent = on_sent,
                                               .on_closed = on_stream_closed,
                                               .on_lost = on_lost};

/* -- life -- */
static void on_timer(uv_timer_t *timer)
{
    struct etcd_enroll *e = timer->data;
    if (e->state == ETCD_ENROLL_ASKING && e->gc != NULL && e->gc->state == REGISTRY_GC_WAIT) {
        registry_gc_waited(e->gc);
        go_on_gc(e);
        return;
    }
    if (e->state == ETCD_ENROLL_ASKING) {
        fail(e, ERR_DEADLINE, SPAN_NONE);
        return;
    }
    e->state = ETCD_ENROLL_IDLE;
    if (etcd_link_client(e->link) != NULL)
        etcd_enroll_start(e);
}

void etcd_enroll_open(struct etcd_enroll *e)
{
    CHECK(uv_timer_init(&e->loop->uv, &e->timer) == 0);
    e->timer.data = e;
    e->reader.max_bytes = REPLY_BYTES_MAX;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct etcd_enroll *e = handle->data;
    e->on_closed(e);
}

void etcd_enroll_close(struct etcd_enroll *e)
{
    forget_request(e);
    entry_watch_end(&e->watch);
    uv_close((uv_handle_t *)&e->timer, on_timer_closed);
}
