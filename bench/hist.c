/* SPDX-License-Identifier: Apache-2.0 */
#include "hist.h"

#include <string.h>

void hist_init(struct hist *h)
{
    memset(h, 0, sizeof *h);
}

/* Step of a value:
 *   ns < SUB             the value itself
 *   2^(SUB_BITS+e) ..    e * SUB + the SUB_BITS+1 highest bits, whose first bit is 1 = one SUB */
static uint32_t step_of(uint64_t ns)
{
    if (ns < HIST_SUB) {
        return (uint32_t)ns;
    }
    if (ns >= (uint64_t)1 << HIST_MAX_BITS) {
        return HIST_STEPS - 1;
    }
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(ns) - HIST_SUB_BITS;
    return shift * HIST_SUB + (uint32_t)(ns >> shift);
}

static double middle_of(uint32_t step)
{
    if (step < 2 * HIST_SUB) {
        return step;
    }
    uint32_t shift = step / HIST_SUB - 1;
    uint64_t low = (uint64_t)(step - shift * HIST_SUB) << shift;
    return (double)low + (double)((uint64_t)1 << shift) / 2;
}

void hist_add(struct hist *h, uint64_t ns)
{
    h->count[step_of(ns)]++;
    h->total++;
    if (ns > h->max_ns) {
        h->max_ns = ns;
    }
}

double hist_quantile_ns(const struct hist *h, double q)
{
    if (h->total == 0) {
        return 0;
    }
    uint64_t need = (uint64_t)(q * (double)h->total + 0.5);
    if (need == 0) {
        need = 1;
    }
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HIST_STEPS; i++) {
        seen += h->count[i];
        if (seen >= need) {
            return middle_of(i);
        }
    }
    return (double)h->max_ns;
}
