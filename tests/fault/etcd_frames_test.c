/* SPDX-License-Identifier: Apache-2.0 */
/* The etcd listener and HTTP/2 below the level of calls: floods, frames out of place, resets. */
#include "fault/etcd_world.h"

enum { FLOOD_FRAMES = 20000 };

/* -- raw frames -- */
static void add_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t id,
                      struct span payload)
{
    uint8_t head[9] = {(uint8_t)(payload.n >> 16),
                       (uint8_t)(payload.n >> 8),
                       (uint8_t)payload.n,
                       type,
                       flags,
                       (uint8_t)(id >> 24),
                       (uint8_t)(id >> 16),
                       (uint8_t)(id >> 8),
                       (uint8_t)id};
    assert_int_equal(buf_append(out, span_of(head, sizeof head)), ERR_OK);
    assert_int_equal(buf_append(out, payload), ERR_OK);
}

static void add_preface(struct buf *out)
{
    assert_int_equal(buf_append(out, SPAN_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), ERR_OK);
    add_frame(out, NGHTTP2_SETTINGS, 0, 0, SPAN_NONE);
}

/* Send it all without reading; the connection must end, and others notice nothing. */
static void expect_end(struct world *w, struct buf *flood)
{
    struct raw r;
    struct addr at = etcd_plane_addr(w->plane);
    uint64_t before = w->l.counters.n[COUNTER_BAD_ETCD_APP];
    raw_open(&r, &w->l, &at, buf_span(flood));
    buf_deinit(flood);
    WAIT_FOR(&w->l, r.closed);
    assert_int_equal(w->l.counters.n[COUNTER_BAD_ETCD_APP], before + 1);
    raw_end(&r);
    expect_one(w, "k", "v");
}

/* :method POST, :scheme http from HPACK's static table; :path, literal. */
static const struct span half_block = {(const uint8_t *)"\x83\x86\x04\x04/a.B", 8};

static void floods_of_frames_end_the_connection(void **state)
{
    (void)state;
    static const uint8_t ping[8] = {0}, entry[6] = {0, 3, 0, 0, 0, 1};
    struct world w;
    begin_real(&w, "floods");
    put(&w, "k", "v");

    struct buf pings = {0}, settings = {0}, more = {0};
    add_preface(&pings);
    add_preface(&settings);
    add_preface(&more);
    add_frame(&more, NGHTTP2_HEADERS, 0, 1, half_block); /* never END_HEADERS */
    for (unsigned i = 0; i < FLOOD_FRAMES; i++) {
        add_frame(&pings, NGHTTP2_PING, 0, 0, span_of(ping, sizeof ping));
        add_frame(&settings, NGHTTP2_SETTINGS, 0, 0, span_of(entry, sizeof entry));
        add_frame(&more, NGHTTP2_CONTINUATION, 0, 1, SPAN_NONE);
    }
    expect_end(&w, &pings);
    expect_end(&w, &settings);
    expect_end(&w, &more);
    end(&w);
}

/* Streams that are opened and reset at once: each one costs etcd a call that nobody waits for. */
static void a_rapid_reset_ends_the_connection(void **state)
{
    (void)state;
    static const uint8_t cancel[4] = {0, 0, 0, NGHTTP2_CANCEL};
    struct world w;
    struct buf flood = {0}, block = {0};
    begin_real(&w, "rapid");
    put(&w, "k", "v");
    assert_int_equal(buf_append(&block, SPAN_LIT("\x83\x86\x04\x16/etcdserverpb.KV/Range")),
                     ERR_OK);
    assert_int_equal(buf_append(&block, SPAN_LIT("\x0f\x10\x10"
                                                 "application/grpc")),
                     ERR_OK);
    add_preface(&flood);
    for (uint32_t i = 0; i < 2 * LIMIT_H2_RESETS_BURST; i++) {
        add_frame(&flood, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 2 * i + 1, buf_span(&block));
        add_frame(&flood, NGHTTP2_RST_STREAM, 0, 2 * i + 1, span_of(cancel, sizeof cancel));
    }
    buf_deinit(&block);
    expect_end(&w, &flood);
    end(&w);
}

