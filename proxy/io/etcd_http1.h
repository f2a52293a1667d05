/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_http1 - what etcd answers to plain HTTP on its client port, as far as it is true here
 * (design.md 4.3, last lines): /health /livez /readyz /version; everything else is 404 with a
 * sentence. Nothing is forwarded. HTTP/1.1 has its own connection; over HTTP/2, which clients
 * choose where the listener has TLS, a plain request is a stream like any other (etcd_stream).
 */
#ifndef IO_ETCD_HTTP1_H
#define IO_ETCD_HTTP1_H

#include "io/etcd_plane.h"
#include "wire/http1.h"

enum { ETCD_HTTP1_TEXT_BYTES = 256 };

/* The answer to a request; its body borrows text, which has ETCD_HTTP1_TEXT_BYTES. */
struct http1_response etcd_http1_find(const struct etcd_plane *p, enum http1_method method,
                                      struct span path, char *text);

/* Append the whole answer to out. ERR_NOMEM. */
enum err etcd_http1_answer(const struct etcd_plane *p, const struct http1_request *r,
                           struct buf *out) ATTR_MUST_USE;

#endif
