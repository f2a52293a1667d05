/* SPDX-License-Identifier: Apache-2.0 */
/* INFO and CONNECT, verbose clients, denials, -ERR texts, and how sessions end. */
#include "session/nats_transcript.h"

#define PORT ",\"host\":\"127.0.0.1\",\"port\":4222}\r\n"

static void info_hides_ways_around_the_sidecar(void **state)
{
    (void)state;
    PLAY("a",
         UP("INFO {\"server_id\":\"N\", \"server_name\" : \"n\",\"version\":\"2.10.1\",\"proto\":1,"
            "\"git_commit\":\"c\",\"go\":\"go1.21\",\"host\":\"10.0.0.1\",\"port\":4333,"
            "\"headers\":true,\"auth_required\":true,\"tls_verify\":true,\"tls_available\":true,"
            "\"max_payload\":1048576,\"jetstream\":true,\"client_id\":7,\"client_ip\":\"10.0.0.9\","
            "\"nonce\":\"x\",\"cluster\":\"c\",\"cluster_dynamic\":true,\"domain\":\"d\","
            "\"connect_urls\":[\"10.0.0.2:4222\",\"{}\"],\"ws_connect_urls\":[],\"ldm\":true,"
            "\"ip\":\"10.0.0.1\",\"xkey\":\"X\",\"future\":{\"n\":[1.50,1e400]},\"leaf_urls\":[]}"
            "\r\n"),
         APP_HEARS("INFO {\"server_id\":\"N\",\"server_name\" : \"n\",\"version\":\"2.10.1\","
                   "\"proto\":1,\"git_commit\":\"c\",\"go\":\"go1.21\",\"headers\":true,"
                   "\"max_payload\":1048576,\"jetstream\":true,\"client_id\":7,\"ldm\":true,"
                   "\"future\":{\"n\":[1.50,1e400]}" PORT));
}

static void names_are_compared_as_other_decoders_do(void **state)
{
    (void)state;
    PLAY("a",
         UP("INFO {\"Connect_URLs\":[1],\"\\u006eonce\":\"x\",\"HOST\":\"h\",\"\\u00e9\":1}\r\n"),
         APP_HEARS("INFO {\"host\":\"127.0.0.1\",\"port\":4222}\r\n"));
}

static void asynchronous_info_is_edited_too(void **state)
{
    (void)state;
    PLAY("a", HELLO, UP("INFO {\"ldm\":true,\"connect_urls\":[\"x:1\"],\"max_payload\":1}\r\n"),
         APP_HEARS("INFO {\"ldm\":true,\"max_payload\":1" PORT),
         APP_FAILS("PUB foo 2\r\n", ERR_NATS_PAYLOAD),
         APP_HEARS("-ERR 'Maximum Payload Violation'\r\n"));
}

static void connect_passes_what_is_known_and_no_credentials(void **state)
{
    (void)state;
    PLAY("a", UP(INFO_SENT), APP_HEARS(INFO_SEEN),
         APP("CONNECT {\"verbose\":false, \"pedantic\":true,\"tls_required\":false,\"user\":\"u\","
             "\"pass\":\"p\",\"auth_token\":\"t\",\"jwt\":\"j\",\"nkey\":\"k\",\"sig\":\"s\","
             "\"User\":\"u2\",\"\\u0075ser\":\"u3\",\"name\":\"a \\\"b\\u00e9\",\"lang\":\"go\","
             "\"version\":\"1\",\"protocol\":1,\"echo\":true,\"headers\":true,"
             "\"no_responders\":true,\"account\":\"A\",\"new_account\":true,\"future\":[{}]}\r\n"),
         UP_HEARS("CONNECT {\"verbose\":false,\"pedantic\":true,\"name\":\"a \\\"b\\u00e9\","
                  "\"lang\":\"go\",\"version\":\"1\",\"protocol\":1,\"echo\":true,\"headers\":true,"
                  "\"no_responders\":true}\r\n"));
}

