/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/options.h"

#include <stdio.h>

#include "base/log.h"
#include "config.h"

/* ---- wanted? ---- */

static bool has_dynamo_variable(const struct json_node *list)
{
    for (const struct json_node *k = list == NULL ? NULL : list->child; k != NULL; k = k->next)
        if (container_variable(k, "DYN_NAMESPACE") != NULL ||
            container_variable(k, "DYNAMO_NAMESPACE") != NULL)
            return true;
    return false;
}

static bool is_dynamo(const struct pod *p)
{
    return json_get(p->labels, "nvidia.com/dynamo-namespace") != NULL ||
           json_get(p->labels, "nvidia.com/dynamo-graph-deployment-name") != NULL ||
           has_dynamo_variable(p->containers) || has_dynamo_variable(p->init);
}

bool options_wanted(const struct inject_config *c, const struct pod *p, bool *ret_wanted,
                    struct outcome *o)
{
    const struct json_node *label = json_get(p->labels, POD_PREFIX "inject");
    char shown[OUTCOME_SHOWN_BYTES];
    if (json_get(p->annotations, POD_PREFIX "inject") != NULL)
        return outcome_deny(o, REASON_ANNOTATION,
                            "pod %s: " POD_PREFIX "inject is a label, not an annotation", p->name);
    if (label != NULL && !json_is(label, "true") && !json_is(label, "false"))
        return outcome_deny(o, REASON_ANNOTATION,
                            "pod %s: label " POD_PREFIX "inject is \"%s\"; it can be \"true\" or "
                            "\"false\"",
                            p->name, outcome_show(label->text, shown));
    if (label != NULL) {
        *ret_wanted = json_is(label, "true");
        snprintf(o->skipped, sizeof o->skipped, "label " POD_PREFIX "inject is false");
        return true;
    }
    *ret_wanted = p->request->is_selected || (c->automatic && is_dynamo(p));
    snprintf(o->skipped, sizeof o->skipped, "nothing in the pod asks for the sidecar");
    return true;
}

/* ---- annotations ---- */

struct reading {
    const struct inject_config *c;
    const struct pod *p;
    struct options *to;
    struct outcome *o;
    enum options_view view; /* of both planes, where one's own annotation does not say it */
};

struct annotation {
    const char *name; /* behind POD_PREFIX */
    bool (*take)(struct reading *r, const struct annotation *a, struct span value);
    size_t member;
    const char *could_be;
};

static bool wrong(struct reading *r, const struct annotation *a, struct span value)
{
    char shown[OUTCOME_SHOWN_BYTES];
    return outcome_deny(r->o, REASON_ANNOTATION,
                        "pod %s: annotation " POD_PREFIX "%s is \"%s\"; it can be %s", r->p->name,
                        a->name, outcome_show(value, shown), a->could_be);
}

static bool read_nothing(struct reading *r, const struct annotation *a, struct span value)
{
    (void)r, (void)a, (void)value; /* read elsewhere */
    return true;
}

static bool read_status(struct reading *r, const struct annotation *a, struct span value)
{
    (void)a, (void)value;
    r->to->is_ours = true;
    return true;
}

static bool read_view(struct reading *r, const struct annotation *a, struct span value)
{
    bool own = span_eq(value, SPAN_LIT("own")), subtree = span_eq(value, SPAN_LIT("subtree"));
    enum options_view *to = a->member == 0 ? &r->view : (void *)((char *)r->to + a->member);
    *to = own ? OPTIONS_VIEW_OWN : OPTIONS_VIEW_SUBTREE;
    return own || subtree || wrong(r, a, value);
}

static bool read_dyn_namespace(struct reading *r, const struct annotation *a, struct span value)
{
    r->to->keep_dyn_namespace = span_eq(value, SPAN_LIT("keep"));
    return r->to->keep_dyn_namespace || span_eq(value, SPAN_LIT("set")) || wrong(r, a, value);
}

static bool read_discovery(struct reading *r, const struct annotation *a, struct span value)
{
    static const struct span words[] = {SPAN_LIT("keep"), SPAN_LIT("etcd"), SPAN_LIT("kv_store")};
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (span_eq(value, words[i])) {
            r->to->discovery = (enum inject_discovery)i;
            return true;
        }
    return wrong(r, a, value);
}

static bool read_bool(struct reading *r, const struct annotation *a, struct span value)
{
    bool on = span_eq(value, SPAN_LIT("true"));
    *(bool *)((char *)r->to + a->member) = on;
    if (a->member == offsetof(struct options, native))
        r->to->native_is_said = true;
    return on || span_eq(value, SPAN_LIT("false")) || wrong(r, a, value);
}

static bool read_tier(struct reading *r, const struct annotation *a, struct span value)
{
    return inject_tier_parse(value, &r->to->tier) || wrong(r, a, value);
}

static bool read_level(struct reading *r, const struct annotation *a, struct span value)
{
    char text[OUTCOME_SHOWN_BYTES];
    enum log_level level;
    *(struct span *)(void *)((char *)r->to + a->member) = value;
    return log_level_parse(outcome_show(value, text), &level) || wrong(r, a, value);
}

static bool read_quantity(struct reading *r, const struct annotation *a, struct span value)
{
    *(struct span *)(void *)((char *)r->to + a->member) = value;
    return inject_quantity_is_valid(value) || wrong(r, a, value);
}

