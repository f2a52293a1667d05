/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The injector with the n-th allocation failing, for every n: a review is answered as it would have
 * been or not at all (ERR_NOMEM, which the webhook answers with 500); behind the HTTP server one
 * connection ends at worst, and the next one is served.
 */
#include <stdlib.h>

#include "fault/alloc.h"

#include "fault/wait.h"
#include "inject/review.h"
#include "inject/workload.h"
#include "io/tcp.h"
#include "io/web.h"

static const char config_text[] =
    "{\"image\":\"i/b:1\",\"etcd-upstream\":[\"e:2379\"],\"nats-upstream\":[\"n:4222\"],\"tier\":"
    "\"redirect\",\"host-names\":[\"h\"],\"dynamo-discovery\":\"etcd\",\"sidecar-volumes\":[{"
    "\"name\":\"v\",\"secret\":{\"secretName\":\"s\"}}],\"sidecar-volume-mounts\":[{\"name\":\"v\","
    "\"mountPath\":\"/v\"}]}";
/* A pod that came with half a sidecar, so that everything is looked at, put in and put right. */
static const char review_text[] =
    "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\",\"request\":{\"uid\":"
    "\"u\",\"kind\":{\"group\":\"\",\"kind\":\"Pod\"},\"namespace\":\"k\",\"operation\":\"CREATE\","
    "\"object\":{\"metadata\":{\"labels\":{\"bulkhead.dev/inject\":\"true\"},\"annotations\":{"
    "\"bulkhead.dev/status\":\"{}\",\"bulkhead.dev/namespace\":\"a/b\"}},\"spec\":{"
    "\"initContainers\":[{\"name\":\"early\"},{\"name\":\"bulkhead\",\"env\":[{\"name\":\"X\"}]}],"
    "\"containers\":[{\"name\":\"main\",\"args\":[\"--request-plane\",\"tcp\"],\"env\":[{\"name\":"
    "\"DYN_DISCOVERY_BACKEND\",\"value\":\"kubernetes\"},{\"name\":\"NATS_SERVER\",\"valueFrom\":"
    "{}}]}]}}}}";

static struct inject_config config;

static int start(void **state)
{
    (void)state;
    return inject_config_parse(&config, span_str(config_text)) == ERR_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    inject_config_deinit(&config);
    return 0;
}

static void a_review_is_answered_whole_or_not_at_all(void **state)
{
    (void)state;
    struct review whole = {0};
    assert_int_equal(review_answer(&config, span_str(review_text), false, &whole), ERR_OK);
    assert_int_equal(whole.outcome.kind, OUTCOME_INJECTED);
    unsigned n = 0, failed = 0;
    do {
        struct review r = {0};
        alloc_fail_at(++n);
        enum err e = review_answer(&config, span_str(review_text), false, &r);
        bool has_failed = alloc_state.has_failed;
        alloc_fail_at(0);
        if (e == ERR_OK)
            assert_true(span_eq(buf_span(&r.body), buf_span(&whole.body)));
        else
            assert_int_equal(e, ERR_NOMEM);
        failed += e != ERR_OK;
        review_deinit(&r);
        if (!has_failed)
            break;
    } while (n < 100000);
    print_message("%u allocations, %u of them needed\n", n - 1, failed);
    assert_true(failed > 20);
    review_deinit(&whole);
}

static void a_configuration_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    bool has_failed = true;
    for (unsigned n = 1; has_failed; n++) {
        struct inject_config c = {0};
        alloc_fail_at(n);
        enum err e = inject_config_parse(&c, span_str(config_text));
        has_failed = alloc_state.has_failed;
        alloc_fail_at(0);
        assert_true(e == ERR_OK ? strcmp(c.hash, config.hash) == 0 : e == ERR_NOMEM);
        inject_config_deinit(&c);
    }
}

/* ---- Lists ---- */

/* A List of n Deployments, as one line of JSON or as YAML. */
static void write_list(struct buf *out, unsigned n, bool is_json)
{
    assert_int_equal(
        buf_printf(out, is_json ? "{\"kind\":\"List\",\"items\":[" : "kind: List\nitems:\n"),
        ERR_OK);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(
            buf_printf(out,
                       is_json ? "%s{\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d%u\"},"
                                 "\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":"
                                 "\"main\"}]}}}}"
                               : "%s- kind: Deployment\n  metadata:\n    name: d%u\n  spec:\n    "
                                 "template:\n      spec:\n        containers:\n        - name: "
                                 "main\n",
                       is_json && i != 0 ? "," : "", i),
            ERR_OK);
    if (is_json)
        assert_int_equal(buf_printf(out, "]}"), ERR_OK);
}

/* What injecting it allocates; each item is injected. */
static size_t bytes_for(unsigned n, bool is_json)
{
    struct buf text = {0}, out = {0};
    struct workload_report report;
    write_list(&text, n, is_json);
    size_t before = alloc_state.bytes;
    assert_int_equal(workload_inject(&config, buf_span(&text), SPAN_LIT("k"), &out, &report),
                     ERR_OK);
    size_t bytes = alloc_state.bytes - before;
    assert_int_equal(report.injected, n);
    workload_report_deinit(&report);
    buf_deinit(&text);
    buf_deinit(&out);
    return bytes;
}

