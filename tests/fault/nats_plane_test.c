/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NATS plane between real sockets: the real nats-server where the protocol matters, a listener
 * of our own where an upstream must misbehave. Every test ends with loop_deinit() == 0.
 */
#include "io/nats_plane.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "fault/nats_world.h"

/* ---- with the real server ---- */

static void members_of_one_namespace_hear_each_other_and_nobody_else_does(void **state)
{
    (void)state;
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, NULL);
    plane_open(w, 0, "a/b", &w->server.addr, 1);
    plane_open(w, 1, "a", &w->server.addr, 1);
    struct end *pub = &w->client[0], *sub = &w->client[1], *other = &w->client[2],
               *raw = &w->client[3];
    dial_plane(w, pub, 0);
    dial_plane(w, sub, 0);
    dial_plane(w, other, 1);
    dial(w, raw, w->server.addr);
    join(w, pub);
    join(w, sub);
    join(w, other);
    join(w, raw);
    say(sub, "SUB foo.* 7\r\n");
    say(other, "SUB > 1\r\n");
    say(raw, "SUB > 1\r\n");
    barrier(w, sub);
    barrier(w, other);
    barrier(w, raw);
    say(pub, "PUB foo.bar _INBOX.x 5\r\nhello\r\n");
    hear(&w->l, sub, "MSG foo.bar 7 _INBOX.x 5\r\nhello\r\n");
    hear(&w->l, raw, "MSG bh.e.a.b.~.~.foo.bar 1 bh.e.a.b.~.~._INBOX.x 5\r\nhello\r\n");
    barrier(w, other);
    assert_false(has(other, "MSG"));
    assert_true(is_ready(w, 0) && is_ready(w, 1));
    assert_int_equal(w->l.counters.n[COUNTER_NATS_CONNS], 3);
    assert_int_equal(w->l.counters.gauge[GAUGE_NATS_CONNS], 3);
    assert_int_equal(w->l.connections, 3);
    uint64_t greetings = 0;
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        greetings += w->l.counters.latency[LATENCY_NATS].bucket[i];
    assert_int_equal(greetings, 3);
    world_end(w);
}

static void the_listener_is_what_info_shows(void **state)
{
    (void)state;
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, NULL);
    plane_open(w, 0, "default", &w->server.addr, 1);
    dial_plane(w, &w->client[0], 0);
    char port[32];
    snprintf(port, sizeof port, "\"port\":%u", nats_plane_addr(w->plane[0]).port);
    WAIT_FOR(&w->l, has(&w->client[0], "\r\n"));
    assert_true(has(&w->client[0], "\"host\":\"127.0.0.1\""));
    assert_true(has(&w->client[0], port));
    world_end(w);
}

static void a_message_of_1_mib_passes_whole(void **state)
{
    (void)state;
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, NULL);
    plane_open(w, 0, "a/b", &w->server.addr, 1);
    dial_plane(w, &w->client[0], 0);
    dial_plane(w, &w->client[1], 0);
    join(w, &w->client[0]);
    join(w, &w->client[1]);
    say(&w->client[1], "SUB big 1\r\n");
    barrier(w, &w->client[1]);
    uint8_t *payload = malloc(MIB);
    assert_non_null(payload);
    for (size_t i = 0; i < MIB; i++)
        payload[i] = (uint8_t)(i % 251);
    say(&w->client[0], "PUB big 1048576\r\n");
    assert_int_equal(tcp_write(&w->client[0].t, span_of(payload, MIB)), ERR_OK);
    say(&w->client[0], "\r\nPING\r\n");
    hear(&w->l, &w->client[1], "MSG big 1 1048576\r\n");
    WAIT_FOR(&w->l, buf_len(&w->client[1].in) == MIB + 2);
    assert_true(memcmp(buf_span(&w->client[1].in).p, payload, MIB) == 0);
    hear(&w->l, &w->client[0], "PONG\r\n");
    free(payload);
    world_end(w);
}

