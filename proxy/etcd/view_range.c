/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/view_range.h"

#include <stdlib.h>

#include "base/check.h"
#include "etcd/etcd_fields.h"
#include "etcd/view_merge.h"
#include "limit.h"
#include "wire/pb_write.h"

/* etcd rpc.proto RangeRequest.SortOrder and SortTarget. */
enum { ORDER_NONE, ORDER_ASCEND, ORDER_DESCEND };
enum { TARGET_KEY, TARGET_VERSION, TARGET_CREATE, TARGET_MOD, TARGET_VALUE };

struct ask {
    struct span key, end;
    uint64_t field[RANGE_FIELDS_END]; /* numbers, as asked; 0 where not */
};

struct view_range {
    struct etcd_ns *ns; /* shares */
    struct view_gather gather;
    struct ask ask;   /* key and end are in gather */
    bool takes_first; /* each namespace gives its first `limit` */
    bool is_counting; /* the second read, of keys alone */
    unsigned tries;
    uint64_t count; /* distinct keys */
    bool has_more;
    struct buf header; /* owned; ResponseHeader */
    struct buf pairs;  /* owned; what has been merged, as fields of a RangeResponse */
};

/* -- what is asked -- */
/* False: a field that is not known here, or two of a kind that are bytes: etcd's business. */
static bool read_ask(struct span request, struct ask *ret)
{
    const uint8_t *p = request.p, *end = span_end(request);
    struct pb_item it;
    *ret = (struct ask){0};
    while (p != end) {
        if (!pb_item_next(&p, end, &it) || it.number >= RANGE_FIELDS_END)
            return false;
        bool is_bytes = it.number == RANGE_KEY || it.number == RANGE_END;
        if (it.wire != (is_bytes ? PB_WIRE_BYTES : PB_WIRE_VARINT))
            return false;
        if (it.number == RANGE_KEY)
            ret->key = it.bytes;
        else if (it.number == RANGE_END)
            ret->end = it.bytes;
        else
            ret->field[it.number] = it.varint;
    }
    bool is_ordered = ret->field[RANGE_ORDER] <= ORDER_DESCEND &&
                      ret->field[RANGE_TARGET] <= TARGET_VALUE;
    return ret->key.n != 0 && is_ordered && (int64_t)ret->field[RANGE_REVISION] >= 0;
}

static bool has_filters(const struct ask *a)
{
    return a->field[RANGE_MIN_MOD] != 0 || a->field[RANGE_MAX_MOD] != 0 ||
           a->field[RANGE_MIN_CREATE] != 0 || a->field[RANGE_MAX_CREATE] != 0;
}

static bool has_limit(const struct ask *a)
{
    return (int64_t)a->field[RANGE_LIMIT] > 0;
}

static bool is_by_key(const struct ask *a)
{
    return a->field[RANGE_TARGET] == TARGET_KEY;
}

static bool descends(const struct ask *a)
{
    return a->field[RANGE_ORDER] == ORDER_DESCEND;
}

/* The fields that each namespace's Range gets besides key, end and revision. */
static enum err write_rest(const struct view_range *r, struct buf *out)
{
    struct pb_writer w = {.out = out};
    const uint64_t *field = r->ask.field;
    bool sorts_values = !is_by_key(&r->ask) && field[RANGE_TARGET] == TARGET_VALUE;
    if (r->is_counting || field[RANGE_COUNT_ONLY] != 0 ||
        (field[RANGE_KEYS_ONLY] != 0 && !sorts_values))
        pb_write_number(&w, RANGE_KEYS_ONLY, 1);
    if (r->takes_first && !r->is_counting) {
        pb_write_number(&w, RANGE_LIMIT, field[RANGE_LIMIT]);
        if (descends(&r->ask))
            pb_write_number(&w, RANGE_ORDER, ORDER_DESCEND);
    }
    return w.error;
}

/* -- life -- */
enum err view_range_begin(struct etcd_ns *ns, struct span request, struct view_range **ret)
{
    struct ask ask;
    struct buf rest = {0};
    *ret = NULL;
    if (!read_ask(request, &ask) || !family_sees(ns->family, ask.key, ask.end))
        return ERR_OK;
    struct view_range *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_NOMEM;
    r->ns = ns;
    r->ask = ask;
    r->takes_first = has_limit(&ask) && is_by_key(&ask) && !has_filters(&ask) &&
                     ask.field[RANGE_COUNT_ONLY] == 0;
    enum err e = write_rest(r, &rest);
    if (e == ERR_OK)
        e = view_gather_init(&r->gather, ns->family, ask.key, ask.end, buf_span(&rest));
    buf_deinit(&rest);
    r->ask.key = r->ask.end = SPAN_NONE;
    r->gather.counters = ns->counters;
    r->gather.is_serializable = ask.field[RANGE_SERIALIZABLE] != 0;
    r->gather.revision = (int64_t)ask.field[RANGE_REVISION];
    if (e == ERR_OK)
        e = view_gather_begin(&r->gather);
    if (e != ERR_OK)
        view_range_free(&r);
    *ret = r;
    return e;
}

