/* SPDX-License-Identifier: Apache-2.0 */
/* The etcd plane against a real etcd: what applications see, and what their bad bytes do. */
#include "fault/etcd_world.h"

/* -- what works -- */
static void two_namespaces_keep_their_own_value_of_one_key(void **state)
{
    (void)state;
    struct world a, b;
    begin_real(&a, "two-a");
    begin_real(&b, "two-b");
    put(&a, "k", "of a");
    put(&b, "k", "of b");
    expect_one(&a, "k", "of a");
    expect_one(&b, "k", "of b");
    end(&a);
    end(&b);
}

static void a_watch_tells_own_events_only_until_it_is_cancelled(void **state)
{
    (void)state;
    struct world a, b;
    struct app_call watch;
    begin_real(&a, "watch-a");
    begin_real(&b, "watch-b");
    app_call_open(&a.app, &watch, "/etcdserverpb.Watch/Watch");
    app_message(&watch, watch_all(), false);
    WAIT_FOR(&a.l, app_reply(&watch, 0).n != 0);
    put(&b, "other", "1");
    put(&a, "mine", "2");
    WAIT_FOR(&a.l, app_reply(&watch, 1).n != 0);
    struct span event = pb_find(app_reply(&watch, 1), 11, 0).s;
    assert_span_equal(pb_find(pb_find(event, 2, 0).s, 1, 0).s, SPAN_LIT("mine"));

    nghttp2_submit_rst_stream(a.app.session, 0, watch.id, NGHTTP2_CANCEL);
    app_flush(&a.app);
    WAIT_FOR(&a.l, a.l.counters.gauge[GAUGE_ETCD_STREAMS] == 0);
    app_call_end(&watch);
    put(&a, "mine", "3"); /* the connection lives on */
    end(&a);
    end(&b);
}

static void half_close_keeps_a_watch_and_ends_a_keep_alive(void **state)
{
    (void)state;
    struct world w;
    struct app_call watch, alive;
    struct pb_build m = {0};
    begin_real(&w, "half");
    app_call_open(&w.app, &watch, "/etcdserverpb.Watch/Watch");
    app_message(&watch, watch_all(), true);
    WAIT_FOR(&w.l, app_reply(&watch, 0).n != 0);
    put(&w, "k", "v");
    WAIT_FOR(&w.l, app_reply(&watch, 1).n != 0);
    assert_false(watch.closed);

    pb_num(&m, 1, 4711); /* never granted */
    app_call_open(&w.app, &alive, "/etcdserverpb.Lease/LeaseKeepAlive");
    app_message(&alive, pb_built(&m), true);
    WAIT_FOR(&w.l, alive.closed);
    assert_int_equal(alive.grpc_status, 0);
    assert_int_equal(pb_find(app_reply(&alive, 0), 2, 0).v, 4711);
    assert_int_equal(pb_find(app_reply(&alive, 0), 3, 0).v, 0);
    app_call_end(&alive);
    app_call_end(&watch);
    end(&w);
}

/* More keep-alives than may be in flight: the application is held up, and none is lost. */
static void keep_alives_beyond_the_limit_wait(void **state)
{
    (void)state;
    enum { ASKED = 5 * LIMIT_KEEPALIVES_IN_FLIGHT };
    struct world w;
    struct app_call alive;
    struct pb_build m = {0};
    begin_real(&w, "alive");
    pb_num(&m, 1, 4711);
    app_call_open(&w.app, &alive, "/etcdserverpb.Lease/LeaseKeepAlive");
    for (unsigned i = 0; i < ASKED; i++)
        app_message(&alive, pb_built(&m), i + 1 == ASKED);
    WAIT_FOR(&w.l, alive.closed);
    assert_int_equal(alive.grpc_status, 0);
    assert_int_equal(pb_find(app_reply(&alive, ASKED - 1), 2, 0).v, 4711);
    assert_int_equal(app_reply(&alive, ASKED).n, 0);
    app_call_end(&alive);
    end(&w);
}

static void many_calls_at_once_are_all_answered(void **state)
{
    (void)state;
    static struct app_call calls[300];
    struct world w;
    begin_real(&w, "many");
    for (unsigned i = 0; i < 300; i++)
        app_unary(&w.app, &calls[i], "/etcdserverpb.KV/Put",
                  pb_built(put_request("k", SPAN_LIT("v"))));
    for (unsigned i = 0; i < 300; i++) {
        WAIT_FOR(&w.l, calls[i].closed);
        assert_int_equal(calls[i].grpc_status, 0);
        app_call_end(&calls[i]);
    }
    assert_true(w.l.counters.n[COUNTER_ETCD_STREAMS] >= 300);
    end(&w);
}

