/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/conflicts.h"

#include <stdio.h>
#include <strings.h>

#include "base/addr.h"
#include "inject/sidecar_text.h"

struct check {
    const struct inject_config *c;
    const struct options *options;
    const struct pod *p;
    struct outcome *o;
    bool deny_bypass, deny_port;
};

/* what: below 60 bytes, so that the warning fits. */
static void find(struct check *k, bool deny, const char *what, const char *fix)
{
    if (deny)
        outcome_deny(k->o, REASON_CONFLICT, "pod %s: %s; %s", k->p->name, what, fix);
    else
        outcome_warn(k->o, "bulkhead: %.105s", what);
}

/* ---- names ---- */

static void check_names(struct check *k)
{
    static const char *const names[] = {SIDECAR_NAME, SIDECAR_REDIRECT_NAME};
    size_t at;
    for (size_t i = 0; i < ARRAY_LEN(names) && !k->options->is_ours; i++)
        if (container_find(k->p->containers, names[i], &at) != NULL ||
            container_find(k->p->init, names[i], &at) != NULL)
            outcome_deny(
                k->o, REASON_CONFLICT,
                "pod %s: a container is named %s, and it is not the injector's; rename it, or "
                "label the pod " POD_PREFIX "inject: \"false\"",
                k->p->name, names[i]);
    const struct json_node *volumes = json_get(k->p->spec.node, "volumes");
    for (unsigned i = 0; i <= k->c->sidecar_volume_names.n && !k->options->is_ours; i++) {
        const char *name = i == k->c->sidecar_volume_names.n ? SIDECAR_VOLUME_NAME
                                                             : k->c->sidecar_volume_names.item[i];
        if (container_find(volumes, name, &at) != NULL)
            outcome_deny(k->o, REASON_CONFLICT, "pod %s: a volume is named %.60s; rename it",
                         k->p->name, name);
    }
}

/* ---- the whole pod ---- */

static void check_pod(struct check *k)
{
    const struct json_node *spec = k->p->spec.node;
    if (json_true(json_get(spec, "hostNetwork")))
        find(k, true, "hostNetwork: the sidecar's ports would be the node's",
             "take it out, or label the pod " POD_PREFIX "inject: \"false\"");
    if (json_is(json_get_path(spec, "os.name"), "windows"))
        find(k, true, "os.name is windows and the sidecar runs on Linux",
             "label the pod " POD_PREFIX "inject: \"false\"");
    if (json_true(json_get(spec, "shareProcessNamespace")))
        find(k, k->deny_bypass, "shareProcessNamespace shows the sidecar's files to root",
             "take it out");
    if (json_true(json_get(spec, "hostPID")))
        find(k, k->deny_bypass, "hostPID shows the sidecar's files to root", "take it out");
    if (k->p->request->is_job && !k->options->native && !k->options->native_is_said)
        find(k, true, "a classic sidecar never ends and would keep the Job from ending",
             "annotate " POD_PREFIX
             "native: \"true\" (Kubernetes 1.29 or later), or \"false\" if you "
             "end it yourself");
}

/* ---- one container ---- */

static void check_ports(struct check *k, const struct json_node *container, const char *name)
{
    const struct inject_config *c = k->c;
    const struct json_node *ports = json_get(container, "ports");
    for (const struct json_node *m = ports == NULL ? NULL : ports->child; m != NULL; m = m->next) {
        uint64_t port;
        char what[160];
        if (!json_uint(json_get(m, "containerPort"), 65535, &port) ||
            json_is(json_get(m, "protocol"), "UDP"))
            continue;
        if ((port != c->etcd_port || c->etcd_upstream.n == 0) &&
            (port != c->nats_port || c->nats_upstream.n == 0) && port != c->health_port &&
            (port != c->intercept_port || k->options->tier != TIER_REDIRECT))
            continue;
        snprintf(what, sizeof what, "container %.40s has port %u, where the sidecar listens", name,
                 (unsigned)port);
        find(k, k->deny_port, what,
             "use another port; a pod that is a store itself is labelled " POD_PREFIX
             "inject: \"false\"");
    }
}

/* Of the container, else of the pod. */
static const struct json_node *security(const struct check *k, const struct json_node *container,
                                        const char *name)
{
    const struct json_node *own = json_get(json_get(container, "securityContext"), name);
    return own != NULL ? own : json_get(json_get(k->p->spec.node, "securityContext"), name);
}

static bool drops(const struct json_node *container, const char *capability)
{
    const struct json_node *drop = json_get_path(container, "securityContext.capabilities.drop");
    for (const struct json_node *d = drop == NULL ? NULL : drop->child; d != NULL; d = d->next)
        if (json_is(d, "ALL") || json_is(d, capability))
            return true;
    return false;
}

