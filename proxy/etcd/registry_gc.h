/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_gc - remove the registry entry of a namespace that is over; pure. For a person's
 * `bulkhead gc` (design.md 8.5 `ns gc`); a sidecar never does.
 *
 *   ASK_ENTRY ── value, revision ──> ASK_LEASES ── none of its tag ──> ASK_KEYS ── none ──>
 * ASK_MARK │ not there                      │ some have it                  │ N │ └────────> KEPT
 * <────────────────┴───────────────────────────────┘                      v ^ ^ WAIT │ └── a lease
 * was granted meanwhile ── ASK_LEASES <──────────────────────────┘ │ the mark is not the last
 * change any more │ none └──────────────────────────────────────ASK_REMOVE ──> DONE
 *
 * A dry run ends in DONE where ASK_MARK would be asked.
 *
 * The mark is a member of the entry's value. Every sidecar of the namespace watches the entry and
 * touches it when it is marked (registry_watch), as it does when it begins (registry.h TOUCH). The
 * last step is one Txn: entry and tag go only if the mark is still the entry's last change, the tag
 * is its own, and no key is in the slice. So a key that is written meanwhile, a sidecar that
 * begins and one that runs and reaches the store keep the namespace. Leases no Txn can compare: who
 * grants one runs, so none can come once they are asked for again behind the mark. One that was cut
 * off from the store all the while registers again when it is back.
 */
#ifndef ETCD_REGISTRY_GC_H
#define ETCD_REGISTRY_GC_H

#include "base/buf.h"
#include "policy/ns_path.h"

enum registry_gc_state {
    REGISTRY_GC_ASK_ENTRY,
    REGISTRY_GC_ASK_LEASES,
    REGISTRY_GC_ASK_KEYS,
    REGISTRY_GC_ASK_MARK,
    REGISTRY_GC_WAIT, /* for sidecars to answer; go on with registry_gc_waited */
    REGISTRY_GC_ASK_REMOVE,
    REGISTRY_GC_DONE, /* entry and tag are gone; after a dry run: would go */
    REGISTRY_GC_KEPT  /* it stays; why says what holds it */
};

enum { REGISTRY_GC_VALUE_BYTES = 512 }; /* ours have 48 */

struct registry_gc {
    enum registry_gc_state state;
    struct span root;           /* borrows */
    const struct ns_path *path; /* borrows */
    bool is_dry_run, is_marked;
    uint32_t tag;
    int64_t revision;      /* of the entry that was read; then of the mark */
    uint64_t keys, leases; /* KEPT: how many hold it */
    const char *why;       /* KEPT: static text */
    size_t rest_bytes;     /* the entry's value behind "{" and an older mark */
    uint8_t rest[REGISTRY_GC_VALUE_BYTES];
};

/* Set is_dry_run afterwards. */
void registry_gc_init(struct registry_gc *g, struct span root, const struct ns_path *path);
/* From the start, after an upstream error: every step may be repeated. */
void registry_gc_again(struct registry_gc *g);
void registry_gc_waited(struct registry_gc *g);
/* Appends the next request and names its method. Not in WAIT, DONE and KEPT. */
enum err registry_gc_next(const struct registry_gc *g, struct buf *out,
                          struct span *ret_method) ATTR_MUST_USE;
/* The reply's message. ERR_UPSTREAM_PROTOCOL; ERR_CONFIG: the entry is damaged. */
enum err registry_gc_feed(struct registry_gc *g, struct span reply) ATTR_MUST_USE;

#endif
