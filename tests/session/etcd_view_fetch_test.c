/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What events of a Watch over several namespaces need read, how many reads go together, and what
 * waits meanwhile. Law V at large is etcd_view_test.c.
 */
#include "session/etcd_view_rig.h"

enum { KEYS = 12 };

/* c and c/d hold v1/00 .. v1/11; c's go, all in one response, one revision each. */
static void lose_nearest(int64_t first)
{
    static struct pb_build m;
    m.n = 0;
    header(&m, first + KEYS);
    for (int i = 0; i < KEYS; i++) {
        char key[40];
        snprintf(key, sizeof key, "bh/d/a/b/c.v1/%02d", i);
        add_event(&m, key, first + i, true);
        if (i == 5) /* something that needs no read keeps its place */
            add_event(&m, "bh/d/a/b/c.v1/n", first + i, false);
    }
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
}

static void open_many(void)
{
    static char text[2 * KEYS][40];
    static const char *holders[2 * KEYS];
    for (int i = 0; i < 2 * KEYS; i++) {
        snprintf(text[i], sizeof text[i], "bh/d/a/b/c%s.v1/%02d", i < KEYS ? "" : "/d", i % KEYS);
        holders[i] = text[i];
    }
    open_now(holders, 2 * KEYS);
}

/* Answers every read that was asked for with the key at revision 3. */
static enum err answer_ops(bool is_txn)
{
    static struct pb_build m, range, op;
    m.n = 0;
    header(&m, 50);
    for (unsigned i = 0; i < (is_txn ? ops_asked() : 1); i++) {
        char key[80];
        struct span k = pb_find(is_txn ? range_asked(i) : asked, 1, 0).s;
        snprintf(key, sizeof key, "%.*s", (int)k.n, (const char *)k.p);
        if (!is_txn) {
            write_kv(&m, 2, key, 3, true);
            break;
        }
        range.n = op.n = 0;
        write_kv(&range, 2, key, 3, true);
        pb_sub(&op, 1, &range);
        pb_sub(&m, 3, &op);
    }
    return end_side(&m, OK);
}

static void shows_survivors(void)
{
    struct span got = shown();
    for (unsigned i = 0, n = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "v1/%02u", i);
        shows_event(got, n++, key, 3, false);
        if (i == 5)
            shows_event(got, n++, "v1/n", 20 + 5, false);
    }
    assert_int_equal(pb_find(got, 11, KEYS + 1).field, 0);
}

static void survivors_are_read_many_at_a_time(void **state)
{
    (void)state;
    open_many();
    lose_nearest(20);
    begin_side("/etcdserverpb.KV/Txn");
    assert_int_equal(ops_asked(), 8);
    for (unsigned i = 0; i < 8; i++) {
        char key[40];
        snprintf(key, sizeof key, "bh/d/a/b/c/d.v1/%02u", i);
        assert_span_equal(pb_find(range_asked(i), 1, 0).s, span_str(key));
        assert_int_equal(pb_find(range_asked(i), 4, 0).v, 20 + i);
    }
    shows_nothing();
    assert_int_equal(answer_ops(true), ERR_OK);
    begin_side("/etcdserverpb.KV/Txn");
    assert_int_equal(ops_asked(), 4);
    assert_int_equal(answer_ops(true), ERR_OK);
    assert_false(etcd_call_wants_side(&rig.call));
    shows_survivors();
}

static void an_etcd_that_takes_fewer_is_asked_for_fewer(void **state)
{
    (void)state;
    open_many();
    lose_nearest(20);
    for (unsigned most = 8; most != 0; most /= 2) {
        begin_side(most > 1 ? "/etcdserverpb.KV/Txn" : "/etcdserverpb.KV/Range");
        if (most > 1) {
            assert_int_equal(ops_asked(), most);
            assert_int_equal(end_side(NULL, INVALID), ERR_OK);
        }
    }
    assert_int_equal(answer_ops(false), ERR_OK);
    while (etcd_call_wants_side(&rig.call)) {
        struct span method;
        assert_int_equal(etcd_call_begin_side(&rig.call, &side_request, &method), ERR_OK);
        asked = rig_message(&side_request, 0);
        assert_int_equal(answer_ops(method.n == SPAN_LIT("/etcdserverpb.KV/Txn").n), ERR_OK);
    }
    shows_survivors();
}

/* At 20 the nearest goes; the other one is written at 23 and 40; 22 is compacted. */
static void of_what_is_compacted_the_first_that_is_left_is_looked_for(void **state)
{
    static struct pb_build m;
    unsigned reads = 0;
    (void)state;
    open_now(near_and_far, 2);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 20, true), ERR_OK);
    while (etcd_call_wants_side(&rig.call)) {
        begin_side("/etcdserverpb.KV/Range");
        uint64_t at = pb_find(asked, 4, 0).v;
        assert_true(++reads < 10);
        m.n = 0;
        header(&m, 60);
        write_kv(&m, 2, "bh/d/a/b/c/d.v1/k", at == 0 || at >= 40 ? 40 : at >= 23 ? 23 : 3, true);
        bool is_there = at == 0 || at >= 22;
        assert_int_equal(end_side(is_there ? &m : NULL, is_there ? OK : OUT_OF_RANGE), ERR_OK);
    }
    shows_event(shown(), 0, "v1/k", 3, false); /* as it is at 22 */
}

