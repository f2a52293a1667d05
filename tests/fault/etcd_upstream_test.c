/* SPDX-License-Identifier: Apache-2.0 */
/* The etcd plane and its upstream: down, another protocol, dying; and how the plane ends. */
#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>

#include "etcd/registry.h"
#include "fault/etcd_world.h"
#include "policy/lease_tag.h"

/* -- a name whose address changes -- */
static _Atomic(const char *) moving_to; /* what "moving.test" is just now */
static atomic_uint asked;               /* how often that was asked */

/* libuv's threads find this one before libc's; so it must be seen from outside. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **found)
{
    int (*libc)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&libc = dlsym(RTLD_NEXT, "getaddrinfo");
    if (node == NULL || strcmp(node, "moving.test") != 0)
        return libc(node, service, hints, found);
    atomic_fetch_add(&asked, 1);
    return libc(atomic_load(&moving_to), service, hints, found);
}

/* -- upstream -- */
static void an_upstream_that_is_down_is_unavailable_in_the_words_that_clients_retry(void **state)
{
    (void)state;
    struct world w;
    struct app_call c, watch;
    begin(&w, "down", etcd_app_addr("127.0.0.1", held_port()), "bh/");
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
        w.upstream[1] = etcd_app_addr("127.0.0.1", held_port());
        assert_int_equal(try_open(&w, SPAN_LIT("bh/"), 2, &error), ERR_OK);
        etcd_plane_close(&first);
        const char *why;
        WAIT_FOR(&w.l, etcd_plane_is_ready(w.plane, &why));
        end(&w);
    }
}

static void a_name_is_asked_for_its_address_at_each_dial(void **state)
{
    (void)state;
    struct world w;
    const char *why;
    atomic_store(&moving_to, "127.0.0.2"); /* nobody is there */
    begin(&w, "moves", etcd_app_addr("moving.test", etcd.port), "bh/");
    WAIT_FOR(&w.l, w.l.counters.n[COUNTER_ETCD_DIAL_FAIL] > 1);
    assert_false(etcd_plane_is_ready(w.plane, &why));
    atomic_store(&moving_to, "127.0.0.1");
    unsigned before = atomic_load(&asked);
    WAIT_FOR(&w.l, etcd_plane_is_ready(w.plane, &why));
    assert_true(atomic_load(&asked) > before);
    put(&w, "k", "v");
    end(&w);
}

static void calls_in_flight_end_with_another_text_when_upstream_dies(void **state)
{
    (void)state;
    struct etcd_server own = {0};
    static const struct app_field hasleader = {"hasleader", "true"};
    struct world w;
    struct app_call watch, c;
    const char *why;
    etcd_server_start(&own);
    begin(&w, "dies", etcd_app_addr("127.0.0.1", own.port), "bh/");
    app_call_with(&w.app, &watch, "/etcdserverpb.Watch/Watch", &hasleader, 1);
    app_message(&watch, watch_all(), false);
    WAIT_FOR(&w.l, app_reply(&watch, 0).n != 0);
    etcd_server_signal(&own, SIGSTOP);
    uint64_t before = w.l.counters.n[COUNTER_ETCD_TX_UP];
    app_unary(&w.app, &c, "/etcdserverpb.KV/Put", pb_built(put_request("k", SPAN_LIT("v"))));
    WAIT_FOR(&w.l, w.l.counters.n[COUNTER_ETCD_TX_UP] > before);
    etcd_server_signal(&own, SIGKILL);
    expect_status(&w, &c, 14,
                  "bulkhead: the connection to etcd was lost while the call was in flight");
    expect_status(&w, &watch, 14, "etcdserver: no leader");
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

/* 4096 tags from the namespace's own on, 128 a Txn. */
static void take_tags(struct loop *l, struct app *raw, uint32_t tag)
{
    static struct pb_build txn, op, request;
    for (unsigned i = 0; i < REGISTRY_TAG_TRIES; txn.n = 0) {
        for (unsigned end = i + 128; i < end; i++) {
            char key[32];
            (void)snprintf(key, sizeof key, "tags/m/t/%06x", (tag + i) % LEASE_TAG_COUNT);
            request.n = op.n = 0;
            pb_str(&request, 1, key);
            pb_sub(&op, 2, &request);
            pb_sub(&txn, 2, &op);
        }
        struct app_call c;
        app_unary(raw, &c, "/etcdserverpb.KV/Txn", pb_built(&txn));
        WAIT_FOR(l, c.closed);
        assert_int_equal(c.grpc_status, 0);
        app_call_end(&c);
    }
}

static void tags_that_are_all_taken_are_named_and_the_search_goes_on(void **state)
{
    (void)state;
    struct world direct, w;
    struct app_call c;
    struct app raw;
    const char *why = "";
    begin_real(&direct, "tagged");
    struct addr up = etcd_app_addr("127.0.0.1", etcd.port);
    app_open(&raw, &direct.l, &up, 0);
    take_tags(&direct.l, &raw, lease_tag_hash(SPAN_LIT("tagged")));
    tcp_close(&raw.tcp);
    end(&direct);

    begin(&w, "tagged", up, "tags/");
    app_unary(&w.app, &c, "/etcdserverpb.KV/Range", range_all());
    expect_status(&w, &c, 9, "bulkhead: no lease tag is free for this namespace");
    assert_false(etcd_plane_is_ready(w.plane, &why));
    assert_non_null(strstr(why, "no lease tag is free for this namespace"));
    WAIT_FOR(&w.l, etcd_plane_is_ready(w.plane, &why)); /* the next one is free */
    end(&w);
}

static void a_plane_without_an_upstream_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct buf error = {0};
    begin_real(&w, "none");
    struct etcd_plane *real = w.plane;
    assert_int_equal(try_open(&w, SPAN_LIT("bh/"), 0, &error), ERR_CONFIG);
    buf_deinit(&error);
    w.plane = real;
    end(&w);
}

/* -- ends -- */
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
    struct world full;
    begin_real(&full, "states");
    for (unsigned i = 0; i < 5; i++) {
        struct app_call c;
        char key[8];
        snprintf(key, sizeof key, "k%u", i);
        put_kib(&full, key, 1024, &c);
        app_call_end(&c);
    }
    end(&full);
    for (unsigned turns = 0; turns < 60; turns++) {
        struct world w;
        struct app_call calls[4];
        struct raw http1;
        begin_named(&w, "states", etcd_app_addr("127.0.0.1", etcd.port), "bh/", 1 + turns % 2);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upstream_that_is_down_is_unavailable_in_the_words_that_clients_retry),
        cmocka_unit_test(a_call_waits_for_a_silent_upstream_until_its_deadline),
        cmocka_unit_test(an_upstream_of_another_protocol_is_unavailable),
        cmocka_unit_test(the_second_address_serves_when_the_first_is_dead),
        cmocka_unit_test(a_name_is_asked_for_its_address_at_each_dial),
        cmocka_unit_test(calls_in_flight_end_with_another_text_when_upstream_dies),
        cmocka_unit_test(a_store_of_another_layout_is_not_touched),
        cmocka_unit_test(tags_that_are_all_taken_are_named_and_the_search_goes_on),
        cmocka_unit_test(a_plane_without_an_upstream_is_refused),
        cmocka_unit_test(drain_lets_unary_calls_finish_and_ends_streams),
        cmocka_unit_test(close_in_every_state_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
