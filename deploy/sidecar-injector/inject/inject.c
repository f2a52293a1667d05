/* SPDX-License-Identifier: Apache-2.0 */
/* inject.c - decide, edit, prove. */
#include "inject/inject.h"

#include <stdio.h>

#include "inject/claim.h"
#include "inject/conflicts.h"
#include "inject/dynamo.h"
#include "inject/ensure.h"
#include "inject/environment.h"
#include "inject/json_patch.h"
#include "inject/sidecar_text.h"
#include "wire/json_text.h"

enum { GRACE_S = 30 }; /* what Kubernetes gives a pod that does not say */

/* ---- decide ---- */

static bool wants_subtree(enum options_view said, bool by_itself)
{
    return said == OPTIONS_VIEW_SUBTREE || (said == OPTIONS_VIEW_UNSAID && by_itself);
}

/* " in etcd", " in NATS", or nothing for both. */
static const char *in_planes(struct inject_views v)
{
    return v.etcd && v.nats ? "" : v.etcd ? " in etcd" : " in NATS";
}

/* A view that is asked for must be granted; one that the pod would have by itself is cut. */
static bool decide_views(const struct pod *p, const struct options *options,
                         struct inject_views may, struct outcome *o)
{
    bool by_itself = dynamo_needs_subtree(p);
    const struct inject_views wants = {wants_subtree(options->etcd_view, by_itself),
                                       wants_subtree(options->nats_view, by_itself)};
    const struct inject_views cut = {wants.etcd && !may.etcd, wants.nats && !may.nats};
    const struct inject_views denied = {
        cut.etcd && options->etcd_view == OPTIONS_VIEW_SUBTREE,
        cut.nats && options->nats_view == OPTIONS_VIEW_SUBTREE,
    };
    o->sees = (struct inject_views){wants.etcd && may.etcd, wants.nats && may.nats};
    if (denied.etcd || denied.nats) {
        char shown[OUTCOME_SHOWN_BYTES];
        return outcome_deny(
            o, REASON_POLICY,
            "pod %s: Kubernetes namespace %s may not see what is below namespace %.100s%s; ask for "
            "view subtree in the injector's policy, or annotate " POD_PREFIX "%sview: own",
            p->name, outcome_show(p->request->kubernetes_namespace, shown), ns_path_name(&o->ns),
            in_planes(denied),
            denied.etcd && denied.nats ? ""
            : denied.etcd              ? "etcd-"
                                       : "nats-");
    }
    if (cut.etcd || cut.nats)
        outcome_warn(o, "bulkhead: the policy gives no view of what is below %.60s%s: view own",
                     ns_path_name(&o->ns), in_planes(cut));
    return true;
}

/* *ret_wanted = false: nothing is to be done. False: denied. */
static bool decide(const struct inject_config *c, const struct pod *p, struct options *options,
                   bool *ret_wanted, struct outcome *o)
{
    struct inject_views may_see = {false, false};
    if (!options_wanted(c, p, ret_wanted, o) || !*ret_wanted)
        return o->kind != OUTCOME_DENIED;
    if (!options_read(c, p, options, o) || !claim_resolve(c, p, &o->ns, o) ||
        !claim_check(c, p, &o->ns, &may_see, o) || !decide_views(p, options, may_see, o))
        return false;
    o->tier = inject_tier_name(options->tier);
    o->native = options->native;
    return conflicts_check(c, options, p, o);
}

/* ---- edit ---- */

/* The one built text at a time. */
static void begin(struct edit *e, struct buf *text)
{
    if (e->err == ERR_OK)
        buf_truncate(text, 0);
}

static void edit_aliases(const struct inject_config *c, struct edit *e, const struct spot *spec,
                         struct buf *text)
{
    struct spot all = spot_member(spec, "hostAliases");
    struct json_node *ours = NULL;
    const struct json_node *a = all.node == NULL ? NULL : all.node->child;
    begin(e, text);
    if (e->err == ERR_OK)
        e->err = buf_printf(text, "{\"ip\":\"127.0.0.1\",\"hostnames\":[");
    for (unsigned i = 0; i < c->host_names.n && e->err == ERR_OK; i++) {
        if (i != 0)
            e->err = buf_append_byte(text, ',');
        if (e->err == ERR_OK)
            e->err = json_text_append(text, span_str(c->host_names.item[i]));
    }
    if (e->err == ERR_OK)
        e->err = buf_printf(text, "]}");
    if (e->err != ERR_OK || json_tree_parse_value(e->tree, buf_span(text), &ours) != ERR_OK)
        return;
    for (; a != NULL; a = a->next)
        if (json_equal(a, ours))
            return;
    all = edit_list(e, spec, "hostAliases");
    if (e->err == ERR_OK)
        edit_insert(e, &all, 0, buf_span(text));
}

