/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a Watch over several namespaces is created, message by message: what goes upstream and when,
 * what waits meanwhile. Law V at large is etcd_view_test.c.
 */
#include "session/etcd_view_rig.h"

static void a_watch_that_begins_now_is_created_first_and_shown_with_its_table(void **state)
{
    (void)state;
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_false(etcd_call_wants_side(&rig.call));
    assert_true(etcd_call_has_later(&rig.call)); /* another create would come before its turn */
    assert_int_equal(create_at("v1/z", 0, 0, false), ERR_OK);
    assert_int_equal(buf_len(&rig.call.to_up), 0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    shows_nothing();
    assert_true(etcd_call_is_held(&rig.call));
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 11, true), ERR_OK); /* waits */
    fill(10, 11, near_and_far, 2);
    shows_created(10);
    begin_side("/etcdserverpb.KV/Range"); /* who is left */
    assert_span_equal(pb_find(asked, 1, 0).s, SPAN_LIT("bh/d/a/b/c/d.v1/k"));
    assert_int_equal(pb_find(asked, 4, 0).v, 11);
    sent_up(0); /* the second one */
}

static void a_compaction_before_the_table_is_read_is_not_seen(void **state)
{
    static struct pb_build m;
    (void)state;
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    begin_side("/etcdserverpb.KV/Txn");
    assert_int_equal(pb_find(range_asked(0), 4, 0).v, 10);
    assert_int_equal(end_side(NULL, OUT_OF_RANGE), ERR_OK);
    fill(0, 14, near_and_far, 2);
    shows_created(14); /* and what happened until then is in the table */
    m.n = 0;
    header(&m, 15);
    add_event(&m, "bh/d/a/b/c.v1/k", 12, true);
    add_event(&m, "bh/d/a/b/c.v1/k", 13, false);
    add_event(&m, "bh/d/a/b/c.v1/n", 15, false);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    struct span got = shown();
    shows_event(got, 0, "v1/n", 15, false);
    assert_int_equal(pb_find(got, 11, 1).field, 0);
    /* Lost: it goes on behind what the application was told. */
    assert_true(etcd_call_resume(&rig.call));
    sent_up(15);
    assert_int_equal(says(0, 15, CREATED, 1), ERR_OK);
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 15, false), ERR_OK);
    shows_nothing(); /* it is known */
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 16, false), ERR_OK);
    shows_event(shown(), 0, "v1/n", 16, false);
}

static void a_watch_that_is_refused_lets_go_of_what_waited(void **state)
{
    static struct pb_build m;
    (void)state;
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_int_equal(create_at("v1/z", 0, 0, false), ERR_OK);
    m.n = 0;
    header(&m, 10);
    pb_num(&m, CREATED, 1);
    pb_num(&m, CANCELED, 1);
    pb_str(&m, 6, "no");
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_int_equal(pb_find(shown(), CANCELED, 0).v, 1);
    sent_up(0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    fill(10, 10, near_and_far, 2);
    shows_created(10);
    assert_false(etcd_call_has_later(&rig.call));
}

static void a_loss_while_the_table_is_read_is_not_seen(void **state)
{
    (void)state;
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 11, false), ERR_OK);
    assert_true(etcd_call_resume(&rig.call));
    sent_up(10);
    fill(10, 12, near_and_far, 2);
    shows_created(10);
    assert_int_equal(says(0, 12, CREATED, 1), ERR_OK);
    shows_nothing();
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 11, false), ERR_OK);
    shows_event(shown(), 0, "v1/n", 11, false);
}

static void a_watch_of_history_asks_for_one_revision_more(void **state)
{
    static struct pb_build m;
    (void)state;
    assert_int_equal(create(8), ERR_OK);
    fill(7, 10, near_and_far, 2);
    sent_up(7); /* if that is compacted, so may be a deletion at 8 */
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    shows_created(10);
    m.n = 0;
    header(&m, 10);
    add_event(&m, "bh/d/a/b/c.v1/k", 7, false);
    add_event(&m, "bh/d/a/b/c.v1/n", 8, false);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    struct span got = shown();
    shows_event(got, 0, "v1/n", 8, false);
    assert_int_equal(pb_find(got, 11, 1).field, 0);
    /* Resumed, the same; in the middle of fragments from where they began. */
    m.n = 0;
    header(&m, 12);
    pb_num(&m, 7, 1);
    add_event(&m, "bh/d/a/b/c.v1/n", 11, false);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    shows_event(shown(), 0, "v1/n", 11, false);
    assert_true(etcd_call_resume(&rig.call));
    sent_up(9);
}

