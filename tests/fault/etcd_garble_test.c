/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that change on their way, in either direction, and connections cut at any byte: whatever
 * happens to the calls, nothing crashes, nothing leaks, and the next connection works.
 */
#include "fault/etcd_world.h"

enum { PAIRS_MAX = 64, SETTLE_MS = 40 };
enum side { SIDE_IN, SIDE_OUT }; /* who dialled us, whom we dialled */

struct pair;
struct half {
    struct tcp tcp; /* first */
    struct pair *pair;
    enum side side;
    bool open;
};

struct pair {
    struct half half[2];
    struct garbler *g;
};

/* Stands between two others and spoils one byte, or cuts, after `at` bytes of one direction. */
struct garbler {
    struct loop *l;
    struct listener *listener;
    struct addr to;
    enum side from;
    size_t at, seen;
    uint8_t flip; /* 0: cut instead */
    bool done;
    struct pair *pair[PAIRS_MAX];
    unsigned n;
};

static struct half *other(struct half *h)
{
    return &h->pair->half[h->side == SIDE_IN ? SIDE_OUT : SIDE_IN];
}

static void on_half_read(struct tcp *t, struct span in)
{
    struct half *h = (struct half *)t;
    struct garbler *g = h->pair->g;
    if (h->side == g->from) {
        if (!g->done && g->seen + in.n > g->at) {
            g->done = true;
            if (g->flip == 0)
                in.n = g->at - g->seen;
            else
                ((uint8_t *)(uintptr_t)in.p)[g->at - g->seen] ^= g->flip;
        }
        g->seen += in.n;
    }
    assert_int_equal(tcp_write(&other(h)->tcp, in), ERR_OK);
    if (g->done && g->flip == 0) {
        tcp_close(&h->tcp);
        tcp_close_when_sent(&other(h)->tcp);
    }
}

static void on_half_connected(struct tcp *t)
{
    tcp_read(t, true);
}

static void on_half_drained(struct tcp *t)
{
    (void)t;
}

static void on_half_end(struct tcp *t, int status)
{
    (void)status;
    tcp_close_when_sent(&other((struct half *)t)->tcp);
    tcp_close(t);
}

static void on_half_closed(struct tcp *t)
{
    (void)t;
}

static const struct tcp_handler half_events = {.on_connected = on_half_connected,
                                               .on_read = on_half_read,
                                               .on_drained = on_half_drained,
                                               .on_end = on_half_end,
                                               .on_closed = on_half_closed};

static void on_garbler_accept(void *arg, uv_stream_t *server)
{
    struct garbler *g = arg;
    if (g->n == PAIRS_MAX) {
        listener_refuse(server);
        return;
    }
    struct pair *p = calloc(1, sizeof *p);
    assert_non_null(p);
    g->pair[g->n++] = p;
    p->g = g;
    for (unsigned i = 0; i < 2; i++) {
        p->half[i].pair = p;
        p->half[i].side = (enum side)i;
    }
    assert_int_equal(tcp_accept(&p->half[SIDE_IN].tcp, g->l, server, &half_events), ERR_OK);
    assert_int_equal(tcp_dial(&p->half[SIDE_OUT].tcp, g->l, &g->to, &half_events), ERR_OK);
    tcp_read(&p->half[SIDE_IN].tcp, true);
}

static struct addr garbler_open(struct garbler *g, struct loop *l)
{
    struct buf error = {0};
    struct addr any = etcd_app_addr("127.0.0.1", 0);
    struct listener_options o = {.addrs = &any,
                                 .n = 1,
                                 .option = "--test",
                                 .is_unlimited = true,
                                 .accept = on_garbler_accept,
                                 .arg = g};
    g->l = l;
    assert_int_equal(listener_open(l, &o, &g->listener, &error), ERR_OK);
    return listener_addr(g->listener);
}

static void garbler_close(struct garbler *g)
{
    listener_close(&g->listener);
    for (unsigned i = 0; i < g->n; i++)
        for (unsigned side = 0; side < 2; side++)
            tcp_close(&g->pair[i]->half[side].tcp);
}

