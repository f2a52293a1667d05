/* SPDX-License-Identifier: Apache-2.0 */
#include "io/h2_server.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

static const struct tcp_handler tcp_events;
static void detach(struct h2_app_stream *a, uint32_t code);

/* -- life -- */
static struct counters *counters_of(struct h2_server *s)
{
    return &s->conn.hub->loop->counters;
}

enum err h2_server_accept(struct h2_hub *hub, uv_stream_t *pending,
                          const struct h2_server_handler *handler, void *owner,
                          struct h2_server **list)
{
    struct h2_server *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->conn.hub = hub;
    s->conn.rx = COUNTER_ETCD_RX_APP;
    s->conn.tx = COUNTER_ETCD_TX_APP;
    s->handler = handler;
    s->owner = owner;
    s->next = *list;
    s->link = list;
    *list = s;
    if (s->next != NULL)
        s->next->link = &s->next;
    hub->loop->connections++;
    gauge_add(counters_of(s), GAUGE_ETCD_CONNS, 1);
    count(counters_of(s), COUNTER_ETCD_CONNS, 1);
    if (tcp_accept(&s->conn.tcp, hub->loop, pending, &tcp_events) != ERR_OK) {
        s->conn.ending = true; /* on_closed follows and releases it */
        return ERR_OK;
    }
    tcp_read(&s->conn.tcp, true);
    return ERR_OK;
}

static void on_closed(struct tcp *t)
{
    struct h2_server *s = (struct h2_server *)t;
    while (s->streams != NULL)
        detach(s->streams, NGHTTP2_CANCEL);
    h2_conn_deinit(&s->conn);
    buf_deinit(&s->early);
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    s->conn.hub->loop->connections--;
    gauge_add(counters_of(s), GAUGE_ETCD_CONNS, -1);
    s->handler->on_released(s);
    free(s);
}

static void on_end(struct tcp *t, int status)
{
    (void)status;
    h2_conn_end((struct h2_conn *)t);
}

static void on_drained(struct tcp *t)
{
    h2_conn_touch((struct h2_conn *)t);
}

/* -- what is it that speaks? -- */
static void refuse_preface(struct h2_server *s, const char *seen, const char *fix)
{
    char peer[ADDR_TEXT_BYTES];
    count(counters_of(s), COUNTER_BAD_ETCD_PREFACE, 1);
    log_event(LOG_WARN, "not the etcd protocol, connection closed", "peer",
              tcp_peer(&s->conn.tcp, peer), "seen", seen, "fix", fix, NULL);
    h2_conn_end(&s->conn);
}

static void write_and_close(struct h2_server *s, struct buf *out, bool keep)
{
    count(counters_of(s), COUNTER_ETCD_TX_APP, buf_len(out));
    if (tcp_write(&s->conn.tcp, buf_span(out)) != ERR_OK)
        h2_conn_end(&s->conn);
    buf_deinit(out);
    if (keep || s->conn.ending)
        return;
    s->conn.ending = true;
    tcp_close_when_sent(&s->conn.tcp);
}

static void feed_http1(struct h2_server *s)
{
    struct http1_request r;
    struct buf out = {0};
    enum http1_verdict verdict = HTTP1_MORE;
    while (!s->conn.ending &&
           (verdict = http1_feed(&s->http1, buf_span(&s->early), &r)) == HTTP1_DONE) {
        if (s->handler->on_http1(s, &r, &out) != ERR_OK ||
            tcp_queued(&s->conn.tcp) > LIMIT_OUT_HIGH_BYTES)
            h2_conn_end(&s->conn);
        write_and_close(s, &out, r.keep_alive);
        buf_consume(&s->early, r.head_bytes);
        s->http1 = (struct http1_parser){0};
    }
    if (s->conn.ending || verdict != HTTP1_REFUSED)
        return;
    /* As etcd (soheilhy/cmux HTTP1): what does not even say HTTP/1 is not answered. */
    struct span early = buf_span(&s->early), says = SPAN_LIT(" HTTP/1.");
    const uint8_t *line_end = memchr(early.p, '\n', early.n);
    size_t line_n = line_end == NULL ? early.n : (size_t)(line_end - early.p);
    if (memmem(early.p, line_n, says.p, says.n) == NULL) {
        refuse_preface(s, "unknown bytes", "point an etcd v3 client at this port");
        return;
    }
    count(counters_of(s), COUNTER_BAD_ETCD_PREFACE, 1);
    if (http1_refusal(&out, &s->http1) != ERR_OK)
        h2_conn_end(&s->conn);
    write_and_close(s, &out, false);
}

static nghttp2_session *new_session(struct h2_server *s);
static void blame(struct h2_server *s, const char *reason);

