/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ns_path - read a namespace's name strictly, and say where and why it is none.
 *
 * One pass from left to right; the first byte that breaks a rule is the one reported.
 */
#include "policy/ns_path.h"

#include <stdio.h>

#include "base/check.h"

#define WORD_DEFAULT "default"
enum { WORD_DEFAULT_BYTES = sizeof WORD_DEFAULT - 1 };
/* How much of a bad name an error shows; configuration can hold megabytes. */
enum { EXPLAIN_INPUT_BYTES = 240 };

static const char rule_empty[] = "empty segment; write names between single separators, "
                                 "none at the start or the end";
static const char rule_byte[] = "illegal byte; a segment holds only A-Z a-z 0-9 . _ -";
static const char rule_byte_no_dot[] = "illegal byte; a segment holds only A-Z a-z 0-9 _ - when "
                                       "'.' is the separator";
static const char rule_first_dot[] = "a segment may not start with '.'";
static const char rule_last_dot[] = "a segment may not end with '.'";
static const char rule_segment_long[] = "segment too long; at most 63 bytes";
static const char rule_path_long[] = "path too long; at most 200 bytes";
static const char rule_deep[] = "path too deep; at most 4 segments";
static const char rule_default[] = "\"default\" again after the leading \"default\"; "
                                   "write \"default\" alone for the root";

static bool is_segment_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

bool ns_path_segment_is_valid(struct span segment)
{
    if (segment.n == 0 || segment.n > NS_SEGMENT_BYTES_MAX)
        return false;
    for (size_t i = 0; i < segment.n; i++)
        if (!is_segment_byte(segment.p[i]))
            return false;
    return segment.p[0] != '.' && segment.p[segment.n - 1] != '.';
}

struct reader {
    struct span text;
    size_t at;    /* next byte */
    size_t start; /* of the path proper, behind a leading "default/" */
    char sep;
    struct ns_path_error error;
};

static bool fail(struct reader *r, size_t position, const char *rule)
{
    r->error = (struct ns_path_error){position, rule};
    return false;
}

/* True if "default" stands at r->at as a whole segment. The text is not empty. */
static bool at_word_default(const struct reader *r)
{
    struct span rest = span_of(r->text.p + r->at, r->text.n - r->at);
    return span_has_prefix(rest, SPAN_LIT(WORD_DEFAULT)) &&
           (rest.n == WORD_DEFAULT_BYTES || rest.p[WORD_DEFAULT_BYTES] == (uint8_t)r->sep);
}

/* Reads up to the next separator or the end; r->at is left there. */
static bool read_segment(struct reader *r, struct ns_path *path)
{
    size_t first = r->at;
    if (first == r->text.n) /* a separator at the end is itself the offending byte */
        return fail(r, first - 1, rule_empty);
    if (path->segments == NS_SEGMENTS_MAX)
        return fail(r, first, rule_deep);
    for (; r->at < r->text.n && r->text.p[r->at] != (uint8_t)r->sep; r->at++) {
        uint8_t c = r->text.p[r->at];
        if (!is_segment_byte(c))
            return fail(r, r->at, r->sep == '.' ? rule_byte_no_dot : rule_byte);
        if (c == '.' && r->at == first)
            return fail(r, r->at, rule_first_dot);
        if (r->at - first == NS_SEGMENT_BYTES_MAX)
            return fail(r, r->at, rule_segment_long);
        if (r->at - r->start == NS_PATH_BYTES_MAX)
            return fail(r, r->at, rule_path_long);
        path->text[r->at - r->start] = (char)c;
    }
    if (r->at == first)
        return fail(r, first, rule_empty);
    if (r->text.p[r->at - 1] == '.')
        return fail(r, r->at - 1, rule_last_dot);
    path->start[path->segments] = (uint8_t)(first - r->start);
    path->length[path->segments] = (uint8_t)(r->at - first);
    path->segments++;
    return true;
}

