/* SPDX-License-Identifier: Apache-2.0 */
/* v3lock and v3election: names, keys and leases of both directions; the lease that is granted
 * first. */
#include <stdio.h>

#include "support/etcd_rig.h"

static struct etcd_rig rig;

enum { NONE = 0, OK = 0, TAKEN = 9 };

#define LOCK     "/v3lockpb.Lock/Lock"
#define UNLOCK   "/v3lockpb.Lock/Unlock"
#define CAMPAIGN "/v3electionpb.Election/Campaign"
#define PROCLAIM "/v3electionpb.Election/Proclaim"
#define LEADER   "/v3electionpb.Election/Leader"
#define OBSERVE  "/v3electionpb.Election/Observe"
#define RESIGN   "/v3electionpb.Election/Resign"

static const struct {
    uint64_t id, stored;
} leases[] = {
    {5, RIG_ALIAS(5)},         {RIG_GIVEN, RIG_GIVEN},      {RIG_OTHER, RIG_NOWHERE},
    {UINT64_MAX, RIG_NOWHERE}, {RIG_ALIAS(5), RIG_NOWHERE},
};

static struct pb_build named(const char *name, uint64_t lease)
{
    struct pb_build m = {0};
    if (name != NULL)
        pb_str(&m, 1, name);
    if (lease != NONE)
        pb_num(&m, 2, lease);
    pb_str(&m, 3, "value");
    return m;
}

static void names_and_leases_are_mapped(void **state)
{
    (void)state;
    static const char *const methods[] = {LOCK, CAMPAIGN};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        for (size_t j = 0; j < ARRAY_LEN(leases); j++) {
            struct pb_build m = named("n", leases[j].id);
            struct pb_build want = named(RIG_P "n", leases[j].stored);
            rig_open(&rig, methods[i]);
            assert_int_equal(rig_ask(&rig, &m), ERR_OK);
            assert_asked(&rig, &want);
            assert_false(etcd_call_in_prelude(&rig.call));
            assert_span_equal(etcd_call_method(&rig.call), span_str(methods[i]));
            rig_close(&rig);
        }
}

static void an_absent_name_is_the_prefix_alone(void **state)
{
    (void)state;
    static const char *const methods[] = {LOCK, CAMPAIGN, LEADER, OBSERVE};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        for (int is_there = 0; is_there < 2; is_there++) {
            struct pb_build m = named(is_there == 0 ? NULL : "", RIG_GIVEN);
            rig_open(&rig, methods[i]);
            assert_int_equal(rig_ask(&rig, &m), ERR_OK);
            assert_span_equal(pb_find(rig_asked(&rig, 0), 1, 0).s, SPAN_LIT(RIG_P));
            rig_close(&rig);
        }
}

static void unlock_names_own_keys_and_leaves_an_empty_one_to_etcd(void **state)
{
    (void)state;
    static const char *const keys[] = {"n/1", "bh/d/z.n/1", ""};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct pb_build m = {0}, want = {0};
        char mapped[64];
        snprintf(mapped, sizeof mapped, "%s%s", keys[i][0] == '\0' ? "" : RIG_P, keys[i]);
        pb_str(&m, 1, keys[i]);
        pb_str(&want, 1, mapped);
        rig_open(&rig, UNLOCK);
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_asked(&rig, &want);
        rig_close(&rig);
    }
}

static struct pb_build held(const char *prefix, uint64_t lease)
{
    struct pb_build leader = {0}, m = {0};
    char text[64];
    snprintf(text, sizeof text, "%sn", prefix);
    pb_str(&leader, 1, text);
    snprintf(text, sizeof text, "%sn/1", prefix);
    pb_str(&leader, 2, text);
    pb_num(&leader, 3, 77);
    if (lease != NONE)
        pb_num(&leader, 4, lease);
    pb_sub(&m, 1, &leader);
    pb_str(&m, 2, "value");
    return m;
}

static void a_leader_key_is_mapped_as_a_whole(void **state)
{
    (void)state;
    static const char *const methods[] = {PROCLAIM, RESIGN};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        for (size_t j = 0; j < ARRAY_LEN(leases); j++) {
            struct pb_build m = held("", leases[j].id), want = held(RIG_P, leases[j].stored);
            rig_open(&rig, methods[i]);
            assert_int_equal(rig_ask(&rig, &m), ERR_OK);
            assert_asked(&rig, &want);
            assert_false(etcd_call_in_prelude(&rig.call));
            rig_close(&rig);
        }
}

static void a_request_without_a_leader_key_is_etcds_to_refuse(void **state)
{
    (void)state;
    struct pb_build m = {0};
    pb_str(&m, 2, "value");
    rig_open(&rig, PROCLAIM);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_asked(&rig, &m);
    rig_close(&rig);
}

