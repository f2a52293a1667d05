/* SPDX-License-Identifier: Apache-2.0 */
#include "io/original_dst.h"

#include <netinet/in.h>
#include <string.h>

/* linux/netfilter_ipv4.h, linux/netfilter_ipv6/ip6_tables.h: one number for both. */
enum { ORIGINAL_DST = 80 };

static bool is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *x = (const void *)a, *y = (const void *)b;
        return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *x = (const void *)a, *y = (const void *)b;
    return x->sin6_port == y->sin6_port &&
           memcmp(&x->sin6_addr, &y->sin6_addr, sizeof x->sin6_addr) == 0;
}

bool original_dst(int fd, struct sockaddr_storage *ret_to)
{
    struct sockaddr_storage local = {0}, to = {0};
    socklen_t n = sizeof local;
    if (getsockname(fd, (struct sockaddr *)&local, &n) != 0)
        return false;
    bool is_v4 = local.ss_family == AF_INET;
    if (!is_v4 && local.ss_family != AF_INET6)
        return false;
    n = sizeof to;
    if (getsockopt(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6, ORIGINAL_DST, &to, &n) != 0)
        return false;
    if (is_same(&to, &local))
        return false;
    *ret_to = to;
    return true;
}
