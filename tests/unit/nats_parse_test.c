/* SPDX-License-Identifier: Apache-2.0 */
#include "support/support.h"

#include "base/attr.h"
#include "wire/nats_parse.h"

struct row {
    enum nats_from from;
    struct span line;
    enum err error;
    struct nats_line want;
};

#define S(s) SPAN_LIT(s)

static const struct row rows[] = {
    {NATS_FROM_CLIENT,
     S("PUB foo 2"),
     ERR_OK,
     {.op = NATS_OP_PUB, .subject = S("foo"), .payload_text = S("2"), .payload_bytes = 2}},
    {NATS_FROM_CLIENT,
     S("pUb\t foo\t r  0002 \r"),
     ERR_OK,
     {.op = NATS_OP_PUB,
      .subject = S("foo"),
      .reply = S("r"),
      .payload_text = S("0002"),
      .payload_bytes = 2}},
    {NATS_FROM_CLIENT,
     S("HPUB foo 12 14\r"),
     ERR_OK,
     {.op = NATS_OP_HPUB,
      .subject = S("foo"),
      .header_text = S("12"),
      .payload_text = S("14"),
      .payload_bytes = 14}},
    {NATS_FROM_CLIENT,
     S("HPUB foo r 12 14"),
     ERR_OK,
     {.op = NATS_OP_HPUB,
      .subject = S("foo"),
      .reply = S("r"),
      .header_text = S("12"),
      .payload_text = S("14"),
      .payload_bytes = 14}},
    {NATS_FROM_SERVER,
     S("MSG foo e1 2"),
     ERR_OK,
     {.op = NATS_OP_MSG,
      .subject = S("foo"),
      .sid = S("e1"),
      .payload_text = S("2"),
      .payload_bytes = 2}},
    {NATS_FROM_SERVER,
     S("MSG foo e1 r 999999999"),
     ERR_OK,
     {.op = NATS_OP_MSG,
      .subject = S("foo"),
      .sid = S("e1"),
      .reply = S("r"),
      .payload_text = S("999999999"),
      .payload_bytes = 999999999}},
    {NATS_FROM_SERVER,
     S("HMSG foo e1 r 1 2"),
     ERR_OK,
     {.op = NATS_OP_HMSG,
      .subject = S("foo"),
      .sid = S("e1"),
      .reply = S("r"),
      .header_text = S("1"),
      .payload_text = S("2"),
      .payload_bytes = 2}},
    {NATS_FROM_CLIENT,
     S("SUB foo 1"),
     ERR_OK,
     {.op = NATS_OP_SUB, .subject = S("foo"), .sid = S("1")}},
    {NATS_FROM_CLIENT,
     S("SUB foo q 1"),
     ERR_OK,
     {.op = NATS_OP_SUB, .subject = S("foo"), .queue = S("q"), .sid = S("1")}},
    {NATS_FROM_CLIENT, S("UNSUB 1"), ERR_OK, {.op = NATS_OP_UNSUB, .sid = S("1")}},
    {NATS_FROM_CLIENT, S("UNSUB 1 5"), ERR_OK, {.op = NATS_OP_UNSUB, .sid = S("1"), .max = S("5")}},
    {NATS_FROM_CLIENT, S("CONNECT  {} \r"), ERR_OK, {.op = NATS_OP_CONNECT, .text = S("{}")}},
    {NATS_FROM_SERVER, S("INFO {}"), ERR_OK, {.op = NATS_OP_INFO, .text = S("{}")}},
    {NATS_FROM_SERVER, S("-ERR 'a b'"), ERR_OK, {.op = NATS_OP_ERR, .text = S("'a b'")}},
    {NATS_FROM_SERVER, S("+OK"), ERR_OK, {.op = NATS_OP_OK}},
    {NATS_FROM_SERVER, S("PING"), ERR_OK, {.op = NATS_OP_PING}},
    {NATS_FROM_CLIENT, S("pongX"), ERR_OK, {.op = NATS_OP_PONG}},
    {NATS_FROM_CLIENT, S(""), ERR_NATS_UNKNOWN_OP, {0}},
    {NATS_FROM_CLIENT, S("\r"), ERR_NATS_UNKNOWN_OP, {0}},
    {NATS_FROM_CLIENT, S("PUB\r"), ERR_NATS_UNKNOWN_OP, {0}},
    {NATS_FROM_CLIENT, S("P\0B foo 1"), ERR_NATS_UNKNOWN_OP, {0}},
    {NATS_FROM_CLIENT, S("\x0bOK"), ERR_NATS_UNKNOWN_OP, {0}}, /* '+' without bit 0x20 */
    {NATS_FROM_CLIENT, S("MSG foo 1 2"), ERR_NATS_UNKNOWN_OP, {0}},
    {NATS_FROM_SERVER, S("PUB foo 2"), ERR_NATS_UNKNOWN_OP, {0}},
    {NATS_FROM_SERVER, S("CONNECT {}"), ERR_NATS_UNKNOWN_OP, {0}},
    {NATS_FROM_CLIENT, S("PUB foo"), ERR_SYNTAX, {0}},
    {NATS_FROM_CLIENT, S("PUB foo a b 2"), ERR_SYNTAX, {0}},
    {NATS_FROM_CLIENT, S("PUB foo 1000000000"), ERR_SYNTAX, {0}},
    {NATS_FROM_CLIENT, S("HPUB foo 3 2"), ERR_SYNTAX, {0}},
    {NATS_FROM_CLIENT, S("HPUB foo 2"), ERR_SYNTAX, {0}},
    {NATS_FROM_SERVER, S("MSG foo 1"), ERR_SYNTAX, {0}},
    {NATS_FROM_SERVER, S("HMSG foo 1 2"), ERR_SYNTAX, {0}},
    {NATS_FROM_CLIENT, S("SUB foo"), ERR_SYNTAX, {0}},
    {NATS_FROM_CLIENT, S("UNSUB  "), ERR_SYNTAX, {0}},
};

