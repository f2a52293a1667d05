/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/edit.h"

#include <stdio.h>

#include "base/check.h"
#include "inject/json_patch.h"
#include "wire/json_text.h"

void edit_deinit(struct edit *e)
{
    buf_deinit(&e->ops);
    *e = (struct edit){0};
}

/* ---- spots ---- */

struct spot spot_at(struct json_node *node, const char *path)
{
    struct spot s = {.node = node, .n = strlen(path)};
    CHECK(s.n < sizeof s.path);
    memcpy(s.path, path, s.n + 1);
    return s;
}

/* Our own names and indexes: they are short, or CHECK says so. */
static void extend(struct spot *s, const char *token)
{
    CHECK(s->n + 2 * strlen(token) + 2 < sizeof s->path);
    s->path[s->n++] = '/';
    for (; *token != '\0'; token++) {
        if (*token == '~' || *token == '/') {
            s->path[s->n++] = '~';
            s->path[s->n++] = *token == '~' ? '0' : '1';
        } else {
            s->path[s->n++] = *token;
        }
    }
    s->path[s->n] = '\0';
}

struct spot spot_member(const struct spot *parent, const char *name)
{
    struct spot s = *parent;
    s.node = json_member(parent->node, span_str(name));
    if (s.node != NULL && s.node->kind == JSON_NULL)
        s.node = NULL;
    extend(&s, name);
    return s;
}

struct spot spot_index(const struct spot *parent, size_t i)
{
    char text[24];
    struct spot s = *parent;
    snprintf(text, sizeof text, "%zu", i);
    s.node = json_at(parent->node, i);
    extend(&s, text);
    return s;
}

/* ---- operations ---- */

/* Writes {"op":…,"path":…,"value":…}; value.n == 0: none. */
static void note(struct edit *e, const char *op, const struct spot *at, struct span value)
{
    size_t before = buf_len(&e->ops);
    if (e->count == EDIT_OPS_MAX)
        e->err = ERR_LIMIT;
    if (e->err == ERR_OK)
        e->err = buf_printf(&e->ops, "%s{\"op\":\"%s\",\"path\":", e->count == 0 ? "" : ",", op);
    if (e->err == ERR_OK)
        e->err = json_text_append(&e->ops, span_of(at->path, at->n));
    if (e->err == ERR_OK && value.n != 0)
        e->err = buf_printf(&e->ops, ",\"value\":");
    if (e->err == ERR_OK && value.n != 0)
        e->err = buf_append(&e->ops, value);
    if (e->err == ERR_OK)
        e->err = buf_append_byte(&e->ops, '}');
    if (e->err == ERR_OK)
        e->count++;
    else
        buf_truncate(&e->ops, before);
}

/* value as a node of the tree that keeps its own text; NULL after a failure. */
static struct json_node *value_node(struct edit *e, struct span value)
{
    struct span copy;
    struct json_node *node = NULL;
    if (e->err != ERR_OK)
        return NULL;
    if (!json_tree_copy(e->tree, value, &copy)) {
        e->err = ERR_NOMEM;
        return NULL;
    }
    e->err = json_tree_parse_value(e->tree, copy, &node);
    CHECK(e->err != ERR_SYNTAX); /* we wrote it */
    if (e->err != ERR_OK)
        return NULL;
    node->is_new = true;
    node->start = node->end = 0;
    return node;
}

void edit_set(struct edit *e, const struct spot *parent, const char *name, struct span value)
{
    struct json_node *node = value_node(e, value);
    if (node == NULL)
        return;
    struct spot at = spot_member(parent, name);
    if (at.node != NULL && json_equal(at.node, node))
        return;
    note(e, at.node == NULL ? "add" : "replace", &at, value);
    if (e->err != ERR_OK)
        return;
    struct json_node *old = json_member(parent->node, span_str(name));
    if (old != NULL) {
        json_tree_replace(old, node);
    } else if (json_tree_copy(e->tree, span_str(name), &node->key)) {
        json_tree_append(parent->node, node);
    } else {
        e->err = ERR_NOMEM;
    }
}

void edit_insert(struct edit *e, const struct spot *array, size_t i, struct span value)
{
    struct json_node *node = value_node(e, value);
    if (node == NULL)
        return;
    struct spot at = spot_index(array, i);
    note(e, "add", &at, value);
    if (e->err == ERR_OK)
        json_tree_insert(array->node, i, node);
}

void edit_replace(struct edit *e, const struct spot *array, size_t i, struct span value)
{
    struct json_node *node = value_node(e, value);
    if (node == NULL)
        return;
    struct spot at = spot_index(array, i);
    if (json_equal(at.node, node))
        return;
    note(e, "replace", &at, value);
    if (e->err == ERR_OK)
        json_tree_replace(at.node, node);
}

static void remove_at(struct edit *e, const struct spot *parent, const struct spot *at)
{
    if (e->err != ERR_OK || at->node == NULL)
        return;
    note(e, "remove", at, SPAN_NONE);
    if (e->err == ERR_OK)
        json_tree_remove(parent->node, at->node);
}

void edit_remove_index(struct edit *e, const struct spot *array, size_t i)
{
    struct spot at = spot_index(array, i);
    remove_at(e, array, &at);
}

static struct spot made(struct edit *e, const struct spot *parent, const char *name,
                        struct span empty)
{
    struct spot at = spot_member(parent, name);
    if (at.node == NULL) {
        edit_set(e, parent, name, empty);
        at = spot_member(parent, name);
    }
    return at;
}

struct spot edit_list(struct edit *e, const struct spot *parent, const char *name)
{
    return made(e, parent, name, SPAN_LIT("[]"));
}

struct spot edit_object(struct edit *e, const struct spot *parent, const char *name)
{
    return made(e, parent, name, SPAN_LIT("{}"));
}
