/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_leader_watch - one upstream stream of our own on the stream lane that watches nothing and
 * wants a leader. etcd ends such a stream when its member has none, as it does where the member is
 * cut off from the others. The lane's other streams would not show that: a watch whose application
 * does not ask for a leader is only silent, for as long as the member is cut off. Calls, and
 * etcd_entry_watch, say the same of the unary lane's member.
 *
 *            leader_watch_begin()       ended by etcd (no leader: on_alone)
 *   ENDED ──────────────────────> ASKED ────────────────────────────────────> WAITS
 *     ^                             ^  └── lost ──> ENDED                     │   │
 *     │                             └────────── after a back-off ─────────────┘   │
 *     └────────────────────────────── leader_watch_end() ─────────────────────────┘
 */
#ifndef IO_ETCD_LEADER_WATCH_H
#define IO_ETCD_LEADER_WATCH_H

#include "io/etcd_ask.h"

struct leader_watch {
    void *owner;                               /* shares */
    struct etcd_link *link;                    /* shares: the stream lane */
    struct loop *loop;                         /* shares */
    void (*on_alone)(struct leader_watch *w);  /* the lane's member has no leader */
    void (*on_closed)(struct leader_watch *w); /* after leader_watch_close() */
    struct etcd_ask ask;
};

/* Set owner … on_closed first; the rest zeroed. */
void leader_watch_open(struct leader_watch *w);
void leader_watch_close(struct leader_watch *w);
/* The lane is usable, and there are other addresses. Idempotent. */
void leader_watch_begin(struct leader_watch *w);
/* The lane is no longer usable, or there is no other address. Idempotent. */
void leader_watch_end(struct leader_watch *w);

#endif
