/* SPDX-License-Identifier: Apache-2.0 */
/* The etcd plane against a real etcd: what applications see, and what bad bytes do. */
#include "io/etcd_plane.h"

#include "base/log.h"
#include "fault/etcd_app.h"

static struct etcd_server etcd;

/* One sidecar of a namespace and one client of it. */
struct world {
    struct loop l;
    struct ns_path ns;
    struct addr upstream[2], listen;
    struct etcd_plane *plane;
    struct app app;
};

static enum err try_open(struct world *w, struct span root, unsigned upstreams, struct buf *error)
{
    struct etcd_plane_options o = {.ns = &w->ns,
                                   .key_root = root,
                                   .upstream = w->upstream,
                                   .upstreams = upstreams,
                                   .listen = &w->listen,
                                   .listens = 1};
    return etcd_plane_open(&w->l, &o, &w->plane, error);
}

static void begin(struct world *w, const char *ns, struct addr upstream, const char *root)
{
    struct buf error = {0};
    *w = (struct world){.upstream = {upstream}};
    assert_int_equal(loop_init(&w->l), ERR_OK);
    assert_int_equal(ns_path_parse(span_str(ns), '/', &w->ns, NULL), ERR_OK);
    w->listen = etcd_app_addr("127.0.0.1", 0);
    assert_int_equal(try_open(w, span_str(root), 1, &error), ERR_OK);
    struct addr at = etcd_plane_addr(w->plane);
    app_open(&w->app, &w->l, &at, 0);
}

static void begin_real(struct world *w, const char *ns)
{
    begin(w, ns, etcd_app_addr("127.0.0.1", etcd.port), "bh/");
}

static void end(struct world *w)
{
    etcd_plane_close(&w->plane);
    tcp_close(&w->app.tcp);
    assert_int_equal(loop_deinit(&w->l), 0);
    assert_int_equal(w->l.counters.gauge[GAUGE_ETCD_CONNS], 0);
    assert_int_equal(w->l.counters.gauge[GAUGE_ETCD_STREAMS], 0);
    assert_int_equal(w->l.connections, 0);
}

static struct pb_build *put_request(const char *key, struct span value)
{
    static struct pb_build m;
    m.n = 0;
    pb_str(&m, 1, key);
    pb_span(&m, 2, value);
    return &m;
}