static void a_large_value_passes_and_one_over_the_limit_gets_etcds_words(void **state)
{
    (void)state;
    struct world w;
    struct app_call c;
    begin_real(&w, "large");
    put_kib(&w, "k", 1400, &c);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
    put_kib(&w, "k", 2000, &c); /* below ours, above etcd's for what is stored */
    assert_int_equal(c.grpc_status, 3);
    assert_string_equal(c.message, "etcdserver: request is too large");
    app_call_end(&c);
    put_kib(&w, "k", 2200, &c);
    assert_int_equal(c.grpc_status, 8);
    assert_string_equal(c.message, "grpc: received message larger than max (2252808 vs. 2097152)");
    app_call_end(&c);
    put(&w, "k", "small");
    end(&w);
}

/* A list of 20 MiB waits in the sidecar for a client that does not read; others are served. */
static void a_slow_reader_of_a_large_list_stalls_only_itself(void **state)
{
    (void)state;
    struct world w;
    struct app other;
    struct app_call c, list;
    begin_real(&w, "list");
    for (unsigned i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%02u", i);
        put_kib(&w, key, 1024, &c);
        assert_int_equal(c.grpc_status, 0);
        app_call_end(&c);
    }
    app_unary(&w.app, &list, "/etcdserverpb.KV/Range", range_all());
    WAIT_FOR(&w.l, list.head);
    tcp_read(&w.app.tcp, false);

    struct addr at = etcd_plane_addr(w.plane);
    app_open(&other, &w.l, &at, 0);
    struct pb_build key = {0};
    pb_str(&key, 1, "k07");
    app_unary(&other, &c, "/etcdserverpb.KV/Range", pb_built(&key));
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    assert_true(app_reply(&c, 0).n > MIB);
    app_call_end(&c);
    assert_false(list.closed);

    tcp_read(&w.app.tcp, true);
    WAIT_FOR(&w.l, list.closed);
    assert_int_equal(list.grpc_status, 0);
    assert_true(app_reply(&list, 0).n > 20 * MIB);
    assert_span_equal(pb_find(pb_find(app_reply(&list, 0), 2, 19).s, 1, 0).s, SPAN_LIT("k19"));
    app_call_end(&list);
    tcp_close(&other.tcp);
    end(&w);
}

/* Large answers leave as they lie in the calls' memory: a call that goes takes its own with it. */
static void large_lists_side_by_side_arrive_whole_though_some_are_reset(void **state)
{
    (void)state;
    enum { KEYS = 4, LISTS = 6 };
    struct world w;
    struct app wide;
    struct app_call c, lists[LISTS];
    begin_real(&w, "wide");
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%02u", i);
        put_kib(&w, key, 512, &c);
        assert_int_equal(c.grpc_status, 0);
        app_call_end(&c);
    }
    struct addr at = etcd_plane_addr(w.plane);
    app_open(&wide, &w.l, &at, 16 * MIB);
    for (unsigned i = 0; i < LISTS; i++)
        app_unary(&wide, &lists[i], "/etcdserverpb.KV/Range", range_all());
    WAIT_FOR(&w.l, buf_len(&lists[1].in) > MIB / 2);
    for (unsigned i = 1; i < LISTS; i += 2)
        nghttp2_submit_rst_stream(wide.session, 0, lists[i].id, NGHTTP2_CANCEL);
    app_flush(&wide);
    for (unsigned i = 0; i < LISTS; i += 2) {
        WAIT_FOR(&w.l, lists[i].closed);
        assert_int_equal(lists[i].grpc_status, 0);
        assert_true(app_reply(&lists[i], 0).n > KEYS * MIB / 2);
        assert_span_equal(app_reply(&lists[i], 0), app_reply(&lists[0], 0));
        for (unsigned k = 0; k < KEYS; k++) {
            struct span value = pb_find(pb_find(app_reply(&lists[i], 0), 2, k).s, 5, 0).s;
            assert_int_equal(value.n, MIB / 2);
            for (size_t b = 0; b < value.n; b++)
                if (value.p[b] != 'v')
                    fail_msg("byte %zu of value %u is not the one that was put", b, k);
        }
    }
    for (unsigned i = 0; i < LISTS; i++)
        app_call_end(&lists[i]);
    tcp_close(&wide.tcp);
    end(&w);
}

