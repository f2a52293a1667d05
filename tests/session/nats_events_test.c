/* SPDX-License-Identifier: Apache-2.0 */
/* The server's advisories and metrics of JetStream: own names only, whatever is subscribed to. */
#include "session/nats_transcript.h"

static void advisories_are_heard_of_own_names_only(void **state)
{
    (void)state;
    PLAY(
        "a", HELLO, APP("SUB $JS.EVENT.ADVISORY.> 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.ADVISORY.> e5\r\nSUB $JS.EVENT.ADVISORY.*.*.> v5\r\n"),
        UP("MSG $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.C v5 "
           "146\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"a~~S\","
           "\"consumer\":\"C\",\"stream_seq\":18446744073709551615,\"domain\":\"hub\",\"account\":"
           "\"$G\"}\r\n"),
        APP_HEARS("MSG $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.C 5 "
                  "142\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":"
                  "\"S\",\"consumer\":\"C\",\"stream_seq\":18446744073709551615,\"domain\":null,"
                  "\"account\":null}\r\n"),
        UP("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 "
           "85\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"a~~S\","
           "\"action\":\"create\"}\r\nMSG $JS.EVENT.ADVISORY.STREAM.CREATED.b~~S v5 "
           "67\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"b~~S\"}"
           "\r\nMSG $JS.EVENT.ADVISORY.STREAM.CREATED.a~b~~S v5 "
           "69\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"a~b~~"
           "S\"}\r\nMSG $JS.EVENT.ADVISORY.STREAM.CREATED.~S v5 "
           "65\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"~S\"}"
           "\r\nMSG $JS.EVENT.ADVISORY.STREAM.CREATED.S v5 "
           "64\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"S\"}"
           "\r\nMSG $JS.EVENT.METRIC.CONSUMER.ACK.a~~S.C v5 "
           "96\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"a~~S\","
           "\"consumer\":\"C\",\"ack_time\":17}\r\n"),
        APP_HEARS("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.S 5 "
                  "82\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":"
                  "\"S\",\"action\":\"create\"}\r\nMSG $JS.EVENT.METRIC.CONSUMER.ACK.S.C 5 "
                  "93\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":"
                  "\"S\",\"consumer\":\"C\",\"ack_time\":17}\r\n"),
        APP("UNSUB 5\r\n"), UP_HEARS("UNSUB e5\r\nUNSUB v5\r\n"));
}

