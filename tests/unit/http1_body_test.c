/* SPDX-License-Identifier: Apache-2.0 */
/* http1_body_test - bodies by length and by chunks, whole, byte by byte, and wrong. */
#include "support/support.h"
#include "wire/http1_body.h"

#define POST "POST /mutate?timeout=5s HTTP/1.1\r\nHost: a\r\n"

struct row {
    const char *in, *body, *rest; /* body NULL: refused */
    int status;
    bool more; /* not all there */
};

static const struct row rows[] = {
    {POST "Content-Length: 3\r\n\r\nabc", "abc", "", 0, false},
    {POST "Content-Length: 3\r\n\r\nabcGET /", "abc", "GET /", 0, false},
    {POST "Content-Length: 0\r\n\r\n", "", "", 0, false},
    {POST "Content-Length: 4\r\n\r\nabc", "abc", "", 0, true},
    {POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "abc", "", 0, false},
    {POST
     "Transfer-Encoding: chunked\r\n\r\n1;x=y\r\na\r\n0A\r\n0123456789\r\n0\r\nT: v\r\n\r\nrest",
     "a0123456789", "rest", 0, false},
    {POST "Transfer-Encoding: chunked\r\n\r\n3\r\nab", "ab", "", 0, true},
    {POST "\r\n", NULL, "", 411, false},
    {POST "Content-Length: 17\r\n\r\n", NULL, "", 413, false},
    {POST "Content-Length: 99999999999999999999999\r\n\r\n", NULL, "", 413, false},
    {POST "Transfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n1\r\n", NULL, "", 413,
     false},
    {POST "Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", NULL, "", 413, false},
    {POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", NULL, "", 400, false},
    {POST "Transfer-Encoding: chunked\r\n\r\n3\nabc", NULL, "", 400, false},
    {POST "Transfer-Encoding: chunked\r\n\r\n 3\r\n", NULL, "", 400, false},
    {POST "Transfer-Encoding: chunked\r\n\r\n-1\r\n", NULL, "", 400, false},
    {POST "Transfer-Encoding: chunked\r\n\r\n\r\n", NULL, "", 400, false},
};

/* The head, then the body in pieces of step bytes. */
static void run(const struct row *r, size_t step)
{
    struct http1_parser p = {.takes_body = true};
    struct http1_request q;
    struct http1_body b;
    struct buf out = {0};
    enum err e = ERR_OK;
    struct span in = span_str(r->in);
    assert_int_equal(http1_feed(&p, in, &q), HTTP1_DONE);
    assert_int_equal(q.method, HTTP1_POST);
    in = span_skip(in, q.head_bytes);
    enum http1_verdict v = http1_body_begin(&b, &q, 16);
    do {
        struct span piece = span_head(in, step);
        size_t before = piece.n;
        if (v == HTTP1_MORE)
            v = http1_body_feed(&b, &piece, &out, &e);
        in = span_skip(in, before - piece.n);
    } while (v == HTTP1_MORE && in.n != 0);
    assert_int_equal(e, ERR_OK);
    if (r->body == NULL) {
        assert_int_equal(v, HTTP1_REFUSED);
        assert_int_equal(b.refused_status, r->status);
    } else {
        assert_int_equal(v, r->more ? HTTP1_MORE : HTTP1_DONE);
        assert_span_equal(buf_span(&out), span_str(r->body));
        assert_span_equal(in, span_str(r->rest));
    }
    buf_deinit(&out);
}

static void bodies_are_read_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step <= 64; step++)
            run(&rows[i], step);
}

static void heads_of_bodies_are_strict(void **state)
{
    static const struct {
        const char *head;
        int status;
    } wrong[] = {
        {POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
        {POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
        {POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400},
        {POST "Content-Type: a\r\nContent-Type: b\r\n\r\n", 400},
        {POST "Expect: tea\r\n\r\n", 417},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct http1_parser p = {.takes_body = true};
        struct http1_request q;
        assert_int_equal(http1_feed(&p, span_str(wrong[i].head), &q), HTTP1_REFUSED);
        assert_int_equal(p.refused_status, wrong[i].status);
    }
}

static void what_a_head_says_of_its_body_is_told(void **state)
{
    static const char head[] = POST
        "Expect: 100-continue\r\nContent-Type:  application/json; charset=utf-8 \r\n"
        "Content-Encoding: gzip\r\nContent-Length: 12\r\n\r\n";
    struct http1_parser p = {.takes_body = true}, without = {.takes_body = false};
    struct http1_request q;
    (void)state;
    assert_int_equal(http1_feed(&p, span_str(head), &q), HTTP1_DONE);
    assert_true(q.expects_continue && q.is_encoded && q.has_length && q.keep_alive);
    assert_int_equal(q.body_bytes, 12);
    assert_span_equal(q.content_type, SPAN_LIT("application/json; charset=utf-8"));
    assert_span_equal(q.path, SPAN_LIT("/mutate"));
    /* Ports without bodies go on refusing. */
    assert_int_equal(http1_feed(&without, span_str(head), &q), HTTP1_REFUSED);
    assert_int_equal(without.refused_status, 417);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_read_however_they_are_cut),
        cmocka_unit_test(heads_of_bodies_are_strict),
        cmocka_unit_test(what_a_head_says_of_its_body_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
