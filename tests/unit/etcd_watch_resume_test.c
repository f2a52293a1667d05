/* SPDX-License-Identifier: Apache-2.0 */
/* Watches after a loss: what is asked again, and what of the answers the application sees. */
#include "support/etcd_rig.h"

static struct etcd_rig rig;

enum { CREATED = 3, CANCELED = 4, COMPACTED = 5, FRAGMENT = 7 };

static void create(uint64_t id, uint64_t start)
{
    struct pb_build c = {0}, m = {0};
    pb_str(&c, 1, "k");
    if (start != 0)
        pb_num(&c, 3, start);
    pb_num(&c, 6, 1);
    if (id != 0)
        pb_num(&c, 7, id);
    pb_num(&c, 8, 1);
    pb_sub(&m, 1, &c);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
}

static void cancel(uint64_t id)
{
    struct pb_build c = {0}, m = {0};
    pb_num(&c, 1, id);
    pb_sub(&m, 2, &c);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
}

/* A reply with events of revisions first..last; flag 0 = none. */
static struct pb_build reply(uint64_t id, uint64_t header, unsigned flag, uint64_t first,
                             uint64_t last, bool is_stored)
{
    struct pb_build m = {0}, part = {0};
    pb_num(&part, 3, header);
    pb_sub(&m, 1, &part);
    pb_num(&m, 2, id);
    if (flag != 0)
        pb_num(&m, flag, 1);
    for (uint64_t i = first; i != 0 && i <= last; i++) {
        struct pb_build event = {0};
        part.n = 0;
        pb_str(&part, 1, is_stored ? RIG_P "k" : "k");
        pb_num(&part, 3, i);
        pb_sub(&event, 2, &part);
        pb_sub(&m, 11, &event);
    }
    return m;
}

/* Upstream sends it; the application sees all of it. */
static void passes(uint64_t id, uint64_t header, unsigned flag, uint64_t first, uint64_t last)
{
    struct pb_build m = reply(id, header, flag, first, last, true);
    struct pb_build want = reply(id, header, flag, first, last, false);
    buf_consume(&rig.call.to_app, buf_len(&rig.call.to_app));
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_replied(&rig, &want);
}

/* It sees only the events from `from`; 0 = nothing at all. */
static void passes_from(uint64_t id, unsigned flag, uint64_t first, uint64_t last, uint64_t from)
{
    struct pb_build m = reply(id, last, flag, first, last, true);
    struct pb_build want = reply(id, last, flag, from, last, false);
    buf_consume(&rig.call.to_app, buf_len(&rig.call.to_app));
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    if (from == 0)
        assert_int_equal(buf_len(&rig.call.to_app), 0);
    else
        assert_replied(&rig, &want);
}

static void lose(void)
{
    assert_true(etcd_call_resume(&rig.call));
}

/* The nth request is a create of this id and revision, or, with start UINT64_MAX, a cancel. */
static void asked(unsigned nth, uint64_t id, uint64_t start)
{
    struct span m = rig_asked(&rig, nth);
    bool is_cancel = start == UINT64_MAX;
    struct span c = pb_find(m, is_cancel ? 2 : 1, 0).s;
    assert_true(c.p != NULL);
    assert_int_equal(pb_find(c, is_cancel ? 1 : 7, 0).v, id);
    assert_int_equal(pb_find(c, 7, 1).field, 0);
    if (is_cancel)
        return;
    assert_int_equal(pb_find(c, 3, 0).v, start);
    assert_span_equal(pb_find(c, 1, 0).s, SPAN_LIT(RIG_P "k"));
    assert_int_equal(pb_find(c, 6, 0).v, 1);
    assert_int_equal(pb_find(c, 8, 0).v, 1);
}

static void nothing_more(unsigned nth)
{
    struct span s = buf_span(&rig.call.to_up);
    for (; nth != 0; nth--) {
        assert_true(s.n >= 5);
        s = span_skip(s, 5 + ((size_t)s.p[3] << 8 | s.p[4]));
    }
    assert_int_equal(s.n, 0);
}

static void begin(void)
{
    rig_open(&rig, "/etcdserverpb.Watch/Watch");
}

