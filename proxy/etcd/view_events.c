/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_events - a WatchResponse of all the subtree becomes what the application is to see of it.
 *
 * Most events are about other keys: they are left out as soon as their key says so.
 */
#include <stdlib.h>

#include "etcd/etcd_fields.h"
#include "etcd/view_event.h"
#include "wire/pb_write.h"

enum { REPLY_FLAGS_FIRST = 3, REPLY_COMPACTED = 5, REPLY_FRAGMENT = 7 };
enum { EVENT_TYPE = 1, EVENT_KV = 2, EVENT_PREV = 3, TYPE_DELETE = 1 };

void view_reply_deinit(struct view_reply *r)
{
    buf_deinit(&r->message);
    buf_deinit(&r->out);
    buf_deinit(&r->answers);
    free(r->ask);
    r->ask = NULL;
}

void view_reply_begin(struct view_reply *r, struct view_watch *w, struct span message)
{
    struct buf kept = r->message, out = r->out;
    buf_truncate(&out, 0);
    *r = (struct view_reply){
        .watch = w, .in = message, .message = kept, .out = out, .ask = r->ask, .most = r->most};
}

static void trim(struct buf *b)
{
    enum { KEPT_BYTES = 16 * 1024 };
    buf_truncate(b, 0);
    if (b->cap > KEPT_BYTES)
        buf_deinit(b);
}

void view_reply_trim(struct view_reply *r)
{
    r->in = SPAN_NONE;
    trim(&r->message);
    trim(&r->out);
    free(r->ask);
    r->ask = NULL;
    buf_deinit(&r->answers);
}

enum err view_reply_keep(struct view_reply *r)
{
    if (buf_len(&r->message) != 0 && r->in.p == buf_span(&r->message).p)
        return ERR_OK;
    buf_truncate(&r->message, 0);
    enum err e = buf_append(&r->message, r->in);
    r->in = buf_span(&r->message);
    return e;
}

/* -- one event -- */
static bool read_event(struct span message, struct view_event *ret)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    *ret = (struct view_event){0};
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return false;
        if (it.number == EVENT_TYPE && it.wire == PB_WIRE_VARINT)
            ret->is_delete = it.varint == TYPE_DELETE;
        else if (it.number == EVENT_KV && it.wire == PB_WIRE_BYTES)
            ret->kv_message = it.bytes;
        else if (it.number == EVENT_PREV && it.wire == PB_WIRE_BYTES) {
            ret->prev_message = it.bytes;
            ret->has_prev = true;
        }
    }
    return true;
}

/* False: it is about a key that this watch does not see. */
static bool is_seen(const struct view_watch *w, struct span stored, struct span *ret_path)
{
    struct span key;
    return view_watch_sees(w, stored) &&
           key_view_split(&w->ns->family->view, stored, ret_path, &key);
}

enum err view_event_read(struct view_watch *w, struct span message, struct view_event *ret,
                         bool *ret_seen)
{
    struct span stored, path;
    struct etcd_family *f = w->ns->family;
    *ret_seen = false;
    if (!read_event(message, ret))
        return ERR_UPSTREAM_PROTOCOL;
    if (!pb_find_bytes(ret->kv_message, KV_KEY, &stored) || !is_seen(w, stored, &path))
        return ERR_OK;
    uint32_t number;
    enum err e = family_number(f, path, &number);
    if (e == ERR_OK &&
        (!view_kv_read(ret->kv_message, &ret->kv) || !view_kv_strip(&f->view, path, &ret->kv)))
        e = ERR_FOREIGN;
    if (e == ERR_FOREIGN) {
        count(w->ns->counters, COUNTER_FOREIGN_KEY, 1);
        return ERR_OK;
    }
    ret->kv.number = number;
    ret->hash = holders_key(f, ret->kv.key);
    *ret_seen = e == ERR_OK && ret->kv.mod > w->known;
    return e;
}

/* -- what is shown -- */
struct shown {
    bool is_delete;
    const struct view_kv *kv, *prev; /* prev: NULL if there is none */
};

static enum err write_event(struct view_reply *r, const struct shown *s)
{
    struct pb_writer w = {.out = &r->out};
    struct etcd_ns *ns = r->watch->ns;
    if (s->is_delete ? r->watch->hides_delete : r->watch->hides_put)
        return ERR_OK;
    size_t event = pb_write_begin(&w, REPLY_EVENT);
    if (s->is_delete)
        pb_write_number(&w, EVENT_TYPE, TYPE_DELETE);
    if (w.error == ERR_OK)
        w.error = view_kv_write(ns, s->kv, false, EVENT_KV, &r->out);
    if (w.error == ERR_OK && s->prev != NULL)
        w.error = view_kv_write(ns, s->prev, false, EVENT_PREV, &r->out);
    pb_write_end(&w, event);
    r->shown++;
    return w.error;
}

