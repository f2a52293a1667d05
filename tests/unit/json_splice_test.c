/* SPDX-License-Identifier: Apache-2.0 */
#include "support/support.h"

#include "base/attr.h"
#include "wire/json_splice.h"

/* Members as "name=value;", or ERR_SYNTAX. */
static enum err list(struct span in, struct buf *out)
{
    struct json_walk w;
    struct json_member m;
    bool more = true;
    enum err e = json_walk_begin(&w, in);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        assert_true(m.value.p >= m.raw.p && m.value.p + m.value.n == m.raw.p + m.raw.n);
        e = buf_printf(out, "%.*s=%.*s;", (int)m.name_bytes, m.name, (int)m.value.n,
                       (const char *)m.value.p);
    }
    return e;
}

static void members_are_reported_with_their_bytes(void **state)
{
    (void)state;
    static const struct {
        struct span in;
        const char *want;
    } rows[] = {
        {SPAN_LIT("{}"), ""},
        {SPAN_LIT(" \t\r\n{ } \n"), ""},
        {SPAN_LIT("{\"a\":1}"), "a=1;"},
        {SPAN_LIT("{\"a\" : 1.50e+09 , \"b\":[1,{\"c\":[]}, {}],\"a\":null}"),
         "a=1.50e+09;b=[1,{\"c\":[]}, {}];a=null;"},
        {SPAN_LIT("{\"a\\\"\\u0062\":\"}\\\\\"}"), "a\"b=\"}\\\\\";"},
        {SPAN_LIT("{\"\":true,\"\\u00e9\":false,\"\xc3\xa9\":-0}"), "=true;=false;\xc3\xa9=-0;"},
        {SPAN_LIT("{\"0123456789012345678901234567890123456789012345678901234567890123\":1,"
                  "\"01234567890123456789012345678901234567890123456789012345678901234\":2}"),
         "0123456789012345678901234567890123456789012345678901234567890123=1;=2;"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf got = {0};
        assert_int_equal(list(rows[i].in, &got), ERR_OK);
        assert_span_equal(buf_span(&got), span_str(rows[i].want));
        buf_deinit(&got);
    }
}

static void what_is_not_json_is_refused(void **state)
{
    (void)state;
    static const struct span rows[] = {
        SPAN_LIT(""),
        SPAN_LIT(" "),
        SPAN_LIT("{"),
        SPAN_LIT("[]"),
        SPAN_LIT("null"),
        SPAN_LIT("{}x"),
        SPAN_LIT("{}{}"),
        SPAN_LIT("{,}"),
        SPAN_LIT("{\"a\"}"),
        SPAN_LIT("{\"a\":}"),
        SPAN_LIT("{\"a\":1,}"),
        SPAN_LIT("{\"a\":1 \"b\":2}"),
        SPAN_LIT("{a:1}"),
        SPAN_LIT("{\"a\":01}"),
        SPAN_LIT("{\"a\":+1}"),
        SPAN_LIT("{\"a\":.5}"),
        SPAN_LIT("{\"a\":1.}"),
        SPAN_LIT("{\"a\":1e}"),
        SPAN_LIT("{\"a\":-}"),
        SPAN_LIT("{\"a\":0x1}"),
        SPAN_LIT("{\"a\":tru}"),
        SPAN_LIT("{\"a\":truely}"),
        SPAN_LIT("{\"a\":True}"),
        SPAN_LIT("{\"a\":\"x}"),
        SPAN_LIT("{\"a\":\"\\x\"}"),
        SPAN_LIT("{\"a\":\"\\u12g4\"}"),
        SPAN_LIT("{\"a\":\"\\u123\"}"),
        SPAN_LIT("{\"a\":\"\\"),
        SPAN_LIT("{\"a\":\"\n\"}"),
        SPAN_LIT("{\"a\":\"\\\0\"}"),
        SPAN_LIT("{\"a\":[1,]}"),
        SPAN_LIT("{\"a\":[1}"),
        SPAN_LIT("{\"a\":{\"b\":1]}"),
        SPAN_LIT("{\"a\":{1:2}}"),
        SPAN_LIT("{\"a\":[1 2]}"),
        SPAN_LIT("{\"a\":1\0}"),
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf got = {0};
        assert_int_equal(list(rows[i], &got), ERR_SYNTAX);
        buf_deinit(&got);
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    for (unsigned depth = 1; depth < 100; depth++) {
        struct buf in = {0}, got = {0};
        assert_int_equal(buf_append(&in, SPAN_LIT("{\"a\":")), ERR_OK);
        for (unsigned i = 0; i < depth; i++)
            assert_int_equal(buf_append(&in, i % 2 ? SPAN_LIT("{\"b\":") : SPAN_LIT("[1,")),
                             ERR_OK);
        assert_int_equal(buf_append_byte(&in, '0'), ERR_OK);
        for (unsigned i = depth; i-- > 0;)
            assert_int_equal(buf_append_byte(&in, i % 2 ? '}' : ']'), ERR_OK);
        assert_int_equal(buf_append_byte(&in, '}'), ERR_OK);
        assert_int_equal(list(buf_span(&in), &got), depth <= JSON_DEPTH_MAX ? ERR_OK : ERR_SYNTAX);
        buf_deinit(&in);
        buf_deinit(&got);
    }
}

static void names_fold_ascii_case(void **state)
{
    (void)state;
    struct json_member m = {.name = "Connect_URLs", .name_bytes = 12};
    assert_true(json_name_is(&m, "connect_urls"));
    assert_false(json_name_is(&m, "connect_url"));
    assert_true(json_name_starts(&m, "connect"));
    assert_true(json_name_contains(&m, "url"));
    assert_false(json_name_contains(&m, "urlss"));
}

static void numbers_are_read_within_their_bound(void **state)
{
    (void)state;
    uint32_t n = 7;
    assert_true(json_get_uint(SPAN_LIT("1048576"), UINT32_MAX, &n));
    assert_int_equal(n, 1048576);
    assert_true(json_get_uint(SPAN_LIT("4294967295"), UINT32_MAX, &n));
    assert_false(json_get_uint(SPAN_LIT("4294967296"), UINT32_MAX, &n));
    assert_false(json_get_uint(SPAN_LIT("99999999999999999999999"), UINT32_MAX, &n));
    assert_false(json_get_uint(SPAN_LIT("-1"), UINT32_MAX, &n));
    assert_false(json_get_uint(SPAN_LIT("1e3"), UINT32_MAX, &n));
    assert_false(json_get_uint(SPAN_LIT(""), UINT32_MAX, &n));
}

static void an_object_is_put_together(void **state)
{
    (void)state;
    struct buf out = {0};
    struct json_out o;
    assert_int_equal(json_out_open(&o, &out), ERR_OK);
    assert_int_equal(json_out_raw(&o, SPAN_LIT("\"a\" : 1.50")), ERR_OK);
    assert_int_equal(json_out_string(&o, "s", SPAN_LIT("\"\\\n\x7f\xff")), ERR_OK);
    assert_int_equal(json_out_uint(&o, "n", 7), ERR_OK);
    assert_int_equal(json_out_close(&o), ERR_OK);
    assert_span_equal(buf_span(&out),
                      SPAN_LIT("{\"a\" : 1.50,\"s\":\"\\\"\\\\\\u000a\x7f\xff\",\"n\":7}"));
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_reported_with_their_bytes),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(names_fold_ascii_case),
        cmocka_unit_test(numbers_are_read_within_their_bound),
        cmocka_unit_test(an_object_is_put_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
