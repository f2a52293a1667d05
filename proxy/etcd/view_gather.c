/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/view_gather.h"

#include <stdlib.h>

#include "base/check.h"
#include "etcd/etcd_fields.h"
#include "limit.h"
#include "wire/pb_wire.h"
#include "wire/pb_write.h"

/* -- life -- */
enum err view_gather_init(struct view_gather *g, struct etcd_family *f, struct span key,
                          struct span end, struct span rest)
{
    *g = (struct view_gather){.family = f};
    enum err e = buf_append(&g->key, key);
    if (e == ERR_OK)
        e = buf_append(&g->end, end);
    return e == ERR_OK ? buf_append(&g->rest, rest) : e;
}

static void forget_pages(struct view_gather *g)
{
    for (uint32_t i = 0; i < g->pages; i++)
        buf_deinit(&g->page[i]);
    g->pages = g->chunks = 0;
    g->page_bytes = 0;
}

void view_gather_deinit(struct view_gather *g)
{
    forget_pages(g);
    buf_deinit(&g->key);
    buf_deinit(&g->end);
    buf_deinit(&g->rest);
    free(g->number);
    free(g->asked);
    free(g->page);
    free(g->chunk);
    *g = (struct view_gather){0};
}

size_t view_gather_bytes(const struct view_gather *g)
{
    return g->key.cap + g->end.cap + g->rest.cap + g->page_bytes +
           g->cap * (sizeof *g->number + sizeof *g->chunk) + g->pages_cap * sizeof *g->page;
}

/* Room for n numbers, and a chunk each. */
static enum err reserve(struct view_gather *g, uint32_t n)
{
    if (n <= g->cap)
        return ERR_OK;
    uint32_t cap = n + n / 4 + 4;
    uint32_t *number = realloc(g->number, cap * sizeof *number);
    if (number == NULL)
        return ERR_NOMEM;
    g->number = number;
    struct view_chunk *chunk = realloc(g->chunk, cap * sizeof *chunk);
    if (chunk == NULL)
        return ERR_NOMEM;
    g->chunk = chunk;
    g->cap = cap;
    return ERR_OK;
}

/* Number is one of those to be asked. */
static enum err note_asked(struct view_gather *g, uint32_t number)
{
    if (number >= g->asked_n) {
        uint32_t n = g->family->cap;
        bool *asked = realloc(g->asked, n * sizeof *asked);
        if (asked == NULL)
            return ERR_NOMEM;
        memset(asked + g->asked_n, 0, (n - g->asked_n) * sizeof *asked);
        g->asked = asked;
        g->asked_n = n;
    }
    g->asked[number] = true;
    return ERR_OK;
}

enum err view_gather_begin(struct view_gather *g)
{
    uint32_t n;
    const uint32_t *listed = family_listed(g->family, &n);
    forget_pages(g);
    enum err e = reserve(g, n);
    if (e != ERR_OK)
        return e;
    if (g->asked_n != 0)
        memset(g->asked, 0, g->asked_n * sizeof *g->asked);
    for (g->n = 0; g->n < n && e == ERR_OK; g->n++) {
        g->number[g->n] = listed[g->n];
        e = note_asked(g, listed[g->n]);
    }
    g->from = g->to = 0;
    g->most = g->family->page_ops;
    g->at = 0;
    g->is_waiting = false;
    g->since = g->family->known;
    bool is_known = g->since != 0 && (g->revision == 0 || g->revision >= g->since);
    g->registry = is_known ? GATHER_REGISTRY_SINCE : GATHER_REGISTRY_ALL;
    return e;
}

/* -- asking -- */
static void write_common(const struct view_gather *g, struct pb_writer *w)
{
    int64_t revision = g->revision != 0 ? g->revision : g->at;
    if (revision != 0)
        pb_write_number(w, RANGE_REVISION, (uint64_t)revision);
    if (g->is_serializable)
        pb_write_number(w, RANGE_SERIALIZABLE, 1);
}

static void write_key(struct pb_writer *w, uint32_t field, const struct view_gather *g,
                      struct span path, struct span key)
{
    size_t mark = pb_write_begin(w, field);
    if (w->error == ERR_OK)
        w->error = key_view_key(&g->family->view, path, key, w->out);
    pb_write_end(w, mark);
}

