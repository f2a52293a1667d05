/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_call_view - calls of a sidecar with view subtree that are about several namespaces
 * (design.md 4.5): a Range becomes Txns of its own, one after the other.
 */
#include "base/check.h"
#include "etcd/etcd_pass.h"
#include "etcd/view_range.h"
#include "wire/grpc_status.h"
#include "wire/pb_write.h"

size_t etcd_frame_begin(struct buf *out, enum err *e)
{
    static const uint8_t head[GRPC_HEAD_BYTES];
    size_t at = buf_len(out);
    if (*e == ERR_OK)
        *e = buf_append(out, span_of(head, sizeof head));
    return at;
}

void etcd_frame_end(struct buf *out, size_t at, enum err e)
{
    if (e == ERR_OK)
        grpc_frame_head(out->data + out->head + at,
                        (uint32_t)(buf_len(out) - at - GRPC_HEAD_BYTES));
    else
        buf_truncate(out, at);
}

static enum err ask_next(struct etcd_call *c)
{
    enum err e = ERR_OK;
    buf_consume(&c->to_up, buf_len(&c->to_up));
    size_t at = etcd_frame_begin(&c->to_up, &e);
    if (e == ERR_OK)
        e = view_range_next(c->range, &c->to_up);
    etcd_frame_end(&c->to_up, at, e);
    return e;
}

enum err etcd_view_request(struct etcd_call *c, struct span message, bool *ret_taken)
{
    *ret_taken = false;
    if (c->route->kind == ETCD_KIND_WATCH)
        return etcd_view_watch(c, message, ret_taken);
    if (c->route->kind != ETCD_KIND_RANGE && c->route->kind != ETCD_KIND_RANGE_STREAM)
        return ERR_OK;
    enum err e = view_range_begin(c->ns, message, &c->range);
    if (e != ERR_OK || c->range == NULL)
        return e;
    *ret_taken = true;
    c->is_local_read = view_range_is_serializable(c->range);
    return ask_next(c);
}

/* The answer's frame, once. */
static enum err answer(struct etcd_call *c)
{
    enum err e = ERR_OK;
    struct pb_writer w = {.out = &c->to_app};
    size_t at = etcd_frame_begin(&c->to_app, &e), mark = 0;
    w.error = e;
    if (c->route->kind == ETCD_KIND_RANGE_STREAM) /* RangeStreamResponse.range_response */
        mark = pb_write_begin(&w, 1);
    if (w.error == ERR_OK)
        w.error = view_range_answer(c->range, &c->to_app);
    if (c->route->kind == ETCD_KIND_RANGE_STREAM)
        pb_write_end(&w, mark);
    etcd_frame_end(&c->to_app, at, w.error);
    return w.error;
}

enum err etcd_view_reply(struct etcd_call *c, struct span message)
{
    struct buf page = {0};
    if (!view_range_is_waiting(c->range))
        return ERR_UPSTREAM_PROTOCOL;
    enum err e = grpc_reader_give(&c->from_up, message, &page);
    if (e == ERR_OK)
        e = view_range_feed(c->range, &page, GRPC_HEAD_BYTES);
    buf_deinit(&page);
    return e == ERR_OK && view_range_is_done(c->range) ? answer(c) : e;
}

bool etcd_view_next(struct etcd_call *c, int grpc_status)
{
    bool is_next = grpc_status == 0 && !view_range_is_waiting(c->range) &&
                   !view_range_is_done(c->range);
    bool is_again = (grpc_status == GRPC_OUT_OF_RANGE && view_range_restart(c->range)) ||
                    (grpc_status == GRPC_INVALID_ARGUMENT && view_range_narrow(c->range));
    if (!is_next && !is_again)
        return false;
    return ask_next(c) == ERR_OK;
}

bool etcd_call_is_answered(const struct etcd_call *c)
{
    if (c->range == NULL)
        return c->prelude == ETCD_PRELUDE_MARKED;
    return view_range_is_done(c->range);
}
