/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rng - seeded pseudo-random numbers (splitmix64): randomness enters as an argument, so that all
 * that is left of io is deterministic. Not for secrets; a lease id is a name, not a password.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stdint.h>

#include "base/check.h"

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform enough in 0 .. bound-1; bound must not be 0. */
static inline uint64_t rng_below(struct rng *r, uint64_t bound)
{
    CHECK(bound != 0);
    return rng_next(r) % bound;
}

#endif
