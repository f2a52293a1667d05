/* SPDX-License-Identifier: Apache-2.0 */
/* yaml_tree.c - offsets, scalars, events to nodes, the file. */
#include "inject/yaml_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

struct reader {
    struct yaml_file *f;
    struct span text;
    yaml_parser_t parser;
    uint32_t *byte_of; /* of each character; NULL: the text is ASCII */
    struct json_node *open[JSON_TREE_DEPTH_MAX];
    unsigned depth;
    bool has_key; /* of the open mapping: key is set */
    struct span key;
    size_t key_start;
    struct {
        struct span name;
        const struct json_node *node;
    } anchor[64];
    unsigned anchors;
};

static enum err fail(struct reader *r, size_t line, const char *what)
{
    snprintf(r->f->error, sizeof r->f->error, "line %zu: %s", line + 1, what);
    return ERR_SYNTAX;
}

/* ---- offsets: libyaml counts characters ---- */

static bool map_offsets(struct reader *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->text.n; i++)
        n += r->text.p[i] < 0x80;
    if (n == r->text.n)
        return true;
    r->byte_of = malloc((r->text.n + 1) * sizeof *r->byte_of);
    n = 0;
    for (size_t i = 0; r->byte_of != NULL && i < r->text.n; i++)
        if ((r->text.p[i] & 0xc0) != 0x80)
            r->byte_of[n++] = (uint32_t)i;
    if (r->byte_of != NULL)
        for (; n <= r->text.n; n++)
            r->byte_of[n] = (uint32_t)r->text.n;
    return r->byte_of != NULL;
}

static size_t offset(const struct reader *r, const yaml_mark_t *mark)
{
    size_t i = mark->index < r->text.n ? mark->index : r->text.n;
    return r->byte_of == NULL ? i : r->byte_of[i];
}

/* ---- scalars ---- */

static bool is_one_of(struct span s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (span_eq(s, span_str(words[i])))
            return true;
    return false;
}

/* A number as JSON writes it; octal, hexadecimal and the like stay texts, nobody asks. */
static bool is_json_number(struct span s)
{
    struct json_tree t = {0};
    bool is = s.n != 0 && (s.p[0] == '-' || (s.p[0] >= '0' && s.p[0] <= '9')) &&
              json_tree_parse(&t, s) == ERR_OK && t.root->kind == JSON_NUMBER;
    json_tree_deinit(&t);
    return is;
}

static void resolve_plain(struct json_node *node)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const trues[] = {"true", "True", "TRUE", "yes", "Yes",
                                        "YES",  "on",   "On",   "ON"};
    static const char *const falses[] = {"false", "False", "FALSE", "no", "No",
                                         "NO",    "off",   "Off",   "OFF"};
    if (is_one_of(node->text, nulls, ARRAY_LEN(nulls))) {
        node->kind = JSON_NULL;
    } else if (is_one_of(node->text, trues, ARRAY_LEN(trues))) {
        node->kind = JSON_BOOL;
        node->text = SPAN_LIT("true");
    } else if (is_one_of(node->text, falses, ARRAY_LEN(falses))) {
        node->kind = JSON_BOOL;
        node->text = SPAN_LIT("false");
    } else if (is_json_number(node->text)) {
        node->kind = JSON_NUMBER;
    }
}

/* ---- events ---- */

/* Where a whole node goes: the document's root, a mapping's value, a list's element. */
static enum err place(struct reader *r, struct json_node *node, size_t line)
{
    struct yaml_file *f = r->f;
    if (r->depth == 0) {
        f->document[f->documents - 1] = node;
        return ERR_OK;
    }
    struct json_node *parent = r->open[r->depth - 1];
    if (parent->kind == JSON_OBJECT) {
        if (!r->has_key)
            return fail(r, line, "a key that is no text");
        node->key = r->key;
        node->key_start = r->key_start;
        r->has_key = false;
    }
    json_tree_append(parent, node);
    return ERR_OK;
}

static enum err remember(struct reader *r, const yaml_char_t *name, const struct json_node *node)
{
    if (name == NULL)
        return ERR_OK;
    if (r->anchors == ARRAY_LEN(r->anchor))
        return fail(r, r->parser.mark.line, "more than 64 anchors");
    if (!json_tree_copy(&r->f->tree, span_str((const char *)name), &r->anchor[r->anchors].name))
        return ERR_NOMEM;
    r->anchor[r->anchors++].node = node;
    return ERR_OK;
}

static enum err on_scalar(struct reader *r, const yaml_event_t *e)
{
    struct span text = span_of(e->data.scalar.value, e->data.scalar.length);
    bool is_key = r->depth != 0 && r->open[r->depth - 1]->kind == JSON_OBJECT && !r->has_key;
    struct span copy;
    if (!json_tree_copy(&r->f->tree, text, &copy))
        return ERR_NOMEM;
    if (is_key) {
        r->has_key = true;
        r->key = copy;
        r->key_start = offset(r, &e->start_mark);
        return ERR_OK;
    }
    struct json_node *node = json_tree_new(&r->f->tree, JSON_STRING);
    if (node == NULL)
        return ERR_NOMEM;
    node->text = copy;
    node->start = offset(r, &e->start_mark);
    node->end = offset(r, &e->end_mark);
    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && e->data.scalar.tag == NULL)
        resolve_plain(node);
    enum err err = remember(r, e->data.scalar.anchor, node);
    return err == ERR_OK ? place(r, node, e->start_mark.line) : err;
}