static void play_with_credentials(const struct step *steps, size_t n)
{
    struct stage t;
    stage_open(&t, "a");
    memcpy(t.ns.user, "us\"er", 6);
    memcpy(t.ns.password, "p\\\x01", 4);
    stage_play(&t, steps, n);
    stage_close(&t);
}

static void connect_carries_the_sidecars_credentials(void **state)
{
    (void)state;
    static const struct step steps[] = {
        UP("INFO {\"auth_required\":true}\r\n"),
        APP_HEARS("INFO {\"host\":\"127.0.0.1\",\"port\":4222}\r\n"),
        APP("CONNECT {\"user\":\"mine\",\"verbose\":false}\r\n"),
        UP_HEARS("CONNECT {\"verbose\":false,\"user\":\"us\\\"er\",\"pass\":\"p\\\\\\u0001\"}\r\n"),
        UP("-ERR 'Authorization Violation'\r\n"),
        APP_HEARS("-ERR 'Authorization Violation'\r\n"),
    };
    play_with_credentials(steps, ARRAY_LEN(steps));
}

static void a_client_without_connect_is_let_in_with_our_credentials(void **state)
{
    (void)state;
    static const struct step steps[] = {
        UP("INFO {}\r\n"),
        APP_HEARS("INFO {\"host\":\"127.0.0.1\",\"port\":4222}\r\n"),
        APP("SUB foo 1\r\n"),
        UP_HEARS("CONNECT {\"user\":\"us\\\"er\",\"pass\":\"p\\\\\\u0001\"}\r\n"
                 "SUB bh.e.a.~.~.~.foo e1\r\n"),
        UP("+OK\r\n+OK\r\n"), /* verbose is the server's default */
        APP_HEARS("+OK\r\n"),
    };
    play_with_credentials(steps, ARRAY_LEN(steps));
    PLAY("a", UP("INFO {}\r\n"), APP_HEARS("INFO {\"host\":\"127.0.0.1\",\"port\":4222}\r\n"),
         APP("PING\r\n"), UP_HEARS("PING\r\n"), UP("PONG\r\n"), APP_HEARS("PONG\r\n"));
}

static void a_verbose_client_gets_one_ok_a_line(void **state)
{
    (void)state;
    PLAY("a", HELLO_VERBOSE, APP("SUB foo 1\r\nSUB > 2\r\nPUB x 0\r\n\r\nPING\r\nUNSUB 2\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.foo e1\r\nSUB bh.e.a.~.~.~.> e2\r\nSUB bh.d.a.~.~.~.> "
                  "d2\r\nSUB $JS.EVENT.*.*.*.> v2\r\n"
                  "PUB bh.e.a.~.~.~.x 0\r\n\r\nPING\r\nUNSUB e2\r\nUNSUB d2\r\nUNSUB v2\r\n"),
         UP("+OK\r\n"), APP_HEARS("+OK\r\n"), UP("+OK\r\n"), APP_HEARS("+OK\r\n"), UP("+OK\r\n"),
         APP_HEARS(""), UP("+OK\r\n"), APP_HEARS(""), UP("+OK\r\n"), APP_HEARS("+OK\r\n"),
         UP("PONG\r\n"), APP_HEARS("PONG\r\n"), UP("+OK\r\n"), APP_HEARS("+OK\r\n"),
         UP("+OK\r\n+OK\r\n"), APP_HEARS(""));
}

static void a_verbose_client_never_sees_the_oks_of_our_own_lines(void **state)
{
    (void)state;
    PLAY("a", HELLO_VERBOSE, APP("SUB > 1\r\nUNSUB 1 1\r\n"),
         UP_HEARS("SUB bh.e.a.~.~.~.> e1\r\nSUB bh.d.a.~.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> "
                  "v1\r\nUNSUB e1 1\r\nUNSUB d1 1\r\n"),
         UP("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\nMSG bh.e.a.~.~.~.x e1 0\r\n\r\n"),
         APP_HEARS("+OK\r\n+OK\r\nMSG x 1 0\r\n\r\n"),
         UP_HEARS("UNSUB e1\r\nUNSUB d1\r\nUNSUB v1\r\nPING\r\n"), APP("PUB y 0\r\n\r\n"),
         UP_HEARS("PUB bh.e.a.~.~.~.y 0\r\n\r\n"), UP("+OK\r\n+OK\r\n+OK\r\nPONG\r\n"),
         APP_HEARS(""), UP("+OK\r\n"), APP_HEARS("+OK\r\n"));
}