static uint32_t judge(struct h2_server *s, struct span in);

static void feed_http2(struct h2_server *s, struct span in)
{
    int error = 0;
    uint32_t code = judge(s, in);
    if (code != NGHTTP2_NO_ERROR)
        error = nghttp2_session_terminate_session(s->conn.session, code);
    if (error == 0 && h2_conn_feed(&s->conn, in, &error))
        return;
    h2_conn_end(&s->conn);
    if (error != NGHTTP2_ERR_NOMEM)
        blame(s, nghttp2_strerror(error));
}

static void start_http2(struct h2_server *s)
{
    s->state = H2_SERVER_HTTP2;
    s->walk = (struct h2_walk){.skip = NGHTTP2_CLIENT_MAGIC_LEN};
    s->conn.session = new_session(s);
    if (s->conn.session == NULL) {
        h2_conn_end(&s->conn);
        return;
    }
    feed_http2(s, buf_span(&s->early));
    buf_deinit(&s->early);
}

/* s->early holds all bytes so far. */
static void sniff(struct h2_server *s)
{
    static const struct span preface = {(const uint8_t *)NGHTTP2_CLIENT_MAGIC,
                                        NGHTTP2_CLIENT_MAGIC_LEN};
    struct span in = buf_span(&s->early);
    CHECK(in.p != NULL);
    if (span_has_prefix(in, preface)) {
        start_http2(s);
    } else if (in.n < preface.n && span_has_prefix(preface, in)) {
        return; /* not yet to be told */
    } else if (in.p[0] == 0x16) {
        refuse_preface(
            s, "TLS",
            "the application speaks TLS to the sidecar's plaintext port; use http://, or give the "
            "sidecar --etcd-listen-cert");
    } else if (isupper(in.p[0])) {
        s->state = H2_SERVER_HTTP1;
        feed_http1(s);
    } else {
        refuse_preface(s, "unknown bytes", "point an etcd v3 client at this port");
    }
}

static void on_read(struct tcp *t, struct span in)
{
    struct h2_server *s = (struct h2_server *)t;
    count(counters_of(s), COUNTER_ETCD_RX_APP, in.n);
    if (s->conn.ending)
        return;
    if (s->state == H2_SERVER_HTTP2) {
        feed_http2(s, in);
        return;
    }
    if (buf_append(&s->early, in) != ERR_OK)
        h2_conn_end(&s->conn);
    else if (s->state == H2_SERVER_SNIFFING)
        sniff(s);
    else
        feed_http1(s);
}

static const struct tcp_handler tcp_events = {
    .on_read = on_read, .on_drained = on_drained, .on_end = on_end, .on_closed = on_closed};

/* -- streams, from nghttp2 -- */
void h2_server_attach(struct h2_server *s, int32_t id, struct h2_app_stream *a)
{
    a->server = s;
    a->id = id;
    a->has_length = s->request.has_length;
    a->body_left = s->request.length;
    a->next = s->streams;
    a->link = &s->streams;
    s->streams = a;
    if (a->next != NULL)
        a->next->link = &a->next;
    gauge_add(counters_of(s), GAUGE_ETCD_STREAMS, 1);
    (void)nghttp2_session_set_stream_user_data(s->conn.session, id, a);
}

static void detach(struct h2_app_stream *a, uint32_t code)
{
    struct h2_server *s = a->server;
    *a->link = a->next;
    if (a->next != NULL)
        a->next->link = a->link;
    gauge_add(counters_of(s), GAUGE_ETCD_STREAMS, -1);
    (void)nghttp2_session_set_stream_user_data(s->conn.session, a->id, NULL);
    a->server = NULL;
    s->handler->on_closed(a, code);
}

static struct h2_app_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static void remember_ended(struct h2_server *s, int32_t id)
{
    s->ended[s->ended_at] = id;
    s->ended_at = (s->ended_at + 1) % H2_ENDED_MAX;
}

static bool was_ended(const struct h2_server *s, int32_t id)
{
    bool is_there = false;
    for (unsigned i = 0; i < H2_ENDED_MAX; i++)
        is_there |= s->ended[i] == id;
    return is_there;
}

/* Frames that nghttp2 neither minds nor shows: DATA on streams that it has forgotten (here, after
 * all that has been read before and what an earlier frame of these bytes ended), PRIORITY. */
static uint32_t judge(struct h2_server *s, struct span in)
{
    struct h2_walked f;
    while (h2_walk_next(&s->walk, &in, &f)) {
        if (f.type == NGHTTP2_RST_STREAM)
            remember_ended(s, f.stream);
        else if (f.type == NGHTTP2_PRIORITY && f.dependency == f.stream && f.stream != 0)
            return NGHTTP2_PROTOCOL_ERROR;
        else if (f.type == NGHTTP2_DATA && f.stream != 0 && was_ended(s, f.stream))
            return NGHTTP2_STREAM_CLOSED;
    }
    return NGHTTP2_NO_ERROR;
}

