/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_plane - the etcd half of the sidecar: listener, HTTP/2 sessions, upstream lanes, registry.
 *
 * Listening never waits for the stores. Calls that arrive before the upstream is usable and the
 * registry settled wait, within their deadline.
 */
#ifndef IO_ETCD_PLANE_H
#define IO_ETCD_PLANE_H

#include "base/addr.h"
#include "base/buf.h"
#include "etcd/etcd_rules.h"
#include "io/loop.h"
#include "io/tls_context.h"
#include "policy/ns_path.h"

struct etcd_plane;
struct registry_gc;

struct etcd_plane_options {
    const struct ns_path *ns; /* borrowed for the plane's life, like everything here */
    struct span key_root;     /* R */
    struct tls_names tls;
    struct etcd_rules rules;
    bool is_subtree;              /* view: descendants are seen too (design.md 4.5) */
    const struct span *view_keys; /* the prefixes where they are */
    unsigned view_key_prefixes;
    /* A plane that listens nowhere, and runs this instead of registering; on_gc when it has ended.
     */
    struct registry_gc *gc;
    void (*on_gc)(void *gc_arg);
    void *gc_arg;
    uint64_t patterns;           /* policy/pattern_hash of the NATS plane's; 0: it is off */
    const char *user, *password; /* who we are to etcd; NULL or "": nobody */
    const struct addr *upstream; /* tried in turn */
    unsigned upstreams;
    const struct addr *listen;
    unsigned listens;
};

/* ERR_CONFIG: *ret_error says what and how to mend it; ERR_NOMEM. */
enum err etcd_plane_open(struct loop *l, const struct etcd_plane_options *options,
                         struct etcd_plane **ret_plane, struct buf *ret_error) ATTR_MUST_USE;
/* As if the connection that is pending had come to the plane's own listener. */
void etcd_plane_accept(struct etcd_plane *p, uv_stream_t *pending);
struct addr etcd_plane_addr(const struct etcd_plane *p);
/* The upstream answers and the registry is settled. *ret_why: what is missing (static text). */
bool etcd_plane_is_ready(const struct etcd_plane *p, const char **ret_why);
/* Other upstreams, another user: from options, which are borrowed as at the start; nothing else of
 * them counts. ERR_CONFIG: *ret_error says what; nothing has changed. ERR_NOMEM likewise. */
enum err etcd_plane_reload(struct etcd_plane *p, const struct etcd_plane_options *options,
                           struct buf *ret_error) ATTR_MUST_USE;
/* Stop accepting, GOAWAY, let calls finish but end streams that never do; is_idle once none is
 * left.
 */
void etcd_plane_drain(struct etcd_plane *p);
bool etcd_plane_is_idle(const struct etcd_plane *p);
/* Appended, a line each, at most LIMIT_PAGE_LINES: connections of both sides; watches. No value and
 * no secret is in it. ERR_NOMEM. */
enum err etcd_plane_list_connections(const struct etcd_plane *p, struct buf *out) ATTR_MUST_USE;
enum err etcd_plane_list_watches(const struct etcd_plane *p, struct buf *out) ATTR_MUST_USE;
/* End everything now; memory is released by the loop. Nulls *p. */
void etcd_plane_close(struct etcd_plane **p);

#endif
