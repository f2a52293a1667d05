/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC frames: cut anywhere, lying lengths, large messages moved rather than copied. */
#include "support/support.h"

#include <stdlib.h>

#include "wire/grpc_frame.h"

enum { MAX = 100000 };

static struct grpc_reader reader;
static struct buf got; /* all messages, each followed by '|' */

static void start(void)
{
    grpc_reader_deinit(&reader);
    buf_deinit(&got);
    reader.max_bytes = MAX;
}

/* Feeds a piece in memory of its exact size, so that asan sees a read past it. */
static enum err feed(struct span piece)
{
    uint8_t *exact = malloc(piece.n + 1);
    assert_non_null(exact);
    if (piece.n != 0)
        memcpy(exact, piece.p, piece.n);
    struct span in = span_of(exact, piece.n), m;
    enum err e;
    while (grpc_reader_next(&reader, &in, &m, &e)) {
        assert_int_equal(buf_append(&got, m), ERR_OK);
        assert_int_equal(buf_append_byte(&got, '|'), ERR_OK);
    }
    if (e == ERR_OK)
        assert_int_equal(in.n, 0);
    free(exact);
    return e;
}

static const struct span three = {(const uint8_t *)"\0\0\0\0\3one\0\0\0\0\0\0\0\0\0\5three", 23};

static void messages_come_whole(void **state)
{
    (void)state;
    start();
    assert_int_equal(feed(three), ERR_OK);
    assert_span_equal(buf_span(&got), SPAN_LIT("one||three|"));
    assert_true(grpc_reader_is_clean(&reader));
    assert_null(reader.partial.data);
}

static void messages_come_in_any_two_pieces_and_byte_by_byte(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= three.n; cut++) {
        start();
        assert_int_equal(feed(span_head(three, cut)), ERR_OK);
        assert_int_equal(grpc_reader_is_clean(&reader),
                         cut == 0 || cut == 8 || cut == 13 || cut == 23);
        assert_int_equal(feed(span_skip(three, cut)), ERR_OK);
        assert_span_equal(buf_span(&got), SPAN_LIT("one||three|"));
        assert_true(grpc_reader_is_clean(&reader));
    }
    start();
    for (size_t i = 0; i < three.n; i++)
        assert_int_equal(feed(span_of(three.p + i, 1)), ERR_OK);
    assert_span_equal(buf_span(&got), SPAN_LIT("one||three|"));
}

/* What has been rewritten meanwhile shortens the message, however it is cut. */
static void a_message_is_rewritten_as_it_arrives(void **state)
{
    (void)state;
    static const struct span frame = {(const uint8_t *)"\0\0\0\0\6aAbBcC\0\0\0\0\1d", 17};
    for (size_t cut = 0; cut <= 11; cut++) {
        start();
        assert_int_equal(feed(span_head(frame, cut)), ERR_OK);
        struct span arrived = grpc_reader_arrived(&reader);
        assert_int_equal(arrived.n, cut > 5 && cut < 11 ? cut - 5 : 0);
        if (arrived.n >= 2) { /* the capital is left out */
            assert_span_equal(span_head(arrived, 2), SPAN_LIT("aA"));
            grpc_reader_rewrote(&reader, 2, 1);
            assert_int_equal(grpc_reader_arrived(&reader).n, arrived.n - 2);
            assert_int_equal(reader.ready_bytes, 1);
        }
        assert_int_equal(feed(span_skip(frame, cut)), ERR_OK);
        assert_span_equal(buf_span(&got),
                          arrived.n >= 2 ? SPAN_LIT("abBcC|d|") : SPAN_LIT("aAbBcC|d|"));
        assert_int_equal(reader.ready_bytes, 0);
        assert_true(grpc_reader_is_clean(&reader));
    }
}

static void flags_and_lengths_are_checked(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        enum err want;
    } rows[] = {
        {SPAN_LIT("\1\0\0\0\1x"), ERR_GRPC_COMPRESSED},
        {SPAN_LIT("\2\0\0\0\1x"), ERR_GRPC_FRAME},
        {SPAN_LIT("\xff\0\0\0\1x"), ERR_GRPC_FRAME},
        {SPAN_LIT("\0\xff\xff\xff\xff"), ERR_REQUEST_TOO_LARGE},
        {SPAN_LIT("\0\0\1\x86\xa1"), ERR_REQUEST_TOO_LARGE},
        {SPAN_LIT("\0\0\1\x86\xa0"), ERR_OK},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start();
        assert_int_equal(feed(rows[i].bytes), rows[i].want);
        start();
        enum err e = ERR_OK;
        for (size_t at = 0; at < rows[i].bytes.n && e == ERR_OK; at++)
            e = feed(span_of(rows[i].bytes.p + at, 1));
        assert_int_equal(e, rows[i].want);
        if (e == ERR_REQUEST_TOO_LARGE)
            assert_true(reader.over_bytes > MAX);
    }
}

static void an_announced_length_takes_no_memory_before_it_arrives(void **state)
{
    (void)state;
    start();
    reader.max_bytes = 512u << 20;
    assert_int_equal(feed(SPAN_LIT("\0\x10\0\0\0x")), ERR_OK);
    assert_true(reader.partial.cap <= 64 * 1024);
}

static void a_large_message_is_given_without_a_copy(void **state)
{
    (void)state;
    start();
    static uint8_t bytes[GRPC_HEAD_BYTES + 50000];
    grpc_frame_head(bytes, 50000);
    memset(bytes + GRPC_HEAD_BYTES, 'x', 50000);
    struct span in = span_of(bytes, 30000), m;
    enum err e;
    assert_false(grpc_reader_next(&reader, &in, &m, &e));
    in = span_of(bytes + 30000, sizeof bytes - 30000);
    assert_true(grpc_reader_next(&reader, &in, &m, &e));
    assert_int_equal(m.n, 50000);
    struct buf out = {0};
    m.n = 40000; /* shortened in place */
    const uint8_t *at = m.p;
    assert_int_equal(grpc_reader_give(&reader, m, &out), ERR_OK);
    assert_ptr_equal(buf_span(&out).p + GRPC_HEAD_BYTES, at);
    assert_int_equal(buf_len(&out), GRPC_HEAD_BYTES + 40000);
    assert_span_equal(span_head(buf_span(&out), 5), SPAN_LIT("\0\0\0\x9c\x40"));
    assert_true(grpc_reader_is_clean(&reader));
    assert_null(reader.partial.data);
    /* Not empty: behind what is there. */
    assert_int_equal(feed(SPAN_LIT("\0\0")), ERR_OK);
    in = SPAN_LIT("\0\0\1x");
    assert_true(grpc_reader_next(&reader, &in, &m, &e));
    assert_int_equal(grpc_reader_give(&reader, m, &out), ERR_OK);
    assert_span_equal(span_skip(buf_span(&out), GRPC_HEAD_BYTES + 40000), SPAN_LIT("\0\0\0\0\1x"));
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_come_whole),
        cmocka_unit_test(messages_come_in_any_two_pieces_and_byte_by_byte),
        cmocka_unit_test(a_message_is_rewritten_as_it_arrives),
        cmocka_unit_test(flags_and_lengths_are_checked),
        cmocka_unit_test(an_announced_length_takes_no_memory_before_it_arrives),
        cmocka_unit_test(a_large_message_is_given_without_a_copy),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    start();
    return failed;
}