static void a_watch_of_what_has_not_happened_yet_begins_there(void **state)
{
    (void)state;
    assert_int_equal(create(11), ERR_OK);
    fill(10, 10, near_and_far, 2);
    sent_up(11); /* etcd tells at once what it makes */
}

/* Asked for at 10, when etcd has made `start` for the next but one. */
static void ask_for_the_future(uint64_t start, int64_t opened_at)
{
    assert_int_equal(create(start), ERR_OK);
    begin_side("/etcdserverpb.KV/Txn");
    assert_int_equal(pb_find(range_asked(0), 4, 0).v, start - 1);
    assert_int_equal(end_side(NULL, OUT_OF_RANGE), ERR_OK);
    fill(0, 10, near_and_far, 2);
    sent_up(0); /* not in the past: there a compaction would reach it */
    assert_int_equal(says(0, opened_at, CREATED, 1), ERR_OK);
    shows_nothing();
}

static void a_watch_of_the_future_is_created_now_and_learns_until_then(void **state)
{
    (void)state;
    ask_for_the_future(15, 12);
    fill(12, 12, near_and_far, 2);
    assert_false(rig.call.begins_again);
    shows_created(12);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 13, true), ERR_OK);
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 14, false), ERR_OK);
    shows_nothing();
    assert_int_equal(one_event("bh/d/a/b/c/d.v1/k", 15, true), ERR_OK); /* the last one */
    shows_event(shown(), 0, "v1/k", 15, true);
}

static void a_future_that_has_come_when_its_watch_is_created_is_shown_from_its_start(void **state)
{
    (void)state;
    ask_for_the_future(12, 14);
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 15, false), ERR_OK); /* waits */
    assert_int_equal(create_at("v1/z", 0, 5, false), ERR_OK);          /* likewise */
    fill(11, 15, near_and_far, 2);
    shows_created(14);
    assert_true(rig.call.begins_again);
    shows_nothing(); /* not the event of 15 before that of 13 */
    assert_true(etcd_call_resume(&rig.call));
    assert_false(rig.call.begins_again);
    sent_up(11);
    sent_up(0); /* the other one */
    assert_int_equal(says(0, 15, CREATED, 1), ERR_OK);
    assert_int_equal(says(5, 15, CREATED, 1), ERR_OK);
    fill(15, 15, near_and_far, 2);
    shows_created(15);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 11, false), ERR_OK);
    shows_nothing();
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 13, false), ERR_OK);
    shows_event(shown(), 0, "v1/n", 13, false);
}

static void a_future_that_has_come_and_is_compacted_is_told_so(void **state)
{
    (void)state;
    ask_for_the_future(12, 14);
    begin_side("/etcdserverpb.KV/Txn");
    assert_int_equal(pb_find(range_asked(0), 4, 0).v, 11);
    assert_int_equal(end_side(NULL, OUT_OF_RANGE), ERR_OK);
    shows_created(14);
    assert_true(rig.call.begins_again);
    assert_true(etcd_call_resume(&rig.call));
    sent_up(11);
    assert_int_equal(says(0, 15, CREATED, 1), ERR_OK);
    shows_nothing();
    assert_int_equal(says(0, 15, COMPACTED, 14), ERR_OK);
    assert_int_equal(pb_find(shown(), COMPACTED, 0).v, 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_watch_that_begins_now_is_created_first_and_shown_with_its_table),
        TEST(a_compaction_before_the_table_is_read_is_not_seen),
        TEST(a_watch_that_is_refused_lets_go_of_what_waited),
        TEST(a_loss_while_the_table_is_read_is_not_seen),
        TEST(a_watch_of_history_asks_for_one_revision_more),
        TEST(a_watch_of_what_has_not_happened_yet_begins_there),
        TEST(a_watch_of_the_future_is_created_now_and_learns_until_then),
        TEST(a_future_that_has_come_when_its_watch_is_created_is_shown_from_its_start),
        TEST(a_future_that_has_come_and_is_compacted_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
