/* SPDX-License-Identifier: Apache-2.0 */
/* Watch: created ranges, events, and which responses are sent at all. */
#include "support/etcd_rig.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
