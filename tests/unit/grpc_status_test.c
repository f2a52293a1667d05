/* SPDX-License-Identifier: Apache-2.0 */
/* grpc-message, grpc-status and grpc-timeout as texts. */
#include "support/support.h"

#include "wire/grpc_status.h"

static void messages_are_percent_encoded(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        const char *want;
    } rows[] = {
        {SPAN_LIT(""), ""},
        {SPAN_LIT("etcdserver: key is not provided"), "etcdserver: key is not provided"},
        {SPAN_LIT("100%"), "100%25"},
        {SPAN_LIT("a\nb\0c\x7f"), "a%0Ab%00c%7F"},
        {SPAN_LIT("\xc3\xa9"), "%C3%A9"},
        {SPAN_LIT(" ~"), " ~"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf out = {0};
        assert_int_equal(grpc_message_encode(rows[i].text, &out), ERR_OK);
        assert_span_equal(buf_span(&out), span_str(rows[i].want));
        buf_deinit(&out);
    }
}

static void statuses_are_decimal(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want; /* -1: no status */
    } rows[] = {{"0", 0},   {"5", 5},   {"16", 16}, {"100", 100}, {"", -1},    {"05", -1},
                {"00", -1}, {"1a", -1}, {" 1", -1}, {"-1", -1},   {"1000", -1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int got = -1;
        assert_int_equal(grpc_status_parse(span_str(rows[i].text), &got), rows[i].want != -1);
        assert_int_equal(got, rows[i].want);
    }
}

static void timeouts_are_read_in_every_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint64_t ms;
    } rows[] = {
        {"1H", true, 3600000},
        {"2M", true, 120000},
        {"3S", true, 3000},
        {"99999999m", true, 99999999},
        {"1500u", true, 2},
        {"1n", true, 1},
        {"0m", true, 0},
        {"1000000n", true, 1},
        {"99999999H", true, UINT64_C(359999996400000)},
        {"", false, 0},
        {"1", false, 0},
        {"m", false, 0},
        {"1x", false, 0},
        {"100000000m", false, 0},
        {"-1m", false, 0},
        {"1.5S", false, 0},
        {" 1S", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t ms = 0;
        assert_int_equal(grpc_timeout_parse(span_str(rows[i].text), &ms), rows[i].ok);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void what_is_printed_reads_back_and_is_never_shorter(void **state)
{
    (void)state;
    static const uint64_t rows[] = {0, 1, 999, 99999999, 100000000, 100000001, 359999996400000};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[GRPC_TIMEOUT_BYTES];
        uint64_t ms;
        size_t n = grpc_timeout_print(rows[i], text);
        assert_int_equal(n, strlen(text));
        assert_true(grpc_timeout_parse(span_of(text, n), &ms));
        if (rows[i] < UINT64_C(99999999000))
            assert_true(ms >= rows[i] && ms - rows[i] < 1000);
    }
    char text[GRPC_TIMEOUT_BYTES];
    grpc_timeout_print(UINT64_MAX, text);
    assert_string_equal(text, "99999999S");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_percent_encoded),
        cmocka_unit_test(statuses_are_decimal),
        cmocka_unit_test(timeouts_are_read_in_every_unit),
        cmocka_unit_test(what_is_printed_reads_back_and_is_never_shorter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
