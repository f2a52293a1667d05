/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_subs - the subscriptions of one session that need several upstream ones.
 *
 * A subscription that listens to one slice is carried by its sid's text alone and is not here. The
 * others are remembered so that UNSUB finds all their upstream sids, and so that a maximum counts
 * what was delivered over all of them.
 *
 *   (none) --SUB--> ACTIVE --UNSUB--> (none)
 *                   ACTIVE --maximum reached: UNSUBs sent--> LATE --barrier's PONG--> (none)
 *                                       LATE --SUB of the same sid--> ACTIVE, still on the late
 * list
 *
 * What arrives for a slice of the late set is swallowed: the server sent it before it had seen our
 * UNSUB. Holds no memory while empty.
 */
#ifndef NATS_NATS_SUBS_H
#define NATS_NATS_SUBS_H

#include "base/err.h"
#include "base/span.h"

struct nats_sub {
    struct nats_sub *next;      /* of its bucket */
    struct nats_sub *late_next; /* of its late list */
    uint64_t delivered;         /* messages given to the application */
    uint32_t max;               /* 0 = none */
    uint16_t sid_bytes;
    uint8_t slices; /* bits of subject_map.slice that are subscribed upstream; 0 = not active */
    uint8_t late;   /* bits whose messages are swallowed until the barrier */
    bool on_late_list, again; /* again: finished a second time while on the list */
    uint8_t sid[];
};

struct nats_subs {
    struct nats_sub **bucket;
    uint32_t buckets; /* a power of two, or 0 */
    uint32_t n;
    struct nats_sub *unfenced; /* late, no barrier sent behind their UNSUBs yet */
    struct nats_sub *fenced;   /* late, the barrier is on its way */
};

/* NULL if sid is not here. */
struct nats_sub *nats_subs_find(const struct nats_subs *t, struct span sid);
/* A sid that is not active becomes active on slices. ERR_NOMEM; ERR_NATS_SUBS: too many. */
enum err nats_subs_add(struct nats_subs *t, struct span sid, unsigned slices) ATTR_MUST_USE;
/* No longer active; late messages of it pass, as they would without us. May free sub. */
void nats_subs_remove(struct nats_subs *t, struct nats_sub *sub);
/* The maximum was reached: no longer active, late messages are swallowed. */
void nats_subs_finish(struct nats_subs *t, struct nats_sub *sub);
/* A barrier is sent behind all UNSUBs so far / its PONG came: drop the fenced ones. */
void nats_subs_fence(struct nats_subs *t);
void nats_subs_passed_fence(struct nats_subs *t);
void nats_subs_deinit(struct nats_subs *t);

#endif
