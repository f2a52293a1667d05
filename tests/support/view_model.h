/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_model - a small etcd in memory and a tree of namespaces in it: the slow, obvious second
 * implementation for law V (design.md 4.5). Shares no code with etcd/ and wire/.
 *
 * All keys that may ever be are made at the start, sorted; a key is its index. History is kept
 * whole for the oracle; what is compacted is only refused.
 */
#ifndef TESTS_VIEW_MODEL_H
#define TESTS_VIEW_MODEL_H

#include <stdio.h>

#include "support/support.h"

#include "support/pb_build.h"

enum { MODEL_NS_MAX = 200, MODEL_LOGICAL = 7, MODEL_HISTORY = 400 };
enum { MODEL_KEYS_MAX = MODEL_NS_MAX * (MODEL_LOGICAL + 1), MODEL_KEY_BYTES = 80 };

struct model_kv {
    bool is_live;
    int64_t create, mod, version;
    uint32_t value;
};

struct model_key {
    char text[MODEL_KEY_BYTES]; /* stored */
    unsigned ns;
    int logical; /* -1: the registry's entry */
};

struct model_event {
    int64_t revision;
    unsigned key;
    bool is_delete;
    struct model_kv kv; /* as it is then; of a delete: what it was before is not here */
};

struct model {
    unsigned namespaces;
    char path[MODEL_NS_MAX][40]; /* "/a/b", "" = root; segments need no encoding */
    bool has_entry[MODEL_NS_MAX];
    unsigned keys;
    struct model_key key[MODEL_KEYS_MAX]; /* sorted by text */
    struct model_kv now[MODEL_KEYS_MAX];
    unsigned live;
    int64_t revision, compacted;
    unsigned events;
    struct model_event event[MODEL_HISTORY * 4];
    /* The state at one revision, made when it is asked for. */
    int64_t past_revision;
    unsigned past_events;
    struct model_kv past[MODEL_KEYS_MAX];
};

static const char *const model_logical[MODEL_LOGICAL] = {"v1",    "v1/a", "v1/a/b", "v1/b",
                                                         "v1/bc", "v1/z", "w/a"}; /* sorted */

static inline int model_by_text(const void *a, const void *b)
{
    const struct model_key *x = a, *y = b;
    return strcmp(x->text, y->text);
}

/* Is ns below p, or p itself? */
static inline bool model_is_within(const struct model *m, unsigned p, unsigned ns)
{
    size_t n = strlen(m->path[p]);
    return strncmp(m->path[p], m->path[ns], n) == 0 &&
           (m->path[ns][n] == '\0' || m->path[ns][n] == '/');
}

static inline unsigned model_depth(const char *path)
{
    unsigned n = 0;
    for (; *path != '\0'; path++)
        n += *path == '/';
    return n;
}

/* p's own first, then fewest segments, then path. */
static inline bool model_is_nearer(const struct model *m, unsigned a, unsigned b)
{
    unsigned x = model_depth(m->path[a]), y = model_depth(m->path[b]);
    return x != y ? x < y : strcmp(m->path[a], m->path[b]) < 0;
}

static inline void model_open(struct model *m, struct rng *rng)
{
    static const char *const segments[] = {"a", "ab", "a-b", "a0", "b", "A", "0"};
    memset(m, 0, sizeof *m);
    m->revision = 1;
    unsigned want = 1 + (unsigned)rng_below(rng, rng_below(rng, 4) == 0 ? MODEL_NS_MAX : 12);
    m->namespaces = 1;
    for (unsigned tries = 0; m->namespaces < want && tries < 4 * MODEL_NS_MAX; tries++) {
        unsigned parent = (unsigned)rng_below(rng, m->namespaces);
        char path[40];
        if (model_depth(m->path[parent]) == 4)
            continue;
        snprintf(path, sizeof path, "%.24s/%s", m->path[parent], segments[rng_below(rng, 7)]);
        bool is_known = false;
        for (unsigned i = 0; i < m->namespaces; i++)
            is_known = is_known || strcmp(m->path[i], path) == 0;
        if (!is_known)
            memcpy(m->path[m->namespaces++], path, sizeof path);
    }
    for (unsigned ns = 0; ns < m->namespaces; ns++)
        for (int i = -1; i < MODEL_LOGICAL; i++) {
            struct model_key k = {.ns = ns, .logical = i};
            snprintf(k.text, sizeof k.text, i < 0 ? "bh/m/n%s." : "bh/d%s.%s", m->path[ns],
                     i < 0 ? "" : model_logical[i]);
            m->key[m->keys++] = k;
        }
    qsort(m->key, m->keys, sizeof m->key[0], model_by_text);
}

/* One change of revision `revision`. */
static inline void model_change(struct model *m, unsigned key, bool is_delete, uint32_t value)
{
    struct model_kv *kv = &m->now[key];
    if (is_delete && !kv->is_live)
        return;
    m->live += is_delete ? (unsigned)-1 : !kv->is_live;
    if (is_delete)
        *kv = (struct model_kv){.mod = m->revision};
    else
        *kv = (struct model_kv){true, kv->is_live ? kv->create : m->revision, m->revision,
                                kv->is_live ? kv->version + 1 : 1, value};
    assert_true(m->events < MODEL_HISTORY * 4);
    m->event[m->events++] = (struct model_event){m->revision, key, is_delete, *kv};
}