/* The event's own prev_kv, which is of the same stored key; NULL if it is not, or not there. */
static const struct view_kv *own_prev(const struct view_reply *r, const struct view_event *ev,
                                      struct view_kv *space)
{
    const struct etcd_family *f = r->watch->ns->family;
    if (!ev->has_prev || !r->watch->wants_prev)
        return NULL;
    if (!view_kv_read(ev->prev_message, space) ||
        !view_kv_strip(&f->view, family_path(f, ev->kv.number), space) ||
        !span_eq(space->key, ev->kv.key)) {
        count(r->watch->ns->counters, COUNTER_FOREIGN_KEY, 1);
        return NULL;
    }
    space->number = ev->kv.number;
    return space;
}

static enum err show(struct view_reply *r, const struct view_event *ev)
{
    struct view_kv prev;
    return write_event(r, &(struct shown){ev->is_delete, &ev->kv, own_prev(r, ev, &prev)});
}

static enum err on_put(struct view_reply *r, const struct view_event *ev, bool is_shown)
{
    struct view_watch *w = r->watch;
    const struct etcd_family *f = w->ns->family;
    uint32_t n = ev->kv.number, before = holders_nearest(&w->holders, ev->hash);
    bool is_new;
    enum err e = holders_add(&w->holders, f, ev->hash, n, &is_new);
    if (e != ERR_OK)
        return e;
    if (before != FAMILY_NONE && family_compare(f, before, n) < 0) {
        count(w->ns->counters, COUNTER_HIDDEN_KEY, is_new);
        return ERR_OK;
    }
    if (!is_shown)
        return ERR_OK;
    if (before == FAMILY_NONE || before == n || !w->wants_prev || w->hides_put)
        return show(r, ev);
    r->fetch = (struct view_fetch){FETCH_PREVIOUS, before, ev->kv.mod - 1};
    return ERR_OK;
}

static enum err on_delete(struct view_reply *r, const struct view_event *ev, bool is_shown)
{
    struct view_watch *w = r->watch;
    const struct etcd_family *f = w->ns->family;
    uint32_t n = ev->kv.number;
    bool was_there = holders_remove(&w->holders, f, ev->hash, n) || ev->kv.mod == w->half_known;
    uint32_t left = holders_nearest(&w->holders, ev->hash);
    if (!was_there || !is_shown || (left != FAMILY_NONE && family_compare(f, left, n) < 0))
        return ERR_OK;
    if (left == FAMILY_NONE)
        return show(r, ev);
    if (!w->hides_put)
        r->fetch = (struct view_fetch){FETCH_SURVIVOR, left, ev->kv.mod};
    return ERR_OK;
}

/* -- what was fetched -- */
/* False: there is none, or not of this key. */
static bool read_fetched(const struct view_reply *r, struct span range, const struct view_event *ev,
                         struct view_kv *ret)
{
    const struct etcd_family *f = r->watch->ns->family;
    struct span message;
    if (!pb_find_bytes(range, RANGE_REPLY_KV, &message) || !view_kv_read(message, ret) ||
        !view_kv_strip(&f->view, family_path(f, r->fetch.number), ret) ||
        !span_eq(ret->key, ev->kv.key))
        return false;
    ret->number = r->fetch.number;
    return true;
}

/*
 * The nearest one left does not hold it at this revision: it was deleted in the same one, and its
 * event follows. The next one, or nobody.
 */
static enum err next_survivor(struct view_reply *r, const struct view_event *ev, uint32_t gone)
{
    struct view_watch *w = r->watch;
    (void)holders_remove(&w->holders, w->ns->family, ev->hash, gone);
    uint32_t left = holders_nearest(&w->holders, ev->hash);
    if (left == FAMILY_NONE)
        return show(r, ev);
    r->fetch = (struct view_fetch){FETCH_SURVIVOR, left, ev->kv.mod};
    return ERR_OK;
}

static enum err use_fetched(struct view_reply *r, const struct view_event *ev, struct span range)
{
    struct view_fetch asked = r->fetch;
    struct view_kv kv, prev;
    bool has = read_fetched(r, range, ev, &kv);
    r->fetch.what = FETCH_NOTHING;
    if (asked.what == FETCH_PREVIOUS)
        return write_event(r, &(struct shown){false, &ev->kv, has ? &kv : NULL});
    if (!has && asked.what == FETCH_SURVIVOR)
        return next_survivor(r, ev, asked.number);
    if (!has || kv.mod > ev->kv.mod) /* only of LEFT: its own event follows */
        return show(r, ev);
    return write_event(r, &(struct shown){false, &kv, own_prev(r, ev, &prev)});
}

