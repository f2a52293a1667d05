/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_conn - one light NATS client connection: greets, subscribes, cuts incoming messages.
 *
 * Reads into one fixed buffer and hands out messages as pointers into it; nothing is allocated per
 * message. Whatever is not MSG, PING, PONG, +OK or INFO ends the program: a load client that is
 * told -ERR measures nothing.
 */
#ifndef NATS_CONN_H
#define NATS_CONN_H

#include "net.h"

#include <stddef.h>
#include <stdint.h>

enum {
    NATS_CONN_READ_BYTES = 256 * 1024, /* holds any message of the benchmarks whole */
};

struct nats_msg {
    const char *subject, *sid, *reply; /* borrow from the connection's buffer; reply may be empty */
    size_t subject_n, sid_n, reply_n;
    const char *payload;
    size_t payload_n;
};

struct nats_conn {
    int fd;
    struct outbuf out;
    char *in; /* owned; NATS_CONN_READ_BYTES, or less for a connection that only stays */
    size_t in_begin, in_end, in_cap;
    uint64_t pongs;
    void *user; /* borrows */
};

/* Dials, reads INFO, sends CONNECT and PING, waits for PONG; the socket is non-blocking after. */
void nats_conn_open(struct nats_conn *c, const char *target, size_t in_cap);
void nats_conn_close(struct nats_conn *c);
/* Writes what is queued, then waits until the server has answered a PING sent after it. */
void nats_conn_barrier(struct nats_conn *c);
/* Queues SUB SUBJECT SID. */
void nats_conn_sub(struct nats_conn *c, const char *subject, const char *sid);
/* One read(). Dies when the connection is lost. */
void nats_conn_read(struct nats_conn *c);
/* The next whole message that was read; false: none. Answers PINGs on the way. */
bool nats_conn_next(struct nats_conn *c, struct nats_msg *ret);
/* Writes once; dies when the connection is lost. */
void nats_conn_write(struct nats_conn *c);

#endif
