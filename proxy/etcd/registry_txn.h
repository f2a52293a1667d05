/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_txn - private to registry.c and registry_gc.c: the keys of one namespace's registration,
 * and the parts that their requests to etcd are made of.
 */
#ifndef ETCD_REGISTRY_TXN_H
#define ETCD_REGISTRY_TXN_H

#include "policy/ns_path.h"
#include "wire/pb_write.h"

enum registry_key {
    REGISTRY_KEY_VERSION,
    REGISTRY_KEY_ENTRY,
    REGISTRY_KEY_TAG,
    REGISTRY_KEY_PATTERNS,
    REGISTRY_KEY_SLICE, /* the namespace's first key, and what is behind its last one */
    REGISTRY_KEY_SLICE_END
};

struct registry_names {
    struct span root;           /* borrows */
    const struct ns_path *path; /* borrows */
    uint32_t tag;               /* KEY_TAG */
};

/* The key as field `field` of the message that is being written. */
void registry_write_key(struct pb_writer *w, const struct registry_names *n, uint32_t field,
                        enum registry_key which);

/* Compares of a Txn: the key is not there; it has this value; it was last written, or created, at
 * this revision; no key of the slice is there. */
void registry_if_absent(struct pb_writer *w, const struct registry_names *n,
                        enum registry_key which);
void registry_if_value(struct pb_writer *w, const struct registry_names *n, enum registry_key which,
                       struct span value);
void registry_if_written(struct pb_writer *w, const struct registry_names *n,
                         enum registry_key which, uint64_t revision);
void registry_if_created(struct pb_writer *w, const struct registry_names *n,
                         enum registry_key which, uint64_t revision);
void registry_if_empty(struct pb_writer *w, const struct registry_names *n);

/* What it does then: write, write the same value once more, delete; and else: read. */
void registry_put(struct pb_writer *w, const struct registry_names *n, enum registry_key which,
                  struct span value);
void registry_touch(struct pb_writer *w, const struct registry_names *n, enum registry_key which);
void registry_delete(struct pb_writer *w, const struct registry_names *n, enum registry_key which);
void registry_else_read(struct pb_writer *w, const struct registry_names *n,
                        enum registry_key which);

/* Of a TxnResponse. False: it does not parse. */
bool registry_txn_succeeded(struct span reply, bool *ret);

#endif
