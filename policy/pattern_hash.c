/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/pattern_hash.h"

/* FNV-1a, 64 bits (Fowler, Noll, Vo), and the finisher of MurmurHash3: sums of FNV's own values
 * would be too alike. */
#define FNV_BASIS UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

static uint64_t hash_one(uint8_t list, struct span pattern)
{
    uint64_t h = (FNV_BASIS ^ list) * FNV_PRIME;
    for (size_t i = 0; i < pattern.n; i++)
        h = (h ^ pattern.p[i]) * FNV_PRIME;
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

/* A sum has no order; a pattern that stands twice counts once. */
static uint64_t hash_list(uint8_t list, const struct span *pattern, unsigned n)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned first = 0;
        while (!span_eq(pattern[first], pattern[i]))
            first++;
        if (first == i)
            sum += hash_one(list, pattern[i]);
    }
    return sum;
}

uint64_t pattern_hash(const struct span *requests, unsigned request_patterns,
                      const struct span *events, unsigned event_patterns)
{
    uint64_t h = hash_list('d', requests, request_patterns) +
                 hash_list('e', events, event_patterns);
    return h == 0 ? 1 : h;
}
