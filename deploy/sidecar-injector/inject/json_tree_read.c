/* SPDX-License-Identifier: Apache-2.0 */
/* json_tree_read.c - scalars, names that stand twice, the document without recursion. */
#include "inject/json_tree.h"

#include <stdlib.h>

#include "wire/json_text.h"

enum { SORT_ABOVE = 16 };

/* ---- scalars ---- */

struct reader {
    struct json_tree *tree;
    struct span in;
    size_t at;
    struct buf text; /* of the string being decoded */
};

static enum err wrong(struct reader *r, size_t at, const char *what)
{
    r->tree->error = what;
    r->tree->error_at = at;
    return ERR_SYNTAX;
}

static int peek(const struct reader *r)
{
    return r->at < r->in.n ? r->in.p[r->at] : -1;
}

static void skip_blanks(struct reader *r)
{
    for (int c = peek(r); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(r))
        r->at++;
}

/* The bytes of one character beyond ASCII that begins at p (RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF); 0 if it is none. */
static size_t utf8_bytes(const uint8_t *p, size_t n)
{
    uint8_t c = p[0];
    size_t want = c >= 0xc2 && c <= 0xdf   ? 2
                  : (c & 0xf0) == 0xe0     ? 3
                  : c >= 0xf0 && c <= 0xf4 ? 4
                                           : 0;
    if (want == 0 || n < want)
        return 0;
    uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < want; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return want;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* r->at stands behind the backslash. */
static enum err skip_escape(struct reader *r)
{
    switch (peek(r)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        r->at++;
        return ERR_OK;
    default:
        break;
    }
    if (peek(r) != 'u' || r->in.n - r->at < 5)
        return wrong(r, r->at, "an escape that JSON does not have");
    for (size_t i = 1; i < 5; i++)
        if (!is_hex(r->in.p[r->at + i]))
            return wrong(r, r->at, "an escape that JSON does not have");
    r->at += 5;
    return ERR_OK;
}

/* Bytes of a string that stand for themselves: all of ASCII but what is looked at below. */
static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* r->at stands on a byte that is not plain, nor the closing quote. */
static enum err skip_special(struct reader *r, bool *ret_escaped)
{
    uint8_t c = r->in.p[r->at];
    if (c < 0x20)
        return wrong(r, r->at, "a control character in a string");
    if (c == '\\') {
        *ret_escaped = true;
        r->at++;
        return skip_escape(r);
    }
    size_t n = utf8_bytes(r->in.p + r->at, r->in.n - r->at);
    if (n == 0)
        return wrong(r, r->at, "bytes that are not UTF-8");
    r->at += n;
    return ERR_OK;
}

/* The string at r->at; *ret_text borrows the input or the arena. */
static enum err read_string(struct reader *r, struct span *ret_text)
{
    size_t start = r->at++;
    bool escaped = false;
    for (;;) {
        while (r->at < r->in.n && is_plain(r->in.p[r->at]))
            r->at++;
        if (r->at >= r->in.n)
            return wrong(r, start, "a string does not end");
        if (r->in.p[r->at] == '"')
            break;
        enum err e = skip_special(r, &escaped);
        if (e != ERR_OK)
            return e;
    }
    r->at++;
    if (!escaped) {
        *ret_text = span_of(r->in.p + start + 1, r->at - start - 2);
        return ERR_OK;
    }
    buf_truncate(&r->text, 0);
    enum err e = json_text_decode(span_of(r->in.p + start, r->at - start), &r->text);
    if (e == ERR_OK && !json_tree_copy(r->tree, buf_span(&r->text), ret_text))
        e = ERR_NOMEM;
    return e;
}

static size_t skip_digits(struct reader *r)
{
    size_t start = r->at;
    while (peek(r) >= '0' && peek(r) <= '9')
        r->at++;
    return r->at - start;
}

static enum err read_number(struct reader *r, struct span *ret_text)
{
    size_t start = r->at;
    bool ok = true;
    if (peek(r) == '-')
        r->at++;
    if (peek(r) == '0')
        r->at++;
    else
        ok = skip_digits(r) != 0;
    if (ok && peek(r) == '.') {
        r->at++;
        ok = skip_digits(r) != 0;
    }
    if (ok && (peek(r) == 'e' || peek(r) == 'E')) {
        r->at++;
        if (peek(r) == '+' || peek(r) == '-')
            r->at++;
        ok = skip_digits(r) != 0;
    }
    *ret_text = span_of(r->in.p + start, r->at - start);
    return ok ? ERR_OK : wrong(r, start, "this is not JSON");
}

static enum err read_word(struct reader *r, struct json_node *node)
{
    static const struct {
        struct span word;
        enum json_kind kind;
    } words[] = {{SPAN_LIT("true"), JSON_BOOL},
                 {SPAN_LIT("false"), JSON_BOOL},
                 {SPAN_LIT("null"), JSON_NULL}};
    struct span rest = span_skip(r->in, r->at);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (!span_has_prefix(rest, words[i].word))
            continue;
        node->kind = words[i].kind;
        node->text = span_head(rest, words[i].word.n);
        r->at += words[i].word.n;
        return ERR_OK;
    }
    return wrong(r, r->at, "this is not JSON");
}

/* ---- the document ---- */

static int by_key(const void *a, const void *b)
{
    const struct json_node *const *x = a, *const *y = b;
    return span_cmp((*x)->key, (*y)->key);
}

/* As Go writes its maps: then no name stands twice. */
static bool is_sorted(const struct json_node *object)
{
    const struct json_node *m = object->child;
    while (m->next != NULL && span_cmp(m->key, m->next->key) < 0)
        m = m->next;
    return m->next == NULL;
}

