/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short way (nats_plain) byte for byte: what JetStream and the core say most often, in
 * namespaces whose stored prefixes are as short and as long as they can be, with each byte
 * replaced, taken away, doubled or preceded by another, and cut at each byte. Each such talk is fed
 * as one piece, as two, and byte by byte, which never takes the short way: what is heard, counted
 * and remembered must be the same. A piece lies in memory of its exact size, so that a sanitizer
 * sees what is read behind it. Then lines and payloads around the sizes at which something changes.
 *
 * LAW_CASES says how many bytes are tried in each place (3,000,000: each place, and five bytes in
 * it; 154,000,000: all 256 of them), LAW_SEED which.
 */
#include "session/nats_transcript.h"

#include <stdio.h>
#include <stdlib.h>

#include "limit.h"
#include "nats/nats_state.h"

/* Of bytes tried in each place: from there on no place is left out. */
enum { EVERY_BYTE_TRIES = 4 };

/* Segments of the longest path: 200 bytes, most of which take three when they are stored. */
#define DOTS60 "a............................................................z"

struct place {
    const char *path;
    bool subtree;
};

static const struct place places[] = {
    {"default", false},
    {"default", true},
    {"a", false},
    {"a/model-8b", true},
    {"team-with-a-name/model.v1/version_A/x", true},
    {DOTS60 "/" DOTS60 "/" DOTS60, false},
};

/* %P: own events; %D: own requests; %N: names; %O: another's names; %L: how many bytes the rest of
 * the scene up to the first | has, as the size of that payload. */
struct scene {
    enum nats_side side;
    const char *text;
};

static const struct scene scenes[] = {
    /* Pulled messages, twice the same line, twice not. */
    {SIDE_UP,
     "MSG %Ps.1 e1 $JS.ACK.%NS.c.1.2.3.4.5 2\r\nhi\r\n"
     "MSG %Ps.1 e1 $JS.ACK.%NS.c.1.2.3.4.5 2\r\nho\r\n"
     "MSG %Ps.1 e1 $JS.ACK.%NS.c.1.3.4.1764000000000000000.4 0\r\n\r\n"
     "MSG %Ps.12345678 e12345678 $JS.ACK.%NSTREAM.consumer.1.3.4.5.4 9\r\n{\"error\":\r\n"},
    /* Acknowledgements of publishes, also with the empty reply that servers write: taken, doubled,
     * refused, and what only begins so. */
    {SIDE_UP, "MSG %P_INBOX.A.1 e1 %L\r\n{\"stream\":\"%NS\", \"seq\":10}|\r\n"
              "MSG %P_INBOX.A.1 e1  %L\r\n{\"stream\":\"%NS\", \"seq\":11}|\r\n"
              "MSG %P_INBOX.A.1 e1  %L\r\n{\"stream\":\"%NS\", \"seq\":9, \"duplicate\": true}|\r\n"
              "MSG %P_INBOX.A.1 e1  4\r\n{\"st\r\n"},
    {SIDE_UP, "MSG %P_INBOX.A.1 e1 %L\r\n{\"error\":{\"code\":400,\"err_code\":10071,"
              "\"description\":\"wrong last sequence: 1\"},\"stream\":\"%NS\",\"seq\":0}|\r\n"
              "MSG %P_INBOX.A.1 e1 %L\r\n{\"stream\":\"%OS\", \"seq\":10}|\r\n"
              "MSG %P_INBOX.A.1 e1 12\r\nhello, world\r\n"},
    /* What stands between them: status lines, headers, the barrier. */
    {SIDE_UP, "MSG %Ps.1 e1 $JS.ACK.%NS.c.1.2.3.4.5 2\r\nhi\r\n"
              "HMSG %P_INBOX.B e2 30 30\r\nNATS/1.0 404 No Messages\r\n\r\n\r\n\r\n"
              "PONG\r\nMSG %Ps.1 e1 $JS.ACK.%NS.c.1.2.3.4.5 2\r\nhi\r\n"
              "HMSG %Ps.1 e1 $JS.ACK.%NS.c.1.2.3.4.5 19 21\r\nNATS/1.0\r\nK: vvv\r\n\r\nhi\r\n"
              "MSG %Ps.1 e1 $JS.FC.%NS.c.1 0\r\n\r\n"},
    /* Requests and answers of the core; a subscription that counts, one with a maximum. */
    {SIDE_UP, "MSG %Pfoo e1 %P_INBOX.C.1 3\r\nabc\r\nMSG %Pfoo e1 %P_INBOX.C.1 3\r\nabd\r\n"
              "MSG %Pfoo e9 2\r\nhi\r\nMSG %Pfoo e9 2\r\nhi\r\nMSG %Dx.y-12345678 d9 2\r\nhi\r\n"
              "MSG %Pfoo e8 2\r\nhi\r\nMSG %Pfoo e8 2\r\nhi\r\nMSG %Pfoo e8 2\r\nhi\r\n"},
    {SIDE_APP, "PUB foo 2\r\nhi\r\nPUB foo 2\r\nho\r\nPUB foo _INBOX.C.1 3\r\nabc\r\n"
               "PUB x.y-12345678 _INBOX.C.1 3\r\nabc\r\nPUB foo.* 0\r\n\r\nPUB foo 002\r\nhi\r\n"
               "PUB foo  2\r\nhi\r\nPUB foo  2\r\nhi\r\n"},
    {SIDE_APP, "PUB orders.1 _INBOX.C.1 1\r\nx\r\nPUB $JS.ACK.S.c.1.2.3.4.5 4\r\n+ACK\r\n"
               "PUB $JS.API.CONSUMER.MSG.NEXT.S.c _INBOX.C.1 11\r\n{\"batch\":9}\r\n"
               "HPUB foo 19 21\r\nNATS/1.0\r\nK: vvv\r\n\r\nhi\r\nPUB foo 2\r\nhi\r\n"},
};

