/* SPDX-License-Identifier: Apache-2.0 */
/* admin: probes and scrapes over real sockets, and peers that misbehave. */
#include <stdio.h>
#include <stdlib.h>

#include "fault/end.h"
#include "io/admin.h"
#include "support/alloc_fail.h"

struct world {
    struct loop l;
    struct admin *admin;
    struct addr addr;
    bool etcd_ready, nats_ready;
};

static bool is_ready(const void *arg, const char **ret_why)
{
    *ret_why = "the upstream has not answered";
    return *(const bool *)arg;
}

static void open_world(struct world *w)
{
    *w = (struct world){.etcd_ready = true, .nats_ready = true};
    assert_int_equal(loop_init(&w->l), ERR_OK);
    struct addr any = {.kind = ADDR_TCP, .host = "127.0.0.1"};
    const struct admin_options options = {
        .listen = &any,
        .listens = 1,
        .checks = {{"etcd", is_ready, &w->etcd_ready}, {"nats", is_ready, &w->nats_ready}},
        .check_count = 2,
        .namespace_name = "a/b",
        .option = "--health-listen",
    };
    struct buf error = {0};
    assert_int_equal(admin_open(&w->l, &options, &w->admin, &error), ERR_OK);
    w->addr = admin_addr(w->admin);
    assert_int_not_equal(w->addr.port, 0);
}

static void close_world(struct world *w)
{
    admin_close(&w->admin);
    assert_int_equal(loop_deinit(&w->l), 0);
}

static struct end *dial(struct world *w)
{
    struct end *c = calloc(1, sizeof *c);
    assert_int_equal(tcp_dial(&c->t, &w->l, &w->addr, &end_handler), ERR_OK);
    WAIT_FOR(&w->l, c->connected);
    return c;
}

static void hang_up(struct world *w, struct end *c)
{
    tcp_close(&c->t);
    WAIT_FOR(&w->l, c->closed);
    buf_deinit(&c->in);
    free(c);
}

