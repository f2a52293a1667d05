/* SPDX-License-Identifier: Apache-2.0 */
/*
 * port - a port on loopback for a server that cannot be asked to choose one, and that may be ended
 * and started again on it.
 *
 * It is bound, but nobody listens: who connects is refused, and nobody who asks for any port gets
 * it, also not as the near end of a connection. Servers that say SO_REUSEADDR, as Go's do, can
 * listen on it. It is held to the end of the process.
 */
#ifndef TESTS_FAULT_PORT_H
#define TESTS_FAULT_PORT_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "support/support.h"

static inline unsigned held_port(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof sa;
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    return ntohs(sa.sin_port);
}

#endif
