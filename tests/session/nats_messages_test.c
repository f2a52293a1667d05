/* SPDX-License-Identifier: Apache-2.0 */
/* Messages and subscriptions on their way into the slice of a/b, and out of it. */
#include "session/nats_transcript.h"

static void a_publish_gets_the_prefix(void **state)
{
    (void)state;
    PLAY("a/b", HELLO, APP("PUB foo 2\r\nhi\r\n"), UP_HEARS("PUB bh.e.a.b.~.~.foo 2\r\nhi\r\n"),
         APP("pub\tfoo.bar \t 0\r\n\r\n"), UP_HEARS("PUB bh.e.a.b.~.~.foo.bar 0\r\n\r\n"),
         APP("PUB foo 0002\nhi\r\n"), UP_HEARS("PUB bh.e.a.b.~.~.foo 0002\r\nhi\r\n"),
         APP("PUB foo _INBOX.x 3\r\r\na\r\n\r\n"),
         UP_HEARS("PUB bh.e.a.b.~.~.foo bh.e.a.b.~.~._INBOX.x 3\r\na\r\n\r\n"));
}

static void a_publish_in_the_root_gets_the_roots_prefix(void **state)
{
    (void)state;
    PLAY("default", HELLO, APP("PUB foo 2\r\nhi\r\n"),
         UP_HEARS("PUB bh.e.~.~.~.~.foo 2\r\nhi\r\n"));
}

