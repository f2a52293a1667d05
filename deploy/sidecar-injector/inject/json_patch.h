/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_patch - RFC 6902 as far as we write it: add, replace, remove; and their application.
 *
 * The applier is stricter than the one in the API server: no index with a leading zero, no "-" but
 * for add, no path without a leading slash, no operation on what is not there. What it takes, every
 * other applier takes in the same sense.
 */
#ifndef INJECT_JSON_PATCH_H
#define INJECT_JSON_PATCH_H

#include "inject/json_tree.h"

/* Appends "/" and token, escaped (RFC 6901: ~ is ~0, / is ~1). ERR_NOMEM. */
enum err json_pointer_append(struct buf *path, struct span token) ATTR_MUST_USE;

/* Apply the patch, an array of operations in t's arena or any other, to t->root. ERR_SYNTAX with
 * *ret_why (static); the tree is then half changed. ERR_NOMEM. */
enum err json_patch_apply(struct json_tree *t, const struct json_node *patch,
                          const char **ret_why) ATTR_MUST_USE;

#endif
