/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener - accept connections on one or more addresses.
 *
 * Several addresses share one accept function. With port 0 the first one bound decides the port and
 * the others of the list that also said 0 take the same if they can. "[::1]" that cannot be bound
 * because the machine has no IPv6 is left out with a log line, if another address was bound. A unix
 * socket that nobody listens on any more is replaced; one that somebody listens on is not.
 *
 * Over l->max_connections a connection is accepted and closed at once, counted and logged.
 */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"

enum { LISTENER_ADDRS_MAX = 16 };

struct listener;
/* A connection is pending on server: tcp_accept() it now, or listener_refuse() it. Whoever accepts
 * counts it in loop->connections until it is closed, unless is_unlimited. */
typedef void (*listener_accept_fn)(void *arg, uv_stream_t *server);

struct listener_options {
    const struct addr *addrs; /* borrowed for the call */
    unsigned n;               /* 1 .. LISTENER_ADDRS_MAX */
    const char *option;       /* static; named in errors: "--etcd-listen" */
    bool is_unlimited;        /* connections are not those of applications (health) */
    listener_accept_fn accept;
    void *arg;
};

/* Bind and listen on all of addrs. ERR_CONFIG: *ret_error says which address, why, and what would
 * mend it; ret_error is appended to. ERR_NOMEM. */
enum err listener_open(struct loop *l, const struct listener_options *options,
                       struct listener **ret_listener, struct buf *ret_error) ATTR_MUST_USE;
/* The socket of the connection that is pending on server, for questions to the kernel. */
int listener_pending_fd(const uv_stream_t *server);
/* Accept and close the connection that is pending on server; needs no memory. */
void listener_refuse(uv_stream_t *server);
/* The first bound address with its real port. */
struct addr listener_addr(const struct listener *l);
/* Stop accepting; memory is released by the loop. Nulls *l; nothing happens to NULL. */
void listener_close(struct listener **l);

#endif
