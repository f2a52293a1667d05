/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/pod.h"

#include <stdio.h>

/* ---- shape ---- */

static bool is_kind(const struct json_node *node, enum json_kind kind)
{
    return node == NULL || node->kind == JSON_NULL || node->kind == kind;
}

static bool wrong(struct outcome *o, const struct pod *p, const char *where, const char *what)
{
    return outcome_deny(o, REASON_SHAPE, "pod %s: %s is %s", p->name, where, what);
}

/* env: a list of objects with names; what is in them is for the API server to judge. */
static bool look_container(struct pod *p, const struct json_node *c, const char *list,
                           struct outcome *o)
{
    char where[64], shown[OUTCOME_SHOWN_BYTES];
    if (c->kind != JSON_OBJECT || container_name(c).n == 0) {
        snprintf(where, sizeof where, "an element of spec.%s", list);
        return wrong(o, p, where, "no container with a name");
    }
    static const struct {
        const char *name;
        enum json_kind kind;
    } parts[] = {{"env", JSON_ARRAY},
                 {"envFrom", JSON_ARRAY},
                 {"ports", JSON_ARRAY},
                 {"args", JSON_ARRAY},
                 {"command", JSON_ARRAY},
                 {"volumeMounts", JSON_ARRAY},
                 {"securityContext", JSON_OBJECT}};
    outcome_show(container_name(c), shown);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!is_kind(json_member(c, span_str(parts[i].name)), parts[i].kind))
            return outcome_deny(o, REASON_SHAPE, "pod %s: container %s: %s is no %s", p->name,
                                shown, parts[i].name,
                                parts[i].kind == JSON_ARRAY ? "list" : "object");
    const struct json_node *env = json_get(c, "env");
    for (const struct json_node *v = env == NULL ? NULL : env->child; v != NULL; v = v->next)
        if (v->kind != JSON_OBJECT || json_string(json_get(v, "name")).n == 0)
            return outcome_deny(o, REASON_SHAPE, "pod %s: container %s: a variable has no name",
                                p->name, shown);
    return true;
}

static bool look_list(struct pod *p, const char *name, const struct json_node **ret_list,
                      struct outcome *o)
{
    const struct json_node *list = json_get(p->spec.node, name);
    char where[64];
    snprintf(where, sizeof where, "spec.%s", name);
    if (!is_kind(list, JSON_ARRAY))
        return wrong(o, p, where, "not a list");
    for (const struct json_node *c = list == NULL ? NULL : list->child; c != NULL; c = c->next)
        if (!look_container(p, c, name, o))
            return false;
    *ret_list = list;
    return true;
}

/* Members of ours must be texts; others are not looked at. */
static bool look_texts(struct pod *p, const char *name, const struct json_node **ret_map,
                       struct outcome *o)
{
    const struct json_node *map = json_get(p->metadata.node, name);
    char where[160], shown[OUTCOME_SHOWN_BYTES];
    snprintf(where, sizeof where, "metadata.%s", name);
    if (!is_kind(map, JSON_OBJECT))
        return wrong(o, p, where, "not an object");
    for (const struct json_node *m = map == NULL ? NULL : map->child; m != NULL; m = m->next) {
        if (m->kind == JSON_STRING || !span_has_prefix(m->key, SPAN_LIT(POD_PREFIX)))
            continue;
        snprintf(where, sizeof where, "%s %s", name, outcome_show(m->key, shown));
        return wrong(o, p, where, "not a text; put the value in quotes");
    }
    *ret_map = map;
    return true;
}

static void set_name(struct pod *p)
{
    struct span name = json_string(json_get(p->metadata.node, "name"));
    if (name.n == 0)
        name = json_string(json_get(p->metadata.node, "generateName"));
    outcome_show(name.n == 0 ? SPAN_LIT("(without a name)") : name, p->name);
}

