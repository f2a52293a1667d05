/* SPDX-License-Identifier: Apache-2.0 */
/* Watch: created ranges, events, and which responses are sent at all. */
#include "support/etcd_rig.h"

#include "etcd/etcd_watch_resume.h"

#define WATCH "/etcdserverpb.Watch/Watch"

static struct etcd_rig rig;

static struct pb_build create(struct span key, struct span end, bool has_key)
{
    struct pb_build body = {0}, m = {0};
    if (has_key)
        pb_span(&body, 1, key);
    if (end.n != 0)
        pb_span(&body, 2, end);
    pb_num(&body, 3, 77);
    pb_num(&body, 7, 5);
    pb_sub(&m, 1, &body);
    return m;
}

static void a_created_range_moves_into_the_slice(void **state)
{
    (void)state;
    static const struct {
        struct span key, end, want_key, want_end;
    } rows[] = {
        {SPAN_LIT("k"), SPAN_NONE, SPAN_LIT(RIG_P "k"), SPAN_NONE},
        {SPAN_LIT("k"), SPAN_LIT("l"), SPAN_LIT(RIG_P "k"), SPAN_LIT(RIG_P "l")},
        {SPAN_LIT("\0"), SPAN_LIT("\0"), SPAN_LIT(RIG_P "\0"), SPAN_LIT(RIG_END)},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pb_build m = create(rows[i].key, rows[i].end, true);
        struct pb_build want = create(rows[i].want_key, rows[i].want_end, true);
        rig_open(&rig, WATCH);
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_asked(&rig, &want);
        rig_close(&rig);
    }
}

static void an_empty_key_watches_from_the_first_key_of_the_slice(void **state)
{
    (void)state;
    for (int given = 0; given < 2; given++) {
        struct pb_build m = create(SPAN_NONE, SPAN_LIT("\0"), given == 1);
        rig_open(&rig, WATCH);
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        struct span body = pb_find(rig_asked(&rig, 0), 1, 0).s;
        /* The last key counts. */
        assert_span_equal(pb_find(body, 1, (unsigned)given).s, SPAN_LIT(RIG_P "\0"));
        assert_int_equal(pb_find(body, 1, (unsigned)given + 1).field, 0);
        assert_span_equal(pb_find(body, 2, 0).s, SPAN_LIT(RIG_END));
        rig_close(&rig);
    }
}

static void cancel_and_progress_pass_and_unknown_requests_do_not(void **state)
{
    (void)state;
    struct pb_build id = {0}, cancel = {0}, progress = {0}, future = {0}, none = {0};
    pb_num(&id, 1, 5);
    pb_sub(&cancel, 2, &id);
    pb_sub(&progress, 3, &none);
    pb_str(&future, 4, "a kind of request that may hold keys");
    rig_open(&rig, WATCH);
    assert_int_equal(rig_ask(&rig, &cancel), ERR_OK);
    assert_int_equal(rig_ask(&rig, &progress), ERR_OK);
    assert_int_equal(rig_ask(&rig, &future), ERR_OK);
    assert_span_equal(rig_asked(&rig, 0), pb_built(&cancel));
    assert_span_equal(rig_asked(&rig, 1), pb_built(&progress));
    assert_int_equal(rig_asked(&rig, 2).n, 0);
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK);
    rig_close(&rig);
}

static void half_closing_before_any_request_is_fine(void **state)
{
    (void)state;
    rig_open(&rig, WATCH);
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK);
    rig_close(&rig);
}

static struct pb_build event(const char *key, const char *previous)
{
    struct pb_build kv = {0}, m = {0};
    pb_num(&m, 1, previous != NULL);
    pb_str(&kv, 1, key);
    pb_num(&kv, 3, 9);
    pb_num(&kv, 6, RIG_GIVEN);
    pb_sub(&m, 2, &kv);
    if (previous != NULL) {
        kv.n = 0;
        pb_str(&kv, 1, previous);
        pb_str(&kv, 5, "old");
        pb_sub(&m, 3, &kv);
    }
    return m;
}

static struct pb_build response(const struct pb_build *events, size_t n)
{
    struct pb_build header = {0}, m = {0};
    pb_num(&header, 3, 100);
    pb_sub(&m, 1, &header);
    pb_num(&m, 2, 5);
    for (size_t i = 0; i < n; i++)
        pb_sub(&m, 11, &events[i]);
    return m;
}

static void events_are_stripped_and_foreign_ones_dropped(void **state)
{
    (void)state;
    struct pb_build in[] = {event(RIG_P "k", NULL), event("bh/d/b.k", NULL),
                            event(RIG_P "k", RIG_P "k"), event(RIG_P "k", "bh/d/b.k")};
    struct pb_build out[] = {event("k", NULL), event("k", "k")};
    struct pb_build m = response(in, 4), want = response(out, 2);
    rig_open(&rig, WATCH);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_replied(&rig, &want);
    assert_int_equal(rig.counters.n[COUNTER_FOREIGN_KEY], 2);
    rig_close(&rig);
}

static void a_response_of_foreign_events_alone_is_not_sent(void **state)
{
    (void)state;
    struct pb_build foreign = event("bh/d/b.k", NULL), none = {0};
    struct pb_build m = response(&foreign, 1), progress = response(&none, 0);
    rig_open(&rig, WATCH);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_int_equal(buf_len(&rig.call.to_app), 0);
    /* A response that never had events is progress, created or canceled: sent. */
    assert_int_equal(rig_reply(&rig, &progress), ERR_OK);
    assert_replied(&rig, &progress);
    rig_close(&rig);
}

