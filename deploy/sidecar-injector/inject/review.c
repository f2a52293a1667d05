/* SPDX-License-Identifier: Apache-2.0 */
/* review.c - read the request, decide, write the answer. */
#include "inject/review.h"

#include <stdio.h>

#include "inject/inject.h"
#include "inject/sidecar_text.h"
#include "wire/json_text.h"

enum { UID_BYTES_MAX = 128 };

void review_deinit(struct review *r)
{
    buf_deinit(&r->body);
    outcome_deinit(&r->outcome);
}

static enum err refuse(struct review *r, const char *what, const char *detail)
{
    r->status = 400;
    return buf_printf(&r->body, "not an AdmissionReview of admission.k8s.io/v1: %s%s\n", what,
                      detail);
}

/* ---- the answer ---- */

static enum err put_string(struct buf *out, const char *before, struct span s)
{
    enum err e = buf_append(out, span_str(before));
    return e == ERR_OK ? json_text_append(out, s) : e;
}

static enum err put_patch(const struct outcome *o, struct buf *out)
{
    if (o->kind != OUTCOME_INJECTED)
        return ERR_OK;
    enum err e = buf_printf(out, ",\"patchType\":\"JSONPatch\",\"patch\":\"");
    if (e == ERR_OK)
        e = base64_append(out, buf_span(&o->patch));
    return e == ERR_OK ? buf_append_byte(out, '"') : e;
}

static enum err put_denial(const struct outcome *o, struct buf *out)
{
    enum err e = buf_printf(out, ",\"status\":{\"code\":%d,\"reason\":\"%s\"", o->code,
                            o->code == 403   ? "Forbidden"
                            : o->code == 422 ? "Invalid"
                                             : "InternalError");
    if (e == ERR_OK)
        e = put_string(out, ",\"message\":", span_str(o->message));
    return e == ERR_OK ? buf_append_byte(out, '}') : e;
}

static enum err put_warnings(const struct outcome *o, struct buf *out)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < o->warnings && e == ERR_OK; i++)
        e = put_string(out, i == 0 ? ",\"warnings\":[" : ",", span_str(o->warning[i]));
    return e == ERR_OK && o->warnings != 0 ? buf_append_byte(out, ']') : e;
}

/* The API server puts the webhook's name in front of each key. */
static enum err put_audit(const struct outcome *o, struct buf *out)
{
    char views[SIDECAR_VIEWS_BYTES];
    enum err e = put_string(
        out, ",\"auditAnnotations\":{\"result\":", span_str(outcome_kind_name(o->kind)));
    if (e == ERR_OK && o->kind == OUTCOME_DENIED)
        e = put_string(out, ",\"reason\":", span_str(outcome_reason_name(o->reason)));
    if (e == ERR_OK && o->kind == OUTCOME_SKIPPED)
        e = put_string(out, ",\"reason\":", span_str(o->skipped));
    if (e == ERR_OK && (o->kind == OUTCOME_INJECTED || o->kind == OUTCOME_UNCHANGED)) {
        e = put_string(out, ",\"namespace\":", span_str(ns_path_name(&o->ns)));
        if (e == ERR_OK)
            e = buf_printf(out, ",%s,\"tier\":\"%s\",\"native\":\"%s\"",
                           sidecar_views(o->sees, views), o->tier, o->native ? "true" : "false");
    }
    for (unsigned i = 0; i < o->warnings && e == ERR_OK; i++) {
        e = buf_printf(out, ",\"warning-%u\":", i + 1);
        if (e == ERR_OK)
            e = json_text_append(out, span_str(o->warning[i]));
    }
    return e == ERR_OK ? buf_append_byte(out, '}') : e;
}

static enum err write_answer(const struct outcome *o, struct span uid, struct buf *out)
{
    enum err e = put_string(out,
                            "{\"apiVersion\":\"admission.k8s.io/v1\",\"kind\":\"AdmissionReview\","
                            "\"response\":{\"uid\":",
                            uid);
    if (e == ERR_OK)
        e = buf_printf(out, ",\"allowed\":%s", o->kind == OUTCOME_DENIED ? "false" : "true");
    if (e == ERR_OK && o->kind == OUTCOME_DENIED)
        e = put_denial(o, out);
    if (e == ERR_OK)
        e = put_patch(o, out);
    if (e == ERR_OK)
        e = put_warnings(o, out);
    if (e == ERR_OK)
        e = put_audit(o, out);
    return e == ERR_OK ? buf_printf(out, "}}\n") : e;
}

