/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_conn - what both kinds of HTTP/2 connection share: one socket, one nghttp2 session, and the
 * turn's flush. h2_server (applications) and h2_client (upstream) embed it first.
 *
 *   socket readable ─> tcp ─> nghttp2_session_mem_recv ─> callbacks of h2_server / h2_client
 *                                                              │ submit, resume, consume
 *                                                              v
 *   end of the turn: hub ─> every touched session: nghttp2_session_mem_send ─> scratch ─>
 * tcp_writev large bodies: lent, as they lie ─┘
 *
 * Nothing is written from a callback. Whoever touches a session calls h2_conn_touch(); at the end
 * of the loop turn all that was produced by all reads of the turn goes out with one write a
 * connection.
 *
 * Flow control: a connection's window is given back as soon as bytes arrive, so that one slow
 * stream stalls only itself; a stream's window is given back by h2_conn_consume() when its bytes
 * have moved on. While more than LIMIT_OUT_HIGH_BYTES wait for a peer, its session is not asked for
 * more.
 *
 * PINGs are answered at once, but for the one that gRPC for Go sends after every message to measure
 * bandwidth: its answer leaves with other bytes, at most every LIMIT_PING_ACK_MS, because it would
 * cost a write of its own, and the next ping a read. Nobody waits for it: it is no sign of life.
 *
 *   OPEN ── h2_conn_end(), peer closed, fatal error ──> ENDING ── tcp's on_closed ──> CLOSED
 *
 * In ENDING the session still takes calls, to no effect; it is deleted in the last close callback.
 */
#ifndef IO_H2_CONN_H
#define IO_H2_CONN_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "io/tcp.h"

struct h2_conn;

enum { H2_FRAME_HEAD_BYTES = 9 };

enum { H2_FIELDS_MAX = 100 }; /* header fields of one block; etcd's clients send about ten */

enum { H2_LENT_MAX = 32 }; /* pieces of bodies in one write */

/* One a plane: the scratch memory that all its sessions share, and the list of touched ones. */
struct h2_hub {
    struct loop *loop;          /* shares */
    struct tls_context *tls_up; /* shares; for https:// upstreams */
    struct loop_task flush;
    struct h2_conn *touched, **touched_end; /* in the order in which they were touched */
    /* The next write: scratch memory, and between it what is lent. A piece is borrowed from the
     * body that it was taken from, and written before that one changes or goes. */
    uint8_t *scratch; /* owned; SCRATCH_BYTES */
    size_t scratch_n;
    struct {
        size_t at; /* so much of the scratch memory goes before it */
        struct span bytes;
    } lent[H2_LENT_MAX];
    size_t lent_n, lent_bytes;
};

/* ERR_NOMEM. deinit is safe on zeroed memory. */
enum err h2_hub_init(struct h2_hub *hub, struct loop *loop) ATTR_MUST_USE;
void h2_hub_deinit(struct h2_hub *hub);

struct h2_conn {
    struct tcp tcp;           /* first: the tcp handlers cast back */
    struct h2_hub *hub;       /* shares */
    nghttp2_session *session; /* owned; NULL before the preface and after the end */
    struct h2_conn *touched_next;
    bool owes_ping;            /* the answer to a measuring PING */
    uint64_t ping_answered_ms; /* when one was given last */
    bool touched, ending;
    const uint8_t *fed_end; /* of the bytes that are being fed */
    size_t arrived;         /* bytes of DATA in this read: of the connection's window */
    enum counter rx, tx;    /* bytes read and written are counted there */
    /* The header block being received: HTTP/2 never interleaves two on one connection. */
    struct buf block;
    unsigned block_fields;
    bool block_over; /* longer than we take: the stream is refused */
};

/* What differs between the two kinds of session. options and callbacks add theirs to what both have
 * (windows and PINGs are ours, header blocks are gathered in conn). */
struct h2_setup {
    bool is_server;
    void (*options)(nghttp2_option *o); /* NULL: none */
    void (*callbacks)(nghttp2_session_callbacks *cb);
    const nghttp2_settings_entry *settings;
    size_t settings_n;
};
/* The session of c, which its callbacks get; SETTINGS are submitted. NULL: out of memory. */
nghttp2_session *h2_conn_new_session(struct h2_conn *c, const struct h2_setup *setup);

/* Hand bytes to the session of a connection that is not ending. False: it cannot go on and is being
 * ended; *ret_error is nghttp2's. What nghttp2 answers with a GOAWAY of its own is no such case. */
bool h2_conn_feed(struct h2_conn *c, struct span in, int *ret_error) ATTR_MUST_USE;
/* A stream closes: what is lent of its body is written first. */
void h2_conn_settle(struct h2_conn *c);
/* Something was submitted, resumed or consumed: flush at the end of this turn. */
void h2_conn_touch(struct h2_conn *c);
/* Give n bytes of a stream's receive window back. */
void h2_conn_consume(struct h2_conn *c, int32_t stream_id, size_t n);
/* A PING came (nghttp2 does not answer by itself). False: out of memory, or far too many. */
bool h2_conn_pinged(struct h2_conn *c, const uint8_t said[8]) ATTR_MUST_USE;
/* End the connection now; idempotent; on_closed of its tcp follows. */
void h2_conn_end(struct h2_conn *c);
/* From on_closed, before the memory is released. */
void h2_conn_deinit(struct h2_conn *c);

/* -- header blocks -- */
/* A block travels as bytes: { flags 1, name length 2, value length 4, name, value }*, so that it
 * can be kept in one buf and handed on without a table. */
struct h2_field {
    struct span name, value;
    uint8_t flags; /* NGHTTP2_NV_FLAG_NO_INDEX is carried on */
};

enum err h2_field_add(struct buf *block, const struct h2_field *f) ATTR_MUST_USE;
/* Take the next field off *block. False at the end. */
bool h2_field_next(struct span *block, struct h2_field *ret_field);
/* The value of the field called name; {NULL, 0} if there is none. */
struct span h2_field_find(struct span block, struct span name);
nghttp2_nv h2_nv(struct span name, struct span value, uint8_t flags);

/* nghttp2's on_begin_headers and on_header of both sides: collect c->block. user_data is the conn.
 */
int h2_conn_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg);
int h2_conn_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags,
                      void *arg);

/* -- bodies -- */
struct h2_body {
    struct buf *bytes; /* borrowed from the call; consumed as frames are made */
    bool ended;        /* no more bytes will come */
    bool deferred;     /* nghttp2 was told to wait: resume when bytes or the end arrive */
};

/* The two halves of a data provider: how much goes into the next frame, and moving it out of the
 * body (nghttp2_send_data_callback): a little is copied to the scratch memory, much is lent. */
ssize_t h2_body_pull(struct h2_body *b, size_t max, uint32_t *flags);
int h2_body_move(struct h2_conn *c, struct h2_body *b, const uint8_t *frame_head, size_t n);
void h2_body_resume(struct h2_conn *c, int32_t stream_id, struct h2_body *b);

#endif