static void write_range(const struct view_gather *g, uint32_t number, struct pb_writer *w)
{
    struct span path = family_path(g->family, number);
    size_t op = pb_write_begin(w, TXN_SUCCESS);
    size_t range = pb_write_begin(w, OP_RANGE);
    write_key(w, RANGE_KEY, g, path, buf_span(&g->key));
    if (buf_len(&g->end) != 0)
        write_key(w, RANGE_END, g, path, buf_span(&g->end));
    if (w->error == ERR_OK)
        w->error = buf_append(w->out, buf_span(&g->rest));
    write_common(g, w);
    pb_write_end(w, range);
    pb_write_end(w, op);
}

static void write_registry(const struct view_gather *g, struct pb_writer *w)
{
    size_t op = pb_write_begin(w, TXN_SUCCESS);
    size_t range = pb_write_begin(w, OP_RANGE);
    size_t mark = pb_write_begin(w, RANGE_KEY);
    if (w->error == ERR_OK)
        w->error = key_view_registry_first(&g->family->view, w->out);
    pb_write_end(w, mark);
    mark = pb_write_begin(w, RANGE_END);
    if (w->error == ERR_OK)
        w->error = key_view_registry_end(&g->family->view, w->out);
    pb_write_end(w, mark);
    pb_write_number(w, RANGE_KEYS_ONLY, 1);
    if (g->registry == GATHER_REGISTRY_SINCE)
        pb_write_number(w, RANGE_MIN_CREATE, (uint64_t)g->since + 1);
    write_common(g, w);
    pb_write_end(w, range);
    pb_write_end(w, op);
}

enum err view_gather_next(struct view_gather *g, struct buf *out)
{
    struct pb_writer w = {.out = out};
    size_t before = buf_len(out);
    uint32_t most = g->most - (g->registry != GATHER_NO_REGISTRY);
    CHECK(!view_gather_is_done(g));
    if (g->is_waiting) /* the same page once more */
        g->to = g->from;
    g->from = g->to;
    g->is_waiting = true;
    while (g->to < g->n && g->to - g->from < most &&
           (g->to == g->from || buf_len(out) - before < LIMIT_GATHER_BYTES))
        write_range(g, g->number[g->to++], &w);
    if (g->registry != GATHER_NO_REGISTRY)
        write_registry(g, &w);
    if (w.error != ERR_OK)
        buf_truncate(out, before);
    return w.error;
}

/* -- the registry's part of an answer -- */
static enum err add(struct view_gather *g, uint32_t number)
{
    if (number < g->asked_n && g->asked[number])
        return ERR_OK;
    enum err e = reserve(g, g->n + 1);
    if (e == ERR_OK)
        e = note_asked(g, number);
    if (e == ERR_OK)
        g->number[g->n++] = number;
    return e;
}

/* An entry of a namespace that was not in the list when the read began, or is in it by now. */
static enum err take_entry(struct view_gather *g, struct span kv, bool lists)
{
    struct span key, path;
    uint32_t number;
    if (!pb_find_bytes(kv, KV_KEY, &key))
        return ERR_UPSTREAM_PROTOCOL;
    enum err e = key_view_registry_split(&g->family->view, key, &path)
                     ? family_number(g->family, path, &number)
                     : ERR_FOREIGN;
    if (e == ERR_FOREIGN) {
        count(g->counters, COUNTER_FOREIGN_KEY, 1);
        g->family->invalid_n += lists;
        return ERR_OK;
    }
    if (e != ERR_OK)
        return e;
    if (lists)
        family_list(g->family, number);
    return add(g, number);
}

/*
 * The list is as of the answer's revision if it is the latest one; an answer about the past, or of
 * a member that lags behind the list, names only who else is to be read.
 */