static void put(struct buf *b, struct span s)
{
    assert_int_equal(buf_append(b, s), ERR_OK);
}

/* The scene's next payload's size, which needs it expanded first: written behind a mark. */
static const char *put_sized(struct buf *b, const char *text, struct span names)
{
    const char *begin = strchr(text, '\n') + 1, *end = strchr(text, '|');
    struct buf payload = {0};
    char size[16];
    for (const char *p = begin; p < end; p++)
        if (*p == '%') {
            put(&payload, p[1] == 'N' ? names : SPAN_LIT("b~~"));
            p++;
        } else {
            put(&payload, span_of(p, 1));
        }
    (void)snprintf(size, sizeof size, "%zu\r\n", buf_len(&payload));
    put(b, span_str(size));
    put(b, buf_span(&payload));
    buf_deinit(&payload);
    return end + 1;
}

static struct buf expand(const struct nats_ns *ns, const char *text)
{
    struct buf b = {0};
    while (*text != '\0') {
        if (*text != '%') {
            put(&b, span_of(text++, 1));
            continue;
        }
        const struct subject_prefix *own = &ns->map.slice[SUBJECT_EVENTS];
        struct span names = js_names_prefix(&ns->names);
        char what = text[1];
        text += 2;
        if (what == 'L') {
            text = put_sized(&b, text, names);
        } else if (what == 'N') {
            put(&b, names);
        } else {
            put(&b, span_of(own->text, own->n));
            if (what == 'D')
                b.data[b.tail - own->n + ns->map.class_at] = 'd';
        }
    }
    return b;
}

/* What a session has become. */
struct result {
    struct stage stage;
    enum err error;
    uint64_t delivered[2];
    uint32_t max[2];
};

static const char subscribed[] =
    "SUB x.y-12345678 9\r\nSUB x.y-* 8\r\nUNSUB 8 2\r\nPUB a _INBOX.C.1 1\r\nx\r\n";

/* A piece in memory of its exact size. */
static enum err say_exactly(struct stage *t, enum nats_side side, struct span piece)
{
    uint8_t *copy = malloc(piece.n);
    assert_non_null(copy);
    memcpy(copy, piece.p, piece.n);
    enum err e = stage_say(t, side, span_of(copy, piece.n));
    free(copy);
    return e;
}

