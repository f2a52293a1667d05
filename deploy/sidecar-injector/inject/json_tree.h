/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_tree - a JSON document whose nodes know where they stand in it.
 *
 * For pods that are looked at in many places and changed in a few. cJSON would not do: its numbers
 * are doubles, its strings end at an escaped NUL, and it keeps no positions, which editing a file
 * in place needs. The parser is strict (RFC 8259): valid UTF-8, no duplicate names, nothing behind
 * the document, at most JSON_TREE_DEPTH_MAX levels.
 *
 * All nodes and decoded strings live in the tree's arena; strings without escapes borrow the input,
 * which must outlive the tree. Trees may be changed (json_tree_insert, json_tree_remove): nothing
 * is released before json_tree_deinit.
 */
#ifndef INJECT_JSON_TREE_H
#define INJECT_JSON_TREE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

enum { JSON_TREE_DEPTH_MAX = 64 };

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node {
    enum json_kind kind;
    bool is_flow;    /* YAML: [ ], { } or a scalar; JSON: always */
    bool is_alias;   /* YAML: *name, or merged from one; cannot be edited */
    bool is_new;     /* not as in the source: put there, or replaced; then start, end are the old */
    uint32_t count;  /* of children */
    struct span key; /* decoded; of an object's member */
    struct span text;  /* string: decoded; number, bool: as written */
    size_t start, end; /* offsets of the value in the source; end is behind its last byte */
    size_t key_start;  /* of an object's member */
    struct json_node *next, *child, *last;
};

struct json_arena_block;

/* Zeroed = empty; json_tree_deinit is safe on it. */
struct json_tree {
    struct json_arena_block *blocks; /* owned */
    size_t used;                     /* of the first block */
    size_t held_bytes;
    struct json_node *root;
    size_t error_at;   /* after ERR_SYNTAX: offset into the input */
    const char *error; /* after ERR_SYNTAX: static text */
};

/* Parse in. ERR_SYNTAX with error and error_at; ERR_NOMEM. Borrows in. */
enum err json_tree_parse(struct json_tree *t, struct span in) ATTR_MUST_USE;
/* Parse in as one more value of t's arena, for json_tree_insert. */
enum err json_tree_parse_value(struct json_tree *t, struct span in,
                               struct json_node **ret_node) ATTR_MUST_USE;
/* A copy of node and all below it in t's arena, as if it had been parsed there; its texts borrow
 * what node's do. NULL: no memory. */
struct json_node *json_tree_clone(struct json_tree *t, const struct json_node *node) ATTR_MUST_USE;
void json_tree_deinit(struct json_tree *t);
/* Memory of the tree's life; NULL if there is none. */
void *json_tree_alloc(struct json_tree *t, size_t n);
struct json_node *json_tree_new(struct json_tree *t, enum json_kind kind);
/* A copy of s in the arena. False: no memory. */
bool json_tree_copy(struct json_tree *t, struct span s, struct span *ret_copy) ATTR_MUST_USE;

/* Member of an object; NULL if there is none, it is null, or node is NULL or no object. */
const struct json_node *json_get(const struct json_node *node, const char *name);
struct json_node *json_member(const struct json_node *node, struct span name);
/* As json_get along a path of names, "spec.template.spec". */
const struct json_node *json_get_path(const struct json_node *node, const char *path);
/* Element i of an array; NULL beyond its end. */
struct json_node *json_at(const struct json_node *array, size_t i);
/* The text of a string; SPAN_NONE if node is NULL or no string. */
struct span json_string(const struct json_node *node);
bool json_is(const struct json_node *node, const char *text);
/* The literal true; false. */
bool json_true(const struct json_node *node);
bool json_false(const struct json_node *node);
/* A whole number 0 .. max; false otherwise. */
bool json_uint(const struct json_node *node, uint64_t max, uint64_t *ret_number);

/* Append node behind what parent holds; for readers. */
void json_tree_append(struct json_node *parent, struct json_node *node);
/* Put node before index i of an array, i <= count. */
void json_tree_insert(struct json_node *array, size_t i, struct json_node *node);
void json_tree_remove(struct json_node *parent, struct json_node *child);
/* Give *node another value; its name and place stay, and it is new. */
void json_tree_replace(struct json_node *node, const struct json_node *value);

/* Same value; the order of members does not count, numbers are compared as written. */
bool json_equal(const struct json_node *a, const struct json_node *b);
/* Two members of one name anywhere below node? *ret_name is the first such name. */
bool json_has_duplicates(const struct json_node *node, struct span *ret_name);
/* Append node as compact JSON. ERR_NOMEM. */
enum err json_tree_write(const struct json_node *node, struct buf *out) ATTR_MUST_USE;

#endif
