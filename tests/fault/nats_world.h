/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_world - a server, planes before it and clients behind them in one loop, for the tests of the
 * NATS plane; and an upstream of our own that says what a test wants it to say.
 */
#ifndef TESTS_FAULT_NATS_WORLD_H
#define TESTS_FAULT_NATS_WORLD_H

#include <stdlib.h>

#include "fault/end.h"
#include "fault/nats_server.h"
#include "fault/wait.h"
#include "io/listener.h"
#include "io/nats_plane.h"
#include "policy/subject_map.h"

enum { MIB = 1024 * 1024, PLANES = 2, CLIENTS = 4 };

struct world {
    struct loop l;
    struct nats_server_process server;
    struct ns_path path[PLANES];
    struct nats_plane *plane[PLANES];
    struct end client[CLIENTS];
    /* An upstream of our own: says greeting to whoever connects. */
    struct listener *fake;
    struct end fake_end[8];
    unsigned fake_ends;
    const char *greeting;
};

static inline struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(loop_init(&w->l), ERR_OK);
    return w;
}

static inline struct addr address(const char *text)
{
    struct addr a;
    const char *rule = "";
    if (addr_parse(span_str(text), 0, &a, &rule) != ERR_OK)
        fail_msg("%s: %s", text, rule);
    return a;
}

static inline void plane_open(struct world *w, int i, const char *ns, const struct addr *up,
                              unsigned n)
{
    static const struct addr listen = {.kind = ADDR_TCP, .host = "127.0.0.1"};
    struct buf error = {0};
    assert_int_equal(ns_path_parse(span_str(ns), '/', &w->path[i], NULL), ERR_OK);
    struct nats_plane_options o = {
        .ns = &w->path[i],
        .subject_root = SPAN_LIT("bh"),
        .requests = subject_map_default_requests,
        .request_patterns = ARRAY_LEN(subject_map_default_requests),
        .user = "",
        .password = "",
        .token = "",
        .upstream = up,
        .upstreams = n,
        .listen = &listen,
        .listens = 1,
    };
    enum err e = nats_plane_open(&w->l, &o, &w->plane[i], &error);
    if (e != ERR_OK)
        fail_msg("%.*s", (int)buf_len(&error), (const char *)buf_span(&error).p);
    buf_deinit(&error);
}

static inline void dial(struct world *w, struct end *e, struct addr a)
{
    assert_int_equal(tcp_dial(&e->t, &w->l, &a, &end_handler), ERR_OK);
    WAIT_FOR(&w->l, e->connected);
}

static inline void dial_plane(struct world *w, struct end *e, int plane)
{
    dial(w, e, nats_plane_addr(w->plane[plane]));
}

#define CONNECT                                                                                    \
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"test\",\"headers\":true}\r\n"

/* A client whose PING came back through everything. */
static inline void join(struct world *w, struct end *e)
{
    hear(&w->l, e, "INFO {");
    hear(&w->l, e, "\r\n");
    say(e, CONNECT "PING\r\n");
    hear(&w->l, e, "PONG\r\n");
}

static inline void barrier(struct world *w, struct end *e)
{
    say(e, "PING\r\n");
    hear(&w->l, e, "PONG\r\n");
}

static inline void end_release(struct end *e)
{
    assert_true(e->closed || e->t.state == TCP_STATE_NEW);
    buf_deinit(&e->in);
}

static inline void world_end(struct world *w)
{
    for (int i = 0; i < CLIENTS; i++)
        tcp_close(&w->client[i].t);
    for (unsigned i = 0; i < w->fake_ends; i++)
        tcp_close(&w->fake_end[i].t);
    listener_close(&w->fake);
    for (int i = 0; i < PLANES; i++) {
        nats_plane_close(&w->plane[i]);
        assert_null(w->plane[i]);
    }
    assert_int_equal(loop_deinit(&w->l), 0);
    assert_int_equal(w->l.connections, 0);
    assert_int_equal(w->l.counters.gauge[GAUGE_NATS_CONNS], 0);
    for (int i = 0; i < CLIENTS; i++)
        end_release(&w->client[i]);
    for (unsigned i = 0; i < w->fake_ends; i++)
        end_release(&w->fake_end[i]);
    nats_server_kill(&w->server);
    free(w);
}

static inline void fake_accept(void *arg, uv_stream_t *stream)
{
    struct world *w = arg;
    if (w->fake_ends == ARRAY_LEN(w->fake_end)) {
        listener_refuse(stream);
        return;
    }
    struct end *e = &w->fake_end[w->fake_ends++];
    assert_int_equal(tcp_accept(&e->t, &w->l, stream, &end_handler), ERR_OK);
    tcp_read(&e->t, true);
    say(e, w->greeting);
}

static inline struct addr fake_open(struct world *w, const char *greeting)
{
    struct addr a = address("127.0.0.1:0");
    struct buf error = {0};
    const struct listener_options o = {.addrs = &a,
                                       .n = 1,
                                       .option = "--fake",
                                       .is_unlimited = true,
                                       .accept = fake_accept,
                                       .arg = w};
    w->greeting = greeting;
    assert_int_equal(listener_open(&w->l, &o, &w->fake, &error), ERR_OK);
    buf_deinit(&error);
    return listener_addr(w->fake);
}

static inline bool is_ready(struct world *w, int plane)
{
    const char *why;
    return nats_plane_is_ready(w->plane[plane], &why);
}

#endif