static void garbler_free(struct garbler *g)
{
    for (unsigned i = 0; i < g->n; i++)
        free(g->pair[i]);
}

/* A put, a lease, a list, a watch, a keep-alive. Waits for those that end, as long as it is worth.
 */
static void use(struct world *w, struct app *app)
{
    struct app_call c[5];
    struct pb_build grant = {0}, alive = {0};
    pb_num(&grant, 1, 60);
    pb_num(&alive, 1, 77);
    app_call_open(app, &c[0], "/etcdserverpb.Watch/Watch");
    app_message(&c[0], watch_all(), false);
    app_unary(app, &c[1], "/etcdserverpb.KV/Put", pb_built(put_request("k", SPAN_LIT("value"))));
    app_unary(app, &c[2], "/etcdserverpb.Lease/LeaseGrant", pb_built(&grant));
    app_unary(app, &c[3], "/etcdserverpb.KV/Range", range_all());
    app_call_open(app, &c[4], "/etcdserverpb.Lease/LeaseKeepAlive");
    app_message(&c[4], pb_built(&alive), true);
    uint64_t until = uv_hrtime() + (uint64_t)SETTLE_MS * 1000000;
    uv_timer_t tick;
    uv_timer_init(&w->l.uv, &tick);
    uv_timer_start(&tick, wait_tick, 5, 5);
    while (!app->ended && uv_hrtime() < until &&
           !(c[1].closed && c[2].closed && c[3].closed && c[4].closed))
        uv_run(&w->l.uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&tick, NULL);
    for (unsigned i = 0; i < 5; i++)
        app_call_end(&c[i]);
}

static void spoil(struct garbler *g, struct rng *r, size_t range)
{
    g->at = rng_below(r, range);
    g->flip = (uint8_t)(rng_below(r, 4) == 0 ? 0 : 1u << rng_below(r, 8));
}

static void spoiled_bytes_of_the_application_end_at_most_its_connection(void **state)
{
    (void)state;
    struct rng r = support_rng("garble app");
    struct world w;
    begin_real(&w, "garble-app");
    put(&w, "k", "v");
    for (uint64_t i = support_cases(150) > 150 ? 150 : support_cases(150); i != 0; i--) {
        struct garbler g = {.from = SIDE_IN, .to = etcd_plane_addr(w.plane)};
        struct app app;
        spoil(&g, &r, 360);
        struct addr at = garbler_open(&g, &w.l);
        app_open(&app, &w.l, &at, 0);
        use(&w, &app);
        tcp_close(&app.tcp);
        garbler_close(&g);
        WAIT_FOR(&w.l, app.closed && w.l.counters.gauge[GAUGE_ETCD_CONNS] == 1);
        garbler_free(&g);
    }
    assert_int_equal(w.l.counters.gauge[GAUGE_ETCD_STREAMS], 0);
    put(&w, "k", "still there");
    end(&w);
}

static void spoiled_bytes_of_upstream_are_survived(void **state)
{
    (void)state;
    struct rng r = support_rng("garble upstream");
    for (uint64_t i = support_cases(150) > 150 ? 150 : support_cases(150); i != 0; i--) {
        struct garbler g = {.from = SIDE_OUT, .to = etcd_app_addr("127.0.0.1", etcd.port)};
        struct world w = {0};
        struct buf error = {0};
        assert_int_equal(loop_init(&w.l), ERR_OK);
        assert_int_equal(ns_path_parse(SPAN_LIT("garble-up"), '/', &w.ns, NULL), ERR_OK);
        spoil(&g, &r, 920);
        w.listen = etcd_app_addr("127.0.0.1", 0);
        w.upstream[0] = garbler_open(&g, &w.l);
        assert_int_equal(try_open(&w, SPAN_LIT("bh/"), 1, &error), ERR_OK);
        struct addr at = etcd_plane_addr(w.plane);
        app_open(&w.app, &w.l, &at, 0);
        use(&w, &w.app);
        garbler_close(&g);
        end(&w);
        garbler_free(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spoiled_bytes_of_the_application_end_at_most_its_connection),
        cmocka_unit_test(spoiled_bytes_of_upstream_are_survived),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
