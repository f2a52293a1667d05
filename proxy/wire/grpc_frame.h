/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grpc_frame - cut a byte stream into gRPC messages and put messages into frames.
 *
 * A frame is 1 byte compressed flag, 4 bytes big-endian length, the message. Pure.
 * Source: grpc doc PROTOCOL-HTTP2.md "Length-Prefixed-Message".
 */
#ifndef WIRE_GRPC_FRAME_H
#define WIRE_GRPC_FRAME_H

#include "base/buf.h"

enum {
    GRPC_HEAD_BYTES = 5,
    /* grpc_reader_give() moves memory from this size up; below, a copy is cheaper. */
    GRPC_MOVE_BYTES = 16 * 1024
};

struct grpc_reader {
    struct buf partial;   /* head and body of a frame that has not arrived whole */
    uint32_t max_bytes;   /* largest message taken */
    uint32_t over_bytes;  /* after ERR_REQUEST_TOO_LARGE: the length that was announced */
    uint32_t ready_bytes; /* of the message in partial: rewritten already, at its start */
    uint32_t saved_bytes; /* by how much they have become less */
    bool handed_out;      /* partial is the message of the last call */
};

/*
 * Take the next whole message out of *in. True: *ret_message is the body, mutable in place by the
 * caller, valid until the next call. False: all of *in was consumed, no whole message yet
 * (*ret_error == ERR_OK), or the stream is broken: ERR_GRPC_COMPRESSED, ERR_GRPC_FRAME (a flag that
 * is none), ERR_REQUEST_TOO_LARGE, ERR_NOMEM. A message that lies whole in *in is not copied.
 */
bool grpc_reader_next(struct grpc_reader *r, struct span *in, struct span *ret_message,
                      enum err *ret_error) ATTR_MUST_USE;
/* The message that has not arrived whole, as far as it has and is not ready; mutable in place.
 * SPAN_NONE: there is none. */
struct span grpc_reader_arrived(const struct grpc_reader *r);
/* The first `read` bytes of those have been rewritten to `written` bytes at the same start: they
 * are ready. The message that grpc_reader_next() hands out begins with ready_bytes such bytes. */
void grpc_reader_rewrote(struct grpc_reader *r, size_t read, size_t written);
/* Append the frame of the message that the last grpc_reader_next() gave, perhaps shortened: same
 * start, not longer. A large one is moved, not copied, when out is empty: held once. The message is
 * gone afterwards. */
enum err grpc_reader_give(struct grpc_reader *r, struct span message,
                          struct buf *out) ATTR_MUST_USE;
/* True between messages: a stream may end here. */
bool grpc_reader_is_clean(const struct grpc_reader *r);
void grpc_reader_deinit(struct grpc_reader *r);

/* Write the 5-byte head for a message of n bytes. */
void grpc_frame_head(uint8_t head[GRPC_HEAD_BYTES], uint32_t n);

#endif
