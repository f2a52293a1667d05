/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics - what the sidecar counts, as Prometheus text (exposition format 0.0.4).
 *
 * Laws: names are bulkhead_* or process_*, base units, every metric has HELP and TYPE, all samples
 * of one metric stand together, label sets are bounded (none holds a name that a peer chose).
 */
#ifndef IO_METRICS_H
#define IO_METRICS_H

#include "base/buf.h"
#include "base/counters.h"

/* What the kernel knows about this process; zeros where /proc is not there. */
struct metrics_process {
    uint64_t resident_bytes;
    uint64_t cpu_ms;
    uint64_t start_time_s; /* since the epoch */
    unsigned open_fds;
};

struct metrics_plane {
    const char *name; /* "etcd" */
    bool is_ready;
};

struct metrics_view {
    const struct counters *counters;
    const struct metrics_process *process;
    const struct metrics_plane *planes; /* those that are on */
    unsigned plane_count;
    const char *namespace_name;
};

/* Reads /proc/self; takes well below a millisecond. */
void metrics_read_process(struct metrics_process *ret_process);
/* Append the text. ERR_NOMEM. */
enum err metrics_write(const struct metrics_view *view, struct buf *out) ATTR_MUST_USE;

#endif