/* Each item was once injected as a change of the whole List, which was copied and compared for it:
 * eight times the items cost sixty times as much. */
static void a_list_costs_what_its_items_cost(void **state)
{
    (void)state;
    for (int is_json = 0; is_json < 2; is_json++) {
        size_t few = bytes_for(64, is_json), many = bytes_for(512, is_json);
        print_message("%s: %zu bytes for 64 items, %zu for 512\n", is_json ? "JSON" : "YAML", few,
                      many);
        assert_true(many < 10 * few);
    }
}

/* ---- behind the HTTP server ---- */

struct client {
    struct tcp tcp; /* first: handlers cast */
    char in[64];    /* the beginning of the answer */
    size_t n;
    bool connected, ended, closed;
};

static void on_connected(struct tcp *t)
{
    ((struct client *)t)->connected = true;
    tcp_read(t, true);
}

static void on_read(struct tcp *t, struct span in)
{
    struct client *c = (struct client *)t;
    struct span part = span_head(in, sizeof c->in - 1 - c->n);
    if (part.n != 0)
        memcpy(c->in + c->n, part.p, part.n);
    c->n += part.n;
}

static void on_end(struct tcp *t, int status)
{
    (void)status;
    ((struct client *)t)->ended = true;
}

static void on_closed(struct tcp *t)
{
    ((struct client *)t)->closed = true;
}

static void on_drained(struct tcp *t)
{
    (void)t;
}

static const struct tcp_handler handler = {.on_connected = on_connected,
                                           .on_read = on_read,
                                           .on_drained = on_drained,
                                           .on_end = on_end,
                                           .on_closed = on_closed};

/* As the webhook does it, without the program around. */
static void answer(void *arg, const struct web_request *q, struct web_answer *ret_answer)
{
    (void)arg;
    struct review r = {0};
    if (review_answer(&config, q->body, false, &r) == ERR_OK) {
        ret_answer->status = r.status;
        ret_answer->body = r.body;
        r.body = (struct buf){0};
    } else {
        ret_answer->status = 500;
    }
    review_deinit(&r);
}

/* One connection, one review. The status of its answer; 0: the connection ended without one. */
static int ask(struct loop *l, const struct addr *at, unsigned n, bool *ret_failed)
{
    struct client c = {.n = 0};
    char head[128];
    int head_n = snprintf(head, sizeof head,
                          "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: "
                          "%zu\r\n\r\n",
                          sizeof review_text - 1);
    alloc_state.paused++;
    assert_int_equal(tcp_dial(&c.tcp, l, at, &handler), ERR_OK);
    alloc_state.paused--;
    alloc_fail_at(n);
    WAIT_FOR(l, c.connected || c.ended);
    alloc_state.paused++;
    if (!c.ended)
        (void)(tcp_write(&c.tcp, span_of(head, (size_t)head_n)) == ERR_OK &&
               tcp_write(&c.tcp, span_str(review_text)) == ERR_OK);
    alloc_state.paused--;
    WAIT_FOR(l, c.ended);
    *ret_failed = alloc_state.has_failed;
    alloc_fail_at(0);
    tcp_close(&c.tcp);
    WAIT_FOR(l, c.closed);
    return c.n < 12 ? 0 : (int)strtol(c.in + 9, NULL, 10);
}

static void one_connection_ends_at_worst_and_the_next_is_served(void **state)
{
    (void)state;
    struct loop l;
    struct web *web = NULL;
    struct buf error = {0};
    const struct addr any = {.kind = ADDR_TCP, .host = "127.0.0.1"};
    const struct web_options options = {.listen = &any,
                                        .listens = 1,
                                        .option = "--listen",
                                        .body_max = 65536,
                                        .max_connections = 4,
                                        .idle_ms = 60000,
                                        .answer = answer};
    assert_int_equal(loop_init(&l), ERR_OK);
    assert_int_equal(web_open(&l, &options, &web, &error), ERR_OK);
    const struct addr at = web_addr(web);
    bool has_failed = true;
    unsigned seen[3] = {0}; /* nothing, 500 or 503, 200 */
    for (unsigned n = 1; has_failed; n++) {
        int status = ask(&l, &at, n, &has_failed);
        assert_true(status == 0 || status == 200 || status == 500 || status == 503);
        assert_true(has_failed || status == 200);
        seen[status == 0 ? 0 : status == 200 ? 2 : 1]++;
    }
    bool failed;
    assert_int_equal(ask(&l, &at, 0, &failed), 200);
    assert_int_equal(web_stats(web)->connections, 0);
    print_message("%u without an answer, %u with 500 or 503, %u with 200\n", seen[0], seen[1],
                  seen[2]);
    assert_true(seen[1] > 20);
    web_close(&web);
    assert_int_equal(loop_deinit(&l), 0);
    buf_deinit(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_review_is_answered_whole_or_not_at_all),
        cmocka_unit_test(a_configuration_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_list_costs_what_its_items_cost),
        cmocka_unit_test(one_connection_ends_at_worst_and_the_next_is_served),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
