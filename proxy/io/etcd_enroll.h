/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_enroll - settle the namespace's entry and lease tag in the store, over the unary lane.
 *
 *   IDLE ── etcd_enroll_start ──> ASKING ── registry done ──> DONE
 *    ^                             │  ^
 *    │ the connection was lost     │  │ next request
 *    ├─────────────────────────────┤  └── reply
 *    │                             v any error, or no reply within LIMIT_DIAL_MS
 *    └────── time is up ──────── BACKOFF
 *
 * DONE begins again with the next connection, or when the entry is seen to vanish: it is watched.
 * What the namespace was given, it keeps meanwhile, and its calls go on.
 *
 * on_done is called as soon as the namespace has its tag; the hash of the view's patterns is
 * compared afterwards, and whatever comes of it, nobody waits for it or is refused because of it: a
 * mismatch is a warning and a gauge.
 *
 * What it asks and what a reply means is etcd/registry's; every step may be repeated.
 */
#ifndef IO_ETCD_ENROLL_H
#define IO_ETCD_ENROLL_H

#include "etcd/registry.h"
#include "etcd/registry_gc.h"
#include "io/etcd_auth.h"
#include "io/etcd_entry_watch.h"

enum etcd_enroll_state {
    ETCD_ENROLL_IDLE,
    ETCD_ENROLL_ASKING,
    ETCD_ENROLL_BACKOFF,
    ETCD_ENROLL_DONE
};

struct etcd_enroll {
    struct loop *loop;          /* shares */
    struct span root;           /* borrows */
    const struct ns_path *path; /* borrows */
    struct etcd_ns *ns;         /* shares; tag and header are noted there */
    uint64_t patterns;          /* registry.h; 0: none */
    struct registry_gc *gc;     /* instead: this is run once, and nothing is registered; shares */
    void *owner;                /* shares */
    struct etcd_link *link;     /* shares: the unary lane */
    struct etcd_auth *auth;     /* shares */
    void (*on_done)(struct etcd_enroll *e);
    void (*on_failed)(struct etcd_enroll *e); /* tried again later by itself */
    void (*on_alone)(struct etcd_enroll *e);  /* the lane's member has no leader */
    void (*on_closed)(struct etcd_enroll *e);

    enum etcd_enroll_state state;
    enum err error; /* of the last try: ERR_REGISTRY, ERR_NO_UPSTREAM, … */
    struct registry registry;
    struct etcd_ask ask;
    struct entry_watch watch;
    bool is_told; /* on_done was called */
};

/* Set loop … on_closed first; the rest zeroed. */
void etcd_enroll_open(struct etcd_enroll *e);
void etcd_enroll_close(struct etcd_enroll *e);
/* The store is there and does not take the namespace: it says so until somebody mends it. */
static inline bool etcd_enroll_is_refused(enum err e)
{
    return e == ERR_REGISTRY || e == ERR_REGISTRY_TAGS || e == ERR_REGISTRY_ENTRY;
}
/* The link is usable, or there is a token: begin, unless it is done or under way. */
void etcd_enroll_start(struct etcd_enroll *e);

#endif
