/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_range - a Range of a sidecar with view subtree, over several namespaces (design.md 4.5).
 *
 *   request ─> view_range_begin ─> next ─> Txn ─> feed ─┬─ more pages: next
 *                                                       └─ done: one RangeResponse, at one revision
 *
 * What is asked of each namespace depends on what a namespace alone cannot decide. Ordered by key
 * and without filters, the first `limit` of each hold the first `limit` of all; only how many keys
 * there are in all may then take a second read, of keys alone, if several namespaces have some.
 * Any other order and every filter looks at the winners only, so all keys are read, and sorting,
 * filtering and cutting is done here.
 */
#ifndef ETCD_VIEW_RANGE_H
#define ETCD_VIEW_RANGE_H

#include "etcd/etcd_call.h"
#include "etcd/view_gather.h"

struct view_range;

/* A whole RangeRequest of the application. *ret stays NULL if it is not for the view: it is to be
 * mapped into the own slice as ever. ERR_NOMEM. */
enum err view_range_begin(struct etcd_ns *ns, struct span request,
                          struct view_range **ret) ATTR_MUST_USE;
void view_range_free(struct view_range **r);
bool view_range_is_done(const struct view_range *r);
/* As the application asked for it, and so each page of it. */
bool view_range_is_serializable(const struct view_range *r);
/* A page has been asked for. */
bool view_range_is_waiting(const struct view_range *r);
/* Appends the next TxnRequest. Not when done. */
enum err view_range_next(struct view_range *r, struct buf *out) ATTR_MUST_USE;
/* A TxnResponse, as view_gather_feed(). */
enum err view_range_feed(struct view_range *r, struct buf *page, size_t at) ATTR_MUST_USE;
/* The read's revision was compacted before it was complete. True: it has begun anew. */
bool view_range_restart(struct view_range *r);
/* As view_gather_narrow(). */
bool view_range_narrow(struct view_range *r);
/* Done: appends the RangeResponse. */
enum err view_range_answer(struct view_range *r, struct buf *out) ATTR_MUST_USE;
size_t view_range_bytes(const struct view_range *r);

#endif
