/* SPDX-License-Identifier: Apache-2.0 */
/* http1: what is taken, what is refused and how, whole and byte by byte. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/attr.h"
#include "limit.h"
#include "wire/http1.h"

#define HOST "Host: localhost:9090\r\n"

static enum http1_verdict feed_bytes(struct http1_parser *p, struct span in,
                                     struct http1_request *ret_request)
{
    enum http1_verdict verdict = HTTP1_MORE;
    for (size_t i = 0; i < in.n && verdict == HTTP1_MORE; i++)
        verdict = http1_feed(p, span_head(in, i + 1), ret_request);
    return verdict;
}

static const struct {
    const char *text, *path, *query;
    enum http1_method method;
    bool keep_alive;
} taken[] = {
    {"GET /readyz HTTP/1.1\r\n" HOST "\r\n", "/readyz", "", HTTP1_GET, true},
    {"HEAD / HTTP/1.1\r\n" HOST "\r\n", "/", "", HTTP1_HEAD, true},
    {"GET /a?b=c?d HTTP/1.1\r\n" HOST "\r\n", "/a", "b=c?d", HTTP1_GET, true},
    {"GET /? HTTP/1.1\r\n" HOST "\r\n", "/", "", HTTP1_GET, true},
    {"get / HTTP/1.1\r\n" HOST "\r\n", "/", "", HTTP1_OTHER, true},
    {"GETX / HTTP/1.1\r\n" HOST "\r\n", "/", "", HTTP1_OTHER, true},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "/", "", HTTP1_GET, true},
    {"GET / HTTP/1.1\r\nhOsT:[::1]:80 \t\r\n\r\n", "/", "", HTTP1_GET, true},
    {"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "/", "", HTTP1_GET, false},
    {"GET / HTTP/1.1\r\n" HOST "Connection: x ,, CLOSE\r\n\r\n", "/", "", HTTP1_GET, false},
    {"GET / HTTP/1.1\r\n" HOST "X-Any: \xc3\xa4\tb\r\n\r\n", "/", "", HTTP1_GET, true},
    {"GET / HTTP/1.0\r\n\r\n", "/", "", HTTP1_GET, false},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", "", HTTP1_GET, true},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "/", "", HTTP1_GET, false},
    {"GET / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "/", "", HTTP1_GET, true},
    {"POST / HTTP/1.1\r\n" HOST "Content-Length: 7\r\n\r\n", "/", "", HTTP1_POST, false},
    {"GET / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", "/", "",
     HTTP1_GET, false},
};

static void requests_are_taken_with_their_path_and_their_wish_to_stay(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        for (int whole = 0; whole < 2; whole++) {
            struct http1_parser p = {0};
            struct http1_request r = {0};
            char text[512];
            snprintf(text, sizeof text, "%sGET /next", taken[i].text);
            enum http1_verdict v = whole ? http1_feed(&p, span_str(text), &r)
                                         : feed_bytes(&p, span_str(text), &r);
            if (v != HTTP1_DONE)
                fail_msg("%s: %s", taken[i].text, p.refused_why);
            assert_int_equal(r.head_bytes, strlen(taken[i].text));
            assert_int_equal(r.method, taken[i].method);
            assert_span_equal(r.path, span_str(taken[i].path));
            assert_span_equal(r.query, span_str(taken[i].query));
            assert_int_equal(r.keep_alive, taken[i].keep_alive);
        }
    }
}

static const struct {
    struct span text;
    int status;
} refused[] = {
    /* not HTTP at all */
    {SPAN_LIT("\x16\x03\x01"), 400},
    {SPAN_LIT("\r\nGET / HTTP/1.1\r\n"), 400},
    {SPAN_LIT(" GET / HTTP/1.1\r\n"), 400},
    {SPAN_LIT("PRI * HTTP/2.0\r\n"), 505},
    {SPAN_LIT("CONNECT {\"verbose\":false}\r\n"), 400},
    /* request line */
    {SPAN_LIT("GET\r\n"), 400},
    {SPAN_LIT("GET /\r\n"), 400},
    {SPAN_LIT("GET  / HTTP/1.1\r\n"), 400},
    {SPAN_LIT("GET /  HTTP/1.1\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1 \r\n"), 400},
    {SPAN_LIT("GET\t/\tHTTP/1.1\r\n"), 400},
    {SPAN_LIT("GE(T / HTTP/1.1\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.10\r\n"), 400},
    {SPAN_LIT("GET / http/1.1\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1\r\n"), 400},
    {SPAN_LIT("GET / HTTP/0.9\r\n"), 505},
    {SPAN_LIT("GET / HTTP/1.2\r\n"), 505},
    {SPAN_LIT("GET / HTTP/2.0\r\n"), 505},
    {SPAN_LIT("GET * HTTP/1.1\r\n"), 400},
    {SPAN_LIT("GET x HTTP/1.1\r\n"), 400},
    {SPAN_LIT("GET http://a/ HTTP/1.1\r\n"), 400},
    {SPAN_LIT("GET /#a HTTP/1.1\r\n"), 400},
    {SPAN_LIT("GET /\xc3\xa4 HTTP/1.1\r\n"), 400},
    {SPAN_LIT("GET /\0 HTTP/1.1\r\n"), 400},
    /* line ends */
    {SPAN_LIT("GET / HTTP/1.1\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\rHost"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "A: b\nC: d\r\n"), 400},
    /* header lines */
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n\tA: b\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nA\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n: b\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nHost : a\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nHo st: a\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nH\xc3\xa4: a\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nA: \x01\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nA: \x7f\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nA: \0\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nConnection: a b\r\n"), 400},
    /* who is meant */
    {SPAN_LIT("GET / HTTP/1.1\r\n\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST HOST), 400},
    {SPAN_LIT("GET / HTTP/1.0\r\n" HOST HOST), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nHost: a/b\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\nHost: a, b\r\n"), 400},
    /* where the body ends */
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\ncontent-length: 1\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Content-Length:\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"), 501},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n"), 501},
    {SPAN_LIT("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n"),
     400},
    {SPAN_LIT("GET / HTTP/1.1\r\n" HOST "Content-Length: 4\r\nTransfer-Encoding: xchunked\r\n\r\n"),
     400},
    {SPAN_LIT("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n"), 417},
};