static void edit_volumes(const struct inject_config *c, struct edit *e, const struct spot *spec,
                         struct buf *text)
{
    for (unsigned i = c->sidecar_volumes.n; i-- != 0;)
        ensure_named(e, spec, "volumes", c->sidecar_volume_names.item[i],
                     span_str(c->sidecar_volumes.item[i]));
    begin(e, text);
    if (e->err == ERR_OK)
        e->err = sidecar_write_volume(text);
    ensure_named(e, spec, "volumes", SIDECAR_VOLUME_NAME, buf_span(text));
    for (unsigned i = c->image_pull_secrets.n; i-- != 0 && e->err == ERR_OK;) {
        begin(e, text);
        e->err = buf_printf(text, "{\"name\":");
        if (e->err == ERR_OK)
            e->err = json_text_append(text, span_str(c->image_pull_secrets.item[i]));
        if (e->err == ERR_OK)
            e->err = buf_append_byte(text, '}');
        ensure_named(e, spec, "imagePullSecrets", c->image_pull_secrets.item[i], buf_span(text));
    }
}

/* The redirect container is put in last, so that it stands first and has ended when the sidecar
 * starts. */
static void edit_containers(const struct sidecar_order *order, struct edit *e,
                            const struct spot *spec, struct buf *text)
{
    bool native = order->options->native;
    begin(e, text);
    if (e->err == ERR_OK)
        e->err = sidecar_write(order, text);
    ensure_absent(e, spec, native ? "containers" : "initContainers", SIDECAR_NAME);
    ensure_absent(e, spec, "containers", SIDECAR_REDIRECT_NAME);
    ensure_container(e, spec, native ? "initContainers" : "containers", SIDECAR_NAME,
                     buf_span(text));
    if (order->options->tier != TIER_REDIRECT) {
        ensure_absent(e, spec, "initContainers", SIDECAR_REDIRECT_NAME);
        return;
    }
    begin(e, text);
    if (e->err == ERR_OK)
        e->err = sidecar_write_redirect(order, text);
    ensure_first(e, spec, "initContainers", SIDECAR_REDIRECT_NAME, buf_span(text));
}

/* kubectl logs and exec take the first container; a classic sidecar would be it. */
static void edit_default_container(const struct pod *p, struct edit *e,
                                   const struct spot *annotations, struct buf *text)
{
    static const char name[] = "kubectl.kubernetes.io/default-container";
    const struct json_node *first = p->containers->child;
    if (first != NULL && json_is(json_get(first, "name"), SIDECAR_NAME))
        first = first->next;
    if (first == NULL || json_get(annotations->node, name) != NULL)
        return;
    begin(e, text);
    if (e->err == ERR_OK)
        e->err = json_text_append(text, container_name(first));
    edit_set(e, annotations, name, buf_span(text));
}

static void edit_annotations(const struct sidecar_order *order, const struct pod *p, struct edit *e,
                             struct buf *text)
{
    struct spot metadata = edit_object(e, &p->root, "metadata");
    if (e->err != ERR_OK)
        return;
    struct spot annotations = edit_object(e, &metadata, "annotations");
    begin(e, text);
    if (e->err == ERR_OK)
        e->err = sidecar_write_status(order, text);
    edit_set(e, &annotations, POD_PREFIX "status", buf_span(text));
    if (!order->options->native && e->err == ERR_OK)
        edit_default_container(p, e, &annotations, text);
}

static void edit_pod(const struct sidecar_order *order, const struct pod *p, struct edit *e,
                     struct outcome *o)
{
    struct buf text = {0};
    edit_annotations(order, p, e, &text);
    environment_edit(order->config, order->options, p, order->ns, e, o);
    edit_volumes(order->config, e, &p->spec, &text);
    if (order->options->tier >= TIER_HOSTS && order->config->host_names.n != 0)
        edit_aliases(order->config, e, &p->spec, &text);
    edit_containers(order, e, &p->spec, &text);
    buf_deinit(&text);
}