static void a_denied_line_of_a_verbose_client_has_no_ok(void **state)
{
    (void)state;
    PLAY(
        "a", HELLO_VERBOSE, APP("SUB > 1\r\nPUB x 0\r\n\r\n"),
        UP_HEARS("SUB bh.e.a.~.~.~.> e1\r\nSUB bh.d.a.~.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> "
                 "v1\r\nPUB bh.e.a.~.~.~.x 0\r\n\r\n"),
        UP("+OK\r\n-ERR 'Permissions Violation for Subscription to \"bh.d.a.~.~.~.>\"'\r\n+OK\r\n"),
        APP_HEARS("+OK\r\n-ERR 'Permissions Violation for Subscription to \">\"'\r\n"),
        APP("SUB . 9\r\n"), UP_HEARS("SUB bh.e.a.~.~.~.. e9\r\n"),
        UP("-ERR 'Invalid Publish Subject'\r\n+OK\r\n-ERR 'Invalid Subject'\r\n"),
        APP_HEARS("-ERR 'Invalid Publish Subject'\r\n+OK\r\n-ERR 'Invalid Subject'\r\n"),
        APP("SUB foo 8\r\n"), UP_HEARS("SUB bh.e.a.~.~.~.foo e8\r\n"), UP("+OK\r\n"),
        APP_HEARS("+OK\r\n"));
}

static void sys_subjects_are_denied(void **state)
{
    (void)state;
    static const struct step steps[] = {
        HELLO,
        APP("PUB $SYS.REQ.X 6\r\nPUB a \r\nSUB $SYS.> 1\r\nSUB $SYS.x q 1\r\nPUB $SYSX 0\r\n\r\n"),
        APP_HEARS(
            "-ERR 'Permissions Violation for Publish to \"$SYS.REQ.X\"'\r\n"
            "-ERR 'Permissions Violation for Subscription to \"$SYS.>\"'\r\n"
            "-ERR 'Permissions Violation for Subscription to \"$SYS.x\" using queue \"q\"'\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.$SYSX 0\r\n\r\n"),
    };
    struct stage t;
    stage_open(&t, "a");
    stage_play(&t, steps, ARRAY_LEN(steps));
    assert_int_equal(t.counters.n[COUNTER_DENIED_SYS], 12 * 3);
    stage_close(&t);
}

/* The second connection of a client without echo: the server's words end here. */
static void a_voice_greets_answers_pings_and_tells_nobody(void **state)
{
    (void)state;
    struct stage t;
    static const struct step steps[] = {
        UP(INFO_SENT),
        APP("CONNECT {\"verbose\":false,\"name\":\"bulkhead\"}\r\n"),
        UP_HEARS("CONNECT {\"verbose\":false,\"name\":\"bulkhead\",\"user\":\"me\"}\r\n"),
        UP("PING\r\n-ERR 'Permissions Violation for Publish to \"bh.e.a.~.~.~.foo\"'\r\n"),
        UP_HEARS("PONG\r\n"),
        UP(INFO_SENT "PING\r\n"),
        UP_HEARS("PONG\r\n"),
    };
    stage_open(&t, "a");
    memcpy(t.ns.user, "me", sizeof "me");
    t.ns.tls_app = true; /* of the listener: not a matter of this one */
    struct rng rng = {1};
    for (unsigned cut = 0; cut < 4; cut++) {
        assert_int_equal(nats_session_new(&t.ns, &t.session), ERR_OK);
        nats_session_be_voice(t.session);
        for (size_t i = 0; i < ARRAY_LEN(steps); i++)
            stage_step(&t, &steps[i], cut, &rng);
        assert_false(nats_session_wants_tls(t.session, SIDE_APP));
        assert_int_equal(buf_len(&t.heard[SIDE_APP]), 0);
        nats_session_free(&t.session);
    }
    stage_close(&t);
}

