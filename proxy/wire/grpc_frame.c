/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_frame.h"

#include "base/check.h"

/* A frame's memory is taken as its bytes arrive, at most this many times ahead of them: an
 * announced length costs nothing until it is sent. */
enum { GROW_AHEAD = 4, GROW_FIRST_BYTES = 16 * 1024 };

static uint32_t head_length(const uint8_t *head)
{
    return (uint32_t)head[1] << 24 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 8 | head[4];
}

static enum err check_head(struct grpc_reader *r, const uint8_t *head)
{
    if (head[0] != 0)
        return head[0] == 1 ? ERR_GRPC_COMPRESSED : ERR_GRPC_FRAME;
    uint32_t n = head_length(head);
    if (n <= r->max_bytes)
        return ERR_OK;
    r->over_bytes = n;
    return ERR_REQUEST_TOO_LARGE;
}

/* Move bytes from *in until partial holds `want`. */
static enum err gather(struct grpc_reader *r, struct span *in, size_t want)
{
    size_t have = buf_len(&r->partial);
    if (have >= want)
        return ERR_OK;
    size_t take = want - have < in->n ? want - have : in->n;
    size_t ahead = (have + take) * GROW_AHEAD;
    if (ahead < GROW_FIRST_BYTES)
        ahead = GROW_FIRST_BYTES;
    if (r->partial.cap - r->partial.tail < take) {
        enum err e = buf_reserve(&r->partial, (ahead < want ? ahead : want) - have);
        if (e != ERR_OK)
            return e;
    }
    enum err e = buf_append(&r->partial, span_head(*in, take));
    if (e == ERR_OK)
        *in = span_skip(*in, take);
    return e;
}

/* The message that the last call handed out of partial is done with. */
static void forget_last(struct grpc_reader *r)
{
    if (!r->handed_out)
        return;
    r->handed_out = false;
    r->ready_bytes = r->saved_bytes = 0;
    buf_consume(&r->partial, buf_len(&r->partial));
    buf_trim(&r->partial);
}

static bool next_from_partial(struct grpc_reader *r, struct span *in, struct span *ret_message,
                              enum err *ret_error)
{
    enum err e = gather(r, in, GRPC_HEAD_BYTES);
    if (e == ERR_OK && buf_len(&r->partial) >= GRPC_HEAD_BYTES)
        e = check_head(r, buf_span(&r->partial).p);
    size_t whole = GRPC_HEAD_BYTES;
    if (e == ERR_OK && buf_len(&r->partial) >= GRPC_HEAD_BYTES) {
        whole += head_length(buf_span(&r->partial).p) - r->saved_bytes;
        e = gather(r, in, whole);
    }
    *ret_error = e;
    if (e != ERR_OK || buf_len(&r->partial) < whole)
        return false;
    r->handed_out = true;
    *ret_message = span_skip(buf_span(&r->partial), GRPC_HEAD_BYTES);
    return true;
}

bool grpc_reader_next(struct grpc_reader *r, struct span *in, struct span *ret_message,
                      enum err *ret_error)
{
    forget_last(r);
    *ret_error = ERR_OK;
    if (buf_len(&r->partial) != 0)
        return in->n != 0 && next_from_partial(r, in, ret_message, ret_error);
    if (in->n >= GRPC_HEAD_BYTES) {
        enum err e = check_head(r, in->p);
        if (e != ERR_OK) {
            *ret_error = e;
            return false;
        }
        size_t n = head_length(in->p);
        if (n <= in->n - GRPC_HEAD_BYTES) {
            *ret_message = span_head(span_skip(*in, GRPC_HEAD_BYTES), n);
            *in = span_skip(*in, GRPC_HEAD_BYTES + n);
            return true;
        }
    }
    return in->n != 0 && next_from_partial(r, in, ret_message, ret_error);
}

struct span grpc_reader_arrived(const struct grpc_reader *r)
{
    size_t ready = GRPC_HEAD_BYTES + r->ready_bytes;
    if (r->handed_out || buf_len(&r->partial) <= ready)
        return SPAN_NONE;
    return span_skip(buf_span(&r->partial), ready);
}

void grpc_reader_rewrote(struct grpc_reader *r, size_t read, size_t written)
{
    struct span arrived = grpc_reader_arrived(r);
    CHECK(written <= read && read <= arrived.n);
    uint8_t *start = r->partial.data + r->partial.head + GRPC_HEAD_BYTES + r->ready_bytes;
    if (written != read)
        memmove(start + written, start + read, arrived.n - read);
    r->ready_bytes += (uint32_t)written;
    r->saved_bytes += (uint32_t)(read - written);
    buf_truncate(&r->partial, buf_len(&r->partial) - (read - written));
}

enum err grpc_reader_give(struct grpc_reader *r, struct span message, struct buf *out)
{
    uint8_t head[GRPC_HEAD_BYTES];
    grpc_frame_head(head, (uint32_t)message.n);
    if (!r->handed_out || buf_len(out) != 0 || message.n < GRPC_MOVE_BYTES) {
        enum err e = buf_reserve(out, GRPC_HEAD_BYTES + message.n);
        if (e == ERR_OK)
            e = buf_append(out, span_of(head, sizeof head));
        return e == ERR_OK ? buf_append(out, message) : e;
    }
    CHECK(message.p == buf_span(&r->partial).p + GRPC_HEAD_BYTES);
    memcpy(r->partial.data + r->partial.head, head, sizeof head);
    buf_truncate(&r->partial, GRPC_HEAD_BYTES + message.n);
    buf_deinit(out);
    *out = r->partial;
    r->partial = (struct buf){0};
    r->handed_out = false;
    r->ready_bytes = r->saved_bytes = 0;
    return ERR_OK;
}

bool grpc_reader_is_clean(const struct grpc_reader *r)
{
    return r->handed_out || buf_len(&r->partial) == 0;
}

void grpc_reader_deinit(struct grpc_reader *r)
{
    buf_deinit(&r->partial);
    *r = (struct grpc_reader){0};
}

void grpc_frame_head(uint8_t head[GRPC_HEAD_BYTES], uint32_t n)
{
    head[0] = 0;
    head[1] = (uint8_t)(n >> 24);
    head[2] = (uint8_t)(n >> 16);
    head[3] = (uint8_t)(n >> 8);
    head[4] = (uint8_t)n;
}
