/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_kv - one KeyValue of a namespace in view, taken apart so that it can be compared and written
 * without its prefix.
 */
#ifndef ETCD_VIEW_KV_H
#define ETCD_VIEW_KV_H

#include "base/buf.h"
#include "etcd/etcd_call.h"
#include "etcd/etcd_family.h"

struct view_kv {
    uint32_t number;                  /* whose */
    struct span all;                  /* the message */
    struct span key;                  /* without its prefix */
    struct span key_item, lease_item; /* the fields within all, tags included */
    struct span value, value_item;
    int64_t create, mod, version, lease; /* lease as stored, 0 = none */
};

/* False: it does not parse, has no key, or a field twice that may stand once. key is the stored
 * one. number is not written. */
bool view_kv_read(struct span message, struct view_kv *ret);
/* Make key the logical one. False: it does not lie in the slice of this path. */
bool view_kv_strip(const struct key_view *v, struct span path, struct view_kv *kv);
/* Append it as field `field`: own leases as the application knows them, those of descendants as
 * they are stored (design.md 4.5). A foreign lease on an own key is left out and counted. */
enum err view_kv_write(struct etcd_ns *ns, const struct view_kv *kv, bool keys_only, uint32_t field,
                       struct buf *out) ATTR_MUST_USE;

#endif
