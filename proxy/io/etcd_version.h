/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_version - which version upstream's etcd has, for /version on the client port.
 *
 * Asked with one Maintenance.Status on the unary lane, each time that its connection comes back: a
 * store may be upgraded meanwhile. Nobody waits for it, and a refusal is no error: the version is
 * then the last that was learnt, or none.
 */
#ifndef IO_ETCD_VERSION_H
#define IO_ETCD_VERSION_H

#include "io/etcd_auth.h"

enum { ETCD_VERSION_BYTES = 32 }; /* "3.6.0-rc.1+git" and its NUL */

struct etcd_version {
    struct etcd_link *link; /* shares: the unary lane */
    struct etcd_auth *auth; /* shares */

    char text[ETCD_VERSION_BYTES]; /* as etcd says it; "" = not known yet */
    struct etcd_ask ask;
};

/* Set link and auth first; the rest zeroed. Asks, unless it is under way or nothing can be sent. */
void etcd_version_ask(struct etcd_version *v);
void etcd_version_deinit(struct etcd_version *v);
/* The version of the whole cluster, which is "major.minor.0" of a member's; "" = not known. */
void etcd_version_of_cluster(const struct etcd_version *v, char ret[ETCD_VERSION_BYTES]);

#endif
