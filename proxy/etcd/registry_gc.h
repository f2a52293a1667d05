/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_gc - remove the registry entry of a namespace that is over; pure. Nothing in the sidecar
 * calls it: it is for a person's tool (design.md 8.5 `ns gc`).
 *
 *   ASK_ENTRY ── its value, its revision ──> ASK_LEASES ── none has its tag ──> ASK_REMOVE ──> DONE
 *       │ not there                              │ one has                         │ something came
 *       └──────────────────> KEPT <──────────────┴─────────────────────────────────┘ between
 *
 * The last step is one Txn: entry and tag go only if the entry is the one that was read, the tag is
 * still its own, and no key is in the slice. So a key that is written meanwhile keeps its
 * namespace. What one Txn cannot see is a sidecar that has registered and not written yet, so the
 * caller must know that none is running in that namespace (`has_no_sidecar`), as with the leases,
 * which etcd lists outside of Txns: without it nothing is asked.
 */
#ifndef ETCD_REGISTRY_GC_H
#define ETCD_REGISTRY_GC_H

#include "base/buf.h"
#include "policy/ns_path.h"

enum registry_gc_state {
    REGISTRY_GC_ASK_ENTRY,
    REGISTRY_GC_ASK_LEASES,
    REGISTRY_GC_ASK_REMOVE,
    REGISTRY_GC_DONE, /* entry and tag are gone */
    REGISTRY_GC_KEPT  /* it stays; why says what holds it */
};

struct registry_gc {
    enum registry_gc_state state;
    struct span root;           /* borrows */
    const struct ns_path *path; /* borrows */
    uint32_t tag;
    int64_t revision; /* of the entry that was read */
    const char *why;  /* KEPT: static text */
};

void registry_gc_init(struct registry_gc *g, struct span root, const struct ns_path *path,
                      bool has_no_sidecar);
/* Appends the next request and names its method. Not in DONE and KEPT. */
enum err registry_gc_next(const struct registry_gc *g, struct buf *out,
                          struct span *ret_method) ATTR_MUST_USE;
/* The reply's message. ERR_UPSTREAM_PROTOCOL; ERR_CONFIG: the entry is damaged. */
enum err registry_gc_feed(struct registry_gc *g, struct span reply) ATTR_MUST_USE;

#endif
