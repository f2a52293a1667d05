/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which connection to etcd a flood makes be read less often: the one that brings it, and not one
 * whose answer lets held events of another go on (a read that a watch of several namespaces waited
 * for).
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "fault/end.h"
#include "io/h2_client.h"
#include "io/listener.h"

enum { FLOOD = 1000000 }; /* events at once: a flood however long the last window was */

struct world {
    struct loop l;
    struct listener *listener;
    struct end server;
    struct h2_hub hub;
    struct h2_client *clients;
    struct h2_up_stream stream;
    bool is_usable, is_gone, brings;
    unsigned came;
    struct buf nothing;
};
static struct world w;

/* -- the client's owner -- */
static void on_usable(struct h2_client *c)
{
    (void)c;
    w.is_usable = true;
}

static void on_retired(struct h2_client *c)
{
    (void)c;
}

static void on_gone(struct h2_client *c, bool was_usable, const char *why)
{
    (void)c, (void)was_usable, (void)why;
    w.is_gone = true;
}

static const struct h2_client_handler owner = {on_usable, on_retired, on_gone};

/* -- the call -- */
static void on_head(struct h2_up_stream *s, struct span fields, bool ended)
{
    (void)s, (void)fields, (void)ended;
}

/* Skipped: events of this connection, or of another. */
static void on_data(struct h2_up_stream *s, struct span in)
{
    count(&w.l.counters, COUNTER_VIEW_SKIPPED, FLOOD);
    if (w.brings)
        h2_client_unwanted(s, FLOOD);
    h2_client_consume(s, in.n);
    w.came++;
}

static void on_trailers(struct h2_up_stream *s, struct span fields)
{
    (void)s, (void)fields;
}

static void on_sent(struct h2_up_stream *s)
{
    (void)s;
}

static void on_closed(struct h2_up_stream *s, uint32_t code)
{
    (void)s, (void)code;
}

static void on_lost(struct h2_up_stream *s, bool sent)
{
    (void)s, (void)sent;
}

static const struct h2_up_handler call = {.on_head = on_head,
                                          .on_data = on_data,
                                          .on_trailers = on_trailers,
                                          .on_sent = on_sent,
                                          .on_closed = on_closed,
                                          .on_lost = on_lost};

/* -- the server -- */
static void on_accept(void *arg, uv_stream_t *stream)
{
    (void)arg;
    assert_int_equal(tcp_accept(&w.server.t, &w.l, stream, &end_handler), ERR_OK);
    end_connected(&w.server.t);
}

static void write_all(struct span s)
{
    assert_int_equal(tcp_write(&w.server.t, s), ERR_OK);
}

static void open_call(void)
{
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    static const uint8_t head[] = {0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88}; /* :status 200 */
    struct addr any, addr;
    const char *rule = "";
    struct buf error = {0};
    assert_int_equal(addr_parse(SPAN_LIT("127.0.0.1:0"), 0, &any, &rule), ERR_OK);
    struct listener_options o = {
        .addrs = &any, .n = 1, .option = "--test-listen", .accept = on_accept, .arg = &w};
    assert_int_equal(listener_open(&w.l, &o, &w.listener, &error), ERR_OK);
    addr = listener_addr(w.listener);
    assert_int_equal(h2_hub_init(&w.hub, &w.l), ERR_OK);
    assert_int_equal(h2_client_open(&w.hub, &addr, &owner, NULL, &w.clients), ERR_OK);
    WAIT_FOR(&w.l, w.server.connected);
    write_all(span_of(settings, sizeof settings));
    WAIT_FOR(&w.l, w.is_usable);
    nghttp2_nv nv[H2_CLIENT_GRPC_FIELDS];
    size_t n = h2_client_grpc_fields(w.clients, SPAN_LIT("/a/B"), nv);
    w.stream = (struct h2_up_stream){.handler = &call};
    w.stream.body = (struct h2_body){.bytes = &w.nothing, .ended = true};
    assert_int_equal(h2_client_request(w.clients, &w.stream, nv, n), ERR_OK);
    WAIT_FOR(&w.l, w.stream.sent);
    write_all(span_of(head, sizeof head));
    buf_deinit(&error);
}

/* Two whole windows. */
static void flood(void)
{
    static const uint8_t data[] = {0, 0, 1, 0, 0, 0, 0, 0, 1, 'x'};
    for (unsigned i = 0; i < 2; i++) {
        unsigned before = w.came;
        uint64_t end_ms = loop_now_ms(&w.l) + LIMIT_COALESCE_WINDOW_MS;
        WAIT_FOR(&w.l, loop_now_ms(&w.l) >= end_ms);
        write_all(span_of(data, sizeof data));
        WAIT_FOR(&w.l, w.came != before);
    }
}

static void end(void)
{
    h2_client_cancel(&w.stream);
    h2_client_close(w.clients);
    tcp_close(&w.server.t);
    listener_close(&w.listener);
    WAIT_FOR(&w.l, w.is_gone && w.server.closed);
    buf_deinit(&w.server.in);
    h2_hub_deinit(&w.hub);
    assert_int_equal(loop_deinit(&w.l), 0);
}

static void only_the_connection_that_brings_the_flood_gathers(void **state)
{
    (void)state;
    for (unsigned brings = 0; brings < 2; brings++) {
        w = (struct world){.brings = brings};
        assert_int_equal(loop_init(&w.l), ERR_OK);
        open_call();
        flood();
        assert_int_equal(w.clients->coalesce.is_flood, brings);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_connection_that_brings_the_flood_gathers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