static void headers_are_counted_and_copied(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
         UP_HEARS("HPUB bh.e.a.~.~.~.foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
         APP("hpub foo r 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
         UP_HEARS("HPUB bh.e.a.~.~.~.foo bh.e.a.~.~.~.r 12 12\r\nNATS/1.0\r\n\r\n\r\n"),
         UP("HMSG bh.e.a.~.~.~.foo e1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
         APP_HEARS("HMSG foo 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
         UP("HMSG bh.e.a.~.~.~.foo e1 bh.e.a.~.~.~.r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"),
         APP_HEARS("HMSG foo 1 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"));
}

/* To a server from 2.11 on, Nats-Trace-Dest names a subject to publish to: outside every slice. */
static void a_header_that_makes_the_server_publish_elsewhere_is_blunted(void **state)
{
    (void)state;
    PLAY(
        "a", HELLO,
        APP("HPUB foo 58 60\r\nNATS/1.0\r\nA: b\r\nNats-Trace-Dest: "
            "bh.e.b.~.~.~.secret\r\n\r\n\r\nhi\r\n"),
        UP_HEARS("HPUB bh.e.a.~.~.~.foo 58 60\r\nNATS/1.0\r\nA: b\r\n"
                 "Nats-Trace_Dest: bh.e.b.~.~.~.secret\r\n\r\n\r\nhi\r\n"),
        /* Another case, several times, names that only begin so, values, payloads. */
        APP("HPUB foo 77 95\r\nNATS/1.0\r\n\nNATS-TRACE-Only: Nats-Trace-Dest\r\n"
            "Nats-Trace: x\r\nnats-trace-\r\n\r\n\r\nNats-Trace-Dest: x\r\n"),
        UP_HEARS("HPUB bh.e.a.~.~.~.foo 77 95\r\nNATS/1.0\r\n\nNATS-TRACE_Only: Nats-Trace-Dest\r\n"
                 "Nats-Trace: x\r\nnats-trace_\r\n\r\n\r\nNats-Trace-Dest: x\r\n"),
        /* No headers, nothing to blunt. */
        APP("PUB foo 17\r\n\nNats-Trace-Dest:\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.foo 17\r\n\nNats-Trace-Dest:\r\n"));
}

static void what_a_non_pedantic_server_takes_passes_inside_the_slice(void **state)
{
    (void)state;
    /* The server delivers "a.*" and ">" as literals and drops empty tokens: its business. */
    PLAY("a", HELLO, APP("PUB > 1\r\nx\r\nPUB foo.* 1\r\nx\r\nPUB ..bh.e.b 1\r\nx\r\n"),
         UP_HEARS("PUB bh.e.a.~.~.~.> 1\r\nx\r\nPUB bh.e.a.~.~.~.foo.* 1\r\nx\r\n"
                  "PUB bh.e.a.~.~.~...bh.e.b 1\r\nx\r\n"),
         APP("PUB fo\0o re.* 1\r\nx\r\n"),
         UP_HEARS("PUB bh.e.a.~.~.~.fo\0o bh.e.a.~.~.~.re.* 1\r\nx\r\n"));
}

static void a_literal_subscription_listens_to_its_own_slice(void **state)
{
    (void)state;
    PLAY("a/b", HELLO, APP("SUB foo.bar 1\r\n"), UP_HEARS("SUB bh.e.a.b.~.~.foo.bar e1\r\n"),
         UP("MSG bh.e.a.b.~.~.foo.bar e1 2\r\nhi\r\n"), APP_HEARS("MSG foo.bar 1 2\r\nhi\r\n"),
         UP("MSG bh.e.a.b.~.~.foo.bar e1 bh.e.a.b.~.~._INBOX.7 2\r\nhi\r\n"),
         APP_HEARS("MSG foo.bar 1 _INBOX.7 2\r\nhi\r\n"), APP("UNSUB 1\r\n"),
         UP_HEARS("UNSUB e1\r\n"), APP("UNSUB 1 5\r\n"), UP_HEARS("UNSUB e1 5\r\n"));
}

static void a_queue_group_carries_the_namespace_on_events(void **state)
{
    (void)state;
    PLAY("a/b", HELLO, APP("SUB foo q 1\r\n"), UP_HEARS("SUB bh.e.a.b.~.~.foo q~a/b e1\r\n"));
    PLAY("default", HELLO, APP("SUB foo q 1\r\n"), UP_HEARS("SUB bh.e.~.~.~.~.foo q~ e1\r\n"));
}

static void a_request_subscription_listens_to_its_ancestors_too(void **state)
{
    (void)state;
    PLAY("a/b", HELLO, APP("SUB $SRV.PING q 9\r\n"),
         UP_HEARS("SUB bh.e.a.b.~.~.$SRV.PING q~a/b e9\r\nSUB bh.d.a.b.~.~.$SRV.PING q d9\r\n"
                  "SUB bh.d.a.~.~.~.$SRV.PING q 19\r\nSUB bh.d.~.~.~.~.$SRV.PING q 29\r\n"),
         UP("MSG bh.d.~.~.~.~.$SRV.PING 29 bh.e.~.~.~.~._INBOX.1 0\r\n\r\n"
            "MSG bh.d.a.~.~.~.$SRV.PING 19 bh.e.a.~.~.~._INBOX.2 0\r\n\r\n"
            "MSG bh.d.a.b.~.~.$SRV.PING d9 bh.e.a.b.~.~._INBOX.3 0\r\n\r\n"
            "MSG bh.e.a.b.~.~.$SRV.PING e9 0\r\n\r\n"),
         APP_HEARS("MSG $SRV.PING 9 _INBOX.1 0\r\n\r\nMSG $SRV.PING 9 _INBOX.2 0\r\n\r\n"
                   "MSG $SRV.PING 9 _INBOX.3 0\r\n\r\nMSG $SRV.PING 9 0\r\n\r\n"),
         APP("UNSUB 9\r\n"), UP_HEARS("UNSUB e9\r\nUNSUB d9\r\nUNSUB 19\r\nUNSUB 29\r\n"),
         /* Late ones pass, as they would without us: the application knows that it has left. */
         UP("MSG bh.d.a.~.~.~.$SRV.PING 19 0\r\n\r\n"), APP_HEARS("MSG $SRV.PING 9 0\r\n\r\n"));
}

static void a_wildcard_never_listens_to_an_ancestor(void **state)
{
    (void)state;
    PLAY("a/b", HELLO, APP("SUB > 1\r\n"),
         UP_HEARS("SUB bh.e.a.b.~.~.> e1\r\nSUB bh.d.a.b.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> v1\r\n"),
         APP("UNSUB 1\r\n"), UP_HEARS("UNSUB e1\r\nUNSUB d1\r\nUNSUB v1\r\n"));
}

static void foreign_messages_are_dropped_whole_and_counted(void **state)
{
    (void)state;
    static const struct step steps[] = {
        HELLO,
        UP("MSG bh.e.b.~.~.~.foo e1 5\r\n\r\nMSG\r\n"),                  /* a sibling's */
        UP("MSG bh.e.a.~.~.~. e1 2\r\nhi\r\n"),                          /* no subject left */
        UP("MSG foo e1 2\r\nhi\r\nMSG bh.e.a.~.~.~.foo 11 2\r\nhi\r\n"), /* letter of no slice... */
        UP("MSG bh.e.a.~.~.~.foo x1 2\r\nhi\r\nMSG bh.e.a.~.~.~.foo e 2\r\nhi\r\n"),
        UP("MSG bh.e.a.~.~.~.foo e1 bh.e.b.~.~.~.r 2\r\nhi\r\n"),       /* a sibling's inbox */
        UP("MSG bh.e.a.~.~.~.foo e1 bh.d.a.~.~.~.r 2\r\nhi\r\n"),       /* nobody replies there */
        UP("HMSG bh.e.a.b.~.~.foo e1 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"), /* a child's */
        UP("MSG bh.d.~.~.~.~.foo 11 2\r\nhi\r\n"),                      /* the root's request */
        APP_HEARS("MSG foo 1 2\r\nhi\r\nMSG foo 1 2\r\nhi\r\n"),
    };
    struct stage t;
    stage_open(&t, "a");
    stage_play(&t, steps, ARRAY_LEN(steps));
    assert_int_equal(t.counters.n[COUNTER_FOREIGN_SUBJECT], 12 * 6);
    assert_int_equal(t.counters.n[COUNTER_FOREIGN_REPLY], 12 * 2);
    assert_int_equal(t.counters.n[COUNTER_NATS_MSGS_TO_APP], 12 * 2);
    stage_close(&t);
}

static void a_maximum_counts_over_all_upstream_subscriptions(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("SUB > 1\r\nUNSUB 1 3\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.> e1\r\nSUB bh.d.a.~.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> "
                  "v1\r\nUNSUB e1 3\r\nUNSUB d1 3\r\n"),
         UP("MSG bh.e.a.~.~.~.x e1 1\r\n1\r\nMSG bh.d.a.~.~.~.x d1 1\r\n2\r\n"),
         APP_HEARS("MSG x 1 1\r\n1\r\nMSG x 1 1\r\n2\r\n"), UP_HEARS(""),
         UP("MSG bh.d.a.~.~.~.x d1 1\r\n3\r\nMSG bh.e.a.~.~.~.x e1 1\r\n4\r\n"),
         APP_HEARS("MSG x 1 1\r\n3\r\n"), UP_HEARS("UNSUB e1\r\nUNSUB d1\r\nUNSUB v1\r\nPING\r\n"),
         /* Late ones are swallowed up to the barrier; the application's own PONGs are not. */
         APP("PING\r\n"), UP_HEARS("PING\r\n"), UP("MSG bh.e.a.~.~.~.x e1 1\r\n5\r\nPONG\r\n"),
         APP_HEARS(""), UP("PONG\r\n"), APP_HEARS("PONG\r\n"));
}

static void a_maximum_counts_what_was_delivered_before(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("SUB > 1\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.> e1\r\nSUB bh.d.a.~.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> v1\r\n"),
         UP("MSG bh.e.a.~.~.~.x e1 0\r\n\r\nMSG bh.d.a.~.~.~.x d1 0\r\n\r\n"),
         APP_HEARS("MSG x 1 0\r\n\r\nMSG x 1 0\r\n\r\n"), APP("UNSUB 1 2\r\n"),
         UP_HEARS("UNSUB e1\r\nUNSUB d1\r\nUNSUB v1\r\n"));
    PLAY("a", HELLO, APP("SUB > 1\r\nUNSUB 1 0\r\nSUB > 1\r\nUNSUB 1 x\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.> e1\r\nSUB bh.d.a.~.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> "
                  "v1\r\nUNSUB e1\r\nUNSUB d1\r\nUNSUB v1\r\n"
                  "SUB bh.e.a.~.~.~.> e1\r\nSUB bh.d.a.~.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> "
                  "v1\r\nUNSUB e1\r\nUNSUB d1\r\nUNSUB v1\r\n"));
}

static void a_sid_may_be_used_again_after_its_maximum(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("PING\r\nSUB > 1\r\nUNSUB 1 1\r\n"),
         UP_HEARS("PING\r\nSUB bh.e.a.~.~.~.> e1\r\nSUB bh.d.a.~.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> "
                  "v1\r\nUNSUB e1 1\r\nUNSUB "
                  "d1 1\r\n"),
         UP("MSG bh.e.a.~.~.~.x e1 0\r\n\r\n"), APP_HEARS("MSG x 1 0\r\n\r\n"),
         UP_HEARS("UNSUB e1\r\nUNSUB d1\r\nUNSUB v1\r\nPING\r\n"), APP("SUB foo 1\r\nPING\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.foo e1\r\nPING\r\n"),
         UP("MSG bh.d.a.~.~.~.late d1 0\r\n\r\nMSG bh.e.a.~.~.~.foo e1 0\r\n\r\n"),
         APP_HEARS("MSG foo 1 0\r\n\r\n"), UP("PONG\r\n"), APP_HEARS("PONG\r\n"), UP("PONG\r\n"),
         APP_HEARS(""), UP("MSG bh.e.a.~.~.~.foo e1 0\r\n\r\n"), APP_HEARS("MSG foo 1 0\r\n\r\n"),
         UP("PONG\r\n"), APP_HEARS("PONG\r\n"));
}