static void an_advisory_that_does_not_parse_is_dropped(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("SUB $JS.EVENT.> 5\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.> e5\r\nSUB $JS.EVENT.*.*.*.> v5\r\n"),
         UP("MSG $JS.EVENT.ADVISORY.API v5 "
            "67\r\n{\"server\":\"N\",\"subject\":\"$JS.API.STREAM.INFO.a~~S\",\"stream\":\"a~~S\"}"
            "\r\nMSG $JS.EVENT.ADVISORY.STREAM.SNAPSHOT_CREATE.a~~S v5 "
            "67\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"a~~S\"}"
            "\r\nMSG $JS.EVENT.ADVISORY.DOMAIN.LEADER_ELECTED v5 "
            "17\r\n{\"stream\":\"a~~S\"}\r\nMSG $JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 "
            "67\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"b~~S\"}"
            "\r\nMSG $JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 "
            "33\r\n{\"stream\":\"a~~S\",\"Stream\":\"b~~S\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 19\r\n{\"stream\":[\"a~~S\"]}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 2\r\n{}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 0\r\n\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 16\r\n{\"stream\":\"a~~S\"\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~S.C v5 "
            "67\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"a~~S\"}"
            "\r\nMSG $JS.EVENT.ADVISORY.STREAM.CREATED.a~~ v5 "
            "66\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"a~~\"}"
            "\r\nMSG $JS.EVENT.ADVISORY.STREAM.CREATED. v5 "
            "63\r\n{\"type\":\"io.nats.jetstream.advisory.v1.x\",\"id\":\"i\",\"stream\":\"\"}"
            "\r\nMSG $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S v5 "
            "32\r\n{\"stream\":\"a~~S\",\"consumer\":\"C\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S. v5 "
            "32\r\n{\"stream\":\"a~~S\",\"consumer\":\"C\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.C.D v5 "
            "32\r\n{\"stream\":\"a~~S\",\"consumer\":\"C\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.C v5 "
            "17\r\n{\"stream\":\"a~~S\"}\r\nMSG $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.C "
            "v5 32\r\n{\"stream\":\"a~~S\",\"consumer\":\"D\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.~~~C v5 "
            "35\r\n{\"stream\":\"a~~S\",\"consumer\":\"~~~C\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.C v5 bh.e.a.~.~.~.r "
            "32\r\n{\"stream\":\"a~~S\",\"consumer\":\"C\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.C v "
            "32\r\n{\"stream\":\"a~~S\",\"consumer\":\"C\"}\r\nMSG bh.e.a.~.~.~.foo v5 "
            "32\r\n{\"stream\":\"a~~S\",\"consumer\":\"C\"}\r\nMSG $JS.API.STREAM.INFO.a~~S v5 "
            "32\r\n{\"stream\":\"a~~S\",\"consumer\":\"C\"}\r\nHMSG "
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.C v5 12 "
            "44\r\nNATS/1.0\r\n\r\n{\"stream\":\"a~~S\",\"consumer\":\"C\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.C v5 "
            "32\r\n{\"stream\":\"a~~S\",\"consumer\":\"C\"}\r\n"),
         APP_HEARS("MSG $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.C 5 "
                   "29\r\n{\"stream\":\"S\",\"consumer\":\"C\"}\r\n"));
}

static void a_filter_of_advisories_reaches_nothing_else(void **state)
{
    (void)state;
    PLAY(
        "a", HELLO, APP("SUB $JS.EVENT.ADVISORY.STREAM.CREATED.S 5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.ADVISORY.STREAM.CREATED.S e5\r\nSUB "
                 "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5\r\nUNSUB e5\r\nUNSUB v5\r\n"),
        APP("SUB $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.* 5\r\nUNSUB 5\r\n"),
        UP_HEARS(
            "SUB bh.e.a.~.~.~.$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.* e5\r\nSUB "
            "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.a~~S.* v5\r\nUNSUB e5\r\nUNSUB v5\r\n"),
        APP("SUB $JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.*.C 5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.*.C e5\r\nSUB "
                 "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.*.C v5\r\nUNSUB e5\r\nUNSUB v5\r\n"),
        APP("SUB $JS.EVENT.*.*.*.S.> 5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.*.*.*.S.> e5\r\nSUB $JS.EVENT.*.*.*.a~~S.> "
                 "v5\r\nUNSUB e5\r\nUNSUB v5\r\n"),
        APP("SUB $JS.*.METRIC.> 5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.*.METRIC.> e5\r\nSUB $JS.EVENT.METRIC.*.*.> v5\r\nUNSUB "
                 "e5\r\nUNSUB v5\r\n"),
        APP("SUB $JS.EVENT.ADVISORY.STREAM.*.> 5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.ADVISORY.STREAM.*.> e5\r\nSUB "
                 "$JS.EVENT.ADVISORY.STREAM.*.> v5\r\nUNSUB e5\r\nUNSUB v5\r\n"),
        APP("SUB $JS.EVENT 5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT e5\r\nUNSUB e5\r\n"),
        APP("SUB $JS.EVENTS.> 5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENTS.> e5\r\nUNSUB e5\r\n"),
        APP("SUB $JSX.EVENT.> 5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JSX.EVENT.> e5\r\nUNSUB e5\r\n"),
        APP("SUB "
            "$JS.EVENT.ADVISORY.STREAM.CREATED."
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx "
            "5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB "
                 "bh.e.a.~.~.~.$JS.EVENT.ADVISORY.STREAM.CREATED."
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                 "xxxxxxxxxxxxx e5\r\nUNSUB e5\r\n"),
        APP("SUB $JS.* 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.* e5\r\nSUB bh.d.a.~.~.~.$JS.* d5\r\n"), APP("UNSUB 5\r\n"),
        UP_HEARS("UNSUB e5\r\nUNSUB d5\r\n"), APP("SUB *.EVENT.> 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.*.EVENT.> e5\r\nSUB bh.d.a.~.~.~.*.EVENT.> d5\r\nSUB "
                 "$JS.EVENT.*.*.*.> v5\r\n"),
        APP("UNSUB 5\r\n"), UP_HEARS("UNSUB e5\r\nUNSUB d5\r\nUNSUB v5\r\n"),
        APP("SUB $JS.EVENT.ADVISORY.> q 5\r\nUNSUB 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.ADVISORY.> q~a e5\r\nSUB $JS.EVENT.ADVISORY.*.*.> q~a "
                 "v5\r\nUNSUB e5\r\nUNSUB v5\r\n"));
}

