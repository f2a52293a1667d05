/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short way of plain messages (nats_plain) against the long one: random talk of both sides is
 * fed whole, as large pieces, and byte by byte. A message that comes byte by byte never takes the
 * short way, so what is heard, counted and remembered must be the same.
 */
#include "session/nats_transcript.h"

#include <stdio.h>

#include "limit.h"
#include "nats/nats_plain.h"
#include "nats/nats_state.h"

enum { LINES_MAX = 40, WAYS = 3 };

#define X64            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X256           X64 X64 X64 X64
#define ANY(rng, list) ((list)[rng_below((rng), ARRAY_LEN(list))])

static void put(struct buf *b, const char *text)
{
    assert_int_equal(buf_append(b, span_str(text)), ERR_OK);
}

static void put_payload(struct rng *rng, struct buf *b, size_t n)
{
    static const char *const ends[] = {"\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\rX"};
    static const char *const starts[] = {"p",
                                         "{",
                                         "{\"stream\":\"a~~S\"",
                                         "{\"stream\":\"a~~",
                                         "{\"stream\":\"b~~S\"",
                                         "{\"error\":{},\"stream\":\"a~~S\",\"seq\":0}",
                                         "\r\nPUB x 1\r\n",
                                         "MSG "};
    size_t begin = buf_len(b);
    put(b, ANY(rng, starts));
    while (buf_len(b) - begin < n)
        put(b, "0123456789abcdef");
    buf_truncate(b, begin + n);
    /* Mostly right: a wrong end is the end of the connection. */
    put(b, rng_below(rng, 60) == 0 ? ANY(rng, ends) : "\r\n");
}

/* Digits of n, sometimes not as one writes them. Returns what they mean. */
static size_t put_size(struct rng *rng, struct buf *b)
{
    static const size_t sizes[] = {0, 1, 2, 5, 16, 17, 40, 64, 300};
    /* Now and then larger than a read: such a one is never passed at once. */
    size_t n = rng_below(rng, 400) == 0 ? LIMIT_READ_BYTES + 1 : ANY(rng, sizes);
    char text[32];
    (void)snprintf(text, sizeof text, "%s%zu%s", rng_below(rng, 12) == 0 ? "000" : "", n,
                   rng_below(rng, 200) == 0 ? "x" : "");
    put(b, text);
    return n;
}

static const char *blank(struct rng *rng)
{
    static const char *const odd[] = {"  ", "\t", " \t ", "\r", "   "};
    return rng_below(rng, 25) == 0 ? ANY(rng, odd) : " ";
}

static void put_field(struct rng *rng, struct buf *b, const char *text)
{
    put(b, text);
    put(b, blank(rng));
}

static void put_end(struct rng *rng, struct buf *b)
{
    static const char *const odd[] = {"\n", " \r\n", "\r\r\n", "\t\n"};
    put(b, rng_below(rng, 25) == 0 ? ANY(rng, odd) : "\r\n");
}

/* What a message's line ends with, its payload, and often the same line again with others. */
static void put_rest(struct rng *rng, struct buf *b, size_t begin)
{
    size_t n = put_size(rng, b);
    put_end(rng, b);
    size_t line = buf_len(b) - begin;
    put_payload(rng, b, n);
    if (n > LIMIT_READ_BYTES || rng_below(rng, 2) == 0)
        return;
    for (size_t again = rng_below(rng, 8); again > 0; again--) {
        assert_int_equal(buf_reserve(b, line), ERR_OK);
        assert_int_equal(buf_append(b, span_of(buf_span(b).p + begin, line)), ERR_OK);
        put_payload(rng, b, n);
    }
}