static void pings_are_answered(void **state)
{
    (void)state;
    struct world w;
    begin_real(&w, "ping");
    for (unsigned i = 0; i < 100; i++)
        nghttp2_submit_ping(w.app.session, 0, NULL);
    WAIT_FOR(&w.l, w.app.pings == 100);
    /* The one that measures is answered with the next bytes, whatever they are. */
    nghttp2_submit_ping(w.app.session, 0, (const uint8_t[8]){2, 4, 16, 16, 9, 14, 7, 7});
    put(&w, "k", "v");
    WAIT_FOR(&w.l, w.app.pings == 101);
    end(&w);
}

static void http1_is_answered_on_the_same_port(void **state)
{
    (void)state;
    struct world w;
    struct raw health, other;
    begin_real(&w, "http1");
    put(&w, "k", "v"); /* ready */
    struct addr at = etcd_plane_addr(w.plane);
    raw_open(&health, &w.l, &at,
             SPAN_LIT("GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /readyz HTTP/1.1\r\nHost: x\r\n"
                      "Connection: close\r\n\r\n"));
    WAIT_FOR(&w.l, health.closed);
    assert_true(raw_has(&health, "{\"health\":\"true\""));
    assert_true(raw_has(&health, "ok\n"));
    raw_open(&other, &w.l, &at, SPAN_LIT("GET /livez HTTP/1.0\r\n\r\n"));
    WAIT_FOR(&w.l, other.closed);
    assert_true(raw_has(&other, " 200 ") && raw_has(&other, "ok\n"));
    raw_end(&other);
    raw_open(&other, &w.l, &at, SPAN_LIT("POST /v3/kv/range HTTP/1.0\r\n\r\n"));
    WAIT_FOR(&w.l, other.closed);
    assert_true(raw_has(&other, "404"));
    assert_true(raw_has(&other, "gRPC"));
    raw_end(&other);
    raw_open(&other, &w.l, &at, SPAN_LIT("POST nowhere HTTP/1.1\r\n\r\n"));
    WAIT_FOR(&w.l, other.closed);
    assert_true(raw_has(&other, "400"));
    raw_end(&other);
    raw_open(&other, &w.l, &at, SPAN_LIT("HELLO FROM SOMEBODY ELSE\r\n\r\n"));
    WAIT_FOR(&w.l, other.closed);
    assert_int_equal(buf_len(&other.in), 0); /* as etcd: no HTTP/1, no word */
    raw_end(&health);
    raw_end(&other);
    end(&w);
}

/* -- refused calls -- */
static void calls_that_are_not_served_are_answered_before_upstream_is_touched(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int status;
        const char *message;
    } rows[] = {
        {"/etcdserverpb.KV/Compact", 7, "etcdserver: permission denied"},
        {"/etcdserverpb.Maintenance/Snapshot", 7, "etcdserver: permission denied"},
        {"/v3lockpb.Lock/TryLock", 12, "unknown method TryLock for service v3lockpb.Lock"},
        {"/etcdserverpb.KV/Nothing", 12, "unknown method Nothing for service etcdserverpb.KV"},
        {"/some.Other/Thing", 12, "unknown service some.Other"},
        {"/nothing", 12, "malformed method name: \"/nothing\""},
    };
    struct world w;
    struct app_call c;
    begin_real(&w, "refused");
    put(&w, "k", "v");
    uint64_t before = w.l.counters.n[COUNTER_ETCD_TX_UP];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        app_call_open(&w.app, &c, rows[i].path);
        app_message(&c, SPAN_LIT("\x08\x01"), false); /* the answer does not wait for the end */
        expect_status(&w, &c, rows[i].status, rows[i].message);
    }
    assert_int_equal(w.l.counters.n[COUNTER_ETCD_TX_UP], before);
    end(&w);
}

static void a_url_as_authority_is_taken_and_a_forbidden_field_ends_the_stream_only(void **state)
{
    (void)state;
    static const struct app_field url = {":authority", "http://127.0.0.1:2379"}; /* etcdctl 3.4 */
    static const struct app_field close = {"connection", "close"};
    struct world w;
    struct app_call c;
    begin_real(&w, "fields");
    app_call_with(&w.app, &c, "/etcdserverpb.KV/Range", &url, 1);
    app_message(&c, range_all(), true);
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
    app_call_with(&w.app, &c, "/etcdserverpb.KV/Range", &close, 1);
    app_message(&c, range_all(), true);
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.code, NGHTTP2_PROTOCOL_ERROR);
    app_call_end(&c);
    put(&w, "k", "v");
    end(&w);
}