void view_range_free(struct view_range **r)
{
    if (*r == NULL)
        return;
    view_gather_deinit(&(*r)->gather);
    buf_deinit(&(*r)->header);
    buf_deinit(&(*r)->pairs);
    free(*r);
    *r = NULL;
}

size_t view_range_bytes(const struct view_range *r)
{
    return r == NULL ? 0 : sizeof *r + view_gather_bytes(&r->gather) + r->header.cap + r->pairs.cap;
}

bool view_range_is_done(const struct view_range *r)
{
    return view_gather_is_done(&r->gather);
}

bool view_range_is_serializable(const struct view_range *r)
{
    return r->gather.is_serializable;
}

bool view_range_is_waiting(const struct view_range *r)
{
    return r->gather.is_waiting;
}

enum err view_range_next(struct view_range *r, struct buf *out)
{
    return view_gather_next(&r->gather, out);
}

/* -- what is answered -- */
static bool passes(const struct ask *a, const struct view_kv *kv)
{
    const uint64_t *f = a->field;
    return (f[RANGE_MIN_MOD] == 0 || kv->mod >= (int64_t)f[RANGE_MIN_MOD]) &&
           (f[RANGE_MAX_MOD] == 0 || kv->mod <= (int64_t)f[RANGE_MAX_MOD]) &&
           (f[RANGE_MIN_CREATE] == 0 || kv->create >= (int64_t)f[RANGE_MIN_CREATE]) &&
           (f[RANGE_MAX_CREATE] == 0 || kv->create <= (int64_t)f[RANGE_MAX_CREATE]);
}

static enum err write_pair(struct view_range *r, const struct view_kv *kv)
{
    return view_kv_write(r->ns, kv, r->ask.field[RANGE_KEYS_ONLY] != 0, RANGE_REPLY_KV, &r->pairs);
}

