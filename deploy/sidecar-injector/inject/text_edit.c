/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text_edit.c - places, rendering, the walk over both trees, the new text.
 *
 * Recursion is over trees whose depth the readers limit.
 */
#include "inject/text_edit.h"

#include <stdlib.h>
#include <strings.h>

#include "wire/json_text.h"

struct change {
    size_t at, drop; /* offset, bytes taken out */
    size_t from, n;  /* in words: bytes put in, before what is taken out */
    size_t order;
};

struct text_edit {
    struct span text;
    struct buf changes; /* struct change, one behind the other */
    struct buf words;
    size_t count;
};

enum err text_edit_new(struct span text, struct text_edit **ret_edit)
{
    struct text_edit *e = calloc(1, sizeof *e);
    if (e == NULL)
        return ERR_NOMEM;
    e->text = text;
    *ret_edit = e;
    return ERR_OK;
}

void text_edit_free(struct text_edit **edit)
{
    struct text_edit *e = *edit;
    *edit = NULL;
    if (e == NULL)
        return;
    buf_deinit(&e->changes);
    buf_deinit(&e->words);
    free(e);
}

/* ---- places ---- */

static size_t line_start(const struct text_edit *e, size_t at)
{
    while (at != 0 && e->text.p[at - 1] != '\n')
        at--;
    return at;
}

/* The beginning of the line behind the one that holds the byte before at. */
static size_t line_after(const struct text_edit *e, size_t at)
{
    if (at != 0 && e->text.p[at - 1] == '\n')
        return at;
    const uint8_t *nl = at == e->text.n ? NULL : memchr(e->text.p + at, '\n', e->text.n - at);
    return nl == NULL ? e->text.n : (size_t)(nl - e->text.p) + 1;
}

static size_t column(const struct text_edit *e, size_t at)
{
    return at - line_start(e, at);
}

static bool is_one_line(const struct text_edit *e, size_t from, size_t to)
{
    return from == to || memchr(e->text.p + from, '\n', to - from) == NULL;
}

/* The dash of an element of a block: at the list's column, on the element's line or one above. */
static bool find_dash(const struct text_edit *e, const struct json_node *list,
                      const struct json_node *element, size_t *ret_at)
{
    size_t want = column(e, list->start), from = line_start(e, element->start);
    for (;;) {
        size_t at = from + want;
        if (at < element->start && at < e->text.n && e->text.p[at] == '-') {
            *ret_at = at;
            return true;
        }
        if (from <= list->start)
            return false;
        from = line_start(e, from - 1);
    }
}

/* Only blanks stand before at on its line. */
static bool is_first_on_line(const struct text_edit *e, size_t at)
{
    for (size_t i = line_start(e, at); i < at; i++)
        if (e->text.p[i] != ' ')
            return false;
    return true;
}

/* ---- changes ---- */

/* words from `from` on, at `at`, in the place of drop bytes. */
static enum err put_change(struct text_edit *e, size_t at, size_t drop, size_t from)
{
    struct change c = {at, drop, from, buf_len(&e->words) - from, e->count++};
    return buf_append(&e->changes, span_of(&c, sizeof c));
}

static enum err pad(struct buf *out, size_t n)
{
    enum err e = ERR_OK;
    while (n-- != 0 && e == ERR_OK)
        e = buf_append_byte(out, ' ');
    return e;
}

/* ---- rendering ---- */

