/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ns_path - a namespace's name: a path of 0 to 4 segments (design.md 2.1, 2.2).
 *
 * The empty path is the root, written "default". Nothing is normalised silently but a leading
 * "default/". Pure; allocates nothing.
 */
#ifndef POLICY_NS_PATH_H
#define POLICY_NS_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum { NS_SEGMENTS_MAX = 4, NS_SEGMENT_BYTES_MAX = 63, NS_PATH_BYTES_MAX = 200 };

struct ns_path {
    uint8_t segments;                /* 0 = root */
    uint8_t start[NS_SEGMENTS_MAX];  /* byte offsets into text */
    uint8_t length[NS_SEGMENTS_MAX]; /* bytes, 1 .. NS_SEGMENT_BYTES_MAX */
    char
        text[NS_PATH_BYTES_MAX + 1]; /* canonical, '/' between segments, NUL-terminated; root: "" */
};

/* Why a text is no namespace, for an error a person can act on. */
struct ns_path_error {
    size_t position;  /* byte offset into the input */
    const char *rule; /* static text: which rule, and what would be legal */
};

/*
 * Parse text, separated by sep: '/' or, with namespace-separator, '.' (then segments hold no '.').
 * "" and "default" are the root; a leading "default" + sep is dropped, once: "default/default" is
 * an error, because the path of one segment "default" would be written like the root. Canonical
 * text uses '/'. At the end of a name with a trailing separator, position is that of the separator.
 * Returns ERR_OK or ERR_NS_INVALID; *ret_error is written on ERR_NS_INVALID (may be NULL).
 */
enum err ns_path_parse(struct span text, char sep, struct ns_path *ret_path,
                       struct ns_path_error *ret_error) ATTR_MUST_USE;

/* One segment alone: 1..63 bytes of A-Z a-z 0-9 . _ -, no '.' at either end. */
bool ns_path_segment_is_valid(struct span segment);

/* Writes `namespace "llama//b": at byte 6: …` into text, cut to size; bytes that do not print are
 * shown as \xNN. Returns text. */
const char *ns_path_explain(struct span input, const struct ns_path_error *error, char *text,
                            size_t size);

/* The path as people write it: "default" for the root. Borrows path. */
const char *ns_path_name(const struct ns_path *path);
struct span ns_path_segment(const struct ns_path *path, unsigned i);
bool ns_path_equal(const struct ns_path *a, const struct ns_path *b);
/* Proper ancestor: a is above b and not b itself. The root is above everything else. */
bool ns_path_is_ancestor(const struct ns_path *a, const struct ns_path *b);
/* Of two descendants, does a win where both have something of one name? Fewest segments, then the
 * order of paths (design.md 4.5). */
bool ns_path_is_nearer(const struct ns_path *a, const struct ns_path *b);
/* The path of the first `segments` segments (<= path->segments). */
struct ns_path ns_path_head(const struct ns_path *path, unsigned segments);

#endif
