/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialled - the sidecar's own connections to upstream, so that it knows one when it is redirected
 * to itself.
 *
 * Where the rules do not exempt the user that the sidecar runs as, what it dials comes back on its
 * intercept listener, and each NATS connection would dial the next one until none is left. An
 * accepted connection is such a loop exactly if one of ours has its two ends: from the peer's
 * address, to the original destination.
 *
 * There is a table only where there is an intercept listener; else nothing is remembered.
 */
#ifndef IO_DIALLED_H
#define IO_DIALLED_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/err.h"

struct dialled;
struct dialled_table;

/* ERR_NOMEM. */
enum err dialled_table_new(struct dialled_table **ret_table) ATTR_MUST_USE;
/* Nulls *t; entries that are left forget it. */
void dialled_table_free(struct dialled_table **t);

/* The socket fd connects to `to`, or has. Nothing is remembered where t is NULL or memory is short:
 * then a loop is ended by the limit of connections. */
void dialled_add(struct dialled_table *t, int fd, const struct sockaddr *to,
                 struct dialled **ret_entry);
/* Nulls *entry; nothing happens to NULL. */
void dialled_remove(struct dialled **entry);

/* Is the connection from `from` to `to` one of ours? */
bool dialled_has(const struct dialled_table *t, const struct sockaddr_storage *from,
                 const struct sockaddr_storage *to);

#endif
