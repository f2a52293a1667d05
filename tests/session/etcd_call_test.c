/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole conversations: however the bytes are cut, the same bytes come out; and whichever allocation
 * fails, the call ends with ERR_NOMEM or goes on, and nothing leaks or is sent half.
 */
#include "support/alloc_fail.h"
#include "support/etcd_rig.h"

struct scenario {
    const char *method;
    struct pb_build requests, replies; /* frames */
};

static struct scenario scenarios[16];
static unsigned scenario_count;

static struct scenario *scenario(const char *method)
{
    struct scenario *s = &scenarios[scenario_count++];
    assert_true(scenario_count <= ARRAY_LEN(scenarios));
    s->method = method;
    return s;
}

static struct pb_build pair(const char *key, size_t value_n)
{
    static uint8_t value[20000];
    struct pb_build m = {0};
    pb_str(&m, 1, key);
    pb_num(&m, 2, 5);
    pb_span(&m, 5, span_of(value, value_n));
    pb_num(&m, 6, RIG_ALIAS(5));
    return m;
}

static void frame(struct pb_build *wire, const struct pb_build *m)
{
    rig_frame(wire, pb_built(m));
}

static void add_range(size_t value_n)
{
    struct scenario *s = scenario("/etcdserverpb.KV/Range");
    struct pb_build m = {0}, p = pair(RIG_P "k", value_n), other = pair("bh/d/x.k", 100);
    pb_str(&m, 1, "k");
    pb_span(&m, 2, SPAN_LIT("\0"));
    frame(&s->requests, &m);
    m.n = 0;
    pb_sub(&m, 2, &p);
    pb_sub(&m, 2, &other);
    pb_sub(&m, 2, &other);
    p = pair(RIG_P "l", 10);
    pb_sub(&m, 2, &p);
    pb_num(&m, 4, 4);
    frame(&s->replies, &m);
}

static void add_txn(void)
{
    struct scenario *s = scenario("/etcdserverpb.KV/Txn");
    struct pb_build m = {0}, body = {0}, op = {0}, p = pair(RIG_P "k", 130);
    pb_str(&body, 1, "k");
    pb_num(&body, 3, 77);
    pb_sub(&op, 2, &body);
    for (int i = 0; i < 3; i++) {
        struct pb_build outer = {0};
        pb_sub(&m, 2, &op);
        pb_sub(&outer, 4, &m);
        m.n = 0;
        pb_sub(&m, 3, &outer);
    }
    frame(&s->requests, &m);
    m.n = body.n = op.n = 0;
    pb_sub(&body, 2, &p);
    pb_sub(&op, 1, &body);
    pb_sub(&m, 3, &op);
    for (int i = 0; i < 3; i++) {
        struct pb_build outer = {0};
        pb_sub(&outer, 4, &m);
        m.n = 0;
        pb_sub(&m, 3, &outer);
        pb_sub(&m, 3, &op);
    }
    frame(&s->replies, &m);
}

static void add_watch(void)
{
    struct scenario *s = scenario("/etcdserverpb.Watch/Watch");
    struct pb_build m = {0}, body = {0}, event = {0}, p = pair(RIG_P "k", 300);
    pb_num(&body, 3, 4);
    pb_sub(&m, 1, &body);
    frame(&s->requests, &m); /* an empty key */
    m.n = body.n = 0;
    pb_num(&body, 1, 7);
    pb_sub(&m, 2, &body);
    frame(&s->requests, &m);
    m.n = 0;
    frame(&s->requests, &m);
    pb_sub(&event, 2, &p);
    pb_sub(&event, 3, &p);
    for (int i = 0; i < 3; i++) {
        m.n = 0;
        pb_num(&m, 2, 7);
        if (i == 0)
            pb_num(&m, 3, 1);
        for (int k = 0; k < i * 2; k++)
            pb_sub(&m, 11, &event);
        frame(&s->replies, &m);
    }
}

static void add_leases(void)
{
    struct scenario *s = scenario("/etcdserverpb.Lease/LeaseKeepAlive");
    struct pb_build m = {0}, part = {0};
    for (uint64_t i = 1; i <= 20; i++) {
        m.n = 0;
        pb_num(&m, 1, i % 3 == 0 ? RIG_OTHER : i);
        frame(&s->requests, &m);
        m.n = 0;
        pb_num(&m, 2, i % 3 == 0 ? RIG_NOWHERE : RIG_ALIAS(i));
        pb_num(&m, 3, 60);
        frame(&s->replies, &m);
    }
    s = scenario("/etcdserverpb.Lease/LeaseGrant");
    m.n = 0;
    pb_num(&m, 1, 60);
    frame(&s->requests, &m);
    m.n = 0;
    pb_num(&m, 2, RIG_GIVEN);
    frame(&s->replies, &m);
    s = scenario("/etcdserverpb.Lease/LeaseTimeToLive");
    m.n = 0;
    pb_num(&m, 1, UINT64_MAX);
    frame(&s->requests, &m);
    m.n = 0;
    pb_num(&m, 2, RIG_NOWHERE);
    pb_str(&m, 5, RIG_P "k");
    pb_str(&m, 5, "foreign");
    frame(&s->replies, &m);
    s = scenario("/etcdserverpb.Lease/LeaseLeases");
    m.n = 0;
    frame(&s->requests, &m);
    for (uint64_t i = 0; i < 200; i++) {
        part.n = 0;
        pb_num(&part, 1, i % 2 == 0 ? RIG_OTHER : RIG_ALIAS(i));
        pb_sub(&m, 2, &part);
    }
    frame(&s->replies, &m);
}

