/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conflicts - what in a pod the sidecar cannot live with, and what would let an application go
 * around it (design.md 9).
 *
 *   always denied           hostNetwork, taken names of containers and volumes, Windows, the
 *                           sidecar's uid in tier redirect, a Job with a classic sidecar
 *   denied, or with         a port that the sidecar needs; hostAliases for a store's name
 *   conflicts=warn warned
 *   warned, denied with     shareProcessNamespace, hostPID, privileged, added capabilities, the
 *   enforce or              sidecar's uid, its credentials mounted elsewhere; with enforce also an
 *   conflicts=deny          application that may change its uid, or whose image chooses it; DNS of
 *                           the pod's own
 */
#ifndef INJECT_CONFLICTS_H
#define INJECT_CONFLICTS_H

#include "inject/options.h"

/* False: denied. */
bool conflicts_check(const struct inject_config *c, const struct options *options,
                     const struct pod *p, struct outcome *o);

#endif
