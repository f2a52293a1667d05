/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_merge - the pairs of several namespaces' RangeResponses in the order of their logical keys,
 * each key once: the nearest holder's.
 *
 * A heap of one cursor a namespace. All keys begin with the same bytes (the least and the greatest
 * say how many); behind them eight bytes as a number decide most comparisons.
 */
#ifndef ETCD_VIEW_MERGE_H
#define ETCD_VIEW_MERGE_H

#include "etcd/view_gather.h"
#include "etcd/view_kv.h"

struct merge_cursor {
    struct view_kv kv; /* the pair that is next */
    uint64_t ahead;    /* of its key, behind what all have in common */
    uint32_t rank;     /* 0: the nearest */
    const uint8_t *p, *end;
};

struct view_merge {
    struct etcd_ns *ns;          /* shares */
    const struct view_gather *g; /* shares */
    bool descends;
    size_t common;
    struct merge_cursor *cursor; /* owned, one a chunk */
    struct merge_cursor **heap;  /* owned */
    uint32_t heap_n;
    struct span last; /* the key handed out before */
    bool has_last, is_broken;
    uint64_t losers;
    /* What the chunks say of themselves. */
    uint64_t total;   /* keys, each holder's */
    uint32_t holders; /* chunks with keys */
    bool has_more;
};

/* g is done and sorted. ERR_NOMEM, ERR_UPSTREAM_PROTOCOL. */
enum err view_merge_init(struct view_merge *m, struct etcd_ns *ns, const struct view_gather *g,
                         bool descends) ATTR_MUST_USE;
void view_merge_deinit(struct view_merge *m);
/* False: there are no more, or m->is_broken: bytes that do not parse. */
bool view_merge_next(struct view_merge *m, struct view_kv *ret);

#endif
