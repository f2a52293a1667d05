/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dynamo - what the injector knows of NVIDIA Dynamo: which pods are frontends, what DYN_NAMESPACE
 * may be (design.md 2.7), and which of a pod's traffic goes past etcd and NATS (design.md 7.3).
 */
#ifndef INJECT_DYNAMO_H
#define INJECT_DYNAMO_H

#include "inject/options.h"

enum { DYNAMO_NAME_BYTES = NS_PATH_BYTES_MAX + 8 };

/* Label nvidia.com/dynamo-component-type is frontend. */
bool dynamo_is_frontend(const struct pod *p);
/* ... is one that needs the view of what is below: frontend, default, epp (design.md 2.5). */
bool dynamo_needs_subtree(const struct pod *p);
/* A name that Dynamo can use: [a-z0-9_-]+ */
bool dynamo_name_is_usable(const char *name);
/* The path as such a name. */
const char *dynamo_name(const struct ns_path *path, char text[DYNAMO_NAME_BYTES]);
/* "etcd", "kv_store"; NULL: nothing is switched. */
const char *dynamo_discovery_word(enum inject_discovery discovery);
/* Does the pod, by its label, use Kubernetes discovery where nothing else is said? */
bool dynamo_says_kubernetes(const struct pod *p);
/* Warn of what is not isolated; call it before anything is edited. */
void dynamo_warn(const struct pod *p, const struct options *options, struct outcome *o);

#endif
