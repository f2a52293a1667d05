/* SPDX-License-Identifier: Apache-2.0 */
#include "injector_metrics.h"

#include <inttypes.h>

#include "io/metrics.h"

void injector_metrics_count(struct injector_metrics *m, const struct review *r, enum err e,
                            uint64_t us)
{
    unsigned i = 0;
    while (i + 1 < LATENCY_BUCKETS && us > (UINT64_C(32) << i))
        i++;
    m->duration.bucket[i]++;
    m->duration.sum_us += us;
    m->duration_count++;
    if (e != ERR_OK) {
        m->failed++;
    } else if (r->status != 200) {
        m->malformed++;
    } else {
        const struct outcome *o = &r->outcome;
        m->results[o->kind]++;
        m->warnings += o->warnings;
        if (o->kind == OUTCOME_DENIED)
            m->denied[o->reason]++;
        if (o->kind == OUTCOME_INJECTED) {
            m->patches++;
            m->patch_bytes += buf_len(&o->patch);
        }
    }
}

/* ---- the text ---- */

struct text {
    struct buf *out;
    enum err err;
};

static void head(struct text *t, const char *name, const char *type, const char *help)
{
    if (t->err == ERR_OK)
        t->err = buf_printf(t->out,
                            "# HELP bulkhead_injector_%s %s\n# TYPE bulkhead_injector_%s %s\n",
                            name, help, name, type);
}

/* label: "result=\"denied\"", or "". */
static void sample(struct text *t, const char *name, const char *label, const char *value,
                   uint64_t number)
{
    if (t->err != ERR_OK)
        return;
    if (*label == '\0')
        t->err = buf_printf(t->out, "bulkhead_injector_%s %" PRIu64 "\n", name, number);
    else
        t->err = buf_printf(t->out, "bulkhead_injector_%s{%s=\"%s\"} %" PRIu64 "\n", name, label,
                            value, number);
}

static void single(struct text *t, const char *name, const char *type, const char *help,
                   uint64_t number)
{
    head(t, name, type, help);
    sample(t, name, "", "", number);
}

static void put_results(struct text *t, const struct injector_metrics *m)
{
    head(t, "requests_total", "counter", "Reviews, by what became of them.");
    for (unsigned i = 0; i < OUTCOME_KINDS; i++)
        sample(t, "requests_total", "result", outcome_kind_name(i), m->results[i]);
    sample(t, "requests_total", "result", "malformed", m->malformed);
    sample(t, "requests_total", "result", "failed", m->failed);
    head(t, "denied_total", "counter", "Pods that were denied, by reason.");
    for (unsigned i = REASON_NONE + 1; i < REASON_COUNT; i++)
        sample(t, "denied_total", "reason", outcome_reason_name(i), m->denied[i]);
    single(t, "warnings_total", "counter", "Warnings given to whoever made a pod.", m->warnings);
    head(t, "patch_bytes", "summary", "Length of the patches.");
    sample(t, "patch_bytes_sum", "", "", m->patch_bytes);
    sample(t, "patch_bytes_count", "", "", m->patches);
}

static void put_duration(struct text *t, const struct injector_metrics *m)
{
    uint64_t sum = 0;
    head(t, "request_duration_seconds", "histogram",
         "From the last byte of a review to its answer.");
    for (unsigned i = 0; i < LATENCY_BUCKETS && t->err == ERR_OK; i++) {
        sum += m->duration.bucket[i];
        if (i + 1 == LATENCY_BUCKETS)
            t->err = buf_printf(
                t->out,
                "bulkhead_injector_request_duration_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n",
                sum);
        else
            t->err = buf_printf(
                t->out,
                "bulkhead_injector_request_duration_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
                (double)(UINT64_C(32) << i) / 1e6, sum);
    }
    if (t->err == ERR_OK)
        t->err = buf_printf(t->out,
                            "bulkhead_injector_request_duration_seconds_sum %g\n"
                            "bulkhead_injector_request_duration_seconds_count %" PRIu64 "\n",
                            (double)m->duration.sum_us / 1e6, m->duration_count);
}

static void put_process(struct text *t)
{
    struct metrics_process p;
    metrics_read_process(&p);
    if (t->err != ERR_OK)
        return;
    t->err = buf_printf(t->out,
                        "# HELP process_resident_memory_bytes Resident memory.\n"
                        "# TYPE process_resident_memory_bytes gauge\n"
                        "process_resident_memory_bytes %" PRIu64 "\n"
                        "# HELP process_cpu_seconds_total CPU time, user and system.\n"
                        "# TYPE process_cpu_seconds_total counter\n"
                        "process_cpu_seconds_total %.3f\n"
                        "# HELP process_start_time_seconds Start, since the epoch.\n"
                        "# TYPE process_start_time_seconds gauge\n"
                        "process_start_time_seconds %" PRIu64 "\n"
                        "# HELP process_open_fds Open file descriptors.\n"
                        "# TYPE process_open_fds gauge\n"
                        "process_open_fds %u\n",
                        p.resident_bytes, (double)p.cpu_ms / 1000, p.start_time_s, p.open_fds);
}

enum err injector_metrics_write(const struct injector_metrics *m, struct buf *out)
{
    struct text t = {out, ERR_OK};
    head(&t, "build_info", "gauge", "Always 1; the version in a label.");
    sample(&t, "build_info", "version", BULKHEAD_VERSION, 1);
    put_results(&t, m);
    put_duration(&t, m);
    single(&t, "certificate_expiry_timestamp_seconds", "gauge",
           "When the webhook's certificate ends, since the epoch; 0 = unknown.",
           m->certificate_not_after < 0 ? 0 : (uint64_t)m->certificate_not_after);
    single(&t, "config_reloads_total", "counter", "Configurations that were taken after the first.",
           m->reloads);
    single(&t, "config_reload_failures_total", "counter",
           "Configurations that could not be used; the last good one stays.", m->reload_failures);
    single(&t, "config_last_reload_failed", "gauge", "1 if the file cannot be used as it is now.",
           m->last_reload_failed);
    single(&t, "connections", "gauge", "Connections to the webhook that are open now.",
           m->webhook.connections);
    single(&t, "connections_total", "counter", "Connections to the webhook.",
           m->webhook.connections_total);
    single(&t, "tls_failures_total", "counter", "TLS handshakes that failed.", m->tls_failures);
    single(&t, "http_refused_total", "counter", "Requests that were refused before they were read.",
           m->webhook.refused_total);
    single(&t, "http_timeouts_total", "counter", "Requests that did not come whole in time.",
           m->webhook.timeouts_total);
    put_process(&t);
    return t.err;
}
