/* SPDX-License-Identifier: Apache-2.0 */
/*
 * buf - a growable byte queue: written at the tail, consumed at the head.
 *
 *      data                                             data + cap
 *      v                                                v
 *      [ consumed |  readable: buf_span()  |   free     ]
 *                 ^ data+head              ^ data+tail
 *
 * Owns its memory; holds none while empty after buf_trim(). Zeroed memory is a valid empty buf, and
 * buf_deinit() on it is safe. Appending may move the bytes: a span from buf_span() is valid until
 * the next append, consume, trim or deinit. Appends fail with ERR_NOMEM and leave the buf as it
 * was.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"
#include "base/span.h"

struct buf {
    uint8_t *data;
    size_t head; /* bytes consumed */
    size_t tail; /* bytes written */
    size_t cap;  /* bytes allocated */
};

void buf_deinit(struct buf *b);

/* Make room for n more bytes at the tail. Inline for the usual case, that there is room. */
enum err buf_grow(struct buf *b, size_t n) ATTR_MUST_USE;
static inline ATTR_MUST_USE enum err buf_reserve(struct buf *b, size_t n)
{
    return b->cap - b->tail >= n ? ERR_OK : buf_grow(b, n);
}

enum err buf_append(struct buf *b, struct span s) ATTR_MUST_USE;
enum err buf_append_byte(struct buf *b, uint8_t byte) ATTR_MUST_USE;
/* printf into the tail; the text's NUL is not part of the buf. */
enum err buf_printf(struct buf *b, const char *fmt, ...) ATTR_PRINTF(2, 3) ATTR_MUST_USE;

/* Drop n bytes from the head; n must not exceed buf_len(). An emptied buf starts over at 0. */
void buf_consume(struct buf *b, size_t n);
/* Cut back to n readable bytes; n must not exceed buf_len(). */
void buf_truncate(struct buf *b, size_t n);
/* Give memory back if empty, or if much more is held than used. */
void buf_trim(struct buf *b);

static inline size_t buf_len(const struct buf *b)
{
    return b->tail - b->head;
}

static inline struct span buf_span(const struct buf *b)
{
    /* Without data head is 0, and NULL + 0 is undefined before C23. */
    return (struct span){b->head == 0 ? b->data : b->data + b->head, b->tail - b->head};
}

#endif