static void what_was_written_before_that_is_shown_by_its_own_event(void **state)
{
    static struct pb_build m;
    (void)state;
    open_now(near_and_far, 2);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 20, true), ERR_OK);
    while (etcd_call_wants_side(&rig.call)) {
        begin_side("/etcdserverpb.KV/Range");
        uint64_t at = pb_find(asked, 4, 0).v;
        m.n = 0;
        header(&m, 60);
        write_kv(&m, 2, "bh/d/a/b/c/d.v1/k", 21, true);
        bool is_there = at == 0 || at >= 22;
        assert_int_equal(end_side(is_there ? &m : NULL, is_there ? OK : OUT_OF_RANGE), ERR_OK);
    }
    shows_event(shown(), 0, "v1/k", 20, true);
    assert_int_equal(one_event("bh/d/a/b/c/d.v1/k", 21, false), ERR_OK);
    shows_event(shown(), 0, "v1/k", 21, false);
}

static void a_progress_waits_for_the_read_that_stands_before_it(void **state)
{
    static struct pb_build m;
    (void)state;
    open_now(near_and_far, 2);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 20, true), ERR_OK);
    m.n = 0;
    header(&m, 21);
    pb_num(&m, 2, UINT64_MAX); /* -1: of all watches, asked for */
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_int_equal(says(0, 22, 0, 0), ERR_OK); /* of this one, by itself */
    shows_nothing();                             /* it would say that nothing happened */
    begin_side("/etcdserverpb.KV/Range");
    assert_int_equal(answer_ops(false), ERR_OK);
    shows_event(shown(), 0, "v1/k", 3, false);
    struct span got = shown();
    assert_int_equal(pb_find(got, 2, 0).v, UINT64_MAX);
    assert_int_equal(pb_find(pb_find(got, 1, 0).s, 3, 0).v, 21);
    got = shown();
    assert_int_equal(pb_find(got, 2, 0).v, 0);
    assert_int_equal(pb_find(pb_find(got, 1, 0).s, 3, 0).v, 22);
    /* A progress that is asked for goes upstream while a read is held. */
    assert_int_equal(one_event("bh/d/a/b/c/d.v1/k", 23, true), ERR_OK);
    shows_event(shown(), 0, "v1/k", 23, true);
}

static void a_progress_that_is_asked_for_is_sent_while_a_read_is_held(void **state)
{
    static struct pb_build m, empty;
    (void)state;
    open_now(near_and_far, 2);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 20, true), ERR_OK);
    m.n = empty.n = 0;
    pb_sub(&m, 3, &empty);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_asked(&rig, &m);
    assert_true(etcd_call_is_held(&rig.call));
    /* Lost before it was answered: asked for again, behind the watch. */
    assert_true(etcd_call_resume(&rig.call));
    assert_int_equal(pb_find(pb_find(rig_asked(&rig, 0), 1, 0).s, 3, 0).v, 20);
    assert_span_equal(rig_asked(&rig, 1), pb_built(&m));
}

/* On a stream with fragments every response is sent, and clients take an empty one for a progress.
 */
static void a_response_with_nothing_left_says_no_more_than_its_own_revision(void **state)
{
    static struct pb_build m;
    (void)state;
    open_now(near_and_far, 2);
    m.n = 0;
    header(&m, 90);
    pb_num(&m, 7, 1);
    add_event(&m, "bh/d/a/b/c.v1/n", 20, false);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    shows_event(shown(), 0, "v1/n", 20, false);
    m.n = 0; /* of history, the store is at 90 */
    header(&m, 90);
    add_event(&m, "bh/d/a/b/c.locks/n", 21, false);
    add_event(&m, "bh/d/a/b/c.locks/n", 22, false);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    struct span got = shown();
    assert_int_equal(pb_find(got, 11, 0).field, 0);
    assert_int_equal(pb_find(pb_find(got, 1, 0).s, 3, 0).v, 22);
    /* What has events keeps etcd's header. */
    m.n = 0;
    header(&m, 90);
    add_event(&m, "bh/d/a/b/c.v1/n", 23, false);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_int_equal(pb_find(pb_find(shown(), 1, 0).s, 3, 0).v, 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(survivors_are_read_many_at_a_time),
        TEST(an_etcd_that_takes_fewer_is_asked_for_fewer),
        TEST(of_what_is_compacted_the_first_that_is_left_is_looked_for),
        TEST(what_was_written_before_that_is_shown_by_its_own_event),
        TEST(a_progress_waits_for_the_read_that_stands_before_it),
        TEST(a_progress_that_is_asked_for_is_sent_while_a_read_is_held),
        TEST(a_response_with_nothing_left_says_no_more_than_its_own_revision),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