static void put(struct world *w, const char *key, const char *value)
{
    struct app_call c;
    app_unary(&w->app, &c, "/etcdserverpb.KV/Put", pb_built(put_request(key, span_str(value))));
    WAIT_FOR(&w->l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
}

static void put_bytes(struct world *w, const char *key, size_t n, struct app_call *c)
{
    struct pb_build head = {0};
    struct buf m = {0};
    pb_str(&head, 1, key);
    pb_var(&head, 2 * 8 + 2);
    pb_var(&head, n);
    assert_int_equal(buf_append(&m, pb_built(&head)), ERR_OK);
    assert_int_equal(buf_reserve(&m, n), ERR_OK);
    memset(m.data + m.tail, 'v', n);
    m.tail += n;
    app_unary(&w->app, c, "/etcdserverpb.KV/Put", buf_span(&m));
    buf_deinit(&m);
    WAIT_FOR(&w->l, c->closed);
}

/* key .. end of everything. */
static struct span range_all(void)
{
    static struct pb_build m;
    m.n = 0;
    pb_span(&m, 1, span_of("\0", 1));
    pb_span(&m, 2, span_of("\0", 1));
    return pb_built(&m);
}

static void expect_one(struct world *w, const char *key, const char *value)
{
    struct app_call c;
    app_unary(&w->app, &c, "/etcdserverpb.KV/Range", range_all());
    WAIT_FOR(&w->l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    assert_string_equal(c.content_type, "application/grpc");
    struct span kv = pb_find(app_reply(&c, 0), 2, 0).s;
    assert_span_equal(pb_find(kv, 1, 0).s, span_str(key));
    assert_span_equal(pb_find(kv, 5, 0).s, span_str(value));
    assert_int_equal(pb_find(app_reply(&c, 0), 2, 1).field, 0);
    app_call_end(&c);
}

static void expect_status(struct world *w, struct app_call *c, int status, const char *message)
{
    WAIT_FOR(&w->l, c->closed);
    assert_int_equal(c->grpc_status, status);
    assert_string_equal(c->message, message);
    assert_int_equal(c->code, NGHTTP2_NO_ERROR);
    app_call_end(c);
}

/* -- what works
 * -------------------------------------------------------------------------------------- */
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

static struct span watch_all(void)
{
    static struct pb_build m, create;
    m.n = create.n = 0;
    pb_span(&create, 1, span_of("\0", 1));
    pb_span(&create, 2, span_of("\0", 1));
    pb_sub(&m, 1, &create);
    return pb_built(&m);
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
    put_bytes(&w, "k", 1400 * 1024, &c);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
    put_bytes(&w, "k", 2000 * 1024, &c); /* below ours, above etcd's for what is stored */
    assert_int_equal(c.grpc_status, 3);
    assert_string_equal(c.message, "etcdserver: request is too large");
    app_call_end(&c);
    put_bytes(&w, "k", 2200 * 1024, &c);
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
        put_bytes(&w, key, 1024 * 1024, &c);
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
    assert_true(app_reply(&c, 0).n > 1024 * 1024);
    app_call_end(&c);
    assert_false(list.closed);

    tcp_read(&w.app.tcp, true);
    WAIT_FOR(&w.l, list.closed);
    assert_int_equal(list.grpc_status, 0);
    assert_true(app_reply(&list, 0).n > 20 * 1024 * 1024);
    assert_span_equal(pb_find(pb_find(app_reply(&list, 0), 2, 19).s, 1, 0).s, SPAN_LIT("k19"));
    app_call_end(&list);
    tcp_close(&other.tcp);
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
    raw_open(&other, &w.l, &at, SPAN_LIT("POST /v3/kv/range HTTP/1.0\r\n\r\n"));
    WAIT_FOR(&w.l, other.closed);
    assert_true(raw_has(&other, "404"));
    assert_true(raw_has(&other, "gRPC"));
    raw_end(&health);
    raw_end(&other);
    end(&w);
}

/* -- refused calls
 * ---------------------------------------------------------------------------------- */
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
        {"/v3lockpb.Lock/Lock", 12,
         "bulkhead: this version does not serve RangeStream, Lock or Election"},
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

/* -- bytes that are no HTTP/2
 * -------------------------------------------------------------------------- */
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

/* -- upstream
 * ------------------------------------------------------------------------------------------ */
static void an_upstream_that_is_down_is_unavailable_in_the_words_that_clients_retry(void **state)
{
    (void)state;
    struct world w;
    struct app_call c, watch;
    begin(&w, "down", etcd_app_addr("127.0.0.1", free_port()), "bh/");
    app_unary(&w.app, &c, "/etcdserverpb.KV/Range", range_all());
    app_call_open(&w.app, &watch, "/etcdserverpb.Watch/Watch");
    app_message(&watch, watch_all(), false);
    expect_status(&w, &c, 14, "there is no connection available");
    expect_status(&w, &watch, 14, "there is no connection available");
    app_unary(&w.app, &c, "/etcdserverpb.KV/Range", range_all());
    expect_status(&w, &c, 14, "there is no connection available");
    assert_true(w.l.counters.n[COUNTER_ETCD_DIAL_FAIL] > 0);
    const char *why = NULL;
    assert_false(etcd_plane_is_ready(w.plane, &why));
    assert_string_equal(why, "no etcd upstream answers");
    end(&w);
}

static void a_call_waits_for_a_silent_upstream_until_its_deadline(void **state)
{
    (void)state;
    static const struct app_field timeout = {"grpc-timeout", "80m"};
    struct world w;
    struct fake f;
    struct app_call c;
    begin_real(&w, "silent"); /* for the loop; its plane is not used */
    struct addr up = fake_open(&f, &w.l, SPAN_NONE, false);
    struct etcd_plane *real = w.plane;
    struct buf error = {0};
    w.upstream[1] = up;
    struct etcd_plane_options o = {.ns = &w.ns,
                                   .key_root = SPAN_LIT("bh/"),
                                   .upstream = &w.upstream[1],
                                   .upstreams = 1,
                                   .listen = &w.listen,
                                   .listens = 1};
    assert_int_equal(etcd_plane_open(&w.l, &o, &w.plane, &error), ERR_OK);
    struct app app;
    struct addr at = etcd_plane_addr(w.plane);
    app_open(&app, &w.l, &at, 0);
    app_call_with(&app, &c, "/etcdserverpb.KV/Range", &timeout, 1);
    app_message(&c, range_all(), true);
    expect_status(&w, &c, 4, "context deadline exceeded");
    etcd_plane_close(&real);
    tcp_close(&app.tcp);
    fake_close(&f);
    end(&w);
    fake_free(&f);
}

static void an_upstream_of_another_protocol_is_unavailable(void **state)
{
    (void)state;
    static const struct span says[] = {
        {(const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n", 28},
        {(const uint8_t *)"INFO {\"server_id\":\"x\"}\r\n", 24},
        {(const uint8_t *)"\x15\x03\x01\0\x02\x02\x46", 7},
        {(const uint8_t *)"\0\0\0", 3}, /* cut in the middle of a frame */
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"\0\0\0\4\0\0\0\0\0\0\0\1\0\0\0\0\0\0x", 19}, /* usable, then broken */
        {(const uint8_t *)"\0\0\0\4\0\0\0\0\0\xff\xff\xff", 12},
    };
    for (size_t i = 0; i < ARRAY_LEN(says); i++) {
        struct world w = {0};
        struct fake f;
        struct app_call c;
        struct buf error = {0};
        assert_int_equal(loop_init(&w.l), ERR_OK);
        assert_int_equal(ns_path_parse(SPAN_LIT("x"), '/', &w.ns, NULL), ERR_OK);
        w.listen = etcd_app_addr("127.0.0.1", 0);
        w.upstream[0] = fake_open(&f, &w.l, says[i], true);
        assert_int_equal(try_open(&w, SPAN_LIT("bh/"), 1, &error), ERR_OK);
        struct addr at = etcd_plane_addr(w.plane);
        app_open(&w.app, &w.l, &at, 0);
        app_unary(&w.app, &c, "/etcdserverpb.KV/Range", range_all());
        WAIT_FOR(&w.l, c.closed);
        assert_int_equal(c.grpc_status, 14);
        app_call_end(&c);
        fake_close(&f);
        end(&w);
        fake_free(&f);
    }
}

static void the_second_address_serves_when_the_first_is_dead(void **state)
{
    (void)state;
    struct buf error = {0};
    for (unsigned i = 0; i < 4; i++) { /* whichever is tried first */
        struct world w;
        begin_real(&w, "second");
        struct etcd_plane *first = w.plane;
        w.upstream[1] = etcd_app_addr("127.0.0.1", free_port());
        assert_int_equal(try_open(&w, SPAN_LIT("bh/"), 2, &error), ERR_OK);
        etcd_plane_close(&first);
        const char *why;
        WAIT_FOR(&w.l, etcd_plane_is_ready(w.plane, &why));
        end(&w);
    }
}

static void calls_in_flight_end_with_another_text_when_upstream_dies(void **state)
{
    (void)state;
    struct etcd_server own = {0};
    struct world w;
    struct app_call watch, c;
    const char *why;
    etcd_server_start(&own);
    begin(&w, "dies", etcd_app_addr("127.0.0.1", own.port), "bh/");
    app_call_open(&w.app, &watch, "/etcdserverpb.Watch/Watch");
    app_message(&watch, watch_all(), false);
    WAIT_FOR(&w.l, app_reply(&watch, 0).n != 0);
    etcd_server_signal(&own, SIGSTOP);
    uint64_t before = w.l.counters.n[COUNTER_ETCD_TX_UP];
    app_unary(&w.app, &c, "/etcdserverpb.KV/Put", pb_built(put_request("k", SPAN_LIT("v"))));
    WAIT_FOR(&w.l, w.l.counters.n[COUNTER_ETCD_TX_UP] > before);
    etcd_server_signal(&own, SIGKILL);
    expect_status(&w, &c, 14,
                  "bulkhead: the connection to etcd was lost while the call was in flight");
    expect_status(&w, &watch, 14,
                  "bulkhead: the connection to etcd was lost while the call was in flight");
    app_unary(&w.app, &c, "/etcdserverpb.KV/Range", range_all());
    expect_status(&w, &c, 14, "there is no connection available");

    etcd_server_start(&own);
    WAIT_FOR(&w.l, etcd_plane_is_ready(w.plane, &why));
    put(&w, "k", "again");
    expect_one(&w, "k", "again");
    end(&w);
    etcd_server_end(&own);
}

static void a_store_of_another_layout_is_not_touched(void **state)
{
    (void)state;
    struct world direct, w;
    struct app_call c;
    const char *why;
    begin_real(&direct, "layout");
    struct addr up = etcd_app_addr("127.0.0.1", etcd.port);
    struct app raw;
    app_open(&raw, &direct.l, &up, 0);
    app_unary(&raw, &c, "/etcdserverpb.KV/Put", pb_built(put_request("lay/m/v", SPAN_LIT("99"))));
    WAIT_FOR(&direct.l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
    tcp_close(&raw.tcp);
    end(&direct);

    begin(&w, "layout", up, "lay/");
    app_unary(&w.app, &c, "/etcdserverpb.KV/Range", range_all());
    expect_status(&w, &c, 9, "bulkhead: the store's layout version is not this sidecar's");
    assert_false(etcd_plane_is_ready(w.plane, &why));
    assert_string_equal(why, "the store's layout version is not this sidecar's");
    end(&w);
}

static void tls_upstreams_are_refused_with_what_to_do(void **state)
{
    (void)state;
    struct world w;
    struct buf error = {0};
    begin_real(&w, "tls");
    struct etcd_plane *real = w.plane;
    w.upstream[0].scheme = ADDR_HTTPS;
    assert_int_equal(try_open(&w, SPAN_LIT("bh/"), 1, &error), ERR_CONFIG);
    assert_non_null(memmem(error.data, error.tail, "http://", 7));
    assert_int_equal(try_open(&w, SPAN_LIT("bh/"), 0, &error), ERR_CONFIG);
    buf_deinit(&error);
    w.plane = real;
    end(&w);
}

/* -- ends
 * -----------------------------------------------------------------------------------------------
 */
static void drain_lets_unary_calls_finish_and_ends_streams(void **state)
{
    (void)state;
    struct world w;
    struct app_call watch, c;
    begin_real(&w, "drain");
    app_call_open(&w.app, &watch, "/etcdserverpb.Watch/Watch");
    app_message(&watch, watch_all(), false);
    WAIT_FOR(&w.l, app_reply(&watch, 0).n != 0);
    app_unary(&w.app, &c, "/etcdserverpb.KV/Range", range_all());
    etcd_plane_drain(w.plane);
    assert_false(etcd_plane_is_idle(w.plane));
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
    WAIT_FOR(&w.l, w.app.goaway);
    expect_status(&w, &watch, 14, "bulkhead: the sidecar is stopping");
    WAIT_FOR(&w.l, etcd_plane_is_idle(w.plane));
    WAIT_FOR(&w.l, w.app.closed);
    end(&w);
}

/* Close after every number of loop turns of a life that has a watch, a put and a large list. */
static void close_in_every_state_leaves_nothing(void **state)
{
    (void)state;
    for (unsigned turns = 0; turns < 60; turns++) {
        struct world w;
        struct app_call calls[4];
        struct raw http1;
        begin_real(&w, "list"); /* has 20 MiB, from above */
        struct addr at = etcd_plane_addr(w.plane);
        raw_open(&http1, &w.l, &at, SPAN_LIT("GET /health"));
        app_call_open(&w.app, &calls[0], "/etcdserverpb.Watch/Watch");
        app_message(&calls[0], watch_all(), false);
        app_unary(&w.app, &calls[1], "/etcdserverpb.KV/Put",
                  pb_built(put_request("k00", SPAN_LIT("v"))));
        app_unary(&w.app, &calls[2], "/etcdserverpb.KV/Range", range_all());
        app_call_open(&w.app, &calls[3], "/etcdserverpb.KV/Put"); /* never finished */
        for (unsigned i = 0; i < turns; i++)
            uv_run(&w.l.uv, UV_RUN_NOWAIT);
        if (turns % 3 == 1)
            WAIT_FOR(&w.l, calls[2].head);
        if (turns % 3 == 2)
            etcd_plane_drain(w.plane);
        tcp_close(&http1.tcp);
        end(&w);
        for (unsigned i = 0; i < 4; i++) {
            calls[i].app = NULL;
            app_call_end(&calls[i]);
        }
        raw_end(&http1);
    }
}

static int start(void **state)
{
    (void)state;
    log_set(LOG_ERROR, LOG_LOGFMT);
    etcd_server_start(&etcd);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    etcd_server_end(&etcd);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_namespaces_keep_their_own_value_of_one_key),
        cmocka_unit_test(a_watch_tells_own_events_only_until_it_is_cancelled),
        cmocka_unit_test(half_close_keeps_a_watch_and_ends_a_keep_alive),
        cmocka_unit_test(many_calls_at_once_are_all_answered),
        cmocka_unit_test(a_large_value_passes_and_one_over_the_limit_gets_etcds_words),
        cmocka_unit_test(a_slow_reader_of_a_large_list_stalls_only_itself),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(http1_is_answered_on_the_same_port),
        cmocka_unit_test(calls_that_are_not_served_are_answered_before_upstream_is_touched),
        cmocka_unit_test(requests_that_are_no_grpc_get_an_http_status),
        cmocka_unit_test(broken_grpc_messages_end_their_call_only),
        cmocka_unit_test(bytes_of_another_protocol_end_their_connection_only),
        cmocka_unit_test(a_connection_cut_anywhere_leaves_nothing),
        cmocka_unit_test(a_flood_of_resets_ends_the_connection),
        cmocka_unit_test(an_upstream_that_is_down_is_unavailable_in_the_words_that_clients_retry),
        cmocka_unit_test(a_call_waits_for_a_silent_upstream_until_its_deadline),
        cmocka_unit_test(an_upstream_of_another_protocol_is_unavailable),
        cmocka_unit_test(the_second_address_serves_when_the_first_is_dead),
        cmocka_unit_test(calls_in_flight_end_with_another_text_when_upstream_dies),
        cmocka_unit_test(a_store_of_another_layout_is_not_touched),
        cmocka_unit_test(tls_upstreams_are_refused_with_what_to_do),
        cmocka_unit_test(drain_lets_unary_calls_finish_and_ends_streams),
        cmocka_unit_test(close_in_every_state_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
