/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_auth.h"

#include "base/check.h"
#include "base/log.h"
#include "etcd/authenticate.h"
#include "io/etcd_head.h"

static const struct h2_up_handler up_events;
static void on_timer(uv_timer_t *timer);

static struct etcd_auth *of(struct h2_up_stream *up)
{
    return (struct etcd_auth *)(void *)((char *)up - offsetof(struct etcd_auth, up));
}

static void forget_request(struct etcd_auth *a)
{
    h2_client_cancel(&a->up);
    buf_deinit(&a->request); /* holds the password */
    grpc_reader_deinit(&a->reader);
    a->reader = (struct grpc_reader){.max_bytes = LIMIT_ETCD_TOKEN_BYTES + 1024};
    a->replied = false;
}

static void back_off(struct etcd_auth *a)
{
    forget_request(a);
    uint64_t ms = 2 * a->backoff_ms;
    a->backoff_ms = ms < LIMIT_BACKOFF_MIN_MS   ? LIMIT_BACKOFF_MIN_MS
                    : ms > LIMIT_BACKOFF_MAX_MS ? LIMIT_BACKOFF_MAX_MS
                                                : ms;
    a->state = ETCD_AUTH_BACKOFF;
    uv_timer_start(&a->timer, on_timer, a->backoff_ms, 0);
}

static void fail(struct etcd_auth *a, enum err error, struct span detail)
{
    char text[160];
    size_t n = detail.n < sizeof text - 1 ? detail.n : sizeof text - 1;
    if (n != 0)
        memcpy(text, detail.p, n);
    text[n] = '\0';
    if (error == ERR_CREDENTIALS)
        log_event(LOG_ERROR,
                  "etcd refuses the sidecar's user or password: see --etcd-user and "
                  "BULKHEAD_ETCD_PASSWORD",
                  "user", a->user, "etcd", text, NULL);
    else
        log_event(LOG_WARN, "etcd gives the sidecar no token", "user", a->user, "reason",
                  err_info(error)->text, "etcd", text, NULL);
    back_off(a);
    a->error = error;
    a->on_failed(a);
}

/* -- the request -- */
static enum err ask(struct etcd_auth *a, struct h2_client *client)
{
    uint8_t head[GRPC_HEAD_BYTES] = {0};
    forget_request(a);
    enum err e = buf_append(&a->request, span_of(head, sizeof head));
    if (e == ERR_OK)
        e = authenticate_write(span_str(a->user), span_str(a->password), &a->request);
    if (e != ERR_OK)
        return e;
    grpc_frame_head(a->request.data + a->request.head,
                    (uint32_t)(buf_len(&a->request) - sizeof head));
    a->up.handler = &up_events;
    a->up.body = (struct h2_body){.bytes = &a->request, .ended = true};
    const nghttp2_nv nv[] = {
        h2_nv(SPAN_LIT(":method"), SPAN_LIT("POST"), 0),
        h2_nv(SPAN_LIT(":scheme"), h2_client_scheme(client), 0),
        h2_nv(SPAN_LIT(":path"), SPAN_LIT(AUTHENTICATE_METHOD), 0),
        h2_nv(SPAN_LIT(":authority"), span_str(client->authority), 0),
        h2_nv(SPAN_LIT("te"), SPAN_LIT("trailers"), 0),
        h2_nv(SPAN_LIT("content-type"), SPAN_LIT("application/grpc"), 0),
        h2_nv(SPAN_LIT("user-agent"), SPAN_LIT("bulkhead/" BULKHEAD_VERSION), 0),
    };
    return h2_client_request(client, &a->up, nv, ARRAY_LEN(nv));
}

bool etcd_auth_allows(const struct etcd_auth *a, enum etcd_lane lane)
{
    if (!etcd_auth_is_on(a))
        return true;
    if (!a->has_token || lane == ETCD_LANE_UNARY)
        return a->has_token;
    return a->is_fresh && loop_now_ms(a->loop) - a->got_ms < LIMIT_ETCD_TOKEN_FRESH_MS;
}

void etcd_auth_want(struct etcd_auth *a, enum etcd_lane lane)
{
    struct h2_client *client = etcd_link_client(a->link);
    if (client == NULL || client->conn.ending || a->state != ETCD_AUTH_IDLE ||
        etcd_auth_allows(a, lane))
        return;
    a->state = ETCD_AUTH_ASKING;
    uv_timer_start(&a->timer, on_timer, LIMIT_DIAL_MS, 0);
    if (ask(a, client) != ERR_OK)
        back_off(a); /* no memory, or no stream ids: the next try comes by itself */
}

