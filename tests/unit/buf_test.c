/* SPDX-License-Identifier: Apache-2.0 */
/* buf: written at the tail, consumed at the head, nothing lost in between. */
#include "support/support.h"

#include "base/buf.h"
#include "support/alloc_fail.h"

static void zeroed_memory_is_an_empty_buf(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_len(&b), 0);
    assert_int_equal(buf_span(&b).n, 0);
    buf_truncate(&b, 0);
    buf_consume(&b, 0);
    buf_trim(&b);
    assert_null(b.data);
    buf_deinit(&b);
    buf_deinit(&b);
}

static void bytes_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_append(&b, SPAN_LIT("a\0b")), ERR_OK);
    assert_int_equal(buf_append(&b, SPAN_NONE), ERR_OK);
    assert_int_equal(buf_append_byte(&b, 0xff), ERR_OK);
    assert_span_equal(buf_span(&b), SPAN_LIT("a\0b\xff"));
    buf_consume(&b, 2);
    assert_span_equal(buf_span(&b), SPAN_LIT("b\xff"));
    buf_truncate(&b, 1);
    assert_span_equal(buf_span(&b), SPAN_LIT("b"));
    buf_consume(&b, 1);
    assert_int_equal(b.head, 0); /* an emptied buf starts over */
    buf_deinit(&b);
}

static void printf_appends_text_without_its_nul(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_printf(&b, "%s", ""), ERR_OK);
    assert_int_equal(buf_len(&b), 0);
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "x"), ERR_OK);
    assert_int_equal(buf_printf(&b, "%0300d", 7), ERR_OK);
    assert_int_equal(buf_len(&b), 4 + 300);
    assert_span_equal(span_head(buf_span(&b), 5), SPAN_LIT("42-x0"));
    assert_int_equal(b.data[b.tail - 1], '7');
    buf_deinit(&b);
}

static void an_impossible_size_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_append(&b, SPAN_LIT("kept")), ERR_OK);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_NOMEM);
    assert_int_equal(buf_reserve(&b, SIZE_MAX / 2), ERR_NOMEM);
    assert_span_equal(buf_span(&b), SPAN_LIT("kept"));
    buf_deinit(&b);
}

static void memory_does_not_grow_while_a_queue_flows(void **state)
{
    (void)state;
    struct buf b = {0};
    uint8_t piece[100] = {0};
    for (unsigned i = 0; i < 10000; i++) {
        assert_int_equal(buf_append(&b, span_of(piece, sizeof piece)), ERR_OK);
        if (i % 2 == 1) { /* never emptied: 50 bytes stay */
            buf_consume(&b, i == 1 ? 150 : 200);
            assert_int_equal(buf_len(&b), 50);
        }
    }
    assert_true(b.cap <= 1024);
    buf_deinit(&b);
}

static void trim_gives_memory_back(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(buf_reserve(&b, 1 << 20), ERR_OK);
    assert_int_equal(buf_append(&b, SPAN_LIT("0123456789")), ERR_OK);
    buf_consume(&b, 3);
    buf_trim(&b);
    assert_true(b.cap < 4096);
    assert_span_equal(buf_span(&b), SPAN_LIT("3456789"));
    assert_int_equal(buf_append(&b, SPAN_LIT("x")), ERR_OK);
    assert_span_equal(buf_span(&b), SPAN_LIT("3456789x"));
    buf_consume(&b, buf_len(&b));
    buf_trim(&b);
    assert_null(b.data);
}

/* Against a plain array and two indexes, any order of calls. */
static void any_order_of_calls_keeps_the_bytes(void **state)
{
    (void)state;
    struct rng rng = support_rng("buf");
    static uint8_t model[4 << 20];
    size_t head = 0, tail = 0;
    struct buf b = {0};
    for (unsigned i = 0; i < 20000 && tail < sizeof model - 1000; i++) {
        uint8_t piece[700];
        size_t n = (size_t)rng_below(&rng, sizeof piece), len = tail - head;
        for (size_t k = 0; k < n; k++)
            piece[k] = (uint8_t)rng_next(&rng);
        switch (rng_below(&rng, 8)) {
        case 0:
        case 1:
        case 2:
            assert_int_equal(buf_append(&b, span_of(piece, n)), ERR_OK);
            memcpy(model + tail, piece, n);
            tail += n;
            break;
        case 3:
            assert_int_equal(buf_append_byte(&b, 'x'), ERR_OK);
            model[tail++] = 'x';
            break;
        case 4:
        case 5:
            n = (size_t)rng_below(&rng, len + 1);
            buf_consume(&b, n);
            head += n;
            break;
        case 6:
            n = len - (size_t)rng_below(&rng, len < 100 ? len + 1 : 100);
            buf_truncate(&b, n);
            tail = head + n;
            break;
        default:
            buf_trim(&b);
            break;
        }
        assert_span_equal(buf_span(&b), span_of(model + head, tail - head));
    }
    buf_deinit(&b);
}

static void a_failed_allocation_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    if (!alloc_fail_works)
        skip();
    struct buf out = {0};
    support_fill(&out);
    buf_consume(&out, 3);
    size_t before = buf_len(&out);
    for (unsigned i = 0; i < 4; i++) {
        alloc_fail_at = 1;
        enum err e = i == 0   ? buf_append(&out, SPAN_LIT("abcd"))
                     : i == 1 ? buf_append_byte(&out, 'a')
                     : i == 2 ? buf_printf(&out, "%d", 1234)
                              : buf_reserve(&out, 1000);
        assert_int_equal(e, ERR_NOMEM);
        assert_int_equal(buf_len(&out), before);
        assert_int_equal(buf_span(&out).p[before - 1], 'x');
    }
    /* A trim that gets no memory keeps what it has. */
    assert_int_equal(buf_reserve(&out, 1 << 16), ERR_OK);
    alloc_fail_at = 1;
    buf_trim(&out);
    assert_int_equal(alloc_fail_at, 0);
    assert_int_equal(buf_len(&out), before);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeroed_memory_is_an_empty_buf),
        cmocka_unit_test(bytes_come_out_as_they_went_in),
        cmocka_unit_test(printf_appends_text_without_its_nul),
        cmocka_unit_test(an_impossible_size_is_refused_and_changes_nothing),
        cmocka_unit_test(memory_does_not_grow_while_a_queue_flows),
        cmocka_unit_test(trim_gives_memory_back),
        cmocka_unit_test(any_order_of_calls_keeps_the_bytes),
        cmocka_unit_test(a_failed_allocation_leaves_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
