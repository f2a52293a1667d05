/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_splice - the walk (blanks, strings, numbers, values without recursion), then the writer.
 *
 * Every skip function returns the byte behind what it skipped, or NULL.
 */
#include "wire/json_splice.h"

#include "wire/json_text.h"

static const uint8_t *skip_blanks(const uint8_t *p, const uint8_t *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
        p++;
    return p;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* p stands on "\"; *ret_char: what it means, -1 = beyond ASCII. */
static const uint8_t *skip_escape(const uint8_t *p, const uint8_t *end, int *ret_char)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (end - p < 2)
        return NULL;
    const char *simple = p[1] == '\0' ? NULL : strchr(from, p[1]);
    if (simple != NULL) {
        *ret_char = (unsigned char)to[simple - from];
        return p + 2;
    }
    if (p[1] != 'u' || end - p < 6)
        return NULL;
    int code = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return NULL;
        code = code * 16 + digit;
    }
    *ret_char = code < 0x80 ? code : -1;
    return p + 6;
}

/* p stands where a quote must be. With m: decode the string into its name. */
static const uint8_t *skip_string(const uint8_t *p, const uint8_t *end, struct json_member *m)
{
    if (p == end || *p != '"')
        return NULL;
    bool known = m != NULL;
    size_t n = 0;
    for (p++; p < end && *p != '"';) {
        int c = *p;
        if (c < 0x20)
            return NULL;
        p = c == '\\' ? skip_escape(p, end, &c) : p + 1;
        if (p == NULL)
            return NULL;
        known = known && c >= 0 && n < JSON_NAME_BYTES_MAX;
        if (known)
            m->name[n++] = (char)c;
    }
    if (p == end)
        return NULL;
    if (m != NULL)
        m->name_bytes = known ? n : 0;
    return p + 1;
}

static const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *start = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p == start ? NULL : p;
}

static const uint8_t *skip_number(const uint8_t *p, const uint8_t *end)
{
    if (p < end && *p == '-')
        p++;
    p = p < end && *p == '0' ? p + 1 : skip_digits(p, end);
    if (p != NULL && p < end && *p == '.')
        p = skip_digits(p + 1, end);
    if (p != NULL && p < end && (*p | 0x20) == 'e') {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = skip_digits(p, end);
    }
    return p;
}

