/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/ensure.h"

#include <stdlib.h>

#include "base/check.h"
#include "inject/inject_config.h"
#include "inject/pod.h"

/* ---- what is as it should be ---- */

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

/* The element of list that is about the same thing as desired's element i: by mountPath, by name,
 * else by place. */
static const struct json_node *counterpart(const struct json_node *list,
                                           const struct json_node *element, size_t i)
{
    static const char *const ids[] = {"mountPath", "name"};
    for (size_t k = 0; k < ARRAY_LEN(ids); k++) {
        struct span id = json_string(json_get(element, ids[k]));
        for (const struct json_node *m = list->child; id.n != 0 && m != NULL; m = m->next)
            if (span_eq(json_string(json_get(m, ids[k])), id))
                return m;
        if (id.n != 0)
            return NULL;
    }
    return json_at(list, i);
}

static bool is_one_of(struct span key, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_eq(key, span_str(names[i])))
            return true;
    return false;
}

/* Did the API server put member in, because it was left out (Kubernetes' pkg/apis/core/v1,
 * SetDefaults_*)? Whatever else is more than we wrote is somebody's wish: another mount, a path
 * within a volume, a file over the program's. */
static bool is_filled_in(const struct json_node *member)
{
    static const struct {
        const char *key, *value; /* NULL: any */
    } defaults[] = {
        {"terminationMessagePath", "/dev/termination-log"},
        {"resizePolicy", NULL}, /* whether new resources restart it */
        {"scheme", "HTTP"},
        {"successThreshold", "1"},
        {"apiVersion", "v1"}, /* of a fieldRef */
        {"divisor", "0"},
        {"defaultMode", "420"},
        {"expirationSeconds", "3600"},
        {"type", ""}, /* of a hostPath */
    };
    for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
        if (span_eq(member->key, span_str(defaults[i].key)))
            return defaults[i].value == NULL ||
                   ((member->kind == JSON_STRING || member->kind == JSON_NUMBER) &&
                    span_eq(member->text, span_str(defaults[i].value)));
    return member->kind == JSON_NULL;
}

/* Does present have a member that desired has not? Of requests and limits a LimitRange's defaults
 * may be more. */
static bool holds_more(const struct json_node *present, const struct json_node *desired)
{
    static const char *const open[] = {"limits", "requests"};
    if (is_one_of(desired->key, open, ARRAY_LEN(open)))
        return false;
    for (const struct json_node *p = present->child; p != NULL; p = p->next)
        if (json_member(desired, p->key) == NULL && !is_filled_in(p))
            return true;
    return false;
}

static bool is_text_list(const struct json_node *list)
{
    return list->kind == JSON_ARRAY && (list->child == NULL || list->child->kind != JSON_OBJECT);
}

/* Is present what was desired, and nothing more but what is_filled_in()? Quantities are compared by
 * what they mean. */
/* NOLINTNEXTLINE(misc-no-recursion): desired is ours and shallow */
static bool is_desired(const struct json_node *present, const struct json_node *desired)
{
    if (present->kind != desired->kind)
        return false;
    if (desired->kind < JSON_ARRAY)
        return json_equal(present, desired) || same_quantity(present, desired);
    if (is_text_list(desired))
        return json_equal(present, desired);
    if (desired->kind == JSON_ARRAY ? present->count != desired->count
                                    : holds_more(present, desired))
        return false;
    size_t i = 0;
    for (const struct json_node *d = desired->child; d != NULL; d = d->next) {
        const struct json_node *p = desired->kind == JSON_ARRAY ? counterpart(present, d, i++)
                                                                : json_member(present, d->key);
        if (p == NULL || !is_desired(p, d))
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

/* The platform (OpenShift) fills in a user where we left it out, and nothing else. */
static bool is_secure_as_desired(const struct json_node *present, const struct json_node *desired)
{
    static const char *const filled_in[] = {"runAsUser", "runAsGroup", "seLinuxOptions"};
    if (json_member(desired, SPAN_LIT("runAsUser")) != NULL || present->kind != JSON_OBJECT)
        return json_equal(present, desired);
    for (const struct json_node *p = present->child; p != NULL; p = p->next) {
        const struct json_node *d = json_member(desired, p->key);
        if (d == NULL ? !is_one_of(p->key, filled_in, ARRAY_LEN(filled_in)) : !json_equal(p, d))
            return false;
    }
    for (const struct json_node *d = desired->child; d != NULL; d = d->next)
        if (json_member(present, d->key) == NULL)
            return false;
    return true;
}

static bool is_member_as_desired(const struct json_node *present, const struct json_node *desired)
{
    static const char *const exact[] = {"args", "lifecycle"};
    if (span_eq(desired->key, SPAN_LIT("securityContext")))
        return is_secure_as_desired(present, desired);
    if (is_one_of(desired->key, exact, ARRAY_LEN(exact)))
        return json_equal(present, desired);
    return is_desired(present, desired);
}

/* Member by member: what others changed of ours. */
static void put_right(struct edit *e, const struct spot *container, const struct json_node *desired)
{
    for (const struct json_node *d = desired->child; d != NULL && e->err == ERR_OK; d = d->next) {
        const struct json_node *p = json_member(container->node, d->key);
        struct buf text = {0};
        if (p != NULL && is_member_as_desired(p, d))
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
    /* A pod can come with a container of our name and a status of its own making: a member that is
     * not ours (a command, a preloaded library's variable, a message's file over the program)
     * could run its author's code as the sidecar's user. */
    if (container.node->kind != JSON_OBJECT || holds_more(container.node, desired))
        edit_replace(e, &all, i, json);
    else
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
    else if (desired != NULL && !is_desired(present, desired))
        edit_replace(e, &all, i, json);
}
