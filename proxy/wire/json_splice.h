/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_splice - walk a JSON object once, member by member, and put another one together from the
 * members' own bytes (design.md 3.4).
 *
 * The walk is strict (RFC 8259; bytes above 0x7f are not judged), so that our idea of where a value
 * ends is every other parser's. Values are never re-printed. Duplicate members are reported as
 * often as they stand there, in order: for Go's and most other readers the last one counts.
 */
#ifndef WIRE_JSON_SPLICE_H
#define WIRE_JSON_SPLICE_H

#include "base/buf.h"

/* Nesting inside a member's value; names longer than this are reported as unknown. */
enum { JSON_DEPTH_MAX = 32, JSON_NAME_BYTES_MAX = 64 };

struct json_walk {
    const uint8_t *p, *end;
    bool first;
};

struct json_member {
    struct span key;   /* the name with its quotes, as written; borrows the input, as the others */
    struct span raw;   /* from the name's quote to the value's end */
    struct span value; /* with its quotes, if a string */
    size_t name_bytes; /* 0: empty, too long, or holds escapes beyond ASCII */
    char name[JSON_NAME_BYTES_MAX]; /* escapes decoded */
};

/* ERR_SYNTAX unless in starts like an object. */
enum err json_walk_begin(struct json_walk *w, struct span in) ATTR_MUST_USE;
/* *ret_more = false: that was all, and nothing but blanks follows the object. ERR_SYNTAX. */
enum err json_walk_next(struct json_walk *w, struct json_member *ret_member,
                        bool *ret_more) ATTR_MUST_USE;

/* The elements of an array, which a walk has passed. ERR_SYNTAX unless array is one. */
struct json_items {
    const uint8_t *p, *end;
    bool first;
};
enum err json_items_begin(struct json_items *w, struct span array) ATTR_MUST_USE;
enum err json_items_next(struct json_items *w, struct span *ret_value,
                         bool *ret_more) ATTR_MUST_USE;

/* ASCII case does not matter: Go's decoder, which most peers use, folds it. */
bool json_name_is(const struct json_member *m, const char *name);
bool json_name_starts(const struct json_member *m, const char *prefix);
bool json_name_contains(const struct json_member *m, const char *part);
/* The literal true. */
bool json_is_true(struct span value);
bool json_is_false(struct span value);
/* Digits only, at most max; false otherwise. */
bool json_get_uint(struct span value, uint32_t max, uint32_t *ret_number);

/* Writes an object. Borrows out. */
struct json_out {
    struct buf *out;
    bool any; /* a comma is due */
};
enum err json_out_open(struct json_out *o, struct buf *out) ATTR_MUST_USE;
/* A member's bytes as they are. */
enum err json_out_raw(struct json_out *o, struct span member) ATTR_MUST_USE;
/* name must need no escapes; value is escaped. */
enum err json_out_string(struct json_out *o, const char *name, struct span value) ATTR_MUST_USE;
enum err json_out_uint(struct json_out *o, const char *name, uint32_t value) ATTR_MUST_USE;
enum err json_out_close(struct json_out *o) ATTR_MUST_USE;

#endif
