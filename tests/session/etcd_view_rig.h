/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_view_rig - one Watch stream of a sidecar of a/b with view subtree: messages from upstream,
 * the reads that it wants answered, what it shows. For etcd_view_watch_test.c,
 * etcd_view_fetch_test.c.
 */
#ifndef TESTS_ETCD_VIEW_RIG_H
#define TESTS_ETCD_VIEW_RIG_H

#include <stdio.h>

#include "support/etcd_rig.h"

#include "etcd/etcd_family.h"

enum { CREATED = 3, CANCELED = 4, COMPACTED = 5, OK = 0, INVALID = 3, OUT_OF_RANGE = 11 };

static struct etcd_rig rig;
static struct etcd_family family;
static struct span asked; /* the side read's message; in side_request */
static struct buf side_request;

static inline int setup(void **state)
{
    static const struct span prefixes[] = {{(const uint8_t *)"v1/", 3}};
    const uint64_t seed[] = {1, 2};
    struct ns_path path;
    (void)state;
    rig_open(&rig, "/etcdserverpb.Watch/Watch");
    assert_int_equal(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL), ERR_OK);
    assert_int_equal(family_init(&family, SPAN_LIT("bh/"), &path, seed), ERR_OK);
    family.prefixes = prefixes;
    family.prefix_count = 1;
    rig.ns.family = &family;
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    family_deinit(&family);
    buf_deinit(&side_request);
    return 0;
}

/* ---- messages ---- */
static inline void header(struct pb_build *m, int64_t revision)
{
    static struct pb_build h;
    h.n = 0;
    pb_num(&h, 3, (uint64_t)revision);
    pb_sub(m, 1, &h);
}

static inline enum err create_at(const char *end, uint64_t start, uint64_t id, bool wants_prev)
{
    static struct pb_build c, m;
    c.n = m.n = 0;
    pb_str(&c, 1, "v1/");
    pb_str(&c, 2, end);
    if (start != 0)
        pb_num(&c, 3, start);
    if (wants_prev)
        pb_num(&c, 6, 1);
    if (id != 0)
        pb_num(&c, 7, id);
    pb_sub(&m, 1, &c);
    return rig_ask(&rig, &m);
}

static inline enum err create(uint64_t start)
{
    return create_at("v10", start, 0, false);
}

/* From upstream: a flag, and no events. */
static inline enum err says(uint64_t id, int64_t revision, unsigned flag, uint64_t v)
{
    static struct pb_build m;
    m.n = 0;
    header(&m, revision);
    if (id != 0)
        pb_num(&m, 2, id);
    if (flag != 0)
        pb_num(&m, flag, v);
    return rig_reply(&rig, &m);
}

static inline void write_kv(struct pb_build *out, uint32_t field, const char *key, int64_t mod,
                            bool is_there)
{
    static struct pb_build kv;
    kv.n = 0;
    pb_str(&kv, 1, key);
    if (is_there)
        pb_num(&kv, 2, (uint64_t)mod);
    pb_num(&kv, 3, (uint64_t)mod);
    if (is_there)
        pb_str(&kv, 5, "x");
    pb_sub(out, field, &kv);
}

static inline void add_event(struct pb_build *m, const char *key, int64_t mod, bool is_delete)
{
    static struct pb_build event;
    event.n = 0;
    if (is_delete)
        pb_num(&event, 1, 1);
    write_kv(&event, 2, key, mod, !is_delete);
    pb_sub(m, 11, &event);
}

static inline enum err one_event(const char *key, int64_t mod, bool is_delete)
{
    static struct pb_build m;
    m.n = 0;
    header(&m, mod);
    add_event(&m, key, mod, is_delete);
    return rig_reply(&rig, &m);
}

/* ---- reads ---- */
static inline unsigned ops_asked(void)
{
    unsigned n = 0;
    while (pb_find(asked, 2, n).field != 0)
        n++;
    return n;
}

static inline struct span range_asked(unsigned nth)
{
    return pb_find(pb_find(asked, 2, nth).s, 1, 0).s;
}

static inline void begin_side(const char *method)
{
    struct span got;
    assert_true(etcd_call_wants_side(&rig.call));
    assert_int_equal(etcd_call_begin_side(&rig.call, &side_request, &got), ERR_OK);
    assert_span_equal(got, span_str(method));
    asked = rig_message(&side_request, 0);
}

