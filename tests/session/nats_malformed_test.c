/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client sends wrongly, what it sees, and whether it is thrown out.
 *
 * Every row was sent to nats-server 2.9.10 first, over a raw socket, after CONNECT
 * {"verbose":false,"pedantic":false}. Where the server closes without a word we say 'Parser Error'
 * before we close, so that a person can find out why; those rows carry "silent" in their reason.
 * Each malformed line of the server's own parser tests (the same from 2.9 to 2.14) is among them in
 * our own words; tests/e2e/nats_alike_test.py sends them to a real server. Their tests of lines
 * that arrive in pieces are the cuts.
 */
#include <stdio.h>

#include "limit.h"
#include "session/nats_transcript.h"

struct row {
    const char *reason;
    struct span sent;
    struct span app_hears, up_hears;
    enum err error; /* ERR_OK: the connection lives, and a PING behind it reaches the server */
};

#define UNKNOWN_OP SPAN_LIT("-ERR 'Unknown Protocol Operation'\r\n")
#define PARSER     SPAN_LIT("-ERR 'Parser Error'\r\n")
#define TOO_LONG   SPAN_LIT("-ERR 'Maximum Control Line Exceeded'\r\n")
#define TOO_BIG    SPAN_LIT("-ERR 'Maximum Payload Violation'\r\n")
#define ROW_OP(r, s)                                                                               \
    {                                                                                              \
        .reason = r, .sent = SPAN_LIT(s), .app_hears = UNKNOWN_OP, .error = ERR_NATS_UNKNOWN_OP    \
    }
#define ROW_SILENT(r, s)                                                                           \
    {                                                                                              \
        .reason = r " (silent)", .sent = SPAN_LIT(s), .app_hears = PARSER, .error = ERR_SYNTAX     \
    }
/* The server's to refuse, with 'Invalid Subject'; the connection lives. */
#define ROW_SUBJECT(r, subject)                                                                    \
    {                                                                                              \
        .reason = r, .sent = SPAN_LIT("SUB " subject " 1\r\n"),                                    \
        .up_hears = SPAN_LIT("SUB bh.e.a.~.~.~." subject " e1\r\n")                                \
    }

