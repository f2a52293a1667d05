/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_text - what a JSON string says, and a string that says it; base64 as JSON carries bytes.
 *
 * For values that json_splice has walked: their escapes are known to be whole.
 */
#ifndef WIRE_JSON_TEXT_H
#define WIRE_JSON_TEXT_H

#include "base/buf.h"

static inline bool json_is_string(struct span value)
{
    return value.n >= 2 && value.p[0] == '"';
}

/* Appends the text of value, a string with its quotes, as UTF-8. A surrogate without its other half
 * becomes U+FFFD, as in Go. ERR_NOMEM; ERR_SYNTAX: no string. */
enum err json_text_decode(struct span value, struct buf *out) ATTR_MUST_USE;
/* Appends text as a string: quotes, backslashes and control characters are escaped. ERR_NOMEM. */
enum err json_text_append(struct buf *out, struct span text) ATTR_MUST_USE;

/* RFC 4648 section 4 with padding, as Go's encoder writes []byte. ERR_SYNTAX, ERR_NOMEM. */
enum err base64_decode(struct span text, struct buf *out) ATTR_MUST_USE;
enum err base64_append(struct buf *out, struct span bytes) ATTR_MUST_USE;

#endif
