/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patch_apply - our applier of JSON patches, spoken to as json-patch-oracle (main.go) is: each line
 * of standard input is {"doc": OBJECT, "patch": [...]}, each line of output the document or "error:
 * why".
 */
#include <stdio.h>
#include <stdlib.h>

#include "inject/json_patch.h"
#include "inject/json_tree.h"

static enum err answer(struct span line, struct buf *out)
{
    struct json_tree question = {0}, doc = {0};
    struct buf text = {0};
    const char *why = "not a question";
    enum err e = json_tree_parse(&question, line);
    const struct json_node *patch = e == ERR_OK ? json_get(question.root, "patch") : NULL;
    const struct json_node *given = e == ERR_OK ? json_get(question.root, "doc") : NULL;
    e = patch == NULL || given == NULL ? ERR_SYNTAX : json_tree_write(given, &text);
    if (e == ERR_OK)
        e = json_tree_parse(&doc, buf_span(&text));
    if (e == ERR_OK)
        e = json_patch_apply(&doc, patch, &why);
    e = e == ERR_OK ? json_tree_write(doc.root, out) : buf_printf(out, "error: %s", why);
    buf_deinit(&text);
    json_tree_deinit(&doc);
    json_tree_deinit(&question);
    return e;
}

int main(void)
{
    char *line = NULL;
    size_t held = 0;
    ssize_t n;
    int status = 0;
    while (status == 0 && (n = getline(&line, &held, stdin)) > 0) {
        struct buf out = {0};
        status = answer(span_of(line, (size_t)n), &out) != ERR_OK ||
                 fwrite(buf_span(&out).p, 1, buf_len(&out), stdout) != buf_len(&out) ||
                 putchar('\n') == EOF || fflush(stdout) != 0;
        buf_deinit(&out);
    }
    free(line);
    return status;
}