static void a_watch_goes_on_behind_its_last_event(void **state)
{
    (void)state;
    begin();
    create(0, 0);
    passes(0, 10, CREATED, 0, 0);
    lose();
    asked(0, 0, 11);
    nothing_more(1);
    passes_from(0, CREATED, 0, 0, 0); /* the second created */
    passes(0, 13, 0, 12, 13);
    lose();
    asked(0, 0, 14);
    passes_from(0, CREATED, 0, 0, 0);
    passes(0, 20, 0, 0, 0); /* progress: nothing was missed up to 20 */
    lose();
    asked(0, 0, 21);
    passes_from(0, CREATED, 0, 0, 0);
    passes(0, 20, COMPACTED, 0, 0);
    passes(0, 20, CANCELED, 0, 0);
    lose();
    nothing_more(0);
    rig_close(&rig);
}

static void ids_and_requests_under_way_keep_their_order(void **state)
{
    (void)state;
    begin();
    create(0, 0);
    create(7, 5);
    create(0, 0);
    passes(0, 10, CREATED, 0, 0);
    passes(7, 10, CREATED, 0, 0);
    passes(1, 10, CREATED, 0, 0);
    cancel(1);
    create(9, 3);
    cancel(9);
    create(0, 0);
    cancel(1000); /* unknown: etcd says nothing */
    lose();
    asked(0, 0, 11);
    asked(1, 1, 11);
    asked(2, 1, UINT64_MAX);
    asked(3, 7, 5);
    asked(4, 9, 3);
    asked(5, 9, UINT64_MAX);
    asked(6, 2, 0);
    nothing_more(7);
    create(0, 0); /* while the upstream is away */
    asked(7, 3, 0);
    passes_from(0, CREATED, 0, 0, 0);
    passes_from(1, CREATED, 0, 0, 0);
    passes(1, 12, CANCELED, 0, 0);
    passes_from(7, CREATED, 0, 0, 0);
    passes(9, 12, CREATED, 0, 0);
    passes(9, 12, CANCELED, 0, 0);
    passes(2, 12, CREATED, 0, 0);
    passes(3, 12, CREATED, 0, 0);
    lose();
    asked(0, 0, 11);
    asked(1, 2, 13);
    asked(2, 3, 13);
    asked(3, 7, 5);
    nothing_more(4);
    rig_close(&rig);
}

static void of_fragments_cut_off_no_event_comes_twice(void **state)
{
    (void)state;
    begin();
    create(0, 5);
    passes(0, 10, CREATED, 0, 0);
    passes(0, 10, FRAGMENT, 5, 7);
    lose();
    asked(0, 0, 5); /* whether 7 was complete is not known */
    passes_from(0, CREATED, 0, 0, 0);
    passes_from(0, FRAGMENT, 5, 6, 0);
    lose(); /* once more, in the middle */
    asked(0, 0, 5);
    passes_from(0, CREATED, 0, 0, 0);
    passes_from(0, 0, 5, 6, 0); /* shorter responses than before: still not shown */
    passes_from(0, 0, 7, 9, 8);
    lose();
    asked(0, 0, 10);
    passes_from(0, CREATED, 0, 0, 0);
    /* All of it had been shown, but not that it was all. */
    passes(0, 12, FRAGMENT, 10, 12);
    lose();
    passes_from(0, CREATED, 0, 0, 0);
    struct pb_build m = reply(0, 12, 0, 10, 12, true), want = reply(0, 12, 0, 0, 0, false);
    buf_consume(&rig.call.to_app, buf_len(&rig.call.to_app));
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_replied(&rig, &want);
    lose();
    asked(0, 0, 13);
    rig_close(&rig);
}

static void a_watch_that_is_not_created_again_is_canceled(void **state)
{
    (void)state;
    begin();
    create(7, 0);
    passes(7, 10, CREATED, 0, 0);
    lose();
    struct pb_build m = {0}, header = {0};
    pb_num(&header, 3, 20);
    pb_sub(&m, 1, &header);
    struct pb_build want = m;
    pb_num(&m, 2, UINT64_MAX);
    pb_num(&m, 3, 1);
    pb_num(&m, 4, 1);
    pb_str(&m, 6, "why");
    pb_num(&want, 2, 7);
    pb_num(&want, 3, 0);
    pb_num(&want, 4, 1);
    pb_str(&want, 6, "why");
    buf_consume(&rig.call.to_app, buf_len(&rig.call.to_app));
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_replied(&rig, &want);
    lose();
    nothing_more(0);
    rig_close(&rig);
}

