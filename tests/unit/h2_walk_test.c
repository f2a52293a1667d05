/* SPDX-License-Identifier: Apache-2.0 */
/* Frame heads found in any pieces, after a preface. */
#include "support/support.h"

#include "wire/h2_walk.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
static const char bytes[] = PREFACE    /* */
    "\0\0\0\4\0\0\0\0\0"               /* SETTINGS, empty */
    "\0\0\3\0\1\0\0\0\1abc"            /* DATA */
    "\0\0\5\2\0\0\0\0\7\x80\0\0\7\x10" /* PRIORITY on itself, exclusive */
    "\0\0\3\2\0\0\0\0\5xyz"            /* PRIORITY that is too short */
    "\0\0\4\3\0\x80\0\0\5\0\0\0\x8"    /* RST_STREAM, with the reserved bit */
    "\0\0\5\2\0\0\0\0\3\0\0\0\0\x10"   /* PRIORITY */
    "\0\1\0\1\4\x7f\xff\xff\xff";      /* HEADERS of 256 bytes, which follow */
static const struct h2_walked want[] = {
    {4, 0, 0}, {0, 1, 0}, {2, 7, 7}, {2, 5, 0}, {3, 5, 0}, {2, 3, 0}, {1, INT32_MAX, 0},
};

static void walk(size_t first, size_t piece)
{
    struct h2_walk w = {.skip = sizeof PREFACE - 1};
    struct span all = span_of(bytes, sizeof bytes - 1);
    size_t n = 0;
    for (size_t at = 0; at < all.n;) {
        struct span in = span_head(span_skip(all, at), at == 0 ? first : piece);
        struct h2_walked got;
        at += in.n;
        while (h2_walk_next(&w, &in, &got)) {
            assert_true(n < ARRAY_LEN(want));
            assert_int_equal(got.type, want[n].type);
            assert_int_equal(got.stream, want[n].stream);
            assert_int_equal(got.dependency, want[n].dependency);
            n++;
        }
        assert_int_equal(in.n, 0);
    }
    assert_int_equal(n, ARRAY_LEN(want));
    assert_int_equal(w.skip, 256);
}

static void heads_are_found_however_the_bytes_come(void **state)
{
    (void)state;
    for (size_t first = 1; first < sizeof bytes; first++)
        for (size_t piece = 1; piece < sizeof bytes; piece++)
            walk(first, piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_are_found_however_the_bytes_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
