/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_ask.h"

#include "base/check.h"
#include "io/backoff.h"
#include "io/etcd_auth.h"
#include "io/etcd_head.h"

static const struct h2_up_handler up_events;
static void on_timer(uv_timer_t *timer);

static struct etcd_ask *of(struct h2_up_stream *up)
{
    return (struct etcd_ask *)(void *)((char *)up - offsetof(struct etcd_ask, up));
}

/* -- the request -- */
static void stop_timer(struct etcd_ask *a)
{
    if (a->has_timer)
        uv_timer_stop(&a->timer);
}

void etcd_ask_forget(struct etcd_ask *a)
{
    h2_client_cancel(&a->up);
    buf_deinit(&a->request);
    grpc_reader_deinit(&a->reader);
    stop_timer(a);
    a->is_answered = false;
    a->state = ETCD_ASK_IDLE;
}

enum err etcd_ask_begin(struct etcd_ask *a)
{
    static const uint8_t head[GRPC_HEAD_BYTES];
    etcd_ask_forget(a);
    return buf_append(&a->request, span_of(head, sizeof head));
}

static size_t write_head(const struct etcd_ask *a, const struct h2_client *client,
                         struct span method, nghttp2_nv *nv)
{
    size_t n = h2_client_grpc_fields(client, method, nv);
    nv[n++] = h2_nv(SPAN_LIT("user-agent"), SPAN_LIT("bulkhead/" BULKHEAD_VERSION), 0);
    if (a->handler->wants_leader)
        nv[n++] = h2_nv(SPAN_LIT("hasleader"), SPAN_LIT("true"), 0);
    return n + (a->auth == NULL ? 0 : etcd_auth_field(a->auth, nv + n));
}

enum err etcd_ask_send(struct etcd_ask *a, struct span method)
{
    struct h2_client *client = etcd_link_client(a->link);
    nghttp2_nv nv[ETCD_HEAD_OWN_FIELDS];
    if (client == NULL || client->conn.ending)
        return ERR_NO_UPSTREAM;
    if (buf_len(&a->request) != 0)
        grpc_frame_head(a->request.data + a->request.head,
                        (uint32_t)(buf_len(&a->request) - GRPC_HEAD_BYTES));
    a->reader = (struct grpc_reader){.max_bytes = a->handler->message_bytes};
    a->up.handler = &up_events;
    a->up.body = (struct h2_body){.bytes = &a->request, .ended = !a->handler->stays_open};
    a->token = a->auth == NULL ? 0 : a->auth->number;
    enum err e = h2_client_request(client, &a->up, nv, write_head(a, client, method, nv));
    if (e != ERR_OK)
        return e;
    a->state = ETCD_ASK_ASKING;
    if (a->has_timer && !a->handler->stays_open)
        uv_timer_start(&a->timer, on_timer, LIMIT_DIAL_MS, 0);
    return ERR_OK;
}

/* -- its end -- */
static void fail(struct etcd_ask *a, enum err error)
{
    etcd_ask_forget(a);
    a->handler->on_failed(a, error);
}

static void on_data(struct h2_up_stream *up, struct span in)
{
    struct etcd_ask *a = of(up);
    struct span message;
    enum err e = ERR_OK;
    h2_client_consume(up, in.n);
    while (a->state == ETCD_ASK_ASKING && grpc_reader_next(&a->reader, &in, &message, &e)) {
        a->is_answered = true;
        e = a->handler->on_message(a, message);
        if (e != ERR_OK)
            break;
    }
    if (e != ERR_OK && a->state == ETCD_ASK_ASKING)
        fail(a, e);
}

static void on_trailers(struct h2_up_stream *up, struct span fields)
{
    struct etcd_ask *a = of(up);
    int status = etcd_head_find_status(fields);
    struct span text = h2_field_find(fields, SPAN_LIT("grpc-message"));
    bool is_answered = a->is_answered;
    if (status > 0) {
        if (a->auth != NULL)
            (void)etcd_auth_is_stale(a->auth, a->token, status, text);
        etcd_ask_forget(a);
        a->handler->on_refused(a, status, text);
    } else if (status < 0 || !is_answered) {
        fail(a, ERR_UPSTREAM_PROTOCOL);
    } else {
        etcd_ask_forget(a);
        a->handler->on_answer(a);
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
    fail(of(up), ERR_UPSTREAM_PROTOCOL);
}

static void on_lost(struct h2_up_stream *up, bool sent)
{
    struct etcd_ask *a = of(up);
    (void)sent;
    etcd_ask_forget(a);
    a->handler->on_lost(a);
}

static const struct h2_up_handler up_events = {.on_head = on_head,
                                               .on_data = on_data,
                                               .on_trailers = on_trailers,
                                               .on_sent = on_sent,
                                               .on_closed = on_stream_closed,
                                               .on_lost = on_lost};

/* -- time -- */
static void on_timer(uv_timer_t *timer)
{
    struct etcd_ask *a = timer->data;
    if (a->state == ETCD_ASK_ASKING) {
        fail(a, ERR_DEADLINE);
        return;
    }
    a->state = ETCD_ASK_IDLE;
    a->handler->on_again(a);
}

void etcd_ask_wait(struct etcd_ask *a, uint64_t ms)
{
    CHECK(a->has_timer);
    etcd_ask_forget(a);
    a->state = ETCD_ASK_WAITING;
    uv_timer_start(&a->timer, on_timer, ms, 0);
}

void etcd_ask_back_off(struct etcd_ask *a)
{
    a->backoff_ms = backoff_next(a->backoff_ms);
    etcd_ask_wait(a, a->backoff_ms);
}

/* -- life -- */
void etcd_ask_open(struct etcd_ask *a)
{
    CHECK(uv_timer_init(&a->loop->uv, &a->timer) == 0);
    a->timer.data = a;
    a->has_timer = true;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct etcd_ask *a = handle->data;
    a->handler->on_closed(a);
}

void etcd_ask_close(struct etcd_ask *a)
{
    etcd_ask_forget(a);
    uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}