static void malformed_requests_are_refused_at_the_same_byte_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct http1_parser whole = {0}, bytes = {0};
        struct http1_request r = {.head_bytes = 77};
        if (http1_feed(&whole, refused[i].text, &r) != HTTP1_REFUSED)
            fail_msg("taken: %.*s", (int)refused[i].text.n, (const char *)refused[i].text.p);
        if (whole.refused_status != refused[i].status)
            fail_msg("%s: %d: %s", (const char *)refused[i].text.p, whole.refused_status,
                     whole.refused_why);
        assert_int_equal(feed_bytes(&bytes, refused[i].text, &r), HTTP1_REFUSED);
        assert_int_equal(bytes.scanned, whole.scanned);
        assert_ptr_equal(bytes.refused_why, whole.refused_why);
        assert_int_equal(r.head_bytes, 77);
    }
}

static void a_head_ends_at_its_limit(void **state)
{
    (void)state;
    const struct span start = SPAN_LIT("GET / HTTP/1.1\r\n" HOST "A: ");
    static uint8_t text[LIMIT_HTTP1_HEAD_BYTES + 8];
    struct http1_request r;
    for (size_t n = LIMIT_HTTP1_HEAD_BYTES - 2; n < LIMIT_HTTP1_HEAD_BYTES + 3; n++) {
        memset(text, 'a', sizeof text);
        for (size_t i = 0; i < start.n; i++)
            text[i] = start.p[i];
        memcpy(text + n - 4, "\r\n\r\n", 4);
        struct http1_parser p = {0};
        enum http1_verdict v = http1_feed(&p, span_of(text, n), &r);
        assert_int_equal(v, n <= LIMIT_HTTP1_HEAD_BYTES ? HTTP1_DONE : HTTP1_REFUSED);
        assert_int_equal(p.refused_status, n <= LIMIT_HTTP1_HEAD_BYTES ? 0 : 431);
    }
    memset(text, 'a', sizeof text);
    struct http1_parser p = {0};
    assert_int_equal(http1_feed(&p, span_of(text, sizeof text), &r), HTTP1_REFUSED);
    assert_int_equal(p.refused_status, 414);
}

static void every_beginning_of_a_good_request_waits_for_more(void **state)
{
    (void)state;
    struct span in = span_str(taken[9].text);
    for (size_t n = 0; n < in.n; n++) {
        struct http1_parser p = {0};
        struct http1_request r;
        assert_int_equal(http1_feed(&p, span_head(in, n), &r), HTTP1_MORE);
    }
}

static void answers_carry_length_connection_and_a_body_unless_it_was_a_head(void **state)
{
    (void)state;
    struct buf out = {0};
    struct http1_response r = {.status = 200, .body = SPAN_LIT("ok\n"), .keep_alive = true};
    assert_int_equal(http1_write(&out, &r), ERR_OK);
    assert_span_equal(buf_span(&out),
                      SPAN_LIT("HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
                               "Content-Length: 3\r\nCache-Control: no-store\r\n"
                               "Connection: keep-alive\r\n\r\nok\n"));
    buf_consume(&out, buf_len(&out));
    r = (struct http1_response){.status = 405,
                                .body = SPAN_LIT("{}"),
                                .content_type = "application/json",
                                .head_only = true};
    assert_int_equal(http1_write(&out, &r), ERR_OK);
    assert_span_equal(buf_span(&out),
                      SPAN_LIT("HTTP/1.1 405 Method Not Allowed\r\n"
                               "Content-Type: application/json\r\nContent-Length: 2\r\n"
                               "Cache-Control: no-store\r\nAllow: GET, HEAD\r\n"
                               "Connection: close\r\n\r\n"));
    buf_consume(&out, buf_len(&out));
    struct http1_parser p = {0};
    struct http1_request request;
    assert_int_equal(http1_feed(&p, SPAN_LIT("GET / HTTP/1.1\n"), &request), HTTP1_REFUSED);
    assert_int_equal(http1_refusal(&out, &p), ERR_OK);
    assert_span_equal(buf_span(&out),
                      SPAN_LIT("HTTP/1.1 400 Bad Request\r\n"
                               "Content-Type: text/plain; charset=utf-8\r\n"
                               "Content-Length: 26\r\nCache-Control: no-store\r\n"
                               "Connection: close\r\n\r\na LF does not follow a CR\n"));
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_taken_with_their_path_and_their_wish_to_stay),
        cmocka_unit_test(malformed_requests_are_refused_at_the_same_byte_however_they_are_cut),
        cmocka_unit_test(a_head_ends_at_its_limit),
        cmocka_unit_test(every_beginning_of_a_good_request_waits_for_more),
        cmocka_unit_test(answers_carry_length_connection_and_a_body_unless_it_was_a_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
