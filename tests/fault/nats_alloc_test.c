/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NATS plane with the n-th allocation failing, for every n: at worst that connection ends, the
 * next one works, nothing leaks.
 */
#include "fault/alloc.h"
#include "fault/end.h"
#include "io/listener.h"
#include "io/nats_plane.h"
#include "policy/subject_map.h"

#define INFO    "INFO {\"server_id\":\"X\",\"headers\":true,\"max_payload\":8388608}\r\n"
#define CONNECT "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n"

enum { PAYLOAD = 8 * 1024 * 1024, FAKE_ENDS = 8 };

/* Everything of the test's own stands between these two. */
static void own_begin(void)
{
    alloc_state.paused++;
}

static void own_end(void)
{
    alloc_state.paused--;
}

static void paused_connected(struct tcp *t)
{
    ((struct end *)t)->connected = true;
    tcp_read(t, true);
}

static void paused_read(struct tcp *t, struct span in)
{
    own_begin();
    end_read(t, in);
    own_end();
}

static const struct tcp_handler handler = {.on_connected = paused_connected,
                                           .on_read = paused_read,
                                           .on_drained = end_drained,
                                           .on_end = end_ended,
                                           .on_closed = end_closed};

struct world {
    struct loop l;
    struct ns_path path;
    struct addr up, listen;
    struct nats_plane *plane;
    struct listener *fake;
    struct end server[FAKE_ENDS];
    unsigned servers;
    struct end app;
};

static void fake_accept(void *arg, uv_stream_t *stream)
{
    struct world *w = arg;
    own_begin();
    if (w->servers == FAKE_ENDS) {
        listener_refuse(stream);
    } else {
        struct end *e = &w->server[w->servers++];
        assert_int_equal(tcp_accept(&e->t, &w->l, stream, &handler), ERR_OK);
        tcp_read(&e->t, true);
        say(e, INFO);
    }
    own_end();
}

static enum err open_plane(struct world *w)
{
    struct buf error = {0};
    const struct nats_plane_options o = {
        .ns = &w->path,
        .subject_root = SPAN_LIT("bh"),
        .requests = subject_map_default_requests,
        .request_patterns = ARRAY_LEN(subject_map_default_requests),
        .upstream = &w->up,
        .upstreams = 1,
        .listen = &w->listen,
        .listens = 1,
    };
    enum err e = nats_plane_open(&w->l, &o, &w->plane, &error);
    buf_deinit(&error);
    return e;
}

static void say_paused(struct end *e, struct span s)
{
    own_begin();
    assert_int_equal(tcp_write(&e->t, s), ERR_OK);
    own_end();
}

/* The server's end of the application's connection: the last one that the plane opened. */
static struct end *upstream_of_app(struct world *w)
{
    for (unsigned i = w->servers; i-- > 0;)
        if (has(&w->server[i], "CONNECT {"))
            return &w->server[i];
    return NULL;
}

#define OR_ENDED(w, condition) WAIT_FOR(&(w)->l, (condition) || (w)->app.ended)

/* True if the application got all it asked for. */
static bool converse(struct world *w, struct span payload)
{
    struct addr a = nats_plane_addr(w->plane);
    own_begin();
    assert_int_equal(tcp_dial(&w->app.t, &w->l, &a, &handler), ERR_OK);
    own_end();
    OR_ENDED(w, has(&w->app, "\r\n"));
    say_paused(&w->app,
               SPAN_LIT(CONNECT "SUB foo.* q 1\r\nSUB $SRV.PING 2\r\nPUB a.b 2\r\nhi\r\n"));
    OR_ENDED(w, upstream_of_app(w) != NULL && has(upstream_of_app(w), "PUB bh."));
    if (w->app.ended)
        return false;
    struct end *server = upstream_of_app(w);
    /* Both directions at once, each larger than all buffers on the way; nobody reads at first. */
    tcp_read(&w->app.t, false);
    tcp_read(&server->t, false);
    say_paused(server, SPAN_LIT("MSG bh.e.a.~.~.~.foo.x e1 8388608\r\n"));
    say_paused(server, payload);
    say_paused(server, SPAN_LIT("\r\nPING\r\n"));
    say_paused(&w->app, SPAN_LIT("PUB c 8388608\r\n"));
    say_paused(&w->app, payload);
    say_paused(&w->app, SPAN_LIT("\r\nUNSUB 1 5\r\nPONG\r\n"));
    for (int i = 0; i < 200; i++)
        uv_run(&w->l.uv, UV_RUN_NOWAIT);
    tcp_read(&w->app.t, true);
    tcp_read(&server->t, true);
    OR_ENDED(w, buf_len(&w->app.in) > PAYLOAD && buf_len(&server->in) > PAYLOAD &&
                    has(&w->app, "\r\nPING\r\n") && has(server, "PONG\r\n"));
    return !w->app.ended;
}

/* A request to JetStream by a client without echo: its answer takes a second upstream connection.
 */