/* Fields without measure: many, or long. The block is read to its end, for the table's sake. */
static void a_block_over_the_limit_ends_its_stream_only(void **state)
{
    (void)state;
    static char text[LIMIT_HEADER_LIST_BYTES + 1];
    struct world w;
    struct app_call c;
    begin_real(&w, "block");
    put(&w, "k", "v");
    memset(text, 'x', sizeof text - 1);
    struct app_field long_one = {"long", text};
    app_call_with(&w.app, &c, "/etcdserverpb.KV/Range", &long_one, 1);
    app_message(&c, range_all(), true);
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.code, NGHTTP2_ENHANCE_YOUR_CALM);
    app_call_end(&c);
    expect_one(&w, "k", "v");
    end(&w);
}

/* Everything at once, so that nothing depends on what has been answered meanwhile. */
static void frames_on_streams_that_the_application_ended_end_the_connection(void **state)
{
    (void)state;
    static const uint8_t cancel[4] = {0, 0, 0, NGHTTP2_CANCEL};
    static const uint8_t on_itself[5] = {0, 0, 0, 7, 16}, on_nobody[5] = {0, 0, 0, 0, 16};
    struct world w;
    struct buf data = {0}, ended = {0}, loops = {0};
    begin_real(&w, "frames");
    put(&w, "k", "v");
    add_preface(&data);
    add_frame(&data, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1, half_block);
    add_frame(&data, NGHTTP2_RST_STREAM, 0, 1, span_of(cancel, sizeof cancel));
    add_frame(&data, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, SPAN_LIT("abcd"));
    expect_end(&w, &data);
    add_preface(&ended);
    add_frame(&ended, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
              half_block);
    add_frame(&ended, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 1, SPAN_LIT("abcd"));
    expect_end(&w, &ended);
    add_preface(&loops);
    add_frame(&loops, NGHTTP2_PRIORITY, 0, 7, span_of(on_nobody, sizeof on_nobody));
    add_frame(&loops, NGHTTP2_PRIORITY, 0, 7, span_of(on_itself, sizeof on_itself));
    expect_end(&w, &loops);
    end(&w);
}

/* -- requests -- */
static void a_body_is_as_long_as_the_request_says(void **state)
{
    (void)state;
    static const struct {
        const char *length;
        uint32_t code;
    } rows[] = {{"9", NGHTTP2_NO_ERROR},
                {"8", NGHTTP2_PROTOCOL_ERROR},
                {"10", NGHTTP2_PROTOCOL_ERROR},
                {"0", NGHTTP2_PROTOCOL_ERROR},
                {"", NGHTTP2_PROTOCOL_ERROR},
                {"+9", NGHTTP2_PROTOCOL_ERROR},
                {"99999999999999999999999", NGHTTP2_PROTOCOL_ERROR}};
    struct world w;
    struct app_call c;
    begin_real(&w, "length");
    put(&w, "k", "v");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct app_field length = {"content-length", rows[i].length};
        app_call_with(&w.app, &c, "/etcdserverpb.KV/Range", &length, 1);
        app_message(&c, SPAN_LIT("\x0a\x01k\x18"), false);
        app_send(&c, SPAN_NONE, true); /* limit: cut off, so it is 9 bytes and malformed */
        WAIT_FOR(&w.l, c.closed);
        if (c.code != rows[i].code)
            fail_msg("content-length \"%s\": %u", rows[i].length, c.code);
        app_call_end(&c);
    }
    expect_one(&w, "k", "v");
    end(&w);
}

static void plain_http_is_answered_over_http2(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        unsigned status;
        const char *body;
    } rows[] = {
        {"GET", "/health", 200, "{\"health\":\"true\",\"reason\":\"\"}"},
        {"HEAD", "/health", 200, ""},
        {"GET", "/livez", 200, "ok\n"},
        {"GET", "/readyz", 200, "ok\n"},
        {"POST", "/health", 415, ""},
    };
    struct world w;
    struct app_call c;
    begin_real(&w, "plain");
    put(&w, "k", "v"); /* ready */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct app_field fields[] = {{":method", rows[i].method}, {"content-type", "text/plain"}};
        app_call_with(&w.app, &c, rows[i].path, fields, ARRAY_LEN(fields));
        app_send(&c, SPAN_LIT("a body that nobody reads"), true);
        WAIT_FOR(&w.l, c.closed);
        assert_int_equal(c.http_status, rows[i].status);
        assert_span_equal(buf_span(&c.in), span_str(rows[i].body));
        assert_int_equal(c.code, NGHTTP2_NO_ERROR);
        app_call_end(&c);
    }
    struct app_field fields[] = {{":method", "GET"}, {"content-type", "text/plain"}};
    app_call_with(&w.app, &c, "/v3/kv/range", fields, ARRAY_LEN(fields));
    app_send(&c, SPAN_NONE, true);
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.http_status, 404);
    assert_true(buf_len(&c.in) > 20); /* a sentence */
    app_call_end(&c);
    end(&w);
}

