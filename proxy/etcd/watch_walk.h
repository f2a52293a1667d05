/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch_walk - private to etcd/: a WatchResponse in the form in which etcd writes it, field by
 * field in order. Nearly all that arrive are of this form; one that is written otherwise, or says
 * more than events, is left to the walks that take everything.
 *
 *   WatchResponse   0a header   [10 watch_id]   { 5a event }+
 *   Event           [08 type]   12 kv           [1a prev_kv]
 *   KeyValue        0a key      [10 create_revision]   18 mod_revision   …
 */
#ifndef ETCD_WATCH_WALK_H
#define ETCD_WATCH_WALK_H

#include "etcd/etcd_call.h"
#include "wire/pb_wire.h"

enum {
    TAG_HEADER = 1 << 3 | PB_WIRE_BYTES,
    TAG_ID = 2 << 3 | PB_WIRE_VARINT,
    TAG_EVENT = 11 << 3 | PB_WIRE_BYTES,
    TAG_TYPE = 1 << 3 | PB_WIRE_VARINT,
    TAG_KV = 2 << 3 | PB_WIRE_BYTES,
    TAG_KEY = 1 << 3 | PB_WIRE_BYTES,
    TAG_CREATE = 2 << 3 | PB_WIRE_VARINT,
    TAG_MOD = 3 << 3 | PB_WIRE_VARINT,
    TAG_LEASE = 6 << 3 | PB_WIRE_VARINT
};

/* As pb_varint_read(); most lengths here are of one byte or two. */
static inline bool watch_take_length(const uint8_t **p, const uint8_t *end, size_t *ret)
{
    const uint8_t *q = *p;
    uint64_t v;
    if (end - q >= 2 && (q[0] & q[1] & 0x80) == 0) {
        bool is_long = q[0] >= 0x80;
        *ret = is_long ? (size_t)(q[0] & 0x7f) | (size_t)q[1] << 7 : q[0];
        *p = q + 1 + is_long;
        return true;
    }
    if (!pb_varint_read(p, end, &v) || v > SIZE_MAX)
        return false;
    *ret = (size_t)v;
    return true;
}

/* The field that begins at *p is this one: its content, *p behind it. */
static inline bool watch_take_bytes(const uint8_t **p, const uint8_t *end, uint8_t tag,
                                    struct span *ret)
{
    const uint8_t *q = *p;
    size_t n;
    if (q == end || *q++ != tag || !watch_take_length(&q, end, &n) || n > (size_t)(end - q))
        return false;
    *ret = span_of(q, n);
    *p = q + n;
    return true;
}

static inline bool watch_take_number(const uint8_t **p, const uint8_t *end, uint8_t tag,
                                     uint64_t *ret)
{
    const uint8_t *q = *p;
    if (q == end || *q++ != tag || !pb_varint_read(&q, end, ret))
        return false;
    *p = q;
    return true;
}

/* A WatchResponse that only has events: whose it is, and where they begin. */
static inline bool watch_take_begin(struct span message, int64_t *ret_id, struct span *ret_events)
{
    const uint8_t *p = message.p, *end = message.p + message.n;
    struct span header;
    uint64_t id = 0;
    if (!watch_take_bytes(&p, end, TAG_HEADER, &header))
        return false;
    (void)watch_take_number(&p, end, TAG_ID, &id);
    if (p == end || *p != TAG_EVENT)
        return false;
    *ret_id = (int64_t)id;
    *ret_events = span_of(p, (size_t)(end - p));
    return true;
}

/* The key of an event, and what stands behind it in its pair. */
static inline bool watch_take_key(struct span event, struct span *ret_key, struct span *ret_behind)
{
    const uint8_t *p = event.p, *end = event.p + event.n;
    struct span kv;
    uint64_t type;
    (void)watch_take_number(&p, end, TAG_TYPE, &type);
    if (!watch_take_bytes(&p, end, TAG_KV, &kv))
        return false;
    p = kv.p;
    if (!watch_take_bytes(&p, kv.p + kv.n, TAG_KEY, ret_key))
        return false;
    *ret_behind = span_skip(kv, (size_t)(p - kv.p));
    return true;
}

/* watch_plain.c: append the gRPC frame that the application gets. False: nothing was done, because
 * an event is not of the own slice, has a prev_kv or a lease that is shown otherwise than it is
 * stored, or is written otherwise; or for lack of memory. *ret_revision: of the last event. events
 * is the rest of message. */
bool watch_plain_strip(const struct etcd_ns *ns, struct span message, struct span events,
                       struct buf *out, int64_t *ret_revision);

#endif
