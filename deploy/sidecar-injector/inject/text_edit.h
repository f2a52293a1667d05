/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_edit - the bytes of a file, changed where its tree was: nothing else moves, comments and
 * blanks included.
 *
 *   before, after: two trees of the same text; after was edited (edit.h)
 *
 * In blocks whole lines are put in and taken out, with the columns of their neighbours; inside { }
 * and [ ], and in the place of a value, JSON is written, which is YAML too. The caller parses the
 * result and compares: a file that this cannot edit is refused, never spoilt.
 */
#ifndef INJECT_TEXT_EDIT_H
#define INJECT_TEXT_EDIT_H

#include "inject/json_tree.h"

struct text_edit; /* a list of changes */

enum err text_edit_new(struct span text, struct text_edit **ret_edit) ATTR_MUST_USE;
void text_edit_free(struct text_edit **e);
/* Note what makes before's text say what after says. ERR_NOMEM; ERR_LIMIT: it cannot be done. */
enum err text_edit_note(struct text_edit *e, const struct json_node *before,
                        const struct json_node *after) ATTR_MUST_USE;
/* Append the changed text. */
enum err text_edit_write(struct text_edit *e, struct buf *out) ATTR_MUST_USE;

#endif
