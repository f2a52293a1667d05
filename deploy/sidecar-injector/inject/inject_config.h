/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject_config - what the operator of the cluster decided: one JSON file (docs/injection.md), read
 * with cJSON. Unknown keys are errors that name the nearest known one; nothing has a meaning that
 * is not checked here.
 *
 * The same file is read by `serve`, `inject` and `check`.
 */
#ifndef INJECT_CONFIG_H
#define INJECT_CONFIG_H

#include "base/buf.h"
#include "policy/ns_path.h"

enum {
    INJECT_LIST_MAX = 64,     /* entries of any list */
    INJECT_ERROR_BYTES = 512, /* of the text for people */
    INJECT_FILE_BYTES = 256 * 1024
};

/* design.md 6: each adds to the ones before it. */
enum inject_tier { TIER_LOOPBACK, TIER_ENVIRONMENT, TIER_HOSTS, TIER_REDIRECT, TIER_COUNT };
enum inject_conflicts { CONFLICTS_AUTO, CONFLICTS_DENY, CONFLICTS_WARN };
enum inject_discovery { DISCOVERY_KEEP, DISCOVERY_ETCD, DISCOVERY_KV_STORE };

struct inject_list {
    unsigned n;
    const char *item[INJECT_LIST_MAX]; /* borrow the document */
};

/* A variable that is pointed at the sidecar; {etcd} and {nats} in the value stand for host:port. */
struct inject_variable {
    const char *name, *value;
    bool is_always; /* also where a container does not have it */
};

/* In which planes what is below a namespace may be, or is, seen (design.md 2.5). */
struct inject_views {
    bool etcd, nats;
};

/* One line of the policy table (design.md 7.2). */
struct inject_rule {
    struct inject_list kubernetes_namespaces; /* names, or with a * at the end */
    struct inject_list claims;                /* patterns, claim.h */
    struct inject_views may_see;
};

struct inject_config {
    const char *image, *image_pull_policy, *binary;
    struct inject_list image_pull_secrets, etcd_upstream, nats_upstream, host_names, sidecar_args,
        redirect_args, remove_environment, etcd_ports, nats_ports;
    unsigned etcd_port, nats_port, health_port, intercept_port;
    unsigned uid, gid, redirect_uid; /* uid 0: left to the platform (OpenShift) */
    bool native, enforce, automatic, keep_dyn_namespace;
    enum inject_tier tier;
    enum inject_conflicts conflicts;
    enum inject_discovery discovery;
    char separator; /* of claims */
    struct inject_variable variable[INJECT_LIST_MAX];
    unsigned variables;
    bool has_policy;
    struct inject_rule rule[INJECT_LIST_MAX];
    unsigned rules;
    /* JSON texts, put into pods as they are. */
    const char *sidecar_env, *sidecar_mounts;
    struct inject_list sidecar_volumes, sidecar_volume_names;
    const char *cpu_request, *memory_request, *cpu_limit, *memory_limit;
    const char *sidecar_log_level, *sidecar_log_format;
    char hash[17];            /* of the file: in the status of pods */
    void *document;           /* owned: cJSON */
    struct inject_list owned; /* texts to be freed */
    char error[INJECT_ERROR_BYTES];
};

/* ERR_CONFIG with c->error, ERR_NOMEM. Call inject_config_deinit in any case. About 100 KiB. */
enum err inject_config_parse(struct inject_config *c, struct span json) ATTR_MUST_USE;
void inject_config_deinit(struct inject_config *c);

const char *inject_tier_name(enum inject_tier tier);
/* False if text names none. */
bool inject_tier_parse(struct span text, enum inject_tier *ret_tier);
/* 0.5, 500m, 64Mi, 1e3: a Kubernetes quantity above zero. */
bool inject_quantity_is_valid(struct span text);

#endif
