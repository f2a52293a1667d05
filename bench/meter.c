/* SPDX-License-Identifier: Apache-2.0 */
#include "meter.h"

#include "proc_cpu.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

void meter_begin(struct meter *m)
{
    hist_init(&m->hist);
    m->phase = METER_WARM;
    m->phase_end_ns = now_ns() + m->warm_ms * 1000000u;
}

/* Both edges: the clocks' difference to the edge before, which for RUN is its length. */
static void read_cpu(struct meter *m)
{
    for (unsigned i = 0; i < m->pids.n; i++) {
        m->cpu_ns[i] = proc_cpu_ns(m->pids.pid[i]) - m->cpu_ns[i];
    }
    m->self_cpu_ns = proc_cpu_ns(getpid()) - m->self_cpu_ns;
}

void meter_end(struct meter *m)
{
    if (m->phase != METER_RUN) {
        return;
    }
    m->run_end_ns = now_ns();
    read_cpu(m);
    m->phase = METER_DRAIN;
}

void meter_step(struct meter *m)
{
    if (m->phase == METER_DRAIN || now_ns() < m->phase_end_ns) {
        return;
    }
    if (m->phase == METER_RUN) {
        meter_end(m);
        return;
    }
    read_cpu(m);
    m->run_start_ns = now_ns();
    m->phase_end_ns = m->run_start_ns + m->run_ms * 1000000u;
    m->phase = METER_RUN;
}

void meter_done(struct meter *m, uint64_t n, uint64_t took_ns)
{
    if (m->phase != METER_RUN) {
        return;
    }
    m->done += n;
    if (took_ns != 0) {
        hist_add(&m->hist, took_ns);
    }
}

void meter_check(struct meter *m, const char *what)
{
    if (what != NULL) {
        m->wrong++;
        m->wrong_what = what;
    }
}

int meter_print(const struct meter *m)
{
    double seconds = (double)(m->run_end_ns - m->run_start_ns) / 1e9;
    double done = m->done == 0 ? 1 : (double)m->done;
    printf("{\"op\": \"%s\", \"ops\": %" PRIu64 ", \"seconds\": %.4f, \"rate\": %.1f, "
           "\"p50_us\": %.2f, \"p90_us\": %.2f, \"p99_us\": %.2f, \"max_us\": %.1f, "
           "\"wrong\": %" PRIu64 ", \"client_cpu_us\": %.3f, \"cpu_us\": [",
           m->mode, m->done, seconds, seconds > 0 ? (double)m->done / seconds : 0,
           hist_quantile_ns(&m->hist, 0.5) / 1e3, hist_quantile_ns(&m->hist, 0.9) / 1e3,
           hist_quantile_ns(&m->hist, 0.99) / 1e3, (double)m->hist.max_ns / 1e3, m->wrong,
           (double)m->self_cpu_ns / 1e3 / done);
    for (unsigned i = 0; i < m->pids.n; i++) {
        printf("%s%.4f", i == 0 ? "" : ", ", (double)m->cpu_ns[i] / 1e3 / done);
    }
    printf("]}\n");
    if (m->wrong > 0) {
        (void)fprintf(stderr, "%s: %" PRIu64 " wrong, the last: %s\n", m->target, m->wrong,
                      m->wrong_what);
    }
    return m->wrong > 0 ? METER_EXIT_WRONG : 0;
}
