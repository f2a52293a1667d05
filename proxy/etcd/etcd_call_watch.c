/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_call_watch - a Watch stream with watches of several namespaces: what they wait for.
 *
 *   create ─> FILL: who holds which key at the revision before ─> create goes upstream
 *             requests behind it wait: etcd answers creates in order, and clients count on it
 *   event that needs a fetch ─> FETCH ─> shown;  what upstream sent behind it waits
 *
 * At which revision a table is filled (`start` as the application asked):
 *
 *   now (0)         the latest, H; upstream begins at H + 1, events up to `created` are only learnt
 *   start           start - 1. That is compacted: start itself, without what it created, which is
 *                   all that etcd still knows. That too: nothing, etcd says that it is compacted.
 *   in the future   the latest, H; upstream begins at H + 1, events before start are only learnt
 */
#include <stdlib.h>

#include "base/check.h"
#include "etcd/etcd_fields.h"
#include "etcd/etcd_pass.h"
#include "etcd/view_watch.h"
#include "limit.h"

enum { GRPC_INVALID_ARGUMENT = 3, GRPC_OUT_OF_RANGE = 11, REQUEST_CREATE = 1 };

enum fill { FILL_BEFORE, FILL_NOW, FILL_BEFORE_AGAIN, FILL_AT_START };

struct view_stream {
    struct view_watch *filling; /* owned; the create that waits for its table */
    struct view_gather gather;
    enum fill fill;
    unsigned tries;
    struct buf later_app; /* owned; requests behind it, as they came */
    struct view_reply reply;
    struct buf later_up; /* owned; replies behind an event that waits, as they came */
    enum { SIDE_NONE, SIDE_FILL, SIDE_FETCH } side;
    struct grpc_reader from_side;
    struct buf answer; /* owned; the frame that came */
};

static bool is_fetching(const struct view_stream *v)
{
    return v->reply.fetch.what != FETCH_NOTHING;
}

void etcd_view_free(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    if (v == NULL)
        return;
    view_watch_free(&v->filling);
    view_gather_deinit(&v->gather);
    view_reply_deinit(&v->reply);
    grpc_reader_deinit(&v->from_side);
    buf_deinit(&v->later_app);
    buf_deinit(&v->later_up);
    buf_deinit(&v->answer);
    free(v);
    c->views = NULL;
}

size_t etcd_view_bytes(const struct etcd_call *c)
{
    const struct view_stream *v = c->views;
    return v == NULL ? 0
                     : sizeof *v + view_watch_bytes(v->filling) + view_gather_bytes(&v->gather) +
                           v->later_app.cap + v->reply.message.cap + v->reply.out.cap +
                           v->later_up.cap + v->answer.cap + v->from_side.partial.cap;
}

bool etcd_call_has_later(const struct etcd_call *c)
{
    return c->views != NULL && c->views->filling != NULL;
}

bool etcd_call_is_held(const struct etcd_call *c)
{
    return c->views != NULL && is_fetching(c->views);
}

bool etcd_call_wants_side(const struct etcd_call *c)
{
    return etcd_call_has_later(c) || etcd_call_is_held(c);
}

enum err etcd_view_wait_app(struct etcd_call *c, struct span in)
{
    return buf_append(&c->views->later_app, in);
}

enum err etcd_view_wait_up(struct etcd_call *c, struct span in)
{
    return buf_append(&c->views->later_up, in);
}

void etcd_view_forget_up(struct etcd_call *c)
{
    if (c->views != NULL)
        buf_deinit(&c->views->later_up);
}

/* -- a create -- */
/* The table is there, or cannot be: the create goes upstream. */
static enum err send_create(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    struct view_watch *w = v->filling;
    enum err e = ERR_OK;
    int64_t id = w->has_id ? 0 : etcd_watches_choose_id(c->watches);
    size_t at = etcd_frame_begin(&c->to_up, &e);
    if (e == ERR_OK)
        e = view_watch_create(w, id, &c->to_up);
    if (e == ERR_OK)
        e = etcd_watches_request_view(
            &c->watches, span_skip(buf_span(&c->to_up), at + GRPC_HEAD_BYTES), &v->filling);
    etcd_frame_end(&c->to_up, at, e);
    view_gather_deinit(&v->gather);
    return e;
}

