/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1_body - the body behind a request's head: so many bytes, or chunks (RFC 9112 6, 7.1).
 *
 * Chunk extensions and trailers are read and dropped. As strict as http1: bare LFs, blanks in front
 * of a size, sizes beyond the limit are refused; the connection then ends.
 */
#ifndef WIRE_HTTP1_BODY_H
#define WIRE_HTTP1_BODY_H

#include "wire/http1.h"

enum http1_body_state {
    HTTP1_BODY_SIZED,
    HTTP1_BODY_CHUNK_SIZE,
    HTTP1_BODY_CHUNK_DATA,
    HTTP1_BODY_CHUNK_END,
    HTTP1_BODY_TRAILERS
};

struct http1_body {
    enum http1_body_state state;
    size_t max;       /* bytes of the whole body */
    size_t taken;     /* bytes of it so far */
    size_t left;      /* of the sized body, or of the chunk */
    uint8_t line[64]; /* the beginning of the line being read */
    size_t line_n;
    size_t line_bytes, trailer_bytes;
    bool has_cr;
    int refused_status; /* after HTTP1_REFUSED: 400 or 413 */
    const char *refused_why;
};

/* HTTP1_REFUSED: 411 neither length nor chunks, 413 longer than max; else HTTP1_MORE. */
enum http1_verdict http1_body_begin(struct http1_body *b, const struct http1_request *request,
                                    size_t max) ATTR_MUST_USE;
/* Take from *in, append what belongs to the body to out. HTTP1_DONE: *in is what follows it.
 * HTTP1_MORE: *in is empty. *ret_err: ERR_NOMEM, with HTTP1_REFUSED. */
enum http1_verdict http1_body_feed(struct http1_body *b, struct span *in, struct buf *out,
                                   enum err *ret_err) ATTR_MUST_USE;

#endif
