/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_rig - one etcd_call of namespace a/b (prefix "bh/d/a/b.", tag RIG_TAG), and how to talk to
 * it: whole messages in, whole messages out.
 */
#ifndef TESTS_ETCD_RIG_H
#define TESTS_ETCD_RIG_H

#include "support/support.h"

#include "etcd/etcd_call.h"
#include "support/pb_build.h"

#define RIG_P   "bh/d/a/b."
#define RIG_END "bh/d/a/b/"
enum { RIG_TAG = 0xabcdef };

/* The store's form of the id 1 <= id < 2^37 that an application chose, written down once more. */
#define RIG_ALIAS(id)                                                                              \
    ((UINT64_C(1) << 62) + (uint64_t)RIG_TAG * (UINT64_C(1) << 38) + (uint64_t)(id))
/* An id that the store gave us, and the lease that never exists. */
#define RIG_GIVEN   ((uint64_t)RIG_TAG * (UINT64_C(1) << 38) + (UINT64_C(1) << 37) + 5)
#define RIG_NOWHERE RIG_ALIAS(0)
/* Somebody else's. */
#define RIG_OTHER ((uint64_t)(RIG_TAG + 1) * (UINT64_C(1) << 38) + (UINT64_C(1) << 37) + 5)

struct etcd_rig {
    struct counters counters;
    struct etcd_ns ns;
    struct etcd_call call;
};

static inline void rig_open(struct etcd_rig *r, const char *method)
{
    struct ns_path path;
    const struct etcd_route *route = etcd_route_find(span_str(method));
    *r = (struct etcd_rig){0};
    r->ns = (struct etcd_ns){.tag = RIG_TAG,
                             .has_tag = true,
                             .rng = {1},
                             .counters = &r->counters,
                             .client_url = "http://127.0.0.1:2379",
                             .upstream_usable = true};
    assert_int_equal(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL), ERR_OK);
    assert_int_equal(key_map_init(&r->ns.keys, SPAN_LIT("bh/"), &path), ERR_OK);
    assert_non_null(route);
    etcd_call_init(&r->call, &r->ns, route);
}

static inline void rig_close(struct etcd_rig *r)
{
    etcd_call_deinit(&r->call);
}

/* Appends m as one frame. */
static inline void rig_frame(struct pb_build *wire, struct span m)
{
    const uint8_t head[5] = {0, (uint8_t)(m.n >> 24), (uint8_t)(m.n >> 16), (uint8_t)(m.n >> 8),
                             (uint8_t)m.n};
    pb_raw(wire, head, sizeof head);
    pb_raw(wire, m.p, m.n);
}

static inline enum err rig_ask(struct etcd_rig *r, const struct pb_build *m)
{
    struct pb_build wire;
    wire.n = 0;
    rig_frame(&wire, pb_built(m));
    return etcd_call_feed_app(&r->call, pb_built(&wire));
}

static inline enum err rig_reply(struct etcd_rig *r, const struct pb_build *m)
{
    struct pb_build wire;
    wire.n = 0;
    rig_frame(&wire, pb_built(m));
    return etcd_call_feed_up(&r->call, pb_built(&wire));
}

/* The nth message (from 0) in a queue of frames; fails the test if it is not there. */
static inline struct span rig_message(const struct buf *frames, unsigned nth)
{
    struct span s = buf_span(frames);
    for (;;) {
        assert_true(s.n >= 5);
        assert_int_equal(s.p[0], 0);
        size_t n = (size_t)s.p[1] << 24 | (size_t)s.p[2] << 16 | (size_t)s.p[3] << 8 | s.p[4];
        assert_true(n <= s.n - 5);
        if (nth-- == 0)
            return span_head(span_skip(s, 5), n);
        s = span_skip(s, 5 + n);
    }
}

static inline struct span rig_asked(const struct etcd_rig *r, unsigned nth)
{
    return rig_message(&r->call.to_up, nth);
}

static inline struct span rig_replied(const struct etcd_rig *r, unsigned nth)
{
    return rig_message(&r->call.to_app, nth);
}

/* For tables: one call, one request; the mapped message, or SPAN_NONE with the error. */
#define assert_asked(r, want)   assert_span_equal(rig_asked((r), 0), pb_built(want))
#define assert_replied(r, want) assert_span_equal(rig_replied((r), 0), pb_built(want))

#endif
