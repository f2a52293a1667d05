/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry - settle a namespace's entry and lease tag in the store (design.md 4.1, 4.4); pure.
 *
 *   READ_VERSION -- "1" ----------------------> READ_ENTRY -- there --> TOUCH (Txn) --> DONE
 *        |  ^                                     |    ^
 *      absent \-- somebody else was first      absent  \-- entry appeared --\
 *        v     |                                  v                          |
 *   WRITE_VERSION (Txn) -- won --> READ_ENTRY   CLAIM (Txn) -- won -------------> DONE
 *                                                 ^   |
 *                                                 \---/ the tag is taken: by this namespace itself,
 *                                                       whose entry was lost? else the next one
 *
 * TOUCH writes the entry's own value once more, if it is still the one that was read, else it is
 * back to READ_ENTRY. So an entry has a new mod_revision for each sidecar that has begun to use it,
 * and registry_gc, which has read it before, leaves it alone.
 *
 * Before DONE stands COMPARE (Txn) where there is a hash of patterns to compare; the namespace has
 * its tag by then, and whatever comes of COMPARE it keeps it.
 *
 * io asks for the next unary request, sends it on the unary lane and feeds the reply message.
 * Start over with registry_init() after an upstream error: every step is idempotent.
 *
 * What is stored (design.md 4.1):
 *   R "m/v"                       1
 *   R "m/n" {"/" enc(segment)} "."  {"created":"2026-08-20T12:34:56Z","tag":"0a1b2c"}
 *   R "m/t/" "0a1b2c"             the namespace's canonical path, empty for the root
 *   R "m/view"                    the hash of the first sidecar's patterns, 16 hexadecimal digits
 * "created" is for people. "tag" is six lower-case hexadecimal digits; a reader skips members that
 * it does not know.
 */
#ifndef ETCD_REGISTRY_H
#define ETCD_REGISTRY_H

#include "base/buf.h"
#include "etcd/etcd_call.h"
#include "policy/ns_path.h"

enum registry_state {
    REGISTRY_READ_VERSION,
    REGISTRY_WRITE_VERSION,
    REGISTRY_READ_ENTRY,
    REGISTRY_TOUCH,
    REGISTRY_CLAIM,
    REGISTRY_COMPARE,
    REGISTRY_DONE
};
enum { REGISTRY_TAG_TRIES = 4096, REGISTRY_ROUNDS = 16 };

struct registry {
    enum registry_state state;
    struct span root;           /* borrows */
    const struct ns_path *path; /* borrows */
    uint64_t now_ms;            /* wall clock, for "created" */
    uint32_t tag;               /* the one being tried; settled in DONE */
    unsigned tries;             /* tags found taken */
    unsigned rounds;            /* times that somebody else was first */
    bool tag_is_own;            /* CLAIM: the tag is there, as this namespace's; else absent */
    uint64_t created;           /* TOUCH: the entry's create_revision */
    int64_t written;            /* from COMPARE on: the revision at which the entry was ours */
    uint64_t patterns;          /* policy/pattern_hash of this sidecar; 0: nothing to compare */
    bool patterns_differ;       /* in DONE: the store has another's hash */
};

/* Set patterns afterwards. */
void registry_init(struct registry *r, struct span root, const struct ns_path *path,
                   uint64_t now_wall_ms);
/* Appends the next request message (protobuf, no gRPC head) and names its method. Not in DONE. */
enum err registry_next(const struct registry *r, struct buf *out,
                       struct span *ret_method) ATTR_MUST_USE;
/*
 * Feed the reply's message; its header is noted in ns. From COMPARE on ns->tag and ns->has_tag are
 * set.
 * ERR_UPSTREAM_PROTOCOL: does not parse; ERR_REGISTRY: the store's layout version is not ours;
 * ERR_REGISTRY_ENTRY: the entry is damaged; ERR_REGISTRY_TAGS: REGISTRY_TAG_TRIES tags in a row are
 * taken, and r->tag is the one behind them; ERR_LIMIT: the store contradicts itself
 * REGISTRY_ROUNDS times.
 */
enum err registry_feed(struct registry *r, struct span reply, struct etcd_ns *ns) ATTR_MUST_USE;

/* What the value of an entry begins with that registry_gc is about to remove. */
#define REGISTRY_MARK "{\"gc\":\""

/* The entry's value, appended; and the tag in one. ERR_CONFIG: not such a value. */
enum err registry_write_entry(uint64_t created_ms, uint32_t tag, struct buf *out) ATTR_MUST_USE;
enum err registry_parse_entry(struct span value, uint32_t *ret_tag) ATTR_MUST_USE;

#endif
