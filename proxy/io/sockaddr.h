/* SPDX-License-Identifier: Apache-2.0 */
/* sockaddr - the kernel's addresses and ours. */
#ifndef IO_SOCKADDR_H
#define IO_SOCKADDR_H

#include <sys/socket.h>

#include "base/addr.h"

/* IPv4 and IPv6. False for any other family. */
bool sockaddr_to_addr(const struct sockaddr *sa, struct addr *ret_addr);
/* False if a->host is no IPv4 or IPv6 literal. */
bool sockaddr_from_literal(const struct addr *a, struct sockaddr_storage *ret_sa);

#endif