static void app_line(struct rng *rng, struct buf *b)
{
    static const char *const verbs[] = {"PUB", "PUB", "PUB", "PUB", "PUB", "PUB", "pub", "HPUB"};
    static const char *const subjects[] = {"foo",          "foo.bar.baz", "a",
                                           "$JS.ACK.x.y",  "$KV.b.k",     "$SYS.x",
                                           "x.y-12345678", "c\x01",       "foo.>"};
    static const char *const replies[] = {"_INBOX.1", "7", "12a", "$JS.ACK.S.c.1.1.1.1.0", "r\x7f"};
    static const char *const others[] = {
        "SUB x.y-12345678 9\r\n", "UNSUB 9 3\r\n", "SUB foo 1\r\n", "PING\r\n", "UNSUB 9\r\n",
        "SUB *.* 8\r\n"};
    if (rng_below(rng, 6) == 0) {
        put(b, ANY(rng, others));
        return;
    }
    const char *verb = ANY(rng, verbs);
    size_t begin = buf_len(b);
    put_field(rng, b, verb);
    put_field(rng, b, ANY(rng, subjects));
    if (rng_below(rng, 3) == 0)
        put_field(rng, b, ANY(rng, replies));
    else
        put(b, rng_below(rng, 4) == 0 ? " " : ""); /* an empty reply */
    if (verb[0] == 'H') {
        put(b, "12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
        return;
    }
    put_rest(rng, b, begin);
}

static void up_line(struct rng *rng, struct buf *b)
{
    static const char *const subjects[] = {
        "bh.e.a.~.~.~.foo", "bh.e.a.~.~.~.foo.bar",      "bh.e.a.~.~.~.",
        "bh.e.b.~.~.~.foo", "bh.d.a.~.~.~.x.y-12345678", "bh.d.~.~.~.~.x.y",
        "bh.e.a.k.~.~.foo", "bh.j.a.~.~.~.foo",          "bh.e.a.~.~.~.f"};
    static const char *const sids[] = {"e1", "e9", "e9", "e9", "d9", "e8",
                                       "d8", "e",  "19", "29", "x1", "e123456789"};
    static const char *const replies[] = {"bh.e.a.~.~.~._INBOX.1", "bh.e.~.~.~.~.r",
                                          "bh.e.b.~.~.~.r",        "$JS.ACK.a~~S.c.1.1.1.1.0",
                                          "bh.e.a.~.~.~.",         "8"};
    /* As the server writes them, and what is nearly so: another's, a reader's, too few tokens, too
     * many, empty ones, the long form. */
    static const char *const acks[] = {
        "$JS.ACK.a~~STREAM.consumer.1.200.200.1764000000000000000.99",
        "$JS.ACK.a~~S.c.1.1.1.1.0",
        "$JS.ACK.a~~S..1.1.1.1.0",
        "$JS.ACK.a~~S.c.....",
        "$JS.ACK.a~~S.~~c.1.1.1.1.0",
        "$JS.ACK.a~~S.~~a~~c.1.1.1.1.0",
        "$JS.ACK.a~~.c.1.1.1.1.0",
        "$JS.ACK.a~~",
        "$JS.ACK.a~~S",
        "$JS.ACK.a~b~~S.c.1.1.1.1.0",
        "$JS.ACK.b~~S.c.1.1.1.1.0",
        "$JS.ACK.~S.c.1.1.1.1.0",
        "$JS.ACK.a~~S.c.1.1.1.1",
        "$JS.ACK.a~~S.c.1.1.1.1.0.7",
        "$JS.ACK.a~~S.c.1.1.1.1.0.7.8",
        "$JS.ACK.hub.HASH.a~~S.c.1.1.1.1.0.R",
        "$JS.FC.a~~S.c.1",
        "$js.ACK.a~~S.c.1.1.1.1.0"};
    static const char *const others[] = {"PING\r\n", "PONG\r\n", "+OK\r\n", "-ERR 'x'\r\n"};
    if (rng_below(rng, 6) == 0) {
        put(b, ANY(rng, others));
        return;
    }
    size_t begin = buf_len(b);
    put_field(rng, b, rng_below(rng, 20) == 0 ? "msg" : "MSG");
    put_field(rng, b, rng_below(rng, 2) == 0 ? subjects[0] : ANY(rng, subjects));
    put_field(rng, b, rng_below(rng, 2) == 0 ? sids[0] : ANY(rng, sids));
    if (rng_below(rng, 3) == 0)
        put_field(rng, b, rng_below(rng, 2) == 0 ? replies[0] : ANY(rng, replies));
    else if (rng_below(rng, 3) == 0)
        put_field(rng, b, ANY(rng, acks));
    else
        put(b, rng_below(rng, 2) == 0 ? " " : "");
    put_rest(rng, b, begin);
}

static void open_after_hello(struct stage *t, bool subtree)
{
    static const struct step hello[] = {HELLO};
    struct rng rng = {1};
    stage_open(t, "a");
    if (subtree)
        assert_int_equal(subject_map_see_below(&t->ns.map, subject_map_default_events,
                                               ARRAY_LEN(subject_map_default_events)),
                         ERR_OK);
    assert_int_equal(nats_session_new(&t->ns, &t->session), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(hello); i++)
        stage_step(t, &hello[i], 0, &rng);
}

struct words {
    enum nats_side side;
    struct buf bytes;
};

/* way 0: whole; 1: byte by byte; 2: cut at random. */
static void talk(struct stage *t, const struct words *said, size_t n, unsigned way, struct rng *rng)
{
    for (size_t i = 0; i < n && !nats_session_is_closing(t->session); i++) {
        struct span rest = buf_span(&said[i].bytes);
        enum err e = ERR_OK;
        while (rest.n != 0 && e == ERR_OK) {
            size_t piece = way == 0 ? rest.n : way == 1 ? 1 : 1 + rng_below(rng, rest.n);
            e = stage_say(t, said[i].side, span_head(rest, piece));
            rest = span_skip(rest, piece);
        }
    }
}

static void the_short_way_says_what_the_long_one_says(void **state)
{
    (void)state;
    struct rng rng = support_rng("plain messages");
    uint64_t cases = support_cases(200000) / 400 + 500;
    for (uint64_t i = 0; i < cases; i++) {
        struct words said[4] = {0};
        const char *subscribed = i % 2 == 0 ? "SUB x.y-12345678 9\r\nUNSUB 9 3\r\n"
                                            : "SUB x.y-12345678 9\r\n";
        struct stage t[WAYS];
        for (size_t w = 0; w < ARRAY_LEN(said); w++) {
            said[w].side = rng_below(&rng, 2) == 0 ? SIDE_APP : SIDE_UP;
            for (size_t n = 1 + rng_below(&rng, LINES_MAX / 4); n > 0; n--)
                (said[w].side == SIDE_APP ? app_line : up_line)(&rng, &said[w].bytes);
        }
        for (unsigned way = 0; way < WAYS; way++) {
            open_after_hello(&t[way], i % 4 >= 2);
            assert_int_equal(stage_say(&t[way], SIDE_APP, span_str(subscribed)), ERR_OK);
            talk(&t[way], said, ARRAY_LEN(said), way, &rng);
        }
        for (unsigned way = 1; way < WAYS; way++) {
            for (int side = 0; side < SIDES; side++)
                assert_span_equal(buf_span(&t[way].heard[side]), buf_span(&t[0].heard[side]));
            assert_memory_equal(&t[way].counters, &t[0].counters, sizeof t[0].counters);
            assert_int_equal(t[way].session->state, t[0].session->state);
            assert_int_equal(t[way].session->subs.n, t[0].session->subs.n);
        }
        for (unsigned way = 0; way < WAYS; way++)
            stage_close(&t[way]);
        for (size_t w = 0; w < ARRAY_LEN(said); w++)
            buf_deinit(&said[w].bytes);
    }
}

/* That the short way is taken at all shows in what it refuses: half a message stays. */
static void plain_messages_take_the_short_way(void **state)
{
    (void)state;
    static const char up[] = "PUB foo 2\r\nhi\r\nPUB foo _INBOX.1 3\r\nabc\r\n"
                             "PUB foo  2\r\nho\r\nPUB foo 2\r\nh";
    static const char app[] = "MSG bh.e.a.~.~.~.foo e1 2\r\nhi\r\n"
                              "MSG bh.e.a.~.~.~.foo e1  2\r\nho\r\n"
                              "MSG bh.e.a.~.~.~.foo e1 bh.e.a.~.~.~.r 1\r\nx\r\nMSG bh.e.a.~.";
    struct stage t;
    open_after_hello(&t, false);
    struct span in = span_str(up);
    enum err e = ERR_OK;
    assert_true(nats_plain_pass(t.session, SIDE_APP, &in, &e));
    assert_span_equal(in, SPAN_LIT("PUB foo 2\r\nh"));
    assert_false(nats_plain_pass(t.session, SIDE_APP, &in, &e));
    in = span_str(app);
    assert_true(nats_plain_pass(t.session, SIDE_UP, &in, &e));
    assert_span_equal(in, SPAN_LIT("MSG bh.e.a.~."));
    assert_int_equal(e, ERR_OK);
    stage_listen(&t);
    assert_span_equal(buf_span(&t.heard[SIDE_UP]),
                      SPAN_LIT("PUB bh.e.a.~.~.~.foo 2\r\nhi\r\n"
                               "PUB bh.e.a.~.~.~.foo bh.e.a.~.~.~._INBOX.1 3\r\nabc\r\n"
                               "PUB bh.e.a.~.~.~.foo 2\r\nho\r\n"));
    assert_span_equal(buf_span(&t.heard[SIDE_APP]),
                      SPAN_LIT("MSG foo 1 2\r\nhi\r\nMSG foo 1 2\r\nho\r\nMSG foo 1 r 1\r\nx\r\n"));
    stage_close(&t);
}

/* So do acknowledgements of publishes, with the blank of an empty reply as servers write them and
 * without it, and messages that a consumer delivers: nothing of what stands before the stream's own
 * name is shown. */
static void jetstream_s_frequent_messages_take_it_too(void **state)
{
    (void)state;
    static const char up[] =
        "MSG bh.e.a.~.~.~.i.1 e1  30\r\n{\"stream\":\"a~~S\", \"seq\":10000}\r\n"
        "MSG bh.e.a.~.~.~.i.1 e1 30\r\n{\"stream\":\"a~~S\", \"seq\":10001}\r\n"
        "MSG bh.e.a.~.~.~.i.1 e1 102\r\n{\"stream\":\"a~~S\", \"seq\":10000, \"duplicate\": true, "
        "\"domain\":\"0123456789012345678901234567890123456777\"}\r\n"
        "MSG bh.e.a.~.~.~.s.1 e1 $JS.ACK.a~~S.c.1.2.3.4.5 2\r\nhi\r\n"
        "MSG bh.e.a.~.~.~.s.1 e1 $JS.ACK.a~~S.c.1.2.3.4.5 2\r\nho\r\n";
    static const char foreign[] = "MSG bh.e.a.~.~.~.s.1 e1 $JS.ACK.b~~S.c.1.2.3.4.5 2\r\nhi\r\n"
                                  "MSG bh.e.a.~.~.~.s.1 e1 2\r\nhi\r\n";
    struct stage t;
    open_after_hello(&t, false);
    struct span in = span_str(up);
    enum err e = ERR_OK;
    assert_true(nats_plain_pass(t.session, SIDE_UP, &in, &e));
    assert_int_equal(in.n, 0);
    in = span_str(foreign);
    assert_false(nats_plain_pass(t.session, SIDE_UP, &in, &e));
    assert_int_equal(in.n, sizeof foreign - 1);
    assert_int_equal(e, ERR_OK);
    stage_listen(&t);
    assert_span_equal(
        buf_span(&t.heard[SIDE_APP]),
        SPAN_LIT("MSG i.1 1 27\r\n{\"stream\":\"S\", \"seq\":10000}\r\n"
                 "MSG i.1 1 27\r\n{\"stream\":\"S\", \"seq\":10001}\r\n"
                 "MSG i.1 1 99\r\n{\"stream\":\"S\", \"seq\":10000, \"duplicate\": true, "
                 "\"domain\":\"0123456789012345678901234567890123456777\"}\r\n"
                 "MSG s.1 1 $JS.ACK.S.c.1.2.3.4.5 2\r\nhi\r\n"
                 "MSG s.1 1 $JS.ACK.S.c.1.2.3.4.5 2\r\nho\r\n"));
    stage_close(&t);
}

/* More of one line than the high mark allows: nothing passes above it, and nothing is lost. */
static void a_long_run_stops_at_the_high_mark(void **state)
{
    (void)state;
    struct buf said = {0}, want = {0};
    struct stage t;
    for (int i = 0; i < 20000; i++) {
        char body[32];
        (void)snprintf(body, sizeof body, "foo 6\r\n%06d\r\n", i);
        put(&said, "PUB ");
        put(&said, body);
        put(&want, "PUB bh.e.a.~.~.~.");
        put(&want, body);
    }
    open_after_hello(&t, false);
    struct span in = buf_span(&said);
    enum err e = ERR_OK;
    assert_true(nats_plain_pass(t.session, SIDE_APP, &in, &e));
    size_t passed = buf_len(nats_session_out(t.session, SIDE_UP));
    assert_in_range(passed, LIMIT_OUT_HIGH_BYTES, LIMIT_OUT_HIGH_BYTES + 40);
    assert_false(nats_plain_pass(t.session, SIDE_APP, &in, &e));
    stage_listen(&t);
    assert_int_equal(stage_say(&t, SIDE_APP, in), ERR_OK);
    assert_span_equal(buf_span(&t.heard[SIDE_UP]), buf_span(&want));
    assert_int_equal(t.counters.n[COUNTER_NATS_MSGS_TO_UP], 20000);
    stage_close(&t);
    buf_deinit(&said);
    buf_deinit(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_messages_take_the_short_way),
        cmocka_unit_test(jetstream_s_frequent_messages_take_it_too),
        cmocka_unit_test(a_long_run_stops_at_the_high_mark),
        cmocka_unit_test(the_short_way_says_what_the_long_one_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