/* One request on a connection of its own, answered and closed; the answer holds each text. */
static void ask(struct world *w, const char *request, const char *one, const char *other)
{
    struct end *c = dial(w);
    say(c, request);
    WAIT_FOR(&w->l, c->ended);
    if (!has(c, one) || !has(c, other))
        fail_msg("%s: %.*s", request, (int)buf_len(&c->in), (const char *)buf_span(&c->in).p);
    hang_up(w, c);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void probes_say_which_plane_is_missing_what(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    ask(&w, GET("/livez"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n");
    ask(&w, GET("/startupz"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nok\n");
    ask(&w, GET("/readyz?verbose"), "HTTP/1.1 200 OK\r\n",
        "\r\n\r\nready\netcd: ready\nnats: ready\n");
    w.nats_ready = false;
    ask(&w, GET("/readyz"), "HTTP/1.1 503 Service Unavailable\r\n",
        "\r\n\r\nnot ready\netcd: ready\nnats: the upstream has not answered\n");
    ask(&w, GET("/livez"), "HTTP/1.1 200 OK\r\n", "ok\n");
    admin_drain(w.admin);
    ask(&w, GET("/readyz"), "HTTP/1.1 503 Service Unavailable\r\n", "\r\n\r\ndraining\n");
    close_world(&w);
}

static void metrics_come_as_prometheus_text(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    ask(&w, GET("/metrics"), "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n",
        "bulkhead_namespace_info{namespace=\"a/b\"} 1\n");
    close_world(&w);
}

static void other_paths_and_methods_are_told_what_there_is(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    ask(&w, GET("/"), "HTTP/1.1 404 Not Found\r\n", "/livez, /readyz, /startupz and /metrics");
    ask(&w, "POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 405 Method Not Allowed\r\n", "Allow: GET, HEAD\r\n");
    ask(&w, "HEAD /livez HTTP/1.0\r\n\r\n", "Content-Length: 3\r\n", "Connection: close\r\n\r\n");
    close_world(&w);
}

static enum err count_posts(void *arg, const struct web_request *request, struct web_answer *r)
{
    ++*(unsigned *)arg;
    r->status = 202;
    return buf_printf(&r->body, "query %.*s\n", (int)request->query.n,
                      (const char *)request->query.p);
}

static enum err say_hello(void *arg, const struct web_request *request, struct web_answer *r)
{
    (void)arg, (void)request;
    return buf_printf(&r->body, "hello\n");
}

static void the_admin_listener_has_its_owners_pages_and_nothing_else(void **state)
{
    (void)state;
    static const struct admin_page pages[] = {{"/posts", NULL, count_posts},
                                              {"/hello", say_hello, NULL},
                                              {"/both", say_hello, count_posts}};
    struct world w = {0};
    unsigned posts = 0;
    struct addr any = {.kind = ADDR_TCP, .host = "127.0.0.1"};
    const struct admin_options options = {.listen = &any,
                                          .listens = 1,
                                          .option = "--admin-listen",
                                          .pages = pages,
                                          .page_count = ARRAY_LEN(pages),
                                          .arg = &posts};
    static const char none[] = "there is POST /posts, GET /hello, GET and POST /both\n";
    struct buf error = {0};
    assert_int_equal(loop_init(&w.l), ERR_OK);
    assert_int_equal(admin_open(&w.l, &options, &w.admin, &error), ERR_OK);
    w.addr = admin_addr(w.admin);
    ask(&w, GET("/posts"), "HTTP/1.1 405 Method Not Allowed\r\n", "Allow: POST\r\n");
    ask(&w, GET("/livez"), "HTTP/1.1 404 Not Found\r\n", none);
    ask(&w, GET("/metrics"), "HTTP/1.1 404 Not Found\r\n", none);
    ask(&w, GET("/hello/"), "HTTP/1.1 404 Not Found\r\n", none);
    ask(&w, GET("/hello"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nhello\n");
    ask(&w, "DELETE /both HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 405 Method Not Allowed\r\n", "Allow: GET, HEAD, POST\r\n");
    assert_int_equal(posts, 0);
    ask(&w, "POST /both?a=b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 202 Accepted\r\n", "\r\n\r\nquery a=b\n");
    assert_int_equal(posts, 1);
    close_world(&w);
}

static void what_is_not_http_is_refused_and_closed(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    ask(&w, "\x16\x03\x01", "HTTP/1.1 400 Bad Request\r\n", "not an HTTP request");
    ask(&w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 505 ", "HTTP/1.0 and HTTP/1.1");
    ask(&w, "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 501 ", "Connection: close\r\n");
    static char endless[LIMIT_HTTP1_HEAD_BYTES + 100];
    memset(endless, 'a', sizeof endless - 1);
    ask(&w, endless, "HTTP/1.1 414 ", "Connection: close\r\n");
    close_world(&w);
}

static unsigned answers(const struct end *c)
{
    unsigned n = 0;
    char *in = support_string(buf_span(&c->in));
    for (const char *at = strstr(in, "HTTP/1.1 "); at != NULL; at = strstr(at + 1, "HTTP/1.1 "))
        n++;
    free(in);
    return n;
}

static void one_connection_serves_many_requests_whole_cut_or_together(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct end *c = dial(&w);
    say(c, "GET /livez HTTP/1.1\r\nHo");
    say(c, "st: a\r\n\r\n");
    WAIT_FOR(&w.l, answers(c) == 1);
    say(c, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"
           "GET /no HTTP/1.1\r\nHost: a\r\n\r\n");
    WAIT_FOR(&w.l, answers(c) == 4);
    assert_false(c->ended);
    hang_up(&w, c);
    close_world(&w);
}

static void a_flood_of_pipelined_scrapes_is_cut_off(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct end *c = dial(&w);
    for (int i = 0; i < 1000; i++)
        say(c, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    WAIT_FOR(&w.l, c->ended);
    assert_true(answers(c) < 200);
    hang_up(&w, c);
    ask(&w, GET("/livez"), "HTTP/1.1 200 OK\r\n", "ok\n");
    close_world(&w);
}

static void connections_over_the_limit_are_closed_and_the_rest_goes_on(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct end *c[LIMIT_HEALTH_CONNECTIONS + 2];
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        c[i] = dial(&w);
    WAIT_FOR(&w.l, c[ARRAY_LEN(c) - 1]->ended && c[ARRAY_LEN(c) - 2]->ended);
    say(c[0], GET("/livez"));
    WAIT_FOR(&w.l, answers(c[0]) == 1);
    for (size_t i = 0; i < ARRAY_LEN(c); i++)
        hang_up(&w, c[i]);
    ask(&w, GET("/livez"), "HTTP/1.1 200 OK\r\n", "ok\n");
    close_world(&w);
}

static void closing_the_admin_ends_its_connections(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct end *c = dial(&w);
    say(c, "GET /livez HT");
    admin_close(&w.admin);
    WAIT_FOR(&w.l, c->ended);
    hang_up(&w, c);
    assert_int_equal(loop_deinit(&w.l), 0);
}

/* Without memory a connection is closed; the next one is served as if nothing had been. */
static void a_failing_allocation_ends_one_connection_at_most(void **state)
{
    (void)state;
    if (!alloc_fail_works)
        skip();
    struct world w;
    open_world(&w);
    bool all_done = false;
    for (unsigned long n = 1; !all_done; n++) {
        struct end *c = dial(&w);
        assert_int_equal(buf_reserve(&c->in, 256 * 1024), ERR_OK); /* the client needs none */
        say(c, "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n");
        WAIT_FOR(&w.l, answers(c) == 1); /* it was accepted */
        alloc_fail_at = n;
        say(c, GET("/metrics"));
        while (!c->ended)
            uv_run(&w.l.uv, UV_RUN_ONCE);
        all_done = alloc_fail_at != 0;
        alloc_fail_at = 0;
        assert_true(!all_done || answers(c) == 2);
        hang_up(&w, c);
    }
    ask(&w, GET("/livez"), "HTTP/1.1 200 OK\r\n", "ok\n");
    close_world(&w);
}

static void an_address_in_use_is_named_with_its_option(void **state)
{
    (void)state;
    struct world w;
    open_world(&w);
    struct admin *second = NULL;
    const struct admin_options options = {
        .listen = &w.addr, .listens = 1, .option = "--health-listen"};
    struct buf error = {0};
    assert_int_equal(admin_open(&w.l, &options, &second, &error), ERR_CONFIG);
    assert_null(second);
    char *text = support_string(buf_span(&error));
    assert_non_null(strstr(text, "is in use"));
    assert_non_null(strstr(text, "--health-listen"));
    free(text);
    buf_deinit(&error);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probes_say_which_plane_is_missing_what),
        cmocka_unit_test(metrics_come_as_prometheus_text),
        cmocka_unit_test(other_paths_and_methods_are_told_what_there_is),
        cmocka_unit_test(the_admin_listener_has_its_owners_pages_and_nothing_else),
        cmocka_unit_test(what_is_not_http_is_refused_and_closed),
        cmocka_unit_test(one_connection_serves_many_requests_whole_cut_or_together),
        cmocka_unit_test(a_flood_of_pipelined_scrapes_is_cut_off),
        cmocka_unit_test(connections_over_the_limit_are_closed_and_the_rest_goes_on),
        cmocka_unit_test(closing_the_admin_ends_its_connections),
        cmocka_unit_test(a_failing_allocation_ends_one_connection_at_most),
        cmocka_unit_test(an_address_in_use_is_named_with_its_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
