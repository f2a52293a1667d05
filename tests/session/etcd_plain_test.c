/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short way of usual watch responses (etcd/watch_plain.c) beside the long one, which reads
 * every message: the same bytes for the application, the same errors, counters and revision to go
 * on from, whatever arrives and however it is cut. Only into the header the short way does not
 * look.
 */
#include "support/etcd_rig.h"

#include "etcd/etcd_watch_resume.h"
#include "wire/grpc_frame.h"

enum { WATCH_ID = 5, HEADER_AT = 2 };

/* Each case is two whole calls. */
static uint64_t cases_of(void)
{
    return support_cases(200000) / 400 + 500;
}

/* -- two calls of one watch -- */
static struct etcd_rig quick, slow;

static struct pb_build created(void)
{
    struct pb_build m = {0}, header = {0};
    pb_num(&header, 3, 99);
    pb_sub(&m, 1, &header);
    pb_num(&m, 2, WATCH_ID);
    pb_num(&m, 3, 1);
    return m;
}

static void open_watched(struct etcd_rig *r)
{
    struct pb_build body = {0}, m = {0}, reply = created();
    pb_str(&body, 1, "k");
    pb_str(&body, 2, "l");
    pb_num(&body, 7, WATCH_ID);
    pb_sub(&m, 1, &body);
    rig_open(r, "/etcdserverpb.Watch/Watch");
    assert_int_equal(rig_ask(r, &m), ERR_OK);
    assert_int_equal(rig_reply(r, &reply), ERR_OK);
    buf_consume(&r->call.to_app, buf_len(&r->call.to_app));
    r->ns.cluster_id = 1;
}

static void open_both(void)
{
    open_watched(&quick);
    open_watched(&slow);
}

static void close_both(void)
{
    rig_close(&quick);
    rig_close(&slow);
}

/* Memory of its own, so that who reads beyond it is seen. */
static enum err feed(struct etcd_rig *r, struct span piece)
{
    uint8_t *copy = malloc(piece.n);
    assert_non_null(copy);
    memcpy(copy, piece.p, piece.n);
    enum err e = etcd_call_feed_up(&r->call, span_of(copy, piece.n));
    free(copy);
    return e;
}

/* Without a cluster's id every message goes the long way, so that it is noted. */
static enum err feed_slowly(struct span wire)
{
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < wire.n; i++) {
        slow.ns.cluster_id = 0;
        e = feed(&slow, span_of(wire.p + i, 1));
    }
    return e;
}

static int64_t next_of(const struct etcd_rig *r)
{
    struct etcd_watch_shown shown;
    return etcd_watches_show(r->call.watches, 0, &shown) ? shown.next : -1;
}

static void assert_same(enum err quick_e, enum err slow_e)
{
    assert_int_equal(quick_e, slow_e);
    assert_span_equal(buf_span(&quick.call.to_app), buf_span(&slow.call.to_app));
    assert_int_equal(next_of(&quick), next_of(&slow));
    assert_memory_equal(quick.counters.n, slow.counters.n, sizeof quick.counters.n);
}

/* -- responses -- */
static struct pb_build random_kv(struct rng *rng)
{
    static const char *const keys[] = {RIG_P "k", RIG_P "k/1", RIG_P, "bh/d/b.k", "", "bh/d/a/b"};
    static const uint64_t leases[] = {RIG_GIVEN, RIG_ALIAS(7), RIG_OTHER, 0, UINT64_MAX};
    static uint8_t value[300];
    struct pb_build kv = {0};
    bool is_odd = rng_below(rng, 16) == 0;
    if (!is_odd || rng_below(rng, 4) != 0)
        pb_str(&kv, 1, keys[rng_below(rng, 8) == 0 ? rng_below(rng, ARRAY_LEN(keys)) : 0]);
    pb_num(&kv, 2, rng_below(rng, 300));
    if (rng_below(rng, 8) != 0)
        pb_num(&kv, 3, (100 + rng_below(rng, 300)) << 7 * rng_below(rng, 8));
    pb_num(&kv, 4, 1);
    pb_span(&kv, 5, span_of(value, rng_below(rng, sizeof value)));
    if (rng_below(rng, 2) == 0)
        pb_num(&kv, 6, leases[rng_below(rng, 4) == 0 ? rng_below(rng, ARRAY_LEN(leases)) : 0]);
    if (is_odd && rng_below(rng, 2) == 0)
        pb_str(&kv, 1, keys[rng_below(rng, ARRAY_LEN(keys))]);
    if (is_odd)
        pb_num(&kv, 9 + (uint32_t)rng_below(rng, 20), 3);
    return kv;
}

