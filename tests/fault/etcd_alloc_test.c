/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The etcd plane with the n-th allocation failing, for every n: at worst calls and connections end,
 * the next connection works, nothing leaks. nghttp2's own allocations are not counted.
 */
#include "fault/alloc.h"
#include "fault/etcd_world.h"

static void own(int by)
{
    alloc_state.paused += by;
}

/* A put, a lease, a list, a watch with an event. True if all of them were answered well. */
static bool converse(struct world *w, struct app *app)
{
    struct app_call c[4];
    struct pb_build grant = {0};
    struct addr at = etcd_plane_addr(w->plane);
    pb_num(&grant, 1, 60);
    own(1);
    app_open(app, &w->l, &at, 0);
    app_call_open(app, &c[0], "/etcdserverpb.Watch/Watch");
    app_message(&c[0], watch_all(), false);
    app_unary(app, &c[1], "/etcdserverpb.Lease/LeaseGrant", pb_built(&grant));
    app_unary(app, &c[2], "/etcdserverpb.KV/Range", range_all());
    own(-1);
    WAIT_FOR(&w->l, app->ended || ((c[0].closed || app_reply(&c[0], 0).n != 0) && c[1].closed &&
                                   c[2].closed));
    own(1);
    if (!app->ended)
        app_unary(app, &c[3], "/etcdserverpb.KV/Put",
                  pb_built(put_request("k", SPAN_LIT("value"))));
    else
        c[3] = (struct app_call){.closed = true, .grpc_status = -1};
    own(-1);
    WAIT_FOR(&w->l, app->ended || c[3].closed);
    if (!app->ended && c[3].grpc_status == 0 && !c[0].closed)
        WAIT_FOR(&w->l, app->ended || c[0].closed || app_reply(&c[0], 1).n != 0);
    bool well = !app->ended && !c[0].closed;
    for (unsigned i = 0; i < 4; i++) {
        well = well && (i == 0 || c[i].grpc_status == 0);
        app_call_end(&c[i]);
    }
    tcp_close(&app->tcp);
    WAIT_FOR(&w->l, app->closed);
    return well;
}

/* One life with the n-th allocation failing. True if it came to that. */
static bool live(unsigned n)
{
    struct world w = {.upstream = {etcd_app_addr("127.0.0.1", etcd.port)}};
    struct buf error = {0};
    assert_int_equal(loop_init(&w.l), ERR_OK);
    assert_int_equal(ns_path_parse(SPAN_LIT("alloc"), '/', &w.ns, NULL), ERR_OK);
    w.listen = etcd_app_addr("127.0.0.1", 0);
    alloc_fail_at(n);
    enum err e = try_open(&w, SPAN_LIT("bh/"), 1, &error);
    if (e == ERR_OK) {
        bool well = converse(&w, &w.app);
        bool failed = alloc_state.has_failed;
        alloc_fail_at(0);
        alloc_state.has_failed = failed;
        if (!failed)
            assert_true(well);
        const char *why;
        WAIT_FOR(&w.l, etcd_plane_is_ready(w.plane, &why));
        assert_true(converse(&w, &w.app));
    }
    bool failed = alloc_state.has_failed;
    alloc_fail_at(0);
    etcd_plane_close(&w.plane);
    assert_int_equal(loop_deinit(&w.l), 0);
    assert_int_equal(w.l.counters.gauge[GAUGE_ETCD_STREAMS], 0);
    assert_int_equal(w.l.connections, 0);
    buf_deinit(&error);
    return failed;
}

static void every_allocation_may_fail_once(void **state)
{
    (void)state;
    app_own = own;
    unsigned n = 1;
    while (live(n))
        n++;
    print_message("%u allocations\n", n - 1);
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail_once)};
    return cmocka_run_group_tests(tests, start, stop);
}
