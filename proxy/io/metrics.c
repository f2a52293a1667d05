/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - build, planes, gauges, counters.def, histograms, process. */
#include "io/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name, *labels, *help;
} counter_table[COUNTER_COUNT] = {
#define COUNTER(id, name, labels, help) [COUNTER_##id] = {name, labels, help},
#include "base/counters.def"
#undef COUNTER
};

static const struct {
    const char *name, *labels, *help;
} gauge_table[GAUGE_COUNT] = {
    [GAUGE_ETCD_CONNS] = {"bulkhead_open_connections", "plane=\"etcd\"",
                          "Connections of applications that are open now."},
    [GAUGE_NATS_CONNS] = {"bulkhead_open_connections", "plane=\"nats\"", ""},
    [GAUGE_ETCD_STREAMS] = {"bulkhead_open_streams", "plane=\"etcd\"",
                            "HTTP/2 streams (calls) of applications that are open now."},
    [GAUGE_ETCD_TRUSTED] = {"bulkhead_trusted", "plane=\"etcd\"",
                            "1 if the profile is trusted: nothing of etcd is denied."},
    [GAUGE_PATTERNS_MISMATCH] = {"bulkhead_view_patterns_mismatch", "",
                                 "1 if view-requests or view-events are not those of the "
                                 "installation's first sidecar."},
};

static const char *const latency_plane[LATENCY_COUNT] = {
    [LATENCY_ETCD] = "etcd",
    [LATENCY_NATS] = "nats",
};

static enum err put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    return buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name{labels}, or name alone. */
static enum err put_name(struct buf *out, const char *name, const char *labels)
{
    return buf_printf(out, *labels == '\0' ? "%s%s " : "%s{%s} ", name, labels);
}

static enum err put_build(const struct metrics_view *v, struct buf *out)
{
    enum err e = put_head(out, "bulkhead_build_info", "gauge", "Always 1; the version in a label.");
    if (e == ERR_OK)
        e = buf_printf(out, "bulkhead_build_info{version=\"%s\"} 1\n", BULKHEAD_VERSION);
    if (e == ERR_OK)
        e = put_head(out, "bulkhead_namespace_info", "gauge",
                     "Always 1; the namespace of this sidecar in a label.");
    if (e == ERR_OK) /* a namespace holds nothing that a label's value must escape */
        e = buf_printf(out, "bulkhead_namespace_info{namespace=\"%s\"} 1\n", v->namespace_name);
    return e;
}

static enum err put_planes(const struct metrics_view *v, struct buf *out)
{
    if (v->plane_count == 0)
        return ERR_OK;
    enum err e = put_head(out, "bulkhead_plane_ready", "gauge",
                          "1 if the plane's upstream is usable, else 0.");
    for (unsigned i = 0; i < v->plane_count && e == ERR_OK; i++)
        e = buf_printf(out, "bulkhead_plane_ready{plane=\"%s\"} %d\n", v->planes[i].name,
                       v->planes[i].is_ready);
    return e;
}

static enum err put_gauges(const struct counters *c, struct buf *out)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < GAUGE_COUNT && e == ERR_OK; i++) {
        const char *name = gauge_table[i].name;
        if (i == 0 || strcmp(name, gauge_table[i - 1].name) != 0)
            e = put_head(out, name, "gauge", gauge_table[i].help);
        if (e == ERR_OK)
            e = put_name(out, name, gauge_table[i].labels);
        if (e == ERR_OK)
            e = buf_printf(out, "%" PRId64 "\n", c->gauge[i]);
    }
    return e;
}

static enum err put_counters(const struct counters *c, struct buf *out)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < COUNTER_COUNT && e == ERR_OK; i++) {
        const char *name = counter_table[i].name;
        if (i == 0 || strcmp(name, counter_table[i - 1].name) != 0)
            e = put_head(out, name, "counter", counter_table[i].help);
        if (e == ERR_OK)
            e = put_name(out, name, counter_table[i].labels);
        if (e == ERR_OK)
            e = buf_printf(out, "%" PRIu64 "\n", c->n[i]);
    }
    return e;
}

/* Microseconds as seconds, exactly. */
static enum err put_seconds(struct buf *out, uint64_t us)
{
    return buf_printf(out, "%" PRIu64 ".%06u", us / 1000000, (unsigned)(us % 1000000));
}

#define LATENCY_NAME "bulkhead_latency_seconds"

static enum err put_bucket(struct buf *out, const char *plane, unsigned i, uint64_t n)
{
    enum err e = buf_printf(out, LATENCY_NAME "_bucket{plane=\"%s\",le=\"", plane);
    if (e == ERR_OK && i + 1 < LATENCY_BUCKETS)
        e = put_seconds(out, UINT64_C(32) << i);
    else if (e == ERR_OK)
        e = buf_printf(out, "+Inf");
    return e == ERR_OK ? buf_printf(out, "\"} %" PRIu64 "\n", n) : e;
}

