/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_map - move etcd keys and range ends into, and out of, one namespace's slice.
 *
 * Layout (design.md 4.1): R "d" { "/" enc(segment) } "." key. Law 1 strip(map(k)) = k. Law 2 a
 * mapped range matches only keys of the slice. Law 3 order is kept.
 * Source: design.md 4.2; etcd rpc.proto RangeRequest.range_end.
 */
#ifndef POLICY_KEY_MAP_H
#define POLICY_KEY_MAP_H

#include "base/buf.h"
#include "policy/ns_enc.h"

enum {
    KEY_ROOT_BYTES_MAX = 64,
    KEY_PREFIX_BYTES_MAX = KEY_ROOT_BYTES_MAX + NS_ENC_PATH_BYTES_MAX + 8
};

struct key_map {
    size_t n;                             /* bytes of prefix */
    uint8_t prefix[KEY_PREFIX_BYTES_MAX]; /* P: R "d" {"/" enc(segment)} "." */
};

/* root: R, at most KEY_ROOT_BYTES_MAX bytes, default "bh/". Borrows nothing afterwards.
 * ERR_LIMIT if root is too long. */
enum err key_map_init(struct key_map *m, struct span root,
                      const struct ns_path *path) ATTR_MUST_USE;

/* Appends P key. key may be empty here: who calls decides what an empty key means. */
enum err key_map_key(const struct key_map *m, struct span key, struct buf *out) ATTR_MUST_USE;
/* Appends the mapped range end: "" -> nothing; "\0" -> next(P), the end of the slice; e -> P e. */
enum err key_map_end(const struct key_map *m, struct span end, struct buf *out) ATTR_MUST_USE;
/* True, and the logical key as a part of stored, if stored lies in the slice. */
bool key_map_strip(const struct key_map *m, struct span stored, struct span *ret_key);

/* The same for the namespace's lease markers, R "m/l" {"/" enc(segment)} "." hex16(lease): as if
 * the hexadecimal number were the key (design.md 4.1). */
enum err key_map_init_markers(struct key_map *m, struct span root,
                              const struct ns_path *path) ATTR_MUST_USE;

/* Registry keys (design.md 4.1), appended: R "m/n" {"/" enc} "."; R "m/t/" hex6(tag);
 * R "m/v"; R "m/view". The last lies in ["m/v", "m/w"), the interval of a role that may use the
 * version, so it needs no permission of its own. */
enum err key_map_registry_key(struct span root, const struct ns_path *path,
                              struct buf *out) ATTR_MUST_USE;
enum err key_map_tag_key(struct span root, uint32_t tag, struct buf *out) ATTR_MUST_USE;
enum err key_map_version_key(struct span root, struct buf *out) ATTR_MUST_USE;
enum err key_map_patterns_key(struct span root, struct buf *out) ATTR_MUST_USE;

#endif
