/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_err_text - the text of the server's -ERR, with stored names made the application's again.
 *
 * Inside double quotes stand a subject, a queue group (after "using queue ") or a sid (after
 * "sid "). Anything that does not decode, and any text that holds stored names elsewhere, is
 * replaced as a whole by a general one (design.md laws L5, L6).
 */
#ifndef NATS_NATS_ERR_TEXT_H
#define NATS_NATS_ERR_TEXT_H

#include "policy/subject_map.h"

/* text: what follows -ERR, with its quotes. Appends the application's version, without them. */
enum err nats_err_text_strip(const struct subject_map *map, struct span text,
                             struct buf *out) ATTR_MUST_USE;
/* Does the server answer the line that it complains about with +OK as well? (verbose mode) */
bool nats_err_text_has_ok(struct span text);
/* Does it complain about a subscription to the server's events that the application asked for only
 * among much else (">", "*.>", "$JS.>")? With permissions that leave them out it hears the rest. */
bool nats_err_text_is_of_events(struct span text);

#endif
