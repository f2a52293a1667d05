/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches, keep-alives and observes across the death, the end and the stop of their etcd: what the
 * application sees is what one stream that never broke would have shown it.
 */
#include "fault/etcd_world.h"

enum { PUTS = 30 };

static struct etcd_server own;

/* -- what a watch has shown -- */
struct shown {
    unsigned replies; /* read so far */
    unsigned created, canceled;
    size_t n;
    struct {
        uint64_t revision;
        char key[24];
    } event[4096];
    uint64_t compact_revision;
};

static void read_shown(const struct app_call *c, struct shown *s)
{
    for (struct span m; (m = app_reply(c, s->replies)).p != NULL; s->replies++) {
        assert_int_equal(pb_find(m, 1, 0).field, 1); /* clients need the header */
        s->created += pb_find(m, 3, 0).v != 0;
        s->canceled += pb_find(m, 4, 0).v != 0;
        if (pb_find(m, 5, 0).v != 0)
            s->compact_revision = pb_find(m, 5, 0).v;
        struct pb_got got;
        for (unsigned i = 0; (got = pb_find(m, 11, i)).field != 0; i++) {
            struct span kv = pb_find(got.s, 2, 0).s, key = pb_find(kv, 1, 0).s;
            assert_true(s->n < ARRAY_LEN(s->event) && key.n < sizeof s->event[0].key);
            s->event[s->n].revision = pb_find(kv, 3, 0).v;
            memset(s->event[s->n].key, 0, sizeof s->event[0].key);
            memcpy(s->event[s->n++].key, key.p, key.n);
        }
    }
}

static bool has_shown(const struct app_call *c, struct shown *s, const char *key)
{
    read_shown(c, s);
    return s->n != 0 && strcmp(s->event[s->n - 1].key, key) == 0;
}

static void watch_from(struct world *w, struct app_call *c, uint64_t start, uint64_t id)
{
    struct pb_build m = {0}, create = {0};
    pb_span(&create, 1, span_of("\0", 1));
    pb_span(&create, 2, span_of("\0", 1));
    if (start != 0)
        pb_num(&create, 3, start);
    if (id != 0)
        pb_num(&create, 7, id);
    pb_sub(&m, 1, &create);
    app_call_open(&w->app, c, "/etcdserverpb.Watch/Watch");
    app_message(c, pb_built(&m), false);
    WAIT_FOR(&w->l, app_reply(c, 0).p != NULL);
}

/* True: it was answered with OK. */
static bool try_put(struct world *w, const char *key)
{
    struct app_call c;
    app_unary(&w->app, &c, "/etcdserverpb.KV/Put", pb_built(put_request(key, SPAN_LIT("v"))));
    WAIT_FOR(&w->l, c.closed);
    bool ok = c.grpc_status == 0;
    app_call_end(&c);
    return ok;
}

/* Puts one after the other; in the middle of them this happens to etcd. */
static void put_while(struct world *w, unsigned round, void (*happens)(struct world *w))
{
    char key[24];
    for (unsigned i = 0; i < PUTS; i++) {
        snprintf(key, sizeof key, "%u/%u", round, i);
        (void)try_put(w, key);
        if (i == PUTS / 2)
            happens(w);
    }
}

static bool ready(struct world *w)
{
    const char *why;
    return etcd_plane_is_ready(w->plane, &why);
}

static void restart(struct world *w)
{
    etcd_server_start(&own);
    WAIT_FOR(&w->l, ready(w));
}

static void is_killed(struct world *w)
{
    etcd_server_signal(&own, SIGKILL);
    WAIT_FOR(&w->l, !ready(w));
    restart(w);
}

static void ends(struct world *w)
{
    etcd_server_signal(&own, SIGTERM);
    WAIT_FOR(&w->l, !ready(w));
    waitpid(own.pid, NULL, 0);
    restart(w);
}

static void is_stopped(struct world *w)
{
    struct app_call c;
    uint64_t before = w->l.counters.n[COUNTER_ETCD_TX_UP];
    etcd_server_signal(&own, SIGSTOP);
    app_unary(&w->app, &c, "/etcdserverpb.KV/Put", pb_built(put_request("stopped", SPAN_LIT("v"))));
    WAIT_FOR(&w->l, w->l.counters.n[COUNTER_ETCD_TX_UP] > before);
    etcd_server_signal(&own, SIGCONT);
    WAIT_FOR(&w->l, c.closed);
    app_call_end(&c);
}

