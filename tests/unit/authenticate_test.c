/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar's login at etcd: its messages, and what etcd's answers mean. */
#include "support/support.h"

#include "etcd/authenticate.h"
#include "limit.h"
#include "support/pb_build.h"

static void the_request_is_name_and_password(void **state)
{
    (void)state;
    struct buf out = {0};
    struct pb_build want = {0};
    pb_str(&want, 1, "side");
    pb_str(&want, 2, "p\xc3\xa4ss");
    assert_int_equal(authenticate_write(SPAN_LIT("side"), SPAN_LIT("p\xc3\xa4ss"), &out), ERR_OK);
    assert_span_equal(buf_span(&out), pb_built(&want));
    buf_deinit(&out);
}

static void only_a_token_that_fits_a_header_field_is_taken(void **state)
{
    (void)state;
    static char long_token[LIMIT_ETCD_TOKEN_BYTES + 2];
    memset(long_token, 't', sizeof long_token - 1);
    static const struct {
        const char *token;
        enum err error;
    } rows[] = {{"xYz.17", ERR_OK},
                {"", ERR_UPSTREAM_PROTOCOL},
                {"a b", ERR_UPSTREAM_PROTOCOL},
                {"a\r\nx: y", ERR_UPSTREAM_PROTOCOL},
                {"\x7f", ERR_UPSTREAM_PROTOCOL},
                {long_token, ERR_UPSTREAM_PROTOCOL},
                {long_token + 1, ERR_OK}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static struct pb_build m;
        struct span token = SPAN_NONE;
        m.n = 0;
        pb_str(&m, 1, "\x08\x01");
        pb_str(&m, 2, rows[i].token);
        assert_int_equal(authenticate_read(pb_built(&m), &token), rows[i].error);
        if (rows[i].error == ERR_OK)
            assert_span_equal(token, span_str(rows[i].token));
    }
    struct span token;
    assert_int_equal(authenticate_read(SPAN_LIT("\x12\x05tok"), &token), ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(authenticate_read(SPAN_NONE, &token), ERR_UPSTREAM_PROTOCOL);
}

static void refusals_that_will_not_change_are_told_from_those_that_may(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *text;
        enum authenticate_answer answer;
    } rows[] = {
        {9, "etcdserver: authentication is not enabled", AUTHENTICATE_OFF},
        {3, "etcdserver: authentication failed, invalid user ID or password", AUTHENTICATE_REFUSED},
        {9, "etcdserver: user name not found", AUTHENTICATE_REFUSED},
        {3, "etcdserver: revision of auth store is old", AUTHENTICATE_LATER},
        {14, "etcdserver: no leader", AUTHENTICATE_LATER},
        {-1, "", AUTHENTICATE_LATER},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(authenticate_refusal(rows[i].status, span_str(rows[i].text)),
                         rows[i].answer);
}

static void a_stale_token_is_known_by_status_and_text(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *text;
        bool had_token, is_stale;
    } rows[] = {
        {16, "etcdserver: invalid auth token", true, true},
        {3, "etcdserver: revision of auth store is old", true, true},
        {3, "etcdserver: user name is empty", false, true},
        {3, "etcdserver: user name is empty", true, false}, /* UserAdd without a name */
        {7, "etcdserver: permission denied", true, false},
        {14, "etcdserver: invalid auth token", true, false},
        {0, "", true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(
            authenticate_is_stale(rows[i].status, span_str(rows[i].text), rows[i].had_token),
            rows[i].is_stale);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_name_and_password),
        cmocka_unit_test(only_a_token_that_fits_a_header_field_is_taken),
        cmocka_unit_test(refusals_that_will_not_change_are_told_from_those_that_may),
        cmocka_unit_test(a_stale_token_is_known_by_status_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