/* Whatever the event waits for, as far as it has come. */
static enum err resolve(struct view_reply *r, const struct view_event *ev)
{
    struct span range;
    enum err e = ERR_OK;
    while (e == ERR_OK && r->fetch.what != FETCH_NOTHING && view_fetch_find(r, &range))
        e = use_fetched(r, ev, range);
    return e;
}

/* The event at r->at. */
static enum err take_event(struct view_reply *r, struct span message)
{
    struct view_event ev;
    bool seen, was_waiting = r->fetch.what != FETCH_NOTHING;
    enum err e = view_event_read(r->watch, message, &ev, &seen);
    if (e != ERR_OK || !seen)
        return e;
    bool is_shown = view_event_is_shown(r->watch, &ev);
    if (!was_waiting)
        e = ev.is_delete ? on_delete(r, &ev, is_shown) : on_put(r, &ev, is_shown);
    return e == ERR_OK ? resolve(r, &ev) : e;
}

/* -- the response -- */
enum err view_reply_step(struct view_reply *r)
{
    const uint8_t *p = r->in.p + r->at, *end = span_end(r->in);
    struct pb_item it;
    enum err e = ERR_OK;
    while (p != end && e == ERR_OK) {
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        r->at = (size_t)(it.start - r->in.p);
        if (it.number != REPLY_EVENT) {
            bool is_flag = (it.number >= REPLY_FLAGS_FIRST && it.number <= REPLY_COMPACTED) ||
                           it.number == REPLY_FRAGMENT;
            r->must_send = r->must_send || (is_flag && it.varint != 0);
            e = buf_append(&r->out, span_of(it.start, (size_t)(p - it.start)));
        } else if (it.wire != PB_WIRE_BYTES) {
            return ERR_UPSTREAM_PROTOCOL;
        } else if (r->fetch.what != FETCH_NOTHING ||
                   (r->events++ >= r->verdict.skip && !view_skip_event(r->watch, it.bytes))) {
            e = take_event(r, it.bytes);
        }
        if (e == ERR_OK && r->fetch.what != FETCH_NOTHING)
            return view_fetch_plan(r);
    }
    r->at = r->in.n;
    return e;
}

static void write_header(struct pb_writer *w, struct span header, int64_t revision)
{
    const uint8_t *p = header.p, *end = span_end(header);
    struct pb_item it;
    size_t mark = pb_write_begin(w, REPLY_HEADER);
    while (p != end && w->error == ERR_OK) {
        if (!pb_item_next(&p, end, &it))
            w->error = ERR_UPSTREAM_PROTOCOL;
        else if (it.number == HEADER_REVISION)
            pb_write_number(w, HEADER_REVISION, (uint64_t)revision);
        else
            w->error = buf_append(w->out, span_of(it.start, (size_t)(p - it.start)));
    }
    pb_write_end(w, mark);
}

enum err view_reply_as_progress(struct view_reply *r)
{
    struct buf whole = r->out;
    struct pb_writer w = {.out = &r->out};
    const uint8_t *p = buf_span(&whole).p, *end = span_end(buf_span(&whole));
    struct pb_item it;
    if (r->verdict.last_event == 0 || r->verdict.last_event >= r->verdict.revision)
        return ERR_OK;
    r->out = (struct buf){0};
    while (p != end && w.error == ERR_OK) {
        if (!pb_item_next(&p, end, &it))
            w.error = ERR_UPSTREAM_PROTOCOL;
        else if (it.number == REPLY_HEADER && it.wire == PB_WIRE_BYTES)
            write_header(&w, it.bytes, r->verdict.last_event);
        else
            w.error = buf_append(&r->out, span_of(it.start, (size_t)(p - it.start)));
    }
    buf_deinit(&whole);
    return w.error;
}

bool view_reply_is_sent(struct view_reply *r, bool has_fragments)
{
    struct view_watch *w = r->watch;
    bool is_empty = r->shown == 0;
    bool is_sent = !is_empty || (!r->verdict.hides_gap &&
                                 (r->must_send || has_fragments || r->verdict.ends_gap));
    if (!is_sent && w->wants_progress && !r->verdict.hides_gap && ++w->unsent >= VIEW_UNSENT_MOST)
        is_sent = true;
    if (is_sent)
        w->unsent = 0;
    return is_sent;
}