static void is_stopped_and_killed(struct world *w)
{
    etcd_server_signal(&own, SIGSTOP);
    is_killed(w);
}

static void a_watch_shows_everything_once_and_in_order(void **state)
{
    (void)state;
    static void (*const happens[])(struct world *) = {is_killed, ends, is_stopped,
                                                      is_stopped_and_killed};
    static struct shown one, two, truth;
    struct world w;
    struct app_call first, second, fresh;
    char fence[24];
    one = two = truth = (struct shown){0};
    begin(&w, "resume", etcd_app_addr("127.0.0.1", own.port), "bh/");
    watch_from(&w, &first, 0, 0);
    watch_from(&w, &second, 1, 77);
    for (unsigned round = 0; round < ARRAY_LEN(happens); round++) {
        put_while(&w, round, happens[round]);
        snprintf(fence, sizeof fence, "fence%u", round);
        assert_true(try_put(&w, fence));
        WAIT_FOR(&w.l, has_shown(&first, &one, fence) && has_shown(&second, &two, fence));
    }
    assert_true(w.l.counters.n[COUNTER_ETCD_RESUMED] >= 2 * 3);
    watch_from(&w, &fresh, 1, 0);
    WAIT_FOR(&w.l, has_shown(&fresh, &truth, fence));
    assert_true(truth.n >= ARRAY_LEN(happens) * PUTS / 2);
    assert_int_equal(one.created + two.created, 2);
    assert_int_equal(one.canceled + two.canceled, 0);
    assert_int_equal(one.n, truth.n);
    assert_int_equal(two.n, truth.n);
    for (size_t i = 0; i < truth.n; i++) {
        assert_memory_equal(&one.event[i], &truth.event[i], sizeof truth.event[i]);
        assert_memory_equal(&two.event[i], &truth.event[i], sizeof truth.event[i]);
    }
    app_call_end(&first);
    app_call_end(&second);
    app_call_end(&fresh);
    end(&w);
}

