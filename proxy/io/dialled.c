/* SPDX-License-Identifier: Apache-2.0 */
#include "io/dialled.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 256 }; /* by local port: a full sidecar has some tens of entries in each */

struct end {
    uint16_t port; /* network byte order */
    struct in6_addr host;
};

struct dialled {
    struct dialled *next, **link;
    struct end from, to;
};

struct dialled_table {
    struct dialled *bucket[BUCKETS];
};

/* IPv4 as ::ffff:a.b.c.d, so that there is one form to compare. */
static struct end end_of(const struct sockaddr *sa)
{
    struct end e = {0};
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const void *)sa;
        e.port = v6->sin6_port;
        e.host = v6->sin6_addr;
    } else if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)sa;
        e.port = v4->sin_port;
        e.host.s6_addr[10] = e.host.s6_addr[11] = 0xff;
        memcpy(e.host.s6_addr + 12, &v4->sin_addr, 4);
    }
    return e;
}

static bool is_same(const struct end *a, const struct end *b)
{
    return a->port == b->port && memcmp(&a->host, &b->host, sizeof a->host) == 0;
}

static unsigned bucket_of(const struct end *from)
{
    return (from->port >> 8 ^ from->port) % BUCKETS;
}

enum err dialled_table_new(struct dialled_table **ret_table)
{
    struct dialled_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ERR_NOMEM;
    *ret_table = t;
    return ERR_OK;
}

void dialled_table_free(struct dialled_table **table)
{
    struct dialled_table *t = *table;
    *table = NULL;
    for (unsigned i = 0; t != NULL && i < BUCKETS; i++)
        while (t->bucket[i] != NULL) {
            struct dialled *d = t->bucket[i];
            t->bucket[i] = d->next;
            d->link = NULL;
        }
    free(t);
}

void dialled_add(struct dialled_table *t, int fd, const struct sockaddr *to,
                 struct dialled **ret_entry)
{
    struct sockaddr_storage from = {0};
    socklen_t n = sizeof from;
    struct dialled *d = t == NULL ? NULL : calloc(1, sizeof *d);
    if (d == NULL)
        return;
    if (getsockname(fd, (struct sockaddr *)&from, &n) != 0) {
        free(d); /* UNTESTED: the socket is connecting */
        return;
    }
    d->from = end_of((const struct sockaddr *)&from);
    d->to = end_of(to);
    d->link = &t->bucket[bucket_of(&d->from)];
    d->next = *d->link;
    if (d->next != NULL)
        d->next->link = &d->next;
    *d->link = d;
    *ret_entry = d;
}

void dialled_remove(struct dialled **entry)
{
    struct dialled *d = *entry;
    *entry = NULL;
    if (d != NULL && d->link != NULL) {
        *d->link = d->next;
        if (d->next != NULL)
            d->next->link = d->link;
    }
    free(d);
}

bool dialled_has(const struct dialled_table *t, const struct sockaddr_storage *from,
                 const struct sockaddr_storage *to)
{
    struct end a = end_of((const struct sockaddr *)from), b = end_of((const struct sockaddr *)to);
    for (const struct dialled *d = t->bucket[bucket_of(&a)]; d != NULL; d = d->next)
        if (is_same(&d->from, &a) && is_same(&d->to, &b))
            return true;
    return false;
}