static void what_an_application_said_last_still_arrives(void **state)
{
    (void)state;
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, NULL);
    plane_open(w, 0, "a", &w->server.addr, 1);
    dial_plane(w, &w->client[0], 0);
    dial_plane(w, &w->client[1], 0);
    join(w, &w->client[0]);
    join(w, &w->client[1]);
    say(&w->client[1], "SUB last 1\r\n");
    barrier(w, &w->client[1]);
    say(&w->client[0], "PUB last 5\r\nwords\r\n");
    tcp_close_when_sent(&w->client[0].t);
    hear(&w->l, &w->client[1], "MSG last 1 5\r\nwords\r\n");
    WAIT_FOR(&w->l, w->l.counters.gauge[GAUGE_NATS_CONNS] == 1);
    world_end(w);
}

static void a_killed_server_closes_applications_and_a_new_one_serves_again(void **state)
{
    (void)state;
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, NULL);
    struct addr up = w->server.addr;
    plane_open(w, 0, "a", &up, 1);
    dial_plane(w, &w->client[0], 0);
    join(w, &w->client[0]);
    nats_server_kill(&w->server);
    WAIT_FOR(&w->l, w->client[0].ended);
    WAIT_FOR(&w->l, !is_ready(w, 0));
    dial_plane(w, &w->client[1], 0); /* refused upstream: closed at once */
    WAIT_FOR(&w->l, w->client[1].ended);
    assert_true(w->l.counters.n[COUNTER_NATS_DIAL_FAIL] > 0);
    nats_server_start(&w->l, &w->server, up.port, NULL);
    WAIT_FOR(&w->l, is_ready(w, 0)); /* the probe saw it, nobody asked */
    dial_plane(w, &w->client[2], 0);
    join(w, &w->client[2]);
    world_end(w);
}

static void a_refused_dial_tries_the_next_server_at_once(void **state)
{
    (void)state;
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, NULL);
    struct addr dead = fake_open(w, "");
    listener_close(&w->fake);
    uv_run(&w->l.uv, UV_RUN_DEFAULT);
    const struct addr ups[] = {dead, w->server.addr};
    plane_open(w, 0, "a", ups, 2);
    dial_plane(w, &w->client[0], 0);
    join(w, &w->client[0]);
    uint64_t failures = w->l.counters.n[COUNTER_NATS_DIAL_FAIL];
    dial_plane(w, &w->client[1], 0); /* begins with the good one */
    join(w, &w->client[1]);
    assert_int_equal(w->l.counters.n[COUNTER_NATS_DIAL_FAIL], failures);
    world_end(w);
}

static void credentials_come_from_the_url(void **state)
{
    (void)state;
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, "--auth=s3cret");
    struct addr with = w->server.addr, without = w->server.addr;
    snprintf(with.user, sizeof with.user, "s3cret");
    plane_open(w, 0, "a", &with, 1);
    plane_open(w, 1, "a", &without, 1);
    dial_plane(w, &w->client[0], 0);
    join(w, &w->client[0]);
    dial_plane(w, &w->client[1], 1);
    hear(&w->l, &w->client[1], "\r\n");
    say(&w->client[1], CONNECT "PING\r\n");
    hear(&w->l, &w->client[1], "-ERR 'Authorization Violation'\r\n");
    WAIT_FOR(&w->l, w->client[1].ended);
    world_end(w);
}

static void http_on_the_nats_port_gets_an_error_and_only_that_connection_ends(void **state)
{
    (void)state;
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, NULL);
    plane_open(w, 0, "a", &w->server.addr, 1);
    dial_plane(w, &w->client[0], 0);
    dial_plane(w, &w->client[1], 0);
    join(w, &w->client[0]);
    say(&w->client[1], "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    hear(&w->l, &w->client[1], "-ERR 'Unknown Protocol Operation'\r\n");
    WAIT_FOR(&w->l, w->client[1].ended);
    assert_int_equal(w->l.counters.n[COUNTER_BAD_NATS_APP], 1);
    barrier(w, &w->client[0]);
    world_end(w);
}

