/* SPDX-License-Identifier: Apache-2.0 */
/* claim.c - patterns; what a pod claims; whether it may. */
#include "inject/claim.h"

#include <stdio.h>

#include "inject/inject_config.h"

/* ---- patterns ---- */

static const char own_name[] = "{kubernetes-namespace}";

/* The pattern with the Kubernetes namespace's name in it. False: too long. */
static bool expand(const char *pattern, struct span name, char text[NS_PATH_BYTES_MAX + 1])
{
    size_t n = 0;
    while (*pattern != '\0') {
        struct span part = span_of(pattern, 1);
        size_t skip = 1;
        if (strncmp(pattern, own_name, sizeof own_name - 1) == 0) {
            part = name;
            skip = sizeof own_name - 1;
        }
        if (n + part.n > NS_PATH_BYTES_MAX)
            return false;
        if (part.n != 0)
            memcpy(text + n, part.p, part.n);
        n += part.n;
        pattern += skip;
    }
    text[n] = '\0';
    return true;
}

static bool is_root_pattern(const char *text)
{
    return strcmp(text, "default") == 0;
}

/* Of the pattern as it was written: what comes of a Kubernetes namespace named default is no word
 * for the root, or `{kubernetes-namespace}` + `/` + `*` would give it everything. */
static const char *without_default(const char *text)
{
    return strncmp(text, "default/", 8) == 0 ? text + 8 : text;
}

bool claim_pattern_is_valid(const char *pattern)
{
    char text[NS_PATH_BYTES_MAX + 1];
    unsigned segments = 0;
    if (strcmp(pattern, "*") == 0 || is_root_pattern(pattern))
        return true;
    if (!expand(without_default(pattern), SPAN_LIT("x"), text))
        return false;
    for (const char *at = text;; at++) {
        size_t n = strcspn(at, "/");
        bool is_star = n != 0 && at[n - 1] == '*';
        if (++segments > NS_SEGMENTS_MAX ||
            !((n == 1 && is_star) || ns_path_segment_is_valid(span_of(at, n - is_star)) ||
              (is_star && ns_path_segment_is_valid(span_of(at, n - 1)))))
            return false;
        at += n;
        if (*at == '\0')
            return true;
    }
}

static bool segment_matches(struct span pattern, struct span segment)
{
    if (pattern.n != 0 && pattern.p[pattern.n - 1] == '*')
        return span_has_prefix(segment, span_head(pattern, pattern.n - 1));
    return span_eq(pattern, segment);
}

bool claim_pattern_matches(const char *pattern, struct span kubernetes_namespace,
                           const struct ns_path *path)
{
    char text[NS_PATH_BYTES_MAX + 1] = "";
    if (strcmp(pattern, "*") == 0)
        return true;
    if (is_root_pattern(pattern))
        return path->segments == 0;
    if (!expand(without_default(pattern), kubernetes_namespace, text))
        return false;
    const char *at = text;
    for (unsigned i = 0;; i++, at++) {
        size_t n = strcspn(at, "/");
        if (i >= path->segments || !segment_matches(span_of(at, n), ns_path_segment(path, i)))
            return false;
        at += n;
        if (*at == '\0')
            return true;
    }
}

/* ---- what a pod claims ---- */

/* The claims of one kind, gathered. */
struct claims {
    const char *kind; /* static, for texts */
    bool has, hidden;
    struct ns_path path;
    char where[OUTCOME_SHOWN_BYTES + 64], hidden_where[OUTCOME_SHOWN_BYTES + 64];
};

static bool add(const struct inject_config *c, const struct pod *p, struct claims *all,
                const char *where, struct span value, struct outcome *o)
{
    struct ns_path path;
    struct ns_path_error error;
    char text[256];
    if (ns_path_parse(value, c->separator, &path, &error) != ERR_OK)
        return outcome_deny(o, REASON_CLAIM, "pod %s: %s: %s", p->name, where,
                            ns_path_explain(value, &error, text, sizeof text));
    if (all->has && !ns_path_equal(&path, &all->path))
        return outcome_deny(
            o, REASON_CLAIM, "pod %s: %s says namespace %.60s and %s says %.60s; make them agree",
            p->name, all->where, ns_path_name(&all->path), where, ns_path_name(&path));
    if (!all->has)
        snprintf(all->where, sizeof all->where, "%s", where);
    all->has = true;
    all->path = path;
    return true;
}

