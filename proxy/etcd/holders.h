/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holders - who holds which logical key, of the keys that one watch sees (design.md 4.5).
 *
 * A key is a hash of 64 bits under a seed that nobody outside knows, so two keys with one hash are
 * not met by chance, nor made. 12 bytes a place, between 3/8 and 3/4 of them in use: 16 to 32 bytes
 * a holder. Several holders of a key are several places. Open addressing; a removal closes the gap.
 */
#ifndef ETCD_HOLDERS_H
#define ETCD_HOLDERS_H

#include "etcd/etcd_family.h"

struct holders {
    uint64_t *hash;   /* 0: free; owned */
    uint32_t *number; /* of the family; owned */
    size_t n, cap;    /* cap: a power of two, or 0 */
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
enum err holders_add(struct holders *h, uint64_t key, uint32_t number,
                     bool *ret_is_new) ATTR_MUST_USE;
/* False: it was not there. */
bool holders_remove(struct holders *h, uint64_t key, uint32_t number);
/* The nearest holder, FAMILY_NONE if there is none. */
uint32_t holders_nearest(const struct holders *h, const struct etcd_family *f, uint64_t key);

#endif
