/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The etcd plane, with its own slice and with a view over a child, with the n-th allocation
 * failing, for every n: at worst calls and connections end, the next connection works, nothing
 * leaks. nghttp2's own allocations are not counted.
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

/* -- a view over a child, which holds v1/k = "far" -- */
static struct span view_range(unsigned in_field)
{
    static struct pb_build m, outer;
    m.n = outer.n = 0;
    pb_str(&m, 1, "v1/");
    pb_str(&m, 2, "v10");
    if (in_field == 0)
        return pb_built(&m);
    pb_num(&m, 6, 1); /* prev_kv */
    pb_sub(&outer, in_field, &m);
    return pb_built(&outer);
}

static struct span field_of(struct span message, uint32_t outer, uint32_t inner)
{
    return pb_find(pb_find(message, outer, 0).s, inner, 0).s;
}

/* It is said what is wrong, or the call is reset. */
static bool ended_well(const struct app_call *c)
{
    enum { EXHAUSTED = 8, UNAVAILABLE = 14 };
    assert_true(c->code != 0 || c->grpc_status == 0 || c->grpc_status == EXHAUSTED ||
                c->grpc_status == UNAVAILABLE);
    return c->grpc_status == 0;
}

/* True if it was answered well. */
static bool call_view(struct world *w, struct app *app, const char *path, struct span message)
{
    struct app_call c;
    own(1);
    app_unary(app, &c, path, message);
    own(-1);
    WAIT_FOR(&w->l, app->ended || c.closed);
    own(1);
    bool well = c.closed && ended_well(&c);
    if (well && message.p == view_range(0).p)
        assert_true(pb_find(app_reply(&c, 0), 2, 0).s.n != 0);
    app_call_end(&c);
    own(-1);
    return well;
}

static bool wait_event(struct world *w, struct app *app, struct app_call *watch, unsigned nth,
                       const char *value, const char *before)
{
    WAIT_FOR(&w->l, app->ended || watch->closed || app_reply(watch, nth).n != 0);
    struct span event = pb_find(app_reply(watch, nth), 11, 0).s;
    if (app_reply(watch, nth).n == 0)
        return false;
    assert_int_equal(pb_find(event, 1, 0).v, 0);
    assert_span_equal(field_of(event, 2, 5), span_str(value));
    if (before != NULL)
        assert_span_equal(field_of(event, 3, 5), span_str(before));
    return true;
}

/* A watch and a Range of the subtree; a put that takes over what the child holds, a delete after
 * which it is the child's again: each is shown after a read. */
static bool converse_view(struct world *w, struct app *app)
{
    struct app_call watch;
    struct addr at = etcd_plane_addr(w->plane);
    struct pb_build key = {0};
    pb_str(&key, 1, "v1/k");
    own(1);
    app_open(app, &w->l, &at, 0);
    app_call_open(app, &watch, "/etcdserverpb.Watch/Watch");
    app_message(&watch, view_range(1), false);
    own(-1);
    WAIT_FOR(&w->l, app->ended || watch.closed || app_reply(&watch, 0).n != 0);
    bool well = !app->ended && !watch.closed;
    if (!app->ended)
        well = call_view(w, app, "/etcdserverpb.KV/Range", view_range(0)) && well;
    well = well && !app->ended &&
           call_view(w, app, "/etcdserverpb.KV/Put",
                     pb_built(put_request("v1/k", SPAN_LIT("near")))) &&
           wait_event(w, app, &watch, 1, "near", NULL);
    well = well && !app->ended &&
           call_view(w, app, "/etcdserverpb.KV/DeleteRange", pb_built(&key)) &&
           wait_event(w, app, &watch, 2, "far", "near");
    if (watch.closed && !app->ended)
        well = ended_well(&watch) && false; /* by itself a watch does not end */
    well = well && !app->ended;
    own(1);
    app_call_end(&watch);
    own(-1);
    tcp_close(&app->tcp);
    WAIT_FOR(&w->l, app->closed);
    return well;
}

static enum err open_view(struct world *w, struct buf *error)
{
    static const struct span prefixes[] = {{(const uint8_t *)"v1/", 3}};
    struct etcd_plane_options o = {.ns = &w->ns,
                                   .key_root = SPAN_LIT("bh/"),
                                   .is_subtree = true,
                                   .view_keys = prefixes,
                                   .view_key_prefixes = 1,
                                   .upstream = w->upstream,
                                   .upstreams = 1,
                                   .listen = &w->listen,
                                   .listens = 1};
    return etcd_plane_open(&w->l, &o, &w->plane, error);
}

static void make_child(void)
{
    struct world raw = {0};
    struct addr at = etcd_app_addr("127.0.0.1", etcd.port);
    assert_int_equal(loop_init(&raw.l), ERR_OK);
    app_open(&raw.app, &raw.l, &at, 0);
    put(&raw, "bh/m/n/alloc/c.", "x");
    put(&raw, "bh/d/alloc/c.v1/k", "far");
    tcp_close(&raw.app.tcp);
    WAIT_FOR(&raw.l, raw.app.closed);
    assert_int_equal(loop_deinit(&raw.l), 0);
}

/* One life with the n-th allocation failing. True if it came to that. */
static bool live(unsigned n, bool is_view)
{
    bool (*talk)(struct world *, struct app *) = is_view ? converse_view : converse;
    const struct addr up = etcd_app_addr("127.0.0.1", etcd.port);
    struct world w = {.upstream = {up, up}};
    struct buf error = {0};
    assert_int_equal(loop_init(&w.l), ERR_OK);
    assert_int_equal(ns_path_parse(SPAN_LIT("alloc"), '/', &w.ns, NULL), ERR_OK);
    w.listen = etcd_app_addr("127.0.0.1", 0);
    alloc_fail_at(n);
    enum err e = is_view ? open_view(&w, &error) : try_open(&w, SPAN_LIT("bh/"), 2, &error);
    if (e == ERR_OK) {
        bool well = talk(&w, &w.app);
        bool failed = alloc_state.has_failed;
        alloc_fail_at(0);
        alloc_state.has_failed = failed;
        if (!failed)
            assert_true(well);
        const char *why;
        WAIT_FOR(&w.l, etcd_plane_is_ready(w.plane, &why));
        assert_true(talk(&w, &w.app));
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

static void sweep(bool is_view)
{
    app_own = own;
    unsigned n = 1;
    while (live(n, is_view))
        n++;
    print_message("%u allocations\n", n - 1);
    assert_true(n > 30);
}

static void every_allocation_may_fail_once(void **state)
{
    (void)state;
    sweep(false);
}

static void every_allocation_over_a_view_may_fail_once(void **state)
{
    (void)state;
    make_child();
    sweep(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail_once),
        cmocka_unit_test(every_allocation_over_a_view_may_fail_once)};
    return cmocka_run_group_tests(tests, start, stop);
}
