/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holders - who holds which logical key, of the keys that one watch sees (design.md 4.5).
 *
 * A key is a hash of 64 bits under a seed that nobody outside knows, so two keys with one hash are
 * not met by chance, nor made. Open addressing, 12 bytes a place, between 3/8 and 3/4 of them in
 * use: 16 to 32 bytes a key that one namespace holds. A removal closes the gap. What several hold
 * has one place, too, which names a *crowd*: their numbers, nearest first, so that ten thousand
 * namespaces may hold one key and the nearest is at hand.
 */
#ifndef ETCD_HOLDERS_H
#define ETCD_HOLDERS_H

#include "etcd/etcd_family.h"

struct holders_crowd {
    uint32_t *number; /* owned; NULL: free */
    uint32_t n, cap;
};

struct holders {
    uint64_t *hash;              /* 0: free; owned */
    uint32_t *number;            /* of the family, or HOLDERS_CROWD and which; owned */
    size_t n, cap;               /* places; cap: a power of two, or 0 */
    struct holders_crowd *crowd; /* owned */
    uint32_t crowds, crowds_cap, crowds_free;
    size_t crowd_bytes;
};

void holders_deinit(struct holders *h);
size_t holders_bytes(const struct holders *h);
/* The hash that stands for key: never 0. */
static inline uint64_t holders_key(const struct etcd_family *f, struct span key)
{
    uint64_t hash = family_hash(f, key);
    return hash == 0 ? 1 : hash;
}
/* *ret_is_new: it was not there. ERR_NOMEM. */
enum err holders_add(struct holders *h, const struct etcd_family *f, uint64_t key, uint32_t number,
                     bool *ret_is_new) ATTR_MUST_USE;
/* False: it was not there. */
bool holders_remove(struct holders *h, const struct etcd_family *f, uint64_t key, uint32_t number);
/* The nearest holder, and the nearest of the others; FAMILY_NONE if there is none. */
uint32_t holders_nearest(const struct holders *h, uint64_t key);
uint32_t holders_second(const struct holders *h, uint64_t key);

#endif