static void the_end_of_a_fragmented_response_is_always_sent(void **state)
{
    (void)state;
    struct pb_build own = event(RIG_P "k", NULL), foreign = event("bh/d/b.k", NULL);
    struct pb_build first = response(&own, 1), last = response(&foreign, 1), m, want;
    pb_num(&first, 7, 1);
    rig_open(&rig, WATCH);
    assert_int_equal(rig_reply(&rig, &first), ERR_OK);
    m = last;
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    want = response(NULL, 0);
    assert_span_equal(rig_replied(&rig, 1), pb_built(&want));
    rig_close(&rig);
}

static void created_canceled_and_compaction_pass_unchanged(void **state)
{
    (void)state;
    struct pb_build m = response(NULL, 0);
    pb_num(&m, 3, 1);
    pb_num(&m, 4, 1);
    pb_num(&m, 5, 42);
    pb_str(&m, 6, "etcdserver: mvcc: required revision has been compacted");
    pb_num(&m, 2, UINT64_MAX); /* watch id -1 */
    rig_open(&rig, WATCH);
    struct pb_build copy = m;
    assert_int_equal(rig_reply(&rig, &copy), ERR_OK);
    assert_replied(&rig, &m);
    rig_close(&rig);
}

/* -- the short way of usual responses (watch_plain.c) and the long one -- */
/* Without a cluster's id every message goes the long way, so that it is noted. */
static void open_watched(struct etcd_rig *r, uint64_t cluster_id)
{
    struct pb_build m = create(SPAN_LIT("k"), SPAN_LIT("l"), true), created = response(NULL, 0);
    rig_open(r, WATCH);
    assert_int_equal(rig_ask(r, &m), ERR_OK);
    pb_num(&created, 3, 1);
    assert_int_equal(rig_reply(r, &created), ERR_OK);
    buf_consume(&r->call.to_app, buf_len(&r->call.to_app));
    r->ns.cluster_id = cluster_id;
}

static struct pb_build random_kv(struct rng *rng)
{
    static const char *const keys[] = {RIG_P "k", RIG_P "k/1", RIG_P, "bh/d/b.k", ""};
    static const uint64_t leases[] = {RIG_GIVEN, RIG_ALIAS(7), RIG_OTHER, 0};
    struct pb_build kv = {0};
    uint8_t value[200] = {0};
    bool is_odd = rng_below(rng, 16) == 0;
    if (!is_odd || rng_below(rng, 4) != 0)
        pb_str(&kv, 1, keys[rng_below(rng, 8) == 0 ? rng_below(rng, ARRAY_LEN(keys)) : 0]);
    pb_num(&kv, 2, rng_below(rng, 300));
    if (rng_below(rng, 8) != 0)
        pb_num(&kv, 3, 100 + rng_below(rng, 300));
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
        pb_num(&m, 2, rng_below(rng, 16) == 0 ? 6 : 5);
    for (uint64_t n = 1 + rng_below(rng, 3); n != 0; n--) {
        struct pb_build ev = {0}, kv = random_kv(rng);
        if (rng_below(rng, 2) == 0)
            pb_num(&ev, 1, rng_below(rng, 2));
        pb_sub(&ev, 2, &kv);
        if (rng_below(rng, 8) == 0) {
            kv = random_kv(rng);
            pb_sub(&ev, 2 + (uint32_t)rng_below(rng, 2), &kv);
        }
        pb_sub(&m, 11, &ev);
    }
    /* Into the header the short way does not look. */
    size_t events_at = 2 + header.n;
    if (rng_below(rng, 16) == 0)
        m.b[events_at + rng_below(rng, m.n - events_at)] ^= (uint8_t)(1u << rng_below(rng, 8));
    return m;
}

static int64_t next_of(const struct etcd_rig *r)
{
    struct etcd_watch_shown shown;
    return etcd_watches_show(r->call.watches, 0, &shown) ? shown.next : -1;
}

static void the_short_way_of_a_usual_response_makes_the_same_of_it_as_the_long_one(void **state)
{
    (void)state;
    static struct etcd_rig quick, slow;
    struct rng rng = support_rng("usual responses");
    unsigned quick_n = 0;
    for (unsigned i = 0; i < 20000; i++) {
        struct pb_build m = random_response(&rng), same = m;
        open_watched(&quick, 1);
        open_watched(&slow, 0);
        struct buf none = {0};
        quick_n += etcd_watches_usual(quick.call.watches, &quick.ns, pb_built(&m), &none) ==
                   USUAL_SHOWN;
        buf_deinit(&none);
        rig_close(&quick);
        open_watched(&quick, 1);
        enum err e = rig_reply(&quick, &m);
        assert_int_equal(e, rig_reply(&slow, &same));
        assert_span_equal(buf_span(&quick.call.to_app), buf_span(&slow.call.to_app));
        assert_int_equal(next_of(&quick), next_of(&slow));
        assert_memory_equal(quick.counters.n, slow.counters.n, sizeof quick.counters.n);
        rig_close(&quick);
        rig_close(&slow);
    }
    /* Both ways were gone. */
    assert_in_range(quick_n, 2000, 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_created_range_moves_into_the_slice),
        cmocka_unit_test(an_empty_key_watches_from_the_first_key_of_the_slice),
        cmocka_unit_test(cancel_and_progress_pass_and_unknown_requests_do_not),
        cmocka_unit_test(half_closing_before_any_request_is_fine),
        cmocka_unit_test(events_are_stripped_and_foreign_ones_dropped),
        cmocka_unit_test(a_response_of_foreign_events_alone_is_not_sent),
        cmocka_unit_test(the_end_of_a_fragmented_response_is_always_sent),
        cmocka_unit_test(created_canceled_and_compaction_pass_unchanged),
        cmocka_unit_test(the_short_way_of_a_usual_response_makes_the_same_of_it_as_the_long_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
