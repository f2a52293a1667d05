/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1 - the heads of HTTP/1.1 requests, strictly, and answers to them (RFC 9110, RFC 9112).
 *
 * For ports that answer GET and HEAD from memory: the health listener, and /health, /livez,
 * /readyz, /version on the etcd port. Nothing is forwarded, so there is nothing to smuggle past;
 * still every shape that two parsers could read in two ways is refused: bare CR or LF, folded
 * lines, blanks around a header's name, more than one Content-Length or Host, any
 * Transfer-Encoding. Where takes_body is set (the injector), `chunked` is taken, and
 * http1_body.h reads what follows the head.
 *
 * A refused request ends its connection: write http1_refusal()'s answer, then close.
 */
#ifndef WIRE_HTTP1_H
#define WIRE_HTTP1_H

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

enum http1_method { HTTP1_GET, HTTP1_HEAD, HTTP1_POST, HTTP1_OTHER };

struct http1_request {
    enum http1_method method; /* not one that is served there: answer 405 */
    struct span path;         /* "/readyz"; not decoded; borrows the bytes that were fed */
    struct span query;        /* without "?"; SPAN_NONE if there is none */
    size_t head_bytes;        /* consume these, zero the parser, go on with the next request */
    bool keep_alive;          /* false: close after the answer. A body is never read, so always
                                 false if one was announced, unless takes_body */
    /* With takes_body only. */
    bool has_length, is_chunked;
    size_t body_bytes;        /* with has_length; SIZE_MAX: more than a size_t holds */
    bool expects_continue;    /* answer "HTTP/1.1 100 Continue" before the body is read */
    bool is_encoded;          /* there is a Content-Encoding that is not identity: answer 415 */
    struct span content_type; /* as written; SPAN_NONE if there is none; borrows as path */
};

/* Zeroed = at the first byte of a request. Owns nothing. */
struct http1_parser {
    bool takes_body;   /* set by the owner before the first byte */
    size_t scanned;    /* bytes looked at */
    size_t line_start; /* offset of the line being read */
    bool has_request_line, has_host, has_length, has_body, has_coding, close, keep_alive;
    enum http1_method method;
    unsigned minor;                  /* HTTP/1.minor */
    size_t target_start, target_end; /* offsets */
    size_t body_bytes;
    bool expects_continue, is_encoded;
    size_t type_start, type_end; /* offsets of Content-Type's value */
    int refused_status;          /* after HTTP1_REFUSED: 400, 414, 417, 431, 501 or 505 */
    const char *refused_why;     /* a sentence for the body and the log; static */
};

enum http1_verdict { HTTP1_MORE, HTTP1_DONE, HTTP1_REFUSED };

/*
 * Look at the bytes of one request so far: in starts at the same first byte in every call and never
 * gets shorter; bytes seen before are not read again. HTTP1_MORE: call again with more. HTTP1_DONE:
 * *ret_request is written. HTTP1_REFUSED: as early as the first byte that cannot be, and at the
 * latest at LIMIT_HTTP1_HEAD_BYTES.
 */
enum http1_verdict http1_feed(struct http1_parser *p, struct span in,
                              struct http1_request *ret_request) ATTR_MUST_USE;

struct http1_response {
    int status;
    const char *content_type; /* NULL: text/plain; charset=utf-8 */
    struct span body;
    const char *allow; /* of a 405; NULL: GET, HEAD */
    bool head_only;    /* the request was HEAD: Content-Length of the body, but no body */
    bool keep_alive;   /* of the request, and false if the connection is about to be closed */
};

/* Append the whole answer to out. ERR_NOMEM. */
enum err http1_write(struct buf *out, const struct http1_response *r) ATTR_MUST_USE;
/* Append the answer to a refused request, `Connection: close` included. ERR_NOMEM. */
enum err http1_refusal(struct buf *out, const struct http1_parser *p) ATTR_MUST_USE;

#endif
