/* SPDX-License-Identifier: Apache-2.0 */
#include "io/h2_client.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/log.h"

static const struct tcp_handler tcp_events;
static void unlink_stream(struct h2_up_stream *s);

/* -- life -- */
static struct counters *counters_of(struct h2_client *c)
{
    return &c->conn.hub->loop->counters;
}

static void set_authority(struct h2_client *c)
{
    if (c->addr.kind == ADDR_UNIX)
        (void)snprintf(c->authority, sizeof c->authority, "localhost");
    else
        (void)addr_print(&c->addr, c->authority);
}

enum err h2_client_open(struct h2_hub *hub, const struct addr *addr,
                        const struct h2_client_handler *handler, void *owner,
                        struct h2_client **list)
{
    struct h2_client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ERR_NOMEM;
    c->conn.hub = hub;
    c->conn.rx = COUNTER_ETCD_RX_UP;
    c->conn.tx = COUNTER_ETCD_TX_UP;
    c->addr = *addr;
    c->handler = handler;
    c->owner = owner;
    set_authority(c);
    struct tls_context *tls = addr->scheme == ADDR_HTTPS ? hub->tls_up : NULL;
    enum err e = tcp_dial_tls(&c->conn.tcp, hub->loop, addr, tls, &tcp_events);
    if (e != ERR_OK) {
        free(c);
        return e;
    }
    c->next = *list;
    c->link = list;
    *list = c;
    if (c->next != NULL)
        c->next->link = &c->next;
    return ERR_OK;
}

void h2_client_close(struct h2_client *c)
{
    h2_conn_end(&c->conn);
}

/* What a server that is not etcd said first, for the log. */
static const char *seen(const struct h2_client *c)
{
    struct span first = span_of(c->first, c->first_n);
    if (first.n == 0)
        return "the server closed the connection before it said anything";
    if (span_has_prefix(first, SPAN_LIT("HTTP/")))
        return "the server speaks HTTP/1, not HTTP/2";
    if (span_has_prefix(first, SPAN_LIT("INFO ")))
        return "the server is a NATS server";
    if (first.n >= 2 && (first.p[0] == 0x15 || first.p[0] == 0x16) && first.p[1] == 0x03)
        return "the server speaks TLS; this address is dialled in plaintext, dial it with https://";
    return "the server does not speak HTTP/2";
}

static const char *why_gone(const struct h2_client *c)
{
    if (c->why != NULL)
        return c->why;
    if (c->state == H2_CLIENT_GREETING && c->status != UV_EPROTO) /* EPROTO: TLS */
        return seen(c);
    return c->status == 0 ? "the server closed the connection" : tcp_why(&c->conn.tcp, c->status);
}

static void on_closed(struct tcp *t)
{
    struct h2_client *c = (struct h2_client *)t;
    coalesce_end(&c->coalesce);
    while (c->streams != NULL) {
        struct h2_up_stream *s = c->streams;
        unlink_stream(s);
        s->handler->on_lost(s, s->sent);
    }
    h2_conn_deinit(&c->conn);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    c->handler->on_gone(c, c->was_usable, why_gone(c));
    free(c);
}

static void on_end(struct tcp *t, int status)
{
    struct h2_client *c = (struct h2_client *)t;
    c->status = status;
    h2_conn_end(&c->conn);
}

static void on_drained(struct tcp *t)
{
    h2_conn_touch((struct h2_conn *)t);
}

static nghttp2_session *new_session(struct h2_client *c);

/* The kernel notices a server that is gone; HTTP/2 pings would be counted against us by etcd. */
static void watch_silence(struct h2_client *c)
{
    uv_os_fd_t fd;
    int on = 1, silence_ms = LIMIT_UPSTREAM_SILENCE_MS, idle_s = silence_ms / 2000, every_s = 3,
        probes = (silence_ms / 1000 - idle_s) / every_s;
    if (c->addr.kind != ADDR_TCP || uv_fileno(&c->conn.tcp.u.handle, &fd) != 0)
        return;
    if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof every_s) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof silence_ms) != 0)
        log_event(LOG_WARN, "TCP keep-alive cannot be set", "peer", c->authority, NULL);
}

void h2_client_look(struct h2_client *c)
{
    uint64_t now = loop_now_ms(c->conn.hub->loop);
    if (c->conn.ending || c->streams == NULL || now - c->heard_ms < LIMIT_UPSTREAM_PING_MS) {
        c->pinged_ms = 0;
    } else if (c->pinged_ms == 0) {
        c->pinged_ms = now;
        if (nghttp2_submit_ping(c->conn.session, 0, NULL) != 0)
            h2_conn_end(&c->conn);
        h2_conn_touch(&c->conn);
    } else if (now - c->pinged_ms >= LIMIT_UPSTREAM_PONG_MS) {
        c->why = "the server has stopped answering";
        h2_conn_end(&c->conn);
    }
}