static bool ask(struct world *w, struct span payload)
{
    (void)payload;
    struct addr a = nats_plane_addr(w->plane);
    own_begin();
    assert_int_equal(tcp_dial(&w->app.t, &w->l, &a, &handler), ERR_OK);
    own_end();
    OR_ENDED(w, has(&w->app, "\r\n"));
    say_paused(&w->app, SPAN_LIT("CONNECT {\"verbose\":false,\"echo\":false}\r\n"
                                 "PUB $JS.API.STREAM.PURGE.S i 0\r\n\r\n"));
    OR_ENDED(w, upstream_of_app(w) != NULL && has(upstream_of_app(w), "bh.r.a~~.X.0.1 0\r\n\r\n"));
    if (w->app.ended)
        return false;
    struct end *server = upstream_of_app(w);
    say_paused(server, SPAN_LIT("MSG bh.r.a~~.X.0.1 r0 16\r\n{\"success\":true}\r\n"));
    OR_ENDED(w, upstream_of_app(w) != server && has(upstream_of_app(w), "~.i 16\r\n{\"success\""));
    return !w->app.ended;
}

static void end_all(struct world *w)
{
    tcp_close(&w->app.t);
    for (unsigned i = 0; i < w->servers; i++)
        tcp_close(&w->server[i].t);
    listener_close(&w->fake);
    nats_plane_close(&w->plane);
    assert_int_equal(loop_deinit(&w->l), 0);
    assert_int_equal(w->l.connections, 0);
    buf_deinit(&w->app.in);
    for (unsigned i = 0; i < w->servers; i++)
        buf_deinit(&w->server[i].in);
}

static struct world *world_init(void)
{
    static struct world w;
    w = (struct world){.listen = {.kind = ADDR_TCP, .host = "127.0.0.1"}};
    struct buf error = {0};
    alloc_fail_at(0);
    assert_int_equal(loop_init(&w.l), ERR_OK);
    assert_int_equal(ns_path_parse(SPAN_LIT("a"), '/', &w.path, NULL), ERR_OK);
    const struct listener_options fake = {.addrs = &w.listen,
                                          .n = 1,
                                          .option = "",
                                          .is_unlimited = true,
                                          .accept = fake_accept,
                                          .arg = &w};
    assert_int_equal(listener_open(&w.l, &fake, &w.fake, &error), ERR_OK);
    w.up = listener_addr(w.fake);
    return &w;
}

typedef bool (*converse_fn)(struct world *w, struct span payload);

/* One conversation in which allocation n fails; false if there are fewer. */
static bool sweep_step(unsigned n, converse_fn talk, struct span payload)
{
    struct world *w = world_init();
    alloc_fail_at(n);
    enum err e = open_plane(w);
    assert_true(e == ERR_OK || (e == ERR_NOMEM && alloc_state.has_failed));
    bool is_whole = e == ERR_OK && talk(w, payload);
    bool has_failed = alloc_state.has_failed;
    alloc_fail_at(0);
    assert_true(is_whole || has_failed);
    end_all(w);
    return has_failed;
}

static void any_failed_allocation_ends_at_most_that_connection(void **state)
{
    (void)state;
    static uint8_t payload[PAYLOAD];
    memset(payload, 'x', sizeof payload);
    unsigned n = 1;
    while (sweep_step(n, converse, span_of(payload, sizeof payload)))
        n++;
    print_message("%u allocations failed in turn\n", n - 1);
    assert_true(n > 10);
}

static void any_failed_allocation_of_a_voice_ends_at_most_its_connection(void **state)
{
    (void)state;
    unsigned n = 1;
    while (sweep_step(n, ask, SPAN_NONE))
        n++;
    print_message("%u allocations failed in turn\n", n - 1);
    assert_true(n > 10);
}

static void messages_of_a_known_connection_allocate_nothing(void **state)
{
    (void)state;
    struct world *w = world_init();
    assert_int_equal(open_plane(w), ERR_OK);
    struct addr a = nats_plane_addr(w->plane);
    own_begin();
    assert_int_equal(tcp_dial(&w->app.t, &w->l, &a, &handler), ERR_OK);
    own_end();
    WAIT_FOR(&w->l, has(&w->app, "\r\n"));
    say_paused(&w->app, SPAN_LIT(CONNECT "SUB foo.* 1\r\nPUB warm.up 2\r\nhi\r\n"));
    WAIT_FOR(&w->l, upstream_of_app(w) != NULL && has(upstream_of_app(w), "PUB bh."));
    struct end *server = upstream_of_app(w);
    const struct span pub = SPAN_LIT("PUB a.b _INBOX.x.1 2\r\nhi\r\n");
    const struct span msg = SPAN_LIT(
        "MSG bh.e.a.~.~.~.foo.x e1 bh.e.a.~.~.~._INBOX.x.1 2\r\nhi\r\n");
    for (int i = 0; i < 1000; i++) {
        if (i == 10)
            alloc_state.count = 0;
        uint64_t app = w->app.bytes, up = server->bytes;
        say_paused(&w->app, pub);
        say_paused(server, msg);
        WAIT_FOR(&w->l, w->app.bytes != app && server->bytes != up);
    }
    print_message("%u allocations for 1,980 messages\n", alloc_state.count);
    assert_int_equal(alloc_state.count, 0);
    end_all(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_a_known_connection_allocate_nothing),
        cmocka_unit_test(any_failed_allocation_ends_at_most_that_connection),
        cmocka_unit_test(any_failed_allocation_of_a_voice_ends_at_most_its_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
