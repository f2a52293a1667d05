/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/json_patch.h"

enum { TOKEN_BYTES_MAX = 512 };

enum err json_pointer_append(struct buf *path, struct span token)
{
    enum err e = buf_append_byte(path, '/');
    for (size_t i = 0; i < token.n && e == ERR_OK; i++) {
        if (token.p[i] == '~')
            e = buf_append(path, SPAN_LIT("~0"));
        else if (token.p[i] == '/')
            e = buf_append(path, SPAN_LIT("~1"));
        else
            e = buf_append_byte(path, token.p[i]);
    }
    return e;
}

/* One reference token of a pointer, decoded. */
struct token {
    uint8_t bytes[TOKEN_BYTES_MAX];
    size_t n;
};

/* Cuts the first token off *path, which begins with a slash. False: it is none. */
static bool next_token(struct span *path, struct token *ret_token)
{
    size_t at = 1;
    if (path->n == 0 || path->p[0] != '/')
        return false;
    ret_token->n = 0;
    for (; at < path->n && path->p[at] != '/'; at++) {
        uint8_t c = path->p[at];
        if (c == '~') {
            at++;
            if (at == path->n || (path->p[at] != '0' && path->p[at] != '1'))
                return false;
            c = path->p[at] == '0' ? '~' : '/';
        }
        if (ret_token->n == TOKEN_BYTES_MAX)
            return false;
        ret_token->bytes[ret_token->n++] = c;
    }
    *path = span_skip(*path, at);
    return true;
}

static struct span token_span(const struct token *t)
{
    return span_of(t->bytes, t->n);
}

/* Digits without a leading zero, below 10^6. */
static bool token_index(const struct token *t, size_t *ret_index)
{
    if (t->n == 0 || t->n > 6 || (t->n > 1 && t->bytes[0] == '0'))
        return false;
    size_t i = 0;
    for (size_t k = 0; k < t->n; k++) {
        if (t->bytes[k] < '0' || t->bytes[k] > '9')
            return false;
        i = i * 10 + (size_t)(t->bytes[k] - '0');
    }
    *ret_index = i;
    return true;
}

static struct json_node *step(const struct json_node *node, const struct token *t)
{
    size_t i;
    if (node->kind == JSON_ARRAY)
        return token_index(t, &i) ? json_at(node, i) : NULL;
    return json_member(node, token_span(t));
}

/* Where an operation happens: in parent, at token. */
struct target {
    struct json_node *parent, *node; /* node: NULL if not there */
    struct token token;
};

static bool find(struct json_node *root, struct span path, struct target *ret_target)
{
    ret_target->parent = NULL;
    ret_target->node = root;
    while (path.n != 0) {
        ret_target->parent = ret_target->node;
        if (ret_target->parent == NULL || !next_token(&path, &ret_target->token))
            return false;
        ret_target->node = step(ret_target->parent, &ret_target->token);
    }
    return ret_target->parent != NULL && ret_target->parent->kind >= JSON_ARRAY;
}

static enum err add(struct json_tree *t, struct target *at, const struct json_node *value,
                    const char **ret_why)
{
    if (at->parent->kind == JSON_OBJECT && at->node != NULL) {
        json_tree_replace(at->node, value);
        return ERR_OK;
    }
    size_t i = at->parent->count;
    bool at_end = at->token.n == 1 && at->token.bytes[0] == '-';
    if (at->parent->kind == JSON_ARRAY && !at_end &&
        (!token_index(&at->token, &i) || i > at->parent->count)) {
        *ret_why = "add beyond the end of a list";
        return ERR_SYNTAX;
    }
    struct json_node *node = json_tree_new(t, JSON_NULL);
    if (node == NULL || !json_tree_copy(t, token_span(&at->token), &node->key))
        return ERR_NOMEM;
    json_tree_replace(node, value);
    if (at->parent->kind == JSON_OBJECT)
        json_tree_append(at->parent, node);
    else
        json_tree_insert(at->parent, i, node);
    return ERR_OK;
}

static enum err apply_one(struct json_tree *t, const struct json_node *op, const char **ret_why)
{
    struct target at;
    const struct json_node *value = json_member(op, SPAN_LIT("value"));
    const struct json_node *path = json_get(op, "path");
    bool is_remove = json_is(json_get(op, "op"), "remove");
    bool is_add = json_is(json_get(op, "op"), "add");
    *ret_why = "an operation that is none of ours";
    if (path == NULL || path->kind != JSON_STRING || (value == NULL && !is_remove) ||
        (!is_remove && !is_add && !json_is(json_get(op, "op"), "replace")))
        return ERR_SYNTAX;
    *ret_why = "the path leads nowhere";
    if (!find(t->root, path->text, &at) || (at.node == NULL && !is_add))
        return ERR_SYNTAX;
    if (is_remove)
        json_tree_remove(at.parent, at.node);
    else if (is_add)
        return add(t, &at, value, ret_why);
    else
        json_tree_replace(at.node, value);
    return ERR_OK;
}

enum err json_patch_apply(struct json_tree *t, const struct json_node *patch, const char **ret_why)
{
    enum err e = ERR_OK;
    *ret_why = "the patch is no list";
    if (patch->kind != JSON_ARRAY)
        return ERR_SYNTAX;
    for (const struct json_node *op = patch->child; op != NULL && e == ERR_OK; op = op->next)
        e = apply_one(t, op, ret_why);
    return e;
}
