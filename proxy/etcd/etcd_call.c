/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_call - cut frames, map or strip the message in each, frame it again.
 *
 * Replies are stripped in place but where they may grow: the id that the application wrote can be
 * longer than the one in the store.
 */
#include "etcd/etcd_call.h"

#include <stdio.h>

#include "base/check.h"
#include "etcd/authenticate.h"
#include "etcd/etcd_pass.h"
#include "etcd/view_range.h"
#include "limit.h"
#include "wire/grpc_status.h"
#include "wire/pb_wire.h"

/* How often a random lease id is drawn again; how often a stream is opened with another token
 * before a refusal counts. */
enum { LEASE_TRIES = 8, TOKEN_TRIES = 3 };

void etcd_call_init(struct etcd_call *c, struct etcd_ns *ns, const struct etcd_route *route)
{
    CHECK(route->policy == ETCD_REWRITE || route->policy == ETCD_FORWARD ||
          route->policy == ETCD_LOCAL);
    *c = (struct etcd_call){.route = route, .ns = ns};
    c->from_app.max_bytes = LIMIT_GRPC_REQUEST_BYTES;
    c->from_up.max_bytes = LIMIT_GRPC_RESPONSE_BYTES;
}

void etcd_call_deinit(struct etcd_call *c)
{
    grpc_reader_deinit(&c->from_app);
    grpc_reader_deinit(&c->from_up);
    buf_deinit(&c->to_up);
    buf_deinit(&c->to_app);
    buf_deinit(&c->lease_grant);
    buf_deinit(&c->after_prelude);
    etcd_lease_queue_free(&c->leases);
    etcd_watches_free(&c->watches);
    etcd_observe_deinit(&c->observed);
    view_range_free(&c->range);
    etcd_view_free(c);
}

/* ResponseHeader: cluster_id 1, member_id 2, revision 3, raft_term 4. The ids never change, so the
 * first one is enough for answers made here. */
enum err etcd_note_header(void *ctx, struct pb_frame *f, struct span value)
{
    const struct etcd_pass *pass = ctx;
    (void)f;
    return pass->call->ns->cluster_id != 0 ? ERR_OK : etcd_ns_note_header(pass->call->ns, value);
}

enum err etcd_ns_note_header(struct etcd_ns *ns, struct span header)
{
    const uint8_t *p = header.p, *end = span_end(header);
    struct pb_item it;
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return ERR_PB_MALFORMED;
        if (it.wire != PB_WIRE_VARINT)
            continue;
        switch (it.number) {
        case 1:
            ns->cluster_id = it.varint;
            break;
        case 2:
            ns->member_id = it.varint;
            break;
        case 3:
            ns->revision = (int64_t)it.varint;
            break;
        case 4:
            ns->raft_term = it.varint;
            break;
        default:
            break;
        }
    }
    return ERR_OK;
}

enum err etcd_frame_spliced(const struct pb_message *m, struct etcd_pass *pass, struct span message,
                            struct buf *out)
{
    uint8_t head[GRPC_HEAD_BYTES] = {0};
    size_t at = buf_len(out);
    enum err e = buf_append(out, span_of(head, sizeof head));
    if (e == ERR_OK)
        e = m == NULL ? buf_append(out, message) : pb_splice(m, pass, message, out);
    if (e == ERR_OK)
        e = etcd_pass_verdict(pass);
    if (e == ERR_OK)
        grpc_frame_head(out->data + out->head + at,
                        (uint32_t)(buf_len(out) - at - GRPC_HEAD_BYTES));
    else
        buf_truncate(out, at);
    return e;
}