static int compare_numbers(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* qsort_r's: by the target; equal ones in the order of their keys, descending too, as etcd leaves
 * them. */
static int compare_pairs(const void *x, const void *y, void *ask)
{
    const struct view_kv *a = x, *b = y;
    const struct ask *k = ask;
    int r = 0;
    switch (k->field[RANGE_TARGET]) {
    case TARGET_VERSION:
        r = compare_numbers(a->version, b->version);
        break;
    case TARGET_CREATE:
        r = compare_numbers(a->create, b->create);
        break;
    case TARGET_MOD:
        r = compare_numbers(a->mod, b->mod);
        break;
    case TARGET_VALUE:
        r = span_cmp(a->value, b->value);
        break;
    default:
        break;
    }
    int by_key = span_cmp(a->key, b->key);
    if (is_by_key(k))
        r = by_key;
    else if (r == 0)
        return by_key;
    return descends(k) ? -r : r;
}

/* etcd cuts before it sorts by a target without an order: of the winners only so many are looked
 * at. */
static uint64_t looked_at(const struct ask *a)
{
    bool is_cut = has_limit(a) && a->field[RANGE_ORDER] == ORDER_NONE && !has_filters(a);
    return is_cut ? a->field[RANGE_LIMIT] + 1 : UINT64_MAX;
}

/* All winners that pass, in memory, because the order or the cut is not that of the merge. */
static enum err sort_pairs(struct view_range *r, struct view_merge *m)
{
    struct view_kv *all = NULL, kv;
    size_t n = 0, cap = 0;
    enum err e = ERR_OK;
    while (e == ERR_OK && view_merge_next(m, &kv)) {
        if (r->count++ >= looked_at(&r->ask) || !passes(&r->ask, &kv))
            continue;
        if (n == cap) {
            cap = cap == 0 ? 64 : 2 * cap;
            struct view_kv *more = realloc(all, cap * sizeof *all);
            if (more == NULL)
                e = ERR_NOMEM;
            else
                all = more;
        }
        if (e == ERR_OK)
            all[n++] = kv;
    }
    if (n != 0 && (!is_by_key(&r->ask) || descends(&r->ask)))
        qsort_r(all, n, sizeof *all, compare_pairs, &r->ask);
    uint64_t most = has_limit(&r->ask) ? r->ask.field[RANGE_LIMIT] : n;
    r->has_more = n > most;
    for (size_t i = 0; i < n && i < most && e == ERR_OK; i++)
        e = write_pair(r, &all[i]);
    free(all);
    return e;
}

/* In the order of the merge. */
static enum err write_pairs(struct view_range *r, struct view_merge *m)
{
    struct view_kv kv;
    enum err e = ERR_OK;
    uint64_t most = has_limit(&r->ask) ? r->ask.field[RANGE_LIMIT] : UINT64_MAX;
    while (e == ERR_OK && view_merge_next(m, &kv))
        if (r->count++ < most)
            e = write_pair(r, &kv);
    r->has_more = r->count > most || m->has_more;
    return e;
}

static enum err count_keys(struct view_range *r, struct view_merge *m)
{
    struct view_kv kv;
    r->count = 0;
    while (view_merge_next(m, &kv))
        r->count++;
    return ERR_OK;
}

/* Each namespace gave its first: if that was not all, how many there are in all? */
static enum err count_rest(struct view_range *r, const struct view_merge *m)
{
    if (!m->has_more)
        return ERR_OK;
    if (m->holders <= 1) {
        r->count = m->total;
        return ERR_OK;
    }
    struct view_gather *g = &r->gather;
    r->is_counting = true;
    g->revision = g->at;
    buf_truncate(&g->rest, 0);
    enum err e = write_rest(r, &g->rest);
    return e == ERR_OK ? view_gather_begin(g) : e;
}

static enum err merge(struct view_range *r)
{
    struct view_gather *g = &r->gather;
    struct view_merge m;
    view_gather_sort(g);
    enum err e = buf_len(&r->header) == 0 ? buf_append(&r->header, g->header) : ERR_OK;
    if (e == ERR_OK &&
        !r->is_counting) /* one growth, usually: what is stored is longer than what is shown */
        e = buf_reserve(&r->pairs, g->page_bytes);
    if (e != ERR_OK)
        return e;
    e = view_merge_init(&m, r->ns, g, r->takes_first && !r->is_counting && descends(&r->ask));
    if (e != ERR_OK)
        return e;
    bool is_count = r->is_counting || r->ask.field[RANGE_COUNT_ONLY] != 0;
    if (is_count)
        e = count_keys(r, &m);
    else if (r->takes_first || (is_by_key(&r->ask) && !descends(&r->ask) && !has_filters(&r->ask)))
        e = write_pairs(r, &m);
    else
        e = sort_pairs(r, &m);
    if (e == ERR_OK && m.is_broken)
        e = ERR_UPSTREAM_PROTOCOL;
    if (!r->is_counting)
        count(r->ns->counters, COUNTER_HIDDEN_KEY, m.losers);
    if (e == ERR_OK && r->takes_first && !r->is_counting)
        e = count_rest(r, &m);
    view_merge_deinit(&m);
    return e;
}

enum err view_range_feed(struct view_range *r, struct buf *page, size_t at)
{
    enum err e = view_gather_feed(&r->gather, page, at);
    return e == ERR_OK && view_gather_is_done(&r->gather) ? merge(r) : e;
}

bool view_range_narrow(struct view_range *r)
{
    return view_gather_narrow(&r->gather);
}

bool view_range_restart(struct view_range *r)
{
    struct view_gather *g = &r->gather;
    if (r->ask.field[RANGE_REVISION] != 0 || g->at == 0 || ++r->tries == LIMIT_GATHER_TRIES)
        return false;
    r->is_counting = false;
    r->count = 0;
    r->has_more = false;
    g->revision = 0;
    buf_truncate(&r->pairs, 0);
    buf_truncate(&r->header, 0);
    buf_truncate(&g->rest, 0);
    return write_rest(r, &g->rest) == ERR_OK && view_gather_begin(g) == ERR_OK;
}

enum err view_range_answer(struct view_range *r, struct buf *out)
{
    struct pb_writer w = {.out = out};
    CHECK(view_range_is_done(r));
    w.error = buf_reserve(out, buf_len(&r->header) + buf_len(&r->pairs) + 32);
    pb_write_bytes(&w, REPLY_HEADER, buf_span(&r->header));
    if (w.error == ERR_OK)
        w.error = buf_append(out, buf_span(&r->pairs));
    if (r->has_more)
        pb_write_number(&w, RANGE_REPLY_MORE, 1);
    if (r->count != 0)
        pb_write_number(&w, RANGE_REPLY_COUNT, r->count);
    return w.error;
}
