/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_entry_watch - one upstream watch on the namespace's registry entry, on the unary lane.
 *
 * Happy path: begin, and nothing more, for as long as the connection lives.
 * Ways it ends: on_again, once, when the entry is removed or about to be; on_alone, once, when the
 * member says that it has no leader: it is a stream that wants one, so a member that is cut off is
 * noticed also while applications only read from it what it can say alone; silently when etcd ends
 * it otherwise or the connection is lost, which makes the namespace register again anyway;
 * entry_watch_end().
 */
#ifndef IO_ETCD_ENTRY_WATCH_H
#define IO_ETCD_ENTRY_WATCH_H

#include "etcd/registry.h"
#include "io/etcd_auth.h"

struct entry_watch {
    void *owner;                             /* shares */
    void (*on_again)(struct entry_watch *w); /* register again */
    void (*on_alone)(struct entry_watch *w); /* the member has no leader */
    uint64_t answered;                       /* registry_watch.h */
    struct etcd_ask ask;
};

/* r is settled. Set owner, on_again and on_alone first. ERR_NOMEM, ERR_LIMIT, ERR_NO_UPSTREAM: it
 * is not watched. */
enum err entry_watch_begin(struct entry_watch *w, struct etcd_link *link, struct etcd_auth *auth,
                           const struct registry *r) ATTR_MUST_USE;
/* Nothing is called any more. Idempotent; safe on zeroed memory. */
void entry_watch_end(struct entry_watch *w);

#endif
