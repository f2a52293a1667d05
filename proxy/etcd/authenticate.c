/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/authenticate.h"

#include "limit.h"
#include "wire/grpc_status.h"
#include "wire/pb_wire.h"
#include "wire/pb_write.h"

/* Field numbers of rpc.proto. */
enum { REQUEST_NAME = 1, REQUEST_PASSWORD = 2, REPLY_TOKEN = 2 };

enum err authenticate_write(struct span user, struct span password, struct buf *out)
{
    struct pb_writer w = {.out = out};
    pb_write_bytes(&w, REQUEST_NAME, user);
    pb_write_bytes(&w, REQUEST_PASSWORD, password);
    return w.error;
}

/* Visible ASCII: what a header field carries unchanged. */
static bool is_sendable(struct span token)
{
    if (token.n == 0 || token.n > LIMIT_ETCD_TOKEN_BYTES)
        return false;
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] <= ' ' || token.p[i] >= 0x7f)
            return false;
    return true;
}

enum err authenticate_read(struct span message, struct span *ret_token)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct span token = SPAN_NONE;
    struct pb_item it;
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        if (it.number == REPLY_TOKEN && it.wire == PB_WIRE_BYTES)
            token = it.bytes;
    }
    if (!is_sendable(token))
        return ERR_UPSTREAM_PROTOCOL;
    *ret_token = token;
    return ERR_OK;
}

enum authenticate_answer authenticate_refusal(int status, struct span text)
{
    if (status == GRPC_FAILED_PRECONDITION &&
        span_eq(text, SPAN_LIT("etcdserver: authentication is not enabled")))
        return AUTHENTICATE_OFF;
    if (authenticate_is_stale(status, text, true))
        return AUTHENTICATE_LATER; /* users were changed in between */
    return status == GRPC_INVALID_ARGUMENT || status == GRPC_FAILED_PRECONDITION ||
                   status == GRPC_UNAUTHENTICATED
               ? AUTHENTICATE_REFUSED
               : AUTHENTICATE_LATER;
}

bool authenticate_is_stale(int status, struct span text, bool had_token)
{
    switch (status) {
    case GRPC_UNAUTHENTICATED:
        return span_eq(text, SPAN_LIT("etcdserver: invalid auth token"));
    case GRPC_INVALID_ARGUMENT:
        return span_eq(text, SPAN_LIT("etcdserver: revision of auth store is old")) ||
               (!had_token && span_eq(text, SPAN_LIT("etcdserver: user name is empty")));
    default:
        return false;
    }
}

/* The texts are those of errors with their status: "rpc error: code = … desc = …". */
static bool ends_with(struct span text, struct span end)
{
    return text.n >= end.n && span_eq(span_skip(text, text.n - end.n), end);
}

enum authenticate_cancel authenticate_cancel_reason(struct span reason)
{
    static const struct span stale[] = {
        {(const uint8_t *)"etcdserver: invalid auth token", 30},
        {(const uint8_t *)"etcdserver: revision of auth store is old", 41},
        {(const uint8_t *)"etcdserver: user name is empty", 30},
    };
    for (size_t i = 0; i < ARRAY_LEN(stale); i++)
        if (ends_with(reason, stale[i]))
            return AUTHENTICATE_SAYS_STALE;
    return ends_with(reason, SPAN_LIT("etcdserver: permission denied")) ? AUTHENTICATE_MAY_BE_STALE
                                                                        : AUTHENTICATE_OTHER;
}
