/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/view_kv.h"

#include "etcd/etcd_fields.h"

bool view_kv_read(struct span message, struct view_kv *ret)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    *ret = (struct view_kv){.all = message};
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return false;
        struct span item = span_of(it.start, (size_t)(p - it.start));
        bool is_bytes = it.number == KV_KEY || it.number == KV_VALUE;
        if (it.number <= KV_LEASE && it.wire != (is_bytes ? PB_WIRE_BYTES : PB_WIRE_VARINT))
            return false;
        switch (it.number) {
        case KV_KEY:
            if (ret->key_item.n != 0)
                return false;
            ret->key = it.bytes;
            ret->key_item = item;
            break;
        case KV_CREATE:
            ret->create = (int64_t)it.varint;
            break;
        case KV_MOD:
            ret->mod = (int64_t)it.varint;
            break;
        case KV_VERSION:
            ret->version = (int64_t)it.varint;
            break;
        case KV_VALUE:
            if (ret->value_item.n != 0)
                return false;
            ret->value = it.bytes;
            ret->value_item = item;
            break;
        case KV_LEASE:
            if (ret->lease_item.n != 0)
                return false;
            ret->lease = (int64_t)it.varint;
            ret->lease_item = item;
            break;
        default:
            break;
        }
    }
    return ret->key.n != 0;
}

bool view_kv_strip(const struct key_view *v, struct span path, struct view_kv *kv)
{
    struct span got, key;
    if (!key_view_split(v, kv->key, &got, &key) || !span_eq(got, path))
        return false;
    kv->key = key;
    return true;
}

static uint8_t *put(uint8_t *to, const uint8_t *from, const uint8_t *end)
{
    size_t n = (size_t)(end - from);
    memcpy(to, from, n);
    return to + n;
}

/* The fields of the message but those that change, in their order. */
static uint8_t *put_rest(uint8_t *to, const struct view_kv *kv, bool leaves_lease, bool keys_only)
{
    const struct span gone[] = {kv->key_item, keys_only ? kv->value_item : SPAN_NONE,
                                leaves_lease ? kv->lease_item : SPAN_NONE};
    const uint8_t *from = kv->all.p, *end = span_end(kv->all);
    for (;;) {
        const struct span *next = NULL;
        for (size_t i = 0; i < ARRAY_LEN(gone); i++)
            if (gone[i].n != 0 && gone[i].p >= from && (next == NULL || gone[i].p < next->p))
                next = &gone[i];
        if (next == NULL)
            return put(to, from, end);
        to = put(to, from, next->p);
        from = next->p + next->n;
    }
}

/* What the application is shown of the lease; 0: nothing. */
static int64_t shown_lease(struct etcd_ns *ns, const struct view_kv *kv)
{
    int64_t id;
    if (kv->lease == 0)
        return 0;
    if (lease_tag_strip(ns->tag, kv->lease, &id))
        return id;
    if (kv->number != FAMILY_OWN)
        return kv->lease;
    count(ns->counters, COUNTER_FOREIGN_LEASE, 1);
    return 0;
}

enum err view_kv_write(struct etcd_ns *ns, const struct view_kv *kv, bool keys_only, uint32_t field,
                       struct buf *out)
{
    enum { HEAD = 2 * PB_VARINT_BYTES_MAX };
    int64_t lease = shown_lease(ns, kv);
    bool changes = lease != kv->lease;
    size_t key_n = 1 + pb_varint_size(kv->key.n) + kv->key.n;
    size_t n = kv->all.n - kv->key_item.n + key_n;
    if (keys_only)
        n -= kv->value_item.n;
    if (changes)
        n = n - kv->lease_item.n + (lease == 0 ? 0 : 1 + pb_varint_size((uint64_t)lease));
    enum err e = buf_reserve(out, n + HEAD);
    if (e != ERR_OK)
        return e;
    uint8_t *to = out->data + out->tail;
    to += pb_varint_write(to, (uint64_t)field << 3 | PB_WIRE_BYTES);
    to += pb_varint_write(to, n);
    *to++ = KV_KEY << 3 | PB_WIRE_BYTES;
    to += pb_varint_write(to, kv->key.n);
    to = put(to, kv->key.p, span_end(kv->key));
    to = put_rest(to, kv, changes, keys_only);
    if (changes && lease != 0) {
        *to++ = KV_LEASE << 3 | PB_WIRE_VARINT;
        to += pb_varint_write(to, (uint64_t)lease);
    }
    out->tail = (size_t)(to - out->data);
    return ERR_OK;
}
