/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: the shape of a line, what is escaped, what is left out.
 *
 * Standard error is a pipe while a test logs; the clock of this program is clock_gettime() below,
 * so that no test waits for the rate limit's period.
 */
#include "support/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

static int64_t fake_ms;

/* In the place of libc's, for this program only. */
int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    (void)id;
    *ret_time = (struct timespec){.tv_sec = fake_ms / 1000, .tv_nsec = fake_ms % 1000 * 1000000};
    return 0;
}

static int saved_stderr, pipe_read;

static void capture(void)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    pipe_read = ends[0];
}

/* What was logged since capture(), at most size - 1 bytes. */
static void captured(char *text, size_t size)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    size_t n = 0;
    for (ssize_t r = 1; r > 0 && n<size - 1; n += r> 0 ? (size_t)r : 0)
        r = read(pipe_read, text + n, size - 1 - n);
    text[n] = '\0';
    close(pipe_read);
}

static int at_a_fixed_time(void **state)
{
    (void)state;
    fake_ms += 3600 * 1000; /* each test starts with a fresh rate limit */
    log_set(LOG_INFO, LOG_LOGFMT);
    return 0;
}

static void a_logfmt_line_has_time_level_message_and_fields(void **state)
{
    (void)state;
    char text[512];
    fake_ms = INT64_C(1795543200123);
    capture();
    log_event(LOG_WARN, "upstream lost", "plane", "etcd", "peer", "127.0.0.1:2379", NULL);
    captured(text, sizeof text);
    assert_string_equal(text, "time=2026-11-24T18:00:00.123Z level=warn msg=\"upstream lost\" "
                              "plane=etcd peer=127.0.0.1:2379\n");
}

static void a_json_line_is_one_object(void **state)
{
    (void)state;
    char text[512];
    fake_ms = INT64_C(1795543200007);
    log_set(LOG_INFO, LOG_JSON);
    capture();
    log_event(LOG_ERROR, "json", "plane", "etcd", "empty", "", NULL);
    captured(text, sizeof text);
    assert_string_equal(text, "{\"time\":\"2026-11-24T18:00:00.007Z\",\"level\":\"error\","
                              "\"msg\":\"json\",\"plane\":\"etcd\",\"empty\":\"\"}\n");
}

static void values_are_escaped_so_that_a_line_stays_a_line(void **state)
{
    (void)state;
    static const struct {
        const char *value, *logfmt, *json;
    } table[] = {
        {"plain", "f=plain\n", "\"f\":\"plain\"}\n"},
        {"", "f=\"\"\n", "\"f\":\"\"}\n"},
        {NULL, "f=\"\"\n", "\"f\":\"\"}\n"},
        {"a b", "f=\"a b\"\n", "\"f\":\"a b\"}\n"},
        {"a=b", "f=\"a=b\"\n", "\"f\":\"a=b\"}\n"},
        {"a\"b\\", "f=\"a\\\"b\\\\\"\n", "\"f\":\"a\\\"b\\\\\"}\n"},
        {"a\nlevel=error\r\t", "f=\"a\\u000alevel=error\\u000d\\u0009\"\n",
         "\"f\":\"a\\u000alevel=error\\u000d\\u0009\"}\n"},
        {"z\xc3\xbc \xf0\x9f\x98\x80", "f=\"z\xc3\xbc \xf0\x9f\x98\x80\"\n",
         "\"f\":\"z\xc3\xbc \xf0\x9f\x98\x80\"}\n"},
        {"\xff\xc3(", "f=\"\\u00ff\\u00c3(\"\n", "\"f\":\"\\u00ff\\u00c3(\"}\n"},
        {"\xed\xa0\x80\xc0\x80\xf4\x90\xe2\x82", /* surrogate, overlong, too high, cut */
         "f=\"\\u00ed\\u00a0\\u0080\\u00c0\\u0080\\u00f4\\u0090\\u00e2\\u0082\"\n",
         "\"f\":\"\\u00ed\\u00a0\\u0080\\u00c0\\u0080\\u00f4\\u0090\\u00e2\\u0082\"}\n"},
        {"\x7f\x1b[31m", "f=\"\\u007f\\u001b[31m\"\n", "\"f\":\"\\u007f\\u001b[31m\"}\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[512];
        fake_ms += LOG_PERIOD_MS;
        capture();
        log_event(LOG_INFO, "escaped", "f", table[i].value, NULL);
        captured(text, sizeof text);
        assert_string_equal(strstr(text, "f="), table[i].logfmt);

        log_set(LOG_INFO, LOG_JSON);
        capture();
        log_event(LOG_INFO, "escaped json", "f", table[i].value, NULL);
        captured(text, sizeof text);
        assert_string_equal(strstr(text, "\"f\""), table[i].json);
        log_set(LOG_INFO, LOG_LOGFMT);
    }
}

static void levels_above_the_chosen_one_are_silent(void **state)
{
    (void)state;
    char text[1024];
    for (enum log_level chosen = LOG_ERROR; chosen <= LOG_DEBUG; chosen++) {
        log_set(chosen, LOG_LOGFMT);
        fake_ms += LOG_PERIOD_MS;
        capture();
        log_event(LOG_ERROR, "at error", NULL);
        log_event(LOG_WARN, "at warn", NULL);
        log_event(LOG_INFO, "at info", NULL);
        log_event(LOG_DEBUG, "at debug", NULL);
        captured(text, sizeof text);
        static const char *const lines[] = {"at error", "at warn", "at info", "at debug"};
        for (enum log_level l = LOG_ERROR; l <= LOG_DEBUG; l++) {
            assert_int_equal(strstr(text, lines[l]) != NULL, l <= chosen);
            assert_int_equal(log_is_on(l), l <= chosen);
        }
    }
}

static void level_names_are_parsed_exactly(void **state)
{
    (void)state;
    static const char *const names[] = {"error", "warn", "info", "debug"};
    enum log_level level = LOG_ERROR;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_true(log_level_parse(names[i], &level));
        assert_int_equal(level, i);
    }
    assert_false(log_level_parse("", &level));
    assert_false(log_level_parse("Warn", &level));
    assert_false(log_level_parse("warning", &level));
    assert_int_equal(level, LOG_DEBUG);
}

