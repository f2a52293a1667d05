/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp - one stream socket (TCP or unix) on the loop, with an output queue that reports its length.
 *
 *   NEW --dial--> CONNECTING --connected-----------------> OPEN --tcp_close_when_sent--> LINGERING
 *    |                 \--connected--> SECURING --TLS--------^
 *    \--accept----------------------------------------------/
 *   each of them but NEW --tcp_close, sent--> CLOSING --> CLOSED
 *
 * Happy path: accept or dial, on_read for every read, tcp_write for every answer, tcp_close,
 * on_closed. Ways it ends: the peer closes or resets (on_end, once; then the owner calls tcp_close
 * or tcp_close_when_sent), a write fails (on_end), the dial fails (on_end), the owner closes.
 * No callback but on_closed follows tcp_close or tcp_close_when_sent, and nothing follows
 * on_closed: in it, and not before, memory may be released or the struct used again.
 *
 * A write tries the socket at once and queues what is left: one system call in the usual case, and
 * no memory is held while idle. A peer that has closed its sending side (on_end with 0) can still
 * be written to. After a failed write the rest of the input is still delivered first, if it is
 * being read: what the peer said last usually says why.
 *
 * tcp_close_when_sent ends politely: write the queue, shut down the sending side, throw away what
 * still arrives until the peer closes too. A plain close with unread input would make the kernel
 * reset the connection and drop what is still on its way out.
 *
 * TLS is a matter of this module (tcp_tls.c): who dials with tcp_dial_tls, or calls tcp_start_tls
 * on a socket that is OPEN, reads and writes as before. Until the handshake is over, at most
 * LIMIT_DIAL_MS, what is written waits, and counts as queued. A handshake that fails ends the
 * connection: on_end with UV_EPROTO or UV_ETIMEDOUT, and tcp_why() says what was wrong.
 *
 * Every callback comes from the loop, none from inside a call made by the owner; the owner may call
 * anything here from any of them.
 */
#ifndef IO_TCP_H
#define IO_TCP_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/deadline.h"
#include "io/loop.h"

struct dialled;
struct tcp;
struct tcp_tls;
struct tls_context;

struct tcp_handler {
    /* The dial succeeded, with its TLS; or the TLS of tcp_start_tls stands. NULL: not asked for. */
    void (*on_connected)(struct tcp *t);
    /* in: writable, the loop's, valid for the call; never empty. */
    void (*on_read)(struct tcp *t, struct span in);
    /* May be NULL. The socket ran dry: after the on_read that was shorter than LIMIT_READ_BYTES, at
     * once; after longer ones at the end of the turn at the latest. For owners that flush once per
     * burst; who wants to flush once per turn for many sockets queues a loop_task of its own. */
    void (*on_turn)(struct tcp *t);
    /* A queued write was finished and LIMIT_OUT_LOW_BYTES or fewer are left. Not called for writes
     * that the kernel took at once. */
    void (*on_drained)(struct tcp *t);
    void (*on_end)(struct tcp *t, int status); /* 0 = the peer closed; < 0 = uv error; once */
    void (*on_closed)(struct tcp *t);
};

enum { TCP_PIECES_MAX = 80 }; /* of one tcp_writev() */

enum tcp_state {
    TCP_STATE_NEW,
    TCP_STATE_CONNECTING,
    TCP_STATE_SECURING,
    TCP_STATE_OPEN,
    TCP_STATE_LINGERING,
    TCP_STATE_CLOSING,
    TCP_STATE_CLOSED,
    TCP_STATE_COUNT
};

/* Zeroed = NEW. The owner reads state and may use data; everything else is tcp's. */
struct tcp {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } u;
    struct loop *loop;                 /* shares */
    const struct tcp_handler *handler; /* shares, static */
    struct loop_task later;            /* what must not happen inside the owner's call */
    struct tcp_dial
        *dial; /* resolver, connect request, timer; while CONNECTING; shared with libuv */
    struct tcp_send *send;   /* the write in flight, with its bytes; owned; NULL while idle */
    struct tcp_tls *tls;     /* owned; NULL: none */
    struct dialled *dialled; /* owned; the loop knows us by it; NULL: accepted, or nobody asks */
    struct deadline *linger; /* of LINGERING */
    struct buf queue;        /* output behind send */
    int failed;              /* uv error after which output is dropped; 0 = none */
    uint8_t state;           /* enum tcp_state */
    uint8_t socket;          /* enum tcp_socket, tcp.c: is there a libuv handle in u? */
    bool reading, ended;     /* reading: the owner wants to */
    bool polling;            /* libuv reads */
    bool due_input, due_turn, due_end, due_closed; /* what later will do */
};

/* Take the pending connection of a listener's uv handle. ERR_IO: t is closed, on_closed follows. */
enum err tcp_accept(struct tcp *t, struct loop *l, uv_stream_t *server,
                    const struct tcp_handler *handler) ATTR_MUST_USE;
/* Resolve (asynchronously, afresh each time; literals are not looked up) and connect, all addresses
 * of the name in turn, within LIMIT_DIAL_MS. on_connected, or on_end with the reason; never either
 * before tcp_dial has returned. addr is copied. ERR_NOMEM: t stays NEW, no callback follows. */
enum err tcp_dial(struct tcp *t, struct loop *l, const struct addr *addr,
                  const struct tcp_handler *handler) ATTR_MUST_USE;

/* As tcp_dial, and TLS before on_connected; addr's host is whom the server must be, unless ctx says
 * it. Shares ctx; NULL: no TLS. */
enum err tcp_dial_tls(struct tcp *t, struct loop *l, const struct addr *addr,
                      struct tls_context *ctx, const struct tcp_handler *handler) ATTR_MUST_USE;
/* From here on t speaks TLS: as the client or the server that ctx is for. What was written before
 * goes out before, as it is; all input from now on is TLS. host: as addr's host above; not used by
 * servers. t is OPEN, or nothing happens. ERR_NOMEM: close. */
enum err tcp_start_tls(struct tcp *t, struct tls_context *ctx, const char *host) ATTR_MUST_USE;

/* Start or stop reading; idempotent. Nothing happens unless OPEN, or after on_end. */
void tcp_read(struct tcp *t, bool on);
/* Send s (copied where it cannot be sent at once; all of it while CONNECTING). Errors are reported
 * through on_end; after one, and after tcp_close, bytes are dropped. ERR_NOMEM: some or all of s is
 * lost, close. */
enum err tcp_write(struct tcp *t, struct span s) ATTR_MUST_USE;
/* The same of n pieces in one write, at most TCP_PIECES_MAX; empty ones are allowed. */
enum err tcp_writev(struct tcp *t, const struct span *pieces, size_t n) ATTR_MUST_USE;
/* Bytes not yet taken by the kernel. */
size_t tcp_queued(const struct tcp *t);
/* Close now; queued output is lost. Idempotent; nothing happens to a NEW one. */
void tcp_close(struct tcp *t);
/* Close once the queue is written and the peer has closed too, at most LIMIT_LINGER_MS from now. */
void tcp_close_when_sent(struct tcp *t);
/* What on_end's status means, for logs; valid until on_closed has returned. */
const char *tcp_why(const struct tcp *t, int status);
/* "127.0.0.1:41234" of the peer, or "unix"; for logs. */
const char *tcp_peer(const struct tcp *t, char text[ADDR_TEXT_BYTES]);

#endif