static void many_idle_connections_are_small(void **state)
{
    (void)state;
    enum { IDLE = 200 };
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, NULL);
    plane_open(w, 0, "team-a/llama-8b", &w->server.addr, 1);
    struct end *idle = calloc(IDLE, sizeof *idle);
    assert_non_null(idle);
    dial_plane(w, &w->client[0], 0);
    join(w, &w->client[0]);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < IDLE; i++) {
        dial_plane(w, &idle[i], 0);
        join(w, &idle[i]);
        say(&idle[i], "SUB foo 1\r\n");
        barrier(w, &idle[i]);
        buf_deinit(&idle[i].in);
    }
    /* Both ends live in this process, but the test's are not on the heap. */
    size_t each = (mallinfo2().uordblks - before) / IDLE;
    print_message("%zu bytes of heap per idle NATS connection\n", each);
    assert_true(each < 6 * 1024);
    for (int i = 0; i < IDLE; i++)
        tcp_close(&idle[i].t);
    WAIT_FOR(&w->l, w->l.counters.gauge[GAUGE_NATS_CONNS] == 1);
    for (int i = 0; i < IDLE; i++)
        WAIT_FOR(&w->l, idle[i].closed);
    free(idle);
    world_end(w);
}

static void draining_takes_nobody_new_and_lets_the_others_finish(void **state)
{
    (void)state;
    struct world *w = world_new();
    nats_server_start(&w->l, &w->server, 0, NULL);
    plane_open(w, 0, "a", &w->server.addr, 1);
    struct addr a = nats_plane_addr(w->plane[0]);
    dial_plane(w, &w->client[0], 0);
    join(w, &w->client[0]);
    nats_plane_drain(w->plane[0]);
    assert_false(nats_plane_is_idle(w->plane[0]));
    uv_run(&w->l.uv, UV_RUN_NOWAIT);
    assert_int_equal(tcp_dial(&w->client[1].t, &w->l, &a, &end_handler), ERR_OK);
    WAIT_FOR(&w->l, w->client[1].ended);
    assert_false(w->client[1].connected);
    barrier(w, &w->client[0]);
    tcp_close(&w->client[0].t);
    WAIT_FOR(&w->l, nats_plane_is_idle(w->plane[0]));
    nats_plane_drain(w->plane[0]);
    world_end(w);
}

/* ---- with upstreams that misbehave ---- */

static void an_upstream_that_speaks_something_else_is_told_apart(void **state)
{
    (void)state;
    static const char *const greetings[] = {
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "INFO {\"not\": json\r\n",
        "INFO []\r\n",
        "+OK\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
        struct world *w = world_new();
        struct addr up = fake_open(w, greetings[i]);
        plane_open(w, 0, "a", &up, 1);
        dial_plane(w, &w->client[0], 0);
        hear(&w->l, &w->client[0], "-ERR '");
        WAIT_FOR(&w->l, w->client[0].ended);
        assert_int_equal(w->l.counters.n[COUNTER_BAD_NATS_UP], 1);
        /* The probe looks at the first word only. */
        assert_true(!is_ready(w, 0) || strncmp(greetings[i], "INFO ", 5) == 0);
        world_end(w);
    }
}

static void an_upstream_that_stays_silent_is_given_up(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct addr up = fake_open(w, "");
    plane_open(w, 0, "a", &up, 1);
    dial_plane(w, &w->client[0], 0);
    WAIT_FOR(&w->l, w->client[0].ended);
    const char *why = "";
    WAIT_FOR(&w->l, !nats_plane_is_ready(w->plane[0], &why) && why != NULL);
    world_end(w);
}

#define INFO                                                                                       \
    "INFO "                                                                                        \
    "{\"server_id\":\"X\",\"version\":\"2.9.10\",\"proto\":1,\"headers\":true,\"max_payload\":"    \
    "1048576}\r\n"

