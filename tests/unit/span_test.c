/* SPDX-License-Identifier: Apache-2.0 */
/* span: bytes, NULs and emptiness included. */
#include "support/support.h"

#include "base/attr.h"

static void literals_keep_their_inner_nuls(void **state)
{
    (void)state;
    assert_int_equal(SPAN_LIT("").n, 0);
    assert_int_equal(SPAN_LIT("a\0b").n, 3);
    assert_int_equal(span_str("ab").n, 2);
    assert_int_equal(span_str(NULL).n, 0);
}

static void empty_spans_are_equal_whatever_they_point_at(void **state)
{
    (void)state;
    assert_true(span_eq(SPAN_NONE, SPAN_LIT("")));
    assert_true(span_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0b")));
    assert_false(span_eq(SPAN_LIT("a\0b"), SPAN_LIT("a\0c")));
    assert_false(span_eq(SPAN_LIT("a"), SPAN_LIT("ab")));
}

static void prefixes_heads_and_rests_are_parts(void **state)
{
    (void)state;
    assert_true(span_has_prefix(SPAN_NONE, SPAN_NONE));
    assert_true(span_has_prefix(SPAN_LIT("ab"), SPAN_NONE));
    assert_true(span_has_prefix(SPAN_LIT("ab"), SPAN_LIT("ab")));
    assert_false(span_has_prefix(SPAN_LIT("a"), SPAN_LIT("ab")));
    assert_false(span_has_prefix(SPAN_LIT("ba"), SPAN_LIT("a")));
    assert_span_equal(span_skip(SPAN_LIT("abc"), 1), SPAN_LIT("bc"));
    assert_span_equal(span_skip(SPAN_LIT("abc"), 3), SPAN_NONE);
    assert_null(span_skip(SPAN_NONE, 0).p);
    assert_span_equal(span_head(SPAN_LIT("abc"), 2), SPAN_LIT("ab"));
    assert_span_equal(span_head(SPAN_LIT("abc"), 9), SPAN_LIT("abc"));
}

static void order_is_that_of_unsigned_bytes_shorter_first(void **state)
{
    (void)state;
    static const char *const sorted[] = {"",  "\x01", "a",    "aa",   "ab",
                                         "b", "\x7f", "\x80", "\xff", "\xff\xff"};
    for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
        for (size_t k = 0; k < ARRAY_LEN(sorted); k++) {
            int r = span_cmp(span_str(sorted[i]), span_str(sorted[k]));
            assert_int_equal((r > 0) - (r < 0), (i > k) - (i < k));
        }
    assert_int_equal(span_cmp(SPAN_NONE, SPAN_NONE), 0);
    assert_true(span_cmp(SPAN_NONE, SPAN_LIT("\0")) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_keep_their_inner_nuls),
        cmocka_unit_test(empty_spans_are_equal_whatever_they_point_at),
        cmocka_unit_test(prefixes_heads_and_rests_are_parts),
        cmocka_unit_test(order_is_that_of_unsigned_bytes_shorter_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