static void creates_that_fail_are_answered_in_turn(void **state)
{
    (void)state;
    begin();
    create(0, 0);
    create(0, 0);
    struct pb_build m = reply(UINT64_MAX, 10, CREATED, 0, 0, true);
    pb_num(&m, 4, 1);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    passes(0, 10, CREATED, 0, 0);
    lose();
    asked(0, 0, 11);
    nothing_more(1);
    rig_close(&rig);
}

static void a_request_that_is_two_cannot_be_resumed(void **state)
{
    (void)state;
    struct pb_build c = {0}, m = {0};
    begin();
    pb_sub(&m, 1, &c);
    pb_sub(&m, 3, &c);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_false(etcd_call_resume(&rig.call));
    rig_close(&rig);
}

static void progress_that_was_asked_for_is_asked_for_again(void **state)
{
    (void)state;
    struct pb_build c = {0}, m = {0};
    begin();
    create(0, 0);
    passes(0, 10, CREATED, 0, 0);
    pb_sub(&m, 3, &c);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    lose();
    assert_span_equal(rig_asked(&rig, 1), pb_built(&m));
    passes_from(0, CREATED, 0, 0, 0);
    passes(UINT64_MAX, 12, 0, 0, 0);
    lose();
    asked(0, 0, 11); /* it says nothing of a watch that an old etcd had not yet served */
    nothing_more(1);
    rig_close(&rig);
}

static void half_a_reply_is_forgotten(void **state)
{
    (void)state;
    struct pb_build m = reply(0, 11, 0, 11, 11, true), wire = {0};
    begin();
    create(0, 0);
    passes(0, 10, CREATED, 0, 0);
    rig_frame(&wire, pb_built(&m));
    assert_int_equal(etcd_call_feed_up(&rig.call, span_of(wire.b, wire.n / 2)), ERR_OK);
    lose();
    asked(0, 0, 11);
    passes_from(0, CREATED, 0, 0, 0);
    passes(0, 11, 0, 11, 11);
    rig_close(&rig);
}

static void keep_alives_are_asked_again_in_order(void **state)
{
    (void)state;
    rig_open(&rig, "/etcdserverpb.Lease/LeaseKeepAlive");
    for (uint64_t id = 1; id <= 3; id++) {
        struct pb_build m = {0};
        pb_num(&m, 1, id);
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    }
    struct pb_build m = {0};
    pb_num(&m, 2, RIG_ALIAS(1));
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    lose();
    assert_int_equal(pb_find(rig_asked(&rig, 0), 1, 0).v, RIG_ALIAS(2));
    assert_int_equal(pb_find(rig_asked(&rig, 1), 1, 0).v, RIG_ALIAS(3));
    nothing_more(2);
    m.n = 0;
    pb_num(&m, 2, RIG_ALIAS(2));
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_int_equal(pb_find(rig_replied(&rig, 1), 2, 0).v, 2);
    rig_close(&rig);
}

static void a_thousand_idle_watches_are_small(void **state)
{
    (void)state;
    begin();
    for (uint64_t id = 0; id < 1000; id++) {
        create(0, 0);
        buf_consume(&rig.call.to_up, buf_len(&rig.call.to_up));
        passes(id, 10, CREATED, 0, 0);
    }
    assert_true(etcd_call_queue_bytes(&rig.call) < 128 * 1024);
    lose();
    nothing_more(1000);
    for (uint64_t id = 0; id < 1000; id++)
        passes_from(id, CREATED, 0, 0, 0);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watch_goes_on_behind_its_last_event),
        cmocka_unit_test(ids_and_requests_under_way_keep_their_order),
        cmocka_unit_test(of_fragments_cut_off_no_event_comes_twice),
        cmocka_unit_test(a_watch_that_is_not_created_again_is_canceled),
        cmocka_unit_test(creates_that_fail_are_answered_in_turn),
        cmocka_unit_test(a_request_that_is_two_cannot_be_resumed),
        cmocka_unit_test(progress_that_was_asked_for_is_asked_for_again),
        cmocka_unit_test(half_a_reply_is_forgotten),
        cmocka_unit_test(keep_alives_are_asked_again_in_order),
        cmocka_unit_test(a_thousand_idle_watches_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
