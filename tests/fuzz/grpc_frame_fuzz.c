/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_frame: the first byte seeds how the rest is cut. Laws: the messages do not depend on the
 * cuts; memory held never exceeds a few times what has arrived; give() frames what next() took.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/rng.h"
#include "wire/grpc_frame.h"

enum { MAX = 1 << 20, SLACK = 64 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* All frames given back, and how it ended. */
static enum err run(struct span in, struct rng *rng, struct buf *all, bool *ret_clean)
{
    struct grpc_reader r = {.max_bytes = MAX};
    enum err e = ERR_OK;
    size_t arrived = 0;
    while (in.n != 0 && e == ERR_OK) {
        size_t piece_n = rng == NULL ? in.n : 1 + rng_below(rng, in.n);
        uint8_t *piece = malloc(piece_n);
        CHECK(piece != NULL);
        memcpy(piece, in.p, piece_n);
        struct span s = span_of(piece, piece_n), m;
        while (grpc_reader_next(&r, &s, &m, &e)) {
            struct buf one = {0};
            CHECK(grpc_reader_give(&r, m, &one) == ERR_OK);
            CHECK(buf_append(all, buf_span(&one)) == ERR_OK);
            buf_deinit(&one);
        }
        arrived += piece_n;
        CHECK(r.partial.cap <= 8 * arrived + SLACK);
        free(piece);
        in = span_skip(in, piece_n);
    }
    *ret_clean = e == ERR_OK && grpc_reader_is_clean(&r);
    grpc_reader_deinit(&r);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct rng rng = {data[0]};
    struct span in = span_of(data + 1, n - 1);
    struct buf a = {0}, b = {0};
    bool clean_a, clean_b;
    CHECK(run(in, NULL, &a, &clean_a) == run(in, &rng, &b, &clean_b));
    CHECK(clean_a == clean_b);
    CHECK(span_eq(buf_span(&a), buf_span(&b)));
    CHECK(!clean_a || span_eq(buf_span(&a), in));
    CHECK(span_has_prefix(in, buf_span(&a)));
    buf_deinit(&a);
    buf_deinit(&b);
    return 0;
}