static void a_sid_in_use_is_left_to_the_server(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("SUB > 1\r\nSUB $SRV.> 1\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.> e1\r\nSUB bh.d.a.~.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> "
                  "v1\r\nSUB bh.e.a.~.~.~.$SRV.> e1\r\n"));
}

static void pings_pass_both_ways(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("ping\r\n"), UP_HEARS("PING\r\n"), UP("PONG\r\n"), APP_HEARS("PONG\r\n"),
         UP("PING\r\n"), APP_HEARS("PING\r\n"), APP("PONG\r\n"), UP_HEARS("PONG\r\n"),
         APP("PINGX\r\nPONG foo\n"), UP_HEARS("PING\r\nPONG\r\n"));
}

static void what_a_client_need_not_say_is_ignored(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("+OK\r\nINFO {}\r\nPING\r\n"), UP_HEARS("PING\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_publish_gets_the_prefix),
        cmocka_unit_test(a_publish_in_the_root_gets_the_roots_prefix),
        cmocka_unit_test(headers_are_counted_and_copied),
        cmocka_unit_test(a_header_that_makes_the_server_publish_elsewhere_is_blunted),
        cmocka_unit_test(what_a_non_pedantic_server_takes_passes_inside_the_slice),
        cmocka_unit_test(a_literal_subscription_listens_to_its_own_slice),
        cmocka_unit_test(a_queue_group_carries_the_namespace_on_events),
        cmocka_unit_test(a_request_subscription_listens_to_its_ancestors_too),
        cmocka_unit_test(a_wildcard_never_listens_to_an_ancestor),
        cmocka_unit_test(foreign_messages_are_dropped_whole_and_counted),
        cmocka_unit_test(a_maximum_counts_over_all_upstream_subscriptions),
        cmocka_unit_test(a_maximum_counts_what_was_delivered_before),
        cmocka_unit_test(a_sid_may_be_used_again_after_its_maximum),
        cmocka_unit_test(a_sid_in_use_is_left_to_the_server),
        cmocka_unit_test(pings_pass_both_ways),
        cmocka_unit_test(what_a_client_need_not_say_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
