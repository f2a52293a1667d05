/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: ids out and back (design.md 4.4), replies in request order, the second try. */
#include "support/etcd_rig.h"

#include "limit.h"

static struct etcd_rig rig;

static struct pb_build with_id(uint32_t field, uint64_t id)
{
    struct pb_build m = {0};
    pb_num(&m, field, id);
    return m;
}

static struct pb_build grant(uint64_t ttl, uint64_t id, bool has_id)
{
    struct pb_build m = {0};
    pb_num(&m, 1, ttl);
    if (has_id)
        pb_num(&m, 2, id);
    pb_str(&m, 9, "future");
    return m;
}

/* The last ID of the nth request. */
static uint64_t asked_id(unsigned nth, uint32_t field)
{
    uint64_t id = 0;
    struct span m = rig_asked(&rig, nth);
    for (unsigned i = 0; pb_find(m, field, i).field != 0; i++)
        id = pb_find(m, field, i).v;
    return id;
}

static bool is_given(uint64_t id)
{
    return id >> 38 == RIG_TAG && (id >> 37 & 1) == 1;
}

static void a_grant_without_id_gets_one_of_our_tag(void **state)
{
    (void)state;
    for (int has_id = 0; has_id < 2; has_id++) {
        struct pb_build m = grant(60, 0, has_id == 1);
        rig_open(&rig, "/etcdserverpb.Lease/LeaseGrant");
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        uint64_t id = asked_id(0, 2);
        assert_true(is_given(id));
        assert_int_equal(pb_find(rig_asked(&rig, 0), 1, 0).v, 60);
        assert_span_equal(pb_find(rig_asked(&rig, 0), 9, 0).s, SPAN_LIT("future"));
        struct pb_build reply = {0}, want;
        pb_num(&reply, 2, id);
        pb_num(&reply, 3, 60);
        want = reply;
        assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
        assert_replied(&rig, &want); /* the application sees the id as it is stored */
        rig_close(&rig);
    }
}

static void a_chosen_id_is_an_alias(void **state)
{
    (void)state;
    static const uint64_t ids[] = {1, 100, (UINT64_C(1) << 37) - 1};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct pb_build m = grant(60, ids[i], true), want = grant(60, RIG_ALIAS(ids[i]), true);
        struct pb_build reply = with_id(2, RIG_ALIAS(ids[i])), seen = with_id(2, ids[i]);
        rig_open(&rig, "/etcdserverpb.Lease/LeaseGrant");
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_asked(&rig, &want);
        assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
        assert_replied(&rig, &seen);
        /* "already exists" is for the application to hear: it chose the id. */
        assert_false(etcd_call_retry(&rig.call, 9));
        rig_close(&rig);
    }
}

static void ids_that_only_the_server_chooses_are_refused(void **state)
{
    (void)state;
    static const uint64_t ids[] = {UINT64_C(1) << 37, RIG_OTHER, RIG_ALIAS(1), UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct pb_build m = grant(60, ids[i], true);
        rig_open(&rig, "/etcdserverpb.Lease/LeaseGrant");
        assert_int_equal(rig_ask(&rig, &m), ERR_LEASE_FOREIGN_ID);
        assert_int_equal(buf_len(&rig.call.to_up), 0);
        rig_close(&rig);
    }
    struct pb_build m = grant(60, RIG_GIVEN, true), want = m;
    rig_open(&rig, "/etcdserverpb.Lease/LeaseGrant");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_asked(&rig, &want);
    rig_close(&rig);
}

static void a_taken_random_id_is_drawn_again_a_few_times(void **state)
{
    (void)state;
    struct pb_build m = grant(60, 0, false);
    rig_open(&rig, "/etcdserverpb.Lease/LeaseGrant");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK);
    assert_false(etcd_call_retry(&rig.call, 0));
    assert_false(etcd_call_retry(&rig.call, 14));
    uint64_t last = asked_id(0, 2);
    unsigned tries = 0;
    for (; etcd_call_retry(&rig.call, 9); tries++) {
        uint64_t id = asked_id(0, 2);
        assert_true(is_given(id));
        assert_true(id != last);
        assert_int_equal(pb_find(rig_asked(&rig, 0), 1, 0).v, 60);
        assert_span_equal(pb_find(rig_asked(&rig, 0), 9, 0).s, SPAN_LIT("future"));
        last = id;
    }
    assert_int_equal(tries, 8);
    rig_close(&rig);
}

static void a_grant_that_is_not_ours_is_no_reply(void **state)
{
    (void)state;
    struct pb_build reply = with_id(2, RIG_OTHER);
    rig_open(&rig, "/etcdserverpb.Lease/LeaseGrant");
    assert_int_equal(rig_reply(&rig, &reply), ERR_UPSTREAM_PROTOCOL);
    rig_close(&rig);
}

static const struct {
    uint64_t id, stored;
} uses[] = {
    {0, 0},
    {5, RIG_ALIAS(5)},
    {RIG_GIVEN, RIG_GIVEN},
    {RIG_OTHER, RIG_NOWHERE},
    {UINT64_MAX, RIG_NOWHERE},
    {RIG_ALIAS(5), RIG_NOWHERE},
    {UINT64_C(1) << 37, RIG_NOWHERE},
};