static unsigned lines_in(const char *text)
{
    unsigned n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void a_message_is_limited_and_says_what_was_left_out(void **state)
{
    (void)state;
    static const char flood[] = "flood";
    char text[8192];
    capture();
    for (unsigned i = 0; i < LOG_BURST + 7; i++)
        log_event(LOG_INFO, flood, NULL);
    captured(text, sizeof text);
    assert_int_equal(lines_in(text), LOG_BURST);
    assert_null(strstr(text, "left_out"));

    fake_ms += LOG_PERIOD_MS - 1;
    capture();
    log_event(LOG_INFO, flood, NULL);
    captured(text, sizeof text);
    assert_string_equal(text, "");

    fake_ms += 1;
    capture();
    log_event(LOG_INFO, flood, NULL);
    log_event(LOG_INFO, flood, NULL);
    captured(text, sizeof text);
    assert_int_equal(lines_in(text), 2);
    assert_non_null(strstr(text, "msg=flood left_out=8\n"));
}

static void a_flood_of_one_message_does_not_silence_another(void **state)
{
    (void)state;
    static const char messages[64] = "first\0..........................second";
    char text[8192];
    capture();
    for (unsigned i = 0; i < 3 * LOG_BURST; i++)
        log_event(LOG_INFO, messages, NULL);
    log_event(LOG_INFO, messages + 32, NULL);
    captured(text, sizeof text);
    assert_non_null(strstr(text, "msg=second\n"));
}

static void a_long_value_is_cut_and_the_line_still_ends(void **state)
{
    (void)state;
    static char value[10000], text[20000];
    memset(value, 'v', sizeof value - 1);
    capture();
    log_event(LOG_INFO, "long", "f", value, "after", "x", NULL);
    captured(text, sizeof text);
    assert_int_equal(lines_in(text), 1);
    assert_true(strlen(text) <= 2048);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

/* Wherever the cut falls, the last string and the object are closed and no escape is halved. */
static void a_cut_json_line_is_still_one_object(void **state)
{
    (void)state;
    static char value[4096], text[20000];
    log_set(LOG_INFO, LOG_JSON);
    for (size_t n = 1800; n < 2100; n++) {
        fake_ms += LOG_PERIOD_MS;
        memset(value, 'v', n);
        memset(value + n, '\x01', sizeof value - 1 - n);
        value[n + 20] = '\0';
        capture();
        log_event(LOG_INFO, "cut", "f", value, "after", "x", NULL);
        captured(text, sizeof text);
        size_t length = strlen(text);
        assert_true(length <= 2048);
        assert_string_equal(text + length - 3, "\"}\n");
        const char *v = strstr(text, "\"f\":\"");
        if (v == NULL)
            continue;
        v += 5 + strspn(v + 5, "v");
        while (strncmp(v, "\\u0001", 6) == 0)
            v += 6;
        assert_true(strcmp(v, "\"}\n") == 0 || strcmp(v, "\",\"after\":\"x\"}\n") == 0 ||
                    strcmp(v, "\",\"after\":\"\"}\n") == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_logfmt_line_has_time_level_message_and_fields, at_a_fixed_time),
        cmocka_unit_test_setup(a_json_line_is_one_object, at_a_fixed_time),
        cmocka_unit_test_setup(values_are_escaped_so_that_a_line_stays_a_line, at_a_fixed_time),
        cmocka_unit_test_setup(levels_above_the_chosen_one_are_silent, at_a_fixed_time),
        cmocka_unit_test_setup(level_names_are_parsed_exactly, at_a_fixed_time),
        cmocka_unit_test_setup(a_message_is_limited_and_says_what_was_left_out, at_a_fixed_time),
        cmocka_unit_test_setup(a_flood_of_one_message_does_not_silence_another, at_a_fixed_time),
        cmocka_unit_test_setup(a_cut_json_line_is_still_one_object, at_a_fixed_time),
        cmocka_unit_test_setup(a_long_value_is_cut_and_the_line_still_ends, at_a_fixed_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
