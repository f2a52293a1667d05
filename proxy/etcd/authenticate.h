/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authenticate - the sidecar's own login at etcd, as messages: user and password for a token, and
 * which answers say that the token is no longer one (design.md 4.7); pure.
 */
#ifndef ETCD_AUTHENTICATE_H
#define ETCD_AUTHENTICATE_H

#include "base/buf.h"

#define AUTHENTICATE_METHOD "/etcdserverpb.Auth/Authenticate"

/* Appends the request message (etcd rpc.proto AuthenticateRequest), without a gRPC head. */
enum err authenticate_write(struct span user, struct span password, struct buf *out) ATTR_MUST_USE;
/* The reply's token, which borrows message. ERR_UPSTREAM_PROTOCOL: does not parse, or is none that
 * can be sent in a header field. */
enum err authenticate_read(struct span message, struct span *ret_token) ATTR_MUST_USE;

enum authenticate_answer {
    AUTHENTICATE_REFUSED, /* the user or the password is wrong */
    AUTHENTICATE_OFF,     /* this etcd asks nobody who he is */
    AUTHENTICATE_LATER    /* etcd cannot say now */
};
/* What a status that is not OK means; text is grpc-message as it came. */
enum authenticate_answer authenticate_refusal(int status, struct span text);

/*
 * The answer to any call says that its token is unknown or too old, and nothing was done
 * (etcd api/v3rpc/rpctypes/error.go). had_token: one was sent; without one etcd misses a user name,
 * with one that text is about something else.
 */
bool authenticate_is_stale(int status, struct span text, bool had_token);

/* A watch was created canceled with this reason (WatchResponse.cancel_reason): because of the token
 * that its stream was opened with? SAYS_STALE: etcd from 3.5 on says so; MAY_BE_STALE: earlier ones
 * say the same to a user who may not watch. */
enum authenticate_cancel {
    AUTHENTICATE_OTHER,
    AUTHENTICATE_MAY_BE_STALE,
    AUTHENTICATE_SAYS_STALE
} authenticate_cancel_reason(struct span reason);

#endif