/* The state at a revision, whole history known. */
static inline const struct model_kv *model_at(struct model *m, int64_t revision)
{
    if (revision >= m->revision)
        return m->now;
    if (m->past_revision == revision && m->past_events == m->events)
        return m->past;
    memset(m->past, 0, sizeof m->past);
    for (unsigned i = 0; i < m->events && m->event[i].revision <= revision; i++)
        m->past[m->event[i].key] = m->event[i].kv;
    m->past_revision = revision;
    m->past_events = m->events;
    return m->past;
}

static inline bool model_in(struct span from, struct span end, struct span key)
{
    if (end.n == 0)
        return span_eq(from, key);
    bool open = end.n == 1 && end.p[0] == 0;
    return span_cmp(key, from) >= 0 && (open || span_cmp(key, end) < 0);
}

/* The oracle: who is seen for this logical key from p; -1: nobody. Index of the key. */
static inline int model_winner(const struct model *m, const struct model_kv *state, unsigned p,
                               int logical)
{
    int best = -1;
    for (unsigned i = 0; i < m->keys; i++)
        if (m->key[i].logical == logical && state[i].is_live &&
            model_is_within(m, p, m->key[i].ns) &&
            (best < 0 || model_is_nearer(m, m->key[i].ns, m->key[best].ns)))
            best = (int)i;
    return best;
}

/* ---- messages ---- */
static inline void model_write_kv(const struct model *m, unsigned key, const struct model_kv *kv,
                                  bool keys_only, uint32_t field, struct pb_build *out)
{
    static struct pb_build one;
    char value[16];
    one.n = 0;
    pb_str(&one, 1, m->key[key].text);
    if (kv->create != 0)
        pb_num(&one, 2, (uint64_t)kv->create);
    pb_num(&one, 3, (uint64_t)kv->mod);
    if (kv->version != 0)
        pb_num(&one, 4, (uint64_t)kv->version);
    snprintf(value, sizeof value, "%u", kv->value);
    if (!keys_only && kv->is_live)
        pb_str(&one, 5, value);
    pb_sub(out, field, &one);
}

static inline void model_header(const struct model *m, struct pb_build *out)
{
    static struct pb_build header;
    header.n = 0;
    pb_num(&header, 1, 7);
    pb_num(&header, 3, (uint64_t)m->revision);
    pb_sub(out, 1, &header);
}

/* The first key that is not before `from`. */
static inline unsigned model_first(const struct model *m, struct span from)
{
    unsigned low = 0, high = m->keys;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (span_cmp(span_str(m->key[middle].text), from) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* RangeRequest -> RangeResponse. False: OutOfRange. */
static inline bool model_range(struct model *m, struct span ask, struct pb_build *out)
{
    struct span from = pb_find(ask, 1, 0).s, end = pb_find(ask, 2, 0).s;
    uint64_t limit = pb_find(ask, 3, 0).v, min_create = pb_find(ask, 12, 0).v, count = 0, n = 0;
    int64_t revision = (int64_t)pb_find(ask, 4, 0).v;
    bool descends = pb_find(ask, 5, 0).v == 2, keys_only = pb_find(ask, 8, 0).v != 0;
    if (revision > m->revision || (revision != 0 && revision < m->compacted))
        return false;
    const struct model_kv *state = model_at(m, revision == 0 ? m->revision : revision);
    model_header(m, out);
    unsigned low = model_first(m, from), high = low;
    while (high < m->keys && model_in(from, end, span_str(m->key[high].text)))
        high++;
    for (unsigned at = low; at < high; at++) {
        unsigned i = descends ? low + high - 1 - at : at;
        if (!state[i].is_live)
            continue;
        count++;
        if (state[i].create < (int64_t)min_create || (limit != 0 && n == limit))
            continue;
        n++;
        model_write_kv(m, i, &state[i], keys_only, 2, out);
    }
    if (limit != 0 && count > limit)
        pb_num(out, 3, 1);
    if (count != 0)
        pb_num(out, 4, count);
    return true;
}

/* TxnRequest of reads alone -> TxnResponse. False: OutOfRange. */
static inline bool model_txn(struct model *m, struct span ask, struct pb_build *out)
{
    static struct pb_build range, op;
    model_header(m, out);
    pb_num(out, 2, 1);
    unsigned ops = 0;
    for (struct pb_got got; pb_get(&ask, &got) == 1;) {
        assert_int_equal(got.field, 2); /* neither compares nor an else */
        struct pb_got read = pb_find(got.s, 1, 0);
        assert_int_equal(read.wire, 2);
        range.n = op.n = 0;
        if (!model_range(m, read.s, &range))
            return false;
        pb_sub(&op, 1, &range);
        pb_sub(out, 3, &op);
        ops++;
    }
    assert_in_range(ops, 1, 128);
    return true;
}

#endif
