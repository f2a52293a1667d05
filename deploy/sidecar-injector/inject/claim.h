/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim - which namespace a pod says it belongs to, and whether it may (design.md 7.2).
 *
 *   meant for bulkhead: annotation bulkhead.dev/namespace, variable DYNAMO_NAMESPACE
 *   else Dynamo's own:  label nvidia.com/dynamo-namespace, variable DYN_NAMESPACE; "dynamo" is none
 *   else                the root
 *
 * Two of one kind that disagree, in any container, are denied. So is a variable that cannot be read
 * here (a ConfigMap) where nothing of its kind or of a stronger one says the namespace.
 *
 * Patterns of the policy table: segments as in a namespace, "*" at a segment's end,
 * {kubernetes-namespace} for the pod's. A pattern grants the namespaces it names and all below.
 * "default" grants the root alone, "*" everything.
 */
#ifndef INJECT_CLAIM_H
#define INJECT_CLAIM_H

#include "inject/pod.h"

struct inject_config;
struct inject_views;

bool claim_pattern_is_valid(const char *pattern);
bool claim_pattern_matches(const char *pattern, struct span kubernetes_namespace,
                           const struct ns_path *path);

/* *ret_path = the pod's namespace. False: denied. */
bool claim_resolve(const struct inject_config *c, const struct pod *p, struct ns_path *ret_path,
                   struct outcome *o);
/* May the pod's Kubernetes namespace claim path? *ret_may_see: and see what is below. False:
 * denied. Without a policy everything is allowed. */
bool claim_check(const struct inject_config *c, const struct pod *p, const struct ns_path *path,
                 struct inject_views *ret_may_see, struct outcome *o);

#endif
