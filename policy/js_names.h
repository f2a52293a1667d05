/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_names - the names of JetStream's streams, and with them of buckets (design.md 5.5):
 *
 *   map(N) = { enc(segment) "~" } "~" N        root: ~N      a/b: a~b~~N
 *
 * Two namespaces never share a stored name: enc() writes no "~", so the first "~~", or the leading
 * "~" of the root, says where the path ends, whatever N holds.
 */
#ifndef POLICY_JS_NAMES_H
#define POLICY_JS_NAMES_H

#include "base/buf.h"
#include "policy/ns_enc.h"

/* JS_NAME_BYTES_MAX: what the server takes, stored (JSMaxNameLen). */
enum { JS_NAME_BYTES_MAX = 255, JS_NAME_PREFIX_BYTES_MAX = NS_ENC_PATH_BYTES_MAX + 1 };

struct js_names {
    uint16_t n;
    char text[JS_NAME_PREFIX_BYTES_MAX]; /* "a~b~~" */
};

void js_names_init(struct js_names *m, const struct ns_path *path);

static inline struct span js_names_prefix(const struct js_names *m)
{
    return (struct span){(const uint8_t *)m->text, m->n};
}

/* Bytes that a logical name may have; 0: the namespace's own path leaves no room. */
static inline size_t js_names_room(const struct js_names *m)
{
    return m->n >= JS_NAME_BYTES_MAX ? 0 : (size_t)JS_NAME_BYTES_MAX - m->n;
}

/* Appends map(name). ERR_LIMIT: longer than the server takes. ERR_NOMEM. The name's own form is the
 * server's to judge; an empty one stays one that no stream can have. */
enum err js_names_map(const struct js_names *m, struct span name, struct buf *out) ATTR_MUST_USE;
/* True, and N as a part of stored, if stored is map(N) of this namespace for some N. */
bool js_names_strip(const struct js_names *m, struct span stored, struct span *ret_name);
/* The same for a descendant's; its prefix is what stands before N. Verified segment by segment. */
bool js_names_strip_below(const struct js_names *m, struct span stored, struct span *ret_name);
/* Whose prefix is it? False: nobody's, as js_names_init would write it. */
bool js_names_owner(struct span prefix, struct ns_path *ret_path);

/*
 * What a namespace n calls C among the consumers of a descendant's stream (design.md 5.5):
 *
 *   "~~" map(C)        a/b: ~~a~b~~C        root: ~~~C
 *
 * Inside its own streams nobody can name a consumer so: JS_READER is refused there, and hidden.
 */
#define JS_READER SPAN_LIT("~~")
enum err js_names_map_consumer(const struct js_names *reader, struct span name,
                               struct buf *out) ATTR_MUST_USE;
bool js_names_strip_consumer(const struct js_names *reader, struct span stored,
                             struct span *ret_name);

#endif
