/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry - settle a namespace's entry and lease tag in the store (design.md 4.1, 4.4); pure.
 *
 *   READ_VERSION -> READ_ENTRY -> found ------------------------------> DONE
 *                        ^           \-> CLAIM (Txn) -- won -----------> DONE
 *                        |                    \-- entry appeared -> READ_ENTRY
 *                        |                     \-- tag taken ----> CLAIM with the next tag
 *
 * io asks for the next unary request, sends it on the unary lane and feeds the reply message.
 * Start over with registry_init() after an upstream error: every step is idempotent.
 */
#ifndef ETCD_REGISTRY_H
#define ETCD_REGISTRY_H

#include "base/buf.h"
#include "policy/ns_path.h"

enum registry_state { REGISTRY_READ_VERSION, REGISTRY_READ_ENTRY, REGISTRY_CLAIM, REGISTRY_DONE };
enum { REGISTRY_TAG_TRIES = 4096 };

struct registry {
    enum registry_state state;
    struct span root;           /* borrows */
    const struct ns_path *path; /* borrows */
    uint64_t now_ms;            /* wall clock, for "created" */
    uint32_t tag;               /* the one being tried; settled in DONE */
    unsigned tries;
};

void registry_init(struct registry *r, struct span root, const struct ns_path *path,
                   uint64_t now_wall_ms);
/* Appends the next request message (protobuf, no gRPC head) and names its method. Not in DONE. */
enum err registry_next(const struct registry *r, struct buf *out, struct span *ret_method) ATTR_MUST_USE;
/* Feed the reply's message. ERR_UPSTREAM_PROTOCOL: does not parse; ERR_CONFIG: the store's layout
 * version is not ours; ERR_LIMIT: REGISTRY_TAG_TRIES tags in a row are taken. */
enum err registry_feed(struct registry *r, struct span reply) ATTR_MUST_USE;

#endif