static bool read_path(struct reader *r, struct ns_path *path)
{
    if (r->text.n == 0)
        return true;
    if (at_word_default(r)) {
        if (r->text.n == WORD_DEFAULT_BYTES)
            return true;
        r->at = r->start = WORD_DEFAULT_BYTES + 1;
        /* The path of one segment "default" would be written like the root: nobody could name it.
         */
        if (at_word_default(r))
            return fail(r, r->at, rule_default);
    }
    while (read_segment(r, path)) {
        if (r->at == r->text.n)
            return true;
        if (r->at - r->start >= NS_PATH_BYTES_MAX)
            return fail(r, r->at, rule_path_long);
        path->text[r->at - r->start] = '/';
        r->at++;
    }
    return false;
}

enum err ns_path_parse(struct span text, char sep, struct ns_path *ret_path,
                       struct ns_path_error *ret_error)
{
    CHECK(sep == '/' || sep == '.');
    struct reader r = {.text = text, .sep = sep};
    struct ns_path path = {0};
    if (!read_path(&r, &path)) {
        if (ret_error != NULL)
            *ret_error = r.error;
        return ERR_NS_INVALID;
    }
    *ret_path = path;
    return ERR_OK;
}

/* A text that is cut, never overrun. */
struct writer {
    char *text;
    size_t size, n;
};

static void put(struct writer *w, const char *s)
{
    for (; *s != '\0' && w->n + 1 < w->size; s++)
        w->text[w->n++] = *s;
}

static void put_input_byte(struct writer *w, uint8_t c)
{
    char text[8];
    bool plain = c > 0x20 && c < 0x7f && c != '"' && c != '\\';
    snprintf(text, sizeof text, plain || c == ' ' ? "%c" : "\\x%02x", (unsigned)c);
    put(w, text);
}

const char *ns_path_explain(struct span input, const struct ns_path_error *error, char *text,
                            size_t size)
{
    if (size == 0)
        return text;
    struct writer w = {.text = text, .size = size};
    char number[32];
    put(&w, "namespace \"");
    for (size_t i = 0; i < input.n && i < EXPLAIN_INPUT_BYTES; i++)
        put_input_byte(&w, input.p[i]);
    put(&w, input.n > EXPLAIN_INPUT_BYTES ? "...\": at byte " : "\": at byte ");
    snprintf(number, sizeof number, "%zu", error->position);
    put(&w, number);
    put(&w, ": ");
    put(&w, error->rule);
    text[w.n] = '\0';
    return text;
}

const char *ns_path_name(const struct ns_path *path)
{
    return path->segments == 0 ? WORD_DEFAULT : path->text;
}

struct span ns_path_segment(const struct ns_path *path, unsigned i)
{
    CHECK(i < path->segments);
    return span_of(path->text + path->start[i], path->length[i]);
}

/* Bytes of the canonical text of the first `segments` segments. */
static size_t head_bytes(const struct ns_path *path, unsigned segments)
{
    return segments == 0 ? 0 : (size_t)path->start[segments - 1] + path->length[segments - 1];
}

bool ns_path_equal(const struct ns_path *a, const struct ns_path *b)
{
    size_t n = head_bytes(a, a->segments);
    return a->segments == b->segments && n == head_bytes(b, b->segments) &&
           memcmp(a->text, b->text, n) == 0;
}

bool ns_path_is_ancestor(const struct ns_path *a, const struct ns_path *b)
{
    if (a->segments >= b->segments)
        return false;
    size_t n = head_bytes(a, a->segments);
    return n == head_bytes(b, a->segments) && memcmp(a->text, b->text, n) == 0;
}

bool ns_path_is_nearer(const struct ns_path *a, const struct ns_path *b)
{
    if (a->segments != b->segments)
        return a->segments < b->segments;
    return strcmp(a->text, b->text) < 0;
}

struct ns_path ns_path_head(const struct ns_path *path, unsigned segments)
{
    CHECK(segments <= path->segments);
    struct ns_path head = {.segments = (uint8_t)segments};
    for (unsigned i = 0; i < segments; i++) {
        head.start[i] = path->start[i];
        head.length[i] = path->length[i];
    }
    memcpy(head.text, path->text, head_bytes(path, segments));
    return head;
}