static const uint8_t *skip_word(const uint8_t *p, const uint8_t *end, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

static const uint8_t *skip_scalar(const uint8_t *p, const uint8_t *end)
{
    switch (p == end ? 0 : *p) {
    case '"':
        return skip_string(p, end, NULL);
    case 't':
        return skip_word(p, end, "true");
    case 'f':
        return skip_word(p, end, "false");
    case 'n':
        return skip_word(p, end, "null");
    default:
        return skip_number(p, end);
    }
}

static const uint8_t *skip_colon(const uint8_t *p, const uint8_t *end)
{
    p = skip_blanks(p, end);
    return p < end && *p == ':' ? p + 1 : NULL;
}

/* "name" : */
static const uint8_t *skip_name(const uint8_t *p, const uint8_t *end)
{
    p = skip_string(skip_blanks(p, end), end, NULL);
    return p == NULL ? NULL : skip_colon(p, end);
}

/* Containers that are open: bit i of objects says what the one at depth i is. */
struct nesting {
    unsigned depth;
    uint64_t objects;
};
_Static_assert(JSON_DEPTH_MAX <= 64, "one bit a level");

static bool in_object(const struct nesting *n)
{
    return n->depth != 0 && (n->objects >> (n->depth - 1) & 1) != 0;
}

/* Behind "{" or "[": a container that is empty is skipped at once, else one level deeper. */
static const uint8_t *enter(struct nesting *n, const uint8_t *p, const uint8_t *end, bool object,
                            bool *ret_empty)
{
    p = skip_blanks(p, end);
    *ret_empty = p < end && *p == (object ? '}' : ']');
    if (*ret_empty)
        return p + 1;
    if (n->depth == JSON_DEPTH_MAX)
        return NULL;
    uint64_t bit = UINT64_C(1) << n->depth++;
    n->objects = object ? n->objects | bit : n->objects & ~bit;
    return object ? skip_name(p, end) : p;
}

/* Behind a value inside containers: closes those that end here; stops at the next value's start. */
static const uint8_t *leave(struct nesting *n, const uint8_t *p, const uint8_t *end)
{
    while (n->depth != 0) {
        p = skip_blanks(p, end);
        if (p == end)
            return NULL;
        if (*p == ',')
            return in_object(n) ? skip_name(p + 1, end) : p + 1;
        if (*p != (in_object(n) ? '}' : ']'))
            return NULL;
        n->depth--;
        p++;
    }
    return p;
}

static const uint8_t *skip_value(const uint8_t *p, const uint8_t *end)
{
    struct nesting n = {0};
    do {
        p = skip_blanks(p, end);
        if (p < end && (*p == '{' || *p == '[')) {
            bool empty = false;
            p = enter(&n, p + 1, end, *p == '{', &empty);
            if (p == NULL)
                return NULL;
            if (!empty)
                continue;
        } else {
            p = skip_scalar(p, end);
        }
        p = p == NULL ? NULL : leave(&n, p, end);
    } while (p != NULL && n.depth != 0);
    return p;
}

enum err json_walk_begin(struct json_walk *w, struct span in)
{
    if (in.n == 0)
        return ERR_SYNTAX;
    const uint8_t *end = in.p + in.n;
    const uint8_t *p = skip_blanks(in.p, end);
    if (p == end || *p != '{')
        return ERR_SYNTAX;
    *w = (struct json_walk){.p = p + 1, .end = end, .first = true};
    return ERR_OK;
}

enum err json_walk_next(struct json_walk *w, struct json_member *ret_member, bool *ret_more)
{
    const uint8_t *p = skip_blanks(w->p, w->end);
    if (p == w->end)
        return ERR_SYNTAX;
    if (*p == '}') {
        if (skip_blanks(p + 1, w->end) != w->end)
            return ERR_SYNTAX;
        *ret_more = false;
        return ERR_OK;
    }
    if (!w->first) {
        if (*p != ',')
            return ERR_SYNTAX;
        p = skip_blanks(p + 1, w->end);
    }
    const uint8_t *start = p;
    p = skip_string(p, w->end, ret_member);
    if (p == NULL)
        return ERR_SYNTAX;
    ret_member->key = span_of(start, (size_t)(p - start));
    p = skip_colon(p, w->end);
    if (p == NULL)
        return ERR_SYNTAX;
    const uint8_t *value = skip_blanks(p, w->end);
    p = skip_value(value, w->end);
    if (p == NULL)
        return ERR_SYNTAX;
    ret_member->raw = span_of(start, (size_t)(p - start));
    ret_member->value = span_of(value, (size_t)(p - value));
    w->p = p;
    w->first = false;
    *ret_more = true;
    return ERR_OK;
}

enum err json_items_begin(struct json_items *w, struct span array)
{
    if (array.n < 2 || array.p[0] != '[' || array.p[array.n - 1] != ']')
        return ERR_SYNTAX;
    *w = (struct json_items){.p = array.p + 1, .end = array.p + array.n - 1, .first = true};
    return ERR_OK;
}

enum err json_items_next(struct json_items *w, struct span *ret_value, bool *ret_more)
{
    const uint8_t *p = skip_blanks(w->p, w->end);
    *ret_more = p != w->end;
    if (!*ret_more)
        return ERR_OK;
    if (!w->first && *p++ != ',')
        return ERR_SYNTAX;
    const uint8_t *value = skip_blanks(p, w->end);
    p = skip_value(value, w->end);
    if (p == NULL)
        return ERR_SYNTAX;
    *ret_value = span_of(value, (size_t)(p - value));
    w->p = p;
    w->first = false;
    return ERR_OK;
}

static bool same_letter(char c, char lower)
{
    bool upper = c >= 'A' && c <= 'Z';
    return (upper ? c | 0x20 : c) == lower;
}

/* Does name hold part, lower case, at offset at? */
static bool name_has_at(const struct json_member *m, size_t at, const char *part)
{
    size_t n = strlen(part);
    if (m->name_bytes < at + n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!same_letter(m->name[at + i], part[i]))
            return false;
    return true;
}

bool json_name_is(const struct json_member *m, const char *name)
{
    return m->name_bytes == strlen(name) && name_has_at(m, 0, name);
}

bool json_name_starts(const struct json_member *m, const char *prefix)
{
    return name_has_at(m, 0, prefix);
}

bool json_name_contains(const struct json_member *m, const char *part)
{
    for (size_t at = 0; at < m->name_bytes; at++)
        if (name_has_at(m, at, part))
            return true;
    return false;
}

bool json_is_true(struct span value)
{
    return span_eq(value, SPAN_LIT("true"));
}

bool json_is_false(struct span value)
{
    return span_eq(value, SPAN_LIT("false"));
}

bool json_get_uint(struct span value, uint32_t max, uint32_t *ret_number)
{
    uint64_t number = 0;
    for (size_t i = 0; i < value.n; i++) {
        unsigned digit = value.p[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        number = number * 10 + digit;
        if (number > max)
            return false;
    }
    if (value.n == 0)
        return false;
    *ret_number = (uint32_t)number;
    return true;
}

enum err json_out_open(struct json_out *o, struct buf *out)
{
    *o = (struct json_out){.out = out};
    return buf_append_byte(out, '{');
}

enum err json_out_raw(struct json_out *o, struct span member)
{
    enum err e = buf_reserve(o->out, member.n + 1);
    if (e == ERR_OK && o->any)
        e = buf_append_byte(o->out, ',');
    if (e == ERR_OK)
        e = buf_append(o->out, member);
    o->any = true;
    return e;
}

enum err json_out_string(struct json_out *o, const char *name, struct span value)
{
    enum err e = buf_printf(o->out, "%s\"%s\":", o->any ? "," : "", name);
    o->any = true;
    return e == ERR_OK ? json_text_append(o->out, value) : e;
}

enum err json_out_uint(struct json_out *o, const char *name, uint32_t value)
{
    enum err e = buf_printf(o->out, "%s\"%s\":%u", o->any ? "," : "", name, value);
    o->any = true;
    return e;
}

enum err json_out_close(struct json_out *o)
{
    return buf_append_byte(o->out, '}');
}
