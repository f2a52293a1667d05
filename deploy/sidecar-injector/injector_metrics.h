/* SPDX-License-Identifier: Apache-2.0 */
/* injector_metrics - what the webhook counts, and its text for /metrics (Prometheus 0.0.4). */
#ifndef INJECTOR_METRICS_H
#define INJECTOR_METRICS_H

#include "base/counters.h"
#include "inject/review.h"
#include "io/web.h"

struct injector_metrics {
    uint64_t results[OUTCOME_KINDS], denied[REASON_COUNT];
    uint64_t malformed, failed; /* no review; no memory */
    uint64_t warnings, patches, patch_bytes;
    struct histogram duration; /* of one review, from its last byte to its answer */
    uint64_t duration_count;
    uint64_t reloads, reload_failures;
    bool last_reload_failed;
    int64_t certificate_not_after; /* s since the epoch; 0: unknown */
    struct web_stats webhook;
    struct counters tls; /* one of them counts handshakes that failed; see injector_serve.c */
    uint64_t tls_failures;
};

void injector_metrics_count(struct injector_metrics *m, const struct review *r, enum err e,
                            uint64_t us);
enum err injector_metrics_write(const struct injector_metrics *m, struct buf *out) ATTR_MUST_USE;

#endif