static void requests_that_are_no_grpc_get_an_http_status(void **state)
{
    (void)state;
    static const struct app_field json = {"content-type", "application/json"};
    static const struct app_field get = {":method", "GET"};
    struct world w;
    struct app_call c;
    begin_real(&w, "nogrpc");
    app_call_with(&w.app, &c, "/etcdserverpb.KV/Range", &json, 1);
    app_send(&c, SPAN_NONE, true);
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.http_status, 415);
    app_call_end(&c);
    app_call_with(&w.app, &c, "/etcdserverpb.KV/Range", &get, 1);
    app_send(&c, SPAN_NONE, true);
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.http_status, 405);
    app_call_end(&c);
    end(&w);
}

static void broken_grpc_messages_end_their_call_only(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        int status;
    } rows[] = {
        {{(const uint8_t *)"\0\0\0\0\x9", 5}, 13},          /* shorter than it says */
        {{(const uint8_t *)"\0\0", 2}, 13},                 /* half a head */
        {{(const uint8_t *)"\1\0\0\0\1x", 6}, 12},          /* compressed */
        {{(const uint8_t *)"\7\0\0\0\1x", 6}, 13},          /* no flag at all */
        {{(const uint8_t *)"", 0}, 13},                     /* no message */
        {{(const uint8_t *)"\0\0\0\0\0\0\0\0\0\0", 10}, 3}, /* an empty key, and one too many */
        {{(const uint8_t *)"\0\0\0\0\4\x0a\x10zz", 9}, 13}, /* a field longer than the message */
        {{(const uint8_t *)"\0\xff\xff\xff\xff", 5}, 8},    /* 4 GiB */
    };
    static const struct app_field gzip = {"grpc-encoding", "gzip"};
    struct world w;
    struct app_call c;
    begin_real(&w, "broken");
    put(&w, "k", "v");
    uint64_t before = w.l.counters.n[COUNTER_ETCD_TX_UP];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        app_call_open(&w.app, &c, "/etcdserverpb.KV/Range");
        app_send(&c, rows[i].bytes, true);
        WAIT_FOR(&w.l, c.closed);
        assert_int_equal(c.grpc_status, rows[i].status);
        app_call_end(&c);
    }
    app_call_with(&w.app, &c, "/etcdserverpb.KV/Range", &gzip, 1);
    app_message(&c, range_all(), true);
    expect_status(&w, &c, 12, "grpc: Decompressor is not installed for grpc-encoding \"gzip\"");
    assert_int_equal(w.l.counters.n[COUNTER_ETCD_TX_UP], before);
    assert_int_equal(w.l.counters.n[COUNTER_DENIED_BAD_REQUEST], ARRAY_LEN(rows) + 1);
    expect_one(&w, "k", "v");
    end(&w);
}