static void everything_hears_own_advisories(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("SUB > 5\r\nSUB $JS.> 6\r\nSUB *.> 7\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.> e5\r\nSUB bh.d.a.~.~.~.> d5\r\nSUB $JS.EVENT.*.*.*.> v5\r\n"
                  "SUB bh.e.a.~.~.~.$JS.> e6\r\nSUB bh.d.a.~.~.~.$JS.> d6\r\nSUB "
                  "$JS.EVENT.*.*.*.> v6\r\nSUB bh.e.a.~.~.~.*.> e7\r\nSUB bh.d.a.~.~.~.*.> "
                  "d7\r\nSUB $JS.EVENT.*.*.*.> v7\r\n"),
         UP("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.b~~S v5 17\r\n{\"stream\":\"b~~S\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 17\r\n{\"stream\":\"a~~S\"}\r\n"),
         APP_HEARS("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.S 5 14\r\n{\"stream\":\"S\"}\r\n"));
}

static void a_wildcard_that_could_be_no_advisory_has_no_subscription_for_them(void **state)
{
    (void)state;
    PLAY("a", HELLO,
         APP("SUB * 1\r\nSUB *.b 2\r\nSUB *.EVENT 3\r\nSUB *.*.API.> 4\r\nSUB $JS.EVENT.*.* 5\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.* e1\r\nSUB bh.e.a.~.~.~.*.b e2\r\nSUB bh.d.a.~.~.~.*.b d2\r\n"
                  "SUB bh.e.a.~.~.~.*.EVENT e3\r\nSUB bh.d.a.~.~.~.*.EVENT d3\r\nSUB "
                  "bh.e.a.~.~.~.*.*.API.> e4\r\n"
                  "SUB bh.d.a.~.~.~.*.*.API.> d4\r\nSUB $JS.EVENT.API.*.*.> v4\r\n"
                  "SUB bh.e.a.~.~.~.$JS.EVENT.*.* e5\r\n"));
}

/* Of a server whose permissions leave them out. */
static void a_refusal_of_what_was_asked_for_among_much_else_is_not_shown(void **state)
{
    (void)state;
    PLAY("a", HELLO_VERBOSE, APP("SUB > 5\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.> e5\r\nSUB bh.d.a.~.~.~.> d5\r\nSUB $JS.EVENT.*.*.*.> v5\r\n"),
         UP("+OK\r\n+OK\r\n-ERR 'Permissions Violation for Subscription to "
            "\"$JS.EVENT.*.*.*.>\" (sid \"v5\")'\r\n"),
         APP_HEARS("+OK\r\n"), APP("PUB x 0\r\n\r\n"), UP_HEARS("PUB bh.e.a.~.~.~.x 0\r\n\r\n"),
         UP("+OK\r\n"), APP_HEARS("+OK\r\n"),
         UP("-ERR 'Permissions Violation for Subscription to \"$JS.EVENT.ADVISORY.*.*.>\"'\r\n"),
         APP_HEARS("-ERR 'Permissions Violation'\r\n"));
}

