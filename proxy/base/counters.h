/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counters - what the sidecar counts, from one table (counters.def), shown at /metrics.
 *
 * Plain numbers in one struct that is passed in: pure code counts, io prints. Gauges (open
 * connections, open streams, open subscriptions) are set by whoever opens and closes.
 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdint.h>

enum counter {
#define COUNTER(id, name, labels, help) COUNTER_##id,
#include "base/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

enum gauge {
    GAUGE_ETCD_CONNS,
    GAUGE_NATS_CONNS,
    GAUGE_ETCD_STREAMS,
    GAUGE_ETCD_TRUSTED,
    GAUGE_PATTERNS_MISMATCH,
    GAUGE_COUNT
};

enum { LATENCY_BUCKETS = 16 }; /* upper bounds 2^i * 32 us; the last one is +Inf */
/* etcd: from a unary call to its answer. NATS: from the dial to the server's INFO, once a
 * connection; messages have no answer to wait for that the sidecar could tell. */
enum latency { LATENCY_ETCD, LATENCY_NATS, LATENCY_COUNT };

struct histogram {
    uint64_t bucket[LATENCY_BUCKETS]; /* not cumulative */
    uint64_t sum_us;
};

struct counters {
    uint64_t n[COUNTER_COUNT];
    int64_t gauge[GAUGE_COUNT];
    struct histogram latency[LATENCY_COUNT];
};

static inline void count(struct counters *c, enum counter id, uint64_t by)
{
    c->n[id] += by;
}

static inline void gauge_add(struct counters *c, enum gauge id, int64_t by)
{
    c->gauge[id] += by;
}

static inline void count_latency(struct counters *c, enum latency id, uint64_t us)
{
    unsigned i = 0;
    while (i + 1 < LATENCY_BUCKETS && us > (UINT64_C(32) << i))
        i++;
    c->latency[id].bucket[i]++;
    c->latency[id].sum_us += us;
}

#endif