static void check_capabilities(struct check *k, const struct json_node *container, const char *name)
{
    static const char *const bad[] = {"ALL", "NET_ADMIN", "NET_RAW", "SYS_ADMIN", "SYS_PTRACE"};
    const struct json_node *add = json_get_path(container, "securityContext.capabilities.add");
    char what[160];
    for (const struct json_node *a = add == NULL ? NULL : add->child; a != NULL; a = a->next)
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            struct span text = json_string(a);
            if (span_has_prefix(text, SPAN_LIT("CAP_")))
                text = span_skip(text, 4);
            if (!span_eq(text, span_str(bad[i])))
                continue;
            snprintf(what, sizeof what, "container %.40s adds %s and can go around the sidecar",
                     name, bad[i]);
            find(k, k->deny_bypass, what, "take the capability out");
        }
}

#define ESCALATION "securityContext.allowPrivilegeEscalation"

static void check_user(struct check *k, const struct json_node *container, const char *name)
{
    uint64_t uid = 0;
    char what[160];
    bool said = json_uint(security(k, container, "runAsUser"), UINT32_MAX, &uid);
    if (said && k->c->uid != 0 && uid == k->c->uid) {
        snprintf(what, sizeof what, "container %.40s runs as uid %u, which is the sidecar's", name,
                 k->c->uid);
        find(k, k->deny_bypass || k->options->tier == TIER_REDIRECT, what, "use another runAsUser");
    }
    if (!said && k->options->enforce) {
        snprintf(what, sizeof what, "container %.40s has no runAsUser; its image chooses", name);
        find(k, k->deny_bypass, what,
             "set runAsUser, so that it cannot be the sidecar's uid, which goes around the rules");
    }
    bool may_be_root = said ? uid == 0 : !json_true(security(k, container, "runAsNonRoot"));
    if (k->options->enforce && may_be_root &&
        !(drops(container, "SETUID") && drops(container, "SETGID") &&
          drops(container, "NET_RAW"))) {
        snprintf(what, sizeof what, "container %.40s may be root and take the sidecar's uid", name);
        find(k, k->deny_bypass, what,
             "set runAsNonRoot, or drop the capabilities SETUID, SETGID and NET_RAW");
    }
    /* A file with the set-user-ID bit in the author's image needs no capability at all. */
    if (k->options->enforce && !json_false(json_get_path(container, ESCALATION))) {
        snprintf(what, sizeof what, "container %.40s may take the sidecar's uid by a set-uid file",
                 name);
        find(k, k->deny_bypass, what,
             "set allowPrivilegeEscalation: false, or the rules can be gone around");
    }
}

static void check_mounts(struct check *k, const struct json_node *container, const char *name)
{
    const struct json_node *mounts = json_get(container, "volumeMounts");
    char what[160];
    for (const struct json_node *m = mounts == NULL ? NULL : mounts->child; m != NULL; m = m->next)
        for (unsigned i = 0; i < k->c->sidecar_volume_names.n; i++) {
            if (!json_is(json_get(m, "name"), k->c->sidecar_volume_names.item[i]))
                continue;
            snprintf(what, sizeof what, "container %.40s mounts the sidecar's volume %.30s", name,
                     k->c->sidecar_volume_names.item[i]);
            find(k, k->deny_bypass, what, "take the mount out");
        }
}

static void check_container(struct check *k, const struct json_node *container)
{
    char name[OUTCOME_SHOWN_BYTES], what[160];
    struct span own = container_name(container);
    if (k->options->is_ours &&
        (span_eq(own, SPAN_LIT(SIDECAR_NAME)) || span_eq(own, SPAN_LIT(SIDECAR_REDIRECT_NAME))))
        return;
    outcome_show(own, name);
    if (json_true(json_get_path(container, "securityContext.privileged"))) {
        snprintf(what, sizeof what, "container %.40s is privileged and can go around the sidecar",
                 name);
        find(k, k->deny_bypass, what, "take privileged out");
    }
    check_ports(k, container, name);
    check_capabilities(k, container, name);
    check_user(k, container, name);
    check_mounts(k, container, name);
}

/* ---- host names ---- */

/* Does the sidecar dial this name? */
static bool is_store(const struct inject_list *upstreams, struct span name)
{
    for (unsigned i = 0; i < upstreams->n; i++) {
        struct addr a;
        const char *rule;
        if (addr_parse(span_str(upstreams->item[i]), 1, &a, &rule) == ERR_OK &&
            a.kind == ADDR_TCP && strlen(a.host) == name.n &&
            strncasecmp(a.host, (const char *)name.p, name.n) == 0)
            return true;
    }
    return false;
}

static bool is_host_name(const struct check *k, struct span name)
{
    for (unsigned i = 0; i < k->c->host_names.n && k->options->tier >= TIER_HOSTS; i++)
        if (span_eq(name, span_str(k->c->host_names.item[i])))
            return true;
    return false;
}

