/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/ensure.h"

#include <stdlib.h>

#include "base/check.h"
#include "inject/inject_config.h"
#include "inject/pod.h"

/* ---- what covers what ---- */

/* "1000m" and "1" are one quantity; the API server writes the shortest form. */
static double quantity(struct span text)
{
    static const struct {
        const char *suffix;
        double factor;
    } units[] = {{"m", 1e-3},     {"k", 1e3},         {"M", 1e6},
                 {"G", 1e9},      {"T", 1e12},        {"Ki", 1024},
                 {"Mi", 1048576}, {"Gi", 1073741824}, {"Ti", 1099511627776}};
    char number[24];
    size_t n = 0;
    while (n < text.n && n + 1 < sizeof number &&
           ((text.p[n] >= '0' && text.p[n] <= '9') || text.p[n] == '.')) {
        number[n] = (char)text.p[n];
        n++;
    }
    number[n] = '\0';
    double value = strtod(number, NULL);
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (span_eq(span_skip(text, n), span_str(units[i].suffix)))
            value *= units[i].factor;
    return value;
}

static bool same_quantity(const struct json_node *a, const struct json_node *b)
{
    if (a->kind != JSON_STRING || b->kind != JSON_STRING || !inject_quantity_is_valid(a->text) ||
        !inject_quantity_is_valid(b->text))
        return false;
    double x = quantity(a->text), y = quantity(b->text), d = x > y ? x - y : y - x;
    return d <= x * 1e-9;
}

/* The element of list that is about the same thing: by name, else by mountPath. */
static const struct json_node *counterpart(const struct json_node *list,
                                           const struct json_node *element)
{
    static const char *const ids[] = {"mountPath", "name"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct span id = json_string(json_get(element, ids[i]));
        for (const struct json_node *m = list->child; id.n != 0 && m != NULL; m = m->next)
            if (span_eq(json_string(json_get(m, ids[i])), id))
                return m;
        if (id.n != 0)
            return NULL;
    }
    return NULL;
}

/* NOLINTNEXTLINE(misc-no-recursion): desired is ours and shallow */
bool ensure_covers(const struct json_node *present, const struct json_node *desired)
{
    if (present->kind != desired->kind)
        return false;
    if (desired->kind < JSON_ARRAY)
        return json_equal(present, desired) || same_quantity(present, desired);
    bool is_named = desired->kind == JSON_ARRAY && desired->child != NULL &&
                    desired->child->kind == JSON_OBJECT;
    if (desired->kind == JSON_ARRAY && !is_named)
        return json_equal(present, desired);
    for (const struct json_node *d = desired->child; d != NULL; d = d->next) {
        const struct json_node *p = is_named ? counterpart(present, d)
                                             : json_member(present, d->key);
        if (p == NULL || !ensure_covers(p, d))
            return false;
    }
    return true;
}

/* Our own text as a tree, or NULL with e->err. */
static struct json_node *parse_desired(struct edit *e, struct span json)
{
    struct json_node *desired = NULL;
    struct span copy;
    if (!json_tree_copy(e->tree, json, &copy)) {
        e->err = ERR_NOMEM;
        return NULL;
    }
    e->err = json_tree_parse_value(e->tree, copy, &desired);
    CHECK(e->err != ERR_SYNTAX);
    return e->err == ERR_OK ? desired : NULL;
}

/* ---- containers ---- */

/* Whatever would make a container do something else than its arguments say. A pod can come with a
 * container of our name and a status of its own making: a variable more (LD_PRELOAD) or a mount
 * more would run its author's code as the sidecar's user. */
static const char *const foreign[] = {
    "command",   "env", "envFrom",       "lifecycle",     "workingDir",        "stdin",
    "stdinOnce", "tty", "volumeDevices", "restartPolicy", "restartPolicyRules"};

static bool is_one_of(struct span key, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_eq(key, span_str(names[i])))
            return true;
    return false;
}