static void add_local(void)
{
    static const char *const methods[] = {"/etcdserverpb.Cluster/MemberList",
                                          "/etcdserverpb.Auth/AuthStatus",
                                          "/grpc.health.v1.Health/Check"};
    struct pb_build m = {0};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        frame(&scenario(methods[i])->requests, &m);
    struct scenario *s = scenario("/etcdserverpb.Maintenance/Status");
    frame(&s->requests, &m);
    pb_str(&m, 2, "3.5.16");
    frame(&s->replies, &m);
}

/* The end of the next piece of n bytes that starts at `at`. */
typedef size_t (*cut_fn)(struct rng *rng, size_t at, size_t n);

static size_t whole(struct rng *rng, size_t at, size_t n)
{
    (void)rng;
    (void)at;
    return n;
}

static size_t one_byte(struct rng *rng, size_t at, size_t n)
{
    (void)rng;
    (void)n;
    return at + 1;
}

static size_t anywhere(struct rng *rng, size_t at, size_t n)
{
    return at + 1 + rng_below(rng, rng_below(rng, 4) == 0 ? n - at : n - at < 9 ? n - at : 9);
}

static enum err feed(struct etcd_call *c, const struct pb_build *wire, bool from_app, cut_fn cut,
                     struct rng *rng)
{
    static uint8_t copy[PB_BUILD_BYTES]; /* what upstream sends is rewritten in place */
    enum err e = ERR_OK;
    memcpy(copy, wire->b, wire->n);
    for (size_t at = 0; at < wire->n && e == ERR_OK;) {
        size_t to = cut(rng, at, wire->n);
        struct span piece = span_of(copy + at, to - at);
        e = from_app ? etcd_call_feed_app(c, piece) : etcd_call_feed_up(c, piece);
        at = to;
    }
    if (e == ERR_OK)
        e = from_app ? etcd_call_end_app(c) : etcd_call_end_up(c);
    return e;
}

static enum err run(struct etcd_rig *rig, const struct scenario *s, cut_fn cut, struct rng *rng)
{
    rig_open(rig, s->method);
    enum err e = feed(&rig->call, &s->requests, true, cut, rng);
    return e == ERR_OK ? feed(&rig->call, &s->replies, false, cut, rng) : e;
}

static void however_bytes_are_cut_the_same_comes_out(void **state)
{
    (void)state;
    struct rng rng = support_rng("however_bytes_are_cut_the_same_comes_out");
    static struct etcd_rig want, got;
    for (unsigned i = 0; i < scenario_count; i++) {
        assert_int_equal(run(&want, &scenarios[i], whole, &rng), ERR_OK);
        for (unsigned turn = 0; turn < 60; turn++) {
            assert_int_equal(run(&got, &scenarios[i], turn == 0 ? one_byte : anywhere, &rng),
                             ERR_OK);
            assert_span_equal(buf_span(&got.call.to_up), buf_span(&want.call.to_up));
            assert_span_equal(buf_span(&got.call.to_app), buf_span(&want.call.to_app));
            rig_close(&got);
        }
        rig_close(&want);
    }
}

/* Every frame in it is whole. */
static void assert_whole_frames(const struct buf *frames)
{
    for (struct span s = buf_span(frames); s.n != 0;) {
        assert_true(s.n >= 5);
        size_t n = (size_t)s.p[1] << 24 | (size_t)s.p[2] << 16 | (size_t)s.p[3] << 8 | s.p[4];
        assert_true(n <= s.n - 5);
        s = span_skip(s, 5 + n);
    }
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    static struct etcd_rig rig;
    if (!alloc_fail_works)
        skip();
    struct rng rng = {7};
    static const cut_fn cuts[] = {whole, anywhere};
    for (unsigned i = 0; i < 2 * scenario_count; i++) {
        enum err e = ERR_NOMEM;
        unsigned long n = 1;
        for (; e != ERR_OK; n++) {
            rng.state = 7;
            alloc_fail_at = n;
            e = run(&rig, &scenarios[i / 2], cuts[i % 2], &rng);
            bool failed = alloc_fail_at == 0;
            alloc_fail_at = 0;
            assert_true(e == ERR_OK || e == ERR_NOMEM);
            assert_true(e == ERR_OK || failed);
            assert_whole_frames(&rig.call.to_up);
            assert_whole_frames(&rig.call.to_app);
            rig_close(&rig);
            assert_true(n < 1000);
        }
        assert_true(n > 1);
    }
}

static void a_retry_that_finds_no_memory_leaves_the_answer(void **state)
{
    (void)state;
    static struct etcd_rig rig;
    if (!alloc_fail_works)
        skip();
    struct pb_build m = {0};
    pb_num(&m, 1, 60);
    rig_open(&rig, "/etcdserverpb.Lease/LeaseGrant");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    buf_deinit(&rig.call.to_up);
    alloc_fail_at = 1;
    assert_false(etcd_call_retry(&rig.call, 9));
    alloc_fail_at = 0;
    rig_close(&rig);
}

int main(void)
{
    add_range(10);
    add_range(120);
    add_range(20000);
    add_txn();
    add_watch();
    add_leases();
    add_local();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(however_bytes_are_cut_the_same_comes_out),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_retry_that_finds_no_memory_leaves_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