/* Frames that nghttp2 shows and does not mind. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    const struct h2_server *s = arg;
    if (hd->type == NGHTTP2_PRIORITY && hd->stream_id == 0)
        return nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
    if (hd->type != NGHTTP2_HEADERS ||
        hd->stream_id > nghttp2_session_get_last_proc_stream_id(session) ||
        stream_of(session, hd->stream_id) != NULL || !was_ended(s, hd->stream_id))
        return 0;
    return nghttp2_session_terminate_session(session, NGHTTP2_STREAM_CLOSED);
}

static int on_end_stream(nghttp2_session *session, const nghttp2_frame *frame, struct h2_server *s)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    struct h2_app_stream *a = stream_of(session, frame->hd.stream_id);
    if (a == NULL)
        return 0;
    a->request_ended = true;
    if (a->has_length && a->body_left != 0)
        return nghttp2_submit_rst_stream(session, 0, a->id, NGHTTP2_PROTOCOL_ERROR);
    s->handler->on_ended(a);
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_server *s = arg;
    s->request = (struct h2_request){0};
    return h2_conn_on_begin_headers(session, frame, &s->conn);
}

/* NOLINTNEXTLINE(readability-function-size): the signature is nghttp2's */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    struct h2_server *s = arg;
    h2_request_field(&s->request, span_of(name, name_n), span_of(value, value_n));
    return h2_conn_on_header(session, frame, name, name_n, value, value_n, flags, &s->conn);
}

static int on_request(struct h2_server *s, int32_t id)
{
    nghttp2_session *session = s->conn.session;
    if (!h2_request_is_good(&s->request))
        return nghttp2_submit_rst_stream(session, 0, id, NGHTTP2_PROTOCOL_ERROR);
    if (s->conn.block_over || s->handler->on_request(s, id, buf_span(&s->conn.block)) == NULL)
        return nghttp2_submit_rst_stream(session, 0, id, NGHTTP2_ENHANCE_YOUR_CALM);
    return 0;
}

/* A request, or its trailers, which end it. */
static int on_headers(struct h2_server *s, const nghttp2_frame *frame)
{
    nghttp2_session *session = s->conn.session;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        if (on_request(s, frame->hd.stream_id) != 0)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
    } else if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0 ||
               !h2_request_is_good_trailer(&s->request)) {
        return nghttp2_submit_rst_stream(session, 0, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    }
    return on_end_stream(session, frame, s);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_server *s = arg;
    if (frame->hd.type == NGHTTP2_HEADERS)
        return on_headers(s, frame);
    if (frame->hd.type == NGHTTP2_DATA)
        return on_end_stream(session, frame, s);
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 &&
        !h2_conn_pinged(&s->conn, frame->ping.opaque_data))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
                         size_t n, void *arg)
{
    (void)flags;
    struct h2_server *s = arg;
    struct h2_app_stream *a = stream_of(session, id);
    s->conn.arrived += n;
    if (a == NULL)
        return nghttp2_session_consume_stream(session, id, n) == 0 ? 0
                                                                   : NGHTTP2_ERR_CALLBACK_FAILURE;
    if (a->has_length && n > a->body_left)
        return nghttp2_submit_rst_stream(session, 0, id, NGHTTP2_PROTOCOL_ERROR);
    a->body_left -= a->has_length ? n : 0;
    s->handler->on_data(a, span_of(p, n));
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    (void)arg;
    struct h2_app_stream *a = stream_of(session, id);
    if (a == NULL)
        return 0;
    h2_conn_settle(&a->server->conn);
    if (a->request_ended)
        remember_ended(a->server, id);
    detach(a, code);
    return 0;
}