/* text in two pieces, the first one of cut bytes; cut 0: byte by byte. */
static void play(const struct stage *place, enum nats_side side, struct span text, size_t cut,
                 struct result *ret)
{
    static const struct step hello[] = {HELLO};
    struct rng rng = {1};
    struct stage *t = &ret->stage;
    *ret = (struct result){.stage = *place};
    t->ns.counters = &t->counters;
    assert_int_equal(nats_session_new(&t->ns, &t->session), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(hello); i++)
        stage_step(t, &hello[i], 0, &rng);
    assert_int_equal(stage_say(t, SIDE_APP, span_str(subscribed)), ERR_OK);
    while (text.n != 0 && ret->error == ERR_OK && !nats_session_is_closing(t->session)) {
        struct span piece = span_head(text, cut == 0 ? 1 : cut);
        ret->error = cut == 0 ? stage_say(t, side, piece) : say_exactly(t, side, piece);
        text = span_skip(text, piece.n);
        if (cut != 0)
            cut = text.n;
    }
    static const char *const sids[] = {"9", "8"};
    for (size_t i = 0; i < ARRAY_LEN(sids); i++) {
        const struct nats_sub *sub = nats_subs_find(&t->session->subs, span_str(sids[i]));
        ret->delivered[i] = sub == NULL ? UINT64_MAX : sub->delivered;
        ret->max[i] = sub == NULL ? UINT32_MAX : sub->max;
    }
}

static void assert_same(const struct result *a, const struct result *b)
{
    for (int side = 0; side < SIDES; side++)
        assert_span_equal(buf_span(&a->stage.heard[side]), buf_span(&b->stage.heard[side]));
    assert_int_equal(a->error, b->error);
    assert_int_equal(a->stage.session->state, b->stage.session->state);
    assert_int_equal(a->stage.session->subs.n, b->stage.session->subs.n);
    assert_int_equal(a->stage.session->pings, b->stage.session->pings);
    assert_memory_equal(a->delivered, b->delivered, sizeof a->delivered);
    assert_memory_equal(a->max, b->max, sizeof a->max);
    assert_memory_equal(&a->stage.counters, &b->stage.counters, sizeof a->stage.counters);
}

/* text as one piece, and cut at cut, against byte by byte. */
static void compare(const struct stage *place, enum nats_side side, struct span text, size_t cut)
{
    struct result slow, fast;
    size_t cuts[] = {text.n, cut};
    play(place, side, text, 0, &slow);
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        if (cuts[i] == 0 || (i > 0 && cuts[i] >= text.n))
            continue;
        play(place, side, text, cuts[i], &fast);
        assert_same(&fast, &slow);
        stage_close(&fast.stage);
    }
    stage_close(&slow.stage);
}

/* head, what stands instead, tail. */
static void compare_edited(const struct stage *place, enum nats_side side, struct span text,
                           size_t head, struct span instead, size_t tail)
{
    struct buf b = {0};
    put(&b, span_head(text, head));
    put(&b, instead);
    put(&b, span_skip(text, tail));
    compare(place, side, buf_span(&b), head);
    buf_deinit(&b);
}

/* Mostly what means something somewhere. */
static uint8_t any_byte(struct rng *rng)
{
    static const uint8_t telling[] = " \t\r\n.*>$~{\"}0129aAbdejv\\\x00\x01\x1f\x7f\x80\xff:%";
    return rng_below(rng, 4) == 0 ? (uint8_t)rng_below(rng, 256)
                                  : telling[rng_below(rng, sizeof telling - 1)];
}

static void each_byte(const struct stage *place, enum nats_side side, struct span text,
                      struct rng *rng, unsigned tries)
{
    /* The short form does not try every byte, but others in each scene and place. */
    size_t most = tries >= EVERY_BYTE_TRIES ? 1 : 1 + text.n / 25;
    for (size_t i = rng_below(rng, most); i < text.n; i += 1 + rng_below(rng, most)) {
        compare(place, side, text, i);
        compare_edited(place, side, text, i, SPAN_NONE, i + 1);
        compare_edited(place, side, text, i, span_of(text.p + i, 1), i);
        for (unsigned n = 0; n < tries; n++) {
            uint8_t byte = tries >= 256 ? (uint8_t)n : any_byte(rng);
            compare_edited(place, side, text, i, span_of(&byte, 1), i + 1);
            if (tries < 256 && n > 0)
                continue;
            compare_edited(place, side, text, i, span_of(&byte, 1), i);
        }
    }
}

static void every_byte_of_what_is_said_most(void **state)
{
    (void)state;
    struct rng rng = support_rng("plain messages, byte for byte");
    uint64_t tries = support_cases(1200000) / 600000;
    tries = tries < 1 ? 1 : tries > 256 ? 256 : tries;
    for (size_t p = 0; p < ARRAY_LEN(places); p++) {
        struct stage place;
        (places[p].subtree ? stage_open_view : stage_open_own)(&place, places[p].path);
        for (size_t i = 0; i < ARRAY_LEN(scenes); i++) {
            struct buf text = expand(&place.ns, scenes[i].text);
            each_byte(&place, scenes[i].side, buf_span(&text), &rng, (unsigned)tries);
            buf_deinit(&text);
        }
    }
}

