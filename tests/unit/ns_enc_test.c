/* SPDX-License-Identifier: Apache-2.0 */
/* ns_enc: one spelling of a segment, and only that one is read back (design.md 2.3). */
#include "support/support.h"

#include "policy/ns_enc.h"

#define S63 "abcdefghijklmnopqrstuvwxyz0123456789-_ABCDEFGHIJKLMNOPQRSTUVWXY"

static void only_letters_digits_underscore_and_hyphen_stay(void **state)
{
    (void)state;
    static const struct {
        struct span segment;
        const char *encoded;
    } table[] = {
        {{(const uint8_t *)"llama-8b", 8}, "llama-8b"},
        {{(const uint8_t *)"a.b", 3}, "a%2Eb"},
        {{(const uint8_t *)"a..b", 4}, "a%2E%2Eb"},
        {{(const uint8_t *)"_-09azAZ", 8}, "_-09azAZ"},
        {{(const uint8_t *)"a/b", 3}, "a%2Fb"},
        {{(const uint8_t *)"%", 1}, "%25"},
        {{(const uint8_t *)"~", 1}, "%7E"},
        {{(const uint8_t *)"\0\xff*> ", 5}, "%00%FF%2A%3E%20"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char out[NS_ENC_SEGMENT_BYTES_MAX];
        size_t n = ns_enc_segment(table[i].segment, out);
        assert_span_equal(span_of(out, n), span_str(table[i].encoded));
    }
}

static void legal_segments_come_back(void **state)
{
    (void)state;
    static const char *const table[] = {"a", "a.b", "a..b", "default", "_", "-", S63};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char out[NS_ENC_SEGMENT_BYTES_MAX], back[NS_SEGMENT_BYTES_MAX];
        size_t n = ns_enc_segment(span_str(table[i]), out), m = 0;
        assert_int_equal(ns_enc_decode(span_of(out, n), back, &m), ERR_OK);
        assert_span_equal(span_of(back, m), span_str(table[i]));
    }
}

static void any_other_spelling_is_foreign(void **state)
{
    (void)state;
    static const char *const table[] = {
        "",      "~",           "a~",    "a.b",  "a%2eb", "a%2",   "a%",
        "%",     "%2E",         "%2Ea",  "a%2E", "a%41",  "%61",   "a%2Fb",
        "a%00b", "a%5F",        "a%2Db", "a/b",  "a b",   "a%%2E", "a%2E2%",
        "a%G0b", "caf\xc3\xa9", "a*",    ">",    S63 "Z", "a%25b", S63 "%2Ea",
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char back[NS_SEGMENT_BYTES_MAX];
        size_t m = 77;
        if (ns_enc_decode(span_str(table[i]), back, &m) != ERR_FOREIGN)
            fail_msg("%s was decoded", table[i]);
        assert_int_equal(m, 77);
    }
}

static void a_path_is_written_with_a_slash_before_each_segment(void **state)
{
    (void)state;
    static const struct {
        const char *path, *encoded;
    } table[] = {{"", ""}, {"a", "/a"}, {"a/b.c/D", "/a/b%2Ec/D"}, {"a/b/c/d", "/a/b/c/d"}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct ns_path path;
        char out[NS_ENC_PATH_BYTES_MAX];
        assert_int_equal(ns_path_parse(span_str(table[i].path), '/', &path, NULL), ERR_OK);
        assert_span_equal(span_of(out, ns_enc_path(&path, out)), span_str(table[i].encoded));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_letters_digits_underscore_and_hyphen_stay),
        cmocka_unit_test(legal_segments_come_back),
        cmocka_unit_test(any_other_spelling_is_foreign),
        cmocka_unit_test(a_path_is_written_with_a_slash_before_each_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
