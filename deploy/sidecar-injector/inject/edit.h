/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit - change a tree and write down, as a JSON patch, what was changed.
 *
 * Each change is made at once, so a path always means the document as it is at that moment, which
 * is how a patch is read too. What is already as wanted is not touched and costs no operation: an
 * edit of its own result is empty.
 */
#ifndef INJECT_EDIT_H
#define INJECT_EDIT_H

#include "inject/json_tree.h"

enum {
    EDIT_PATH_BYTES = 640,
    /* Operations of one patch: a pod of a hundred containers needs some hundreds; each costs a
     * walk of the lists on its path. */
    EDIT_OPS_MAX = 4096
};

struct edit {
    struct json_tree *tree; /* shares; values are put into its arena */
    struct buf ops;         /* owned; "op,op,…" without brackets */
    unsigned count;
    enum err err; /* the first failure; nothing is done after it. ERR_LIMIT: EDIT_OPS_MAX */
};

/* A node and the way to it. node NULL: not there, or null. */
struct spot {
    struct json_node *node;
    size_t n; /* bytes of path */
    char path[EDIT_PATH_BYTES];
};

void edit_deinit(struct edit *e);

/* path: a JSON pointer to node, "" for the root. */
struct spot spot_at(struct json_node *node, const char *path);
struct spot spot_member(const struct spot *parent, const char *name);
struct spot spot_index(const struct spot *parent, size_t i);

/* The member name of parent, which is an object that is there, becomes the JSON text value. */
void edit_set(struct edit *e, const struct spot *parent, const char *name, struct span value);
/* Put value before index i of the array. */
void edit_insert(struct edit *e, const struct spot *array, size_t i, struct span value);
/* Replace element i of the array. */
void edit_replace(struct edit *e, const struct spot *array, size_t i, struct span value);
void edit_remove_index(struct edit *e, const struct spot *array, size_t i);
/* The member as a list or an object: made, "[]" or "{}", if it is absent or null. */
struct spot edit_list(struct edit *e, const struct spot *parent, const char *name);
struct spot edit_object(struct edit *e, const struct spot *parent, const char *name);

#endif