static enum err on_open(struct reader *r, const yaml_event_t *e)
{
    bool is_map = e->type == YAML_MAPPING_START_EVENT;
    struct json_node *node = json_tree_new(&r->f->tree, is_map ? JSON_OBJECT : JSON_ARRAY);
    if (node == NULL)
        return ERR_NOMEM;
    if (r->depth == JSON_TREE_DEPTH_MAX)
        return fail(r, e->start_mark.line, "nested deeper than 64 levels");
    node->is_flow = is_map ? e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE
                           : e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    node->start = offset(r, &e->start_mark);
    enum err err = remember(
        r, is_map ? e->data.mapping_start.anchor : e->data.sequence_start.anchor, node);
    if (err == ERR_OK)
        err = place(r, node, e->start_mark.line);
    r->open[r->depth++] = node;
    return err;
}

/* A block ends with its last line, not where libyaml noticed it. */
static void on_close(struct reader *r, const yaml_event_t *e)
{
    struct json_node *node = r->open[--r->depth];
    node->end = node->is_flow        ? offset(r, &e->end_mark)
                : node->last != NULL ? node->last->end
                                     : node->start;
    r->has_key = false;
}

static enum err on_alias(struct reader *r, const yaml_event_t *e)
{
    struct span name = span_str((const char *)e->data.alias.anchor);
    for (unsigned i = r->anchors; i-- != 0;) {
        if (!span_eq(r->anchor[i].name, name))
            continue;
        struct json_node *node = json_tree_new(&r->f->tree, JSON_NULL);
        if (node == NULL)
            return ERR_NOMEM;
        *node = *r->anchor[i].node;
        node->is_alias = true;
        node->start = offset(r, &e->start_mark);
        node->end = offset(r, &e->end_mark);
        r->f->has_alias[r->f->documents - 1] = true;
        return place(r, node, e->start_mark.line);
    }
    return fail(r, e->start_mark.line, "an alias without its anchor");
}

static enum err on_event(struct reader *r, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->f->documents == YAML_DOCUMENTS_MAX)
            return fail(r, e->start_mark.line, "more than 1024 documents");
        r->f->document[r->f->documents++] = NULL;
        r->anchors = 0;
        return ERR_OK;
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e);
    case YAML_ALIAS_EVENT:
        return on_alias(r, e);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return on_open(r, e);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        on_close(r, e);
        return ERR_OK;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return ERR_OK;
    }
    return ERR_OK;
}

static enum err read_events(struct reader *r)
{
    enum err e = ERR_OK;
    for (bool more = true; more && e == ERR_OK;) {
        yaml_event_t event;
        if (yaml_parser_parse(&r->parser, &event) == 0)
            return r->parser.error == YAML_MEMORY_ERROR
                       ? ERR_NOMEM
                       : fail(r, r->parser.problem_mark.line,
                              r->parser.problem == NULL ? "not YAML" : r->parser.problem);
        more = event.type != YAML_STREAM_END_EVENT;
        e = on_event(r, &event);
        yaml_event_delete(&event);
    }
    return e;
}

/* ---- the file ---- */

static enum err parse_json(struct yaml_file *f, struct span text)
{
    enum err e = json_tree_parse(&f->tree, text);
    if (e == ERR_SYNTAX) {
        size_t line = 1;
        for (size_t i = 0; i < f->tree.error_at && i < text.n; i++)
            line += text.p[i] == '\n';
        snprintf(f->error, sizeof f->error, "line %zu: %s", line, f->tree.error);
    }
    if (e == ERR_OK)
        f->document[f->documents++] = f->tree.root;
    return e;
}

static enum err parse_yaml(struct yaml_file *f, struct span text)
{
    struct reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ERR_NOMEM;
    r->f = f;
    r->text = text;
    enum err e = map_offsets(r) && yaml_parser_initialize(&r->parser) == 1 ? ERR_OK : ERR_NOMEM;
    if (e == ERR_OK) {
        const yaml_char_t *p = text.n == 0 ? (const yaml_char_t *)"" : text.p;
        yaml_parser_set_input_string(&r->parser, p, text.n);
        yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
        e = read_events(r);
        yaml_parser_delete(&r->parser);
    }
    free(r->byte_of);
    free(r);
    return e;
}

enum err yaml_file_parse(struct yaml_file *f, struct span text)
{
    *f = (struct yaml_file){.documents = 0};
    size_t at = 0;
    while (at < text.n && strchr(" \t\r\n", text.p[at]) != NULL && text.p[at] != '\0')
        at++;
    if (span_has_prefix(text, SPAN_LIT("\xef\xbb\xbf"))) {
        snprintf(f->error, sizeof f->error, "line 1: a byte order mark; take it out");
        return ERR_SYNTAX;
    }
    bool is_json = at < text.n && (text.p[at] == '{' || text.p[at] == '[');
    enum err e = is_json ? parse_json(f, text) : parse_yaml(f, text);
    struct span twice;
    for (unsigned i = 0; i < f->documents && e == ERR_OK && !is_json; i++)
        if (f->document[i] != NULL && json_has_duplicates(f->document[i], &twice)) {
            snprintf(f->error, sizeof f->error,
                     "line 1: the key \"%.*s\" stands twice in one mapping",
                     (int)(twice.n < 60 ? twice.n : 60), (const char *)twice.p);
            e = ERR_SYNTAX;
        }
    return e;
}

void yaml_file_deinit(struct yaml_file *f)
{
    json_tree_deinit(&f->tree);
    f->documents = 0;
}