static void several_leader_keys_are_one(void **state)
{
    (void)state;
    /* The name comes first, the lease second: nothing may be added that replaces the name. */
    struct pb_build first = {0}, second = {0}, m = {0};
    pb_str(&first, 1, "n");
    pb_num(&second, 4, RIG_GIVEN);
    pb_sub(&m, 1, &first);
    pb_sub(&m, 1, &second);
    rig_open(&rig, RESIGN);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_false(etcd_call_in_prelude(&rig.call));
    struct span asked = rig_asked(&rig, 0);
    assert_span_equal(pb_find(pb_find(asked, 1, 0).s, 1, 0).s, SPAN_LIT(RIG_P "n"));
    assert_int_equal(pb_find(pb_find(asked, 1, 1).s, 1, 0).field, 0);
    rig_close(&rig);
    /* No name at all: the prefix. */
    m.n = 0;
    pb_sub(&m, 1, &second);
    rig_open(&rig, RESIGN);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_span_equal(pb_find(pb_find(rig_asked(&rig, 0), 1, 0).s, 1, 0).s, SPAN_LIT(RIG_P));
    rig_close(&rig);
}

/* -- the prelude -- */
static const struct {
    const char *method;
    bool is_held;
} without_lease[] = {{LOCK, false}, {CAMPAIGN, false}, {PROCLAIM, true}, {RESIGN, true}};

static struct pb_build request_of(size_t i, const char *prefix, uint64_t lease)
{
    char name[64];
    snprintf(name, sizeof name, "%sn", prefix);
    return without_lease[i].is_held ? held(prefix, lease) : named(name, lease);
}

/* The id in the LeaseGrant that to_up holds. */
static uint64_t granted(void)
{
    struct span grant = rig_asked(&rig, 0);
    assert_span_equal(etcd_call_method(&rig.call), SPAN_LIT("/etcdserverpb.Lease/LeaseGrant"));
    assert_int_equal(pb_find(grant, 1, 0).v, 60);
    uint64_t id = pb_find(grant, 2, 0).v;
    assert_int_equal(id >> 38, RIG_TAG);
    return id;
}

static enum err answer_grant(uint64_t id)
{
    struct pb_build reply = {0};
    pb_num(&reply, 2, id);
    pb_num(&reply, 3, 60);
    buf_consume(&rig.call.to_up, buf_len(&rig.call.to_up)); /* it has left */
    return rig_reply(&rig, &reply);
}

static void without_a_lease_one_is_granted_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(without_lease); i++) {
        struct pb_build m = request_of(i, "", NONE);
        rig_open(&rig, without_lease[i].method);
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK);
        assert_true(etcd_call_in_prelude(&rig.call));
        uint64_t taken = granted();
        buf_consume(&rig.call.to_up, buf_len(&rig.call.to_up));
        assert_true(etcd_call_retry(&rig.call, TAKEN));
        uint64_t id = granted();
        assert_true(id != taken);
        assert_int_equal(answer_grant(id), ERR_OK);
        assert_int_equal(etcd_call_end_up(&rig.call), ERR_OK);
        assert_true(etcd_call_retry(&rig.call, OK));
        assert_false(etcd_call_in_prelude(&rig.call));
        assert_span_equal(etcd_call_method(&rig.call), span_str(without_lease[i].method));
        struct pb_build want = request_of(i, RIG_P, NONE), leader = {0};
        if (without_lease[i].is_held) {
            pb_num(&leader, 4, id);
            pb_sub(&want, 1, &leader);
        } else {
            pb_num(&want, 2, id);
        }
        assert_asked(&rig, &want);
        assert_int_equal(buf_len(&rig.call.to_app), 0);
        assert_false(etcd_call_retry(&rig.call, TAKEN)); /* what comes now is the answer */
        rig_close(&rig);
    }
}

static void a_grant_that_fails_is_no_prelude_ended(void **state)
{
    (void)state;
    static const uint64_t strange[] = {RIG_OTHER, 0, 7};
    struct pb_build m = named("n", NONE);
    for (size_t i = 0; i < ARRAY_LEN(strange); i++) {
        rig_open(&rig, LOCK);
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_int_equal(answer_grant(strange[i]), ERR_UPSTREAM_PROTOCOL);
        rig_close(&rig);
    }
    rig_open(&rig, LOCK);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_false(etcd_call_retry(&rig.call, 14)); /* refused: the application hears it */
    assert_false(etcd_call_retry(&rig.call, OK)); /* no answer at all */
    assert_true(etcd_call_in_prelude(&rig.call));
    uint64_t id = granted();
    assert_int_equal(answer_grant(id), ERR_OK);
    assert_int_equal(answer_grant(id), ERR_UPSTREAM_PROTOCOL); /* twice */
    rig_close(&rig);
}