static void check_alias(struct check *k, const struct json_node *alias, struct span name)
{
    char what[160], shown[OUTCOME_SHOWN_BYTES];
    bool is_upstream = is_store(&k->c->etcd_upstream, name) || is_store(&k->c->nats_upstream, name);
    if (!is_upstream && (!is_host_name(k, name) || json_is(json_get(alias, "ip"), "127.0.0.1")))
        return;
    snprintf(what, sizeof what, "hostAliases gives %.60s another address",
             outcome_show(name, shown));
    find(k, k->deny_port, what,
         is_upstream ? "take it out: the sidecar would dial it, with its password" : "take it out");
}

/* Whether the host of an upstream begins with name. */
static bool begins_a_store(const struct inject_list *upstreams, struct span name)
{
    for (unsigned i = 0; i < upstreams->n; i++) {
        struct addr a;
        const char *rule;
        if (addr_parse(span_str(upstreams->item[i]), 1, &a, &rule) == ERR_OK &&
            a.kind == ADDR_TCP && strncasecmp(a.host, (const char *)name.p, name.n) == 0)
            return true;
    }
    return false;
}

/* The kubelet writes into the pod's /etc/hosts, beside the pod's own address, its host name (the
 * pod's name, where none is given) and HOSTNAME.SUBDOMAIN.NAMESPACE.svc.DOMAIN. The domain is the
 * cluster's own, so whatever begins with HOSTNAME.SUBDOMAIN. counts.
 * https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/ */
static void check_own_names(struct check *k)
{
    static const char *const own[] = {"hostname", "hostnameOverride"};
    enum { LABEL_MAX = 63 }; /* the kubelet cuts longer ones */
    char what[160], full[2 * LABEL_MAX + 3], shown[OUTCOME_SHOWN_BYTES];
    struct span name = json_string(json_get(k->p->metadata.node, "name"));
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        struct span said = json_string(json_get(k->p->spec.node, own[i]));
        name = said.n != 0 ? said : name;
    }
    struct span sub = json_string(json_get(k->p->spec.node, "subdomain"));
    if (name.n == 0 || sub.n > LABEL_MAX)
        return;
    name.n = name.n < LABEL_MAX ? name.n : LABEL_MAX;
    int n = snprintf(full, sizeof full, "%.*s.%.*s.", (int)name.n, (const char *)name.p, (int)sub.n,
                     sub.n == 0 ? "" : (const char *)sub.p);
    if (!is_store(&k->c->etcd_upstream, name) && !is_store(&k->c->nats_upstream, name) &&
        (sub.n == 0 || (!begins_a_store(&k->c->etcd_upstream, span_of(full, (size_t)n)) &&
                        !begins_a_store(&k->c->nats_upstream, span_of(full, (size_t)n)))))
        return;
    snprintf(what, sizeof what, "the pod's own host name %.60s is a store's",
             outcome_show(name, shown));
    find(k, k->deny_port, what, "rename it: the sidecar would dial the pod, with its password");
}

/* The whole pod resolves names alike, so its author could lead the sidecar, and the passwords that
 * it sends, to a server of his own. */
static void check_names_of_stores(struct check *k)
{
    static const char *const own[] = {"nameservers", "searches"};
    const struct json_node *aliases = json_get(k->p->spec.node, "hostAliases");
    const struct json_node *dns = json_get(k->p->spec.node, "dnsConfig");
    check_own_names(k);
    for (const struct json_node *a = aliases == NULL ? NULL : aliases->child; a != NULL;
         a = a->next) {
        const struct json_node *names = json_get(a, "hostnames");
        for (const struct json_node *h = names == NULL ? NULL : names->child; h != NULL;
             h = h->next)
            check_alias(k, a, json_string(h));
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        const struct json_node *list = json_get(dns, own[i]);
        char what[160];
        if (list == NULL || list->count == 0)
            continue;
        snprintf(what, sizeof what, "dnsConfig.%s may answer for the stores' names", own[i]);
        find(k, k->deny_bypass, what, "take it out");
    }
}

bool conflicts_check(const struct inject_config *c, const struct options *options,
                     const struct pod *p, struct outcome *o)
{
    struct check k = {c,
                      options,
                      p,
                      o,
                      .deny_bypass = c->conflicts == CONFLICTS_DENY ||
                                     (c->conflicts == CONFLICTS_AUTO && options->enforce),
                      .deny_port = c->conflicts != CONFLICTS_WARN};
    const struct json_node *lists[] = {p->containers, p->init};
    check_pod(&k);
    check_names(&k);
    check_names_of_stores(&k);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (const struct json_node *n = lists[i] == NULL ? NULL : lists[i]->child; n != NULL;
             n = n->next)
            check_container(&k, n);
    return o->kind != OUTCOME_DENIED;
}