/* A member of object whose name another one has, or NULL. Few members: each with each; many:
 * sorted, so that a hostile document costs n log n. *ret_error: no memory. */
static const struct json_node *duplicate(const struct json_node *object, enum err *ret_error)
{
    *ret_error = ERR_OK;
    if (object->count <= SORT_ABOVE) {
        for (const struct json_node *a = object->child; a != NULL; a = a->next)
            for (const struct json_node *b = object->child; b != a; b = b->next)
                if (span_eq(a->key, b->key))
                    return a;
        return NULL;
    }
    if (is_sorted(object))
        return NULL;
    const struct json_node **all = malloc(object->count * sizeof(*all)), *found = NULL;
    if (all == NULL) {
        *ret_error = ERR_NOMEM;
        return NULL;
    }
    size_t n = 0;
    for (const struct json_node *m = object->child; m != NULL; m = m->next)
        all[n++] = m;
    qsort(all, n, sizeof(*all), by_key);
    for (size_t i = 1; i < n && found == NULL; i++)
        if (span_eq(all[i - 1]->key, all[i]->key))
            found = all[i];
    free(all);
    return found;
}

/* NOLINTNEXTLINE(misc-no-recursion): depth is limited, to JSON_TREE_DEPTH_MAX */
bool json_has_duplicates(const struct json_node *node, struct span *ret_name)
{
    enum err e;
    const struct json_node *twice = node->kind == JSON_OBJECT ? duplicate(node, &e) : NULL;
    if (twice != NULL) {
        *ret_name = twice->key;
        return true;
    }
    for (const struct json_node *m = node->child; m != NULL; m = m->next)
        if (json_has_duplicates(m, ret_name))
            return true;
    return false;
}

/* "name" : in front of a member's value. */
static enum err read_key(struct reader *r, struct json_node *node)
{
    skip_blanks(r);
    if (peek(r) != '"')
        return wrong(r, r->at, "a member's name is missing");
    node->key_start = r->at;
    enum err e = read_string(r, &node->key);
    if (e != ERR_OK)
        return e;
    skip_blanks(r);
    if (peek(r) != ':')
        return wrong(r, r->at, "a colon is missing");
    r->at++;
    return ERR_OK;
}

/* The value's first byte; containers are only opened. */
static enum err read_begin(struct reader *r, struct json_node *node)
{
    skip_blanks(r);
    node->start = r->at;
    enum err e = ERR_OK;
    switch (peek(r)) {
    case '{':
    case '[':
        node->kind = peek(r) == '{' ? JSON_OBJECT : JSON_ARRAY;
        r->at++;
        return ERR_OK;
    case '"':
        node->kind = JSON_STRING;
        e = read_string(r, &node->text);
        break;
    case 't':
    case 'f':
    case 'n':
        e = read_word(r, node);
        break;
    default:
        node->kind = JSON_NUMBER;
        e = read_number(r, &node->text);
    }
    node->end = r->at;
    return e;
}

/* Does the open container end here? A comma in front of another value is passed. */
static enum err read_end(struct reader *r, struct json_node *open, bool *ret_ended)
{
    uint8_t close = open->kind == JSON_OBJECT ? '}' : ']';
    skip_blanks(r);
    *ret_ended = peek(r) == close;
    if (*ret_ended) {
        r->at++;
        open->end = r->at;
        enum err e = ERR_OK;
        const struct json_node *twice = open->kind == JSON_OBJECT ? duplicate(open, &e) : NULL;
        return twice == NULL ? e : wrong(r, twice->key_start, "a name stands twice in one object");
    }
    if (open->count == 0)
        return ERR_OK;
    if (peek(r) != ',')
        return wrong(r, r->at, "a comma or the end of a list is missing");
    r->at++;
    return ERR_OK;
}

static enum err read_value(struct reader *r, struct json_node **ret_root)
{
    struct json_node *open[JSON_TREE_DEPTH_MAX];
    unsigned depth = 0;
    *ret_root = json_tree_new(r->tree, JSON_NULL);
    enum err e = *ret_root == NULL ? ERR_NOMEM : read_begin(r, *ret_root);
    if (e == ERR_OK && (*ret_root)->kind >= JSON_ARRAY)
        open[depth++] = *ret_root;
    while (e == ERR_OK && depth != 0) {
        struct json_node *parent = open[depth - 1];
        bool ended;
        e = read_end(r, parent, &ended);
        if (e != ERR_OK || ended) {
            depth--;
            continue;
        }
        struct json_node *node = json_tree_new(r->tree, JSON_NULL);
        if (node == NULL)
            return ERR_NOMEM;
        if (parent->kind == JSON_OBJECT)
            e = read_key(r, node);
        if (e == ERR_OK)
            e = read_begin(r, node);
        if (e == ERR_OK && node->kind >= JSON_ARRAY) {
            if (depth == JSON_TREE_DEPTH_MAX)
                return wrong(r, node->start, "nested deeper than 64 levels");
            open[depth++] = node;
        }
        json_tree_append(parent, node);
    }
    return e;
}

enum err json_tree_parse_value(struct json_tree *t, struct span in, struct json_node **ret_node)
{
    struct reader r = {.tree = t, .in = in};
    struct json_node *node;
    enum err e = read_value(&r, &node);
    skip_blanks(&r);
    if (e == ERR_OK && r.at != in.n)
        e = wrong(&r, r.at, "something follows the JSON document");
    buf_deinit(&r.text);
    if (e == ERR_OK)
        *ret_node = node;
    return e;
}

enum err json_tree_parse(struct json_tree *t, struct span in)
{
    return json_tree_parse_value(t, in, &t->root);
}
