/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/view_merge.h"

#include <stdlib.h>

#include "etcd/etcd_fields.h"

/* The next pair of this chunk that lies where it must; others are dropped and counted. */
static bool advance(struct view_merge *m, struct merge_cursor *c)
{
    struct pb_item it;
    uint32_t number = m->g->chunk[c->rank].number;
    const struct etcd_family *f = m->g->family;
    while (c->p != c->end) {
        if (!pb_item_next(&c->p, c->end, &it)) {
            m->is_broken = true;
            return false;
        }
        if (it.number != RANGE_REPLY_KV)
            continue;
        if (view_kv_read(it.bytes, &c->kv) &&
            view_kv_strip(&f->view, family_path(f, number), &c->kv)) {
            c->kv.number = number;
            return true;
        }
        count(m->ns->counters, COUNTER_FOREIGN_KEY, 1);
    }
    return false;
}

/* Up to eight bytes of the key behind what all have in common; their order is that of the keys. */
static uint64_t look_ahead(const struct view_merge *m, struct span key)
{
    uint64_t v = 0;
    if (key.n >= m->common + 8)
        return __builtin_bswap64(pb_load_8(key.p + m->common));
    for (size_t i = m->common; i < m->common + 8; i++)
        v = v << 8 | (i < key.n ? key.p[i] : 0);
    return v;
}

static bool is_before(const struct view_merge *m, const struct merge_cursor *a,
                      const struct merge_cursor *b)
{
    if (a->ahead != b->ahead)
        return (a->ahead < b->ahead) != m->descends;
    int r = span_cmp(a->kv.key, b->kv.key);
    return r != 0 ? (r < 0) != m->descends : a->rank < b->rank;
}

static void sift_down(struct view_merge *m, uint32_t i)
{
    struct merge_cursor *moved = m->heap[i];
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= m->heap_n)
            break;
        if (child + 1 < m->heap_n && is_before(m, m->heap[child + 1], m->heap[child]))
            child++;
        if (!is_before(m, m->heap[child], moved))
            break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = moved;
}

static size_t common_bytes(struct span a, struct span b)
{
    size_t n = a.n < b.n ? a.n : b.n, i = 0;
    while (i < n && a.p[i] == b.p[i])
        i++;
    return i;
}

/* Look through a chunk: its last pair, how many keys it stands for. */
static bool survey(struct view_merge *m, uint32_t i, struct span *ret_last)
{
    struct span range = view_gather_chunk(m->g, i);
    const uint8_t *p = range.p, *end = span_end(range);
    uint64_t total = 0;
    struct pb_item it;
    *ret_last = SPAN_NONE;
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return false;
        if (it.number == RANGE_REPLY_KV)
            *ret_last = it.bytes;
        else if (it.number == RANGE_REPLY_COUNT)
            total = it.varint;
        else if (it.number == RANGE_REPLY_MORE)
            m->has_more = m->has_more || it.varint != 0;
    }
    m->total += total;
    m->holders += total != 0;
    return true;
}

/* The first pair of each chunk; what its keys and those of the others have in common. */
static bool fill(struct view_merge *m)
{
    bool has_any = false;
    struct span any = SPAN_NONE, last;
    for (uint32_t i = 0; i < m->g->chunks; i++) {
        struct span range = view_gather_chunk(m->g, i);
        struct merge_cursor *c = &m->cursor[i];
        struct view_kv kv;
        *c = (struct merge_cursor){.rank = i, .p = range.p, .end = span_end(range)};
        if (!survey(m, i, &last))
            return false;
        if (!advance(m, c))
            continue;
        m->heap[m->heap_n++] = c;
        if (!has_any)
            m->common = c->kv.key.n;
        any = has_any ? any : c->kv.key;
        has_any = true;
        /* All keys of a chunk lie between its first and its last. */
        size_t n = common_bytes(any, c->kv.key), behind = 0;
        if (view_kv_read(last, &kv) &&
            view_kv_strip(&m->g->family->view, family_path(m->g->family, c->kv.number), &kv))
            behind = common_bytes(any, kv.key);
        n = n < behind ? n : behind;
        m->common = n < m->common ? n : m->common;
    }
    return !m->is_broken;
}

enum err view_merge_init(struct view_merge *m, struct etcd_ns *ns, const struct view_gather *g,
                         bool descends)
{
    *m = (struct view_merge){.ns = ns, .g = g, .descends = descends};
    m->cursor = malloc((g->chunks + 1) * sizeof *m->cursor);
    m->heap = malloc((g->chunks + 1) * sizeof(struct merge_cursor *));
    enum err e = m->cursor == NULL || m->heap == NULL ? ERR_NOMEM : ERR_OK;
    if (e == ERR_OK && !fill(m))
        e = ERR_UPSTREAM_PROTOCOL;
    if (e != ERR_OK) {
        view_merge_deinit(m);
        return e;
    }
    for (uint32_t i = 0; i < m->heap_n; i++)
        m->heap[i]->ahead = look_ahead(m, m->heap[i]->kv.key);
    for (uint32_t i = m->heap_n / 2; i-- != 0;)
        sift_down(m, i);
    return ERR_OK;
}

void view_merge_deinit(struct view_merge *m)
{
    free(m->cursor);
    free(m->heap);
    m->cursor = NULL;
    m->heap = NULL;
}

bool view_merge_next(struct view_merge *m, struct view_kv *ret)
{
    while (m->heap_n != 0 && !m->is_broken) {
        struct merge_cursor *c = m->heap[0];
        bool loses = m->has_last && span_eq(c->kv.key, m->last);
        if (!loses)
            *ret = c->kv;
        if (advance(m, c))
            c->ahead = look_ahead(m, c->kv.key);
        else if (--m->heap_n != 0)
            m->heap[0] = m->heap[m->heap_n];
        if (m->heap_n != 0)
            sift_down(m, 0);
        if (!loses) {
            m->last = ret->key;
            m->has_last = true;
            return !m->is_broken;
        }
        m->losers++;
    }
    return false;
}