static bool is_plain_key(struct span key)
{
    static const char *const words[] = {"y",   "n",    "yes",   "no",  "on",
                                        "off", "true", "false", "null"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (key.n == strlen(words[i]) && strncasecmp((const char *)key.p, words[i], key.n) == 0)
            return false;
    for (size_t i = 0; i < key.n; i++) {
        uint8_t c = key.p[i], lower = c | 0x20;
        if (!((lower >= 'a' && lower <= 'z') || (i != 0 && strchr("0123456789-_./", c) != NULL)))
            return false;
    }
    return key.n != 0;
}

static enum err put_key(struct buf *out, struct span key)
{
    enum err e = is_plain_key(key) ? buf_append(out, key) : json_text_append(out, key);
    return e == ERR_OK ? buf_append_byte(out, ':') : e;
}

static enum err put_block(struct buf *out, const struct json_node *node, size_t indent);

/* "- …" with its lines; the dash stands at indent. */
/* NOLINTNEXTLINE(misc-no-recursion): depth is limited, see above */
static enum err put_element(struct buf *out, const struct json_node *node, size_t indent)
{
    enum err e = buf_printf(out, "- ");
    if (node->kind != JSON_OBJECT || node->count == 0) {
        if (e == ERR_OK)
            e = json_tree_write(node, out);
        return e == ERR_OK ? buf_append_byte(out, '\n') : e;
    }
    for (const struct json_node *m = node->child; m != NULL && e == ERR_OK; m = m->next) {
        if (m != node->child)
            e = pad(out, indent + 2);
        if (e == ERR_OK)
            e = put_key(out, m->key);
        if (e == ERR_OK)
            e = put_block(out, m, indent + 2);
    }
    return e;
}

/* What follows "key:" of a key at column indent, its last newline included. */
/* NOLINTNEXTLINE(misc-no-recursion): depth is limited, see above */
static enum err put_block(struct buf *out, const struct json_node *node, size_t indent)
{
    if (node->kind < JSON_ARRAY || node->count == 0) {
        enum err e = buf_append_byte(out, ' ');
        if (e == ERR_OK)
            e = json_tree_write(node, out);
        return e == ERR_OK ? buf_append_byte(out, '\n') : e;
    }
    enum err e = buf_append_byte(out, '\n');
    for (const struct json_node *m = node->child; m != NULL && e == ERR_OK; m = m->next) {
        e = pad(out, indent + 2);
        if (e != ERR_OK)
            break;
        if (node->kind == JSON_ARRAY) {
            e = put_element(out, m, indent + 2);
            continue;
        }
        e = put_key(out, m->key);
        if (e == ERR_OK)
            e = put_block(out, m, indent + 2);
    }
    return e;
}

/* ---- one container of either kind ---- */

static size_t begin_of(const struct json_node *member)
{
    return member->key.p != NULL ? member->key_start : member->start;
}

/* In front of the first child of a { } or [ ]; of an empty one, inside. */
static enum err add_flow(struct text_edit *e, const struct json_node *before,
                         const struct json_node *node, const struct json_node *at_child)
{
    size_t from = buf_len(&e->words);
    enum err err = ERR_OK;
    if (before->kind == JSON_OBJECT) {
        err = json_text_append(&e->words, node->key);
        if (err == ERR_OK)
            err = buf_printf(&e->words, ": ");
    }
    if (err == ERR_OK)
        err = json_tree_write(node, &e->words);
    size_t at = begin_of(at_child);
    bool is_pretty = !is_one_line(e, before->start, at);
    if (err == ERR_OK)
        err = buf_printf(&e->words, is_pretty ? ",\n" : ", ");
    if (err == ERR_OK && is_pretty)
        err = pad(&e->words, column(e, at));
    return err == ERR_OK ? put_change(e, at, 0, from) : err;
}

/* first: a pair that stays. A line behind it if it is one line, else in front of its key. */
static enum err add_member(struct text_edit *e, const struct json_node *first,
                           const struct json_node *node)
{
    size_t from = buf_len(&e->words), col = column(e, first->key_start), at = first->key_start;
    bool behind = first->kind < JSON_ARRAY && is_one_line(e, first->key_start, first->end);
    enum err err = ERR_OK;
    if (behind) {
        at = line_after(e, first->end);
        if (at == e->text.n && e->text.p[at - 1] != '\n')
            err = buf_append_byte(&e->words, '\n');
        if (err == ERR_OK)
            err = pad(&e->words, col);
    }
    if (err == ERR_OK)
        err = put_key(&e->words, node->key);
    if (err == ERR_OK)
        err = put_block(&e->words, node, col);
    if (err == ERR_OK && !behind)
        err = pad(&e->words, col);
    return err == ERR_OK ? put_change(e, at, 0, from) : err;
}

static enum err add_element(struct text_edit *e, const struct json_node *list,
                            const struct json_node *node, const struct json_node *at_child)
{
    size_t dash, from = buf_len(&e->words);
    if (at_child == NULL || !find_dash(e, list, at_child, &dash))
        return ERR_LIMIT;
    size_t col = column(e, dash);
    bool whole = is_first_on_line(e, dash);
    enum err err = whole ? pad(&e->words, col) : ERR_OK;
    if (err == ERR_OK)
        err = put_element(&e->words, node, col);
    if (err == ERR_OK && !whole)
        err = pad(&e->words, col);
    return err == ERR_OK ? put_change(e, whole ? line_start(e, dash) : dash, 0, from) : err;
}

static enum err drop_lines(struct text_edit *e, size_t begin, size_t end)
{
    if (!is_first_on_line(e, begin))
        return ERR_LIMIT;
    size_t at = line_start(e, begin);
    return put_change(e, at, line_after(e, end) - at, buf_len(&e->words));
}

/* The whole value, as JSON. */
static enum err replace(struct text_edit *e, const struct json_node *before,
                        const struct json_node *after)
{
    size_t from = buf_len(&e->words);
    bool is_empty = before->start == before->end; /* "key:" and nothing */
    bool ends_line = !is_empty && e->text.p[before->end - 1] == '\n';
    enum err err = is_empty ? buf_append_byte(&e->words, ' ') : ERR_OK;
    if (err == ERR_OK)
        err = json_tree_write(after, &e->words);
    if (err == ERR_OK && ends_line)
        err = buf_append_byte(&e->words, '\n');
    return err == ERR_OK ? put_change(e, before->start, before->end - before->start, from) : err;
}

/* ---- the walk ---- */

static bool was_put_in(const struct json_node *node)
{
    return node->is_new && node->start == 0 && node->end == 0;
}

/* Its lines; behind a list's dash, what stands between it and the next key that stays. *member:
 * the last one that is gone. */
static enum err drop_member(struct text_edit *e, const struct json_node *after,
                            const struct json_node **member)
{
    const struct json_node *first = *member, *stays = first->next;
    if (is_first_on_line(e, first->key_start))
        return drop_lines(e, first->key_start, first->end);
    for (; stays != NULL && json_member(after, stays->key) == NULL; stays = stays->next)
        *member = stays;
    if (stays == NULL)
        return ERR_LIMIT;
    return put_change(e, first->key_start, stays->key_start - first->key_start, buf_len(&e->words));
}

/* The member of that name. Members keep their order but where some were put in or taken out, so it
 * is mostly *at, the one behind the last that was found: an object costs as much as it has members.
 */
static const struct json_node *member_at(const struct json_node *object, struct span key,
                                         const struct json_node **at)
{
    const struct json_node *m = *at;
    if (m == NULL || !span_eq(m->key, key))
        m = json_member(object, key);
    if (m != NULL)
        *at = m->next;
    return m;
}

/* NOLINTNEXTLINE(misc-no-recursion): depth is limited, see above */
static enum err note_object(struct text_edit *e, const struct json_node *before,
                            const struct json_node *after)
{
    enum err err = ERR_OK;
    const struct json_node *first = NULL; /* that stays */
    const struct json_node *at = after->child;
    for (const struct json_node *b = before->child; b != NULL && err == ERR_OK; b = b->next) {
        const struct json_node *a = member_at(after, b->key, &at);
        if (a == NULL) {
            err = drop_member(e, after, &b);
            continue;
        }
        first = first == NULL ? b : first;
        err = text_edit_note(e, b, a);
    }
    at = before->child;
    for (const struct json_node *a = after->child; a != NULL && err == ERR_OK; a = a->next) {
        if (member_at(before, a->key, &at) != NULL)
            continue;
        if (first == NULL)
            return ERR_LIMIT;
        err = before->is_flow ? add_flow(e, before, a, first) : add_member(e, first, a);
    }
    return err;
}

static enum err drop_element(struct text_edit *e, const struct json_node *list,
                             const struct json_node *element)
{
    size_t dash;
    return find_dash(e, list, element, &dash) ? drop_lines(e, dash, element->end) : ERR_LIMIT;
}

/* NOLINTNEXTLINE(misc-no-recursion): depth is limited, see above */
static enum err note_array(struct text_edit *e, const struct json_node *before,
                           const struct json_node *after)
{
    enum err err = ERR_OK;
    const struct json_node *b = before->child;
    for (const struct json_node *a = after->child; a != NULL && err == ERR_OK; a = a->next) {
        if (was_put_in(a)) {
            if (b == NULL)
                return ERR_LIMIT; /* everything of ours is put in front of something */
            err = before->is_flow ? add_flow(e, before, a, b) : add_element(e, before, a, b);
            continue;
        }
        for (; b != NULL && b->start != a->start && err == ERR_OK; b = b->next)
            err = drop_element(e, before, b);
        if (b == NULL)
            return ERR_LIMIT;
        if (err == ERR_OK)
            err = text_edit_note(e, b, a);
        b = b->next;
    }
    for (; b != NULL && err == ERR_OK; b = b->next)
        err = drop_element(e, before, b);
    return err;
}

/* Were children taken out, or is there none to put others in front of? */
static bool must_be_replaced(const struct json_node *before, const struct json_node *after)
{
    size_t kept = 0;
    for (const struct json_node *a = after->child; a != NULL; a = a->next)
        kept += !was_put_in(a);
    return before->is_flow && (kept != before->count || (before->count == 0 && after->count != 0));
}

/* NOLINTNEXTLINE(misc-no-recursion): depth is limited, see above */
enum err text_edit_note(struct text_edit *e, const struct json_node *before,
                        const struct json_node *after)
{
    if (after->is_new)
        return replace(e, before, after);
    if (before->kind < JSON_ARRAY)
        return ERR_OK;
    if (must_be_replaced(before, after))
        return json_equal(before, after) ? ERR_OK : replace(e, before, after);
    return before->kind == JSON_OBJECT ? note_object(e, before, after)
                                       : note_array(e, before, after);
}

/* ---- the new text ---- */

static int by_place(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

/* At one place, what is put in comes before what is taken out: noted in any order. */
enum err text_edit_write(struct text_edit *e, struct buf *out)
{
    struct change *all = (struct change *)(void *)e->changes.data; /* nothing is consumed */
    size_t done = 0;
    enum err err = ERR_OK;
    if (e->count != 0)
        qsort(all, e->count, sizeof *all, by_place);
    for (size_t i = 0; i < e->count && err == ERR_OK; i++) {
        const struct change *c = &all[i];
        if (c->at > done) {
            err = buf_append(out, span_head(span_skip(e->text, done), c->at - done));
            done = c->at;
        } else if (c->at < done && c->drop == 0 && i != 0 && all[i - 1].at != c->at) {
            return ERR_LIMIT; /* into something that was taken out */
        }
        if (err == ERR_OK)
            err = buf_append(out, span_of(buf_span(&e->words).p + c->from, c->n));
        if (c->at + c->drop > done)
            done = c->at + c->drop;
    }
    return err == ERR_OK ? buf_append(out, span_skip(e->text, done)) : err;
}
