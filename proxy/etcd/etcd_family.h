/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_family - the namespaces that a sidecar with view subtree knows: its own and descendants.
 *
 * Each has a small number, valid as long as the process, so that tables of holders are small; 0 is
 * the own one. Which of them are *listed* is a hint that spares a round trip, never an answer: each
 * read asks the registry in the same Txn for what was created since (view_gather), so a namespace
 * that exists is never missed. Nothing of the store's contents is kept.
 *
 * Nearness (design.md 4.5): the own one, then fewest segments, then the order of stored paths.
 */
#ifndef ETCD_ETCD_FAMILY_H
#define ETCD_ETCD_FAMILY_H

#include "policy/key_view.h"

enum { FAMILY_OWN = 0, FAMILY_NONE = UINT32_MAX };

struct family_member {
    uint8_t *path; /* owned; { "/" enc(segment) } below the own namespace */
    uint16_t path_n;
    uint8_t segments;
    bool is_listed;
};

struct etcd_family {
    struct key_view view;
    const struct span *prefixes; /* borrows: view.keys */
    unsigned prefix_count;
    struct family_member *member; /* by number; owned */
    uint32_t n, cap;
    uint32_t *slot; /* hash table of numbers + 1; owned */
    uint32_t slots;
    uint32_t *listed; /* nearest first, the own one leads; owned */
    uint32_t listed_n;
    bool is_sorted;
    uint32_t page_ops;  /* operations of one Txn: LIMIT_TXN_OPS until etcd takes only fewer */
    uint64_t invalid_n; /* registry entries that are no namespaces' */
    int64_t known;      /* entries created up to this revision are listed; 0 = nothing is known */
    uint64_t seed[2];   /* of the hashes: descendants choose their keys */
};

/* seed: unpredictable to applications. ERR_NOMEM, ERR_LIMIT. */
enum err family_init(struct etcd_family *f, struct span root, const struct ns_path *path,
                     const uint64_t seed[2]) ATTR_MUST_USE;
void family_deinit(struct etcd_family *f);

/* The number of this relative path; taken in if it is new. ERR_FOREIGN: no legal namespace;
 * ERR_LIMIT: over LIMIT_FAMILY; ERR_NOMEM. */
enum err family_number(struct etcd_family *f, struct span path, uint32_t *ret_number) ATTR_MUST_USE;
static inline struct span family_path(const struct etcd_family *f, uint32_t number)
{
    return span_of(f->member[number].path, f->member[number].path_n);
}
/* < 0: a is nearer. */
int family_compare(const struct etcd_family *f, uint32_t a, uint32_t b);

/* Begin a new list, of which only the own one is a member. */
void family_list_anew(struct etcd_family *f);
void family_list(struct etcd_family *f, uint32_t number);
/* All that are listed, nearest first; valid until the list changes. */
const uint32_t *family_listed(struct etcd_family *f, uint32_t *ret_n);

/* Is all of the interval (4.2's range ends) inside one prefix of view.keys? */
bool family_sees(const struct etcd_family *f, struct span key, struct span end);

/* SipHash-1-3 of s. */
uint64_t family_hash(const struct etcd_family *f, struct span s);

#endif