/* Compacts the store itself, not through the sidecar. */
static void compact(struct world *w)
{
    struct world other;
    struct app_call c;
    struct buf error = {0};
    (void)w;
    other = (struct world){.upstream = {etcd_app_addr("127.0.0.1", own.port)}};
    assert_int_equal(loop_init(&other.l), ERR_OK);
    assert_int_equal(ns_path_parse(SPAN_LIT("compactor"), '/', &other.ns, NULL), ERR_OK);
    other.listen = etcd_app_addr("127.0.0.1", 0);
    struct etcd_plane_options o = {.ns = &other.ns,
                                   .key_root = SPAN_LIT("bh/"),
                                   .rules = {.compact = ETCD_COMPACT_FORWARD},
                                   .upstream = other.upstream,
                                   .upstreams = 1,
                                   .listen = &other.listen,
                                   .listens = 1};
    assert_int_equal(etcd_plane_open(&other.l, &o, &other.plane, &error), ERR_OK);
    struct addr at = etcd_plane_addr(other.plane);
    app_open(&other.app, &other.l, &at, 0);
    put(&other, "a", "1");
    put(&other, "a", "2");
    app_unary(&other.app, &c, "/etcdserverpb.KV/Range", range_all());
    WAIT_FOR(&other.l, c.closed);
    struct pb_build m = {0};
    pb_num(&m, 1, pb_find(pb_find(app_reply(&c, 0), 1, 0).s, 3, 0).v);
    app_call_end(&c);
    app_unary(&other.app, &c, "/etcdserverpb.KV/Compact", pb_built(&m));
    WAIT_FOR(&other.l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
    end(&other);
}

static void a_compaction_meanwhile_is_told_as_one(void **state)
{
    (void)state;
    static struct shown s;
    struct world w;
    struct app_call watch;
    s = (struct shown){0};
    begin(&w, "compacted", etcd_app_addr("127.0.0.1", own.port), "bh/");
    watch_from(&w, &watch, 0, 5);
    etcd_server_signal(&own, SIGKILL);
    WAIT_FOR(&w.l, !ready(&w));
    etcd_server_start(&own);
    compact(&w); /* w's loop does not run meanwhile */
    WAIT_FOR(&w.l, (read_shown(&watch, &s), s.canceled != 0));
    assert_int_equal(s.created, 1);
    assert_int_equal(s.n, 0);
    assert_true(s.compact_revision > 0);
    app_call_end(&watch);
    end(&w);
}

static void keep_alives_under_way_are_answered(void **state)
{
    (void)state;
    struct world w;
    struct app_call c, alive;
    struct pb_build grant = {0}, ping = {0}, nothing = {0};
    begin(&w, "alive", etcd_app_addr("127.0.0.1", own.port), "bh/");
    pb_num(&grant, 1, 600);
    pb_num(&grant, 2, 9);
    pb_num(&ping, 1, 9);
    pb_num(&nothing, 1, 10);
    app_unary(&w.app, &c, "/etcdserverpb.Lease/LeaseGrant", pb_built(&grant));
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
    app_call_open(&w.app, &alive, "/etcdserverpb.Lease/LeaseKeepAlive");
    app_message(&alive, pb_built(&ping), false);
    WAIT_FOR(&w.l, app_reply(&alive, 0).p != NULL);
    uint64_t before = w.l.counters.n[COUNTER_ETCD_TX_UP];
    etcd_server_signal(&own, SIGSTOP);
    app_message(&alive, pb_built(&nothing), false);
    app_message(&alive, pb_built(&ping), true);
    WAIT_FOR(&w.l, w.l.counters.n[COUNTER_ETCD_TX_UP] > before);
    etcd_server_signal(&own, SIGKILL);
    WAIT_FOR(&w.l, !ready(&w));
    restart(&w);
    WAIT_FOR(&w.l, alive.closed);
    assert_int_equal(alive.grpc_status, 0); /* half closed, so it ends */
    assert_int_equal(pb_find(app_reply(&alive, 1), 2, 0).v, 10);
    assert_int_equal(pb_find(app_reply(&alive, 1), 3, 0).v, 0);
    assert_int_equal(pb_find(app_reply(&alive, 2), 2, 0).v, 9);
    assert_int_equal(pb_find(app_reply(&alive, 2), 3, 0).v, 600);
    assert_null(app_reply(&alive, 3).p);
    app_call_end(&alive);
    end(&w);
}

/* Many leases on one stream, each twice, among ids that do not exist: answered in their order. */
static void keep_alives_of_many_leases_stay_in_order(void **state)
{
    (void)state;
    enum { LEASES = 100, PINGS = 3 * LEASES, TTL = 600 };
    struct world w;
    struct app_call c, alive;
    struct pb_build m = {0};
    begin(&w, "leases", etcd_app_addr("127.0.0.1", own.port), "bh/");
    for (unsigned i = 0; i < LEASES; i++) {
        m.n = 0;
        pb_num(&m, 1, TTL + i);
        pb_num(&m, 2, 1000 + i);
        app_unary(&w.app, &c, "/etcdserverpb.Lease/LeaseGrant", pb_built(&m));
        WAIT_FOR(&w.l, c.closed);
        assert_int_equal(c.grpc_status, 0);
        app_call_end(&c);
    }
    app_call_open(&w.app, &alive, "/etcdserverpb.Lease/LeaseKeepAlive");
    for (unsigned i = 0; i < PINGS; i++) {
        if (i == PINGS / 3) {
            WAIT_FOR(&w.l, app_reply(&alive, i - 1).p != NULL);
            etcd_server_signal(&own, SIGSTOP); /* what follows is under way when it dies */
        }
        m.n = 0;
        pb_num(&m, 1, 1000 + i * 7 % (LEASES + LEASES / 2));
        app_message(&alive, pb_built(&m), i == PINGS - 1);
    }
    uint64_t before = w.l.counters.n[COUNTER_ETCD_TX_UP];
    WAIT_FOR(&w.l, w.l.counters.n[COUNTER_ETCD_TX_UP] > before);
    etcd_server_signal(&own, SIGKILL);
    WAIT_FOR(&w.l, !ready(&w));
    restart(&w);
    WAIT_FOR(&w.l, alive.closed);
    assert_int_equal(alive.grpc_status, 0);
    for (unsigned i = 0; i < PINGS; i++) {
        unsigned lease = i * 7 % (LEASES + LEASES / 2);
        struct span reply = app_reply(&alive, i);
        assert_non_null(reply.p);
        assert_int_equal(pb_find(reply, 2, 0).v, 1000 + lease);
        assert_int_equal(pb_find(reply, 3, 0).v, lease < LEASES ? TTL + lease : 0);
    }
    assert_null(app_reply(&alive, PINGS).p);
    app_call_end(&alive);
    end(&w);
}

/* Proclaims through LeaderKey {1 name, 2 key, 3 rev, 4 lease}, as Campaign gave it. */
static bool proclaim(struct world *w, struct span leader, const char *value)
{
    struct app_call c;
    struct pb_build m = {0};
    pb_span(&m, 1, leader);
    pb_str(&m, 2, value);
    app_unary(&w->app, &c, "/v3electionpb.Election/Proclaim", pb_built(&m));
    WAIT_FOR(&w->l, c.closed);
    bool ok = c.grpc_status == 0;
    app_call_end(&c);
    return ok;
}

/* The value of the nth leader that an Observe has shown; waits for it. */
static void expect_leader(struct world *w, const struct app_call *c, unsigned nth,
                          const char *value)
{
    WAIT_FOR(&w->l, app_reply(c, nth).p != NULL || c->closed);
    assert_non_null(app_reply(c, nth).p);
    struct span kv = pb_find(app_reply(c, nth), 2, 0).s;
    assert_span_equal(pb_find(kv, 5, 0).s, span_str(value));
    assert_true(span_has_prefix(pb_find(kv, 1, 0).s, SPAN_LIT("boss/")));
}

static void an_observe_shows_each_leader_once(void **state)
{
    (void)state;
    static void (*const happens[])(struct world *) = {is_killed, ends, is_stopped_and_killed};
    struct world w;
    struct app_call early, late, campaign;
    struct pb_build name = {0}, m = {0};
    begin(&w, "observe", etcd_app_addr("127.0.0.1", own.port), "bh/");
    pb_str(&name, 1, "boss");
    app_unary(&w.app, &early, "/v3electionpb.Election/Observe", pb_built(&name));
    put(&w, "fence", "so that it is under way");
    is_killed(&w); /* it has shown nobody yet */
    m = name;
    pb_str(&m, 3, "0");
    app_unary(&w.app, &campaign, "/v3electionpb.Election/Campaign", pb_built(&m));
    WAIT_FOR(&w.l, campaign.closed);
    assert_int_equal(campaign.grpc_status, 0);
    struct span leader = pb_find(app_reply(&campaign, 0), 2, 0).s;
    expect_leader(&w, &early, 0, "0");
    app_unary(&w.app, &late, "/v3electionpb.Election/Observe", pb_built(&name));
    expect_leader(&w, &late, 0, "0");
    for (unsigned i = 0; i < ARRAY_LEN(happens); i++) {
        char value[] = {(char)('1' + i), '\0'};
        uint64_t before = w.l.counters.n[COUNTER_ETCD_RESUMED];
        happens[i](&w);
        assert_true(w.l.counters.n[COUNTER_ETCD_RESUMED] >= before + 2);
        assert_true(proclaim(&w, leader, value));
        expect_leader(&w, &early, i + 1, value);
        expect_leader(&w, &late, i + 1, value);
    }
    assert_false(early.closed || late.closed);
    app_call_end(&campaign);
    app_call_end(&early);
    app_call_end(&late);
    end(&w);
}

/* What changed while nobody could look is shown, once, as the leader there is. */
static void an_observe_shows_who_leads_now(void **state)
{
    (void)state;
    struct world w, other;
    struct app_call observe, campaign;
    struct pb_build name = {0}, m = {0};
    begin(&w, "elect", etcd_app_addr("127.0.0.1", own.port), "bh/");
    pb_str(&name, 1, "boss");
    m = name;
    pb_str(&m, 3, "old");
    app_unary(&w.app, &campaign, "/v3electionpb.Election/Campaign", pb_built(&m));
    WAIT_FOR(&w.l, campaign.closed);
    app_unary(&w.app, &observe, "/v3electionpb.Election/Observe", pb_built(&name));
    expect_leader(&w, &observe, 0, "old");
    etcd_server_signal(&own, SIGKILL);
    WAIT_FOR(&w.l, !ready(&w));
    etcd_server_start(&own);
    begin(&other, "elect", etcd_app_addr("127.0.0.1", own.port), "bh/");
    struct span leader = pb_find(app_reply(&campaign, 0), 2, 0).s;
    assert_true(proclaim(&other, leader, "unseen")); /* w's loop does not run meanwhile */
    assert_true(proclaim(&other, leader, "new"));
    end(&other);
    expect_leader(&w, &observe, 1, "new");
    assert_true(proclaim(&w, leader, "newer"));
    expect_leader(&w, &observe, 2, "newer");
    app_call_end(&campaign);
    app_call_end(&observe);
    end(&w);
}

static void streams_that_wait_to_go_on_can_be_cancelled_and_drained(void **state)
{
    (void)state;
    struct world w;
    struct app_call watch[4];
    begin(&w, "waits", etcd_app_addr("127.0.0.1", own.port), "bh/");
    for (unsigned i = 0; i < 4; i++)
        watch_from(&w, &watch[i], 0, 0);
    etcd_server_signal(&own, SIGKILL);
    WAIT_FOR(&w.l, w.l.counters.n[COUNTER_ETCD_RESUMED] == 4);
    nghttp2_submit_rst_stream(w.app.session, 0, watch[1].id, NGHTTP2_CANCEL);
    app_flush(&w.app);
    WAIT_FOR(&w.l, watch[1].closed && w.l.counters.gauge[GAUGE_ETCD_STREAMS] == 3);
    etcd_plane_drain(w.plane);
    for (unsigned i = 0; i < 4; i++) {
        WAIT_FOR(&w.l, watch[i].closed);
        app_call_end(&watch[i]);
    }
    end(&w);
    etcd_server_start(&own);
}

/* More than may wait for a first upstream: those that have begun go on, whatever their number. */
static void thousands_of_watches_go_on(void **state)
{
    (void)state;
    enum { N = 10000 };
    assert_true((int)N > (int)LIMIT_CALLS_WAITING);
    static struct app_call watch[N];
    struct world w;
    begin(&w, "many", etcd_app_addr("127.0.0.1", own.port), "bh/");
    for (unsigned i = 0; i < N; i++) {
        app_call_open(&w.app, &watch[i], "/etcdserverpb.Watch/Watch");
        app_message(&watch[i], watch_all(), false);
        if (i == 0) /* then the lane is there */
            WAIT_FOR(&w.l, app_reply(&watch[i], 0).p != NULL);
    }
    for (unsigned i = 0; i < N; i++)
        WAIT_FOR(&w.l, app_reply(&watch[i], 0).p != NULL);
    is_killed(&w);
    assert_true(try_put(&w, "x"));
    for (unsigned i = 0; i < N; i++) {
        WAIT_FOR(&w.l, app_reply(&watch[i], 1).p != NULL);
        struct span kv = pb_find(pb_find(app_reply(&watch[i], 1), 11, 0).s, 2, 0).s;
        assert_span_equal(pb_find(kv, 1, 0).s, SPAN_LIT("x"));
        assert_false(watch[i].closed);
        app_call_end(&watch[i]);
    }
    /* Of a loaded machine's etcd they may be resumed once more. */
    assert_true(w.l.counters.n[COUNTER_ETCD_RESUMED] >= N);
    end(&w);
}

static int start_own(void **state)
{
    (void)state;
    log_set(LOG_ERROR, LOG_LOGFMT);
    etcd_server_start(&own);
    return 0;
}

static int end_own(void **state)
{
    (void)state;
    etcd_server_end(&own);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watch_shows_everything_once_and_in_order),
        cmocka_unit_test(a_compaction_meanwhile_is_told_as_one),
        cmocka_unit_test(keep_alives_under_way_are_answered),
        cmocka_unit_test(keep_alives_of_many_leases_stay_in_order),
        cmocka_unit_test(an_observe_shows_each_leader_once),
        cmocka_unit_test(an_observe_shows_who_leads_now),
        cmocka_unit_test(thousands_of_watches_go_on),
        cmocka_unit_test(streams_that_wait_to_go_on_can_be_cancelled_and_drained),
    };
    return cmocka_run_group_tests(tests, start_own, end_own);
}
