/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_link - one lane's connection to upstream: which address, dialling, backing off, replacing.
 *
 *            want, is_kept            SETTINGS
 *   IDLE ───────────────> DIALLING ─────────────> USABLE
 *    ^                     │  ^                    │  │
 *    │   all addresses     │  │ time is up, and    │  │ GOAWAY, ids used up: the old connection
 *    │   failed (a round)  v  │ somebody wants it  │  │ goes on with its streams, unseen here
 *    └──────────────────  BACKOFF <────────────────┘  └──> IDLE
 *        nobody wants it            lost soon after it came (lost later: DIALLING at once)
 *
 * Addresses are tried in turn, from the one behind the one that was lost. A round that
 * failed is told to the owner, who answers the calls that wait: a call waits for one round, not for
 * ever.
 */
#ifndef IO_ETCD_LINK_H
#define IO_ETCD_LINK_H

#include "io/h2_client.h"

struct etcd_link;

struct etcd_link_handler {
    void (*on_usable)(struct etcd_link *l);
    /* A round failed, or the connection was lost. */
    void (*on_down)(struct etcd_link *l);
    /* It takes no more calls, and ends with the last one: nothing of our own may keep it. */
    void (*on_retired)(struct etcd_link *l);
    bool (*is_wanted)(const struct etcd_link *l); /* does anybody wait for it? */
    void (*on_closed)(struct etcd_link *l);       /* after etcd_link_close(): nothing is left */
};

enum etcd_link_state {
    ETCD_LINK_IDLE,
    ETCD_LINK_DIALLING,
    ETCD_LINK_USABLE,
    ETCD_LINK_BACKOFF,
    ETCD_LINK_STATES
};

struct etcd_link {
    const struct etcd_link_handler *handler; /* shares */
    struct h2_hub *hub;                      /* shares */
    void *owner;                             /* shares */
    const struct addr *upstream;             /* borrows */
    unsigned upstreams;
    bool is_kept;     /* stays connected though nobody waits */
    const char *lane; /* "unary", "stream"; for logs */

    enum etcd_link_state state;
    bool is_closing, timer_closed;
    unsigned at;                   /* the address to dial next */
    unsigned tried;                /* addresses tried in this round */
    uint64_t backoff_ms, since_ms; /* when the state was entered */
    unsigned left_soon;            /* members distrusted one after another, each soon */
    uint64_t answered_ms;          /* when a unary call was answered last; set by its owner */
    struct h2_client *current;     /* in DIALLING and USABLE */
    struct h2_client *clients;     /* current and those that finish their streams */
    uv_timer_t timer;
};

/* Set handler, hub, owner, upstream(s), is_kept, lane first; the rest zeroed. */
void etcd_link_open(struct etcd_link *l);
/* on_closed follows, later in the loop. */
void etcd_link_close(struct etcd_link *l);
/* Somebody waits: dial, or shorten the back-off. */
void etcd_link_want(struct etcd_link *l);
/* The member at this address says that it cannot reach the others: use the next one, unless it was
 * chosen a moment ago (limit.h): say it again then. A kept link's calls finish where they are; the
 * other's are streams, which go on elsewhere. */
void etcd_link_distrust(struct etcd_link *l, const struct addr *member);
/* There are other addresses now: upstream (borrowed), n of them. A connection to one that is no
 * longer there is left, as by etcd_link_distrust(). */
void etcd_link_readdress(struct etcd_link *l, const struct addr *upstream, unsigned n);
/* Where to send requests; NULL unless usable. */
static inline struct h2_client *etcd_link_client(const struct etcd_link *l)
{
    return l->state == ETCD_LINK_USABLE ? l->current : NULL;
}
/* Usable, and its connection does not end. */
bool etcd_link_takes_calls(const struct etcd_link *l);

#endif
