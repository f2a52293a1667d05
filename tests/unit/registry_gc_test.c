/* SPDX-License-Identifier: Apache-2.0 */
/* An entry goes only in a Txn that proves its slice empty, and only where nothing else holds it. */
#include "support/support.h"

#include "etcd/registry_gc.h"
#include "etcd/registry_watch.h"
#include "policy/lease_tag.h"
#include "support/pb_build.h"

static struct ns_path path;
static struct buf out;
static struct span method;
static struct pb_build m, sub, one;

static struct span ask(const struct registry_gc *g)
{
    buf_truncate(&out, 0);
    assert_int_equal(registry_gc_next(g, &out, &method), ERR_OK);
    return buf_span(&out);
}

static void begin(struct registry_gc *g)
{
    assert_int_equal(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL), ERR_OK);
    registry_gc_init(g, SPAN_LIT("bh/"), &path);
    assert_span_equal(pb_find(ask(g), 1, 0).s, SPAN_LIT("bh/m/n/a/b."));
    assert_span_equal(method, SPAN_LIT("/etcdserverpb.KV/Range"));
}

static void feed_entry(struct registry_gc *g)
{
    m.n = sub.n = 0;
    pb_num(&sub, 3, 42);
    pb_str(&sub, 5, "{\"tag\":\"0a1b2c\"}");
    pb_sub(&m, 2, &sub);
    assert_int_equal(registry_gc_feed(g, pb_built(&m)), ERR_OK);
    (void)ask(g);
    assert_span_equal(method, SPAN_LIT("/etcdserverpb.Lease/LeaseLeases"));
}

static void feed_lease(struct registry_gc *g, uint64_t id)
{
    m.n = sub.n = 0;
    pb_num(&sub, 1, id);
    pb_sub(&m, 2, &sub);
    assert_int_equal(registry_gc_feed(g, pb_built(&m)), ERR_OK);
}

static void feed_keys(struct registry_gc *g, uint64_t keys)
{
    struct span range = ask(g);
    assert_span_equal(method, SPAN_LIT("/etcdserverpb.KV/Range"));
    assert_span_equal(pb_find(range, 1, 0).s, SPAN_LIT("bh/d/a/b."));
    assert_span_equal(pb_find(range, 2, 0).s, SPAN_LIT("bh/d/a/b/"));
    assert_int_equal(pb_find(range, 9, 0).v, 1);
    m.n = 0;
    pb_num(&m, 4, keys);
    assert_int_equal(registry_gc_feed(g, pb_built(&m)), ERR_OK);
}

/* Once more, behind the mark. */
static void feed_lease_again(struct registry_gc *g, uint64_t id)
{
    registry_gc_waited(g);
    (void)ask(g);
    assert_span_equal(method, SPAN_LIT("/etcdserverpb.Lease/LeaseLeases"));
    feed_lease(g, id);
}

static uint64_t lease_of(uint32_t tag)
{
    return (uint64_t)tag << LEASE_PAYLOAD_BITS | 5;
}

static void feed_mark(struct registry_gc *g, bool succeeds)
{
    struct span txn = ask(g), compare = pb_find(txn, 1, 0).s;
    struct span put = pb_find(pb_find(txn, 2, 0).s, 2, 0).s;
    assert_span_equal(method, SPAN_LIT("/etcdserverpb.KV/Txn"));
    assert_span_equal(pb_find(compare, 3, 0).s, SPAN_LIT("bh/m/n/a/b."));
    assert_int_equal(pb_find(compare, 6, 0).v, 42);
    assert_span_equal(pb_find(put, 1, 0).s, SPAN_LIT("bh/m/n/a/b."));
    assert_span_equal(pb_find(put, 2, 0).s, SPAN_LIT("{\"gc\":\"42\",\"tag\":\"0a1b2c\"}"));
    m.n = sub.n = 0;
    pb_num(&sub, 3, 50);
    pb_sub(&m, 1, &sub);
    if (succeeds)
        pb_num(&m, 2, 1);
    assert_int_equal(registry_gc_feed(g, pb_built(&m)), ERR_OK);
}

static void the_last_step_is_one_txn_that_proves_it(void **state)
{
    (void)state;
    struct registry_gc g;
    begin(&g);
    feed_entry(&g);
    feed_lease(&g, lease_of(0x0a1b2d)); /* somebody else's */
    feed_keys(&g, 0);
    feed_mark(&g, true);
    feed_lease_again(&g, lease_of(1));
    struct span txn = ask(&g);
    assert_span_equal(method, SPAN_LIT("/etcdserverpb.KV/Txn"));
    struct span same = pb_find(txn, 1, 0).s, tag = pb_find(txn, 1, 1).s,
                empty = pb_find(txn, 1, 2).s;
    assert_span_equal(pb_find(same, 3, 0).s, SPAN_LIT("bh/m/n/a/b."));
    assert_int_equal(pb_find(same, 2, 0).v, 2);
    assert_int_equal(pb_find(same, 6, 0).v, 50);
    assert_span_equal(pb_find(tag, 3, 0).s, SPAN_LIT("bh/m/t/0a1b2c"));
    assert_span_equal(pb_find(tag, 7, 0).s, SPAN_LIT("a/b"));
    assert_span_equal(pb_find(empty, 3, 0).s, SPAN_LIT("bh/d/a/b."));
    assert_span_equal(pb_find(empty, 64, 0).s, SPAN_LIT("bh/d/a/b/"));
    assert_int_equal(pb_find(empty, 4, 0).field, 4); /* version == 0, written out */
    assert_span_equal(pb_find(pb_find(pb_find(txn, 2, 0).s, 3, 0).s, 1, 0).s,
                      SPAN_LIT("bh/m/n/a/b."));
    assert_span_equal(pb_find(pb_find(pb_find(txn, 2, 1).s, 3, 0).s, 1, 0).s,
                      SPAN_LIT("bh/m/t/0a1b2c"));
    one.n = 0;
    pb_num(&one, 2, 1);
    assert_int_equal(registry_gc_feed(&g, pb_built(&one)), ERR_OK);
    assert_int_equal(g.state, REGISTRY_GC_DONE);
}

