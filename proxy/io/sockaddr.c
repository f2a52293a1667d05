/* SPDX-License-Identifier: Apache-2.0 */
#include "io/sockaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <uv.h>

bool sockaddr_to_addr(const struct sockaddr *sa, struct addr *ret_addr)
{
    struct addr a = {.kind = ADDR_TCP};
    if (sa->sa_family == AF_INET)
        a.port = ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port);
    else if (sa->sa_family == AF_INET6)
        a.port = ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
    else
        return false;
    if (uv_ip_name(sa, a.host, sizeof a.host) != 0)
        return false;
    *ret_addr = a;
    return true;
}

bool sockaddr_from_literal(const struct addr *a, struct sockaddr_storage *ret_sa)
{
    struct sockaddr_storage sa = {0};
    if (uv_ip4_addr(a->host, a->port, (struct sockaddr_in *)&sa) != 0 &&
        uv_ip6_addr(a->host, a->port, (struct sockaddr_in6 *)&sa) != 0)
        return false;
    *ret_sa = sa;
    return true;
}
