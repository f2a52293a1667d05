/* SPDX-License-Identifier: Apache-2.0 */
/* view_event - private to view_events.c and view_fetch.c: one event of a WatchResponse, and what of
 * other namespaces must be read before it can be shown. */
#ifndef ETCD_VIEW_EVENT_H
#define ETCD_VIEW_EVENT_H

#include "etcd/view_watch.h"

enum { REPLY_EVENT = 11 };

struct view_event {
    bool is_delete, has_prev;
    struct span kv_message, prev_message;
    struct view_kv kv;
    uint64_t hash;
};

/* The Event in `message`. *ret_seen false: it is to be left out. */
enum err view_event_read(struct view_watch *w, struct span message, struct view_event *ret,
                         bool *ret_seen) ATTR_MUST_USE;
static inline bool view_event_is_shown(const struct view_watch *w, const struct view_event *ev)
{
    return ev->kv.mod >= w->shown_from;
}

/* view_fetch.c. It stops at r->at for r->fetch: decide what is asked for. ERR_NOMEM,
 * ERR_UPSTREAM_PROTOCOL. */
enum err view_fetch_plan(struct view_reply *r) ATTR_MUST_USE;
/* True: r->fetch of the event at r->at has been answered; *ret_range: a RangeResponse, empty if the
 * revision is compacted. */
bool view_fetch_find(const struct view_reply *r, struct span *ret_range);

#endif
