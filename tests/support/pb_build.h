/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb_build - protobuf by hand for tests: a builder and a decoder that share no code with wire/.
 *
 * Values are returned by copy into a fixed message; a test that needs more than PB_BUILD_BYTES
 * builds its bytes itself.
 */
#ifndef TESTS_PB_BUILD_H
#define TESTS_PB_BUILD_H

#include <stdlib.h>

#include "base/span.h"

enum { PB_BUILD_BYTES = 32 * 1024 };

struct pb_build {
    size_t n;
    uint8_t b[PB_BUILD_BYTES];
};

static inline struct span pb_built(const struct pb_build *m)
{
    return span_of(m->b, m->n);
}

static inline void pb_raw(struct pb_build *m, const void *p, size_t n)
{
    if (m->n + n > sizeof m->b)
        abort();
    if (p != NULL) /* cmocka's assertions come back, as the analyser sees them: it asks for p */
        memcpy(m->b + m->n, p, n);
    m->n += n;
}

static inline void pb_var(struct pb_build *m, uint64_t v)
{
    do {
        uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        pb_raw(m, &byte, 1);
        v >>= 7;
    } while (v != 0);
}

static inline void pb_num(struct pb_build *m, uint32_t field, uint64_t v)
{
    pb_var(m, (uint64_t)field * 8);
    pb_var(m, v);
}

static inline void pb_span(struct pb_build *m, uint32_t field, struct span s)
{
    pb_var(m, (uint64_t)field * 8 + 2);
    pb_var(m, s.n);
    pb_raw(m, s.p, s.n);
}

static inline void pb_str(struct pb_build *m, uint32_t field, const char *s)
{
    pb_span(m, field, span_str(s));
}

static inline void pb_sub(struct pb_build *m, uint32_t field, const struct pb_build *sub)
{
    pb_span(m, field, pb_built(sub));
}

/* One decoded field. */
struct pb_got {
    uint32_t field;
    uint32_t wire;
    uint64_t v;    /* varint, fixed */
    struct span s; /* bytes */
};

static inline int pb_get_var(struct span *s, uint64_t *v)
{
    *v = 0;
    for (unsigned i = 0; i < 10 && s->n != 0; i++) {
        uint8_t byte = s->p[0];
        *s = span_skip(*s, 1);
        *v += (uint64_t)(byte % 128) << (7 * i);
        if (byte < 128)
            return 1;
    }
    return 0;
}

/* 1: *got is the next field, *s behind it; 0: at the end; -1: does not parse. */
static inline int pb_get(struct span *s, struct pb_got *got)
{
    uint64_t tag, n = 0;
    *got = (struct pb_got){0};
    if (s->n == 0)
        return 0;
    if (!pb_get_var(s, &tag))
        return -1;
    got->field = (uint32_t)(tag / 8);
    got->wire = (uint32_t)(tag % 8);
    if (got->wire == 0)
        return pb_get_var(s, &got->v) ? 1 : -1;
    if (got->wire == 2 && !pb_get_var(s, &n))
        return -1;
    if (got->wire != 2)
        n = got->wire == 1 ? 8 : got->wire == 5 ? 4 : SIZE_MAX;
    if (n > s->n)
        return -1;
    got->s = span_head(*s, n);
    *s = span_skip(*s, n);
    return 1;
}

/* The nth (from 0) occurrence of a field; field 0 in the result if there is none. */
static inline struct pb_got pb_find(struct span m, uint32_t field, unsigned nth)
{
    struct pb_got got;
    while (pb_get(&m, &got) == 1)
        if (got.field == field && nth-- == 0)
            return got;
    return (struct pb_got){0};
}

#endif
