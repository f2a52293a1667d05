/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp - one stream socket (TCP or unix) on the loop, with an output queue that reports its length.
 *
 *   NEW --dial--> CONNECTING --connected--> OPEN --close, error--> CLOSING --last handle--> CLOSED
 *   NEW --accept--------------------------> OPEN
 *
 * Happy path: accept or dial, on_read for every read, tcp_write for every answer, tcp_close,
 * on_closed. Ways it ends: the peer closes or resets (on_end, once, then the owner calls
 * tcp_close), a write fails (on_end), the owner closes. Nothing is called after on_closed; memory
 * may be released in it and not before.
 *
 * A write tries the socket at once and queues what is left: one system call in the usual case, and
 * no memory is held while idle.
 */
#ifndef IO_TCP_H
#define IO_TCP_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"

struct tcp;

struct tcp_handler {
    void (*on_connected)(struct tcp *t);           /* dial succeeded */
    void (*on_read)(struct tcp *t, struct span in); /* in: writable, the loop's, valid for the call */
    void (*on_turn)(struct tcp *t);   /* may be NULL: the socket ran dry after on_read calls */
    void (*on_drained)(struct tcp *t); /* queued output fell to LIMIT_OUT_LOW_BYTES or below */
    void (*on_end)(struct tcp *t, int status); /* 0 = the peer closed; < 0 = uv error; once */
    void (*on_closed)(struct tcp *t);
};

enum tcp_state { TCP_STATE_NEW, TCP_STATE_CONNECTING, TCP_STATE_OPEN, TCP_STATE_CLOSING, TCP_STATE_CLOSED };

struct tcp {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    struct loop *loop;                 /* shares */
    const struct tcp_handler *handler; /* shares, static */
    enum tcp_state state;
    bool reading, writing, ended, close_when_sent;
    struct tcp_dial *dial; /* resolver, connect request and timer while CONNECTING; owned */
    struct tcp_send *send; /* the write in flight, with its bytes; owned; NULL while idle */
    struct buf queue;      /* output behind it */
};

/* Take the pending connection of a listener's uv handle. ERR_IO: t is closed, on_closed follows. */
enum err tcp_accept(struct tcp *t, struct loop *l, uv_stream_t *server,
                    const struct tcp_handler *handler) ATTR_MUST_USE;
/* Resolve (asynchronously, afresh each time) and connect, within LIMIT_DIAL_MS. on_connected, or
 * on_end with the reason; never either before tcp_dial has returned. addr is copied. */
enum err tcp_dial(struct tcp *t, struct loop *l, const struct addr *addr,
                  const struct tcp_handler *handler) ATTR_MUST_USE;

/* Start or stop reading; idempotent. */
void tcp_read(struct tcp *t, bool on);
/* Send s (copied where it cannot be sent at once). Errors are reported through on_end at the end of
 * the turn; after one, and after tcp_close, bytes are dropped. ERR_NOMEM. */
enum err tcp_write(struct tcp *t, struct span s) ATTR_MUST_USE;
/* Bytes not yet taken by the kernel. */
size_t tcp_queued(const struct tcp *t);
/* Close now; queued output is lost. Idempotent. */
void tcp_close(struct tcp *t);
/* Close after the queue is written, at most LIMIT_DRAIN_MS from now. Reading stops. */
void tcp_close_when_sent(struct tcp *t);
/* "127.0.0.1:41234" of the peer, or "unix"; for logs. */
const char *tcp_peer(const struct tcp *t, char text[ADDR_TEXT_BYTES]);

#endif
