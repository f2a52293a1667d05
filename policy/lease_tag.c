/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_tag - arithmetic on lease ids; the layout is drawn in lease_tag.h.
 *
 * An application's id and a stored id correspond one to one: small ids are aliases and nothing
 * else, so a random payload has its top bit set (with tag 0 it could otherwise look like a small
 * id).
 */
#include "policy/lease_tag.h"

#include "base/check.h"

#define ALIAS_BIT    (UINT64_C(1) << 62)
#define PAYLOAD_MASK ((UINT64_C(1) << LEASE_PAYLOAD_BITS) - 1)
#define PAYLOAD_TOP  (UINT64_C(1) << (LEASE_PAYLOAD_BITS - 1))
#define TAG_MASK     ((uint64_t)(LEASE_TAG_COUNT - 1))
#define FNV_BASIS    UINT32_C(2166136261)
#define FNV_PRIME    UINT32_C(16777619)

uint32_t lease_tag_hash(struct span path)
{
    uint32_t h = FNV_BASIS;
    for (size_t i = 0; i < path.n; i++)
        h = (h ^ path.p[i]) * FNV_PRIME;
    return (h >> LEASE_TAG_BITS) ^ (h & (LEASE_TAG_COUNT - 1));
}

static int64_t alias_of(uint32_t tag, uint64_t payload)
{
    CHECK(tag < LEASE_TAG_COUNT);
    return (int64_t)(ALIAS_BIT | (uint64_t)tag << LEASE_PAYLOAD_BITS | payload);
}

static bool is_small(int64_t id)
{
    return id >= 1 && id <= LEASE_ALIAS_MAX;
}

/* An id that the store chose for this namespace: bits 63 and 62 clear, our tag, a payload. */
static bool is_own(uint32_t tag, int64_t id)
{
    return id > LEASE_ALIAS_MAX && (uint64_t)id >> LEASE_PAYLOAD_BITS == tag &&
           ((uint64_t)id & PAYLOAD_MASK) != 0;
}

enum err lease_tag_grant(uint32_t tag, int64_t id, struct rng *rng, int64_t *ret_stored)
{
    CHECK(tag < LEASE_TAG_COUNT);
    if (id == 0)
        *ret_stored = (int64_t)((uint64_t)tag << LEASE_PAYLOAD_BITS | PAYLOAD_TOP |
                                (rng_next(rng) & (PAYLOAD_TOP - 1)));
    else if (is_small(id))
        *ret_stored = alias_of(tag, (uint64_t)id);
    else if (is_own(tag, id))
        *ret_stored = id;
    else
        return ERR_LEASE_FOREIGN_ID;
    return ERR_OK;
}

int64_t lease_tag_use(uint32_t tag, int64_t id, bool *ret_foreign)
{
    bool foreign = false;
    int64_t stored = id;
    if (is_small(id)) {
        stored = alias_of(tag, (uint64_t)id);
    } else if (id != 0 && !is_own(tag, id)) {
        stored = alias_of(tag, 0);
        foreign = true;
    }
    if (ret_foreign != NULL)
        *ret_foreign = foreign;
    return stored;
}

bool lease_tag_strip(uint32_t tag, int64_t stored, int64_t *ret_id)
{
    uint64_t bits = (uint64_t)stored;
    if (stored == 0 || is_own(tag, stored)) {
        *ret_id = stored;
        return true;
    }
    uint64_t payload = bits & PAYLOAD_MASK;
    if (stored < 0 || (bits & ALIAS_BIT) == 0 || (bits >> LEASE_PAYLOAD_BITS & TAG_MASK) != tag ||
        !is_small((int64_t)payload))
        return false;
    *ret_id = (int64_t)payload;
    return true;
}
