/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_plane - the NATS half of the sidecar: listener, one upstream connection per client.
 *
 * Listening never waits for the server. An application connection whose upstream cannot be dialled
 * is closed at once; its client reconnects, and the next server is tried.
 */
#ifndef IO_NATS_PLANE_H
#define IO_NATS_PLANE_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"
#include "io/nats_auth.h"
#include "io/tls_context.h"
#include "policy/ns_path.h"

struct nats_plane;

struct nats_plane_options {
    const struct ns_path *ns;    /* borrowed for the plane's life, like everything here */
    struct span subject_root;    /* B */
    const struct span *requests; /* view.requests */
    unsigned request_patterns;
    bool is_subtree;           /* the view; only then are the next two looked at */
    const struct span *events; /* view.events */
    unsigned event_patterns;
    const struct span *streams; /* view.streams */
    unsigned stream_patterns;
    const char *user, *password, *token; /* for upstream; "" = what the upstream's URL says */
    struct nats_auth_files files;        /* instead of them */
    struct tls_names tls;
    bool tls_first;        /* TLS stands before the server's INFO, as its handshake_first asks */
    unsigned control_line; /* the servers' max_control_line; 0: their default */
    const struct addr *upstream; /* tried in turn */
    unsigned upstreams;
    const struct addr *listen;
    unsigned listens;
};

/* ERR_CONFIG: *ret_error says what and how to mend it; ERR_NOMEM. */
enum err nats_plane_open(struct loop *l, const struct nats_plane_options *options,
                         struct nats_plane **ret_plane, struct buf *ret_error) ATTR_MUST_USE;
/* As if the connection that is pending had come to the plane's own listener. */
void nats_plane_accept(struct nats_plane *p, uv_stream_t *pending);
struct addr nats_plane_addr(const struct nats_plane *p);
/* The last dial succeeded, or a probe of the upstream saw its INFO. *ret_why: what is missing
 * (static text). */
bool nats_plane_is_ready(const struct nats_plane *p, const char **ret_why);
/* Other upstreams, another user: from options, which are borrowed as at the start; nothing else of
 * them counts. For connections that are made from now on. can_reload first: ERR_CONFIG, ERR_NOMEM.
 */
enum err nats_plane_can_reload(const struct nats_plane_options *options,
                               struct buf *ret_error) ATTR_MUST_USE;
void nats_plane_reload(struct nats_plane *p, const struct nats_plane_options *options);
/* Stop accepting; is_idle once no connection is left. */
void nats_plane_drain(struct nats_plane *p);
bool nats_plane_is_idle(const struct nats_plane *p);
/* Its connections, a line each, at most LIMIT_PAGE_LINES. ERR_NOMEM. */
enum err nats_plane_list_connections(const struct nats_plane *p, struct buf *out) ATTR_MUST_USE;
/* End everything now; memory is released by the loop. Nulls *p. */
void nats_plane_close(struct nats_plane **p);

#endif