static void a_maximum_counts_own_advisories(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("SUB $JS.EVENT.> 5\r\nUNSUB 5 2\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.> e5\r\nSUB $JS.EVENT.*.*.*.> v5\r\nUNSUB e5 2\r\n"),
         UP("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.b~~S v5 17\r\n{\"stream\":\"b~~S\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.b~~S v5 17\r\n{\"stream\":\"b~~S\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 17\r\n{\"stream\":\"a~~S\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.b~~T v5 17\r\n{\"stream\":\"b~~T\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~T v5 17\r\n{\"stream\":\"a~~T\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.a~~U v5 17\r\n{\"stream\":\"a~~U\"}\r\n"),
         APP_HEARS("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.S 5 14\r\n{\"stream\":\"S\"}\r\nMSG "
                   "$JS.EVENT.ADVISORY.STREAM.CREATED.T 5 14\r\n{\"stream\":\"T\"}\r\n"),
         UP_HEARS("UNSUB e5\r\nUNSUB v5\r\nPING\r\n"));
}

static void a_verbose_client_hears_one_ok_for_advisories(void **state)
{
    (void)state;
    PLAY("a", HELLO_VERBOSE, APP("SUB $JS.EVENT.> 5\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.> e5\r\nSUB $JS.EVENT.*.*.*.> v5\r\n"),
         UP("+OK\r\n+OK\r\n"), APP_HEARS("+OK\r\n"));
}

static void the_root_hears_its_own_advisories(void **state)
{
    (void)state;
    PLAY("", HELLO, APP("SUB $JS.EVENT.ADVISORY.STREAM.*.S 5\r\n"),
         UP_HEARS("SUB bh.e.~.~.~.~.$JS.EVENT.ADVISORY.STREAM.*.S e5\r\nSUB "
                  "$JS.EVENT.ADVISORY.STREAM.*.~S v5\r\n"),
         UP("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v5 17\r\n{\"stream\":\"a~~S\"}\r\nMSG "
            "$JS.EVENT.ADVISORY.STREAM.CREATED.~S v5 15\r\n{\"stream\":\"~S\"}\r\n"),
         APP_HEARS("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.S 5 14\r\n{\"stream\":\"S\"}\r\n"));
}

static void what_is_dropped_is_counted(void **state)
{
    (void)state;
    static const struct step steps[] = {
        HELLO, APP("SUB $JS.EVENT.> 5\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.$JS.EVENT.> e5\r\nSUB $JS.EVENT.*.*.*.> v5\r\n"),
        UP("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.b~~S v5 17\r\n{\"stream\":\"b~~S\"}\r\nMSG "
           "$JS.EVENT.ADVISORY.API v5 2\r\n{}\r\n")};
    struct stage stage;
    stage_open(&stage, "a");
    stage_play(&stage, steps, ARRAY_LEN(steps));
    assert_int_equal(stage.counters.n[COUNTER_FOREIGN_EVENT], 2 * 12);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(advisories_are_heard_of_own_names_only),
        cmocka_unit_test(an_advisory_that_does_not_parse_is_dropped),
        cmocka_unit_test(a_filter_of_advisories_reaches_nothing_else),
        cmocka_unit_test(everything_hears_own_advisories),
        cmocka_unit_test(a_wildcard_that_could_be_no_advisory_has_no_subscription_for_them),
        cmocka_unit_test(a_refusal_of_what_was_asked_for_among_much_else_is_not_shown),
        cmocka_unit_test(a_maximum_counts_own_advisories),
        cmocka_unit_test(a_verbose_client_hears_one_ok_for_advisories),
        cmocka_unit_test(the_root_hears_its_own_advisories),
        cmocka_unit_test(what_is_dropped_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
