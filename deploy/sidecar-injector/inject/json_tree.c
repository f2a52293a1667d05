/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree.c - the arena, copying, looking, changing, comparing, writing; json_tree_read.c reads.
 *
 * Recursion below is over trees whose depth the readers limit to JSON_TREE_DEPTH_MAX; a patch adds
 * at most as many levels again.
 */
#include "inject/json_tree.h"

#include <stdlib.h>

#include "base/check.h"
#include "wire/json_text.h"

/* ---- the arena ---- */

enum { BLOCK_BYTES = 64 * 1024 };

struct json_arena_block {
    struct json_arena_block *next;
    size_t bytes;
    _Alignas(max_align_t) uint8_t data[];
};

void *json_tree_alloc(struct json_tree *t, size_t n)
{
    n = (n + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
    if (t->blocks == NULL || t->blocks->bytes - t->used < n) {
        /* Small documents get small blocks. */
        size_t want = t->held_bytes < BLOCK_BYTES ? BLOCK_BYTES / 8 : BLOCK_BYTES;
        size_t bytes = n > want ? n : want;
        struct json_arena_block *b = malloc(sizeof *b + bytes);
        if (b == NULL)
            return NULL;
        *b = (struct json_arena_block){.next = t->blocks, .bytes = bytes};
        t->blocks = b;
        t->used = 0;
        t->held_bytes += bytes;
    }
    void *p = t->blocks->data + t->used;
    t->used += n;
    return p;
}

void json_tree_deinit(struct json_tree *t)
{
    while (t->blocks != NULL) {
        struct json_arena_block *next = t->blocks->next;
        free(t->blocks);
        t->blocks = next;
    }
    *t = (struct json_tree){0};
}

struct json_node *json_tree_new(struct json_tree *t, enum json_kind kind)
{
    struct json_node *node = json_tree_alloc(t, sizeof *node);
    if (node != NULL)
        *node = (struct json_node){.kind = kind, .is_flow = true};
    return node;
}

bool json_tree_copy(struct json_tree *t, struct span s, struct span *ret_copy)
{
    uint8_t *p = json_tree_alloc(t, s.n + 1);
    if (p == NULL)
        return false;
    if (s.n != 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    *ret_copy = span_of(p, s.n);
    return true;
}

/* ---- copying ---- */

/* NOLINTNEXTLINE(misc-no-recursion): depth is limited, see above */
struct json_node *json_tree_clone(struct json_tree *t, const struct json_node *node)
{
    struct json_node *copy = json_tree_new(t, node->kind);
    if (copy == NULL)
        return NULL;
    copy->key = node->key;
    copy->text = node->text;
    for (const struct json_node *m = node->child; m != NULL; m = m->next) {
        struct json_node *child = json_tree_clone(t, m);
        if (child == NULL)
            return NULL;
        json_tree_append(copy, child);
    }
    return copy;
}

/* ---- looking ---- */

struct json_node *json_member(const struct json_node *node, struct span name)
{
    if (node == NULL || node->kind != JSON_OBJECT)
        return NULL;
    for (struct json_node *m = node->child; m != NULL; m = m->next)
        if (span_eq(m->key, name))
            return m;
    return NULL;
}

const struct json_node *json_get(const struct json_node *node, const char *name)
{
    const struct json_node *m = json_member(node, span_str(name));
    return m == NULL || m->kind == JSON_NULL ? NULL : m;
}

const struct json_node *json_get_path(const struct json_node *node, const char *path)
{
    while (node != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        node = json_member(node, span_of(path, n));
        if (node != NULL && node->kind == JSON_NULL)
            node = NULL;
        path += n + (path[n] == '.');
    }
    return node;
}

struct json_node *json_at(const struct json_node *array, size_t i)
{
    if (array == NULL || array->kind != JSON_ARRAY || i >= array->count)
        return NULL;
    struct json_node *node = array->child;
    while (i-- != 0)
        node = node->next;
    return node;
}

struct span json_string(const struct json_node *node)
{
    return node != NULL && node->kind == JSON_STRING ? node->text : SPAN_NONE;
}

bool json_is(const struct json_node *node, const char *text)
{
    return node != NULL && node->kind == JSON_STRING && span_eq(node->text, span_str(text));
}

bool json_true(const struct json_node *node)
{
    return node != NULL && node->kind == JSON_BOOL && node->text.p[0] == 't';
}

bool json_false(const struct json_node *node)
{
    return node != NULL && node->kind == JSON_BOOL && node->text.p[0] == 'f';
}

bool json_uint(const struct json_node *node, uint64_t max, uint64_t *ret_number)
{
    if (node == NULL || node->kind != JSON_NUMBER || node->text.n > 18)
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < node->text.n; i++) {
        if (node->text.p[i] < '0' || node->text.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(node->text.p[i] - '0');
    }
    if (n > max)
        return false;
    *ret_number = n;
    return true;
}

/* ---- changing ---- */

void json_tree_append(struct json_node *parent, struct json_node *node)
{
    node->next = NULL;
    if (parent->last == NULL)
        parent->child = node;
    else
        parent->last->next = node;
    parent->last = node;
    parent->count++;
}

void json_tree_insert(struct json_node *array, size_t i, struct json_node *node)
{
    CHECK(i <= array->count);
    if (i == array->count) {
        json_tree_append(array, node);
        return;
    }
    struct json_node **link = &array->child;
    while (i-- != 0)
        link = &(*link)->next;
    node->next = *link;
    *link = node;
    array->count++;
}

void json_tree_remove(struct json_node *parent, struct json_node *child)
{
    struct json_node **link = &parent->child, *before = NULL;
    while (*link != child) {
        CHECK(*link != NULL);
        before = *link;
        link = &(*link)->next;
    }
    *link = child->next;
    if (parent->last == child)
        parent->last = before;
    parent->count--;
}

void json_tree_replace(struct json_node *node, const struct json_node *value)
{
    struct json_node old = *node;
    *node = *value;
    node->key = old.key;
    node->key_start = old.key_start;
    node->next = old.next;
    node->start = old.start;
    node->end = old.end;
    node->is_flow = old.is_flow;
    node->is_alias = old.is_alias;
    node->is_new = true;
}

/* ---- comparing, writing ---- */

/* Copies borrow the bytes of what they were made of. */
static bool is_same(struct span a, struct span b)
{
    return a.n == b.n && (a.p == b.p || span_eq(a, b));
}

/* NOLINTNEXTLINE(misc-no-recursion): depth is limited, see above */
bool json_equal(const struct json_node *a, const struct json_node *b)
{
    if (a->kind != b->kind || a->count != b->count)
        return false;
    if (a->kind < JSON_ARRAY)
        return a->kind == JSON_NULL || is_same(a->text, b->text);
    const struct json_node *y = b->child;
    for (const struct json_node *x = a->child; x != NULL; x = x->next, y = y->next) {
        const struct json_node *other = y;
        if (a->kind == JSON_OBJECT && !is_same(x->key, y->key))
            other = json_member(b, x->key);
        if (other == NULL || !json_equal(x, other))
            return false;
    }
    return true;
}

static enum err write_scalar(const struct json_node *node, struct buf *out)
{
    if (node->kind == JSON_STRING)
        return json_text_append(out, node->text);
    return buf_append(out, node->kind == JSON_NULL ? SPAN_LIT("null") : node->text);
}

/* NOLINTNEXTLINE(misc-no-recursion): depth is limited, see above */
enum err json_tree_write(const struct json_node *node, struct buf *out)
{
    if (node->kind < JSON_ARRAY)
        return write_scalar(node, out);
    bool is_object = node->kind == JSON_OBJECT;
    enum err e = buf_append_byte(out, is_object ? '{' : '[');
    for (const struct json_node *m = node->child; m != NULL && e == ERR_OK; m = m->next) {
        if (m != node->child)
            e = buf_append_byte(out, ',');
        if (e == ERR_OK && is_object)
            e = json_text_append(out, m->key);
        if (e == ERR_OK && is_object)
            e = buf_append_byte(out, ':');
        if (e == ERR_OK)
            e = json_tree_write(m, out);
    }
    return e == ERR_OK ? buf_append_byte(out, is_object ? '}' : ']') : e;
}