static void revoke_names_own_leases_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
        struct pb_build m = with_id(1, uses[i].id), want = with_id(1, uses[i].stored);
        struct pb_build reply = {0};
        rig_open(&rig, "/etcdserverpb.Lease/LeaseRevoke");
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_asked(&rig, &want);
        assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
        assert_replied(&rig, &reply);
        rig_close(&rig);
    }
}

static void keep_alive_replies_show_the_id_that_was_asked_with(void **state)
{
    (void)state;
    rig_open(&rig, "/etcdserverpb.Lease/LeaseKeepAlive");
    for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
        struct pb_build m = with_id(1, uses[i].id), want = with_id(1, uses[i].stored);
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_span_equal(rig_asked(&rig, (unsigned)i), pb_built(&want));
    }
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK); /* half closed; replies still come */
    for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
        struct pb_build reply = with_id(2, uses[i].stored), want = with_id(2, uses[i].id);
        pb_num(&reply, 3, 60);
        pb_num(&want, 3, 60);
        assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
        assert_span_equal(rig_replied(&rig, (unsigned)i), pb_built(&want));
    }
    struct pb_build reply = with_id(2, RIG_GIVEN);
    assert_int_equal(rig_reply(&rig, &reply), ERR_UPSTREAM_PROTOCOL); /* nobody asked */
    rig_close(&rig);
}

static void keep_alives_in_flight_are_bounded(void **state)
{
    (void)state;
    rig_open(&rig, "/etcdserverpb.Lease/LeaseKeepAlive");
    uint64_t asked = 0, answered = 0;
    for (; asked < LIMIT_KEEPALIVES_IN_FLIGHT; asked++) {
        struct pb_build m = with_id(1, asked + 1);
        assert_false(etcd_call_is_behind(&rig.call));
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    }
    assert_true(etcd_call_is_behind(&rig.call));
    for (unsigned round = 0; round < 3; round++) {
        for (; asked - answered < LIMIT_KEEPALIVES_QUEUED; asked++) {
            struct pb_build m = with_id(1, asked + 1);
            assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        }
        for (unsigned i = 0; i < 1000; i++) {
            struct pb_build reply = with_id(2, RIG_ALIAS(++answered));
            assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
            assert_int_equal(pb_find(rig_replied(&rig, 0), 2, 0).v, answered);
            buf_consume(&rig.call.to_app, buf_len(&rig.call.to_app));
        }
        buf_consume(&rig.call.to_up, buf_len(&rig.call.to_up));
    }
    for (; asked - answered < LIMIT_KEEPALIVES_QUEUED; asked++) {
        struct pb_build m = with_id(1, asked + 1);
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    }
    struct pb_build m = with_id(1, 1);
    assert_int_equal(rig_ask(&rig, &m), ERR_LIMIT);
    rig_close(&rig);
}

static void time_to_live_shows_the_asked_id_and_own_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
        struct pb_build m = with_id(1, uses[i].id), want = with_id(1, uses[i].stored);
        struct pb_build reply = with_id(2, uses[i].stored), seen = with_id(2, uses[i].id);
        pb_num(&m, 2, 1);
        pb_num(&want, 2, 1);
        pb_num(&reply, 3, UINT64_MAX);
        pb_num(&reply, 4, 60);
        pb_str(&reply, 5, RIG_P "k");
        pb_str(&reply, 5, "bh/m/l/a/b.0000000000000001");
        pb_str(&reply, 5, "bh/d/z.k");
        pb_str(&reply, 5, RIG_P "k2");
        pb_num(&seen, 3, UINT64_MAX);
        pb_num(&seen, 4, 60);
        pb_str(&seen, 5, "k");
        pb_str(&seen, 5, "k2");
        rig_open(&rig, "/etcdserverpb.Lease/LeaseTimeToLive");
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_asked(&rig, &want);
        assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
        assert_replied(&rig, &seen);
        rig_close(&rig);
    }
}

static void leases_lists_own_ids_only(void **state)
{
    (void)state;
    static const uint64_t stored[] = {RIG_OTHER,   RIG_ALIAS(5), 77,          RIG_GIVEN,
                                      RIG_NOWHERE, UINT64_MAX,   RIG_ALIAS(6)};
    static const uint64_t own[] = {5, RIG_GIVEN, 6};
    struct pb_build reply = {0}, want = {0}, none = {0};
    for (size_t i = 0; i < ARRAY_LEN(stored); i++) {
        struct pb_build status = with_id(1, stored[i]);
        pb_sub(&reply, 2, &status);
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        struct pb_build status = with_id(1, own[i]);
        pb_sub(&want, 2, &status);
    }
    rig_open(&rig, "/etcdserverpb.Lease/LeaseLeases");
    assert_int_equal(rig_ask(&rig, &none), ERR_OK);
    assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
    assert_replied(&rig, &want);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grant_without_id_gets_one_of_our_tag),
        cmocka_unit_test(a_chosen_id_is_an_alias),
        cmocka_unit_test(ids_that_only_the_server_chooses_are_refused),
        cmocka_unit_test(a_taken_random_id_is_drawn_again_a_few_times),
        cmocka_unit_test(a_grant_that_is_not_ours_is_no_reply),
        cmocka_unit_test(revoke_names_own_leases_or_none),
        cmocka_unit_test(keep_alive_replies_show_the_id_that_was_asked_with),
        cmocka_unit_test(keep_alives_in_flight_are_bounded),
        cmocka_unit_test(time_to_live_shows_the_asked_id_and_own_keys),
        cmocka_unit_test(leases_lists_own_ids_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