static const struct row rows[] = {
    ROW_OP("no verb", "XYZ\r\n"),
    ROW_OP("an empty line", "\r\n"),
    ROW_OP("a blank before the verb", " PING\r\n"),
    ROW_OP("HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ROW_OP("TLS, without any line end", "\x16\x03\x01\x02\x00\x01\x00"),
    ROW_OP("PUB alone", "PUB\r\n"),
    ROW_OP("HPUB alone", "HPUB\r\n"),
    ROW_OP("SUB alone", "SUB\r\n"),
    ROW_OP("UNSUB alone", "UNSUB\r\n"),
    ROW_OP("-ERR alone", "-err\r\n"),
    ROW_OP("a verb that goes on", "PUBX foo 1\r\n"),
    ROW_OP("a server's verb", "MSG foo 1 2\r\nhi\r\n"),
    ROW_OP("a server's verb with headers", "HMSG foo 1 2 3\r\nhi\r\n"),
    ROW_SILENT("an error from a client", "-ERR 'x'\r\n"),
    ROW_SILENT("PUB without fields", "PUB \r\n"),
    ROW_SILENT("PUB without a size", "PUB foo\r\nhi\r\n"),
    ROW_SILENT("PUB with a reply and blanks in the size's place", "PUB foo bar   \r\nhi\r\n"),
    ROW_SILENT("PUB with a blank in the reply", "PUB foo a b 2\r\nhi\r\n"),
    ROW_SILENT("a negative size", "PUB foo -1\r\nhi\r\n"),
    ROW_SILENT("a size with a sign", "PUB foo +2\r\nhi\r\n"),
    ROW_SILENT("a size with a letter", "PUB foo 2x\r\nhi\r\n"),
    ROW_SILENT("a size that overflows", "PUB foo 99999999999999999999\r\nhi\r\n"),
    ROW_SILENT("a size of ten digits", "PUB foo 1000000000\r\nhi\r\n"),
    ROW_SILENT("a size of sixteen digits", "PUB foo 2222222222222222\r\n"),
    ROW_SILENT("a size of more digits than any number",
               "PUB foo 3333333333333333333333333333333333333333333333333333333333\r\n"),
    ROW_SILENT("a carriage return inside the size", "PUB foo 2\rX\r\nhi\r\n"),
    ROW_SILENT("HPUB with one size", "HPUB foo 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
    ROW_SILENT("headers larger than the message", "HPUB foo 15 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
    ROW_SILENT("a header size that is none", "HPUB foo x 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
    ROW_SILENT("a total size that is none", "HPUB foo 12 x\r\nNATS/1.0\r\n\r\nhi\r\n"),
    ROW_SILENT("HPUB with a field too many", "HPUB foo a b 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"),
    ROW_SILENT("SUB without fields", "SUB \r\n"),
    ROW_SILENT("SUB without a sid", "SUB foo\r\n"),
    ROW_SILENT("SUB with a field too many", "SUB foo q 1 x\r\n"),
    ROW_SILENT("UNSUB without fields", "UNSUB \r\n"),
    ROW_SILENT("UNSUB with blanks and tabs only", "UNSUB     \t  \r\n"),
    ROW_SILENT("UNSUB with a field too many", "UNSUB 1 2 3\r\n"),
    ROW_SILENT("CONNECT without a body", "CONNECT\r\n"),
    ROW_SILENT("CONNECT and a blank", "CONNECT \r\n"),
    ROW_SILENT("CONNECT with half a body", "CONNECT {\r\n"),
    ROW_SILENT("CONNECT with a list", "CONNECT []\r\n"),
    ROW_SILENT("CONNECT with more behind it", "CONNECT {} x\r\n"),
    ROW_SILENT("INFO from a client, without a body", "INFO\r\n"),
    ROW_SILENT("INFO from a client, blanks for a body", "INFO \t \r\n"),
    ROW_SILENT("INFO from a client, half a body", "INFO {\r\n"),
    ROW_SILENT("INFO with a letter too many", "INFOx\r\n"),
    ROW_OP("the first letter of a server's verb", "M"),
    ROW_OP("the first letters of another one", "HM"),
    ROW_OP("PUB with a letter too many", "PUBx\r\n"),
    ROW_OP("UNSUB with a letter too many", "UNSUBx"),
    ROW_OP("UNSUB twice in a word", "UNSUBUNSUB 1\r\n"),
    ROW_OP("UNSUB and its sid joined", "UNSUB_2\r\n"),
    ROW_OP("UNSUB joined, then a tab", "UNSUB_\t2\r\n"),
    ROW_SUBJECT("an empty token", "foo..a"),
    ROW_SUBJECT("an empty last token", "foo."),
    ROW_SUBJECT("an empty first token", ".a"),
    ROW_SUBJECT("tokens behind the full wildcard", ">.a"),
    {.reason = "a payload over max_payload",
     .sent = SPAN_LIT("PUB foo 1048577\r\nhi\r\n"),
     .app_hears = TOO_BIG,
     .error = ERR_NATS_PAYLOAD},
    {.reason = "a payload far over max_payload",
     .sent = SPAN_LIT("PUB foo 999999999\r\nhi\r\n"),
     .app_hears = TOO_BIG,
     .error = ERR_NATS_PAYLOAD},
    {.reason = "headers and payload over max_payload",
     .sent = SPAN_LIT("HPUB foo 12 1048577\r\n"),
     .app_hears = TOO_BIG,
     .error = ERR_NATS_PAYLOAD},
    /* The message never gets its end, so the server drops it with the connection. */
    {.reason = "a size that is too small",
     .sent = SPAN_LIT("PUB foo 1\r\nhi\r\n"),
     .app_hears = UNKNOWN_OP,
     .up_hears = SPAN_LIT("PUB bh.e.a.~.~.~.foo 1\r\nh"),
     .error = ERR_NATS_UNKNOWN_OP},
    {.reason = "a size that is too large by one",
     .sent = SPAN_LIT("PUB foo 3\r\nhi\r\nPING\r\n"),
     .app_hears = UNKNOWN_OP,
     .up_hears = SPAN_LIT("PUB bh.e.a.~.~.~.foo 3\r\nhi\r"),
     .error = ERR_NATS_UNKNOWN_OP},
    {.reason = "a size that swallows the line end",
     .sent = SPAN_LIT("PUB foo 4\r\nhi\r\nPING\r\n"),
     .app_hears = UNKNOWN_OP,
     .up_hears = SPAN_LIT("PUB bh.e.a.~.~.~.foo 4\r\nhi\r\n"),
     .error = ERR_NATS_UNKNOWN_OP},
    {.reason = "a payload that ends in LF alone",
     .sent = SPAN_LIT("PUB foo 2\r\nhi\nPING\r\n"),
     .app_hears = UNKNOWN_OP,
     .up_hears = SPAN_LIT("PUB bh.e.a.~.~.~.foo 2\r\nhi"),
     .error = ERR_NATS_UNKNOWN_OP},
    {.reason = "a payload that ends in CR CR LF",
     .sent = SPAN_LIT("PUB foo 2\r\nhi\r\r\nPING\r\n"),
     .app_hears = UNKNOWN_OP,
     .up_hears = SPAN_LIT("PUB bh.e.a.~.~.~.foo 2\r\nhi"),
     .error = ERR_NATS_UNKNOWN_OP},
    {.reason = "a payload with a blank before its line end",
     .sent = SPAN_LIT("PUB foo 2\r\nhi \r\n"),
     .app_hears = UNKNOWN_OP,
     .up_hears = SPAN_LIT("PUB bh.e.a.~.~.~.foo 2\r\nhi"),
     .error = ERR_NATS_UNKNOWN_OP},
    {.reason = "a payload with a blank inside its line end",
     .sent = SPAN_LIT("PUB foo 2\r\nhi\r \n"),
     .app_hears = UNKNOWN_OP,
     .up_hears = SPAN_LIT("PUB bh.e.a.~.~.~.foo 2\r\nhi"),
     .error = ERR_NATS_UNKNOWN_OP},
    {.reason = "a denied payload that lies about its size",
     .sent = SPAN_LIT("PUB $SYS.x 1\r\nhi\r\n"),
     .app_hears = SPAN_LIT("-ERR 'Permissions Violation for Publish to \"$SYS.x\"'\r\n"
                           "-ERR 'Unknown Protocol Operation'\r\n"),
     .error = ERR_NATS_UNKNOWN_OP},
    /* What looks wrong and is not. */
    {.reason = "blanks around a carriage return in PING",
     .sent = SPAN_LIT("PING  \r  \n"),
     .up_hears = SPAN_LIT("PING\r\n")},
    {.reason = "PONG with a tab behind it",
     .sent = SPAN_LIT("PONG \t\r\n"),
     .up_hears = SPAN_LIT("PONG\r\n")},
    {.reason = "INFO from a client", .sent = SPAN_LIT("INFO {\"server_id\":\"id\"}\r\n")},
    {.reason = "blanks and tabs in a row, and at the end",
     .sent = SPAN_LIT("PUB\t \tfoo\t \t \tbar\t \t2\t \t\r\nhi\r\n"),
     .up_hears = SPAN_LIT("PUB bh.e.a.~.~.~.foo bh.e.a.~.~.~.bar 2\r\nhi\r\n")},
    {.reason = "the same with headers",
     .sent = SPAN_LIT("HPUB  \t foo \t bar\t0 \t 2 \t\r\nhi\r\n"),
     .up_hears = SPAN_LIT("HPUB bh.e.a.~.~.~.foo bh.e.a.~.~.~.bar 0 2\r\nhi\r\n")},
    {.reason = "the same in SUB",
     .sent = SPAN_LIT("SUB \t foo \t q\t\t1 \t\r\n"),
     .up_hears = SPAN_LIT("SUB bh.e.a.~.~.~.foo q~a e1\r\n")},
    {.reason = "the same in UNSUB",
     .sent = SPAN_LIT("UNSUB \t 1 \t 5\t\r\n"),
     .up_hears = SPAN_LIT("UNSUB e1 5\r\n")},
    {.reason = "headers that are none: the server does not read them",
     .sent = SPAN_LIT("HPUB foo 12 17\r\nname:x yyz\r\nHELLO\r\n"),
     .up_hears = SPAN_LIT("HPUB bh.e.a.~.~.~.foo 12 17\r\nname:x yyz\r\nHELLO\r\n")},
    {.reason = "UNSUB of a sid that is not there",
     .sent = SPAN_LIT("UNSUB 7\r\n"),
     .up_hears = SPAN_LIT("UNSUB e7\r\n")},
    {.reason = "UNSUB with a maximum that is none",
     .sent = SPAN_LIT("UNSUB 7 abc\r\n"),
     .up_hears = SPAN_LIT("UNSUB e7 abc\r\n")},
    {.reason = "wildcards inside tokens",
     .sent = SPAN_LIT("SUB *a.b> 1\r\n"),
     .up_hears = SPAN_LIT("SUB bh.e.a.~.~.~.*a.b> e1\r\n")},
    {.reason = "a sid that looks like a subject",
     .sent = SPAN_LIT("SUB foo a.sid.*\r\n"),
     .up_hears = SPAN_LIT("SUB bh.e.a.~.~.~.foo ea.sid.*\r\n")},
    {.reason = "a queue group that looks like a filter",
     .sent = SPAN_LIT("SUB foo q>..* 1\r\n"),
     .up_hears = SPAN_LIT("SUB bh.e.a.~.~.~.foo q>..*~a e1\r\n")},
    {.reason = "headers of no bytes",
     .sent = SPAN_LIT("HPUB foo 0 2\r\nhi\r\n"),
     .up_hears = SPAN_LIT("HPUB bh.e.a.~.~.~.foo 0 2\r\nhi\r\n")},
    {.reason = "CONNECT with null",
     .sent = SPAN_LIT("CONNECT null\r\n"),
     .up_hears = SPAN_LIT("CONNECT {}\r\n")},
    {.reason = "CONNECT again, without a blank",
     .sent = SPAN_LIT("CONNECT{}\n"),
     .up_hears = SPAN_LIT("CONNECT {}\r\n")},
};

static void say_row(struct stage *t, const struct row *row, unsigned cut, struct rng *rng)
{
    static const struct step hello[] = {HELLO};
    static const struct step ping = APP("PING\r\n");
    struct step sent = {SAYS, SIDE_APP, row->sent, row->error};
    struct step app_hears = {HEARS, SIDE_APP, row->app_hears, ERR_OK};
    struct step up_hears = {HEARS, SIDE_UP, row->up_hears, ERR_OK};
    struct step up_pinged = UP_HEARS("PING\r\n");
    for (size_t i = 0; i < ARRAY_LEN(hello); i++)
        stage_step(t, &hello[i], 0, rng);
    stage_step(t, &sent, cut, rng);
    stage_step(t, &app_hears, 0, rng);
    stage_step(t, &up_hears, 0, rng);
    if (row->error == ERR_OK) {
        stage_step(t, &ping, 0, rng);
        stage_step(t, &up_pinged, 0, rng);
    }
}

static void every_malformed_line_ends_as_on_the_server(void **state)
{
    (void)state;
    struct rng rng = {7};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned cut = 0; cut < 8; cut++) {
            struct stage t;
            stage_open(&t, "a");
            assert_int_equal(nats_session_new(&t.ns, &t.session), ERR_OK);
            if (cut == 0)
                print_message("%s\n", rows[i].reason);
            say_row(&t, &rows[i], cut, &rng);
            assert_int_equal(t.counters.n[COUNTER_BAD_NATS_APP], rows[i].error != ERR_OK);
            stage_close(&t);
        }
}

/* Every verb left after each of its letters, without a line end: no server waits for more. */
static void a_verb_that_is_left_halfway_ends_at_once(void **state)
{
    (void)state;
    static const char *const verbs[] = {"PING",  "PONG",    "PUB",  "HPUB", "SUB",
                                        "UNSUB", "CONNECT", "INFO", "+OK",  "-ERR"};
    struct rng rng = {11};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        for (size_t n = 1; n < strlen(verbs[i]); n++)
            for (unsigned cut = 0; cut < 3; cut++) {
                char text[16];
                int length = snprintf(text, sizeof text, "%.*sx", (int)n, verbs[i]);
                const struct row row = {.sent = span_of(text, (size_t)length),
                                        .app_hears = UNKNOWN_OP,
                                        .error = ERR_NATS_UNKNOWN_OP};
                struct stage t;
                stage_open(&t, "a");
                assert_int_equal(nats_session_new(&t.ns, &t.session), ERR_OK);
                say_row(&t, &row, cut, &rng);
                stage_close(&t);
            }
}

/* A line of n bytes, end not counted, and what becomes of it where the option says max. */
static void say_where(uint32_t max, const char *head, size_t n, const char *tail, enum err error)
{
    struct buf line = {0};
    assert_int_equal(buf_append(&line, span_str(head)), ERR_OK);
    while (buf_len(&line) + strlen(tail) < n)
        assert_int_equal(buf_append_byte(&line, 'a'), ERR_OK);
    assert_int_equal(buf_append(&line, span_str(tail)), ERR_OK);
    assert_int_equal(buf_append(&line, SPAN_LIT("\r\n")), ERR_OK);
    struct rng rng = {n};
    for (unsigned cut = 0; cut < 4; cut++) {
        static const struct step hello[] = {HELLO};
        struct stage t;
        stage_open(&t, "a");
        t.ns.control_line = max;
        assert_int_equal(nats_session_new(&t.ns, &t.session), ERR_OK);
        for (size_t i = 0; i < ARRAY_LEN(hello); i++)
            stage_step(&t, &hello[i], 0, &rng);
        struct step sent = {SAYS, SIDE_APP, buf_span(&line), error};
        stage_step(&t, &sent, cut, &rng);
        struct step hears = {HEARS, SIDE_APP, error == ERR_OK ? SPAN_NONE : TOO_LONG, ERR_OK};
        stage_step(&t, &hears, 0, &rng);
        stage_close(&t);
    }
    buf_deinit(&line);
}

static void say_long(const char *head, size_t n, const char *tail, enum err error)
{
    say_where(0, head, n, tail, error);
}

static void control_lines_end_where_the_option_says(void **state)
{
    (void)state;
    size_t prefix = strlen("bh.e.a.~.~.~.") + 1;
    say_where(9000, "SUB ", 9000 - prefix, " 1", ERR_OK);
    say_where(9000, "SUB ", 9000 - prefix + 1, " 1", ERR_NATS_CONTROL_LINE);
    say_where(9000, "PUB ", 9000 - prefix + 1, " 0", ERR_OK);
    say_where(9000, "PUB ", 9000 - prefix + 2, " 0", ERR_NATS_CONTROL_LINE);
    say_where(9000, "PUB ", 9001, " 0", ERR_NATS_CONTROL_LINE);
    say_where(9000, "UNSUB ", 8999, "", ERR_OK);
    say_where(9000, "PING ", 9001, "", ERR_NATS_CONTROL_LINE);
    say_where(9000, "CONNECT {\"name\":\"", 65536, "\"}", ERR_OK);
    say_where(LIMIT_NATS_CONTROL_LINE_MAX, "SUB ", LIMIT_NATS_CONTROL_LINE_MAX - prefix, " 1",
              ERR_OK);
}

static void control_lines_end_at_4096_bytes_mapped(void **state)
{
    (void)state;
    size_t prefix = strlen("bh.e.a.~.~.~.") + 1; /* and the sid's letter */
    say_long("SUB ", 4096 - prefix, " 1", ERR_OK);
    say_long("SUB ", 4096 - prefix + 1, " 1", ERR_NATS_CONTROL_LINE);
    say_long("SUB ", 4097, " 1", ERR_NATS_CONTROL_LINE);
    say_long("PUB ", 4096 - prefix + 1, " 0", ERR_OK);
    say_long("PUB ", 4096 - prefix + 2, " 0", ERR_NATS_CONTROL_LINE);
    say_long("UNSUB ", 4095, "", ERR_OK);
    say_long("UNSUB ", 4096, "", ERR_NATS_CONTROL_LINE);
    say_long("PUB x ", 70000, "", ERR_NATS_CONTROL_LINE);
    say_long("PING ", 4096, "", ERR_OK);
    say_long("PING ", 4097, "", ERR_NATS_CONTROL_LINE);
    say_long("CONNECT {\"name\":\"", 9000, "\"}", ERR_OK);
    say_long("CONNECT {\"name\":\"", 65536, "\"}", ERR_OK);
    say_long("CONNECT {\"name\":\"", 65537, "\"}", ERR_NATS_CONTROL_LINE);
}

static void a_line_without_end_is_refused_while_it_comes(void **state)
{
    (void)state;
    static const char as[5000] = {[0 ... 4999] = 'a'};
    static const struct step hello[] = {HELLO};
    struct rng rng = {1};
    struct stage t;
    stage_open(&t, "a");
    assert_int_equal(nats_session_new(&t.ns, &t.session), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(hello); i++)
        stage_step(&t, &hello[i], 0, &rng);
    assert_int_equal(stage_say(&t, SIDE_APP, SPAN_LIT("PUB ")), ERR_OK);
    assert_int_equal(stage_say(&t, SIDE_APP, span_of(as, sizeof as)), ERR_NATS_CONTROL_LINE);
    assert_true(nats_session_is_closing(t.session));
    stage_close(&t);
}

static void header_messages_need_both_sides_to_know_headers(void **state)
{
    (void)state;
    PLAY("a", UP("INFO {\"headers\":true}\r\n"),
         APP_HEARS("INFO {\"headers\":true,\"host\":\"127.0.0.1\",\"port\":4222}\r\n"),
         APP_FAILS("HPUB foo 12 12\r\n", ERR_NATS_HEADERS),
         APP_HEARS("-ERR 'message headers not supported'\r\n"));
    PLAY("a", UP("INFO {}\r\n"), APP_HEARS("INFO {\"host\":\"127.0.0.1\",\"port\":4222}\r\n"),
         APP("CONNECT {\"headers\":true}\r\n"), UP_HEARS("CONNECT {\"headers\":true}\r\n"),
         APP_FAILS("HPUB foo 12 12\r\n", ERR_NATS_HEADERS),
         APP_HEARS("-ERR 'message headers not supported'\r\n"));
}

static void an_upstream_that_is_not_nats_ends_with_a_word(void **state)
{
    (void)state;
#define NOT_NATS APP_HEARS("-ERR 'bulkhead: the upstream sent bytes that are not NATS'\r\n")
    PLAY("a", UP_FAILS("HTTP/1.1 400 Bad Request\r\n", ERR_UPSTREAM_PROTOCOL), NOT_NATS);
    PLAY("a", UP_FAILS("\0\0\x12\x04\0\0", ERR_UPSTREAM_PROTOCOL), NOT_NATS);
    PLAY("a", UP_FAILS("PING\r\n", ERR_UPSTREAM_PROTOCOL), NOT_NATS);
    PLAY("a", UP_FAILS("INFO {\r\n", ERR_UPSTREAM_PROTOCOL), NOT_NATS);
    PLAY("a", HELLO, UP_FAILS("PUB foo 1\r\n", ERR_UPSTREAM_PROTOCOL), NOT_NATS);
    PLAY("a", HELLO, UP_FAILS("MSG foo 1\r\n", ERR_UPSTREAM_PROTOCOL), NOT_NATS);
    PLAY("a", HELLO, UP_FAILS("MSG bh.e.a.~.~.~.x e1 99999999999\r\n", ERR_UPSTREAM_PROTOCOL),
         NOT_NATS);
    PLAY("a", HELLO, UP_FAILS("MSG bh.e.a.~.~.~.x e1 1\r\nhi\r\n", ERR_UPSTREAM_PROTOCOL),
         APP_HEARS("MSG x 1 1\r\nh")); /* no room for words inside a payload */
    PLAY("a", HELLO, UP_FAILS("MSG foreign e1 1\r\nhi\r\n", ERR_UPSTREAM_PROTOCOL), NOT_NATS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_malformed_line_ends_as_on_the_server),
        cmocka_unit_test(a_verb_that_is_left_halfway_ends_at_once),
        cmocka_unit_test(control_lines_end_at_4096_bytes_mapped),
        cmocka_unit_test(control_lines_end_where_the_option_says),
        cmocka_unit_test(a_line_without_end_is_refused_while_it_comes),
        cmocka_unit_test(header_messages_need_both_sides_to_know_headers),
        cmocka_unit_test(an_upstream_that_is_not_nats_ends_with_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