static inline enum err end_side(const struct pb_build *answer, int status)
{
    static struct pb_build wire;
    wire.n = 0;
    if (answer != NULL) {
        rig_frame(&wire, pb_built(answer));
        assert_int_equal(etcd_call_feed_side(&rig.call, pb_built(&wire)), ERR_OK);
    }
    return etcd_call_end_side(&rig.call, status);
}

/* A read of the table at `want` (0: the latest) is answered: who holds v1/k. */
static inline void fill(int64_t want, int64_t now, const char *const *holders, unsigned n)
{
    static struct pb_build txn, range, op, entry;
    for (bool is_first = true;
         etcd_call_wants_side(&rig.call) && (is_first || !etcd_call_is_answered(&rig.call));
         is_first = false) {
        begin_side("/etcdserverpb.KV/Txn");
        unsigned ops = ops_asked();
        txn.n = 0;
        header(&txn, now);
        for (unsigned i = 0; i < ops; i++) {
            struct span key = pb_find(range_asked(i), 1, 0).s;
            bool is_registry = span_has_prefix(key, SPAN_LIT("bh/m/n"));
            if (!is_registry && want != 0)
                assert_int_equal(pb_find(range_asked(i), 4, 0).v, want);
            if (!is_registry && is_first && want == 0)
                assert_int_equal(pb_find(range_asked(i), 4, 0).v, 0);
            range.n = op.n = 0;
            header(&range, now);
            for (unsigned k = 0; k < n; k++) {
                /* "bh/d/a/b/c.v1/k": its entry, or it if its slice is read. */
                const char *dot = strchr(holders[k], '.');
                size_t ns = (size_t)(dot - holders[k]) + 1;
                if (is_registry) {
                    char text[80];
                    snprintf(text, sizeof text, "bh/m/n%.*s", (int)ns - 4, holders[k] + 4);
                    entry.n = 0;
                    pb_str(&entry, 1, text);
                    pb_sub(&range, 2, &entry);
                } else if (key.n > ns && memcmp(key.p, holders[k], ns) == 0) {
                    write_kv(&range, 2, holders[k], 3, true);
                }
            }
            if (is_registry)
                pb_num(&range, 4, n);
            pb_sub(&op, 1, &range);
            pb_sub(&txn, 3, &op);
        }
        assert_int_equal(end_side(&txn, OK), ERR_OK);
        if (buf_len(&rig.call.to_app) != 0 || buf_len(&rig.call.to_up) != 0)
            return;
    }
}

static inline void sent_up(int64_t start)
{
    struct span c = pb_find(rig_asked(&rig, 0), 1, 0).s;
    assert_span_equal(pb_find(c, 1, 0).s, SPAN_LIT("bh/d/a/b."));
    assert_span_equal(pb_find(c, 2, 0).s, SPAN_LIT("bh/d/a/b0"));
    assert_int_equal(pb_find(c, 3, 0).v, start);
    buf_consume(&rig.call.to_up, rig_asked(&rig, 0).n + 5);
}

/* The next message that the application sees. */
static inline struct span shown(void)
{
    static struct pb_build m;
    struct span s = rig_replied(&rig, 0);
    m.n = 0;
    pb_raw(&m, s.p, s.n);
    buf_consume(&rig.call.to_app, s.n + 5);
    return pb_built(&m);
}

static inline void shows_created(int64_t revision)
{
    struct span m = shown();
    assert_int_equal(pb_find(m, CREATED, 0).v, 1);
    assert_int_equal(pb_find(m, CANCELED, 0).v, 0);
    assert_int_equal(pb_find(pb_find(m, 1, 0).s, 3, 0).v, revision);
}

static inline void shows_event(struct span m, unsigned nth, const char *key, int64_t mod,
                               bool is_delete)
{
    struct span event = pb_find(m, 11, nth).s, kv = pb_find(event, 2, 0).s;
    assert_span_equal(pb_find(kv, 1, 0).s, span_str(key));
    assert_int_equal(pb_find(kv, 3, 0).v, mod);
    assert_int_equal(pb_find(event, 1, 0).v, is_delete);
}

static inline void shows_nothing(void)
{
    assert_int_equal(buf_len(&rig.call.to_app), 0);
}

static const char *const near_and_far[] = {"bh/d/a/b/c.v1/k", "bh/d/a/b/c/d.v1/k"};

static inline void open_now(const char *const *holders, unsigned n)
{
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    fill(10, 10, holders, n);
    shows_created(10);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
