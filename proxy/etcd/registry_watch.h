/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_watch - notice that the own registry entry is marked to be removed, or gone; pure. In
 * both cases the sidecar registers again: the touch of a marked entry keeps it (registry_gc.h).
 */
#ifndef ETCD_REGISTRY_WATCH_H
#define ETCD_REGISTRY_WATCH_H

#include "base/buf.h"
#include "policy/ns_path.h"

/* Appends the WatchRequest for the entry's key, from a revision on. */
enum err registry_watch_request(struct span root, const struct ns_path *path, int64_t from,
                                struct buf *out) ATTR_MUST_USE;
/* One WatchResponse. *ret_again: register again. *answered is the mark that was answered last, 0 at
 * first: one mark is answered once, though other sidecars' touches show it again.
 * ERR_UPSTREAM_PROTOCOL. */
enum err registry_watch_feed(struct span message, uint64_t *answered,
                             bool *ret_again) ATTR_MUST_USE;

#endif