#define QUANTITY "a quantity as 100m or 64Mi"
static const struct annotation annotations[] = {
    {"namespace", read_nothing, 0, ""},
    {"status", read_status, 0, ""},
    {"view", read_view, 0, "own or subtree"},
    {"etcd-view", read_view, offsetof(struct options, etcd_view), "own or subtree"},
    {"nats-view", read_view, offsetof(struct options, nats_view), "own or subtree"},
    {"dyn-namespace", read_dyn_namespace, 0, "keep or set"},
    {"dynamo-discovery", read_discovery, 0, "keep, etcd or kv_store"},
    {"tier", read_tier, 0, "loopback, environment, hosts or redirect"},
    {"native", read_bool, offsetof(struct options, native), "true or false"},
    {"enforce", read_bool, offsetof(struct options, enforce), "true or false"},
    {"log-level", read_level, offsetof(struct options, log_level), "error, warn, info or debug"},
    {"cpu-request", read_quantity, offsetof(struct options, cpu_request), QUANTITY},
    {"memory-request", read_quantity, offsetof(struct options, memory_request), QUANTITY},
    {"cpu-limit", read_quantity, offsetof(struct options, cpu_limit), QUANTITY},
    {"memory-limit", read_quantity, offsetof(struct options, memory_limit), QUANTITY},
};
#undef QUANTITY

static bool unknown(struct reading *r, struct span name)
{
    const char *names[ARRAY_LEN(annotations)];
    char shown[OUTCOME_SHOWN_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(annotations); i++)
        names[i] = annotations[i].name;
    return outcome_deny(
        r->o, REASON_ANNOTATION,
        "pod %s: there is no annotation " POD_PREFIX "%s; the nearest is " POD_PREFIX "%s",
        r->p->name, outcome_show(name, shown), config_nearest(name, names, ARRAY_LEN(names)));
}

static bool read_one(struct reading *r, const struct json_node *m)
{
    struct span name = span_skip(m->key, sizeof POD_PREFIX - 1);
    for (size_t i = 0; i < ARRAY_LEN(annotations); i++)
        if (span_eq(name, span_str(annotations[i].name)))
            return annotations[i].take(r, &annotations[i], m->text);
    return unknown(r, name);
}

/* The labels under our prefix are one. */
static bool check_labels(const struct pod *p, struct outcome *o)
{
    char shown[OUTCOME_SHOWN_BYTES];
    for (const struct json_node *m = p->labels == NULL ? NULL : p->labels->child; m != NULL;
         m = m->next)
        if (span_has_prefix(m->key, SPAN_LIT(POD_PREFIX)) &&
            !span_eq(m->key, SPAN_LIT(POD_PREFIX "inject")))
            return outcome_deny(o, REASON_ANNOTATION,
                                "pod %s: %s cannot be a label; make it an annotation", p->name,
                                outcome_show(m->key, shown));
    return true;
}

/* What the operator enforces no pod can lift. */
static bool check_enforced(const struct inject_config *c, const struct pod *p, struct options *to,
                           struct outcome *o)
{
    if (c->enforce && (!to->enforce || to->tier != TIER_REDIRECT))
        return outcome_deny(
            o, REASON_ANNOTATION,
            "pod %s: redirection is enforced in this cluster; take the annotations " POD_PREFIX
            "enforce and " POD_PREFIX "tier out",
            p->name);
    if (to->enforce && to->tier != TIER_REDIRECT)
        return outcome_deny(o, REASON_ANNOTATION,
                            "pod %s: " POD_PREFIX "enforce needs " POD_PREFIX "tier: redirect",
                            p->name);
    if (to->tier == TIER_REDIRECT && c->uid == 0)
        return outcome_deny(o, REASON_ANNOTATION,
                            "pod %s: " POD_PREFIX "tier redirect needs a uid in the injector's "
                            "configuration",
                            p->name);
    return true;
}

bool options_read(const struct inject_config *c, const struct pod *p, struct options *ret_options,
                  struct outcome *o)
{
    struct options to = {
        .tier = c->tier,
        .discovery = c->discovery,
        .native = c->native,
        .keep_dyn_namespace = c->keep_dyn_namespace,
        .enforce = c->enforce,
        .log_level = span_str(c->sidecar_log_level),
        .cpu_request = span_str(c->cpu_request),
        .memory_request = span_str(c->memory_request),
        .cpu_limit = span_str(c->cpu_limit),
        .memory_limit = span_str(c->memory_limit),
    };
    struct reading r = {c, p, &to, o, OPTIONS_VIEW_UNSAID};
    const struct json_node *m = p->annotations == NULL ? NULL : p->annotations->child;
    if (!check_labels(p, o))
        return false;
    for (; m != NULL; m = m->next)
        if (span_has_prefix(m->key, SPAN_LIT(POD_PREFIX)) && m->kind == JSON_STRING &&
            !read_one(&r, m))
            return false;
    if (to.etcd_view == OPTIONS_VIEW_UNSAID)
        to.etcd_view = r.view;
    if (to.nats_view == OPTIONS_VIEW_UNSAID)
        to.nats_view = r.view;
    *ret_options = to;
    return check_enforced(c, p, ret_options, o);
}
