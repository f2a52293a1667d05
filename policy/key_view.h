/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_view - stored keys of a namespace and its descendants: intervals, and whose a key is.
 *
 *   subtree(p) = [ R d p "." , R d p "0" )      registry below p = [ R m/n p "/" , R m/n p "0" )
 *
 * A descendant is named by its *relative path* { "/" enc(segment) }, as it stands in a stored key
 * between p and the '.'; the empty one is p itself. Encoded segments hold no '.' and no '/', so the
 * first '.' behind p ends the path. Siblings ab, a-b, a0 of a lie outside (design.md 4.1).
 * Law L2: what is taken apart here lies in the subtree. Law L5: verified first, segment by segment.
 */
#ifndef POLICY_KEY_VIEW_H
#define POLICY_KEY_VIEW_H

#include "policy/key_map.h"

struct key_view {
    struct ns_path path;                        /* p */
    size_t data_n, registry_n;                  /* bytes of the two below */
    uint8_t data[KEY_PREFIX_BYTES_MAX];         /* R "d" p */
    uint8_t registry[KEY_PREFIX_BYTES_MAX + 2]; /* R "m/n" p */
};

/* ERR_LIMIT if root is too long. Borrows nothing afterwards. */
enum err key_view_init(struct key_view *v, struct span root,
                       const struct ns_path *path) ATTR_MUST_USE;

/* Take a stored key of the subtree apart, both parts borrowed. False: it lies outside, or there is
 * no '.'. The path's segments are not verified yet: key_view_path_is_valid(). */
static inline bool key_view_split(const struct key_view *v, struct span stored,
                                  struct span *ret_path, struct span *ret_key)
{
    if (stored.n <= v->data_n || memcmp(stored.p, v->data, v->data_n) != 0)
        return false;
    struct span rest = span_skip(stored, v->data_n);
    const uint8_t *dot = rest.p[0] == '.' ? rest.p : memchr(rest.p, '.', rest.n);
    if (dot == NULL || (dot != rest.p && rest.p[0] != '/'))
        return false;
    *ret_path = span_head(rest, (size_t)(dot - rest.p));
    *ret_key = span_skip(rest, ret_path->n + 1);
    return true;
}
/* The relative path of a registry key of a proper descendant; verified. */
bool key_view_registry_split(const struct key_view *v, struct span stored, struct span *ret_path);
/* Empty, or { "/" enc(segment) } that together with p is a legal namespace. *ret_segments: how
 * many (may be NULL). */
bool key_view_path_is_valid(const struct key_view *v, struct span path, unsigned *ret_segments);

/* The stored form of key and range end in the slice of the descendant `path`, appended. */
enum err key_view_key(const struct key_view *v, struct span path, struct span key,
                      struct buf *out) ATTR_MUST_USE;
/* The bounds of the whole subtree, and of the registry below p, appended. */
enum err key_view_first(const struct key_view *v, struct buf *out) ATTR_MUST_USE;
enum err key_view_end(const struct key_view *v, struct buf *out) ATTR_MUST_USE;
enum err key_view_registry_first(const struct key_view *v, struct buf *out) ATTR_MUST_USE;
enum err key_view_registry_end(const struct key_view *v, struct buf *out) ATTR_MUST_USE;

/* Lies the interval (end empty: the one key; "\0": open) wholly inside the keys that begin with
 * prefix? An open end never does, and neither does an empty prefix hold anything. */
bool key_interval_is_inside(struct span key, struct span end, struct span prefix);
/* Lies key in [from, end)? end empty: is it from itself; "\0" alone: to the end of the slice. */
static inline bool key_interval_has(struct span from, struct span end, struct span key)
{
    if (end.n == 0)
        return span_eq(key, from);
    return span_cmp(key, from) >= 0 && ((end.n == 1 && end.p[0] == 0) || span_cmp(key, end) < 0);
}

#endif
