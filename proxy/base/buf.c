/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { BUF_FIRST_BYTES = 256, BUF_KEEP_BYTES = 4096 };

void buf_deinit(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}

static void slide_to_front(struct buf *b)
{
    if (b->head == 0)
        return;
    memmove(b->data, b->data + b->head, buf_len(b));
    b->tail -= b->head;
    b->head = 0;
}

enum err buf_grow(struct buf *b, size_t n)
{
    size_t len = buf_len(b);
    if (n > SIZE_MAX / 2 - len)
        return ERR_NOMEM;
    /* Sliding pays when at least half of the memory is consumed bytes. */
    if (b->head >= b->cap / 2 && b->cap - len >= n) {
        slide_to_front(b);
        return ERR_OK;
    }
    size_t cap = b->cap < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : b->cap;
    while (cap - len < n)
        cap *= 2;
    /* The allocator can often move pages instead of bytes, or need not move anything. */
    uint8_t *data = b->head == 0 ? realloc(b->data, cap) : malloc(cap);
    if (data == NULL)
        return ERR_NOMEM;
    if (b->head != 0) {
        if (len != 0)
            memcpy(data, b->data + b->head, len);
        free(b->data);
    }
    *b = (struct buf){.data = data, .head = 0, .tail = len, .cap = cap};
    return ERR_OK;
}

enum err buf_append(struct buf *b, struct span s)
{
    enum err e = buf_reserve(b, s.n);
    if (e != ERR_OK)
        return e;
    if (s.n != 0)
        memcpy(b->data + b->tail, s.p, s.n);
    b->tail += s.n;
    return ERR_OK;
}

enum err buf_append_byte(struct buf *b, uint8_t byte)
{
    return buf_append(b, span_of(&byte, 1));
}

enum err buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n < 0)
        return ERR_NOMEM;
    enum err e = buf_reserve(b, (size_t)n + 1);
    if (e != ERR_OK)
        return e;
    va_start(args, fmt);
    vsnprintf((char *)b->data + b->tail, (size_t)n + 1, fmt, args);
    va_end(args);
    b->tail += (size_t)n;
    return ERR_OK;
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= buf_len(b));
    b->head += n;
    if (b->head == b->tail)
        b->head = b->tail = 0;
}

void buf_truncate(struct buf *b, size_t n)
{
    CHECK(n <= buf_len(b));
    b->tail = b->head + n;
}

void buf_trim(struct buf *b)
{
    if (buf_len(b) == 0) {
        buf_deinit(b);
        return;
    }
    if (b->cap <= BUF_KEEP_BYTES || buf_len(b) > b->cap / 4)
        return;
    slide_to_front(b);
    uint8_t *data = realloc(b->data, b->tail);
    if (data == NULL)
        return;
    b->data = data;
    b->cap = b->tail;
}
