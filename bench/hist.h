/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hist - a histogram of nanoseconds with a fixed relative error.
 *
 * Log-linear like HdrHistogram: every power of two is cut into HIST_SUB equal steps, so a value is
 * known to 1/512 (0.2 %), which is finer than the ratios the benchmarks are judged by. Below
 * HIST_SUB every nanosecond has its own step.
 */
#ifndef HIST_H
#define HIST_H

#include <stdint.h>

enum {
    HIST_SUB_BITS = 9,
    HIST_SUB = 1 << HIST_SUB_BITS,
    /* Up to 2^40 ns, 18 minutes; larger values count as that. */
    HIST_MAX_BITS = 40,
    HIST_STEPS = (HIST_MAX_BITS - HIST_SUB_BITS + 1) * HIST_SUB,
};

struct hist {
    uint64_t total;
    uint64_t max_ns;
    uint64_t count[HIST_STEPS];
};

void hist_init(struct hist *h);
void hist_add(struct hist *h, uint64_t ns);
/* The smallest value that at least `q` (0..1) of all values do not exceed, as the middle of its
 * step; 0 when nothing was added. */
double hist_quantile_ns(const struct hist *h, double q);

#endif