/* ---- the request ---- */

/* A pod that a Job owns: Job, and so CronJob. */
static bool is_of_job(const struct json_node *object)
{
    const struct json_node *owners = json_get_path(object, "metadata.ownerReferences");
    if (owners == NULL || owners->kind != JSON_ARRAY)
        return false;
    for (const struct json_node *m = owners->child; m != NULL; m = m->next)
        if (json_is(json_get(m, "kind"), "Job") && json_is(json_get(m, "apiVersion"), "batch/v1"))
            return true;
    return false;
}

static void note_names(struct review *r, const struct json_node *request,
                       const struct json_node *object)
{
    static const char *const paths[] = {"metadata.name", "metadata.generateName"};
    struct span name = json_string(json_get(request, "name"));
    for (size_t i = 0; i < ARRAY_LEN(paths) && name.n == 0; i++)
        name = json_string(json_get_path(object, paths[i]));
    outcome_show(name, r->pod);
    outcome_show(json_string(json_get(request, "namespace")), r->kubernetes_namespace);
    r->is_dry_run = json_true(json_get(request, "dryRun"));
}

static void skip(struct outcome *o, const char *why)
{
    o->kind = OUTCOME_SKIPPED;
    snprintf(o->skipped, sizeof o->skipped, "%s", why);
}

/* Takes t's root away: the pod becomes it. Everything that was read of the request stays. */
static enum err decide(const struct inject_config *c, const struct json_node *request,
                       bool is_selected, struct json_tree *t, struct review *r)
{
    struct outcome *o = &r->outcome;
    struct json_node *object = json_member(request, SPAN_LIT("object"));
    if (object != NULL && object->kind == JSON_NULL)
        object = NULL;
    const struct json_node *subresource = json_get(request, "subResource");
    note_names(r, request, object);
    if (!json_is(json_get_path(request, "kind.kind"), "Pod") ||
        json_string(json_get_path(request, "kind.group")).n != 0) {
        outcome_warn(o, "bulkhead: the webhook is registered for something that is no Pod");
        skip(o, "not a Pod");
        return ERR_OK;
    }
    if (!json_is(json_get(request, "operation"), "CREATE") || json_string(subresource).n != 0) {
        skip(o, "not the creation of a pod");
        return ERR_OK;
    }
    if (object == NULL) {
        outcome_deny(o, REASON_SHAPE, "the request holds no pod");
        return ERR_OK;
    }
    struct pod_request pod = {
        .kubernetes_namespace = json_string(json_get(request, "namespace")),
        .is_selected = is_selected,
        .is_job = is_of_job(object),
        .base = "",
    };
    /* The pod is a document of its own: patches are relative to it. */
    t->root = object;
    return inject_pod(c, &pod, t, o);
}

static enum err answer(const struct inject_config *c, struct span body, bool is_selected,
                       struct json_tree *t, struct review *r)
{
    enum err e = json_tree_parse(t, body);
    if (e == ERR_SYNTAX) {
        char at[32];
        snprintf(at, sizeof at, " (at byte %zu)", t->error_at);
        return refuse(r, t->error, at);
    }
    if (e != ERR_OK)
        return e;
    const struct json_node *request = json_get(t->root, "request");
    const struct json_node *uid = json_get(request, "uid");
    if (!json_is(json_get(t->root, "apiVersion"), "admission.k8s.io/v1"))
        return refuse(r, "apiVersion is another one", "");
    if (!json_is(json_get(t->root, "kind"), "AdmissionReview"))
        return refuse(r, "kind is another one", "");
    if (request == NULL || request->kind != JSON_OBJECT)
        return refuse(r, "there is no request", "");
    if (uid == NULL || uid->kind != JSON_STRING || uid->text.n == 0 || uid->text.n > UID_BYTES_MAX)
        return refuse(r, "request.uid is no text of 1 to 128 bytes", "");
    e = decide(c, request, is_selected, t, r);
    r->status = 200;
    return e == ERR_OK ? write_answer(&r->outcome, uid->text, &r->body) : e;
}

enum err review_answer(const struct inject_config *c, struct span body, bool is_selected,
                       struct review *r)
{
    struct json_tree t = {0};
    enum err e = answer(c, body, is_selected, &t, r);
    json_tree_deinit(&t);
    return e;
}
