/* SPDX-License-Identifier: Apache-2.0 */
/* etcd_rules - what the configuration decides about calls (design.md 4.3). Zeroed: the defaults. */
#ifndef ETCD_ETCD_RULES_H
#define ETCD_ETCD_RULES_H

#include <stdbool.h>

struct etcd_rules {
    enum etcd_compact { ETCD_COMPACT_DENY, ETCD_COMPACT_IGNORE, ETCD_COMPACT_FORWARD } compact;
    bool mask_status; /* sizes, raft indexes and alarms of the shared cluster are not shown */
    bool is_trusted;  /* what is denied, or answered here, is forwarded instead */
    bool
        client_credentials; /* Authenticate and tokens are the application's own, and go upstream */
    /* AUTO: where the sidecar has a user of its own. */
    enum etcd_markers { ETCD_MARKERS_AUTO, ETCD_MARKERS_ON, ETCD_MARKERS_OFF } markers;
};

#endif