/* Read at this revision. */
static enum err begin_fill(struct view_stream *v, enum fill fill, int64_t revision)
{
    v->fill = fill;
    v->gather.revision = revision;
    return view_gather_begin(&v->gather);
}

static enum err start_fill(struct etcd_call *c)
{
    static const uint8_t keys_only[] = {RANGE_KEYS_ONLY << 3 | PB_WIRE_VARINT, 1};
    struct view_stream *v = c->views;
    struct view_watch *w = v->filling;
    if (w->start == 1) /* before it there was nothing */
        return send_create(c);
    v->tries = 0;
    enum err e = view_gather_init(&v->gather, c->ns->family, buf_span(&w->key), buf_span(&w->end),
                                  span_of(keys_only, sizeof keys_only));
    v->gather.counters = c->ns->counters;
    if (e != ERR_OK)
        return e;
    return w->start == 0 ? begin_fill(v, FILL_NOW, 0) : begin_fill(v, FILL_BEFORE, w->start - 1);
}

enum err etcd_view_watch(struct etcd_call *c, struct span message, bool *ret_taken)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    /* A request that is anything but one create is not for the view. */
    if (message.n == 0 || !pb_item_next(&p, end, &it) || p != end || it.number != REQUEST_CREATE ||
        it.wire != PB_WIRE_BYTES)
        return ERR_OK;
    struct view_watch *w;
    enum err e = view_watch_new(c->ns, it.bytes, &w);
    if (e != ERR_OK || w == NULL)
        return e;
    if (c->views == NULL && (c->views = calloc(1, sizeof *c->views)) == NULL) {
        view_watch_free(&w);
        return ERR_NOMEM;
    }
    c->views->filling = w;
    *ret_taken = true;
    return start_fill(c);
}

/* All keys of one revision are there. */
static enum err filled(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    struct view_watch *w = v->filling;
    int64_t at = v->gather.at;
    /* The revision before was not there, but a later one is: it was future then, or is compacted.
     */
    if (v->fill == FILL_NOW && w->start != 0 && at >= w->start)
        return begin_fill(v, FILL_BEFORE_AGAIN, w->start - 1);
    if (v->fill == FILL_NOW)
        w->start_up = at + 1;
    enum err e = view_watch_fill(w, &v->gather, v->fill == FILL_AT_START);
    return e == ERR_OK ? send_create(c) : e;
}

/* The revision that was asked for is compacted or future. */
static enum err not_there(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    int64_t start = v->filling->start;
    switch (v->fill) {
    case FILL_BEFORE:
        return begin_fill(v, FILL_NOW, 0);
    case FILL_NOW: /* compacted between two pages */
        return ++v->tries < LIMIT_GATHER_TRIES ? begin_fill(v, FILL_NOW, 0) : ERR_UPSTREAM_LOST;
    case FILL_BEFORE_AGAIN:
        return begin_fill(v, FILL_AT_START, start);
    case FILL_AT_START:
        break;
    }
    return send_create(c); /* etcd tells the application that its start is compacted */
}

static enum err end_fill(struct etcd_call *c, int grpc_status)
{
    struct view_stream *v = c->views;
    enum err e;
    if (grpc_status == GRPC_OUT_OF_RANGE) {
        e = not_there(c);
    } else if (grpc_status == GRPC_INVALID_ARGUMENT) {
        e = view_gather_narrow(&v->gather) ? ERR_OK : ERR_UPSTREAM_LOST;
    } else if (buf_len(&v->answer) == 0) {
        e = ERR_UPSTREAM_PROTOCOL;
    } else {
        e = view_gather_feed(&v->gather, &v->answer, GRPC_HEAD_BYTES);
        if (e == ERR_OK && view_gather_is_done(&v->gather))
            e = filled(c);
    }
    if (e != ERR_OK || v->filling != NULL)
        return e;
    struct buf later = v->later_app;
    v->later_app = (struct buf){0};
    e = etcd_call_feed_app(c, buf_span(&later));
    buf_deinit(&later);
    if (e == ERR_OK && c->app_ended && v->filling == NULL && !grpc_reader_is_clean(&c->from_app))
        e = ERR_GRPC_FRAME;
    return e;
}