/* Everything up to the patch. e belongs to the caller. ERR_NOMEM. */
static enum err plan(const struct inject_config *c, const struct pod_request *request,
                     struct json_node *root, struct edit *e, struct outcome *o)
{
    struct pod p;
    struct options options;
    bool wanted = false;
    if (!pod_look(&p, request, root, o) || !decide(c, &p, &options, &wanted, o))
        return ERR_OK;
    if (!wanted) {
        o->kind = OUTCOME_SKIPPED;
        return ERR_OK;
    }
    dynamo_warn(&p, &options, o);
    struct sidecar_order order = {c, &options, &o->ns, o->sees, GRACE_S};
    (void)json_uint(json_get(p.spec.node, "terminationGracePeriodSeconds"), 1000000,
                    &order.grace_s);
    edit_pod(&order, &p, e, o);
    o->kind = e->count == 0 ? OUTCOME_UNCHANGED : OUTCOME_INJECTED;
    if (e->err == ERR_LIMIT) {
        outcome_deny(o, REASON_LIMIT, "pod %s: more than %d changes would be needed", p.name,
                     EDIT_OPS_MAX);
        return ERR_OK;
    }
    return e->err;
}

/* ---- prove ---- */

static struct json_node *at_base(struct json_node *root, const char *base)
{
    struct json_node *node = root;
    while (node != NULL && *base == '/') {
        size_t n = strcspn(base + 1, "/");
        node = json_member(node, span_of(base + 1, n));
        base += n + 1;
    }
    return node;
}

/* t: the document as it came. NULL: proven; else what is wrong (static). */
static const char *prove_in(const struct inject_config *c, const struct pod_request *request,
                            const struct json_tree *edited, const struct outcome *o,
                            struct json_tree *t, enum err *ret_err)
{
    struct json_node *patch = NULL;
    const char *why = NULL;
    *ret_err = json_tree_parse_value(t, buf_span(&o->patch), &patch);
    if (*ret_err == ERR_OK)
        *ret_err = json_patch_apply(t, patch, &why);
    if (*ret_err != ERR_OK)
        return why != NULL ? why : "the patch does not parse";
    if (!json_equal(t->root, edited->root))
        return "the patch gives another pod";
    struct edit again = {.tree = t};
    struct outcome second = {.kind = OUTCOME_SKIPPED};
    *ret_err = plan(c, request, at_base(t->root, request->base), &again, &second);
    bool is_stable = second.kind == OUTCOME_UNCHANGED && again.count == 0;
    edit_deinit(&again);
    outcome_deinit(&second);
    return is_stable ? NULL : "the injected pod would be changed again";
}

static enum err prove(const struct inject_config *c, const struct pod_request *request,
                      const struct json_tree *edited, struct json_tree *before, struct outcome *o)
{
    enum err e = ERR_OK;
    const char *wrong = prove_in(c, request, edited, o, before, &e);
    if (e == ERR_NOMEM || wrong == NULL)
        return e;
    buf_deinit(&o->patch);
    outcome_deny(
        o, REASON_SELF_CHECK,
        "the injector checked its own patch and refuses it: %s; please report this pod. To "
        "start it without a sidecar, label it " POD_PREFIX "inject: \"false\"",
        wrong);
    return ERR_OK;
}

enum err inject_pod(const struct inject_config *c, const struct pod_request *request,
                    struct json_tree *t, struct outcome *o)
{
    struct edit e = {.tree = t};
    struct json_tree before = {0};
    before.root = json_tree_clone(&before, t->root);
    enum err err = before.root == NULL ? ERR_NOMEM
                                       : plan(c, request, at_base(t->root, request->base), &e, o);
    if (err == ERR_OK && o->kind == OUTCOME_INJECTED) {
        err = buf_append_byte(&o->patch, '[');
        if (err == ERR_OK)
            err = buf_append(&o->patch, buf_span(&e.ops));
        if (err == ERR_OK)
            err = buf_append_byte(&o->patch, ']');
        if (err == ERR_OK)
            err = prove(c, request, t, &before, o);
    }
    json_tree_deinit(&before);
    edit_deinit(&e);
    return err;
}
