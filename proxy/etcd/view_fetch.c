/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_fetch - what events of a watch over several namespaces need of other namespaces' keys.
 *
 * When an event stops for a read, the events behind it in the response are looked at, too: what
 * they will need if nothing between changes it is asked for in the same Txn. Each read is of one
 * key at one revision, so an answer is right whenever it is used; it is used if it is what the
 * event turns out to need, in the order of events, and else asked for then.
 */
#include <stdlib.h>

#include "etcd/etcd_fields.h"
#include "etcd/view_event.h"
#include "limit.h"
#include "wire/pb_write.h"

enum {
    FIRST_READS = 8, /* of one request; then twice as many, while answers are small */
    MOST_READS = 64,
    SMALL_BYTES = 64 * 1024,
    LARGE_BYTES = 1024 * 1024,
    EVENTS_A_READ = 8 /* looked at, behind the one that stops, for each read that may be found */
};

/* -- what to ask -- */
/* What the event will need, by the table as it is. */
static struct view_fetch guess(const struct view_watch *w, const struct view_event *ev)
{
    const struct view_fetch nothing = {0};
    uint32_t n = ev->kv.number, nearest = holders_nearest(&w->holders, ev->hash), second;
    if (nearest == FAMILY_NONE || w->hides_put || !view_event_is_shown(w, ev))
        return nothing;
    if (ev->is_delete) {
        second = nearest == n ? holders_second(&w->holders, ev->hash) : FAMILY_NONE;
        return second == FAMILY_NONE ? nothing
                                     : (struct view_fetch){FETCH_SURVIVOR, second, ev->kv.mod};
    }
    if (!w->wants_prev || family_compare(w->ns->family, n, nearest) >= 0)
        return nothing;
    return (struct view_fetch){FETCH_PREVIOUS, nearest, ev->kv.mod - 1};
}

static void add(struct view_reply *r, size_t event, struct view_fetch fetch)
{
    r->ask[r->asks++] = (struct view_ask){.event = event, .fetch = fetch};
}

enum err view_fetch_plan(struct view_reply *r)
{
    const uint8_t *p = r->in.p + r->at, *end = span_end(r->in);
    struct pb_item it;
    size_t bytes = 0;
    if (r->ask == NULL && (r->ask = malloc(MOST_READS * sizeof *r->ask)) == NULL)
        return ERR_NOMEM;
    if (r->most == 0)
        r->most = FIRST_READS;
    r->asks = 0;
    r->is_answered = false;
    add(r, r->at, r->fetch);
    if (r->fetch.what == FETCH_LEFT || !pb_item_next(&p, end, &it))
        return ERR_OK;
    for (uint32_t i = r->most * EVENTS_A_READ; i != 0 && p != end && r->asks < r->most; i--) {
        struct view_event ev;
        bool seen;
        if (!pb_item_next(&p, end, &it) || it.number != REPLY_EVENT || it.wire != PB_WIRE_BYTES)
            continue;
        enum err e = view_event_read(r->watch, it.bytes, &ev, &seen);
        if (e != ERR_OK)
            return e;
        struct view_fetch fetch = seen ? guess(r->watch, &ev) : (struct view_fetch){0};
        bytes += ev.kv_message.n;
        if (fetch.what == FETCH_NOTHING || bytes > LIMIT_GATHER_BYTES)
            continue;
        add(r, (size_t)(it.start - r->in.p), fetch);
    }
    return ERR_OK;
}

/* -- asking -- */
static int64_t revision_of(const struct view_reply *r, const struct view_ask *a)
{
    if (a->fetch.what != FETCH_LEFT)
        return a->fetch.at;
    return r->high == 0 ? 0 : r->low + (r->high - r->low) / 2;
}

static void write_range(const struct view_reply *r, const struct view_ask *a, struct pb_writer *w)
{
    const struct etcd_family *f = r->watch->ns->family;
    const uint8_t *p = r->in.p + a->event;
    struct pb_item it;
    struct view_event ev;
    bool seen;
    int64_t revision = revision_of(r, a);
    if (!pb_item_next(&p, span_end(r->in), &it) ||
        view_event_read(r->watch, it.bytes, &ev, &seen) != ERR_OK || !seen) {
        w->error = ERR_UPSTREAM_PROTOCOL;
        return;
    }
    size_t mark = pb_write_begin(w, RANGE_KEY);
    if (w->error == ERR_OK)
        w->error = key_view_key(&f->view, family_path(f, a->fetch.number), ev.kv.key, w->out);
    pb_write_end(w, mark);
    if (revision != 0)
        pb_write_number(w, RANGE_REVISION, (uint64_t)revision);
}