static void on_connected(struct tcp *t)
{
    struct h2_client *c = (struct h2_client *)t;
    c->state = H2_CLIENT_GREETING;
    c->conn.session = new_session(c);
    if (c->conn.session == NULL) {
        c->why = "out of memory";
        h2_conn_end(&c->conn);
        return;
    }
    watch_silence(c);
    count(counters_of(c), COUNTER_ETCD_CONNS_UP, 1);
    tcp_read(t, true);
    h2_conn_touch(&c->conn);
}

static void on_read(struct tcp *t, struct span in)
{
    struct h2_client *c = (struct h2_client *)t;
    count(counters_of(c), COUNTER_ETCD_RX_UP, in.n);
    c->heard_ms = loop_now_ms(c->conn.hub->loop);
    c->pinged_ms = 0;
    if (c->conn.ending)
        return;
    if (c->first_n < sizeof c->first) {
        struct span part = span_head(in, sizeof c->first - c->first_n);
        memcpy(c->first + c->first_n, part.p, part.n);
        c->first_n += part.n;
    }
    int error = 0;
    c->unwanted = 0;
    bool ok = h2_conn_feed(&c->conn, in, &error);
    /* After a connection error nghttp2 has a GOAWAY to send and reads no more. */
    if (ok && nghttp2_session_want_read(c->conn.session)) {
        coalesce_read(&c->coalesce, t, c->unwanted);
        return;
    }
    if (!ok || c->state != H2_CLIENT_RETIRED || c->streams != NULL) {
        count(counters_of(c), COUNTER_BAD_ETCD_UP, 1);
        if (c->state != H2_CLIENT_GREETING)
            c->why = "the server sent bytes that are not HTTP/2";
    }
    h2_conn_end(&c->conn);
}

static const struct tcp_handler tcp_events = {.on_connected = on_connected,
                                              .on_read = on_read,
                                              .on_drained = on_drained,
                                              .on_end = on_end,
                                              .on_closed = on_closed};

/* -- streams, from nghttp2 -- */
static void unlink_stream(struct h2_up_stream *s)
{
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    s->client = NULL;
    s->body.deferred = false;
}

static struct h2_up_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* A retired connection ends with its last stream. */
static void end_if_done(struct h2_client *c)
{
    if (c->state == H2_CLIENT_RETIRED && c->streams == NULL)
        h2_conn_end(&c->conn);
}

void h2_client_retire(struct h2_client *c)
{
    if (c->state != H2_CLIENT_USABLE)
        return;
    c->state = H2_CLIENT_RETIRED;
    c->handler->on_retired(c);
    end_if_done(c);
}

/* A response that we do not take: to its owner it is as if the server had reset the stream. */
static void refuse_response(struct h2_up_stream *s, uint32_t code)
{
    struct h2_client *c = s->client;
    s->ended = false;
    h2_client_cancel(s);
    count(counters_of(c), COUNTER_BAD_ETCD_UP, 1);
    s->handler->on_closed(s, code);
}

static void recv_headers(struct h2_client *c, const nghttp2_frame *frame)
{
    struct h2_up_stream *s = stream_of(c->conn.session, frame->hd.stream_id);
    if (s == NULL)
        return;
    struct span fields = buf_span(&c->conn.block);
    struct span status = h2_field_find(fields, SPAN_LIT(":status"));
    s->ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (c->conn.block_over)
        refuse_response(s, NGHTTP2_ENHANCE_YOUR_CALM);
    else if (status.n != 0 && status.p[0] == '1')
        refuse_response(s, NGHTTP2_PROTOCOL_ERROR); /* gRPC has no interim responses */
    else if (frame->headers.cat == NGHTTP2_HCAT_RESPONSE)
        s->handler->on_head(s, fields, s->ended);
    else if (s->ended)
        s->handler->on_trailers(s, fields);
}

static void note_end(struct h2_up_stream *s)
{
    if (s != NULL)
        s->ended = true;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_client *c = arg;
    switch ((nghttp2_frame_type)frame->hd.type) {
    case NGHTTP2_HEADERS:
        recv_headers(c, frame);
        break;
    case NGHTTP2_DATA:
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
            note_end(stream_of(session, frame->hd.stream_id));
        break;
    case NGHTTP2_SETTINGS:
        if (c->state == H2_CLIENT_GREETING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            c->state = H2_CLIENT_USABLE;
            c->was_usable = true;
            c->handler->on_usable(c);
        }
        break;
    case NGHTTP2_GOAWAY:
        h2_client_retire(c);
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 &&
            !h2_conn_pinged(&c->conn, frame->ping.opaque_data))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        break;
    case NGHTTP2_PRIORITY:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_PUSH_PROMISE:
    case NGHTTP2_WINDOW_UPDATE:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_ALTSVC:
    case NGHTTP2_ORIGIN:
    case NGHTTP2_PRIORITY_UPDATE:
    default:
        break;
    }
    return 0;
}

/* With a thousand streams each frame is of another one, whose memory has left the caches. The next
 * frame's head is behind this one's bytes: have its stream fetched meanwhile. */
