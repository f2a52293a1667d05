/* SPDX-License-Identifier: Apache-2.0 */
/* metrics: the text is what Prometheus' own checker takes, and the numbers are the counters'. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/attr.h"
#include "io/metrics.h"

#define BUILD_LINE "bulkhead_build_info{version=\"" BULKHEAD_VERSION "\"} 1"

static struct counters counters;
static const struct metrics_process process = {
    .resident_bytes = 3 << 20, .cpu_ms = 1234, .start_time_s = 1700000000, .open_fds = 9};
static const struct metrics_plane planes[] = {{"etcd", true}, {"nats", false}};

static char *write_text(void)
{
    const struct metrics_view view = {&counters, &process, planes, 2, "llama-8b/version-A"};
    struct buf out = {0};
    assert_int_equal(metrics_write(&view, &out), ERR_OK);
    char *text = support_string(buf_span(&out));
    buf_deinit(&out);
    return text;
}

static void assert_has_line(const char *text, const char *line)
{
    char want[256];
    snprintf(want, sizeof want, "\n%s\n", line);
    if (strstr(text, want) == NULL)
        fail_msg("no line %s in\n%s", line, text);
}

static void numbers_appear_under_their_names(void **state)
{
    (void)state;
    count(&counters, COUNTER_ETCD_RX_APP, 7);
    count(&counters, COUNTER_REFUSED_CONNS, 1);
    char *text = write_text();
    static const char *const lines[] = {
        "bulkhead_namespace_info{namespace=\"llama-8b/version-A\"} 1",
        "bulkhead_plane_ready{plane=\"etcd\"} 1",
        "bulkhead_plane_ready{plane=\"nats\"} 0",
        "bulkhead_bytes_total{plane=\"etcd\",side=\"app\",direction=\"in\"} 7",
        "bulkhead_refused_connections_total 1",
        "process_resident_memory_bytes 3145728",
        "process_cpu_seconds_total 1.234",
        "process_start_time_seconds 1700000000",
        "process_open_fds 9",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_has_line(text, lines[i]);
    assert_has_line(text, BUILD_LINE);
    free(text);
}

static void histograms_are_cumulative_and_in_seconds(void **state)
{
    (void)state;
    static const uint64_t us[] = {0, 32, 33, 1000, 524288, 524289, 5000000};
    for (size_t i = 0; i < ARRAY_LEN(us); i++)
        count_latency(&counters, LATENCY_ETCD, us[i]);
    char *text = write_text();
    static const char *const lines[] = {
        "bulkhead_latency_seconds_bucket{plane=\"etcd\",le=\"0.000032\"} 2",
        "bulkhead_latency_seconds_bucket{plane=\"etcd\",le=\"0.000064\"} 3",
        "bulkhead_latency_seconds_bucket{plane=\"etcd\",le=\"0.001024\"} 4",
        "bulkhead_latency_seconds_bucket{plane=\"etcd\",le=\"0.524288\"} 5",
        "bulkhead_latency_seconds_bucket{plane=\"etcd\",le=\"+Inf\"} 7",
        "bulkhead_latency_seconds_sum{plane=\"etcd\"} 6.049642",
        "bulkhead_latency_seconds_count{plane=\"etcd\"} 7",
        "bulkhead_latency_seconds_count{plane=\"nats\"} 0",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_has_line(text, lines[i]);
    free(text);
}

/* Every sample has HELP and TYPE before it, once, with a help text. */
static void every_metric_is_introduced_once(void **state)
{
    (void)state;
    char *text = write_text(), name[128] = "";
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            size_t n = strcspn(line + 7, " ");
            snprintf(name, sizeof name, "%.*s", (int)n, line + 7);
            assert_true(strcspn(line + 7 + n, "\n") > 5);
            char head[160];
            snprintf(head, sizeof head, "# HELP %s ", name);
            assert_null(strstr(line + 1, head));
        } else if (*line != '#') {
            assert_int_equal(strncmp(line, name, strlen(name)), 0);
        }
    }
    free(text);
}

static void promtool_takes_it(void **state)
{
    (void)state;
    if (system("command -v promtool >/dev/null 2>&1") != 0)
        skip();
    char *text = write_text();
    FILE *tool = popen("promtool check metrics", "w");
    assert_non_null(tool);
    fputs(text, tool);
    assert_int_equal(pclose(tool), 0);
    free(text);
}

static void the_process_is_read_from_the_kernel(void **state)
{
    (void)state;
    struct metrics_process p, again;
    metrics_read_process(&p);
    assert_true(p.resident_bytes > 4096 && p.resident_bytes < UINT64_C(1) << 40);
    assert_true(p.start_time_s > 1500000000);
    int fd = dup(0);
    metrics_read_process(&again);
    close(fd);
    assert_int_equal(again.open_fds, p.open_fds + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_appear_under_their_names),
        cmocka_unit_test(histograms_are_cumulative_and_in_seconds),
        cmocka_unit_test(every_metric_is_introduced_once),
        cmocka_unit_test(promtool_takes_it),
        cmocka_unit_test(the_process_is_read_from_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