/* One variable in every container of list. no_claim: a value that claims nothing. */
static bool add_variables(const struct inject_config *c, const struct pod *p, struct claims *all,
                          const struct json_node *list, const char *name, struct outcome *o)
{
    for (const struct json_node *k = list == NULL ? NULL : list->child; k != NULL; k = k->next) {
        char value[POD_VALUE_BYTES] = "", shown[OUTCOME_SHOWN_BYTES];
        char where[OUTCOME_SHOWN_BYTES + 64];
        snprintf(where, sizeof where, "%s of container %s", name,
                 outcome_show(container_name(k), shown));
        enum value_state state = pod_variable_value(p, container_variable(k, name), value);
        if (state == VALUE_HIDDEN) {
            all->hidden = true;
            snprintf(all->hidden_where, sizeof all->hidden_where, "%s", where);
        }
        bool is_none = value[0] == '\0' || (name[3] == '_' && strcmp(value, "dynamo") == 0);
        if (state == VALUE_READ && !is_none && !add(c, p, all, where, span_str(value), o))
            return false;
    }
    return true;
}

/* Nothing readable says it, and something that cannot be read might: no guess. */
static bool settle(const struct pod *p, const struct claims *all, struct outcome *o)
{
    if (!all->hidden)
        return true;
    if (all->has) {
        outcome_warn(o, "bulkhead: %s cannot be read here; %.60s is used", all->hidden_where,
                     ns_path_name(&all->path));
        return true;
    }
    return outcome_deny(o, REASON_CLAIM,
                        "pod %s: %s does not say its value in the pod; write it there, or set the "
                        "annotation " POD_PREFIX "namespace",
                        p->name, all->hidden_where);
}

bool claim_resolve(const struct inject_config *c, const struct pod *p, struct ns_path *ret_path,
                   struct outcome *o)
{
    struct claims ours = {.has = false}, dynamo = {.has = false};
    const struct json_node *own = json_get(p->annotations, POD_PREFIX "namespace");
    struct span label = pod_label(p, "nvidia.com/dynamo-namespace");
    if (own != NULL && !add(c, p, &ours, "annotation " POD_PREFIX "namespace", own->text, o))
        return false;
    if (!add_variables(c, p, &ours, p->containers, "DYNAMO_NAMESPACE", o) ||
        !add_variables(c, p, &ours, p->init, "DYNAMO_NAMESPACE", o) || !settle(p, &ours, o))
        return false;
    *ret_path = ours.path;
    if (ours.has)
        return true;
    bool is_none = label.n == 0 || span_eq(label, SPAN_LIT("dynamo"));
    if (!is_none && !add(c, p, &dynamo, "label nvidia.com/dynamo-namespace", label, o))
        return false;
    if (!add_variables(c, p, &dynamo, p->containers, "DYN_NAMESPACE", o) ||
        !add_variables(c, p, &dynamo, p->init, "DYN_NAMESPACE", o) || !settle(p, &dynamo, o))
        return false;
    *ret_path = dynamo.path; /* zeroed, the root, if there is none */
    return true;
}

/* ---- whether it may ---- */

static bool is_for(const struct inject_rule *rule, struct span name)
{
    for (unsigned i = 0; i < rule->kubernetes_namespaces.n; i++)
        if (segment_matches(span_str(rule->kubernetes_namespaces.item[i]), name))
            return true;
    return false;
}

bool claim_check(const struct inject_config *c, const struct pod *p, const struct ns_path *path,
                 struct inject_views *ret_may_see, struct outcome *o)
{
    struct span kubernetes = p->request->kubernetes_namespace;
    bool allowed = !c->has_policy;
    struct inject_views may_see = {!c->has_policy, !c->has_policy};
    for (unsigned r = 0; r < c->rules; r++)
        for (unsigned i = 0; is_for(&c->rule[r], kubernetes) && i < c->rule[r].claims.n; i++)
            if (claim_pattern_matches(c->rule[r].claims.item[i], kubernetes, path)) {
                allowed = true;
                may_see.etcd = may_see.etcd || c->rule[r].may_see.etcd;
                may_see.nats = may_see.nats || c->rule[r].may_see.nats;
            }
    *ret_may_see = may_see;
    if (allowed)
        return true;
    char shown[OUTCOME_SHOWN_BYTES];
    return outcome_deny(o, REASON_POLICY,
                        "pod %s: Kubernetes namespace %s may not claim namespace %.100s; ask for a "
                        "rule in the injector's policy, or claim another one",
                        p->name, outcome_show(kubernetes, shown), ns_path_name(path));
}