/* The connection ends because of what the application sent. */
static void blame(struct h2_server *s, const char *reason)
{
    char peer[ADDR_TEXT_BYTES];
    count(counters_of(s), COUNTER_BAD_ETCD_APP, 1);
    log_event(LOG_WARN, "the application broke HTTP/2, connection closed", "peer",
              tcp_peer(&s->conn.tcp, peer), "reason", reason, NULL);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2_server *s = arg;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        blame(s, nghttp2_http2_strerror(frame->goaway.error_code));
    if (frame->hd.type != NGHTTP2_HEADERS || (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    /* As grpc-go: a response that is complete before its request tells the client to stop. */
    struct h2_app_stream *a = stream_of(session, frame->hd.stream_id);
    if (a != NULL && !a->request_ended)
        return nghttp2_submit_rst_stream(session, 0, a->id, NGHTTP2_NO_ERROR);
    return 0;
}

/* -- streams, to nghttp2 -- */
static size_t to_nv(struct span fields, nghttp2_nv nv[H2_FIELDS_MAX])
{
    size_t n = 0;
    struct h2_field f;
    while (n < H2_FIELDS_MAX && h2_field_next(&fields, &f))
        nv[n++] = h2_nv(f.name, f.value, f.flags);
    return n;
}

static ssize_t pull(nghttp2_session *session, int32_t id, uint8_t *to, size_t max, uint32_t *flags,
                    nghttp2_data_source *source, void *arg)
{
    (void)to, (void)source, (void)arg;
    struct h2_app_stream *a = stream_of(session, id);
    if (a == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    ssize_t n = h2_body_pull(&a->body, max, flags);
    if ((*flags & NGHTTP2_DATA_FLAG_EOF) == 0)
        return n;
    if (buf_len(&a->trailers) == 0) /* plain HTTP */
        return n;
    nghttp2_nv nv[H2_FIELDS_MAX];
    size_t nv_n = to_nv(buf_span(&a->trailers), nv);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    if (nghttp2_submit_trailer(session, id, nv, nv_n) != 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    return n;
}

static int move(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t n,
                nghttp2_data_source *source, void *arg)
{
    (void)source;
    struct h2_server *s = arg;
    struct h2_app_stream *a = stream_of(session, frame->hd.stream_id);
    if (a == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    int e = h2_body_move(&s->conn, &a->body, frame_head, n);
    if (e == 0)
        s->handler->on_sent(a);
    return e;
}

static enum err submit(struct h2_app_stream *a, struct span fields,
                       const nghttp2_data_provider *body)
{
    nghttp2_nv nv[H2_FIELDS_MAX];
    size_t n = to_nv(fields, nv);
    a->head_sent = true;
    h2_conn_touch(&a->server->conn);
    int e = nghttp2_submit_response(a->server->conn.session, a->id, nv, n, body);
    return e == 0 ? ERR_OK : ERR_NOMEM;
}

enum err h2_server_head(struct h2_app_stream *a, struct span fields)
{
    nghttp2_data_provider body = {.read_callback = pull};
    return submit(a, fields, &body);
}

enum err h2_server_answer(struct h2_app_stream *a, struct span fields)
{
    return submit(a, fields, NULL);
}

void h2_server_resume(struct h2_app_stream *a)
{
    if (a->server != NULL)
        h2_body_resume(&a->server->conn, a->id, &a->body);
}

void h2_server_reset(struct h2_app_stream *a, uint32_t code)
{
    if (a->server == NULL)
        return;
    /* Fails only for lack of memory: then the connection cannot go on. */
    if (nghttp2_submit_rst_stream(a->server->conn.session, 0, a->id, code) != 0)
        h2_conn_end(&a->server->conn);
    h2_conn_touch(&a->server->conn);
}

/* -- sessions -- */
static void set_options(nghttp2_option *o)
{
    nghttp2_option_set_no_http_messaging(o, 1); /* h2_request.h says why, and checks instead */
    nghttp2_option_set_no_closed_streams(o, 1);
    nghttp2_option_set_stream_reset_rate_limit(o, LIMIT_H2_RESETS_BURST, LIMIT_H2_RESETS_PER_S);
}

static void set_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, move);
}

/* What we grant. Many streams, because every watch and keep-alive occupies one for long. */
static nghttp2_session *new_session(struct h2_server *s)
{
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_H2_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_H2_REQUEST_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HEADER_LIST_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    const struct h2_setup setup = {.is_server = true,
                                   .options = set_options,
                                   .callbacks = set_callbacks,
                                   .settings = settings,
                                   .settings_n = ARRAY_LEN(settings)};
    return h2_conn_new_session(&s->conn, &setup);
}

void h2_server_goaway_soon(struct h2_server *s)
{
    if (s->state != H2_SERVER_HTTP2) {
        h2_conn_end(&s->conn);
        return;
    }
    if (s->conn.session != NULL && nghttp2_submit_shutdown_notice(s->conn.session) != 0)
        h2_conn_end(&s->conn);
    h2_conn_touch(&s->conn);
}

void h2_server_goaway(struct h2_server *s)
{
    nghttp2_session *session = s->conn.session;
    if (session == NULL || s->conn.ending)
        return;
    int32_t last = nghttp2_session_get_last_proc_stream_id(session);
    if (nghttp2_submit_goaway(session, 0, last, NGHTTP2_NO_ERROR, NULL, 0) != 0)
        h2_conn_end(&s->conn);
    h2_conn_touch(&s->conn);
}
