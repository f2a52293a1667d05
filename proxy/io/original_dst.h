/* SPDX-License-Identifier: Apache-2.0 */
/*
 * original_dst - where a redirected connection was meant to go (SO_ORIGINAL_DST).
 *
 * The kernel knows it by its table of connections. For a connection that was not redirected it
 * knows nothing, or says the address that was connected to: both are "not redirected" here.
 */
#ifndef IO_ORIGINAL_DST_H
#define IO_ORIGINAL_DST_H

#include <stdbool.h>
#include <sys/socket.h>

/* Of the accepted TCP socket fd. False: it was not redirected. *ret_to is IPv4 or IPv6, never an
 * IPv4 address in IPv6. */
bool original_dst(int fd, struct sockaddr_storage *ret_to);

#endif
