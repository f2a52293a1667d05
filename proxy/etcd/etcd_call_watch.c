/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_call_watch - a Watch stream with watches of several namespaces: events, the reads that they
 * and creates (etcd_call_fill.c) need, and what waits meanwhile.
 *
 *   create ─> FILL ─> shown;                 requests behind it wait
 *   event that needs a fetch ─> FETCH ─> shown;  what upstream sent behind it waits
 */
#include <stdlib.h>

#include "base/check.h"
#include "etcd/etcd_view_stream.h"
#include "limit.h"
#include "wire/grpc_status.h"

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
    buf_deinit(&v->created);
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
                           v->later_app.cap + v->created.cap + v->reply.message.cap +
                           v->reply.out.cap + v->reply.answers.cap + v->later_up.cap +
                           v->answer.cap + v->from_side.partial.cap;
}

bool etcd_call_has_later(const struct etcd_call *c)
{
    return c->views != NULL && c->views->create != CREATE_NONE;
}

bool etcd_call_is_held(const struct etcd_call *c)
{
    return c->views != NULL && (c->views->create == CREATE_OPENED || is_fetching(c->views));
}

bool etcd_call_wants_side(const struct etcd_call *c)
{
    return c->views != NULL && (c->views->create == CREATE_FILLS || etcd_call_is_held(c));
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

/* -- events -- */
static enum err go_through(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    struct view_reply *r = &v->reply;
    enum err e = view_reply_step(r);
    etcd_watches_weigh(c->watches, r->watch);
    if (e != ERR_OK)
        return e;
    if (is_fetching(v))
        return view_reply_keep(r);
    struct etcd_pass pass = {.call = c};
    bool is_sent = view_reply_is_sent(r, c->has_fragments);
    if (is_sent && r->shown == 0 && !r->verdict.is_fragment)
        e = view_reply_as_progress(r);
    if (is_sent && e == ERR_OK)
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
    return go_through(c);
}

static enum err end_fetch(struct etcd_call *c, int grpc_status)
{
    struct view_stream *v = c->views;
    struct view_reply *r = &v->reply;
    enum err e = ERR_OK;
    if (grpc_status == GRPC_INVALID_ARGUMENT && !view_reply_narrow(r))
        return ERR_UPSTREAM_LOST;
    if (grpc_status == GRPC_OUT_OF_RANGE)
        view_reply_compacted(r);
    else if (grpc_status == 0 && buf_len(&v->answer) == 0)
        return ERR_UPSTREAM_PROTOCOL;
    else if (grpc_status == 0)
        e = view_reply_answer(r, &v->answer, GRPC_HEAD_BYTES);
    if (e == ERR_OK)
        e = go_through(c);
    return e == ERR_OK ? etcd_view_go_on(c) : e;
}

enum err etcd_view_go_on(struct etcd_call *c)
{
    struct view_stream *v = c->views;
    enum err e = ERR_OK;
    if (!etcd_call_is_held(c) && !c->begins_again && buf_len(&v->later_up) != 0) {
        struct buf later = v->later_up;
        v->later_up = (struct buf){0};
        e = etcd_call_feed_up(c, buf_span(&later));
        buf_deinit(&later);
    }
    if (e == ERR_OK && !etcd_call_has_later(c) && buf_len(&v->later_app) != 0) {
        struct buf later = v->later_app;
        v->later_app = (struct buf){0};
        e = etcd_call_feed_app(c, buf_span(&later));
        buf_deinit(&later);
        if (e == ERR_OK && c->app_ended && !etcd_call_has_later(c) &&
            !grpc_reader_is_clean(&c->from_app))
            e = ERR_GRPC_FRAME;
    }
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
    bool is_txn = true;
    if (e == ERR_OK)
        e = v->side == SIDE_FETCH ? view_reply_ask(&v->reply, out, &is_txn)
                                  : view_gather_next(&v->gather, out);
    etcd_frame_end(out, at, e);
    *ret_method = is_txn ? SPAN_LIT("/etcdserverpb.KV/Txn") : SPAN_LIT("/etcdserverpb.KV/Range");
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
    return was_fetch ? end_fetch(c, grpc_status) : etcd_view_end_fill(c, grpc_status);
}