/* -- events -- */
static enum err go_on(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    struct view_reply *r = &v->reply;
    enum err e = is_fetching(v) ? ERR_OK : view_reply_step(r);
    etcd_watches_weigh(c->watches, r->watch);
    if (e != ERR_OK)
        return e;
    if (is_fetching(v))
        return view_reply_keep(r);
    struct etcd_pass pass = {.call = c};
    if (view_reply_is_sent(r, c->has_fragments))
        e = etcd_frame_spliced(NULL, &pass, buf_span(&r->out), &c->to_app);
    view_reply_trim(r);
    return e;
}

enum err etcd_view_events(struct etcd_call *c, const struct etcd_watch_verdict *verdict,
                          struct span message)
{
    if (verdict->is_fragment)
        c->has_fragments = true;
    view_reply_begin(&c->views->reply, verdict->view, message);
    c->views->reply.verdict = *verdict;
    return go_on(c);
}

static enum err end_fetch(struct etcd_call *c, int grpc_status)
{
    struct view_stream *v = c->views;
    bool is_compacted = grpc_status == GRPC_OUT_OF_RANGE;
    struct span range = SPAN_NONE;
    if (grpc_status == GRPC_INVALID_ARGUMENT)
        return ERR_UPSTREAM_LOST;
    if (!is_compacted && buf_len(&v->answer) == 0)
        return ERR_UPSTREAM_PROTOCOL;
    if (!is_compacted)
        range = span_skip(buf_span(&v->answer), GRPC_HEAD_BYTES);
    enum err e = view_reply_fetched(&v->reply, range, is_compacted);
    if (e == ERR_OK)
        e = go_on(c);
    if (e != ERR_OK || is_fetching(v))
        return e;
    struct buf later = v->later_up;
    v->later_up = (struct buf){0};
    e = etcd_call_feed_up(c, buf_span(&later));
    buf_deinit(&later);
    return e;
}

/* -- the reads -- */
enum err etcd_call_begin_side(struct etcd_call *c, struct buf *out, struct span *ret_method)
{
    struct view_stream *v = c->views;
    enum err e = ERR_OK;
    CHECK(etcd_call_wants_side(c));
    buf_truncate(out, 0);
    buf_truncate(&v->answer, 0);
    grpc_reader_deinit(&v->from_side);
    v->from_side.max_bytes = LIMIT_GRPC_RESPONSE_BYTES;
    if (v->side == SIDE_NONE)
        v->side = is_fetching(v) ? SIDE_FETCH : SIDE_FILL;
    size_t at = etcd_frame_begin(out, &e);
    if (e == ERR_OK)
        e = v->side == SIDE_FETCH ? view_reply_ask(&v->reply, out)
                                  : view_gather_next(&v->gather, out);
    etcd_frame_end(out, at, e);
    *ret_method = v->side == SIDE_FETCH ? SPAN_LIT("/etcdserverpb.KV/Range")
                                        : SPAN_LIT("/etcdserverpb.KV/Txn");
    return e;
}

enum err etcd_call_feed_side(struct etcd_call *c, struct span in)
{
    struct view_stream *v = c->views;
    struct span message;
    enum err e;
    while (grpc_reader_next(&v->from_side, &in, &message, &e)) {
        if (buf_len(&v->answer) != 0)
            return ERR_UPSTREAM_PROTOCOL;
        e = grpc_reader_give(&v->from_side, message, &v->answer);
        if (e != ERR_OK)
            return e;
    }
    return e;
}

enum err etcd_call_end_side(struct etcd_call *c, int grpc_status)
{
    struct view_stream *v = c->views;
    bool was_fetch = v->side == SIDE_FETCH;
    v->side = SIDE_NONE;
    return was_fetch ? end_fetch(c, grpc_status) : end_fill(c, grpc_status);
}
