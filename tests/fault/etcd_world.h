/* SPDX-License-Identifier: Apache-2.0 */
/* etcd_world - one sidecar and one client of it in one loop, for the tests of the etcd plane. */
#ifndef TESTS_FAULT_ETCD_WORLD_H
#define TESTS_FAULT_ETCD_WORLD_H

#include "base/log.h"
#include "fault/etcd_app.h"
#include "io/etcd_plane.h"

static struct etcd_server etcd; /* one for all tests of a program */

/* One sidecar of a namespace and one client of it. */
struct world {
    struct loop l;
    struct ns_path ns;
    struct addr upstream[2], listen;
    struct etcd_plane *plane;
    struct app app;
};

static inline enum err try_open(struct world *w, struct span root, unsigned upstreams,
                                struct buf *error)
{
    struct etcd_plane_options o = {.ns = &w->ns,
                                   .key_root = root,
                                   .upstream = w->upstream,
                                   .upstreams = upstreams,
                                   .listen = &w->listen,
                                   .listens = 1};
    return etcd_plane_open(&w->l, &o, &w->plane, error);
}

/* n: how often the upstream is named, 1 or 2. */
static inline void begin_named(struct world *w, const char *ns, struct addr upstream,
                               const char *root, unsigned n)
{
    struct buf error = {0};
    *w = (struct world){.upstream = {upstream, upstream}};
    assert_int_equal(loop_init(&w->l), ERR_OK);
    assert_int_equal(ns_path_parse(span_str(ns), '/', &w->ns, NULL), ERR_OK);
    w->listen = etcd_app_addr("127.0.0.1", 0);
    assert_int_equal(try_open(w, span_str(root), n, &error), ERR_OK);
    struct addr at = etcd_plane_addr(w->plane);
    app_open(&w->app, &w->l, &at, 0);
}

static inline void begin(struct world *w, const char *ns, struct addr upstream, const char *root)
{
    begin_named(w, ns, upstream, root, 1);
}

static inline void begin_real(struct world *w, const char *ns)
{
    begin(w, ns, etcd_app_addr("127.0.0.1", etcd.port), "bh/");
}

static inline void end(struct world *w)
{
    etcd_plane_close(&w->plane);
    tcp_close(&w->app.tcp);
    assert_int_equal(loop_deinit(&w->l), 0);
    assert_int_equal(w->l.counters.gauge[GAUGE_ETCD_CONNS], 0);
    assert_int_equal(w->l.counters.gauge[GAUGE_ETCD_STREAMS], 0);
    assert_int_equal(w->l.connections, 0);
}

static inline struct pb_build *put_request(const char *key, struct span value)
{
    static struct pb_build m;
    m.n = 0;
    pb_str(&m, 1, key);
    pb_span(&m, 2, value);
    return &m;
}

static inline void put(struct world *w, const char *key, const char *value)
{
    struct app_call c;
    app_unary(&w->app, &c, "/etcdserverpb.KV/Put", pb_built(put_request(key, span_str(value))));
    WAIT_FOR(&w->l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);
}

#define MIB (UINT64_C(1) << 20)

/* Waits for the answer. */
static inline void put_kib(struct world *w, const char *key, size_t kib, struct app_call *c)
{
    size_t n = kib * 1024;
    struct pb_build head = {0};
    struct buf m = {0};
    pb_str(&head, 1, key);
    pb_var(&head, 2 * 8 + 2);
    pb_var(&head, n);
    assert_int_equal(buf_append(&m, pb_built(&head)), ERR_OK);
    assert_int_equal(buf_reserve(&m, n), ERR_OK);
    memset(m.data + m.tail, 'v', n);
    m.tail += n;
    app_unary(&w->app, c, "/etcdserverpb.KV/Put", buf_span(&m));
    buf_deinit(&m);
    WAIT_FOR(&w->l, c->closed);
}

/* key .. end of everything. */
static inline struct span range_all(void)
{
    static struct pb_build m;
    m.n = 0;
    pb_span(&m, 1, span_of("\0", 1));
    pb_span(&m, 2, span_of("\0", 1));
    return pb_built(&m);
}

static inline void expect_one(struct world *w, const char *key, const char *value)
{
    struct app_call c;
    app_unary(&w->app, &c, "/etcdserverpb.KV/Range", range_all());
    WAIT_FOR(&w->l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    assert_string_equal(c.content_type, "application/grpc");
    struct span kv = pb_find(app_reply(&c, 0), 2, 0).s;
    assert_span_equal(pb_find(kv, 1, 0).s, span_str(key));
    assert_span_equal(pb_find(kv, 5, 0).s, span_str(value));
    assert_int_equal(pb_find(app_reply(&c, 0), 2, 1).field, 0);
    app_call_end(&c);
}

static inline void expect_status(struct world *w, struct app_call *c, int status,
                                 const char *message)
{
    WAIT_FOR(&w->l, c->closed);
    assert_int_equal(c->grpc_status, status);
    assert_string_equal(c->message, message);
    assert_int_equal(c->code, NGHTTP2_NO_ERROR);
    app_call_end(c);
}

static inline struct span watch_all(void)
{
    static struct pb_build m, create;
    m.n = create.n = 0;
    pb_span(&create, 1, span_of("\0", 1));
    pb_span(&create, 2, span_of("\0", 1));
    pb_sub(&m, 1, &create);
    return pb_built(&m);
}

static inline int start(void **state)
{
    (void)state;
    log_set(LOG_ERROR, LOG_LOGFMT);
    etcd_server_start(&etcd);
    return 0;
}

static inline int stop(void **state)
{
    (void)state;
    etcd_server_end(&etcd);
    return 0;
}

#endif
