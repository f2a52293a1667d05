/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb_wire - protobuf's wire format: varints and one field at a time.
 *
 * Strict: what a lenient decoder might read in two ways is refused, so that we and the server never
 * disagree about which bytes are a key. Groups, field number 0, tags over 32 bits, varints over 64
 * bits and truncated fields do not parse.
 * Source: protobuf.dev/programming-guides/encoding.
 */
#ifndef WIRE_PB_WIRE_H
#define WIRE_PB_WIRE_H

#include "base/span.h"

enum { PB_VARINT_BYTES_MAX = 10 };
enum pb_wire { PB_WIRE_VARINT = 0, PB_WIRE_FIXED64 = 1, PB_WIRE_BYTES = 2, PB_WIRE_FIXED32 = 5 };

/* Seven bits of each byte of x, low byte first, put together: 8 x 7 -> 56 bits. */
static inline uint64_t pb_varint_gather(uint64_t x)
{
    x = (x & UINT64_C(0x007f007f007f007f)) | (x & UINT64_C(0x7f007f007f007f00)) >> 1;
    x = (x & UINT64_C(0x00003fff00003fff)) | (x & UINT64_C(0x3fff00003fff0000)) >> 2;
    return (x & UINT64_C(0x000000000fffffff)) | (x & UINT64_C(0x0fffffff00000000)) >> 4;
}

/* The first eight bytes as a number, first byte lowest, whatever the machine's order. */
static inline uint64_t pb_load_8(const uint8_t *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

/* False if the varint is cut off at end or does not fit 64 bits. *p moves behind it on success.
 * One byte and up to eight at once come first: this is what a list of keys is made of. */
static inline bool pb_varint_read(const uint8_t **p, const uint8_t *end, uint64_t *ret_v)
{
    const uint8_t *q = *p;
    uint64_t v = 0;
    unsigned shift = 0;
    if (q != end && *q < 0x80) {
        *ret_v = *q;
        *p = q + 1;
        return true;
    }
    if (end - q >= 8) {
        uint64_t x = pb_load_8(q);
        uint64_t stop = ~x & UINT64_C(0x8080808080808080);
        if (stop != 0) {
            *ret_v = pb_varint_gather(x & (stop ^ (stop - 1)));
            *p = q + (unsigned)__builtin_ctzll(stop) / 8 + 1;
            return true;
        }
        v = pb_varint_gather(x);
        q += 8;
        shift = 56;
    }
    for (; shift < 64 && q != end; shift += 7) {
        uint8_t byte = *q++;
        if (shift == 63 && byte > 1)
            return false;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *p = q;
            *ret_v = v;
            return true;
        }
    }
    return false;
}

/* Bytes of the shortest encoding: 1 .. PB_VARINT_BYTES_MAX. */
static inline size_t pb_varint_size(uint64_t v)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    return (bits + 6) / 7;
}

/* out has room for pb_varint_size(v). Returns the bytes written. */
static inline size_t pb_varint_write(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    return n;
}

/*
 *      tag    length        content
 *      [..]   [...]   [..................]
 *      ^      ^       ^                    ^
 *      start  value   bytes.p              the cursor after pb_item_next()
 */
struct pb_item {
    uint32_t number;
    enum pb_wire wire;
    uint64_t varint;      /* PB_WIRE_VARINT; else 0 */
    struct span bytes;    /* PB_WIRE_BYTES: the content; else none */
    const uint8_t *start; /* first byte of the tag */
    const uint8_t *value; /* first byte behind the tag */
};

/* Reads the field at *p, which is before end; *p moves behind it. False: does not parse. */
static inline bool pb_item_next(const uint8_t **p, const uint8_t *end, struct pb_item *ret_item)
{
    const uint8_t *q = *p;
    uint64_t tag = 0, v = 0;
    ret_item->start = q;
    ret_item->varint = 0;
    ret_item->bytes = SPAN_NONE;
    if (!pb_varint_read(&q, end, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    ret_item->number = (uint32_t)(tag >> 3);
    ret_item->value = q;
    switch (tag & 7) {
    case PB_WIRE_VARINT:
        if (!pb_varint_read(&q, end, &ret_item->varint))
            return false;
        ret_item->wire = PB_WIRE_VARINT;
        break;
    case PB_WIRE_BYTES:
        if (!pb_varint_read(&q, end, &v) || v > (size_t)(end - q))
            return false;
        ret_item->wire = PB_WIRE_BYTES;
        ret_item->bytes = span_of(q, (size_t)v);
        q += v;
        break;
    case PB_WIRE_FIXED64:
    case PB_WIRE_FIXED32:
        v = (tag & 7) == PB_WIRE_FIXED64 ? 8 : 4;
        if (v > (size_t)(end - q))
            return false;
        ret_item->wire = (enum pb_wire)(tag & 7);
        q += v;
        break;
    default:
        return false;
    }
    *p = q;
    return true;
}

/* Behind the field at p, which is before end, if it is of the usual kind: a tag of one byte, and a
 * varint, or a length of one or two bytes. NULL: it is not, and pb_item_next() says what it is. */
static inline const uint8_t *pb_skip_usual(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p), head = 2, n;
    if (left < 2 || *p >= 0x80 || *p < 8) /* 8: field number 0 */
        return NULL;
    n = p[1];
    if ((*p & 7) == PB_WIRE_VARINT && n < 0x80)
        return p + 2;
    if (n >= 0x80) {
        if (left <= PB_VARINT_BYTES_MAX)
            return NULL;
        uint64_t stop = ~pb_load_8(p + 1) & UINT64_C(0x8080808080808080);
        head = stop != 0 ? 2 + (unsigned)__builtin_ctzll(stop) / 8 : p[9] < 0x80 ? 10 : 11;
        if ((*p & 7) == PB_WIRE_VARINT)
            return head == 11 && p[10] > 1 ? NULL : p + head;
        n = (size_t)(p[1] & 0x7f) | (size_t)p[2] << 7;
    }
    return (*p & 7) != PB_WIRE_BYTES || head > 3 || n > left - head ? NULL : p + head + n;
}

#endif
