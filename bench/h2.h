/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2 - one HTTP/2 connection of a load client: a socket, an nghttp2 session, one send() a turn.
 */
#ifndef H2_H
#define H2_H

#include "net.h"

#include <nghttp2/nghttp2.h>
#include <stdint.h>

struct h2 {
    const char *target;
    int fd, epoll;
    nghttp2_session *session; /* owned */
    struct outbuf out;
    bool wants_writable;
    void *user; /* borrows: data.ptr of its events */
};

enum { H2_WINDOW_BYTES = 64 * 1024 * 1024 }; /* flow control of ours must not be what limits */

/* A header that is a literal: nothing is copied. */
#define H2_HEADER(name, value)                                                                     \
    {                                                                                              \
        (uint8_t *)(uintptr_t)(name), (uint8_t *)(uintptr_t)(value), sizeof(name) - 1,             \
            sizeof(value) - 1, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE        \
    }
/* All of a gRPC request to path, a literal. */
#define H2_GRPC(path)                                                                              \
    {                                                                                              \
        H2_HEADER(":method", "POST"), H2_HEADER(":scheme", "http"), H2_HEADER(":path", path),      \
            H2_HEADER(":authority", "bench"), H2_HEADER("content-type", "application/grpc"),       \
            H2_HEADER("user-agent", "bulkhead-bench"), H2_HEADER("te", "trailers"),                \
    }
enum { H2_GRPC_HEADERS = 7 };

/* Dials, adds the socket to epoll (its data.ptr is user), greets. callbacks: taken; `user` is what
 * they are called with. window: of a stream and of the connection. Dies when it cannot. */
void h2_open(struct h2 *c, nghttp2_session_callbacks *callbacks, void *user, int32_t window);
/* Sends what the session has; dies when the connection is lost. */
void h2_flush(struct h2 *c);
/* One recv() of at most n bytes into the session; how many came. Dies when the connection is lost.
 */
size_t h2_read(struct h2 *c, size_t n);

#endif