static void fetch_next(const struct h2_conn *c, struct span bytes)
{
    const uint8_t *head = span_end(bytes);
    if (c->fed_end - head < H2_FRAME_HEAD_BYTES)
        return;
    uint32_t id = (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 |
                  (uint32_t)head[8];
    struct h2_up_stream *s = id > INT32_MAX ? NULL : stream_of(c->session, (int32_t)id);
    if (s != NULL && s->handler->fetch != NULL)
        s->handler->fetch(s);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
                         size_t n, void *arg)
{
    (void)flags;
    struct h2_conn *c = arg;
    struct h2_up_stream *s = stream_of(session, id);
    c->arrived += n;
    fetch_next(c, span_of(p, n));
    if (s == NULL)
        return nghttp2_session_consume_stream(session, id, n) == 0 ? 0
                                                                   : NGHTTP2_ERR_CALLBACK_FAILURE;
    s->handler->on_data(s, span_of(p, n));
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    (void)arg;
    struct h2_up_stream *s = stream_of(session, id);
    if (s == NULL)
        return 0;
    struct h2_client *c = s->client;
    h2_conn_settle(&c->conn);
    unlink_stream(s);
    s->handler->on_closed(s, code);
    end_if_done(c);
    return 0;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)arg;
    if (frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    struct h2_up_stream *s = stream_of(session, frame->hd.stream_id);
    if (s != NULL)
        s->sent = true;
    return 0;
}

/* -- streams, to nghttp2 -- */
static ssize_t pull(nghttp2_session *session, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
                    nghttp2_data_source *source, void *arg)
{
    (void)to, (void)source, (void)arg;
    struct h2_up_stream *s = stream_of(session, id);
    return s == NULL ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : h2_body_pull(&s->body, max, flags);
}

static int move(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t n,
                nghttp2_data_source *source, void *arg)
{
    (void)source;
    struct h2_client *c = arg;
    struct h2_up_stream *s = stream_of(session, frame->hd.stream_id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    int e = h2_body_move(&c->conn, &s->body, frame_head, n);
    if (e == 0)
        s->handler->on_sent(s);
    return e;
}

size_t h2_client_grpc_fields(const struct h2_client *c, struct span method, nghttp2_nv *nv)
{
    /* etcd takes the client's identity from TLS only with https. */
    struct span scheme = c->addr.scheme == ADDR_HTTPS ? SPAN_LIT("https") : SPAN_LIT("http");
    size_t n = 0;
    nv[n++] = h2_nv(SPAN_LIT(":method"), SPAN_LIT("POST"), 0);
    nv[n++] = h2_nv(SPAN_LIT(":scheme"), scheme, 0);
    nv[n++] = h2_nv(SPAN_LIT(":path"), method, 0);
    nv[n++] = h2_nv(SPAN_LIT(":authority"), span_str(c->authority), 0);
    nv[n++] = h2_nv(SPAN_LIT("te"), SPAN_LIT("trailers"), 0);
    nv[n++] = h2_nv(SPAN_LIT("content-type"), SPAN_LIT("application/grpc"), 0);
    CHECK(n == H2_CLIENT_GRPC_FIELDS);
    return n;
}

enum err h2_client_request(struct h2_client *c, struct h2_up_stream *s, const nghttp2_nv *nv,
                           size_t n)
{
    CHECK(s->client == NULL && c->state == H2_CLIENT_USABLE);
    nghttp2_data_provider body = {.read_callback = pull};
    int32_t id = nghttp2_submit_request(c->conn.session, NULL, nv, n, &body, s);
    if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) {
        h2_client_retire(c);
        return ERR_LIMIT;
    }
    if (id < 0)
        return ERR_NOMEM;
    s->client = c;
    s->id = id;
    s->sent = s->ended = s->body.deferred = false;
    s->next = c->streams;
    s->link = &c->streams;
    c->streams = s;
    if (s->next != NULL)
        s->next->link = &s->next;
    h2_conn_touch(&c->conn);
    return ERR_OK;
}

void h2_client_resume(struct h2_up_stream *s)
{
    if (s->client != NULL)
        h2_body_resume(&s->client->conn, s->id, &s->body);
}

void h2_client_cancel(struct h2_up_stream *s)
{
    struct h2_client *c = s->client;
    if (c == NULL)
        return;
    (void)nghttp2_session_set_stream_user_data(c->conn.session, s->id, NULL);
    bool open = !s->ended || !s->body.ended || buf_len(s->body.bytes) != 0;
    unlink_stream(s);
    if (open && nghttp2_submit_rst_stream(c->conn.session, 0, s->id, NGHTTP2_CANCEL) != 0)
        h2_conn_end(&c->conn);
    h2_conn_touch(&c->conn);
    end_if_done(c);
}

/* -- sessions -- */
static void set_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, move);
}

static nghttp2_session *new_session(struct h2_client *c)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_H2_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HEADER_LIST_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    const struct h2_setup setup = {
        .callbacks = set_callbacks, .settings = settings, .settings_n = ARRAY_LEN(settings)};
    return h2_conn_new_session(&c->conn, &setup);
}
