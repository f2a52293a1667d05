/* SPDX-License-Identifier: Apache-2.0 */
#include "io/h2_request.h"

#include "base/attr.h"
#include "support/support.h"

/* name=value fields, separated by '|'. */
static struct h2_request read_block(const char *fields)
{
    struct h2_request r = {0};
    struct span rest = span_str(fields);
    while (rest.p != NULL && rest.n != 0) {
        const uint8_t *bar = memchr(rest.p, '|', rest.n);
        struct span field = bar == NULL ? rest : span_of(rest.p, (size_t)(bar - rest.p));
        rest = bar == NULL ? SPAN_NONE : span_skip(rest, field.n + 1);
        const uint8_t *equals = memchr(field.p, '=', field.n);
        assert_non_null(equals);
        size_t name_n = (size_t)(equals - field.p);
        h2_request_field(&r, span_of(field.p, name_n), span_skip(field, name_n + 1));
    }
    return r;
}

static bool is_good(const char *fields)
{
    struct h2_request r = read_block(fields);
    return h2_request_is_good(&r);
}

#define CALL ":method=POST|:scheme=http|:path=/a.B/C"

static void requests_of_real_clients_are_good(void **state)
{
    (void)state;
    assert_true(is_good(CALL));
    assert_true(is_good(CALL "|:authority=127.0.0.1:2379|te=trailers|user-agent=x"));
    assert_true(is_good(CALL "|:authority=http://127.0.0.1:2379")); /* etcdctl 3.4 */
    assert_true(is_good(CALL "|x-bin=AAEC|empty="));
}

static void what_http2_forbids_is_bad(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        ":scheme=http|:path=/a.B/C",
        ":method=POST|:path=/a.B/C",
        ":method=POST|:scheme=http",
        ":method=POST|:scheme=http|:path=",
        CALL "|:path=/a.B/D",
        CALL "|:other=x",
        CALL "|:protocol=x",
        ":method=POST|a=b|:scheme=http|:path=/a.B/C",
        CALL "|Upper=x",
        CALL "|sp ace=x",
        CALL "|=x",
        CALL "|a=x\r\ny",
        CALL "|a=x\ny",
        CALL "|connection=close",
        CALL "|transfer-encoding=chunked",
        CALL "|upgrade=h2c",
        CALL "|keep-alive=1",
        CALL "|proxy-connection=close",
        CALL "|te=gzip",
        CALL "|content-length=",
        CALL "|content-length=-1",
        CALL "|content-length=0x1",
        CALL "|content-length=1|content-length=2",
        CALL "|content-length=99999999999",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (is_good(rows[i]))
            fail_msg("taken: %s", rows[i]);
    struct h2_request r = {0};
    h2_request_field(&r, SPAN_LIT(":method"), SPAN_LIT("POST"));
    h2_request_field(&r, SPAN_LIT(":scheme"), SPAN_LIT("http"));
    h2_request_field(&r, SPAN_LIT(":path"), SPAN_LIT("/a.B/C"));
    assert_true(h2_request_is_good(&r));
    h2_request_field(&r, SPAN_LIT("a"), SPAN_LIT("x\0y"));
    assert_false(h2_request_is_good(&r));
}

static void a_length_is_read(void **state)
{
    (void)state;
    struct h2_request r = read_block(CALL "|content-length=2097157|content-length=2097157");
    assert_true(h2_request_is_good(&r));
    assert_true(r.has_length);
    assert_int_equal(r.length, 2097157);
    r = read_block(CALL);
    assert_false(r.has_length);
}

static void trailers_have_no_pseudo_fields(void **state)
{
    (void)state;
    struct h2_request r = read_block("a=b");
    assert_true(h2_request_is_good_trailer(&r));
    r = read_block(":path=/a.B/C");
    assert_false(h2_request_is_good_trailer(&r));
    r = read_block("a=b|connection=close");
    assert_false(h2_request_is_good_trailer(&r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_of_real_clients_are_good),
        cmocka_unit_test(what_http2_forbids_is_bad),
        cmocka_unit_test(a_length_is_read),
        cmocka_unit_test(trailers_have_no_pseudo_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
