/* SPDX-License-Identifier: Apache-2.0 */
/* View subtree in a session (design.md 5.2): events from below, requests to below, and nothing
 * else. */
#include "session/nats_transcript.h"

#define REQUEST "b.gen-0123456789abcdef"

static void a_request_goes_down_and_its_reply_is_an_event(void **state)
{
    (void)state;
    PLAY_VIEW("a", HELLO, APP("PUB " REQUEST " _INBOX.1.2 2\r\nhi\r\n"),
              UP_HEARS("PUB bh.d.a.~.~.~." REQUEST " bh.e.a.~.~.~._INBOX.1.2 2\r\nhi\r\n"),
              APP("PUB $SRV.PING _INBOX.1.3 0\r\n\r\nHPUB $SRV.INFO 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
              UP_HEARS("PUB bh.d.a.~.~.~.$SRV.PING bh.e.a.~.~.~._INBOX.1.3 0\r\n\r\n"
                       "HPUB bh.d.a.~.~.~.$SRV.INFO 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
              /* A header that is edited, too. */
              APP("HPUB " REQUEST " 37 37\r\nNATS/1.0\r\nNats-Expected-Stream: S\r\n\r\n\r\n"),
              UP_HEARS("HPUB bh.d.a.~.~.~." REQUEST
                       " 40 40\r\nNATS/1.0\r\nNats-Expected-Stream: a~~S\r\n\r\n\r\n"),
              APP("PUB namespace.x _INBOX.1.4 0\r\n\r\nPUB b.gen-xyz 0\r\n\r\n"),
              UP_HEARS("PUB bh.e.a.~.~.~.namespace.x bh.e.a.~.~.~._INBOX.1.4 0\r\n\r\n"
                       "PUB bh.e.a.~.~.~.b.gen-xyz 0\r\n\r\n"));
    PLAY("a", HELLO, APP("PUB " REQUEST " 0\r\n\r\n"),
         UP_HEARS("PUB bh.e.a.~.~.~." REQUEST " 0\r\n\r\n"));
}

static void events_flow_up(void **state)
{
    (void)state;
    PLAY_VIEW(
        "a/b", HELLO, APP("SUB namespace.x q 7\r\nSUB plain 8\r\n"),
        UP_HEARS("SUB bh.e.a.b.*.*.namespace.x q~a/b e7\r\n"
                 "SUB bh.j.a.b.~.~.namespace.x q~a/b j7\r\nSUB bh.e.a.b.~.~.plain e8\r\n"),
        UP("MSG bh.e.a.b.~.~.namespace.x e7 1\r\n1\r\nMSG bh.e.a.b.c.~.namespace.x e7 1\r\n2\r\n"
           "MSG bh.e.a.b.c.d%2E1.namespace.x e7 bh.e.a.b.c.d%2E1._INBOX.9 1\r\n3\r\n"
           "MSG bh.e.a.b.~.~.orders.1 j7 1\r\n4\r\n"),
        APP_HEARS("MSG namespace.x 7 1\r\n1\r\nMSG namespace.x 7 1\r\n2\r\n"
                  "MSG namespace.x 7 _INBOX.9 1\r\n3\r\nMSG orders.1 7 1\r\n4\r\n"),
        /* An answer to a child's event stays here. */
        APP("PUB _INBOX.9 0\r\n\r\nUNSUB 7\r\n"),
        UP_HEARS("PUB bh.e.a.b.~.~._INBOX.9 0\r\n\r\nUNSUB e7\r\nUNSUB j7\r\n"));
}

static void a_wildcard_hears_below_only_inside_one_pattern(void **state)
{
    (void)state;
    PLAY_VIEW(
        "a", HELLO, APP("SUB _INBOX.1.* 1\r\nSUB namespace.> 2\r\nSUB > 3\r\nSUB *.x 4\r\n"),
        UP_HEARS("SUB bh.e.a.*.*.*._INBOX.1.* e1\r\nSUB bh.e.a.*.*.*.namespace.> e2\r\n"
                 "SUB bh.d.a.~.~.~.namespace.> d2\r\nSUB bh.e.a.~.~.~.> e3\r\n"
                 "SUB bh.d.a.~.~.~.> d3\r\nSUB $JS.EVENT.*.*.*.> v3\r\nSUB bh.e.a.~.~.~.*.x e4\r\n"
                 "SUB bh.d.a.~.~.~.*.x d4\r\n"),
        UP("MSG bh.e.a.c.~.~._INBOX.1.7 e1 2\r\nhi\r\n"), APP_HEARS("MSG _INBOX.1.7 1 2\r\nhi\r\n"),
        APP("UNSUB 1\r\nUNSUB 2\r\n"), UP_HEARS("UNSUB e1\r\nUNSUB e2\r\nUNSUB d2\r\n"));
    PLAY_VIEW("default", HELLO, APP("SUB _INBOX.1.* 1\r\n"),
              UP_HEARS("SUB bh.e.*.*.*.*._INBOX.1.* e1\r\n"),
              UP("MSG bh.e.z.y.x.w._INBOX.1.7 e1 0\r\n\r\n"),
              APP_HEARS("MSG _INBOX.1.7 1 0\r\n\r\n"));
    /* Nothing can be below four segments. */
    PLAY_VIEW("a/b/c/d", HELLO, APP("SUB _INBOX.1 1\r\nPUB " REQUEST " 0\r\n\r\n"),
              UP_HEARS("SUB bh.e.a.b.c.d._INBOX.1 e1\r\nPUB bh.d.a.b.c.d." REQUEST " 0\r\n\r\n"));
}

static void a_request_subscription_is_the_same_in_every_view(void **state)
{
    (void)state;
    PLAY_VIEW("a/b", HELLO, APP("SUB " REQUEST " q 9\r\n"),
              UP_HEARS("SUB bh.e.a.b.~.~." REQUEST " q~a/b e9\r\nSUB bh.d.a.b.~.~." REQUEST
                       " q d9\r\nSUB bh.d.a.~.~.~." REQUEST " q 19\r\nSUB bh.d.~.~.~.~." REQUEST
                       " q 29\r\n"),
              UP("MSG bh.d.a.~.~.~." REQUEST " 19 bh.e.a.~.~.~._INBOX.7 0\r\n\r\n"),
              APP_HEARS("MSG " REQUEST " 9 _INBOX.7 0\r\n\r\n"), APP("PUB _INBOX.7 0\r\n\r\n"),
              UP_HEARS("PUB bh.e.a.b.~.~._INBOX.7 0\r\n\r\n"));
}

static void what_is_not_below_is_dropped(void **state)
{
    (void)state;
    static const struct step steps[] = {
        HELLO,
        UP("MSG bh.e.b.~.~.~.foo e1 0\r\n\r\nMSG bh.e.~.~.~.~.foo e1 0\r\n\r\n"
           "MSG bh.e.ab.~.~.~.foo e1 0\r\n\r\nMSG bh.e.a.~.c.~.foo e1 0\r\n\r\n"
           "MSG bh.e.a.c%2e.~.~.foo e1 0\r\n\r\nMSG bh.e.a.c%41.~.~.foo e1 0\r\n\r\n"
           "MSG bh.x.a.c.~.~.foo e1 0\r\n\r\nMSG bh.e.a.c.~.~. e1 0\r\n\r\n"
           "MSG bh.e.a.*.*.*.foo e1 0\r\n\r\nMSG bh.e.a.c.~.foo e1 0\r\n\r\n"
           "MSG bh.j.a.c.~.~.foo j1 0\r\n\r\nMSG bh.e.a.c.~.~.foo x1 0\r\n\r\n"),
        UP("MSG bh.e.a.c.~.~.foo e1 bh.d.a.c.~.~.r 0\r\n\r\n"
           "MSG bh.e.a.c.~.~.foo e1 bh.e.b.~.~.~.r 0\r\n\r\n"
           "MSG bh.e.a.c.~.~.foo e1 bh.e.a.c.~.~.r 0\r\n\r\n"),
        APP_HEARS("MSG foo 1 r 0\r\n\r\n"),
    };
    struct stage t;
    stage_open_view(&t, "a");
    stage_play(&t, steps, ARRAY_LEN(steps));
    assert_int_equal(t.counters.n[COUNTER_FOREIGN_SUBJECT], 12 * 12);
    assert_int_equal(t.counters.n[COUNTER_FOREIGN_REPLY], 12 * 2);
    stage_close(&t);
    /* In view own a child's event is not even stripped. */
    PLAY("a", HELLO,
         UP("MSG bh.e.a.c.~.~.foo e1 0\r\n\r\nMSG bh.e.a.~.~.~.foo j1 0\r\n\r\n"
            "MSG bh.e.a.~.~.~.foo e1 bh.e.a.c.~.~.r 0\r\n\r\n"));
}

static void a_maximum_counts_events_and_deliveries_together(void **state)
{
    (void)state;
    PLAY_VIEW("a", HELLO, APP("SUB _INBOX.7 1\r\nUNSUB 1 2\r\n"),
              UP_HEARS("SUB bh.e.a.*.*.*._INBOX.7 e1\r\nSUB bh.j.a.~.~.~._INBOX.7 j1\r\n"
                       "UNSUB e1 2\r\nUNSUB j1 2\r\n"),
              UP("MSG bh.e.a.c.~.~._INBOX.7 e1 1\r\n1\r\nMSG bh.e.a.~.~.~.s j1 1\r\n2\r\n"
                 "MSG bh.e.a.d.~.~._INBOX.7 e1 1\r\n3\r\n"),
              APP_HEARS("MSG _INBOX.7 1 1\r\n1\r\nMSG s 1 1\r\n2\r\n"),
              UP_HEARS("UNSUB e1\r\nUNSUB j1\r\nPING\r\n"), UP("PONG\r\n"));
}

/* As at the server: what says that nobody heard a request counts for no maximum. */
static void no_responders_count_for_no_maximum(void **state)
{
    (void)state;
    PLAY_VIEW("a", HELLO, APP("SUB _INBOX.7 1\r\nUNSUB 1 1\r\n"),
              UP_HEARS("SUB bh.e.a.*.*.*._INBOX.7 e1\r\nSUB bh.j.a.~.~.~._INBOX.7 j1\r\n"
                       "UNSUB e1 1\r\nUNSUB j1 1\r\n"),
              UP("HMSG bh.e.a.~.~.~._INBOX.7 e1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"),
              APP_HEARS("HMSG _INBOX.7 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"), UP_HEARS(""),
              UP("HMSG bh.e.a.~.~.~._INBOX.7 e1 16 17\r\nNATS/1.0 503\r\n\r\nx\r\n"),
              APP_HEARS("HMSG _INBOX.7 1 16 17\r\nNATS/1.0 503\r\n\r\nx\r\n"),
              UP_HEARS("UNSUB e1\r\nUNSUB j1\r\nPING\r\n"), UP("PONG\r\n"));
}

static void an_error_names_the_applications_subject(void **state)
{
    (void)state;
    PLAY_VIEW("a", HELLO,
              UP("-ERR 'Permissions Violation for Subscription to \"bh.e.a.*.*.*._INBOX.1\"'\r\n"),
              APP_HEARS("-ERR 'Permissions Violation for Subscription to \"_INBOX.1\"'\r\n"));
}

static void a_push_consumer_delivers_where_a_literal_subscription_listens(void **state)
{
    (void)state;
    PLAY_VIEW("a", HELLO,
              APP("PUB $JS.API.CONSUMER.CREATE.S r 48\r\n"
                  "{\"config\":{\"deliver_subject\":\"_INBOX.push.one\"}}\r\n"),
              UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\n"
                       "PUB $JS.API.CONSUMER.CREATE.a~~S bh.r.a~~.N.0.1 61\r\n"
                       "{\"config\":{\"deliver_subject\":\"bh.j.a.~.~.~._INBOX.push.one\"}}\r\n"),
              UP("MSG bh.r.a~~.N.0.1 r0 61\r\n"
                 "{\"config\":{\"deliver_subject\":\"bh.j.a.~.~.~._INBOX.push.one\"}}\r\n"),
              UP_HEARS("PUB bh.e.a.~.~.~.r 48\r\n"
                       "{\"config\":{\"deliver_subject\":\"_INBOX.push.one\"}}\r\n"),
              APP("PUB $JS.API.CONSUMER.CREATE.S r 45\r\n"
                  "{\"config\":{\"deliver_subject\":\"push.to.here\"}}\r\n"),
              UP_HEARS("PUB $JS.API.CONSUMER.CREATE.a~~S bh.r.a~~.N.0.2 58\r\n"
                       "{\"config\":{\"deliver_subject\":\"bh.e.a.~.~.~.push.to.here\"}}\r\n"));
}

/* Members of one namespace reach each other whatever view each has. */
static void view_own_hears_what_a_member_with_view_subtree_has_delivered(void **state)
{
    (void)state;
    PLAY_OWN("a", HELLO,
             APP("SUB _INBOX.7 q 1\r\nUNSUB 1 2\r\nSUB _INBOX.*.x 2\r\nSUB plain 3\r\n"),
             UP_HEARS("SUB bh.e.a.~.~.~._INBOX.7 q~a e1\r\nSUB bh.j.a.~.~.~._INBOX.7 q~a j1\r\n"
                      "UNSUB e1 2\r\nUNSUB j1 2\r\nSUB bh.e.a.~.~.~._INBOX.*.x e2\r\n"
                      "SUB bh.j.a.~.~.~._INBOX.*.x j2\r\nSUB bh.e.a.~.~.~.plain e3\r\n"),
             UP("MSG bh.e.a.~.~.~._INBOX.7 e1 1\r\n1\r\nMSG bh.e.a.~.~.~.s j1 1\r\n2\r\n"
                "MSG bh.e.a.b.~.~.s e2 1\r\n3\r\n"),
             APP_HEARS("MSG _INBOX.7 1 1\r\n1\r\nMSG s 1 1\r\n2\r\n"),
             UP_HEARS("UNSUB e1\r\nUNSUB j1\r\nPING\r\n"), UP("PONG\r\n"),
             /* Its own consumers deliver where members of both views listen. */
             APP("PUB $JS.API.CONSUMER.CREATE.S r 48\r\n"
                 "{\"config\":{\"deliver_subject\":\"_INBOX.push.one\"}}\r\n"),
             UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\n"
                      "PUB $JS.API.CONSUMER.CREATE.a~~S bh.r.a~~.N.0.1 61\r\n"
                      "{\"config\":{\"deliver_subject\":\"bh.j.a.~.~.~._INBOX.push.one\"}}\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_down_and_its_reply_is_an_event),
        cmocka_unit_test(events_flow_up),
        cmocka_unit_test(a_wildcard_hears_below_only_inside_one_pattern),
        cmocka_unit_test(a_request_subscription_is_the_same_in_every_view),
        cmocka_unit_test(what_is_not_below_is_dropped),
        cmocka_unit_test(a_maximum_counts_events_and_deliveries_together),
        cmocka_unit_test(no_responders_count_for_no_maximum),
        cmocka_unit_test(an_error_names_the_applications_subject),
        cmocka_unit_test(a_push_consumer_delivers_where_a_literal_subscription_listens),
        cmocka_unit_test(view_own_hears_what_a_member_with_view_subtree_has_delivered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
