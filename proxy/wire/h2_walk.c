/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/h2_walk.h"

enum { TYPE_PRIORITY = 2 };

static uint32_t number(const uint8_t *p, unsigned bytes)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

/* The reserved bit counts for nothing. */
static int32_t stream_id(const uint8_t *p)
{
    return (int32_t)(number(p, 4) & INT32_MAX);
}

/* Bytes of the head that is being gathered: more of a PRIORITY's, once that is known. */
static unsigned head_bytes(const struct h2_walk *w)
{
    bool is_longer = w->n >= H2_WALK_HEAD_BYTES && w->head[3] == TYPE_PRIORITY &&
                     number(w->head, 3) >= H2_WALK_DEPENDENCY_BYTES;
    return H2_WALK_HEAD_BYTES + (is_longer ? H2_WALK_DEPENDENCY_BYTES : 0);
}

bool h2_walk_next(struct h2_walk *w, struct span *in, struct h2_walked *ret)
{
    size_t skip = w->skip < in->n ? w->skip : in->n;
    *in = span_skip(*in, skip);
    w->skip -= (uint32_t)skip;
    while (in->n != 0) {
        unsigned want = head_bytes(w);
        size_t part = want - w->n < in->n ? want - w->n : in->n;
        memcpy(w->head + w->n, in->p, part);
        w->n = (uint8_t)(w->n + part);
        *in = span_skip(*in, part);
        if (w->n < head_bytes(w))
            continue;
        unsigned beyond = w->n - H2_WALK_HEAD_BYTES;
        *ret = (struct h2_walked){.type = w->head[3], .stream = stream_id(w->head + 5)};
        if (beyond != 0)
            ret->dependency = stream_id(w->head + H2_WALK_HEAD_BYTES);
        w->skip = number(w->head, 3) - beyond;
        w->n = 0;
        return true;
    }
    return false;
}
