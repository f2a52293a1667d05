/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_walk - the heads of HTTP/2 frames in a stream of bytes (RFC 9113 4.1), payloads skipped; pure.
 *
 *   9 bytes: length 24 | type 8 | flags 8 | reserved 1, stream 31 ; of PRIORITY also its first four
 *
 * For what nghttp2 does not show: DATA on a stream that it has forgotten, and PRIORITY. Nothing is
 * judged here; a length that is not allowed is skipped as it says.
 */
#ifndef WIRE_H2_WALK_H
#define WIRE_H2_WALK_H

#include "base/span.h"

enum { H2_WALK_HEAD_BYTES = 9, H2_WALK_DEPENDENCY_BYTES = 4 };

struct h2_walk {
    uint32_t skip; /* bytes before the next head: the preface at first, then payloads */
    uint8_t n;     /* bytes of the head that are here */
    uint8_t head[H2_WALK_HEAD_BYTES + H2_WALK_DEPENDENCY_BYTES];
};

struct h2_walked {
    uint8_t type; /* 0 DATA, 1 HEADERS, 2 PRIORITY, 3 RST_STREAM, … */
    int32_t stream;
    int32_t dependency; /* PRIORITY that is long enough: the stream that it depends on; else 0 */
};

/* Take bytes off *in up to the end of the next head. False: *in is used up before. */
bool h2_walk_next(struct h2_walk *w, struct span *in, struct h2_walked *ret);

#endif
