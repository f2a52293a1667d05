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
 *   in the future   as one that begins now, at R: of events before start it only learns. If it
 *                   has come by then: the table at start - 1, and the stream begins again.
 *
 * A watch of the future does not begin in the past, because etcd tells it that it is compacted as
 * long as it has not caught up, up to 100 ms; one that begins now cannot be reached.
 *
 * Upstream begins at the table's own revision, not at the one behind it, where that is past: etcd
 * before 3.5.18 forgets the deletions of the revision that it compacts, and a holder whose deletion
 * is never told would hide others for good. If etcd compacts that revision first, it says that the
 * watch is. Where nothing had happened since, the watch begins behind it: etcd then tells events as
 * they are made.
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

/* It is too early for its table. */
static enum err send_unfilled(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    v->create = CREATE_ASKED;
    return send_create(c, &v->filling);
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
    if (w->needs_table)
        return send_unfilled(c);
    v->create = CREATE_FILLS;
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
    v->opened_at = verdict->revision;
    buf_truncate(&v->created, 0);
    enum err e = buf_append(&v->created, message);
    if (e != ERR_OK)
        return e;
    int64_t before = v->opened->start - 1;
    return before >= 0 && before < v->opened_at
               ? start_fill(c, v->opened, FILL_BEFORE, before) /* the future has come */
               : start_fill(c, v->opened, FILL_OPENED, v->opened_at);
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

/* It goes on at `next`, which upstream has gone past: as after a loss. */
static void begin_again(struct etcd_call *c, int64_t next)
{
    etcd_watches_begin_at(c->watches, c->views->opened_id, next);
    c->begins_again = true;
}

/* A watch that was created without a table has it, or (`is_filled` false) cannot have it. */
static enum err show_created(struct etcd_call *c, bool is_filled)
{
    struct view_stream *v = c->views;
    struct view_watch *w = v->opened;
    struct etcd_pass pass = {.call = c};
    struct buf message = {0};
    enum err e = is_filled ? view_watch_fill(w, &v->gather, false) : ERR_OK;
    etcd_watches_weigh(c->watches, w);
    w->needs_table = false;
    if (!is_filled || w->known < v->opened_at) {
        begin_again(c, w->start);
    } else {
        etcd_watches_begin_at(c->watches, v->opened_id, w->known + 1);
        w->shown_from = w->start > w->known ? w->start : w->known + 1;
    }
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
    bool is_opened = v->create == CREATE_OPENED;
    struct view_watch *w = is_opened ? v->opened : v->filling;
    /* The revision before was not there, but a later one is: it was future then, or is compacted.
     */
    if (v->fill == FILL_NOW && w->start != 0 && v->gather.at >= w->start)
        return begin_fill(v, FILL_BEFORE_AGAIN, w->start - 1);
    if (is_opened)
        return show_created(c, true);
    if (v->gather.at < w->start - 1 && etcd_watches_may_begin_again(c->watches)) {
        view_gather_deinit(&v->gather);
        w->needs_table = true;
        w->start_up = 0;
        return send_unfilled(c);
    }
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
    bool is_opened = v->create == CREATE_OPENED;
    switch (v->fill) {
    case FILL_BEFORE:
        if (is_opened)
            break;
        return begin_fill(v, FILL_NOW, 0);
    case FILL_OPENED:
        return begin_fill(v, FILL_NOW, 0);
    case FILL_NOW: /* compacted between two pages */
        return ++v->tries < LIMIT_GATHER_TRIES ? begin_fill(v, FILL_NOW, 0) : ERR_UPSTREAM_LOST;
    case FILL_BEFORE_AGAIN:
        if (is_opened)
            break;
        return begin_fill(v, FILL_AT_START, v->filling->start);
    case FILL_AT_START:
        break;
    }
    /* etcd tells the application that its start is compacted. */
    return is_opened ? show_created(c, false) : send_filled(c);
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
