/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_head - the header fields of gRPC calls: what is read from the application's, what goes
 * upstream, what we answer ourselves (design.md 4.6; grpc doc PROTOCOL-HTTP2.md).
 *
 *   custom metadata, user-agent, client-api-version, hasleader   go upstream as they are
 *   grpc-timeout                                                 too; what is left, if we waited
 *   :authority                                                   the upstream's
 *   te, content-type, grpc-accept-encoding                       ours
 *   token, authorization         nowhere: credentials are ours; upstream with credentials: client
 *   token                        ours, where we are a user with a password (etcd_auth)
 *   grpcgateway-...                                              nowhere
 *   the response's fields and trailers                           pass, but grpc-accept-encoding
 */
#ifndef IO_ETCD_HEAD_H
#define IO_ETCD_HEAD_H

#include "io/etcd_stream.h"
#include "wire/http1.h"

/* and grpc-accept-encoding or user-agent, grpc-timeout or hasleader, token */
enum { ETCD_HEAD_OWN_FIELDS = H2_CLIENT_GRPC_FIELDS + 3 };

struct etcd_head {
    const struct etcd_route *route; /* NULL: unknown */
    struct span path, encoding;     /* borrow the block */
    bool is_compressed;             /* grpc-encoding is something */
    bool is_plain, is_head;         /* a GET, or a HEAD, that is no gRPC */
    int http_status;                /* 0, or refused below gRPC */
    int grpc_status;
    char why[ETCD_DETAIL_BYTES]; /* of the refusal */
};

/* Read a request's block; keeps in s what goes upstream, and its deadline. ERR_NOMEM. */
enum err etcd_head_read(struct etcd_stream *s, struct span fields,
                        struct etcd_head *ret_head) ATTR_MUST_USE;
/* The whole answer to a request that is no gRPC call, appended. */
enum err etcd_head_refusal(const struct etcd_head *head, struct buf *out) ATTR_MUST_USE;
/* HEADERS that answer a plain HTTP request, appended. */
enum err etcd_head_plain(const struct http1_response *r, struct buf *out) ATTR_MUST_USE;
/* grpc-go's words for a path that no route has: unknown service, unknown method, malformed. */
void etcd_head_unknown(struct span path, char *text, size_t size);

/* The request upstream; nv has room for H2_FIELDS_MAX + ETCD_HEAD_OWN_FIELDS. Borrows s. */
size_t etcd_head_request(const struct etcd_stream *s, const struct h2_client *client,
                         nghttp2_nv *nv);

/* The same for a read of our own that this call needs. */
size_t etcd_head_side(const struct etcd_stream *s, const struct h2_client *client,
                      struct span method, nghttp2_nv *nv);

/* Response HEADERS of ours, appended to a block; then, or as trailers, the status. */
enum err etcd_head_ok(struct buf *block) ATTR_MUST_USE;
enum err etcd_head_status(struct buf *block, int status, const char *message) ATTR_MUST_USE;
/* Upstream's response block, without what must not pass; *fields then borrows filtered. */
enum err etcd_head_response(struct span *fields, struct buf *filtered) ATTR_MUST_USE;
/* grpc-status of a block; -1 if there is none. */
int etcd_head_find_status(struct span fields);

/* A member that has lost the others. Without a leader, or without a quorum, it says so, or runs
 * into its own time limit (etcd rpctypes/error.go). Another member may be well; a client of several
 * would ask that one the next time. */
bool etcd_head_says_alone(int status, struct span message);

#endif
