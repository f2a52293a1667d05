/* SPDX-License-Identifier: Apache-2.0 */
/* workload.c - where the pods are; inject each; the text; the proof. */
#include "inject/workload.h"

#include <stdio.h>
#include <stdlib.h>

#include "inject/inject.h"
#include "inject/text_edit.h"
#include "inject/yaml_tree.h"

void workload_report_deinit(struct workload_report *r)
{
    buf_deinit(&r->messages);
}

/* ---- where the pods are ---- */

static const struct kind {
    const char *name, *base; /* JSON pointer to the pod */
    bool is_job;
} kinds[] = {
    {"Pod", "", false},
    {"Deployment", "/spec/template", false},
    {"ReplicaSet", "/spec/template", false},
    {"StatefulSet", "/spec/template", false},
    {"DaemonSet", "/spec/template", false},
    {"ReplicationController", "/spec/template", false},
    {"Job", "/spec/template", true},
    {"CronJob", "/spec/jobTemplate/spec/template", true},
    {"PodTemplate", "/template", false},
};

static const struct kind *kind_of(const struct json_node *object)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (json_is(json_get(object, "kind"), kinds[i].name))
            return &kinds[i];
    return NULL;
}

static bool is_list(const struct json_node *object)
{
    struct span kind = json_string(json_get(object, "kind"));
    const struct json_node *items = json_get(object, "items");
    return kind.n >= 4 && span_eq(span_skip(kind, kind.n - 4), SPAN_LIT("List")) && items != NULL &&
           items->kind == JSON_ARRAY;
}

/* ---- inject ---- */

struct work {
    const struct inject_config *c;
    struct span kubernetes_namespace;
    struct yaml_file *file; /* edited */
    struct workload_report *report;
};

static enum err tell(struct work *w, const struct json_node *object, const char *what,
                     const char *text)
{
    char kind[OUTCOME_SHOWN_BYTES], name[OUTCOME_SHOWN_BYTES];
    return buf_printf(&w->report->messages, "%s %s: %s%s\n",
                      outcome_show(json_string(json_get(object, "kind")), kind),
                      outcome_show(json_string(json_get_path(object, "metadata.name")), name), what,
                      text);
}

static enum err tell_outcome(struct work *w, const struct json_node *object,
                             const struct outcome *o)
{
    struct workload_report *r = w->report;
    enum err e = ERR_OK;
    r->pods++;
    r->injected += o->kind == OUTCOME_INJECTED;
    r->unchanged += o->kind == OUTCOME_UNCHANGED;
    r->skipped += o->kind == OUTCOME_SKIPPED;
    r->denied += o->kind == OUTCOME_DENIED;
    for (unsigned i = 0; i < o->warnings && e == ERR_OK; i++)
        e = tell(w, object, "warning: ", o->warning[i]);
    if (e == ERR_OK && o->kind == OUTCOME_DENIED)
        e = tell(w, object, "", o->message);
    if (e == ERR_OK && o->kind == OUTCOME_SKIPPED)
        e = tell(w, object, "left alone: ", o->skipped);
    return e;
}

/* The object is a document of its own, an item of a List too: what is copied, compared and patched
 * to inject it is no larger than it, and a List costs what its items cost. */
static enum err inject_object(struct work *w, struct json_node *object)
{
    const struct kind *kind = kind_of(object);
    if (kind == NULL)
        return ERR_OK;
    w->file->tree.root = object;
    struct span own = json_string(json_get_path(object, "metadata.namespace"));
    const struct pod_request request = {
        .kubernetes_namespace = own.n != 0 ? own : w->kubernetes_namespace,
        .is_selected = true,
        .is_job = kind->is_job,
        .base = kind->base,
    };
    struct outcome *o = calloc(1, sizeof *o);
    enum err e = o == NULL ? ERR_NOMEM : inject_pod(w->c, &request, &w->file->tree, o);
    if (e == ERR_OK)
        e = tell_outcome(w, object, o);
    if (o != NULL)
        outcome_deinit(o);
    free(o);
    return e;
}

