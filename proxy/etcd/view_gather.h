/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_gather - read one interval of keys in the own namespace and all descendants, at one revision
 * (design.md 4.5); pure.
 *
 *   page 1   Txn { Range own, Range of each listed namespace …, Range registry }   -> revision r
 *   page n   Txn { Range of up to 128 more, at r }
 *
 * The registry's part asks only for entries created since the list is known. What it names is read
 * in a further page at r, so that the answer is complete at r whether or not the list was; in the
 * usual case one round trip is all. A read at an older revision than the list's asks for the whole
 * registry as it was then.
 */
#ifndef ETCD_VIEW_GATHER_H
#define ETCD_VIEW_GATHER_H

#include "base/counters.h"
#include "etcd/etcd_family.h"

/* One namespace's RangeResponse. */
struct view_chunk {
    uint32_t number;
    uint32_t page;
    size_t at, n; /* within that page's message */
};

struct view_gather {
    struct etcd_family *family; /* shares */
    struct counters *counters;  /* shares */
    struct buf key, end, rest;  /* owned; rest: other fields of each Range, encoded */
    bool is_serializable;
    int64_t revision; /* asked for; 0 = the latest */
    int64_t at;       /* the revision of the answer; 0 before the first page */
    int64_t latest;   /* the store's, when it gave the last page */
    uint32_t *number; /* whom to read, in the order of asking; owned */
    uint32_t n, cap;
    bool *asked; /* by the family's number: it is among them; owned */
    uint32_t asked_n;
    uint32_t from, to; /* the page asked for: number[from .. to) */
    enum { GATHER_REGISTRY_SINCE, GATHER_REGISTRY_ALL, GATHER_NO_REGISTRY } registry;
    int64_t since;
    uint32_t most;    /* operations of one page */
    bool is_waiting;  /* a page is asked for */
    struct buf *page; /* what was answered; owned */
    uint32_t pages, pages_cap;
    size_t page_bytes;
    struct view_chunk *chunk; /* owned */
    uint32_t chunks;
    struct span header; /* ResponseHeader of the first page, in it */
};

/* The interval as the application wrote it; rest without key, range_end and revision. ERR_NOMEM.
 * Deinit in any case. */
enum err view_gather_init(struct view_gather *g, struct etcd_family *f, struct span key,
                          struct span end, struct span rest) ATTR_MUST_USE;
void view_gather_deinit(struct view_gather *g);
/* Begin: at g->revision, or anew. The list is copied. */
enum err view_gather_begin(struct view_gather *g) ATTR_MUST_USE;
static inline bool view_gather_is_done(const struct view_gather *g)
{
    return g->at != 0 && g->to == g->n && g->registry == GATHER_NO_REGISTRY && !g->is_waiting;
}
/* Appends the next page's request, a TxnRequest; the same again if it was not answered. Not when
 * done. */
enum err view_gather_next(struct view_gather *g, struct buf *out) ATTR_MUST_USE;
/* etcd calls the request for this page invalid: it may have a lower --max-txn-ops. False: it cannot
 * be made narrower; else ask again. What is taken then is remembered for the sidecar's life. */
bool view_gather_narrow(struct view_gather *g);
/* Takes a TxnResponse. ERR_UPSTREAM_PROTOCOL; ERR_REQUEST_TOO_LARGE: all pages together are more
 * than LIMIT_GRPC_RESPONSE_BYTES; ERR_NOMEM. *page is taken over: message lies in it at `at`. */
enum err view_gather_feed(struct view_gather *g, struct buf *page, size_t at) ATTR_MUST_USE;
/* The i-th namespace's RangeResponse, nearest first once view_gather_sort() was called. */
static inline struct span view_gather_chunk(const struct view_gather *g, uint32_t i)
{
    const struct view_chunk *c = &g->chunk[i];
    return span_head(span_skip(buf_span(&g->page[c->page]), c->at), c->n);
}
void view_gather_sort(struct view_gather *g);
/* Bytes of memory held. */
size_t view_gather_bytes(const struct view_gather *g);

#endif
