/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp and listener on real sockets: two ends in one process, one loop. Every test ends with
 * loop_deinit() == 0: nothing leaked.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault/wait.h"
#include "io/listener.h"
#include "io/tcp.h"

/* One end of a connection, and what happened to it. */
struct end {
    struct tcp t; /* first: handlers cast */
    struct buf in;
    bool is_silent; /* does not keep what it reads */
    bool connected, closed;
    unsigned ends, turns, drains, reads;
    int status;
    uint64_t bytes;
};

static void on_connected(struct tcp *t)
{
    struct end *e = (struct end *)t;
    assert_false(e->connected);
    e->connected = true;
    tcp_read(t, true);
}

static void on_read(struct tcp *t, struct span in)
{
    struct end *e = (struct end *)t;
    assert_int_equal(t->state, TCP_STATE_OPEN);
    assert_true(in.n != 0);
    e->reads++;
    e->bytes += in.n;
    if (!e->is_silent)
        assert_int_equal(buf_append(&e->in, in), ERR_OK);
}

static void on_turn(struct tcp *t)
{
    ((struct end *)t)->turns++;
}

static void on_drained(struct tcp *t)
{
    ((struct end *)t)->drains++;
}

static void on_end(struct tcp *t, int status)
{
    struct end *e = (struct end *)t;
    assert_int_equal(e->ends, 0);
    e->ends++;
    e->status = status;
}

static void on_closed(struct tcp *t)
{
    struct end *e = (struct end *)t;
    assert_false(e->closed);
    assert_int_equal(t->state, TCP_STATE_CLOSED);
    e->closed = true;
}

static const struct tcp_handler handler = {on_connected, on_read, on_turn,
                                           on_drained,   on_end,  on_closed};

/* A loop, a listener and the two ends of one connection. */
struct world {
    struct loop l;
    struct listener *listener;
    struct addr addr;
    struct end server, client;
    unsigned accepted;
    bool refuse;
};

static void on_accept(void *arg, uv_stream_t *stream)
{
    struct world *w = arg;
    if (w->refuse || w->accepted != 0) {
        listener_refuse(stream);
        return;
    }
    w->accepted++;
    assert_int_equal(tcp_accept(&w->server.t, &w->l, stream, &handler), ERR_OK);
    w->server.connected = true;
    tcp_read(&w->server.t, true);
}

static struct addr address(const char *text)
{
    struct addr a;
    const char *rule = "";
    if (addr_parse(span_str(text), 0, &a, &rule) != ERR_OK)
        fail_msg("%s: %s", text, rule);
    return a;
}

static void listen_on(struct world *w, const char *text)
{
    struct addr a = address(text);
    struct buf error = {0};
    struct listener_options o = {
        .addrs = &a, .n = 1, .option = "--test-listen", .accept = on_accept, .arg = w};
    assert_int_equal(listener_open(&w->l, &o, &w->listener, &error), ERR_OK);
    w->addr = listener_addr(w->listener);
    buf_deinit(&error);
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(loop_init(&w->l), ERR_OK);
    return w;
}

static struct world *world_connected(const char *listen)
{
    struct world *w = world_new();
    listen_on(w, listen);
    assert_int_equal(tcp_dial(&w->client.t, &w->l, &w->addr, &handler), ERR_OK);
    assert_false(w->client.connected);
    WAIT_FOR(&w->l, w->client.connected && w->accepted == 1);
    return w;
}

static void world_end(struct world *w)
{
    tcp_close(&w->client.t);
    tcp_close(&w->server.t);
    listener_close(&w->listener);
    assert_null(w->listener);
    assert_int_equal(loop_deinit(&w->l), 0);
    assert_true(w->client.closed || w->client.t.state == TCP_STATE_NEW);
    assert_true(w->server.closed || w->server.t.state == TCP_STATE_NEW);
    buf_deinit(&w->client.in);
    buf_deinit(&w->server.in);
    free(w);
}

static void a_connection_carries_bytes_both_ways(void **state)
{
    (void)state;
    static const char *const listens[] = {"127.0.0.1:0", "localhost:0"};
    for (size_t i = 0; i < ARRAY_LEN(listens); i++) {
        struct world *w = world_connected(listens[i]);
        assert_int_equal(tcp_write(&w->client.t, SPAN_LIT("ping")), ERR_OK);
        assert_int_equal(tcp_queued(&w->client.t), 0);
        WAIT_FOR(&w->l, w->server.bytes == 4);
        assert_int_equal(w->server.turns, 1);
        assert_int_equal(tcp_write(&w->server.t, SPAN_LIT("pong!")), ERR_OK);
        WAIT_FOR(&w->l, w->client.bytes == 5);
        assert_span_equal(buf_span(&w->server.in), SPAN_LIT("ping"));
        assert_span_equal(buf_span(&w->client.in), SPAN_LIT("pong!"));
        char text[ADDR_TEXT_BYTES], want[ADDR_TEXT_BYTES];
        assert_string_equal(tcp_peer(&w->client.t, text), addr_print(&w->addr, want));
        world_end(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_carries_bytes_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
