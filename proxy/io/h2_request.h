/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_request - is a request's header block what HTTP/2 allows (RFC 9113 8.2, 8.3.1)?
 *
 * nghttp2 could check it, but then :authority too, and etcd's Go clients put a whole URL there
 * ("http://127.0.0.1:2379", etcd issue 13192); real etcd takes it. We read :method and :path, drop
 * :scheme and :authority, and pass regular fields on: those are checked as strictly as nghttp2
 * does.
 */
#ifndef IO_H2_REQUEST_H
#define IO_H2_REQUEST_H

#include "base/span.h"

/* Zeroed = before the first field. */
struct h2_request {
    unsigned seen;    /* pseudo fields, a bit each */
    bool has_regular; /* pseudo fields may not follow */
    bool has_length;
    uint64_t length; /* content-length, if has_length */
    bool is_bad;
};

/* Look at the next field. */
void h2_request_field(struct h2_request *r, struct span name, struct span value);
/* At the end of the block. */
bool h2_request_is_good(const struct h2_request *r);
/* The block was the request's trailers: no pseudo field may stand there (RFC 9113 8.1). */
bool h2_request_is_good_trailer(const struct h2_request *r);

#endif
