/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_marker - a key of ours attached to each lease, where the store has a role for each namespace
 * (design.md 4.1 lease marker); only with ns->marks_leases.
 *
 *   Grant ─> LeaseGrant ─> upstream ─ granted ─> Put(marker, lease) ─> upstream
 *                                                 done ──────────────> what comes next: the answer,
 *                                                                      or the Lock that waits for
 * it refused ───────────> LeaseRevoke, then an error
 *
 * etcd lets a lease be revoked, or attached to, by whoever may write all keys that are attached to
 * it (etcd apply_auth.go checkLeasePuts): with the marker that is the namespace's role alone, also
 * while the application has no key on it. The marker goes with its lease.
 *
 * The same role must not list all leases, and from 3.4.42, 3.5.28 and 3.6.9 etcd does not let it:
 * LeaseLeases becomes a Range of the markers.
 */
#include "etcd/etcd_fields.h"
#include "etcd/etcd_pass.h"
#include "wire/grpc_status.h"
#include "wire/pb_write.h"

enum { HEX_BYTES = 16 };
/* etcd rpc.proto PutRequest, LeaseRevokeRequest, LeaseLeasesResponse, LeaseStatus */
enum { PUT_KEY = 1, PUT_LEASE = 3, REVOKE_ID = 1, LEASES = 2, LEASE_ID = 1 };

static struct span hex_of(int64_t lease, char text[HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < HEX_BYTES; i++)
        text[i] = digits[(uint64_t)lease >> (60 - 4 * i) & 15];
    return span_of(text, HEX_BYTES);
}

/* The frame that w writes becomes the only one of to_up. */
static enum err send(struct etcd_call *c, const struct pb_writer *w)
{
    struct etcd_pass pass = {.call = c};
    enum err e = w->error;
    buf_consume(&c->to_up, buf_len(&c->to_up)); /* answered before all of it was sent */
    return e != ERR_OK ? e : etcd_frame_spliced(NULL, &pass, buf_span(w->out), &c->to_up);
}

enum err etcd_marker_put(struct etcd_call *c)
{
    char text[HEX_BYTES];
    struct buf message = {0};
    struct pb_writer w = {.out = &message};
    size_t key = pb_write_begin(&w, PUT_KEY);
    if (w.error == ERR_OK)
        w.error = key_map_key(&c->ns->markers, hex_of(c->prelude_lease, text), &message);
    pb_write_end(&w, key);
    pb_write_number(&w, PUT_LEASE, (uint64_t)c->prelude_lease);
    enum err e = send(c, &w);
    buf_deinit(&message);
    if (e == ERR_OK)
        c->prelude = ETCD_PRELUDE_MARKS;
    return e;
}

enum err etcd_marker_give_up(struct etcd_call *c, int grpc_status)
{
    struct buf message = {0};
    struct pb_writer w = {.out = &message};
    c->marker_error = grpc_status == GRPC_PERMISSION_DENIED ? ERR_MARKER_DENIED : ERR_MARKER;
    pb_write_number(&w, REVOKE_ID, (uint64_t)c->prelude_lease);
    enum err e = send(c, &w);
    buf_deinit(&message);
    if (e == ERR_OK)
        c->prelude = ETCD_PRELUDE_REVOKES;
    return e;
}

enum err etcd_marker_list(struct etcd_call *c)
{
    struct buf message = {0};
    struct pb_writer w = {.out = &message};
    size_t key = pb_write_begin(&w, RANGE_KEY);
    if (w.error == ERR_OK)
        w.error = key_map_key(&c->ns->markers, SPAN_NONE, &message);
    pb_write_end(&w, key);
    key = pb_write_begin(&w, RANGE_END);
    if (w.error == ERR_OK)
        w.error = key_map_end(&c->ns->markers, SPAN_LIT("\0"), &message);
    pb_write_end(&w, key);
    /* Not keys_only, though a marker has no value: from 3.7 on etcd then leaves the lease out, too.
     */
    enum err e = send(c, &w);
    buf_deinit(&message);
    return e;
}

/* The lease in the marker's name, which is the one that it is attached to, as the application sees
 * it. */
static bool read_marker(const struct etcd_ns *ns, struct span kv, int64_t *ret_id)
{
    char text[HEX_BYTES];
    struct span key = SPAN_NONE, name;
    uint64_t lease;
    return pb_find_bytes(kv, KV_KEY, &key) && pb_find_number(kv, KV_LEASE, &lease) && lease != 0 &&
           key_map_strip(&ns->markers, key, &name) && span_eq(name, hex_of((int64_t)lease, text)) &&
           lease_tag_strip(ns->tag, (int64_t)lease, ret_id);
}

static enum err write_leases(struct etcd_call *c, struct span message, struct pb_writer *w)
{
    const uint8_t *p = message.p, *end = message.p + message.n;
    struct pb_item it;
    while (p != end && w->error == ERR_OK) {
        int64_t id;
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        if (it.wire != PB_WIRE_BYTES)
            continue; /* more, count */
        if (it.number == REPLY_HEADER) {
            pb_write_bytes(w, REPLY_HEADER, it.bytes);
        } else if (it.number == RANGE_REPLY_KV && read_marker(c->ns, it.bytes, &id)) {
            size_t lease = pb_write_begin(w, LEASES);
            pb_write_number(w, LEASE_ID, (uint64_t)id);
            pb_write_end(w, lease);
        } else if (it.number == RANGE_REPLY_KV) {
            count(c->ns->counters, COUNTER_FOREIGN_LEASE, 1);
        }
    }
    return w->error;
}

enum err etcd_marker_listed(struct etcd_call *c, struct span message)
{
    struct etcd_pass pass = {.call = c};
    struct buf leases = {0};
    struct pb_writer w = {.out = &leases};
    enum err e = write_leases(c, message, &w);
    if (e == ERR_OK) /* notes the header, too */
        e = etcd_frame_spliced(&etcd_marked_leases_response, &pass, buf_span(&leases), &c->to_app);
    buf_deinit(&leases);
    return e;
}