static void bytes_that_trickle_mean_the_same(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct addr up = fake_open(w, "");
    plane_open(w, 0, "a", &up, 1);
    WAIT_FOR(&w->l, w->fake_ends == 1); /* the probe */
    dial_plane(w, &w->client[0], 0);
    WAIT_FOR(&w->l, w->fake_ends == 2);
    struct end *server = &w->fake_end[1];
    static const char down[] = INFO "MSG bh.e.a.~.~.~.foo e1 bh.e.a.~.~.~._INBOX.x 2\r\nhi\r\n";
    for (size_t i = 0; i < sizeof down - 1; i++) {
        assert_int_equal(tcp_write(&server->t, span_of(&down[i], 1)), ERR_OK);
        uint64_t want = w->l.counters.n[COUNTER_NATS_RX_UP] + 1;
        WAIT_FOR(&w->l, w->l.counters.n[COUNTER_NATS_RX_UP] >= want);
    }
    hear(&w->l, &w->client[0], "\r\nMSG foo 1 _INBOX.x 2\r\nhi\r\n");
    static const char to_up[] = CONNECT "PUB foo 2\r\nhi\r\n";
    for (size_t i = 0; i < sizeof to_up - 1; i++) {
        assert_int_equal(tcp_write(&w->client[0].t, span_of(&to_up[i], 1)), ERR_OK);
        uint64_t want = i + 1;
        WAIT_FOR(&w->l, w->l.counters.n[COUNTER_NATS_RX_APP] >= want);
    }
    hear(&w->l, server, "PUB bh.e.a.~.~.~.foo 2\r\nhi\r\n");
    world_end(w);
}

/* Runs until nothing moves any more. */
static uint64_t settle(struct world *w, enum counter id)
{
    uint64_t last;
    unsigned quiet = 0;
    do {
        last = w->l.counters.n[id];
        uint64_t end_ns = uv_hrtime() + 10000000;
        while (uv_hrtime() < end_ns)
            uv_run(&w->l.uv, UV_RUN_NOWAIT);
        quiet = w->l.counters.n[id] == last ? quiet + 1 : 0;
    } while (quiet < 10);
    return last;
}

/* 64 MiB flow from one end to the other, which reads none of it at first. */
static void flood(struct world *w, struct end *from, struct end *to, const char *msg,
                  enum counter rx)
{
    enum { CHUNK = 64 * 1024 };
    size_t n = strlen(msg), per_chunk = CHUNK / n;
    struct buf chunk = {0};
    for (size_t i = 0; i < per_chunk; i++)
        assert_int_equal(buf_append(&chunk, span_str(msg)), ERR_OK);
    to->is_silent = true;
    tcp_read(&to->t, false);
    uint64_t before = w->l.counters.n[rx], sent = 0;
    while (tcp_queued(&from->t) < MIB && sent < 64 * MIB) {
        assert_int_equal(tcp_write(&from->t, buf_span(&chunk)), ERR_OK);
        sent += buf_len(&chunk);
        uv_run(&w->l.uv, UV_RUN_NOWAIT);
    }
    assert_true(tcp_queued(&from->t) >= MIB);
    uint64_t taken = settle(w, rx) - before;
    print_message("stopped reading after %llu KiB\n", (unsigned long long)taken / 1024);
    assert_true(sent - taken >= MIB); /* all of the queue is still on that side of the plane */
    uint64_t bytes = to->bytes;
    tcp_read(&to->t, true);
    WAIT_FOR(&w->l, w->l.counters.n[rx] - before == sent && tcp_queued(&from->t) == 0);
    WAIT_FOR(&w->l, to->bytes > bytes);
    settle(w, rx);
    buf_deinit(&chunk);
}

static void a_side_that_does_not_read_stops_the_other(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct addr up = fake_open(w, INFO);
    plane_open(w, 0, "a", &up, 1);
    WAIT_FOR(&w->l, is_ready(w, 0));
    dial_plane(w, &w->client[0], 0);
    struct end *app = &w->client[0];
    hear(&w->l, app, "\r\n");
    say(app, CONNECT "SUB foo 1\r\n");
    struct end *server = &w->fake_end[w->fake_ends - 1];
    hear(&w->l, server, "SUB bh.e.a.~.~.~.foo ");
    uint64_t at = app->bytes;
    flood(w, server, app, "MSG bh.e.a.~.~.~.foo e1 4\r\nabcd\r\n", COUNTER_NATS_RX_UP);
    uint64_t messages = w->l.counters.n[COUNTER_NATS_MSGS_TO_APP];
    assert_int_equal(app->bytes - at, messages * strlen("MSG foo 1 4\r\nabcd\r\n"));
    at = server->bytes;
    flood(w, app, server, "PUB foo 4\r\nabcd\r\n", COUNTER_NATS_RX_APP);
    messages = w->l.counters.n[COUNTER_NATS_MSGS_TO_UP];
    assert_int_equal(server->bytes - at, messages * strlen("PUB bh.e.a.~.~.~.foo 4\r\nabcd\r\n"));
    world_end(w);
}

