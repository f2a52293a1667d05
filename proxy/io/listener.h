/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener - accept connections on one or more addresses.
 *
 * Several addresses share one accept function. With port 0 the first one bound decides the port and
 * the others of the list that also said 0 take the same if they can. "[::1]" that cannot be bound
 * because the machine has no IPv6 is left out with a log line, if another address was bound.
 */
#ifndef IO_LISTENER_H
#define IO_LISTENER_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"

enum { LISTENER_ADDRS_MAX = 16 };

struct listener;
/* A connection is pending on server: tcp_accept() it. */
typedef void (*listener_accept_fn)(void *arg, uv_stream_t *server);

/* Bind and listen on all of addrs. ERR_CONFIG: *ret_error says which address and why ("… is in use;
 * choose another with --etcd-listen"); ret_error is appended to. */
enum err listener_open(struct loop *l, const struct addr *addrs, unsigned n,
                       listener_accept_fn accept, void *arg, struct listener **ret_listener,
                       struct buf *ret_error) ATTR_MUST_USE;
/* The first bound address with its real port. */
struct addr listener_addr(const struct listener *l);
/* Stop accepting; memory is released by the loop. Nulls *l. */
void listener_close(struct listener **l);

#endif
