/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options - whether a pod wants the sidecar, and what it says about it: its label and annotations,
 * on top of the configuration (design.md 7.1; docs/injection.md lists them).
 *
 * A value that is none, or a name under bulkhead.dev/ that there is not, denies the pod: a typing
 * error in "namespace" would otherwise put it into the root. A pod can ask for more than the
 * configuration (a higher tier), not for less where `enforce` is on.
 */
#ifndef INJECT_OPTIONS_H
#define INJECT_OPTIONS_H

#include "inject/inject_config.h"
#include "inject/pod.h"

enum options_view { OPTIONS_VIEW_UNSAID, OPTIONS_VIEW_OWN, OPTIONS_VIEW_SUBTREE };

struct options {
    enum inject_tier tier;
    enum inject_discovery discovery;
    enum options_view etcd_view, nats_view; /* what the plane's annotation says, else `view` */
    bool native, native_is_said, keep_dyn_namespace, enforce;
    bool is_ours; /* the pod carries our status: it was here before */
    struct span log_level, cpu_request, memory_request, cpu_limit, memory_limit;
};

/* *ret_wanted = false: leave the pod alone, o->skipped says why. False: denied. */
bool options_wanted(const struct inject_config *c, const struct pod *p, bool *ret_wanted,
                    struct outcome *o);
bool options_read(const struct inject_config *c, const struct pod *p, struct options *ret_options,
                  struct outcome *o);

#endif