/* Buckets are counted one by one and shown cumulative. */
static enum err put_latency(const struct counters *c, struct buf *out)
{
    enum err e = put_head(out, LATENCY_NAME, "histogram",
                          "etcd: from a unary call to its answer. NATS: from the dial for an "
                          "application's connection to the server's INFO.");
    for (unsigned id = 0; id < LATENCY_COUNT && e == ERR_OK; id++) {
        const struct histogram *h = &c->latency[id];
        uint64_t n = 0;
        for (unsigned i = 0; i < LATENCY_BUCKETS && e == ERR_OK; i++) {
            n += h->bucket[i];
            e = put_bucket(out, latency_plane[id], i, n);
        }
        if (e == ERR_OK)
            e = buf_printf(out, LATENCY_NAME "_sum{plane=\"%s\"} ", latency_plane[id]);
        if (e == ERR_OK)
            e = put_seconds(out, h->sum_us);
        if (e == ERR_OK)
            e = buf_printf(out, "\n" LATENCY_NAME "_count{plane=\"%s\"} %" PRIu64 "\n",
                           latency_plane[id], n);
    }
    return e;
}

static enum err put_number(struct buf *out, const char *name, const char *type, const char *help,
                           uint64_t n)
{
    enum err e = put_head(out, name, type, help);
    return e == ERR_OK ? buf_printf(out, "%s %" PRIu64 "\n", name, n) : e;
}

static enum err put_process(const struct metrics_process *p, struct buf *out)
{
    enum err e = put_number(out, "process_resident_memory_bytes", "gauge",
                            "Resident memory size in bytes.", p->resident_bytes);
    if (e == ERR_OK)
        e = put_head(out, "process_cpu_seconds_total", "counter",
                     "Total user and system CPU time spent in seconds.");
    if (e == ERR_OK)
        e = buf_printf(out, "process_cpu_seconds_total %" PRIu64 ".%03u\n", p->cpu_ms / 1000,
                       (unsigned)(p->cpu_ms % 1000));
    if (e == ERR_OK)
        e = put_number(out, "process_start_time_seconds", "gauge",
                       "Start time of the process since the epoch in seconds.", p->start_time_s);
    if (e == ERR_OK)
        e = put_number(out, "process_open_fds", "gauge", "Number of open file descriptors.",
                       p->open_fds);
    return e;
}

enum err metrics_write(const struct metrics_view *v, struct buf *out)
{
    enum err e = put_build(v, out);
    if (e == ERR_OK)
        e = put_planes(v, out);
    if (e == ERR_OK)
        e = put_gauges(v->counters, out);
    if (e == ERR_OK)
        e = put_counters(v->counters, out);
    if (e == ERR_OK)
        e = put_latency(v->counters, out);
    return e == ERR_OK ? put_process(v->process, out) : e;
}

/* ---- /proc ---- */

/* The file as a string; "" if it cannot be read. */
static void read_text(const char *path, char *text, size_t size)
{
    ssize_t n = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, size - 1);
        close(fd);
    }
    text[n < 0 ? 0 : n] = '\0';
}

/* proc(5) /proc/pid/stat: field n, counted from 1, n > 2. The name in field 2 may hold blanks and
 * parentheses; the last ')' ends it. */
static uint64_t stat_field(const char *stat, unsigned n)
{
    const char *at = strrchr(stat, ')');
    for (unsigned i = 2; at != NULL && i < n; i++) {
        at = strchr(at, ' ');
        at = at == NULL ? NULL : at + 1;
    }
    return at == NULL ? 0 : strtoull(at, NULL, 10);
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL)
        return 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        n += e->d_name[0] != '.';
    closedir(d);
    return n == 0 ? 0 : n - 1; /* without d's own */
}

void metrics_read_process(struct metrics_process *ret_process)
{
    enum { FIELD_UTIME = 14, FIELD_STIME = 15, FIELD_STARTTIME = 22, FIELD_RSS = 24 };
    char stat[1024], system[4096];
    read_text("/proc/self/stat", stat, sizeof stat);
    read_text("/proc/stat", system, sizeof system);
    const char *btime = strstr(system, "\nbtime ");
    char uptime[64];
    read_text("/proc/uptime", uptime, sizeof uptime);
    uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t ticks = stat_field(stat, FIELD_UTIME) + stat_field(stat, FIELD_STIME);
    /* With many processors btime lies beyond what was read; the uptime gives the same second. */
    uint64_t boot = btime != NULL ? strtoull(btime + 7, NULL, 10)
                                  : (uint64_t)time(NULL) - strtoull(uptime, NULL, 10);
    *ret_process = (struct metrics_process){
        .resident_bytes = stat_field(stat, FIELD_RSS) * (uint64_t)sysconf(_SC_PAGESIZE),
        .cpu_ms = ticks * 1000 / hz,
        .start_time_s = boot + stat_field(stat, FIELD_STARTTIME) / hz,
        .open_fds = count_fds(),
    };
}