static void whatever_holds_it_keeps_it(void **state)
{
    (void)state;
    struct registry_gc g;
    begin(&g);
    assert_int_equal(registry_gc_feed(&g, SPAN_NONE), ERR_OK);
    assert_int_equal(g.state, REGISTRY_GC_KEPT);
    begin(&g);
    feed_entry(&g);
    feed_lease(&g, lease_of(0x0a1b2c));
    assert_int_equal(g.state, REGISTRY_GC_KEPT);
    assert_string_equal(g.why, "leases of it are alive");
    assert_int_equal(g.leases, 1);
    begin(&g);
    feed_entry(&g);
    feed_lease(&g, lease_of(1));
    feed_keys(&g, 3);
    assert_int_equal(g.state, REGISTRY_GC_KEPT);
    assert_int_equal(g.keys, 3);
    begin(&g);
    g.is_dry_run = true;
    feed_entry(&g);
    feed_lease(&g, lease_of(1));
    feed_keys(&g, 0);
    assert_int_equal(g.state, REGISTRY_GC_DONE);
    begin(&g);
    feed_entry(&g);
    feed_lease(&g, lease_of(1));
    feed_keys(&g, 0);
    feed_mark(&g, false); /* a sidecar began */
    assert_int_equal(g.state, REGISTRY_GC_KEPT);
    begin(&g);
    feed_entry(&g);
    feed_lease(&g, lease_of(1));
    feed_keys(&g, 0);
    feed_mark(&g, true);
    feed_lease_again(&g, lease_of(1));
    assert_int_equal(registry_gc_feed(&g, SPAN_NONE), ERR_OK); /* the compares failed */
    assert_int_equal(g.state, REGISTRY_GC_KEPT);
    /* A sidecar granted a lease and was gone before the mark. */
    begin(&g);
    feed_entry(&g);
    feed_lease(&g, lease_of(1));
    feed_keys(&g, 0);
    feed_mark(&g, true);
    feed_lease_again(&g, lease_of(0x0a1b2c));
    assert_int_equal(g.state, REGISTRY_GC_KEPT);
    assert_string_equal(g.why, "leases of it are alive");
}

/* One mark is answered once, a removal always. */
static void a_sidecar_answers_a_mark(void **state)
{
    (void)state;
    static const struct {
        uint64_t type;
        const char *value;
        bool again;
    } rows[] = {
        {0, "{\"tag\":\"0a1b2c\"}", false},
        {0, "{\"gc\":\"42\",\"tag\":\"0a1b2c\"}", true},
        {0, "{\"gc\":\"42\",\"tag\":\"0a1b2c\"}", false}, /* another sidecar's touch */
        {0, "{\"gc\":\"51\",\"tag\":\"0a1b2c\"}", true},
        {1, "", true},
    };
    uint64_t answered = 0;
    bool again = true;
    assert_int_equal(registry_watch_feed(SPAN_LIT("\x0a\x00\x18\x01"), &answered, &again), ERR_OK);
    assert_false(again); /* created */
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        m.n = sub.n = one.n = 0;
        pb_str(&one, 5, rows[i].value);
        pb_num(&sub, 1, rows[i].type);
        pb_sub(&sub, 2, &one);
        pb_sub(&m, 11, &sub);
        assert_int_equal(registry_watch_feed(pb_built(&m), &answered, &again), ERR_OK);
        assert_int_equal(again, rows[i].again);
    }
    assert_int_equal(registry_watch_feed(SPAN_LIT("\x5a\x05"), &answered, &again),
                     ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL), ERR_OK);
    buf_truncate(&out, 0);
    assert_int_equal(registry_watch_request(SPAN_LIT("bh/"), &path, 9, &out), ERR_OK);
    struct span create = pb_find(buf_span(&out), 1, 0).s;
    assert_span_equal(pb_find(create, 1, 0).s, SPAN_LIT("bh/m/n/a/b."));
    assert_int_equal(pb_find(create, 3, 0).v, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_step_is_one_txn_that_proves_it),
        cmocka_unit_test(whatever_holds_it_keeps_it),
        cmocka_unit_test(a_sidecar_answers_a_mark),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&out);
    return failed;
}
