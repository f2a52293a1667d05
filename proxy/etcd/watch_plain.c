/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch_plain - events of the own slice, of the form in which etcd writes them: stripped in one
 * walk. A thousand watchers of one key get a thousand such responses at once, and each is small, so
 * the walk that knows every message (pb_splice) would be most of what they cost.
 *
 * What is shown is byte for byte what pb_splice makes of it; a test holds them together. Only the
 * header, which nothing is taken out of, is not looked into.
 */
#include "etcd/watch_walk.h"
#include "wire/grpc_frame.h"

/* An event in its parts, as stored:   5a n   [08 type]   12 n   0a n  key   tail */
struct plain {
    struct span type; /* tag and number, or none */
    struct span key;  /* as it is shown */
    struct span tail; /* of the pair, behind the key */
};

/* The fields behind a key: each once read as etcd means it. A second key would have to be proven
 * and stripped, too. */
static bool read_tail(const struct etcd_ns *ns, struct span tail, int64_t *ret_revision)
{
    const uint8_t *p = tail.p, *end = span_end(tail);
    while (p != end) {
        const uint8_t *at = p;
        uint64_t v;
        int64_t shown;
        if (*p >> 3 == TAG_KEY >> 3 || (p = pb_skip_usual(p, end)) == NULL)
            return false;
        if (*at == TAG_MOD && watch_take_number(&at, end, TAG_MOD, &v))
            *ret_revision = (int64_t)v;
        else if (*at >> 3 == TAG_LEASE >> 3 &&
                 (!watch_take_number(&at, end, TAG_LEASE, &v) ||
                  !lease_tag_strip(ns->tag, (int64_t)v, &shown) || (uint64_t)shown != v))
            return false;
    }
    return true;
}

static bool read_event(const struct etcd_ns *ns, struct span event, struct plain *ret,
                       int64_t *ret_revision)
{
    const uint8_t *p = event.p, *end = span_end(event);
    struct span kv, stored;
    uint64_t type;
    (void)watch_take_number(&p, end, TAG_TYPE, &type);
    ret->type = span_of(event.p, (size_t)(p - event.p));
    if (!watch_take_bytes(&p, end, TAG_KV, &kv) || p != end)
        return false;
    p = kv.p;
    if (!watch_take_bytes(&p, span_end(kv), TAG_KEY, &stored) ||
        !key_map_strip(&ns->keys, stored, &ret->key))
        return false;
    ret->tail = span_skip(kv, (size_t)(p - kv.p));
    *ret_revision = 0;
    return read_tail(ns, ret->tail, ret_revision);
}

static uint8_t *write_head(uint8_t *to, uint8_t tag, size_t n)
{
    *to++ = tag;
    return to + pb_varint_write(to, n);
}

static uint8_t *write_bytes(uint8_t *to, struct span s)
{
    if (s.n != 0)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

/* No longer than it was: all its lengths are shorter or equal. */
static uint8_t *write_event(uint8_t *to, const struct plain *ev)
{
    size_t kv_n = 1 + pb_varint_size(ev->key.n) + ev->key.n + ev->tail.n;
    to = write_head(to, TAG_EVENT, ev->type.n + 1 + pb_varint_size(kv_n) + kv_n);
    to = write_bytes(to, ev->type);
    to = write_head(to, TAG_KV, kv_n);
    to = write_head(to, TAG_KEY, ev->key.n);
    return write_bytes(write_bytes(to, ev->key), ev->tail);
}

bool watch_plain_strip(const struct etcd_ns *ns, struct span message, struct span events,
                       struct buf *out, int64_t *ret_revision)
{
    const uint8_t *p = events.p, *end = span_end(events);
    /* From there on memory changes hands instead. */
    if (message.n >= GRPC_MOVE_BYTES || buf_reserve(out, GRPC_HEAD_BYTES + message.n) != ERR_OK)
        return false;
    uint8_t *frame = out->data + out->tail;
    uint8_t *to = write_bytes(frame + GRPC_HEAD_BYTES, span_head(message, message.n - events.n));
    while (p != end) {
        struct span event;
        struct plain plain;
        if (!watch_take_bytes(&p, end, TAG_EVENT, &event) ||
            !read_event(ns, event, &plain, ret_revision))
            return false;
        to = write_event(to, &plain);
    }
    size_t n = (size_t)(to - frame);
    grpc_frame_head(frame, (uint32_t)(n - GRPC_HEAD_BYTES));
    out->tail += n;
    return true;
}