static enum err lease_request(struct etcd_call *c, const struct etcd_pass *pass,
                              struct span message)
{
    switch (c->route->kind) {
    case ETCD_KIND_LEASE_GRANT:
        c->lease_random = pass->lease_asked == 0;
        return c->lease_random ? buf_append(&c->lease_grant, message) : ERR_OK;
    case ETCD_KIND_LEASE_KEEP_ALIVE:
        return etcd_lease_queue_push(&c->leases, pass->lease_asked);
    case ETCD_KIND_LEASE_TIME_TO_LIVE:
        c->lease_asked = pass->lease_asked;
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

/* What a member says that has lost the others, too. */
static bool is_local_read(const struct etcd_call *c, const struct etcd_pass *pass)
{
    switch (c->route->kind) {
    case ETCD_KIND_RANGE:
    case ETCD_KIND_RANGE_STREAM:
    case ETCD_KIND_TXN:
        return !pass->needs_quorum;
    case ETCD_KIND_LEASE_LEASES: /* of markers it is a Range of ours */
        return !c->ns->marks_leases;
    case ETCD_KIND_STATUS:
        return true;
    default:
        return false;
    }
}

static enum err request(struct etcd_call *c, struct span message)
{
    if (c->requests != 0 && !c->route->client_streams)
        return ERR_GRPC_REQUEST;
    c->requests++;
    if (c->route->policy == ETCD_LOCAL)
        return etcd_local_request(c, message);
    if (c->ns->family != NULL && c->route->policy == ETCD_REWRITE) {
        bool is_taken;
        enum err e = etcd_view_request(c, message, &is_taken);
        if (e != ERR_OK || is_taken)
            return e;
    }
    struct etcd_pass pass = {.call = c};
    size_t before = buf_len(&c->to_up);
    enum err e = etcd_frame_spliced(c->route->request, &pass, message, &c->to_up);
    c->is_local_read = is_local_read(c, &pass);
    if (e == ERR_OK)
        e = lease_request(c, &pass, message);
    if (e == ERR_OK && c->route->kind == ETCD_KIND_WATCH)
        e = etcd_watches_request(&c->watches,
                                 span_skip(buf_span(&c->to_up), before + GRPC_HEAD_BYTES));
    if (e == ERR_OK && c->route->kind == ETCD_KIND_OBSERVE)
        e = etcd_observe_request(c, span_skip(buf_span(&c->to_up), before + GRPC_HEAD_BYTES));
    if (e == ERR_OK && pass.wants_lease)
        e = etcd_prelude_begin(c);
    if (e == ERR_OK && c->ns->marks_leases && c->route->kind == ETCD_KIND_LEASE_GRANT)
        c->prelude = ETCD_PRELUDE_ASKS;
    if (e == ERR_OK && c->ns->marks_leases && c->route->kind == ETCD_KIND_LEASE_LEASES)
        e = etcd_marker_list(c);
    if (e != ERR_OK)
        buf_truncate(&c->to_up, before);
    return e;
}

static void explain_too_large(struct etcd_call *c, const struct grpc_reader *r)
{
    /* grpc-go's text, which is what etcd's clients know. */
    snprintf(c->detail, sizeof c->detail, "grpc: received message larger than max (%u vs. %u)",
             (unsigned)r->over_bytes, (unsigned)r->max_bytes);
}

enum err etcd_call_feed_app(struct etcd_call *c, struct span in)
{
    struct span message;
    enum err e;
    CHECK(c->ns->has_tag || c->route->policy != ETCD_REWRITE);
    if (c->views != NULL && etcd_call_has_later(c))
        return etcd_view_wait_app(c, in);
    while (grpc_reader_next(&c->from_app, &in, &message, &e)) {
        e = request(c, message);
        if (e != ERR_OK)
            return e;
        if (c->views != NULL && etcd_call_has_later(c))
            return etcd_view_wait_app(c, in);
    }
    if (e == ERR_REQUEST_TOO_LARGE)
        explain_too_large(c, &c->from_app);
    return e;
}

enum err etcd_call_end_app(struct etcd_call *c)
{
    c->app_ended = true;
    if (!grpc_reader_is_clean(&c->from_app))
        return ERR_GRPC_FRAME;
    if (c->requests == 0 && !c->route->client_streams)
        return ERR_GRPC_REQUEST;
    return c->route->policy == ETCD_LOCAL ? etcd_local_answer(c) : ERR_OK;
}

/* message lies in memory that we may write: io's read buffer or the reader's own. */
static uint8_t *writable(struct span message)
{
    return (uint8_t *)(uintptr_t)message.p;
}

/* A create was refused. Is that the answer, or is it the token's fault? */
static enum err refused(struct etcd_call *c, struct span message, struct etcd_watch_verdict *watch)
{
    enum authenticate_cancel why = authenticate_cancel_reason(watch->refused);
    bool may_be = why == AUTHENTICATE_MAY_BE_STALE && c->is_token_old;
    c->is_token_stale = c->ns->has_user && etcd_watches_can_resume(c->watches) &&
                        (may_be || why == AUTHENTICATE_SAYS_STALE) && c->token_tries < TOKEN_TRIES;
    c->token_tries = c->is_token_stale ? c->token_tries + 1 : 0;
    return c->is_token_stale ? ERR_OK : etcd_watches_refused(c->watches, message, watch);
}

/* The id that the application wrote, or that of another member, may take more bytes. */
static bool may_grow(const struct etcd_call *c)
{
    return c->route->kind == ETCD_KIND_LEASE_KEEP_ALIVE ||
           c->route->kind == ETCD_KIND_LEASE_TIME_TO_LIVE || c->route->kind == ETCD_KIND_STATUS;
}

static enum err growing_reply(struct etcd_call *c, struct span message)
{
    struct etcd_pass pass = {.call = c, .lease_asked = c->lease_asked};
    if (c->route->kind == ETCD_KIND_LEASE_KEEP_ALIVE &&
        !etcd_lease_queue_pop(c->leases, &pass.lease_asked))
        return ERR_UPSTREAM_PROTOCOL;
    return etcd_frame_spliced(c->route->response, &pass, message, &c->to_app);
}

static enum etcd_watch_usual watch_usual(struct etcd_call *c, struct span message)
{
    /* Before the first header is noted, every message is read whole. */
    if (c->watches == NULL || c->has_fragments || c->ns->cluster_id == 0)
        return USUAL_NOT;
    enum etcd_watch_usual usual = etcd_watches_usual(c->watches, c->ns, message, &c->to_app);
    if (usual == USUAL_SHOWN)
        c->token_tries = 0;
    return usual;
}

static enum err reply(struct etcd_call *c, struct span message)
{
    enum etcd_watch_usual usual = watch_usual(c, message);
    if (usual == USUAL_SKIPPED)
        return ERR_OK;
    c->is_unmoved = false;
    if (usual == USUAL_SHOWN)
        return ERR_OK;
    struct etcd_pass pass = {.call = c};
    if (c->range != NULL)
        return etcd_view_reply(c, message);
    if (etcd_call_in_prelude(c))
        return etcd_prelude_reply(c, message);
    if (c->ns->marks_leases && c->route->kind == ETCD_KIND_LEASE_LEASES)
        return etcd_marker_listed(c, message);
    if (c->route->response == NULL)
        return grpc_reader_give(&c->from_up, message, &c->to_app);
    if (may_grow(c))
        return growing_reply(c, message);
    enum err e = ERR_OK;
    if (c->watches != NULL)
        e = etcd_watches_reply(c->watches, message, &pass.watch);
    if (e == ERR_OK && pass.watch.refused.n != 0)
        e = refused(c, message, &pass.watch);
    else
        c->token_tries = 0;
    if (c->is_token_stale)
        return e;
    if (e == ERR_OK && pass.watch.opens != NULL)
        return etcd_view_opened(c, &pass.watch, message);
    if (e == ERR_OK && pass.watch.ends_opening)
        e = etcd_view_not_opened(c);
    if (c->route->kind == ETCD_KIND_OBSERVE)
        e = etcd_observe_reply(c, message, &pass.watch.is_hidden);
    if (e != ERR_OK || pass.watch.is_hidden)
        return e;
    if (pass.watch.view != NULL && pass.watch.events != 0)
        return etcd_view_events(c, &pass.watch, message);
    size_t ready = c->from_up.ready_bytes;
    e = pb_splice_in_place(c->route->response, &pass, writable(message) + ready, message.n - ready,
                           &message.n);
    if (e != ERR_OK)
        return e;
    message.n += ready;
    /* Nothing left but a foreign remainder: not sent (design.md 4.6). */
    bool is_empty = pass.events != 0 && pass.events_kept == 0;
    if (is_empty && pass.watch.hides_gap)
        return ERR_OK;
    if (is_empty && !pass.must_send && !c->has_fragments && !pass.watch.ends_gap)
        return ERR_OK;
    return grpc_reader_give(&c->from_up, message, &c->to_app);
}

/* A list is stripped as it arrives, while its bytes are in a near cache. */
static enum err strip_arrived(struct etcd_call *c)
{
    struct span arrived = grpc_reader_arrived(&c->from_up);
    if (c->route->kind != ETCD_KIND_RANGE || c->range != NULL || arrived.n == 0)
        return ERR_OK;
    struct etcd_pass pass = {.call = c};
    size_t read, written;
    enum err e = pb_splice_arrived(c->route->response, &pass, writable(arrived), arrived.n, &read,
                                   &written);
    if (e == ERR_OK)
        grpc_reader_rewrote(&c->from_up, read, written);
    return e;
}

enum err etcd_call_feed_up(struct etcd_call *c, struct span in)
{
    struct span message;
    enum err e;
    if (c->views != NULL && etcd_call_is_held(c))
        return etcd_view_wait_up(c, in);
    c->is_unmoved = c->from_up.partial.cap == 0;
    while (grpc_reader_next(&c->from_up, &in, &message, &e)) {
        e = reply(c, message);
        if (e != ERR_OK || c->is_token_stale)
            break;
        if (c->views != NULL && etcd_call_is_held(c))
            return etcd_view_wait_up(c, in);
    }
    if (e == ERR_OK)
        e = strip_arrived(c);
    c->is_unmoved = c->is_unmoved && c->from_up.partial.cap == 0;
    if (e == ERR_REQUEST_TOO_LARGE)
        explain_too_large(c, &c->from_up);
    return e == ERR_OK || e == ERR_NOMEM || e == ERR_REQUEST_TOO_LARGE ? e : ERR_UPSTREAM_PROTOCOL;
}

enum err etcd_call_end_up(struct etcd_call *c)
{
    if (c->prelude == ETCD_PRELUDE_REVOKES)
        return c->marker_error;
    return grpc_reader_is_clean(&c->from_up) ? ERR_OK : ERR_UPSTREAM_PROTOCOL;
}

bool etcd_call_retry(struct etcd_call *c, int grpc_status)
{
    if (c->range != NULL)
        return etcd_view_next(c, grpc_status);
    bool grants = c->prelude == ETCD_NO_PRELUDE || c->prelude == ETCD_PRELUDE_ASKS;
    if (grpc_status != GRPC_FAILED_PRECONDITION || !grants || !c->lease_random ||
        c->lease_tries == LEASE_TRIES)
        return etcd_prelude_next(c, grpc_status);
    c->lease_tries++;
    struct etcd_pass pass = {.call = c};
    buf_consume(&c->to_up, buf_len(&c->to_up));
    /* Out of memory: the application gets the answer that is there. */
    return etcd_frame_spliced(&etcd_lease_grant_request, &pass, buf_span(&c->lease_grant),
                              &c->to_up) == ERR_OK;
}

/* The pings of leases that were not answered, again. */
static enum err resume_keep_alive(struct etcd_call *c)
{
    int64_t id;
    enum err e = ERR_OK;
    for (unsigned i = 0; e == ERR_OK && etcd_lease_queue_peek(c->leases, i, &id); i++) {
        struct etcd_pass pass = {.call = c};
        uint8_t message[1 + PB_VARINT_BYTES_MAX] = {1 << 3 | PB_WIRE_VARINT};
        size_t n = 1 + pb_varint_write(message + 1, (uint64_t)id);
        e = etcd_frame_spliced(&etcd_lease_keep_alive_request, &pass, span_of(message, n),
                               &c->to_up);
    }
    return e;
}

bool etcd_call_resume(struct etcd_call *c)
{
    enum err e = ERR_UPSTREAM_LOST;
    etcd_view_forget_up(c);
    c->is_token_stale = c->begins_again = false;
    buf_consume(&c->to_up, buf_len(&c->to_up));
    grpc_reader_deinit(&c->from_up);
    c->from_up = (struct grpc_reader){.max_bytes = LIMIT_GRPC_RESPONSE_BYTES};
    if (c->route->kind == ETCD_KIND_LEASE_KEEP_ALIVE)
        e = resume_keep_alive(c);
    else if (c->route->kind == ETCD_KIND_WATCH && etcd_watches_can_resume(c->watches))
        e = etcd_watches_resume(c->watches, &c->to_up);
    else if (c->route->kind == ETCD_KIND_OBSERVE)
        e = etcd_observe_resume(c);
    return e == ERR_OK;
}

struct span etcd_call_method(const struct etcd_call *c)
{
    if (c->range != NULL)
        return SPAN_LIT("/etcdserverpb.KV/Txn");
    if (c->route->kind == ETCD_KIND_LEASE_LEASES && c->ns->marks_leases)
        return SPAN_LIT("/etcdserverpb.KV/Range");
    return etcd_call_in_prelude(c) ? etcd_prelude_method(c) : c->route->path;
}

const char *etcd_call_message(const struct etcd_call *c, enum err e)
{
    return c->detail[0] != '\0' ? c->detail : err_info(e)->grpc_message;
}