static enum err inject_document(struct work *w, unsigned i)
{
    struct json_node *root = w->file->document[i];
    if (root == NULL || root->kind != JSON_OBJECT || (kind_of(root) == NULL && !is_list(root)))
        return ERR_OK;
    if (w->file->has_alias[i]) {
        w->report->denied++;
        return tell(w, root, "", "YAML aliases (*name) cannot be edited; write the value out");
    }
    if (!is_list(root))
        return inject_object(w, root);
    enum err e = ERR_OK;
    for (struct json_node *m = json_get(root, "items")->child; m != NULL && e == ERR_OK;
         m = m->next)
        e = inject_object(w, m);
    return e;
}

/* ---- the text, and the proof ---- */

static enum err note_all(const struct yaml_file *before, const struct yaml_file *after,
                         struct text_edit *edit)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < before->documents && e == ERR_OK; i++)
        if (before->document[i] != NULL)
            e = text_edit_note(edit, before->document[i], after->document[i]);
    return e;
}

/* Does text say what file says? */
static bool says(struct span text, const struct yaml_file *file)
{
    struct yaml_file *again = calloc(1, sizeof *again);
    bool same = again != NULL && yaml_file_parse(again, text) == ERR_OK &&
                again->documents == file->documents;
    for (unsigned i = 0; same && i < file->documents; i++)
        same = (again->document[i] == NULL) == (file->document[i] == NULL) &&
               (file->document[i] == NULL || json_equal(again->document[i], file->document[i]));
    if (again != NULL)
        yaml_file_deinit(again);
    free(again);
    return same;
}

static enum err write_text(const struct yaml_file *before, const struct yaml_file *after,
                           struct span text, struct buf *out, struct workload_report *report)
{
    struct text_edit *edit = NULL;
    struct buf changed = {0};
    enum err e = text_edit_new(text, &edit);
    if (e == ERR_OK)
        e = note_all(before, after, edit);
    if (e == ERR_OK)
        e = text_edit_write(edit, &changed);
    if (e == ERR_OK && !says(buf_span(&changed), after))
        e = ERR_LIMIT;
    if (e == ERR_OK)
        e = buf_append(out, buf_span(&changed));
    if (e == ERR_LIMIT) {
        e = buf_printf(&report->messages,
                       "this file is written in a way that cannot be edited in place; write it in "
                       "plain block style, or as JSON\n");
        e = e == ERR_OK ? ERR_SYNTAX : e;
    }
    buf_deinit(&changed);
    text_edit_free(&edit);
    return e;
}

static enum err inject_both(struct work *w, struct yaml_file *before, struct span text,
                            struct buf *out)
{
    enum err e = yaml_file_parse(before, text);
    if (e == ERR_OK)
        e = yaml_file_parse(w->file, text);
    if (e == ERR_SYNTAX) {
        e = buf_printf(&w->report->messages, "%s\n", before->error);
        return e == ERR_OK ? ERR_SYNTAX : e;
    }
    for (unsigned i = 0; i < w->file->documents && e == ERR_OK; i++)
        e = inject_document(w, i);
    if (e != ERR_OK)
        return e;
    return w->report->denied != 0 ? ERR_SYNTAX : write_text(before, w->file, text, out, w->report);
}

enum err workload_inject(const struct inject_config *c, struct span text,
                         struct span kubernetes_namespace, struct buf *out,
                         struct workload_report *ret_report)
{
    *ret_report = (struct workload_report){.pods = 0};
    struct yaml_file *files = calloc(2, sizeof *files);
    if (files == NULL)
        return ERR_NOMEM;
    struct work w = {c, kubernetes_namespace, &files[1], ret_report};
    enum err e = inject_both(&w, &files[0], text, out);
    yaml_file_deinit(&files[0]);
    yaml_file_deinit(&files[1]);
    free(files);
    return e;
}
