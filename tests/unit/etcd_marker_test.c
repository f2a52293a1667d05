/* SPDX-License-Identifier: Apache-2.0 */
/* Lease markers (design.md 4.1): what goes upstream behind a grant, what comes of a marker that
 * cannot be written, and LeaseLeases by markers. */
#include <stdio.h>

#include "support/etcd_rig.h"

#define GRANT  "/etcdserverpb.Lease/LeaseGrant"
#define REVOKE "/etcdserverpb.Lease/LeaseRevoke"
#define LEASES "/etcdserverpb.Lease/LeaseLeases"
#define LOCK   "/v3lockpb.Lock/Lock"
#define PUT    "/etcdserverpb.KV/Put"
#define RANGE  "/etcdserverpb.KV/Range"
#define MARKER "bh/m/l/a/b."

static struct etcd_rig rig;

static void open_marked(const char *method)
{
    struct ns_path path;
    rig_open(&rig, method);
    rig.ns.marks_leases = true;
    assert_int_equal(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL), ERR_OK);
    assert_int_equal(key_map_init_markers(&rig.ns.markers, SPAN_LIT("bh/"), &path), ERR_OK);
}

static struct pb_build with_id(uint32_t field, uint64_t id)
{
    struct pb_build m = {0};
    pb_num(&m, field, id);
    return m;
}

static void assert_method(const char *method)
{
    assert_span_equal(etcd_call_method(&rig.call), span_str(method));
}

/* The Put of the marker of lease id, alone in to_up. */
static void assert_marks(uint64_t id)
{
    char key[64];
    snprintf(key, sizeof key, MARKER "%016llx", (unsigned long long)id);
    struct pb_build want = {0};
    pb_str(&want, 1, key);
    pb_num(&want, 3, id);
    assert_method(PUT);
    assert_asked(&rig, &want);
}

static void sent(void)
{
    buf_consume(&rig.call.to_up, buf_len(&rig.call.to_up));
}

static void ask_grant(uint64_t id)
{
    struct pb_build m = {0};
    pb_num(&m, 1, 60);
    pb_num(&m, 2, id);
    open_marked(GRANT);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK);
    assert_method(GRANT);
    assert_true(etcd_call_in_prelude(&rig.call)); /* no head of its answer is passed on */
    sent();
}

static void a_lease_is_answered_when_it_is_marked(void **state)
{
    (void)state;
    struct pb_build empty = {0}, reply = {0}, seen = {0};
    ask_grant(5);
    pb_num(&reply, 2, RIG_ALIAS(5));
    pb_num(&reply, 3, 60);
    pb_num(&seen, 2, 5);
    pb_num(&seen, 3, 60);
    assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
    assert_false(etcd_call_has_begun(&rig.call));
    assert_true(etcd_call_retry(&rig.call, 0));
    assert_true(etcd_call_has_begun(&rig.call));
    assert_marks(RIG_ALIAS(5));
    assert_false(etcd_call_is_answered(&rig.call));
    sent();
    assert_int_equal(rig_reply(&rig, &empty), ERR_OK);
    assert_false(etcd_call_retry(&rig.call, 0));
    assert_true(etcd_call_is_answered(&rig.call));
    assert_replied(&rig, &seen);
    rig_close(&rig);
}

static void a_refused_grant_is_not_marked(void **state)
{
    (void)state;
    ask_grant(5);
    assert_false(etcd_call_retry(&rig.call, 9));
    assert_int_equal(etcd_call_end_up(&rig.call), ERR_OK); /* etcd's own status is the answer */
    assert_int_equal(buf_len(&rig.call.to_up), 0);
    rig_close(&rig);
}

static void a_random_id_that_is_taken_is_drawn_again_before_it_is_marked(void **state)
{
    (void)state;
    struct pb_build empty = {0};
    ask_grant(0);
    assert_true(etcd_call_retry(&rig.call, 9));
    assert_method(GRANT);
    uint64_t id = pb_find(rig_asked(&rig, 0), 2, 0).v;
    struct pb_build reply = with_id(2, id);
    sent();
    assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
    assert_true(etcd_call_retry(&rig.call, 0));
    assert_marks(id);
    sent();
    assert_int_equal(rig_reply(&rig, &empty), ERR_OK);
    assert_false(etcd_call_retry(&rig.call, 0));
    assert_true(etcd_call_is_answered(&rig.call));
    rig_close(&rig);
}