enum err view_reply_ask(const struct view_reply *r, struct buf *out, bool *ret_is_txn)
{
    struct pb_writer w = {.out = out};
    *ret_is_txn = r->asks > 1;
    if (r->asks == 1)
        write_range(r, &r->ask[0], &w);
    for (uint32_t i = 0; r->asks > 1 && i < r->asks && w.error == ERR_OK; i++) {
        size_t op = pb_write_begin(&w, TXN_SUCCESS);
        size_t range = pb_write_begin(&w, OP_RANGE);
        write_range(r, &r->ask[i], &w);
        pb_write_end(&w, range);
        pb_write_end(&w, op);
    }
    return w.error;
}

/* -- answers -- */
static enum err take_ops(struct view_reply *r, struct span txn)
{
    const uint8_t *p = txn.p, *end = span_end(txn);
    struct pb_item it;
    struct span range;
    uint32_t n = 0;
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        if (it.number != TXN_REPLY_OPS)
            continue;
        if (n == r->asks || !pb_find_bytes(it.bytes, OP_RANGE, &range))
            return ERR_UPSTREAM_PROTOCOL;
        r->ask[n].answer = (size_t)(range.p - buf_span(&r->answers).p);
        r->ask[n++].answer_n = range.n;
    }
    return n == r->asks ? ERR_OK : ERR_UPSTREAM_PROTOCOL;
}

static enum err take_left(struct view_reply *r, struct span range)
{
    struct span header;
    uint64_t now;
    if (r->high != 0) {
        r->high = revision_of(r, &r->ask[0]);
        return ERR_OK;
    }
    if (!pb_find_bytes(range, REPLY_HEADER, &header) ||
        !pb_find_number(header, HEADER_REVISION, &now) || (int64_t)now <= r->low)
        return ERR_UPSTREAM_PROTOCOL;
    r->high = (int64_t)now;
    return ERR_OK;
}

/* How wide the next one may be: a descendant chooses how large its values are. */
static void adapt(struct view_reply *r)
{
    size_t n = buf_len(&r->answers);
    uint32_t page_ops = r->watch->ns->family->page_ops;
    uint32_t most = page_ops < MOST_READS ? page_ops : MOST_READS;
    if (n > LARGE_BYTES)
        r->most = FIRST_READS;
    else if (n <= SMALL_BYTES)
        r->most *= 2;
    r->most = r->most < most ? r->most : most;
}

enum err view_reply_answer(struct view_reply *r, struct buf *answer, size_t at)
{
    buf_deinit(&r->answers);
    r->answers = *answer;
    *answer = (struct buf){0};
    r->answers_at = at;
    struct span message = span_skip(buf_span(&r->answers), at);
    if (r->fetch.what == FETCH_LEFT)
        return take_left(r, message);
    r->ask[0].answer = at;
    r->ask[0].answer_n = message.n;
    r->is_answered = true;
    enum err e = r->asks > 1 ? take_ops(r, message) : ERR_OK;
    adapt(r);
    return e;
}

void view_reply_compacted(struct view_reply *r)
{
    if (r->fetch.what == FETCH_LEFT) {
        r->low = revision_of(r, &r->ask[0]);
    } else if (r->asks > 1) { /* one of them is: which one? */
        r->most = 1;
    } else if (r->fetch.what == FETCH_PREVIOUS) {
        r->ask[0].answer_n = 0;
        r->is_answered = true;
    } else {
        r->low = r->fetch.at;
        r->high = 0;
        r->fetch.what = FETCH_LEFT;
    }
}

bool view_reply_narrow(struct view_reply *r)
{
    if (r->asks < 2)
        return false;
    r->most = r->asks / 2;
    return true;
}

bool view_fetch_find(const struct view_reply *r, struct span *ret_range)
{
    if (r->fetch.what == FETCH_LEFT) {
        *ret_range = span_skip(buf_span(&r->answers), r->answers_at);
        return r->high - r->low == 1;
    }
    for (uint32_t i = 0; r->is_answered && i < r->asks; i++) {
        const struct view_ask *a = &r->ask[i];
        if (a->event != r->at || a->fetch.what != r->fetch.what ||
            a->fetch.number != r->fetch.number || a->fetch.at != r->fetch.at)
            continue;
        *ret_range = span_head(span_skip(buf_span(&r->answers), a->answer), a->answer_n);
        return true;
    }
    return false;
}