static void put_many(struct buf *b, char c, size_t n)
{
    while (n-- > 0)
        assert_int_equal(buf_append_byte(b, (uint8_t)c), ERR_OK);
}

/* A PUB whose mapped line, without CR LF, has n bytes, and one behind it. */
static struct buf publish_of(const struct stage *place, size_t n, bool replies)
{
    const char *verb = "PUB ", *rest = replies ? " _INBOX.C.1 2" : " 2";
    size_t prefixes = (size_t)place->ns.map.slice[SUBJECT_EVENTS].n * (replies ? 2 : 1);
    struct buf b = {0};
    put(&b, span_str(verb));
    put_many(&b, 's', n - strlen(verb) - strlen(rest) - prefixes);
    put(&b, span_str(rest));
    put(&b, SPAN_LIT("\r\nhi\r\nPUB foo 2\r\nho\r\n"));
    return b;
}

static void lines_as_long_as_they_may_be(void **state)
{
    (void)state;
    static const uint32_t maxima[] = {0, LIMIT_NATS_CONTROL_LINE + 40};
    for (size_t p = 0; p < ARRAY_LEN(places); p++)
        for (size_t m = 0; m < ARRAY_LEN(maxima); m++) {
            struct stage place;
            stage_open(&place, places[p].path);
            place.ns.control_line = maxima[m];
            size_t max = maxima[m] == 0 ? LIMIT_NATS_CONTROL_LINE : maxima[m];
            for (size_t n = max - 3; n <= max + 3; n++)
                for (int replies = 0; replies < 2; replies++) {
                    struct buf text = publish_of(&place, n, replies != 0);
                    compare(&place, SIDE_APP, buf_span(&text), n);
                    buf_deinit(&text);
                }
        }
}

/* Around the sizes at which something else happens. */
static void payloads_as_large_as_they_may_be(void **state)
{
    (void)state;
    static const char begins[][12] = {"{\"stream\":\"", "{\"error\":{ ", "something  "};
    struct stage place;
    stage_open(&place, "a");
    for (size_t n = LIMIT_NATS_PUB_ACK_BYTES - 2; n <= LIMIT_NATS_PUB_ACK_BYTES + 2; n++)
        for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
            struct buf text = {0};
            char line[64];
            (void)snprintf(line, sizeof line, "MSG bh.e.a.~.~.~.i e1 %zu\r\n", n);
            for (int twice = 0; twice < 2; twice++) {
                size_t end = buf_len(&text) + strlen(line) + n;
                put(&text, span_str(line));
                put(&text, span_of(begins[i], strnlen(begins[i], sizeof begins[i])));
                put(&text, SPAN_LIT("a~~S\",\"seq\":1}"));
                put_many(&text, ' ', end - buf_len(&text));
                put(&text, SPAN_LIT("\r\n"));
            }
            compare(&place, SIDE_UP, buf_span(&text), n);
            buf_deinit(&text);
        }
}

/* The server's max_payload, which an INFO may change at any time. */
static void payloads_larger_than_the_server_takes(void **state)
{
    (void)state;
    static const struct step steps[] = {
        HELLO,
        UP("INFO {\"max_payload\":3}\r\n"),
        APP_HEARS("INFO {\"max_payload\":3,\"host\":\"127.0.0.1\",\"port\":4222}\r\n"),
        APP("PUB a 3\r\nabc\r\nPUB a 3\r\nabd\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.a 3\r\nabc\r\nPUB bh.e.a.~.~.~.a 3\r\nabd\r\n"),
        APP_FAILS("PUB a 4\r\nabcd\r\n", ERR_NATS_PAYLOAD),
        APP_HEARS("-ERR 'Maximum Payload Violation'\r\n")};
    struct stage t;
    stage_open(&t, "a");
    stage_play(&t, steps, ARRAY_LEN(steps));
    stage_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_as_long_as_they_may_be),
        cmocka_unit_test(payloads_as_large_as_they_may_be),
        cmocka_unit_test(payloads_larger_than_the_server_takes),
        cmocka_unit_test(every_byte_of_what_is_said_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