static void a_lease_that_cannot_be_marked_is_given_back(void **state)
{
    (void)state;
    static const struct {
        int status;
        bool has_reply;
        enum err error;
    } rows[] = {{7, false, ERR_MARKER_DENIED}, {5, false, ERR_MARKER},
                {14, false, ERR_MARKER},       {0, false, ERR_MARKER}, /* OK without a message */
                {9, false, ERR_MARKER}, /* no id is drawn again here */
                {14, true, ERR_MARKER}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (int revoked = 0; revoked <= 14; revoked += 14) {
            struct pb_build empty = {0};
            ask_grant(0);
            struct pb_build reply = with_id(2, RIG_GIVEN), want = with_id(1, RIG_GIVEN);
            assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
            assert_true(etcd_call_retry(&rig.call, 0));
            sent();
            if (rows[i].has_reply)
                assert_int_equal(rig_reply(&rig, &empty), ERR_OK);
            assert_true(etcd_call_retry(&rig.call, rows[i].status));
            assert_method(REVOKE);
            assert_asked(&rig, &want);
            sent();
            if (revoked == 0)
                assert_int_equal(rig_reply(&rig, &empty), ERR_OK);
            assert_false(etcd_call_retry(&rig.call, revoked));
            assert_false(etcd_call_is_answered(&rig.call));
            assert_int_equal(etcd_call_end_up(&rig.call), rows[i].error);
            rig_close(&rig);
        }
}

static void the_lease_of_a_lock_is_marked_before_the_lock_is_asked_for(void **state)
{
    (void)state;
    struct pb_build m = {0}, want = {0}, empty = {0}, reply = with_id(2, RIG_GIVEN);
    open_marked(LOCK);
    pb_str(&m, 1, "n");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_method(GRANT);
    sent();
    assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
    assert_true(etcd_call_retry(&rig.call, 0));
    assert_marks(RIG_GIVEN);
    sent();
    assert_int_equal(rig_reply(&rig, &empty), ERR_OK);
    assert_true(etcd_call_retry(&rig.call, 0));
    pb_str(&want, 1, RIG_P "n");
    pb_num(&want, 2, RIG_GIVEN);
    assert_method(LOCK);
    assert_asked(&rig, &want);
    assert_false(etcd_call_in_prelude(&rig.call));
    rig_close(&rig);
}

static void add_marker(struct pb_build *reply, const char *key, uint64_t lease)
{
    struct pb_build kv = {0};
    pb_str(&kv, 1, key);
    pb_num(&kv, 2, 9);
    if (lease != 0)
        pb_num(&kv, 6, lease);
    pb_sub(reply, 2, &kv);
}

static void leases_are_listed_by_their_markers(void **state)
{
    (void)state;
    struct pb_build none = {0}, ask = {0}, reply = {0}, want = {0}, header = with_id(3, 77), id;
    char key[64];
    open_marked(LEASES);
    assert_int_equal(rig_ask(&rig, &none), ERR_OK);
    pb_str(&ask, 1, MARKER);
    pb_str(&ask, 2, "bh/m/l/a/b/");
    assert_method(RANGE);
    assert_asked(&rig, &ask);
    pb_sub(&reply, 1, &header);
    pb_sub(&want, 1, &header);
    snprintf(key, sizeof key, MARKER "%016llx", (unsigned long long)RIG_ALIAS(5));
    add_marker(&reply, key, RIG_ALIAS(5));
    add_marker(&reply, key, RIG_ALIAS(6)); /* of another lease than it names */
    add_marker(&reply, key, 0);            /* of none */
    add_marker(&reply, MARKER "5", 5);     /* no marker's name */
    add_marker(&reply, RIG_P "k", RIG_ALIAS(5));
    snprintf(key, sizeof key, MARKER "%016llx", (unsigned long long)RIG_OTHER);
    add_marker(&reply, key, RIG_OTHER); /* another namespace's lease */
    snprintf(key, sizeof key, MARKER "%016llx", (unsigned long long)RIG_GIVEN);
    add_marker(&reply, key, RIG_GIVEN);
    pb_num(&reply, 4, 7);
    id = with_id(1, 5);
    pb_sub(&want, 2, &id);
    id = with_id(1, RIG_GIVEN);
    pb_sub(&want, 2, &id);
    assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
    assert_replied(&rig, &want);
    assert_int_equal(rig.ns.revision, 77);
    rig_close(&rig);
}

static void a_marker_is_no_foreign_key(void **state)
{
    (void)state;
    struct pb_build m = with_id(1, RIG_GIVEN), reply = with_id(2, RIG_GIVEN), want;
    pb_num(&m, 2, 1);
    want = reply;
    pb_str(&reply, 5, MARKER "0000000000000001");
    open_marked("/etcdserverpb.Lease/LeaseTimeToLive");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    uint64_t before = rig.ns.counters->n[COUNTER_FOREIGN_KEY];
    assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
    assert_replied(&rig, &want);
    assert_int_equal(rig.ns.counters->n[COUNTER_FOREIGN_KEY], before);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_answered_when_it_is_marked),
        cmocka_unit_test(a_refused_grant_is_not_marked),
        cmocka_unit_test(a_random_id_that_is_taken_is_drawn_again_before_it_is_marked),
        cmocka_unit_test(a_lease_that_cannot_be_marked_is_given_back),
        cmocka_unit_test(the_lease_of_a_lock_is_marked_before_the_lock_is_asked_for),
        cmocka_unit_test(leases_are_listed_by_their_markers),
        cmocka_unit_test(a_marker_is_no_foreign_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