static void errors_of_the_server_speak_of_logical_names(void **state)
{
    (void)state;
    PLAY("a", HELLO, UP("-ERR 'Slow Consumer'\r\n"), APP_HEARS("-ERR 'Slow Consumer'\r\n"),
         UP("-ERR 'Permissions Violation for Publish to \"bh.e.a.~.~.~.foo\"'\r\n"),
         APP_HEARS("-ERR 'Permissions Violation for Publish to \"foo\"'\r\n"),
         UP("-ERR 'Permissions Violation for Publish with Reply of \"bh.e.a.~.~.~.r\"'\r\n"),
         APP_HEARS("-ERR 'Permissions Violation for Publish with Reply of \"r\"'\r\n"),
         UP("-ERR 'Permissions Violation for Subscription to \"bh.e.a.~.~.~.foo\" using queue "
            "\"q~a\" (sid \"e9\")'\r\n"),
         APP_HEARS("-ERR 'Permissions Violation for Subscription to \"foo\" using queue \"q\" (sid "
                   "\"9\")'\r\n"),
         UP("-ERR 'Permissions Violation for Publish to \"bh.e.b.~.~.~.foo\"'\r\n"),
         APP_HEARS("-ERR 'Permissions Violation'\r\n"),
         UP("-ERR 'Duplicate of bh.e.b.~.~.~.foo'\r\n"),
         APP_HEARS("-ERR 'Permissions Violation'\r\n"));
}

static void a_lost_server_closes_without_words(void **state)
{
    (void)state;
    PLAY("a", HELLO, {LOST, SIDE_UP, SPAN_NONE, ERR_IO});
    PLAY("a", {LOST, SIDE_UP, SPAN_NONE, ERR_IO});
    PLAY("a", HELLO, APP("PUB foo 2\r\nhi\r\n"), {LOST, SIDE_APP, SPAN_NONE, ERR_IO},
         UP_HEARS("PUB bh.e.a.~.~.~.foo 2\r\nhi\r\n"));
}

static void nothing_is_taken_of_an_application_before_info(void **state)
{
    (void)state;
    struct stage t;
    stage_open(&t, "a");
    assert_int_equal(nats_session_new(&t.ns, &t.session), ERR_OK);
    size_t used = 9;
    assert_false(nats_session_wants_read(t.session, SIDE_APP));
    assert_int_equal(nats_session_feed(t.session, SIDE_APP, SPAN_LIT("PING\r\n"), &used), ERR_OK);
    assert_int_equal(used, 0);
    stage_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_hides_ways_around_the_sidecar),
        cmocka_unit_test(names_are_compared_as_other_decoders_do),
        cmocka_unit_test(asynchronous_info_is_edited_too),
        cmocka_unit_test(connect_passes_what_is_known_and_no_credentials),
        cmocka_unit_test(connect_carries_the_sidecars_credentials),
        cmocka_unit_test(a_client_without_connect_is_let_in_with_our_credentials),
        cmocka_unit_test(a_verbose_client_gets_one_ok_a_line),
        cmocka_unit_test(a_verbose_client_never_sees_the_oks_of_our_own_lines),
        cmocka_unit_test(a_denied_line_of_a_verbose_client_has_no_ok),
        cmocka_unit_test(sys_subjects_are_denied),
        cmocka_unit_test(a_voice_greets_answers_pings_and_tells_nobody),
        cmocka_unit_test(errors_of_the_server_speak_of_logical_names),
        cmocka_unit_test(a_lost_server_closes_without_words),
        cmocka_unit_test(nothing_is_taken_of_an_application_before_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
