/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_status - the texts in gRPC headers and trailers: grpc-message, grpc-status, grpc-timeout.
 *
 * Source: grpc doc PROTOCOL-HTTP2.md "Responses", "Timeout".
 */
#ifndef WIRE_GRPC_STATUS_H
#define WIRE_GRPC_STATUS_H

#include "base/buf.h"

/* grpc doc statuscodes.md; those that anybody here asks for. */
enum {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNAVAILABLE = 14,
    GRPC_UNAUTHENTICATED = 16,
    GRPC_STATUS_MAX = GRPC_UNAUTHENTICATED /* the highest code */
};

enum {
    GRPC_TIMEOUT_BYTES = 10 /* 8 digits, a unit, NUL */
};

/* Appends text with every byte outside 0x20..0x7e, and '%', as %XX. */
enum err grpc_message_encode(struct span text, struct buf *out) ATTR_MUST_USE;

/* "5" -> 5. False: not a decimal number of at most 3 digits without a leading zero. Codes above
 * GRPC_STATUS_MAX are returned as they are. */
bool grpc_status_parse(struct span text, int *ret_status);

/* "100m" -> 100; units H M S m u n, at most 8 digits. Less than a millisecond rounds up, so that a
 * deadline is never mistaken for none. False: not a timeout. */
bool grpc_timeout_parse(struct span text, uint64_t *ret_ms);
/* Writes the header's value for ms into out; in seconds, rounded up, where 8 digits of milliseconds
 * are too few. Returns its length without the NUL. */
size_t grpc_timeout_print(uint64_t ms, char out[GRPC_TIMEOUT_BYTES]);

#endif