static struct pb_build random_response(struct rng *rng)
{
    struct pb_build m = {0}, header = {0};
    pb_num(&header, 3, 100 + rng_below(rng, 300));
    pb_sub(&m, 1, &header);
    if (rng_below(rng, 8) != 0)
        pb_num(&m, 2, rng_below(rng, 16) == 0 ? WATCH_ID + 1 : WATCH_ID);
    if (rng_below(rng, 8) == 0)
        pb_num(&m, 7, rng_below(rng, 2));              /* a fragment */
    uint64_t most = rng_below(rng, 64) == 0 ? 120 : 3; /* also beyond what is copied */
    for (uint64_t n = 1 + rng_below(rng, most); n != 0; n--) {
        struct pb_build ev = {0}, kv = random_kv(rng);
        if (rng_below(rng, 2) == 0)
            pb_num(&ev, 1, rng_below(rng, 2));
        pb_sub(&ev, 2, &kv);
        if (rng_below(rng, 8) == 0) {
            kv = random_kv(rng);
            pb_sub(&ev, 2 + (uint32_t)rng_below(rng, 2), &kv);
        }
        if (m.n + ev.n + 8 < 24 * 1024)
            pb_sub(&m, 11, &ev);
    }
    return m;
}

/* Behind the header. */
static void mutate(struct rng *rng, struct pb_build *m)
{
    size_t events_at = (size_t)HEADER_AT + m->b[1];
    for (uint64_t n = 1 + rng_below(rng, 2); n != 0; n--)
        m->b[events_at + rng_below(rng, m->n - events_at)] ^= (uint8_t)(1u << rng_below(rng, 8));
    if (rng_below(rng, 4) == 0)
        m->n = events_at + rng_below(rng, m->n - events_at);
}

static bool goes_the_short_way(const struct pb_build *m)
{
    struct buf none = {0};
    open_watched(&quick);
    bool is_short = etcd_watches_usual(quick.call.watches, &quick.ns, pb_built(m), &none) ==
                    USUAL_SHOWN;
    assert_true(!is_short || buf_len(&none) <= GRPC_HEAD_BYTES + m->n);
    buf_deinit(&none);
    rig_close(&quick);
    return is_short;
}

/* -- one message -- */
/* A header that does not parse passes on the short way: as it came, and the rest is the same as
 * behind a good one. */
static void assert_only_the_header_differs(const struct pb_build *m, const struct pb_build *good)
{
    static struct pb_build wire;
    size_t header_n = good->b[1];
    assert_int_equal(m->b[1], header_n);
    assert_memory_equal(m->b + HEADER_AT + header_n, good->b + HEADER_AT + header_n,
                        m->n - HEADER_AT - header_n);
    struct buf *out = &quick.call.to_app;
    assert_memory_equal(buf_span(out).p + GRPC_HEAD_BYTES, m->b, HEADER_AT + header_n);
    memcpy(out->data + out->head + GRPC_HEAD_BYTES, good->b, HEADER_AT + header_n);
    rig_close(&slow);
    open_watched(&slow);
    wire.n = 0;
    rig_frame(&wire, pb_built(good));
    assert_same(ERR_OK, feed_slowly(pb_built(&wire)));
}

static void assert_same_message(const struct pb_build *m, const struct pb_build *good)
{
    static struct pb_build wire;
    wire.n = 0;
    rig_frame(&wire, pb_built(m));
    open_both();
    enum err quick_e = feed(&quick, pb_built(&wire)), slow_e = feed_slowly(pb_built(&wire));
    if (quick_e == ERR_OK && slow_e != ERR_OK)
        assert_only_the_header_differs(m, good);
    else
        assert_same(quick_e, slow_e);
    close_both();
}

