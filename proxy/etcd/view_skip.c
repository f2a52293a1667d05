/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_skip - most of what a watch over a subtree hears is about keys that it does not show. Such a
 * response is told by its keys alone, in one walk over the form in which etcd writes it; whatever
 * is written otherwise, or says more than events, is left to the walk that takes everything.
 *
 *   WatchResponse   0a header   [10 watch_id]   { 5a event }+
 *   Event           [08 type]   12 kv           [1a prev_kv]
 *   KeyValue        0a key      [10 create_revision]   18 mod_revision   …
 */
#include "etcd/view_watch.h"
#include "wire/pb_wire.h"

enum {
    TAG_HEADER = 1 << 3 | PB_WIRE_BYTES,
    TAG_ID = 2 << 3 | PB_WIRE_VARINT,
    TAG_EVENT = 11 << 3 | PB_WIRE_BYTES,
    TAG_TYPE = 1 << 3 | PB_WIRE_VARINT,
    TAG_KV = 2 << 3 | PB_WIRE_BYTES,
    TAG_KEY = 1 << 3 | PB_WIRE_BYTES,
    TAG_CREATE = 2 << 3 | PB_WIRE_VARINT,
    TAG_MOD = 3 << 3 | PB_WIRE_VARINT
};

/* The field that begins at *p is this one: its content, *p behind it. */
static inline bool take_bytes(const uint8_t **p, const uint8_t *end, uint8_t tag, struct span *ret)
{
    const uint8_t *q = *p;
    uint64_t n;
    if (q == end || *q++ != tag || !pb_varint_read(&q, end, &n) || n > (size_t)(end - q))
        return false;
    *ret = span_of(q, (size_t)n);
    *p = q + n;
    return true;
}

static inline bool take_number(const uint8_t **p, const uint8_t *end, uint8_t tag, uint64_t *ret)
{
    const uint8_t *q = *p;
    if (q == end || *q++ != tag || !pb_varint_read(&q, end, ret))
        return false;
    *p = q;
    return true;
}

bool view_skip_begin(struct span message, int64_t *ret_id, struct span *ret_events)
{
    const uint8_t *p = message.p, *end = message.p + message.n;
    struct span header;
    uint64_t id = 0;
    if (!take_bytes(&p, end, TAG_HEADER, &header))
        return false;
    (void)take_number(&p, end, TAG_ID, &id);
    if (p == end || *p != TAG_EVENT)
        return false;
    *ret_id = (int64_t)id;
    *ret_events = span_of(p, (size_t)(end - p));
    return true;
}

/* The key of an event, and what stands behind it in its pair. */
static inline bool take_key(struct span event, struct span *ret_key, struct span *ret_behind)
{
    const uint8_t *p = event.p, *end = event.p + event.n;
    struct span kv;
    uint64_t type;
    (void)take_number(&p, end, TAG_TYPE, &type);
    if (!take_bytes(&p, end, TAG_KV, &kv))
        return false;
    p = kv.p;
    if (!take_bytes(&p, kv.p + kv.n, TAG_KEY, ret_key))
        return false;
    *ret_behind = span_skip(kv, (size_t)(p - kv.p));
    return true;
}

static bool take_revision(struct span behind_key, int64_t *ret)
{
    const uint8_t *p = behind_key.p, *end = behind_key.p + behind_key.n;
    uint64_t v;
    (void)take_number(&p, end, TAG_CREATE, &v);
    if (!take_number(&p, end, TAG_MOD, &v))
        return false;
    *ret = (int64_t)v;
    return true;
}

bool view_skip_events(struct view_watch *w, struct span events, int64_t *ret_revision)
{
    const uint8_t *p = events.p, *end = events.p + events.n;
    struct span key = SPAN_NONE, behind = SPAN_NONE;
    if (w->wants_progress && w->unsent + 1 >= VIEW_UNSENT_MOST)
        return false;
    while (p != end) {
        struct span event;
        if (!take_bytes(&p, end, TAG_EVENT, &event) || !take_key(event, &key, &behind) ||
            view_watch_sees(w, key))
            return false;
    }
    if (!take_revision(behind, ret_revision))
        return false;
    w->unsent += w->wants_progress;
    return true;
}