static void closing_the_plane_works_at_every_moment(void **state)
{
    (void)state;
    for (int moment = 0; moment < 6; moment++) {
        struct world *w = world_new();
        struct addr up = fake_open(w, moment < 4 ? "" : INFO);
        plane_open(w, 0, "a", &up, 1);
        if (moment == 1) /* the probe's dial is on its way */
            uv_run(&w->l.uv, UV_RUN_NOWAIT);
        if (moment == 2)
            WAIT_FOR(&w->l, w->fake_ends == 1);
        if (moment >= 3)
            dial_plane(w, &w->client[0], 0);
        if (moment == 4)
            hear(&w->l, &w->client[0], "INFO");
        if (moment == 5) {
            hear(&w->l, &w->client[0], "INFO");
            tcp_close(&w->fake_end[w->fake_ends - 1].t);
        }
        nats_plane_close(&w->plane[0]);
        if (moment >= 3)
            WAIT_FOR(&w->l, w->client[0].ended);
        world_end(w);
    }
}

static void options_that_cannot_work_say_why(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct addr listen = address("127.0.0.1:0"), up = address("127.0.0.1:1");
    assert_int_equal(ns_path_parse(SPAN_LIT("a"), '/', &w->path[0], NULL), ERR_OK);
    struct nats_plane_options good = {.ns = &w->path[0],
                                      .subject_root = SPAN_LIT("bh"),
                                      .upstream = &up,
                                      .upstreams = 1,
                                      .listen = &listen,
                                      .listens = 1};
    struct addr http = address("http://127.0.0.1:1");
    for (int i = 0; i < 3; i++) {
        struct nats_plane_options o = good;
        struct addr busy = listen;
        if (i == 0)
            o.subject_root = SPAN_LIT("b.h");
        if (i == 1)
            o.upstream = &http;
        if (i == 2) {
            busy = fake_open(w, "");
            o.listen = &busy;
        }
        struct buf error = {0};
        struct nats_plane *p = NULL;
        assert_int_equal(nats_plane_open(&w->l, &o, &p, &error), ERR_CONFIG);
        assert_null(p);
        print_message("%.*s\n", (int)buf_len(&error), (const char *)buf_span(&error).p);
        assert_true(buf_len(&error) != 0);
        buf_deinit(&error);
    }
    world_end(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_one_namespace_hear_each_other_and_nobody_else_does),
        cmocka_unit_test(the_listener_is_what_info_shows),
        cmocka_unit_test(a_message_of_1_mib_passes_whole),
        cmocka_unit_test(what_an_application_said_last_still_arrives),
        cmocka_unit_test(a_killed_server_closes_applications_and_a_new_one_serves_again),
        cmocka_unit_test(a_refused_dial_tries_the_next_server_at_once),
        cmocka_unit_test(credentials_come_from_the_url),
        cmocka_unit_test(http_on_the_nats_port_gets_an_error_and_only_that_connection_ends),
        cmocka_unit_test(many_idle_connections_are_small),
        cmocka_unit_test(draining_takes_nobody_new_and_lets_the_others_finish),
        cmocka_unit_test(an_upstream_that_speaks_something_else_is_told_apart),
        cmocka_unit_test(an_upstream_that_stays_silent_is_given_up),
        cmocka_unit_test(bytes_that_trickle_mean_the_same),
        cmocka_unit_test(a_side_that_does_not_read_stops_the_other),
        cmocka_unit_test(closing_the_plane_works_at_every_moment),
        cmocka_unit_test(options_that_cannot_work_say_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