/* -- its reply -- */
static void got(struct etcd_auth *a)
{
    forget_request(a);
    uv_timer_stop(&a->timer);
    a->state = ETCD_AUTH_IDLE;
    a->error = ERR_OK;
    a->has_token = a->is_fresh = true;
    a->got_ms = loop_now_ms(a->loop);
    a->backoff_ms = 0;
    a->number++;
    a->on_done(a);
}

static void on_data(struct h2_up_stream *up, struct span in)
{
    struct etcd_auth *a = of(up);
    struct span message, token;
    enum err e = ERR_OK;
    h2_client_consume(up, in.n);
    while (grpc_reader_next(&a->reader, &in, &message, &e)) {
        e = authenticate_read(message, &token);
        buf_consume(&a->token, buf_len(&a->token));
        if (e == ERR_OK)
            e = buf_append(&a->token, token);
        if (e != ERR_OK)
            break;
        a->replied = true;
    }
    if (e != ERR_OK) {
        a->has_token = false; /* it may have been half replaced */
        fail(a, e == ERR_NOMEM ? e : ERR_UPSTREAM_PROTOCOL, SPAN_NONE);
    }
}

static void refused(struct etcd_auth *a, int status, struct span text)
{
    switch (authenticate_refusal(status, text)) {
    case AUTHENTICATE_REFUSED:
        a->has_token = false;
        fail(a, ERR_CREDENTIALS, text);
        return;
    case AUTHENTICATE_LATER:
        fail(a, ERR_NO_UPSTREAM, text);
        return;
    case AUTHENTICATE_OFF:
        break;
    }
    if (a->number == 0 || buf_len(&a->token) != 0)
        log_event(LOG_WARN, "this etcd asks nobody for user and password: --etcd-user is not used",
                  NULL);
    buf_deinit(&a->token);
    got(a);
}

static void on_trailers(struct h2_up_stream *up, struct span fields)
{
    struct etcd_auth *a = of(up);
    int status = etcd_head_find_status(fields);
    if (status != 0) {
        refused(a, status, h2_field_find(fields, SPAN_LIT("grpc-message")));
    } else if (!a->replied) {
        fail(a, ERR_UPSTREAM_PROTOCOL, SPAN_NONE);
    } else {
        log_event(LOG_INFO, "authenticated to etcd", "user", a->user, NULL);
        got(a);
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
    struct etcd_auth *a = of(up);
    forget_request(a);
    uv_timer_stop(&a->timer);
    a->state = ETCD_AUTH_IDLE; /* the link comes back, and asks */
}

static const struct h2_up_handler up_events = {.on_head = on_head,
                                               .on_data = on_data,
                                               .on_trailers = on_trailers,
                                               .on_sent = on_sent,
                                               .on_closed = on_stream_closed,
                                               .on_lost = on_lost};

/* -- the token -- */
void etcd_auth_on_link(struct etcd_auth *a, enum etcd_lane lane)
{
    if ((a->seen >> lane & 1u) != 0)
        a->is_fresh = false;
    a->seen |= 1u << lane;
    etcd_auth_want(a, ETCD_LANE_UNARY);
}

bool etcd_auth_is_stale(struct etcd_auth *a, unsigned number, int status, struct span text)
{
    if (!etcd_auth_is_on(a) || !authenticate_is_stale(status, text, buf_len(&a->token) != 0))
        return false;
    if (number == a->number)
        a->has_token = false;
    return true;
}

size_t etcd_auth_field(const struct etcd_auth *a, nghttp2_nv *nv)
{
    if (!a->has_token || buf_len(&a->token) == 0)
        return 0;
    /* Indexed: each call says it again, and it is too long to be guessed (RFC 7541 7.1.3). */
    nv[0] = h2_nv(SPAN_LIT("token"), buf_span(&a->token), 0);
    return 1;
}

/* -- life -- */
static void on_timer(uv_timer_t *timer)
{
    struct etcd_auth *a = timer->data;
    if (a->state == ETCD_AUTH_ASKING) {
        fail(a, ERR_DEADLINE, SPAN_NONE);
        return;
    }
    a->state = ETCD_AUTH_IDLE;
    etcd_auth_want(a, ETCD_LANE_STREAM);
}

void etcd_auth_open(struct etcd_auth *a)
{
    CHECK(uv_timer_init(&a->loop->uv, &a->timer) == 0);
    a->timer.data = a;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct etcd_auth *a = handle->data;
    a->on_closed(a);
}

void etcd_auth_close(struct etcd_auth *a)
{
    forget_request(a);
    buf_deinit(&a->token);
    a->has_token = false;
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}
