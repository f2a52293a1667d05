/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_view_world - a random tree on a model of etcd, how it changes, and Ranges of one sidecar's
 * session compared with the oracle. For etcd_view_test.c.
 */
#ifndef TESTS_ETCD_VIEW_WORLD_H
#define TESTS_ETCD_VIEW_WORLD_H

#include "support/etcd_rig.h"

#include "etcd/etcd_family.h"
#include "support/view_model.h"

enum { WATCHES = 3, STEPS_DEFAULT = 6000000, STEPS_PER_WORLD = 300, LIVE_MOST = 170 };

static const struct span prefixes[] = {{(const uint8_t *)"v1/", 3}};

/* A watch as the application and as the model of etcd sees it. */
struct seen {
    bool is_used, is_created, is_begun, is_dead, checks_prev, no_put, no_delete, wants_prev;
    const char *from, *end;
    bool has_lost;                /* upstream, once */
    bool is_future;               /* when it was created */
    int64_t start, from_revision; /* replay holds from here on */
    struct model_kv state[MODEL_LOGICAL];
    /* upstream */
    bool up_is_open, up_prev;
    bool up_is_read; /* its history: a thousand revisions at once; then no compaction reaches it */
    char up_from[MODEL_KEY_BYTES], up_end[MODEL_KEY_BYTES];
    int64_t up_next;
    uint64_t id;
};

static struct world {
    struct rng rng;
    struct model model;
    unsigned p; /* whose sidecar */
    unsigned max_txn_ops;
    bool forgets; /* deletes of the revision it compacts, as etcd before 3.5.18 does */
    struct counters counters;
    struct etcd_family family;
    struct etcd_ns ns;
    struct etcd_call watch; /* one stream */
    bool has_stream;
    struct seen seen[WATCHES];
    unsigned asked, created; /* creates in order, as etcd answers them */
    unsigned order[4 * WATCHES];
    uint64_t ranges, replays, fetches, batches, losses, dead, again;
} w;

static struct pb_build built, wire;

static struct span take_frame(struct buf *from, struct pb_build *into)
{
    struct span m = rig_message(from, 0);
    into->n = 0;
    pb_raw(into, m.p, m.n);
    buf_consume(from, m.n + 5);
    return pb_built(into);
}

/* ---- the world ---- */
static void open_world(void)
{
    const uint64_t seed[] = {rng_next(&w.rng), rng_next(&w.rng)};
    struct ns_path path;
    model_open(&w.model, &w.rng);
    w.max_txn_ops = rng_below(&w.rng, 2) ? 128 : 1 + (unsigned)rng_below(&w.rng, 40);
    w.forgets = rng_below(&w.rng, 2) != 0;
    w.p = (unsigned)rng_below(&w.rng, w.model.namespaces < 6 ? w.model.namespaces : 6);
    const char *name = w.model.path[w.p];
    assert_int_equal(
        ns_path_parse(span_str(*name == '\0' ? "default" : name + 1), '/', &path, NULL), ERR_OK);
    assert_int_equal(family_init(&w.family, SPAN_LIT("bh/"), &path, seed), ERR_OK);
    w.family.prefixes = prefixes;
    w.family.prefix_count = 1;
    w.ns = (struct etcd_ns){
        .tag = RIG_TAG, .has_tag = true, .rng = {1}, .counters = &w.counters, .family = &w.family};
    assert_int_equal(key_map_init(&w.ns.keys, SPAN_LIT("bh/"), &path), ERR_OK);
    memset(w.seen, 0, sizeof w.seen);
    w.has_stream = false;
    w.asked = w.created = 0;
}

/* etcd --max-txn-ops: InvalidArgument. */
static bool is_too_wide(struct span txn)
{
    return pb_find(txn, 2, w.max_txn_ops).field != 0;
}

static void close_world(void)
{
    if (w.has_stream)
        etcd_call_deinit(&w.watch);
    family_deinit(&w.family);
}

static unsigned key_of(unsigned ns, int logical)
{
    for (unsigned i = 0; i < w.model.keys; i++)
        if (w.model.key[i].ns == ns && w.model.key[i].logical == logical)
            return i;
    fail();
    return 0;
}