bool pod_look(struct pod *p, const struct pod_request *request, struct json_node *root,
              struct outcome *o)
{
    *p = (struct pod){.request = request, .root = spot_at(root, request->base)};
    snprintf(p->name, sizeof p->name, "(unknown)");
    if (root == NULL || root->kind != JSON_OBJECT)
        return wrong(o, p, "the object", "no object");
    p->metadata = spot_member(&p->root, "metadata");
    p->spec = spot_member(&p->root, "spec");
    if (!is_kind(p->metadata.node, JSON_OBJECT))
        return wrong(o, p, "metadata", "no object");
    set_name(p);
    if (p->spec.node == NULL || p->spec.node->kind != JSON_OBJECT)
        return wrong(o, p, "spec", "no object");
    static const char *const lists[] = {"volumes", "hostAliases", "imagePullSecrets"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        if (!is_kind(json_get(p->spec.node, lists[i]), JSON_ARRAY))
            return outcome_deny(o, REASON_SHAPE, "pod %s: spec.%s is not a list", p->name,
                                lists[i]);
    if (!look_list(p, "initContainers", &p->init, o) ||
        !look_list(p, "containers", &p->containers, o) || !look_texts(p, "labels", &p->labels, o) ||
        !look_texts(p, "annotations", &p->annotations, o))
        return false;
    if (p->containers == NULL || p->containers->count == 0)
        return wrong(o, p, "spec.containers", "empty");
    if (p->containers->count + (p->init == NULL ? 0 : p->init->count) > POD_CONTAINERS_MAX)
        return outcome_deny(o, REASON_LIMIT, "pod %s: more than %d containers", p->name,
                            POD_CONTAINERS_MAX);
    return true;
}

/* ---- looking ---- */

struct span pod_label(const struct pod *p, const char *name)
{
    return json_string(json_get(p->labels, name));
}

struct span pod_annotation(const struct pod *p, const char *name)
{
    return json_string(json_get(p->annotations, name));
}

struct span container_name(const struct json_node *container)
{
    return json_string(json_get(container, "name"));
}

const struct json_node *container_find(const struct json_node *list, const char *name,
                                       size_t *ret_index)
{
    size_t i = 0;
    for (const struct json_node *c = list == NULL ? NULL : list->child; c != NULL; c = c->next, i++)
        if (span_eq(container_name(c), span_str(name))) {
            *ret_index = i;
            return c;
        }
    return NULL;
}

const struct json_node *container_variable(const struct json_node *container, const char *name)
{
    const struct json_node *env = json_get(container, "env"), *found = NULL;
    for (const struct json_node *v = env == NULL ? NULL : env->child; v != NULL; v = v->next)
        if (json_is(json_get(v, "name"), name))
            found = v;
    return found;
}

static enum value_state take(struct span text, char value[POD_VALUE_BYTES])
{
    if (text.n >= POD_VALUE_BYTES || (text.n != 0 && memchr(text.p, '\0', text.n) != NULL))
        return VALUE_HIDDEN;
    if (text.n != 0)
        memcpy(value, text.p, text.n);
    value[text.n] = '\0';
    return VALUE_READ;
}

/* metadata.labels['x'] -> x; SPAN_NONE otherwise. */
static struct span subscript(struct span path, struct span map)
{
    if (path.n < map.n + 4 || !span_has_prefix(path, map) || path.p[map.n] != '[' ||
        path.p[map.n + 1] != '\'' || path.p[path.n - 2] != '\'' || path.p[path.n - 1] != ']')
        return SPAN_NONE;
    return span_of(path.p + map.n + 2, path.n - map.n - 4);
}

static enum value_state field_value(const struct pod *p, struct span path,
                                    char value[POD_VALUE_BYTES])
{
    if (span_eq(path, SPAN_LIT("metadata.namespace")))
        return take(p->request->kubernetes_namespace, value);
    struct span label = subscript(path, SPAN_LIT("metadata.labels"));
    struct span annotation = subscript(path, SPAN_LIT("metadata.annotations"));
    if (label.n == 0 && annotation.n == 0)
        return VALUE_HIDDEN;
    const struct json_node *map = label.n != 0 ? p->labels : p->annotations;
    /* One that is not there is the empty text. */
    return take(json_string(json_member(map, label.n != 0 ? label : annotation)), value);
}

enum value_state pod_variable_value(const struct pod *p, const struct json_node *variable,
                                    char value[POD_VALUE_BYTES])
{
    if (variable == NULL)
        return VALUE_ABSENT;
    const struct json_node *from = json_get(variable, "valueFrom");
    if (from != NULL) {
        struct span path = json_string(json_get_path(from, "fieldRef.fieldPath"));
        return path.n == 0 ? VALUE_HIDDEN : field_value(p, path, value);
    }
    struct span text = json_string(json_get(variable, "value"));
    return text.n != 0 && memmem(text.p, text.n, "$(", 2) != NULL ? VALUE_HIDDEN
                                                                  : take(text, value);
}

enum value_state pod_container_value(const struct pod *p, const struct json_node *container,
                                     const char *name, char value[POD_VALUE_BYTES])
{
    const struct json_node *v = container_variable(container, name);
    const struct json_node *from = json_get(container, "envFrom");
    if (v == NULL)
        return from != NULL && from->count != 0 ? VALUE_HIDDEN : VALUE_ABSENT;
    return pod_variable_value(p, v, value);
}