/* -- bytes that are no HTTP/2 -- */
static void bytes_of_another_protocol_end_their_connection_only(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        enum counter counter;
    } rows[] = {
        {{(const uint8_t *)"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 11},
         COUNTER_BAD_ETCD_PREFACE},
        {{(const uint8_t *)"\0\0\0\0", 4}, COUNTER_BAD_ETCD_PREFACE},
        {{(const uint8_t *)"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 24}, COUNTER_BAD_ETCD_PREFACE},
        {{(const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET / HTTP/1.1\r\n\r\n", 42},
         COUNTER_BAD_ETCD_APP},
        {{(const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                           "\0\0\0\4\0\0\0\0\0\0\0\1\0\0\0\0\0\0x",
          43}, /* DATA on stream 0 */
         COUNTER_BAD_ETCD_APP},
    };
    struct world w;
    begin_real(&w, "bytes");
    put(&w, "k", "v");
    struct addr at = etcd_plane_addr(w.plane);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct raw r;
        uint64_t before = w.l.counters.n[rows[i].counter];
        raw_open(&r, &w.l, &at, rows[i].bytes);
        WAIT_FOR(&w.l, r.closed);
        assert_true(w.l.counters.n[rows[i].counter] > before);
        raw_end(&r);
    }
    expect_one(&w, "k", "v");
    end(&w);
}

/* Whatever prefix of a request arrives before the connection is cut: nothing is left behind. */
static void a_connection_cut_anywhere_leaves_nothing(void **state)
{
    (void)state;
    static const uint8_t request[] =
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        "\0\0\0\4\0\0\0\0\0"
        /* HEADERS, stream 1: POST, http, literal :path, :authority, te, content-type */
        "\0\0\x4c\1\4\0\0\0\1\x83\x86\x04\x15/etcdserverpb.KV/Range"
        "\x01\x01x\x00\x02te\x08trailers\x0f\x10\x10"
        "application/grpc"
        "\0\0\7\0\1\0\0\0\1\0\0\0\0\2\x0a\0";
    struct world w;
    begin_real(&w, "cut");
    put(&w, "k", "v");
    struct addr at = etcd_plane_addr(w.plane);
    for (size_t n = 1; n < sizeof request; n++) {
        struct raw r;
        raw_open(&r, &w.l, &at, span_of(request, n));
        WAIT_FOR(&w.l, r.connected);
        tcp_close(&r.tcp);
        WAIT_FOR(&w.l, r.closed);
        raw_end(&r);
    }
    WAIT_FOR(&w.l, w.l.counters.gauge[GAUGE_ETCD_CONNS] == 1);
    assert_int_equal(w.l.counters.gauge[GAUGE_ETCD_STREAMS], 0);
    expect_one(&w, "k", "v");
    end(&w);
}

static void a_flood_of_resets_ends_the_connection(void **state)
{
    (void)state;
    struct world w;
    begin_real(&w, "flood");
    put(&w, "k", "v");
    struct app_call c;
    for (unsigned i = 0; i < 20 * LIMIT_H2_RESETS_BURST && !w.app.ended; i++) {
        app_call_open(&w.app, &c, "/etcdserverpb.KV/Range");
        app_flush(&w.app);
        nghttp2_session_set_stream_user_data(w.app.session, c.id, NULL);
        nghttp2_submit_rst_stream(w.app.session, 0, c.id, NGHTTP2_CANCEL);
        app_flush(&w.app);
        if (i % 64 == 0)
            uv_run(&w.l.uv, UV_RUN_NOWAIT);
    }
    assert_true(w.app.ended || w.app.goaway);
    struct addr at = etcd_plane_addr(w.plane);
    struct app other;
    app_open(&other, &w.l, &at, 0);
    app_unary(&other, &c, "/etcdserverpb.KV/Range", range_all());
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
    tcp_close(&other.tcp);
    end(&w);
}

static void a_flood_of_pings_ends_the_connection(void **state)
{
    (void)state;
    struct world w;
    struct raw r;
    struct buf flood = {0};
    static const uint8_t ping[17] = {0, 0, 8, 6};
    static const uint8_t settings[9] = {0, 0, 0, 4};
    begin_real(&w, "pings");
    put(&w, "k", "v");
    assert_int_equal(buf_append(&flood, SPAN_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")), ERR_OK);
    assert_int_equal(buf_append(&flood, span_of(settings, sizeof settings)), ERR_OK);
    for (unsigned i = 0; i < 4 * LIMIT_H2_OUTBOUND_ACKS; i++)
        assert_int_equal(buf_append(&flood, span_of(ping, sizeof ping)), ERR_OK);
    struct addr at = etcd_plane_addr(w.plane);
    raw_open(&r, &w.l, &at, buf_span(&flood));
    buf_deinit(&flood);
    WAIT_FOR(&w.l, r.closed);
    assert_true(w.l.counters.n[COUNTER_BAD_ETCD_APP] > 0);
    raw_end(&r);
    expect_one(&w, "k", "v");
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_namespaces_keep_their_own_value_of_one_key),
        cmocka_unit_test(a_watch_tells_own_events_only_until_it_is_cancelled),
        cmocka_unit_test(half_close_keeps_a_watch_and_ends_a_keep_alive),
        cmocka_unit_test(keep_alives_beyond_the_limit_wait),
        cmocka_unit_test(many_calls_at_once_are_all_answered),
        cmocka_unit_test(a_large_value_passes_and_one_over_the_limit_gets_etcds_words),
        cmocka_unit_test(a_slow_reader_of_a_large_list_stalls_only_itself),
        cmocka_unit_test(large_lists_side_by_side_arrive_whole_though_some_are_reset),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(http1_is_answered_on_the_same_port),
        cmocka_unit_test(calls_that_are_not_served_are_answered_before_upstream_is_touched),
        cmocka_unit_test(a_url_as_authority_is_taken_and_a_forbidden_field_ends_the_stream_only),
        cmocka_unit_test(requests_that_are_no_grpc_get_an_http_status),
        cmocka_unit_test(broken_grpc_messages_end_their_call_only),
        cmocka_unit_test(bytes_of_another_protocol_end_their_connection_only),
        cmocka_unit_test(a_connection_cut_anywhere_leaves_nothing),
        cmocka_unit_test(a_flood_of_resets_ends_the_connection),
        cmocka_unit_test(a_flood_of_pings_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