/* -- resets and half closes -- */
enum how { RESETS, HALF_CLOSES_AND_RESETS, HOWS };

static void reset(struct app_call *c)
{
    nghttp2_session *session = c->app->session;
    nghttp2_session_set_stream_user_data(session, c->id, NULL);
    assert_int_equal(nghttp2_submit_rst_stream(session, 0, c->id, NGHTTP2_CANCEL), 0);
    app_flush(c->app);
    c->app = NULL; /* nothing is told any more */
    app_call_end(c);
}

/* One call that is cut after so many bytes, in so many turns of the loop. */
static void cut(struct world *w, const char *path, struct span message, size_t bytes,
                unsigned turns, enum how how)
{
    struct app_call c;
    app_call_open(&w->app, &c, path);
    uint8_t head[5] = {0, 0, 0, 0, (uint8_t)message.n};
    struct buf frame = {0};
    assert_int_equal(buf_append(&frame, span_of(head, sizeof head)), ERR_OK);
    assert_int_equal(buf_append(&frame, message), ERR_OK);
    app_send(&c, span_head(buf_span(&frame), bytes), how == HALF_CLOSES_AND_RESETS);
    buf_deinit(&frame);
    for (unsigned i = 0; i < turns; i++)
        uv_run(&w->l.uv, UV_RUN_NOWAIT);
    if (!c.closed)
        reset(&c);
    else
        app_call_end(&c);
}

static void a_stream_reset_in_any_state_leaves_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        struct span message;
    } rows[] = {
        {"/etcdserverpb.KV/Range", {(const uint8_t *)"\x0a\x01k", 3}},
        {"/etcdserverpb.Watch/Watch", {(const uint8_t *)"\x0a\x03\x0a\x01k", 5}},
        {"/etcdserverpb.Lease/LeaseGrant", {(const uint8_t *)"\x08\x3c", 2}},
        {"/etcdserverpb.Lease/LeaseKeepAlive", {(const uint8_t *)"\x08\x07", 2}},
        {"/v3lockpb.Lock/Lock", {(const uint8_t *)"\x0a\x01n", 3}},
        {"/v3electionpb.Election/Observe", {(const uint8_t *)"\x0a\x01n", 3}},
        {"/etcdserverpb.Cluster/MemberList", {(const uint8_t *)"", 0}},
        {"/grpc.health.v1.Health/Watch", {(const uint8_t *)"", 0}},
        {"/etcdserverpb.KV/Compact", {(const uint8_t *)"\x08\x01", 2}},
        {"/no.Such/Call", {(const uint8_t *)"", 0}},
    };
    struct world w;
    begin_real(&w, "states");
    put(&w, "k", "v");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (enum how how = RESETS; how < HOWS; how++)
            for (size_t bytes = 0; bytes <= 5 + rows[i].message.n; bytes++)
                for (unsigned turns = 0; turns < 6; turns++)
                    cut(&w, rows[i].path, rows[i].message, bytes, turns, how);
    put(&w, "k", "v"); /* locks that were got meanwhile are there, too */
    WAIT_FOR(&w.l, w.l.counters.gauge[GAUGE_ETCD_STREAMS] == 0);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floods_of_frames_end_the_connection),
        cmocka_unit_test(a_rapid_reset_ends_the_connection),
        cmocka_unit_test(a_block_over_the_limit_ends_its_stream_only),
        cmocka_unit_test(frames_on_streams_that_the_application_ended_end_the_connection),
        cmocka_unit_test(a_body_is_as_long_as_the_request_says),
        cmocka_unit_test(plain_http_is_answered_over_http2),
        cmocka_unit_test(a_stream_reset_in_any_state_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
