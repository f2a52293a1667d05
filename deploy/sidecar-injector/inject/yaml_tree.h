/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_tree - a file of YAML documents, or one of JSON, as json_trees whose nodes know their bytes.
 *
 * libyaml reads YAML; a file that begins with { or [ is read as JSON. Plain scalars are resolved as
 * kubectl's reader does where it matters here (null, booleans, numbers); everything else is a text.
 * An alias (*name) stands for what it names, but cannot be edited: has_alias says that a document
 * holds one.
 */
#ifndef INJECT_YAML_TREE_H
#define INJECT_YAML_TREE_H

#include "inject/json_tree.h"

enum { YAML_DOCUMENTS_MAX = 1024, YAML_ERROR_BYTES = 256 };

struct yaml_file {
    struct json_tree tree; /* of all documents */
    struct json_node *document[YAML_DOCUMENTS_MAX];
    bool has_alias[YAML_DOCUMENTS_MAX];
    unsigned documents;
    char error[YAML_ERROR_BYTES]; /* after ERR_SYNTAX: "line 3: …" */
};

/* Borrows text. ERR_SYNTAX, ERR_NOMEM. About 10 KiB. */
enum err yaml_file_parse(struct yaml_file *f, struct span text) ATTR_MUST_USE;
void yaml_file_deinit(struct yaml_file *f);

#endif