/* One Txn: an entry of the registry stands before the first key of its namespace. */
static void change_store(void)
{
    struct model *m = &w.model;
    unsigned ns = (unsigned)rng_below(&w.rng, m->namespaces);
    if (!m->now[key_of(ns, -1)].is_live) {
        m->revision++;
        model_change(m, key_of(ns, -1), false, 0);
        return;
    }
    m->revision++;
    unsigned before = m->events;
    bool used[MODEL_LOGICAL] = {false};
    unsigned same = (unsigned)rng_below(&w.rng, MODEL_LOGICAL);
    for (uint64_t n = 1 + rng_below(&w.rng, 4); n != 0; n--) {
        /* The same logical key in several namespaces, at one revision, now and then. */
        unsigned logical = rng_below(&w.rng, 2) ? same : (unsigned)rng_below(&w.rng, MODEL_LOGICAL);
        unsigned other = rng_below(&w.rng, 3) ? ns : (unsigned)rng_below(&w.rng, m->namespaces);
        bool is_delete = rng_below(&w.rng, 5) < 2 || m->live > LIVE_MOST;
        if ((other == ns && used[logical]) || !m->now[key_of(other, -1)].is_live)
            continue;
        bool is_twice = false;
        for (unsigned i = before; i < m->events; i++)
            is_twice = is_twice || m->event[i].key == key_of(other, (int)logical);
        if (is_twice)
            continue;
        used[logical] = used[logical] || other == ns;
        model_change(m, key_of(other, (int)logical), is_delete, (uint32_t)rng_below(&w.rng, 50));
    }
    if (m->events == before)
        m->revision--;
}

/* Garbage collection: an entry goes if its slice is empty. */
static void drop_entry(void)
{
    struct model *m = &w.model;
    unsigned ns = (unsigned)rng_below(&w.rng, m->namespaces);
    for (int i = -1; i < MODEL_LOGICAL; i++)
        if (m->now[key_of(ns, i)].is_live != (i < 0))
            return;
    m->revision++;
    model_change(m, key_of(ns, -1), true, 0);
}

/* ---- Range against the oracle ---- */
static const char *const froms[] = {"v1/", "v1/a", "v1/b", "v1/a/b"};
static const char *const ends[] = {"v10", "v1/b", "v1/bc", "v1/zz", ""};

struct ask {
    const char *from, *end;
    uint64_t limit, order, target, min_mod, max_create;
    int64_t revision;
    bool keys_only, count_only;
};

static int compare_asked(const void *x, const void *y, void *arg)
{
    const struct ask *a = arg;
    const struct model_kv *state = model_at(&w.model, a->revision ? a->revision : w.model.revision);
    unsigned i = *(const unsigned *)x, j = *(const unsigned *)y;
    char vi[16], vj[16];
    snprintf(vi, sizeof vi, "%u", state[i].value);
    snprintf(vj, sizeof vj, "%u", state[j].value);
    int64_t d[] = {0, state[i].version - state[j].version, state[i].create - state[j].create,
                   state[i].mod - state[j].mod, strcmp(vi, vj)};
    int r = (d[a->target] > 0) - (d[a->target] < 0);
    int by_key = strcmp(model_logical[w.model.key[i].logical],
                        model_logical[w.model.key[j].logical]);
    if (a->target == 0)
        r = by_key;
    else if (r == 0)
        return by_key; /* equal ones stay in their order, descending too */
    return a->order == 2 ? -r : r;
}

static void expect_range(const struct ask *a, struct span got)
{
    struct model *m = &w.model;
    const struct model_kv *state = model_at(m, a->revision ? a->revision : m->revision);
    unsigned list[MODEL_LOGICAL], n = 0, count = 0;
    /* etcd cuts before it sorts by a target without an order. */
    bool cuts_first = a->limit != 0 && a->order == 0 && a->min_mod == 0 && a->max_create == 0;
    for (int i = 0; i < MODEL_LOGICAL; i++) {
        int k = model_in(span_str(a->from), span_str(a->end), span_str(model_logical[i]))
                    ? model_winner(m, state, w.p, i)
                    : -1;
        if (k < 0)
            continue;
        count++;
        if (cuts_first && count > a->limit + 1)
            continue;
        if (state[k].mod >= (int64_t)a->min_mod &&
            (a->max_create == 0 || state[k].create <= (int64_t)a->max_create))
            list[n++] = (unsigned)k;
    }
    qsort_r(list, n, sizeof list[0], compare_asked, (void *)(uintptr_t)a);
    unsigned most = a->limit != 0 && a->limit < n ? (unsigned)a->limit : n;
    assert_int_equal(pb_find(got, 4, 0).v, count);
    assert_int_equal(pb_find(got, 3, 0).v, !a->count_only && n > most);
    for (unsigned i = 0; i < most && !a->count_only; i++) {
        struct span kv = pb_find(got, 2, i).s;
        char value[16];
        snprintf(value, sizeof value, "%u", state[list[i]].value);
        assert_span_equal(pb_find(kv, 1, 0).s, span_str(model_logical[m->key[list[i]].logical]));
        assert_int_equal(pb_find(kv, 2, 0).v, state[list[i]].create);
        assert_int_equal(pb_find(kv, 3, 0).v, state[list[i]].mod);
        assert_int_equal(pb_find(kv, 4, 0).v, state[list[i]].version);
        assert_span_equal(pb_find(kv, 5, 0).s, a->keys_only ? SPAN_NONE : span_str(value));
    }
    assert_int_equal(pb_find(got, 2, a->count_only ? 0 : most).field, 0);
}

