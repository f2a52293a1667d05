/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_prelude - a lease for calls of v3lock and v3election that name none.
 *
 *   Lock(name) ─> set aside;  LeaseGrant(60 s, tag|random) ─> upstream
 *                             granted ─────────────────────> Lock(name, lease) ─> upstream
 *                             id taken ────────────────────> LeaseGrant with another one
 *                             refused ─────────────────────> the application gets that status
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

enum err etcd_prelude_reply(struct etcd_call *c, struct span message)
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
    if (c->prelude != ETCD_PRELUDE_ASKS || stored == 0 ||
        !lease_tag_strip(c->ns->tag, stored, &seen))
        return ERR_UPSTREAM_PROTOCOL;
    c->prelude = ETCD_PRELUDE_ANSWERED;
    c->prelude_lease = stored;
    return ERR_OK;
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

enum err etcd_prelude_end(struct etcd_call *c)
{
    struct etcd_pass pass = {.call = c};
    if (c->prelude != ETCD_PRELUDE_ANSWERED)
        return ERR_UPSTREAM_PROTOCOL;
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