/* -- replies -- */
static struct pb_build campaign_reply(const char *prefix, uint64_t lease)
{
    struct pb_build held_by = held(prefix, lease), m = {0};
    pb_span(&m, 2, pb_find(pb_built(&held_by), 1, 0).s);
    return m;
}

static void replies_are_stripped(void **state)
{
    (void)state;
    struct pb_build m = {0}, want = {0};
    pb_str(&m, 2, RIG_P "n/1");
    pb_str(&want, 2, "n/1");
    rig_open(&rig, LOCK);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_replied(&rig, &want);
    rig_close(&rig);

    m = campaign_reply(RIG_P, RIG_ALIAS(5));
    want = campaign_reply("", 5);
    rig_open(&rig, CAMPAIGN);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_replied(&rig, &want);
    rig_close(&rig);

    rig_open(&rig, OBSERVE);
    for (unsigned i = 0; i < 3; i++) {
        struct pb_build kv = {0};
        m.n = want.n = 0;
        pb_str(&kv, 1, RIG_P "n/1");
        pb_num(&kv, 6, RIG_ALIAS(5));
        pb_sub(&m, 2, &kv);
        kv.n = 0;
        pb_str(&kv, 1, "n/1");
        pb_num(&kv, 6, 5);
        pb_sub(&want, 2, &kv);
        assert_int_equal(rig_reply(&rig, &m), ERR_OK);
        assert_span_equal(rig_replied(&rig, i), pb_built(&want));
    }
    rig_close(&rig);
}

static void a_foreign_reply_is_none(void **state)
{
    (void)state;
    struct pb_build m = {0}, kv = {0};
    pb_str(&m, 2, "bh/d/z.n/1");
    rig_open(&rig, LOCK);
    assert_int_equal(rig_reply(&rig, &m), ERR_UPSTREAM_PROTOCOL);
    rig_close(&rig);
    m = campaign_reply(RIG_P, RIG_OTHER);
    rig_open(&rig, CAMPAIGN);
    assert_int_equal(rig_reply(&rig, &m), ERR_UPSTREAM_PROTOCOL);
    rig_close(&rig);
    m.n = 0;
    pb_str(&kv, 1, "bh/d/z.n/1");
    pb_sub(&m, 2, &kv);
    rig_open(&rig, LEADER);
    assert_int_equal(rig_reply(&rig, &m), ERR_UPSTREAM_PROTOCOL);
    rig_close(&rig);
}

static void pieces_of_a_streamed_range_are_stripped(void **state)
{
    (void)state;
    struct pb_build ask = {0};
    pb_str(&ask, 1, "k");
    rig_open(&rig, "/etcdserverpb.KV/RangeStream");
    assert_int_equal(rig_ask(&rig, &ask), ERR_OK);
    assert_span_equal(pb_find(rig_asked(&rig, 0), 1, 0).s, SPAN_LIT(RIG_P "k"));
    for (unsigned i = 0; i < 3; i++) {
        struct pb_build m = {0}, range = {0}, kv = {0}, want = {0};
        pb_str(&kv, 1, "bh/d/z.k");
        pb_sub(&range, 2, &kv);
        kv.n = 0;
        pb_str(&kv, 1, RIG_P "k");
        pb_sub(&range, 2, &kv);
        pb_sub(&m, 1, &range);
        kv.n = range.n = 0;
        pb_str(&kv, 1, "k");
        pb_sub(&range, 2, &kv);
        pb_sub(&want, 1, &range);
        assert_int_equal(rig_reply(&rig, &m), ERR_OK);
        assert_span_equal(rig_replied(&rig, i), pb_built(&want));
    }
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_leases_are_mapped),
        cmocka_unit_test(an_absent_name_is_the_prefix_alone),
        cmocka_unit_test(unlock_names_own_keys_and_leaves_an_empty_one_to_etcd),
        cmocka_unit_test(a_leader_key_is_mapped_as_a_whole),
        cmocka_unit_test(a_request_without_a_leader_key_is_etcds_to_refuse),
        cmocka_unit_test(several_leader_keys_are_one),
        cmocka_unit_test(without_a_lease_one_is_granted_first),
        cmocka_unit_test(a_grant_that_fails_is_no_prelude_ended),
        cmocka_unit_test(replies_are_stripped),
        cmocka_unit_test(a_foreign_reply_is_none),
        cmocka_unit_test(pieces_of_a_streamed_range_are_stripped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
