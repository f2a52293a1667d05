/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_local - calls that are answered here: MemberList, Authenticate, AuthStatus, grpc.health, and
 * Compact where it is ignored.
 *
 * The member list names one member, the sidecar: clients that follow it (Go's Sync) come back to us
 * and never learn an address of the store. They skip members without a name.
 */
#include "base/check.h"
#include "etcd/etcd_pass.h"
#include "wire/pb_wire.h"
#include "wire/pb_write.h"

enum { AUTH_STATUS_REVISION = 3 };
enum { HEALTH_SERVING = 1, HEALTH_NOT_SERVING = 2, HEALTH_SERVICE_UNKNOWN = 3 };

/* ResponseHeader is field 1 of every reply. Zeros are left out, as every encoder does. */
static void write_header(struct pb_writer *w, const struct etcd_ns *ns, bool with_revision)
{
    size_t header = pb_write_begin(w, 1);
    if (ns->cluster_id != 0)
        pb_write_number(w, 1, ns->cluster_id);
    if (ns->member_id != 0)
        pb_write_number(w, 2, ns->member_id);
    if (with_revision && ns->revision != 0)
        pb_write_number(w, 3, (uint64_t)ns->revision);
    if (ns->raft_term != 0)
        pb_write_number(w, 4, ns->raft_term);
    pb_write_end(w, header);
}

/* etcd's own MemberList header has no revision (v3rpc/member.go). */
static void write_member_list(struct pb_writer *w, const struct etcd_ns *ns)
{
    write_header(w, ns, false);
    size_t member = pb_write_begin(w, 2);
    pb_write_number(w, 1, ns->member_id != 0 ? ns->member_id : 1);
    pb_write_bytes(w, 2, SPAN_LIT("bulkhead"));
    pb_write_bytes(w, 4, span_str(ns->client_url));
    pb_write_end(w, member);
}

static uint8_t health_now(const struct etcd_call *c)
{
    if (c->health == HEALTH_SERVICE_UNKNOWN)
        return HEALTH_SERVICE_UNKNOWN;
    return c->ns->upstream_usable ? HEALTH_SERVING : HEALTH_NOT_SERVING;
}

/* HealthCheckRequest.service must be "": etcd registers no other. Check says NotFound, Watch tells
 * SERVICE_UNKNOWN (grpc doc health-checking.md). */
static enum err health_request(struct etcd_call *c, struct span message)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    bool named = false;
    while (p != end) {
        if (!pb_item_next(&p, end, &it) || (it.number == 1 && it.wire != PB_WIRE_BYTES))
            return ERR_PB_MALFORMED;
        if (it.number == 1)
            named = it.bytes.n != 0;
    }
    if (!named)
        return ERR_OK;
    if (c->route->kind == ETCD_KIND_HEALTH_CHECK)
        return ERR_HEALTH_SERVICE;
    c->health = HEALTH_SERVICE_UNKNOWN;
    return ERR_OK;
}

enum err etcd_local_request(struct etcd_call *c, struct span message)
{
    switch (c->route->kind) {
    case ETCD_KIND_AUTHENTICATE:
        return ERR_AUTH_DISABLED;
    case ETCD_KIND_HEALTH_CHECK:
    case ETCD_KIND_HEALTH_WATCH:
        return health_request(c, message);
    default:
        return ERR_OK; /* MemberList, AuthStatus, Compact: nothing in the request matters */
    }
}

/* The head of a frame, to be filled in by end_frame(). */
static size_t begin_frame(struct pb_writer *w)
{
    static const uint8_t head[GRPC_HEAD_BYTES];
    size_t at = buf_len(w->out);
    w->error = buf_append(w->out, span_of(head, sizeof head));
    return at;
}

static enum err end_frame(struct pb_writer *w, size_t at)
{
    if (w->error != ERR_OK) {
        buf_truncate(w->out, at);
        return w->error;
    }
    grpc_frame_head(w->out->data + w->out->head + at,
                    (uint32_t)(buf_len(w->out) - at - GRPC_HEAD_BYTES));
    return ERR_OK;
}

enum err etcd_local_answer(struct etcd_call *c)
{
    struct pb_writer w = {.out = &c->to_app};
    size_t at = begin_frame(&w);
    switch (c->route->kind) {
    case ETCD_KIND_MEMBER_LIST:
        write_member_list(&w, c->ns);
        break;
    case ETCD_KIND_AUTH_STATUS:
        write_header(&w, c->ns, true);
        pb_write_number(&w, AUTH_STATUS_REVISION, 1); /* as where it was never enabled */
        break;
    case ETCD_KIND_COMPACT:
        write_header(&w, c->ns, true);
        break;
    case ETCD_KIND_HEALTH_CHECK:
    case ETCD_KIND_HEALTH_WATCH:
        c->health = health_now(c);
        pb_write_number(&w, 1, c->health);
        break;
    default:
        check_failed("a local route has an answer", __FILE__, __LINE__);
    }
    return end_frame(&w, at);
}

enum err etcd_call_push_health(struct etcd_call *c)
{
    CHECK(c->route->kind == ETCD_KIND_HEALTH_WATCH);
    return c->health == 0 || c->health == health_now(c) ? ERR_OK : etcd_local_answer(c);
}