static void write_ask(const struct ask *a, struct pb_build *out)
{
    out->n = 0;
    pb_str(out, 1, a->from);
    if (*a->end != '\0')
        pb_str(out, 2, a->end);
    const uint64_t number[][2] = {{3, a->limit},    {4, (uint64_t)a->revision}, {5, a->order},
                                  {6, a->target},   {8, a->keys_only},          {9, a->count_only},
                                  {10, a->min_mod}, {13, a->max_create}};
    for (size_t i = 0; i < ARRAY_LEN(number); i++)
        if (number[i][1] != 0)
            pb_num(out, (uint32_t)number[i][0], number[i][1]);
}

static struct ask any_ask(void)
{
    struct rng *r = &w.rng;
    struct ask a = {.from = froms[rng_below(r, ARRAY_LEN(froms))],
                    .end = ends[rng_below(r, ARRAY_LEN(ends))]};
    if (rng_below(r, 2))
        a.from = "v1/", a.end = "v10";
    if (rng_below(r, 2))
        a.limit = rng_below(r, 5);
    if (rng_below(r, 2))
        a.order = rng_below(r, 3), a.target = rng_below(r, 5);
    a.keys_only = rng_below(r, 4) == 0;
    a.count_only = rng_below(r, 8) == 0;
    if (rng_below(r, 6) == 0)
        a.min_mod = rng_below(r, (uint64_t)w.model.revision);
    if (rng_below(r, 6) == 0)
        a.max_create = 1 + rng_below(r, (uint64_t)w.model.revision);
    if (rng_below(r, 3) == 0)
        a.revision = 1 + (int64_t)rng_below(r, (uint64_t)w.model.revision + 1);
    return a;
}

static void read_range(void)
{
    static struct pb_build ask, reply;
    struct etcd_call call;
    struct ask a = any_ask();
    bool was_answered = true;
    int64_t read_at = 0;
    etcd_call_init(&call, &w.ns, etcd_route_find(SPAN_LIT("/etcdserverpb.KV/Range")));
    write_ask(&a, &ask);
    wire.n = 0;
    rig_frame(&wire, pb_built(&ask));
    assert_int_equal(etcd_call_feed_app(&call, pb_built(&wire)), ERR_OK);
    for (unsigned page = 0;; page++) {
        assert_true(page < 1000);
        assert_span_equal(etcd_call_method(&call), SPAN_LIT("/etcdserverpb.KV/Txn"));
        struct span txn = take_frame(&call.to_up, &built);
        reply.n = wire.n = 0;
        bool is_wide = is_too_wide(txn);
        was_answered = !is_wide && model_txn(&w.model, txn, &reply);
        if (was_answered) {
            rig_frame(&wire, pb_built(&reply));
            assert_int_equal(etcd_call_feed_up(&call, pb_built(&wire)), ERR_OK);
        }
        if (page == 0)
            read_at = w.model.revision;
        if (!etcd_call_retry(&call, was_answered ? 0 : is_wide ? 3 : 11))
            break;
        if (rng_below(&w.rng, 8) == 0) /* between two pages the world goes on */
            change_store();
        if (rng_below(&w.rng, 40) == 0)
            w.model.compacted = w.model.revision;
        if (!was_answered && !is_wide)
            page = 0, read_at = w.model.revision;
    }
    bool is_possible = a.revision <= w.model.revision &&
                       (a.revision == 0 || a.revision >= w.model.compacted);
    assert_true(was_answered || !is_possible || a.revision == 0);
    if (was_answered) {
        assert_true(etcd_call_is_answered(&call));
        struct span got = take_frame(&call.to_app, &reply);
        int64_t header = (int64_t)pb_find(pb_find(got, 1, 0).s, 3, 0).v;
        if (a.revision == 0) {
            assert_true(header >= read_at);
            a.revision = header;
        }
        expect_range(&a, got);
        w.ranges++;
    }
    etcd_call_deinit(&call);
}

#endif
