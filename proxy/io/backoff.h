/* SPDX-License-Identifier: Apache-2.0 */
/* backoff - how long to wait before the next try: doubling, within limit.h. 0: the first. */
#ifndef IO_BACKOFF_H
#define IO_BACKOFF_H

#include <stdint.h>

#include "limit.h"

static inline uint64_t backoff_next(uint64_t last_ms)
{
    uint64_t ms = 2 * last_ms;
    return ms < LIMIT_BACKOFF_MIN_MS   ? LIMIT_BACKOFF_MIN_MS
           : ms > LIMIT_BACKOFF_MAX_MS ? LIMIT_BACKOFF_MAX_MS
                                       : ms;
}

#endif
