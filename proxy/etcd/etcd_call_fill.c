/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_call_fill - a watch of several namespaces is created: at which revision its table is filled,
 * and what upstream is asked for (`start` as the application asked).
 *
 *   now (0)         upstream first, which says that it was created at R; then the table at R, while
 *                   all that stands behind waits. R is compacted by then: the latest, H, and the
 *                   application is told H, of which it knows no better.
 *   start           the table first, at start - 1. That is compacted: start itself, without what it
 *                   created, which is all that etcd still knows. That too: nothing, etcd says that
 *                   it is compacted.
 *   in the future   the table first, at the latest, H; events before start are only learnt
 *
 * Upstream begins at the table's own revision, not at the one behind it, where that is past: etcd
 * before 3.5.18 forgets the deletions of the revision that it compacts, and a holder whose deletion
 * is never told would hide others for good. If etcd compacts that revision first, it says that the
 * watch is. Where nothing had happened since, the watch begins behind it: etcd then tells events as
 * they are made.
 *
 * A watch of the future may be told that it is compacted though its start is not, if a compaction
 * comes between the two; one that begins now is not.
 */
#include <stdlib.h>

#include "base/check.h"
#include "etcd/etcd_fields.h"
#include "etcd/etcd_view_stream.h"
#include "limit.h"
#include "wire/grpc_status.h"
#include "wire/pb_write.h"

enum { REQUEST_CREATE = 1 };

/* -- upstream -- */
/* *w is taken over. */
static enum err send_create(struct etcd_call *c, struct view_watch **w)
{
    enum err e = ERR_OK;
    int64_t id = (*w)->has_id ? 0 : etcd_watches_choose_id(c->watches);
    size_t at = etcd_frame_begin(&c->to_up, &e);
    if (e == ERR_OK)
        e = view_watch_create(*w, id, &c->to_up);
    if (e == ERR_OK)
        e = etcd_watches_request_view(&c->watches,
                                      span_skip(buf_span(&c->to_up), at + GRPC_HEAD_BYTES), w);
    etcd_frame_end(&c->to_up, at, e);
    return e;
}

/* The table is there, or cannot be. */
static enum err send_filled(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    enum err e = send_create(c, &v->filling);
    view_gather_deinit(&v->gather);
    v->create = e == ERR_OK ? CREATE_NONE : v->create;
    return e;
}

/* -- the read -- */
/* Read at this revision. */
static enum err begin_fill(struct view_stream *v, enum view_fill fill, int64_t revision)
{
    v->fill = fill;
    v->gather.revision = revision;
    return view_gather_begin(&v->gather);
}

static enum err start_fill(struct etcd_call *c, const struct view_watch *w, enum view_fill fill,
                           int64_t revision)
{
    static const uint8_t keys_only[] = {RANGE_KEYS_ONLY << 3 | PB_WIRE_VARINT, 1};
    struct view_stream *v = c->views;
    v->tries = 0;
    enum err e = view_gather_init(&v->gather, c->ns->family, buf_span(&w->key), buf_span(&w->end),
                                  span_of(keys_only, sizeof keys_only));
    v->gather.counters = c->ns->counters;
    return e == ERR_OK ? begin_fill(v, fill, revision) : e;
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
    struct view_stream *v = c->views;
    CHECK(v->create == CREATE_NONE);
    *ret_taken = true;
    v->filling = w;
    v->create = w->needs_table ? CREATE_ASKED : CREATE_FILLS;
    if (w->needs_table)
        return send_create(c, &v->filling);
    if (w->start == 1) /* before it there was nothing */
        return send_filled(c);
    return start_fill(c, w, FILL_BEFORE, w->start - 1);
}

enum err etcd_view_opened(struct etcd_call *c, const struct etcd_watch_verdict *verdict,
                          struct span message)
{
    struct view_stream *v = c->views;
    if (v->create != CREATE_ASKED)
        return ERR_UPSTREAM_PROTOCOL;
    v->create = CREATE_OPENED;
    v->opened = verdict->opens;
    v->opened_id = verdict->id;
    buf_truncate(&v->created, 0);
    enum err e = buf_append(&v->created, message);
    return e == ERR_OK ? start_fill(c, v->opened, FILL_OPENED, verdict->revision) : e;
}

enum err etcd_view_not_opened(struct etcd_call *c)
{
    if (c->views->create != CREATE_ASKED)
        return ERR_UPSTREAM_PROTOCOL;
    c->views->create = CREATE_NONE;
    return etcd_view_go_on(c);
}

/* -- the table -- */
/* With the read's header, which says its revision, if that is later than `created` says. */
static enum err write_created(struct view_stream *v, struct buf *out)
{
    const uint8_t *p = buf_span(&v->created).p, *end = span_end(buf_span(&v->created));
    struct pb_writer w = {.out = out};
    struct pb_item it;
    bool is_later = v->fill == FILL_NOW;
    if (is_later)
        pb_write_bytes(&w, REPLY_HEADER, v->gather.header);
    while (p != end && w.error == ERR_OK) {
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        if (!is_later || it.number != REPLY_HEADER)
            w.error = buf_append(out, span_of(it.start, (size_t)(p - it.start)));
    }
    return w.error;
}

/* A watch that begins now has its table, of the revision that the application is told. */
static enum err show_created(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    struct view_watch *w = v->opened;
    struct etcd_pass pass = {.call = c};
    struct buf message = {0};
    enum err e = view_watch_fill(w, &v->gather, false);
    etcd_watches_weigh(c->watches, w);
    w->needs_table = false;
    w->shown_from = w->known + 1;
    etcd_watches_begin_at(c->watches, v->opened_id, w->known);
    if (e == ERR_OK)
        e = write_created(v, &message);
    if (e == ERR_OK)
        e = etcd_frame_spliced(c->route->response, &pass, buf_span(&message), &c->to_app);
    buf_deinit(&message);
    buf_deinit(&v->created);
    view_gather_deinit(&v->gather);
    v->opened = NULL;
    v->create = CREATE_NONE;
    return e;
}

/* All keys of one revision are there. */
static enum err filled(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    struct view_watch *w = v->filling;
    if (v->create == CREATE_OPENED)
        return show_created(c);
    /* The revision before was not there, but a later one is: it was future then, or is compacted.
     */
    if (v->fill == FILL_NOW && v->gather.at >= w->start)
        return begin_fill(v, FILL_BEFORE_AGAIN, w->start - 1);
    enum err e = view_watch_fill(w, &v->gather, v->fill == FILL_AT_START);
    if (w->known < w->start - 1 || v->gather.latest >= w->start)
        w->start_up = w->known;
    if (v->fill == FILL_AT_START)
        w->start_up = w->start;
    return e == ERR_OK ? send_filled(c) : e;
}

/* The revision that was asked for is compacted or future. */
static enum err not_there(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    switch (v->fill) {
    case FILL_OPENED:
    case FILL_BEFORE:
        return begin_fill(v, FILL_NOW, 0);
    case FILL_NOW: /* compacted between two pages */
        return ++v->tries < LIMIT_GATHER_TRIES ? begin_fill(v, FILL_NOW, 0) : ERR_UPSTREAM_LOST;
    case FILL_BEFORE_AGAIN:
        return begin_fill(v, FILL_AT_START, v->filling->start);
    case FILL_AT_START:
        break;
    }
    return send_filled(c); /* etcd tells the application that its start is compacted */
}

enum err etcd_view_end_fill(struct etcd_call *c, int grpc_status)
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
    return e == ERR_OK && v->create == CREATE_NONE ? etcd_view_go_on(c) : e;
}
