/* SPDX-License-Identifier: Apache-2.0 */
/* view_watch - what was asked, the table's first contents, what upstream is asked. */
#include "etcd/view_watch.h"

#include <stdlib.h>

#include "etcd/etcd_fields.h"
#include "wire/pb_write.h"

/* etcd rpc.proto WatchRequest, WatchCreateRequest */
enum { REQUEST_CREATE = 1 };
enum {
    CREATE_KEY = 1,
    CREATE_END = 2,
    CREATE_START = 3,
    CREATE_PROGRESS = 4,
    CREATE_FILTERS = 5,
    CREATE_PREV_KV = 6,
    CREATE_ID = 7,
    CREATE_FRAGMENT = 8
};
enum { FILTER_NO_PUT = 0, FILTER_NO_DELETE = 1 };

void view_watch_free(struct view_watch **w)
{
    if (*w == NULL)
        return;
    buf_deinit(&(*w)->key);
    buf_deinit(&(*w)->end);
    buf_deinit(&(*w)->others);
    holders_deinit(&(*w)->holders);
    free(*w);
    *w = NULL;
}

size_t view_watch_bytes(const struct view_watch *w)
{
    return w == NULL
               ? 0
               : sizeof *w + w->key.cap + w->end.cap + w->others.cap + holders_bytes(&w->holders);
}

static void set_filter(struct view_watch *w, uint64_t filter)
{
    w->hides_put = w->hides_put || filter == FILTER_NO_PUT;
    w->hides_delete = w->hides_delete || filter == FILTER_NO_DELETE;
}

static bool read_filters(struct view_watch *w, const struct pb_item *it)
{
    const uint8_t *p = it->bytes.p, *end = span_end(it->bytes);
    uint64_t filter;
    if (it->wire == PB_WIRE_VARINT) {
        set_filter(w, it->varint);
        return true;
    }
    while (p != end) { /* packed */
        if (!pb_varint_read(&p, end, &filter))
            return false;
        set_filter(w, filter);
    }
    return it->wire == PB_WIRE_BYTES;
}

/* False: something that is not known here; it is mapped into the own slice as ever. */
static bool read_create(struct view_watch *w, struct span create, struct span *key,
                        struct span *end_key, enum err *e)
{
    const uint8_t *p = create.p, *end = span_end(create);
    struct pb_item it;
    while (p != end && *e == ERR_OK) {
        if (!pb_item_next(&p, end, &it) || it.number > CREATE_FRAGMENT)
            return false;
        bool is_bytes = it.number == CREATE_KEY || it.number == CREATE_END;
        if (it.number != CREATE_FILTERS && it.wire != (is_bytes ? PB_WIRE_BYTES : PB_WIRE_VARINT))
            return false;
        switch (it.number) {
        case CREATE_KEY:
            *key = it.bytes;
            break;
        case CREATE_END:
            *end_key = it.bytes;
            break;
        case CREATE_START:
            w->start = (int64_t)it.varint;
            break;
        case CREATE_FILTERS:
            if (!read_filters(w, &it))
                return false;
            break;
        default:
            w->wants_progress = it.number == CREATE_PROGRESS ? it.varint != 0 : w->wants_progress;
            w->wants_prev = it.number == CREATE_PREV_KV ? it.varint != 0 : w->wants_prev;
            w->has_id = it.number == CREATE_ID ? it.varint != 0 : w->has_id;
            *e = buf_append(&w->others, span_of(it.start, (size_t)(p - it.start)));
        }
    }
    return key->n != 0 && w->start >= 0;
}

enum err view_watch_new(struct etcd_ns *ns, struct span create, struct view_watch **ret)
{
    struct span key = SPAN_NONE, end = SPAN_NONE;
    enum err e = ERR_OK;
    *ret = NULL;
    struct view_watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ERR_NOMEM;
    w->ns = ns;
    bool is_seen = read_create(w, create, &key, &end, &e) && family_sees(ns->family, key, end) &&
                   (end.n == 0 || span_cmp(key, end) < 0); /* an empty range is etcd's to refuse */
    if (e == ERR_OK && is_seen)
        e = buf_append(&w->key, key);
    if (e == ERR_OK && is_seen)
        e = buf_append(&w->end, end);
    w->start_up = w->shown_from = w->start;
    w->needs_table = w->start == 0;
    if (e != ERR_OK || !is_seen)
        view_watch_free(&w);
    *ret = w;
    return e;
}

enum err view_watch_fill(struct view_watch *w, const struct view_gather *g, bool at_start)
{
    const struct etcd_family *f = w->ns->family;
    w->known = at_start ? g->at - 1 : g->at;
    w->half_known = at_start ? g->at : 0;
    for (uint32_t i = 0; i < g->chunks; i++) {
        struct span range = view_gather_chunk(g, i);
        const uint8_t *p = range.p, *end = span_end(range);
        uint32_t number = g->chunk[i].number;
        struct pb_item it;
        while (p != end) {
            struct view_kv kv;
            bool is_new;
            if (!pb_item_next(&p, end, &it))
                return ERR_UPSTREAM_PROTOCOL;
            if (it.number != RANGE_REPLY_KV)
                continue;
            if (!view_kv_read(it.bytes, &kv) ||
                !view_kv_strip(&f->view, family_path(f, number), &kv)) {
                count(w->ns->counters, COUNTER_FOREIGN_KEY, 1);
                continue;
            }
            if (at_start && kv.create == w->start)
                continue;
            enum err e = holders_add(&w->holders, f, holders_key(f, kv.key), number, &is_new);
            if (e != ERR_OK)
                return e;
        }
    }
    return ERR_OK;
}

enum err view_watch_create(const struct view_watch *w, int64_t id, struct buf *out)
{
    struct pb_writer p = {.out = out};
    const struct key_view *v = &w->ns->family->view;
    size_t create = pb_write_begin(&p, REQUEST_CREATE);
    size_t mark = pb_write_begin(&p, CREATE_KEY);
    if (p.error == ERR_OK)
        p.error = key_view_first(v, out);
    pb_write_end(&p, mark);
    mark = pb_write_begin(&p, CREATE_END);
    if (p.error == ERR_OK)
        p.error = key_view_end(v, out);
    pb_write_end(&p, mark);
    if (p.error == ERR_OK)
        p.error = buf_append(out, buf_span(&w->others));
    if (w->start_up != 0)
        pb_write_number(&p, CREATE_START, (uint64_t)w->start_up);
    if (id != 0)
        pb_write_number(&p, CREATE_ID, (uint64_t)id);
    pb_write_end(&p, create);
    return p.error;
}
