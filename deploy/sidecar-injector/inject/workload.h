/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workload - files of manifests: every pod and every template of pods in them gets the sidecar.
 *
 * Pod, Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, Job, CronJob,
 * PodTemplate, and Lists of them. Other kinds stay as they are. Naming a file is consent: only the
 * label bulkhead.dev/inject: "false" keeps a pod out.
 */
#ifndef INJECT_WORKLOAD_H
#define INJECT_WORKLOAD_H

#include "inject/inject_config.h"

struct workload_report {
    unsigned pods, injected, unchanged, skipped, denied;
    struct buf messages; /* owned: lines for people: warnings, denials */
};

/* Append text with its pods injected to out. kubernetes_namespace: of documents that do not say.
 * ERR_SYNTAX: ret_report->messages says what; also where a pod was denied. ERR_NOMEM. */
enum err workload_inject(const struct inject_config *c, struct span text,
                         struct span kubernetes_namespace, struct buf *out,
                         struct workload_report *ret_report) ATTR_MUST_USE;
void workload_report_deinit(struct workload_report *r);

#endif
