/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_fuzz - laws: cut anywhere, the verdict is the same; a request that is taken holds no byte
 * sequence that another parser could end a line at; paths lie in the input; an answer can be
 * written.
 */
#include <stdint.h>

#include "base/check.h"
#include "limit.h"
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void judge_taken(const struct http1_request *r, struct span in)
{
    CHECK(r->head_bytes <= in.n && r->head_bytes <= LIMIT_HTTP1_HEAD_BYTES);
    CHECK(memcmp(in.p + r->head_bytes - 4, "\r\n\r\n", 4) == 0);
    CHECK(r->path.n != 0 && r->path.p[0] == '/');
    CHECK(r->path.p > in.p && r->path.p + r->path.n < in.p + r->head_bytes);
    for (size_t i = 0; i < r->head_bytes; i++) {
        CHECK(in.p[i] != '\0');
        CHECK((in.p[i] == '\n') == (i != 0 && in.p[i - 1] == '\r'));
        if (i != 0 && in.p[i - 1] == '\n')
            CHECK(in.p[i] != ' ' && in.p[i] != '\t');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct span in = span_of(data, n);
    struct http1_parser whole = {0}, bytes = {0};
    struct http1_request a = {0}, b = {0};
    enum http1_verdict at_once = http1_feed(&whole, in, &a), one_by_one = HTTP1_MORE;
    for (size_t i = 0; i < n && one_by_one == HTTP1_MORE; i++)
        one_by_one = http1_feed(&bytes, span_head(in, i + 1), &b);
    CHECK(at_once == one_by_one);
    if (at_once == HTTP1_DONE) {
        CHECK(a.head_bytes == b.head_bytes && a.keep_alive == b.keep_alive);
        CHECK(a.method == b.method && span_eq(a.path, b.path) && span_eq(a.query, b.query));
        judge_taken(&a, in);
    } else if (at_once == HTTP1_REFUSED) {
        CHECK(whole.refused_status == bytes.refused_status && whole.refused_status >= 400);
        struct buf out = {0};
        if (http1_refusal(&out, &whole) == ERR_OK)
            CHECK(span_has_prefix(buf_span(&out), SPAN_LIT("HTTP/1.1 ")));
        buf_deinit(&out);
    } else {
        CHECK(n <= LIMIT_HTTP1_HEAD_BYTES);
    }
    return 0;
}