/* The platform (OpenShift) fills in a user where we left it out, and nothing else. */
static bool is_secure_as_desired(const struct json_node *present, const struct json_node *desired)
{
    static const char *const filled_in[] = {"runAsUser", "runAsGroup", "seLinuxOptions"};
    if (json_member(desired, SPAN_LIT("runAsUser")) != NULL)
        return json_equal(present, desired);
    for (const struct json_node *p = present->child; p != NULL; p = p->next) {
        const struct json_node *d = json_member(desired, p->key);
        if (d == NULL ? !is_one_of(p->key, filled_in, ARRAY_LEN(filled_in)) : !json_equal(p, d))
            return false;
    }
    return ensure_covers(present, desired);
}

static bool is_as_desired(const struct json_node *present, const struct json_node *desired)
{
    static const char *const exact[] = {"args", "lifecycle"};
    static const char *const nothing_more[] = {"env", "volumeMounts"};
    if (present->kind != desired->kind)
        return false;
    if (span_eq(desired->key, SPAN_LIT("securityContext")))
        return is_secure_as_desired(present, desired);
    if (is_one_of(desired->key, exact, ARRAY_LEN(exact)))
        return json_equal(present, desired);
    if (is_one_of(desired->key, nothing_more, ARRAY_LEN(nothing_more)) &&
        present->count != desired->count)
        return false;
    return ensure_covers(present, desired);
}

static void put_right(struct edit *e, const struct spot *container, const struct json_node *desired)
{
    for (const struct json_node *d = desired->child; d != NULL && e->err == ERR_OK; d = d->next) {
        const struct json_node *p = json_member(container->node, d->key);
        struct buf text = {0};
        if (p != NULL && is_as_desired(p, d))
            continue;
        char name[64];
        CHECK(d->key.n < sizeof name);
        memcpy(name, d->key.p, d->key.n);
        name[d->key.n] = '\0';
        e->err = json_tree_write(d, &text);
        if (e->err == ERR_OK)
            edit_set(e, container, name, buf_span(&text));
        buf_deinit(&text);
    }
    for (size_t i = 0; i < ARRAY_LEN(foreign) && e->err == ERR_OK; i++)
        if (json_member(desired, span_str(foreign[i])) == NULL)
            edit_remove_member(e, container, foreign[i]);
}

void ensure_first(struct edit *e, const struct spot *spec, const char *list, const char *name,
                  struct span json)
{
    struct spot all = spot_member(spec, list);
    size_t i = 0;
    if (e->err == ERR_OK && container_find(all.node, name, &i) != NULL && i != 0)
        edit_remove_index(e, &all, i);
    ensure_container(e, spec, list, name, json);
}

void ensure_container(struct edit *e, const struct spot *spec, const char *list, const char *name,
                      struct span json)
{
    struct json_node *desired;
    size_t i = 0;
    if (e->err != ERR_OK)
        return;
    struct spot all = edit_list(e, spec, list);
    if (e->err != ERR_OK)
        return;
    if (container_find(all.node, name, &i) == NULL) {
        edit_insert(e, &all, 0, json);
        return;
    }
    desired = parse_desired(e, json);
    if (desired == NULL)
        return;
    struct spot container = spot_index(&all, i);
    put_right(e, &container, desired);
}

void ensure_absent(struct edit *e, const struct spot *spec, const char *list, const char *name)
{
    struct spot all = spot_member(spec, list);
    size_t i = 0;
    while (e->err == ERR_OK && container_find(all.node, name, &i) != NULL)
        edit_remove_index(e, &all, i);
}

void ensure_named(struct edit *e, const struct spot *spec, const char *list, const char *name,
                  struct span json)
{
    size_t i = 0;
    if (e->err != ERR_OK)
        return;
    struct spot all = edit_list(e, spec, list);
    if (e->err != ERR_OK)
        return;
    const struct json_node *present = container_find(all.node, name, &i);
    const struct json_node *desired = present == NULL ? NULL : parse_desired(e, json);
    if (present == NULL)
        edit_insert(e, &all, 0, json);
    else if (desired != NULL && !ensure_covers(present, desired))
        edit_replace(e, &all, i, json);
}
