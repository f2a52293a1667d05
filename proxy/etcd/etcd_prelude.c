/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_prelude - a lease for calls of v3lock and v3election that name none.
 *
 *   Lock(name) ─> set aside;  LeaseGrant(60 s, tag|random) ─> upstream
 *                             granted ─────────────────────> Lock(name, lease) ─> upstream
 *                             id taken ────────────────────> LeaseGrant with another one
 *                             refused ─────────────────────> the application gets that status
 *
 * Where leases are marked (etcd_marker.c) the Put of the marker stands between; so it does behind a
 * LeaseGrant of the application, whose answer waits for it.
 *
 * etcd's server does the same with an id of its own choice (concurrency.NewSession), which would
 * carry nobody's tag or, by chance, somebody else's (design.md 4.3, 4.4).
 */
#include "base/check.h"
#include "etcd/etcd_pass.h"
#include "wire/pb_wire.h"
#include "wire/pb_write.h"

/* etcd client/v3/concurrency/session.go defaultSessionTTL */
enum { SESSION_TTL_S = 60 };
enum { GRANT_TTL = 1, GRANTED_ID = 2 };
enum { LEASED_LEASE = 2, HELD_LEADER = 1, LEADER_LEASE = 4 };

enum err etcd_prelude_begin(struct etcd_call *c)
{
    struct etcd_pass pass = {.call = c};
    struct pb_writer w = {.out = &c->lease_grant};
    CHECK(c->requests == 1 && !c->route->client_streams);
    enum err e = buf_append(&c->after_prelude, span_skip(buf_span(&c->to_up), GRPC_HEAD_BYTES));
    buf_consume(&c->to_up, buf_len(&c->to_up));
    pb_write_number(&w, GRANT_TTL, SESSION_TTL_S);
    if (e == ERR_OK)
        e = w.error;
    if (e == ERR_OK)
        e = etcd_frame_spliced(&etcd_lease_grant_request, &pass, buf_span(&c->lease_grant),
                               &c->to_up);
    c->lease_random = true;
    c->prelude = ETCD_PRELUDE_ASKS;
    return e;
}

static enum err granted(struct etcd_call *c, struct span message)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    int64_t stored = 0, seen;
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        if (it.number == GRANTED_ID && it.wire == PB_WIRE_VARINT)
            stored = (int64_t)it.varint;
    }
    if (stored == 0 || !lease_tag_strip(c->ns->tag, stored, &seen))
        return ERR_UPSTREAM_PROTOCOL;
    c->prelude = ETCD_PRELUDE_ANSWERED;
    c->prelude_lease = stored;
    if (c->route->kind != ETCD_KIND_LEASE_GRANT)
        return ERR_OK;
    struct etcd_pass pass = {.call = c};
    return etcd_frame_spliced(c->route->response, &pass, message, &c->to_app);
}

enum err etcd_prelude_reply(struct etcd_call *c, struct span message)
{
    switch (c->prelude) {
    case ETCD_PRELUDE_ASKS:
        return granted(c, message);
    case ETCD_PRELUDE_MARKS:
        c->prelude = ETCD_PRELUDE_MARKED;
        return ERR_OK;
    case ETCD_PRELUDE_REVOKES:
        return ERR_OK;
    case ETCD_NO_PRELUDE:
    case ETCD_PRELUDE_ANSWERED:
    case ETCD_PRELUDE_MARKED:
        break;
    }
    return ERR_UPSTREAM_PROTOCOL;
}

struct span etcd_prelude_method(const struct etcd_call *c)
{
    if (c->prelude == ETCD_PRELUDE_MARKS || c->prelude == ETCD_PRELUDE_MARKED)
        return SPAN_LIT("/etcdserverpb.KV/Put");
    if (c->prelude == ETCD_PRELUDE_REVOKES)
        return SPAN_LIT("/etcdserverpb.Lease/LeaseRevoke");
    return SPAN_LIT("/etcdserverpb.Lease/LeaseGrant");
}

/* A field that is there again replaces, a message that is there again is merged. */
static enum err write_lease(const struct etcd_call *c, struct buf *out)
{
    struct pb_writer w = {.out = out};
    if (c->route->kind == ETCD_KIND_LEASED) {
        pb_write_number(&w, LEASED_LEASE, (uint64_t)c->prelude_lease);
    } else {
        size_t leader = pb_write_begin(&w, HELD_LEADER);
        pb_write_number(&w, LEADER_LEASE, (uint64_t)c->prelude_lease);
        pb_write_end(&w, leader);
    }
    return w.error;
}

/* There is a lease: to_up holds the application's request again, now with it. */
static enum err end(struct etcd_call *c)
{
    struct etcd_pass pass = {.call = c};
    buf_consume(&c->to_up, buf_len(&c->to_up)); /* answered before all of it was sent */
    enum err e = write_lease(c, &c->after_prelude);
    if (e == ERR_OK)
        e = etcd_frame_spliced(NULL, &pass, buf_span(&c->after_prelude), &c->to_up);
    if (e != ERR_OK)
        return e;
    buf_deinit(&c->after_prelude);
    c->prelude = ETCD_NO_PRELUDE;
    c->lease_random = false;
    return ERR_OK;
}

bool etcd_prelude_next(struct etcd_call *c, int grpc_status)
{
    bool is_done = grpc_status == 0;
    switch (c->prelude) {
    case ETCD_PRELUDE_ANSWERED:
        if (is_done && c->ns->marks_leases)
            return etcd_marker_put(c) == ERR_OK;
        return is_done && end(c) == ERR_OK;
    case ETCD_PRELUDE_MARKS:
        return etcd_marker_give_up(c, grpc_status) == ERR_OK;
    case ETCD_PRELUDE_MARKED:
        if (!is_done)
            return etcd_marker_give_up(c, grpc_status) == ERR_OK;
        return c->route->kind != ETCD_KIND_LEASE_GRANT && end(c) == ERR_OK;
    case ETCD_NO_PRELUDE:
    case ETCD_PRELUDE_ASKS:
    case ETCD_PRELUDE_REVOKES:
        break;
    }
    return false;
}