static enum err take_registry(struct view_gather *g, struct span range, int64_t header)
{
    const uint8_t *p = range.p, *end = span_end(range);
    struct pb_item it;
    struct etcd_family *f = g->family;
    bool is_all = g->registry == GATHER_REGISTRY_ALL;
    bool lists = g->revision == 0 && g->at == 0 && header >= f->known;
    uint64_t total = 0;
    g->registry = GATHER_NO_REGISTRY;
    if (!is_all && g->revision == 0 && header < g->since) /* a member that lags behind */
        g->registry = GATHER_REGISTRY_ALL;
    if (lists && is_all)
        family_list_anew(f);
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        enum err e = ERR_OK;
        if (it.number == RANGE_REPLY_COUNT)
            total = it.varint;
        else if (it.number == RANGE_REPLY_KV)
            e = it.wire == PB_WIRE_BYTES ? take_entry(g, it.bytes, lists) : ERR_UPSTREAM_PROTOCOL;
        if (e != ERR_OK)
            return e;
    }
    if (!lists)
        return ERR_OK;
    f->known = header;
    if (total != f->listed_n - 1 + f->invalid_n) /* some are gone: the next one reads all */
        f->known = 0;
    return ERR_OK;
}

/* -- answers -- */
static enum err keep_page(struct view_gather *g, struct buf *page)
{
    if (g->page_bytes + page->cap > LIMIT_GRPC_RESPONSE_BYTES)
        return ERR_REQUEST_TOO_LARGE;
    if (g->pages == g->pages_cap) {
        uint32_t cap = g->pages_cap == 0 ? 1 : 2 * g->pages_cap;
        struct buf *all = realloc(g->page, cap * sizeof *all);
        if (all == NULL)
            return ERR_NOMEM;
        g->page = all;
        g->pages_cap = cap;
    }
    g->page_bytes += page->cap;
    g->page[g->pages++] = *page;
    *page = (struct buf){0};
    return ERR_OK;
}

/* One ResponseOp: the i-th of its page. */
static enum err take_op(struct view_gather *g, struct span op, uint32_t i, int64_t header)
{
    struct span range;
    uint32_t asked = g->to - g->from;
    if (!pb_find_bytes(op, OP_RANGE, &range))
        return ERR_UPSTREAM_PROTOCOL;
    if (i == asked && g->registry != GATHER_NO_REGISTRY)
        return take_registry(g, range, header);
    if (i >= asked)
        return ERR_UPSTREAM_PROTOCOL;
    size_t at = (size_t)(range.p - buf_span(&g->page[g->pages - 1]).p);
    g->chunk[g->chunks++] = (struct view_chunk){g->number[g->from + i], g->pages - 1, at, range.n};
    return ERR_OK;
}

static int64_t header_revision(struct span header)
{
    uint64_t revision;
    return pb_find_number(header, HEADER_REVISION, &revision) ? (int64_t)revision : 0;
}

static uint32_t asked_ops(const struct view_gather *g)
{
    return g->to - g->from + (g->registry != GATHER_NO_REGISTRY);
}

bool view_gather_narrow(struct view_gather *g)
{
    if (!g->is_waiting || asked_ops(g) < 2)
        return false;
    g->most = asked_ops(g) / 2;
    return true;
}

enum err view_gather_feed(struct view_gather *g, struct buf *page, size_t at)
{
    enum err e = keep_page(g, page);
    g->is_waiting = false;
    if (e != ERR_OK)
        return e;
    struct span message = span_skip(buf_span(&g->page[g->pages - 1]), at), header;
    const uint8_t *p = message.p, *end = span_end(message);
    uint32_t ops = 0, want = asked_ops(g);
    struct pb_item it;
    if (!pb_find_bytes(message, REPLY_HEADER, &header) || header_revision(header) <= 0)
        return ERR_UPSTREAM_PROTOCOL;
    g->latest = header_revision(header);
    if (g->at == 0)
        g->header = header;
    while (p != end && e == ERR_OK) {
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        if (it.number == TXN_REPLY_OPS)
            e = ops < want ? take_op(g, it.bytes, ops++, header_revision(header))
                           : ERR_UPSTREAM_PROTOCOL;
    }
    if (e == ERR_OK && ops != want)
        e = ERR_UPSTREAM_PROTOCOL;
    if (e == ERR_OK && g->most < g->family->page_ops)
        g->family->page_ops = g->most;
    if (e == ERR_OK && g->at == 0)
        g->at = g->revision != 0 ? g->revision : header_revision(header);
    return e;
}

static int compare_chunks(const void *a, const void *b, void *family)
{
    const struct view_chunk *x = a, *y = b;
    return family_compare(family, x->number, y->number);
}

void view_gather_sort(struct view_gather *g)
{
    qsort_r(g->chunk, g->chunks, sizeof *g->chunk, compare_chunks, g->family);
}