static void a_usual_response_is_shown_as_on_the_long_way(void **state)
{
    (void)state;
    struct rng rng = support_rng("usual responses");
    uint64_t cases = cases_of();
    unsigned short_n = 0;
    for (uint64_t i = 0; i < cases; i++) {
        struct pb_build m = random_response(&rng);
        if (rng_below(&rng, 8) == 0)
            mutate(&rng, &m);
        short_n += goes_the_short_way(&m);
        assert_same_message(&m, &m);
    }
    assert_in_range(short_n, cases / 10, cases * 3 / 4); /* both ways were gone */
}

/* Every byte, also of the header, is another one; and every length. */
static void a_response_with_any_byte_changed_is_shown_as_on_the_long_way(void **state)
{
    (void)state;
    struct rng rng = support_rng("changed responses");
    uint64_t cases = cases_of();
    while (cases != 0) {
        struct pb_build good = random_response(&rng);
        if (good.n > 200 || !goes_the_short_way(&good))
            continue;
        for (size_t at = 0; at < good.n && cases != 0; at++) {
            struct pb_build m = good;
            for (uint8_t bit = 1; bit != 0; bit = (uint8_t)(bit << 1)) {
                m.b[at] = good.b[at] ^ bit;
                assert_same_message(&m, &good);
            }
            m.b[at] = (uint8_t)rng_below(&rng, 256);
            assert_same_message(&m, &good);
            m = good;
            m.n = at;
            assert_same_message(&m, &good);
            cases -= cases < 10 ? cases : 10;
        }
    }
}

/* -- many, cut anywhere -- */
static enum err feed_cut(struct rng *rng, struct span wire)
{
    uint64_t most = rng_below(rng, 3) == 0 ? wire.n : 1 + rng_below(rng, 300);
    enum err e = ERR_OK;
    while (e == ERR_OK && wire.n != 0) {
        size_t n = 1 + rng_below(rng, most);
        struct span piece = span_head(wire, n);
        e = feed(&quick, piece);
        wire = span_skip(wire, piece.n);
    }
    return e;
}

static void resume_both(struct rng *rng)
{
    struct pb_build reply = created();
    if (rng_below(rng, 2) != 0 || !etcd_call_resume(&quick.call))
        return;
    assert_true(etcd_call_resume(&slow.call));
    assert_int_equal(rig_reply(&quick, &reply), ERR_OK);
    assert_int_equal(rig_reply(&slow, &reply), ERR_OK);
}

static void responses_that_are_cut_anywhere_are_shown_as_on_the_long_way(void **state)
{
    (void)state;
    static struct pb_build wire;
    struct rng rng = support_rng("cut responses");
    uint64_t cases = cases_of();
    for (uint64_t i = 0; i < cases; i++) {
        open_both();
        enum err quick_e = ERR_OK;
        for (unsigned part = 0; part < 3 && quick_e == ERR_OK; part++) {
            wire.n = 0;
            for (uint64_t n = 1 + rng_below(&rng, 4); n != 0; n--) {
                struct pb_build m = random_response(&rng);
                if (rng_below(&rng, 16) == 0)
                    mutate(&rng, &m);
                if (wire.n + GRPC_HEAD_BYTES + m.n <= sizeof wire.b)
                    rig_frame(&wire, pb_built(&m));
            }
            if (rng_below(&rng, 32) == 0)
                wire.b[rng_below(&rng, GRPC_HEAD_BYTES)] ^= (uint8_t)(1u << rng_below(&rng, 8));
            quick_e = feed_cut(&rng, pb_built(&wire));
            assert_same(quick_e, feed_slowly(pb_built(&wire)));
            if (quick_e == ERR_OK)
                resume_both(&rng);
        }
        close_both();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_usual_response_is_shown_as_on_the_long_way),
        cmocka_unit_test(a_response_with_any_byte_changed_is_shown_as_on_the_long_way),
        cmocka_unit_test(responses_that_are_cut_anywhere_are_shown_as_on_the_long_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
