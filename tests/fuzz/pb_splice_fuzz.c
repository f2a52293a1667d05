/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb_splice on a message of every action, nested in itself.
 *
 *   Node { 1 map "P"+key | 2 Node, droppable | 3 number *2 | 4 Node | 5 peek | 6 strip "P" }
 *
 * Laws: in place never writes outside its memory (asan) and never grows; both ways agree where both
 * apply; stripping what was mapped gives the message back; what comes out parses.
 */
#include <stdlib.h>

#include "base/check.h"
#include "support/pb_build.h"
#include "wire/pb_splice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum err add_p(void *ctx, struct pb_frame *f, struct span value, struct buf *out)
{
    (void)ctx;
    (void)f;
    enum err e = buf_append(out, SPAN_LIT("P"));
    return e == ERR_OK ? buf_append(out, value) : e;
}

static enum err cut_p(void *ctx, struct pb_frame *f, struct span value, struct span *ret_rest)
{
    (void)ctx;
    (void)f;
    if (value.n == 0 || value.p[0] != 'P')
        return ERR_FOREIGN;
    *ret_rest = span_skip(value, 1);
    return ERR_OK;
}

/* 2 v + 1 is foreign on the way back. */
static enum err twice(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    (void)f;
    *ret_v = 2 * v;
    return v <= UINT64_MAX / 2 ? ERR_OK : ERR_LIMIT;
}

static enum err half(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    (void)f;
    *ret_v = v / 2;
    return v % 2 == 0 ? ERR_OK : ERR_FOREIGN;
}

static enum err peek(void *ctx, struct pb_frame *f, struct span value)
{
    (void)f;
    uint8_t *sum = ctx;
    for (size_t i = 0; i < value.n; i++)
        *sum = (uint8_t)(*sum + value.p[i]);
    return ERR_OK;
}

static const struct pb_message up, down;
static const struct pb_field up_fields[] = {
    [1] = {.action = PB_MAP, .map = add_p},
    [2] = {.action = PB_MESSAGE, .droppable = true, .sub = &up},
    [3] = {.action = PB_NUMBER, .number = twice},
    [4] = {.action = PB_MESSAGE, .sub = &up},
    [5] = {.action = PB_PEEK, .peek = peek},
};
static const struct pb_message up = {up_fields, ARRAY_LEN(up_fields), NULL, NULL, false};
static const struct pb_field down_fields[] = {
    [1] = {.action = PB_STRIP, .strip = cut_p},
    [2] = {.action = PB_MESSAGE, .droppable = true, .sub = &down},
    [3] = {.action = PB_NUMBER, .number = half},
    [4] = {.action = PB_MESSAGE, .sub = &down},
    [5] = {.action = PB_PEEK, .peek = peek},
};
static const struct pb_message down = {down_fields, ARRAY_LEN(down_fields), NULL, NULL, false};

static uint8_t *copy_of(struct span s)
{
    uint8_t *copy = malloc(s.n == 0 ? 1 : s.n);
    CHECK(copy != NULL);
    if (s.n != 0)
        memcpy(copy, s.p, s.n);
    return copy;
}

/* Any message, stripped in place and by appending. */
static void strip_both_ways(struct span in)
{
    uint8_t *copy = copy_of(in), sum = 0;
    struct buf out = {0};
    size_t n = 0;
    enum err a = pb_splice_in_place(&down, &sum, copy, in.n, &n);
    enum err b = pb_splice(&down, &sum, in, &out);
    CHECK(a == b);
    if (a == ERR_OK) {
        CHECK(n <= in.n);
        CHECK(span_eq(span_of(copy, n), buf_span(&out)));
        struct span s = span_of(copy, n);
        struct pb_got got;
        int more;
        while ((more = pb_get(&s, &got)) == 1)
            ;
        CHECK(more == 0);
    }
    buf_deinit(&out);
    free(copy);
}

/* Stripped as it arrives, a piece of `step` bytes at a time: what it is when it comes whole. */
static void strip_in_pieces(struct span in, size_t step)
{
    uint8_t *whole = copy_of(in), *pieces = copy_of(in), sum = 0;
    size_t want = 0, ready = 0, have = 0, read = 0, written = 0, n = 0;
    enum err a = pb_splice_in_place(&down, &sum, whole, in.n, &want), b = ERR_OK;
    for (size_t at = 0; b == ERR_OK && at < in.n; at += step) {
        size_t piece = in.n - at < step ? in.n - at : step;
        memcpy(pieces + ready + have, in.p + at, piece);
        have += piece;
        b = pb_splice_arrived(&down, &sum, pieces + ready, have, &read, &written);
        if (b != ERR_OK)
            break;
        CHECK(written <= read && read <= have);
        have -= read;
        memmove(pieces + ready + written, pieces + ready + read, have);
        ready += written;
    }
    if (b == ERR_OK)
        b = pb_splice_in_place(&down, &sum, pieces + ready, have, &n);
    CHECK((a == ERR_OK) == (b == ERR_OK));
    if (a == ERR_OK)
        CHECK(span_eq(span_of(whole, want), span_of(pieces, ready + n)));
    free(whole);
    free(pieces);
}

/* Decode twice: equal but for lengths and numbers written in more bytes than needed. */
static void same_fields(struct span a, struct span b, unsigned depth)
{
    struct pb_got x, y;
    for (;;) {
        int more = pb_get(&a, &x);
        CHECK(more == pb_get(&b, &y) && more != -1);
        if (more == 0)
            return;
        CHECK(x.field == y.field && x.wire == y.wire && x.v == y.v);
        if (x.wire == 2 && (x.field == 2 || x.field == 4) && depth < 400)
            same_fields(x.s, y.s, depth + 1);
        else
            CHECK(span_eq(x.s, y.s));
    }
}

static void strip_undoes_map(struct span in)
{
    struct buf mapped = {0};
    uint8_t sum = 0;
    if (pb_splice(&up, &sum, in, &mapped) == ERR_OK) {
        uint8_t *copy = copy_of(buf_span(&mapped));
        size_t n;
        CHECK(pb_splice_in_place(&down, &sum, copy, buf_len(&mapped), &n) == ERR_OK);
        same_fields(in, span_of(copy, n), 0);
        free(copy);
    } else {
        CHECK(buf_len(&mapped) == 0);
    }
    buf_deinit(&mapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    strip_both_ways(span_of(data, n));
    strip_in_pieces(span_of(data, n), 1);
    strip_in_pieces(span_of(data, n), n == 0 ? 1 : 1 + data[0] % 64);
    strip_undoes_map(span_of(data, n));
    return 0;
}