static void lines_are_cut_into_their_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        struct nats_line got;
        print_message("%.*s\n", (int)r->line.n, (const char *)r->line.p);
        assert_int_equal(nats_parse_line(r->from, r->line, &got), r->error);
        if (r->error != ERR_OK)
            continue;
        assert_int_equal(got.op, r->want.op);
        assert_span_equal(got.subject, r->want.subject);
        assert_span_equal(got.reply, r->want.reply);
        assert_span_equal(got.queue, r->want.queue);
        assert_span_equal(got.sid, r->want.sid);
        assert_span_equal(got.max, r->want.max);
        assert_span_equal(got.header_text, r->want.header_text);
        assert_span_equal(got.payload_text, r->want.payload_text);
        assert_span_equal(got.text, r->want.text);
        assert_int_equal(got.payload_bytes, r->want.payload_bytes);
    }
}

static void sizes_have_one_to_nine_digits(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        bool ok;
        uint32_t size;
    } sizes[] = {
        {S("0"), true, 0},    {S("000000012"), true, 12},  {S("999999999"), true, 999999999},
        {S(""), false, 0},    {S("0000000000"), false, 0}, {S("1000000000"), false, 0},
        {S("-1"), false, 0},  {S("+1"), false, 0},         {S("1 "), false, 0},
        {S("0x1"), false, 0}, {S("1\0"), false, 0},        {S("4294967297"), false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint32_t size = 0;
        assert_int_equal(nats_parse_size(sizes[i].text, &size), sizes[i].ok);
        assert_int_equal(size, sizes[i].size);
    }
}

static void a_whole_line_is_not_copied_and_a_partial_one_is_given_back(void **state)
{
    (void)state;
    struct nats_reader r = {0};
    struct span all = SPAN_LIT("PING\r\nPUB foo 0\r\nPO"), in = all, line;
    enum err e;
    assert_true(nats_reader_next(&r, NATS_FROM_CLIENT, &in, &line, &e));
    assert_ptr_equal(line.p, all.p);
    assert_span_equal(line, SPAN_LIT("PING\r"));
    assert_true(nats_reader_next(&r, NATS_FROM_CLIENT, &in, &line, &e));
    assert_null(r.partial.data);
    assert_false(nats_reader_next(&r, NATS_FROM_CLIENT, &in, &line, &e));
    assert_int_equal(e, ERR_OK);
    assert_int_equal(in.n, 0);
    in = SPAN_LIT("NG\nx");
    assert_true(nats_reader_next(&r, NATS_FROM_CLIENT, &in, &line, &e));
    assert_span_equal(line, SPAN_LIT("PONG"));
    assert_span_equal(in, SPAN_LIT("x"));
    nats_reader_release(&r);
    assert_null(r.partial.data);
}

static void the_first_byte_of_no_verb_is_refused(void **state)
{
    (void)state;
    static const char *const heads[] = {"G", "PX", "PUBX", "\x16", "pong", "SU", "SUB", "-er"};
    static const enum err want[] = {ERR_NATS_UNKNOWN_OP,
                                    ERR_NATS_UNKNOWN_OP,
                                    ERR_NATS_UNKNOWN_OP,
                                    ERR_NATS_UNKNOWN_OP,
                                    ERR_OK,
                                    ERR_OK,
                                    ERR_OK,
                                    ERR_OK};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct nats_reader r = {0};
        struct span in = span_str(heads[i]), line;
        enum err e;
        assert_false(nats_reader_next(&r, NATS_FROM_CLIENT, &in, &line, &e));
        assert_int_equal(e, want[i]);
        nats_reader_release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cut_into_their_fields),
        cmocka_unit_test(sizes_have_one_to_nine_digits),
        cmocka_unit_test(a_whole_line_is_not_copied_and_a_partial_one_is_given_back),
        cmocka_unit_test(the_first_byte_of_no_verb_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
