/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_server - one application's connection to the etcd port.
 *
 *   SNIFFING ── HTTP/2 client preface ──> HTTP2 ─────────────┐
 *      │ ├───── a method's first letter ─> HTTP1 ────────────┤ peer closed, h2_conn_end(),
 *      │ └───── a TLS ClientHello, anything else: counted,   │ fatal error, GOAWAY and no streams
 *      │        logged with what mends it, closed            v
 *      └──────────────────────────────────────────────────> ENDING ── on_closed ──> released
 *
 * Happy path of a stream: HEADERS -> on_request, DATA -> on_data, END_STREAM -> on_ended;
 * h2_server_head(), bytes in the body, h2_server_end() with the trailers -> on_closed(0).
 * Ways it ends: h2_server_answer() (trailers only), h2_server_reset(), the application resets it or
 * its connection goes (on_closed with the code). on_closed is the last call for a stream, once.
 *
 * nghttp2 would keep each closed stream, 15 MiB a connection at our limit of streams, only to know
 * DATA and HEADERS on one that the application itself had ended: a connection error. The last few
 * ids do; to frames on older ones happens nothing. DATA there it does not show, nor what a PRIORITY
 * says: h2_walk finds those, in front of it.
 *
 * More than LIMIT_H2_OUTBOUND_ACKS unread answers to pings and SETTINGS, or
 * resets faster than LIMIT_H2_RESETS_*, end the connection.
 */
#ifndef IO_H2_SERVER_H
#define IO_H2_SERVER_H

#include "io/h2_conn.h"
#include "io/h2_request.h"
#include "wire/h2_walk.h"
#include "wire/http1.h"

struct h2_server;

enum { H2_ENDED_MAX = 32 }; /* ids of streams that the application ended, remembered */

/* One request of the application. Embedded in whoever serves it; zeroed = attached to nothing. */
struct h2_app_stream {
    struct h2_server *server; /* shares; NULL: the stream is gone */
    struct h2_app_stream *next, **link;
    int32_t id;
    bool head_sent;     /* response HEADERS were submitted */
    bool request_ended; /* END_STREAM was received */
    bool has_length;    /* the request said how long its body is: */
    uint64_t body_left; /* so much of it has not come */
    struct h2_body body;
    struct buf trailers; /* its embedder's; a header block, sent when the body is empty */
};

struct h2_server_handler {
    /* A request's header block. Returns whom it concerns from now on, attached with
     * h2_server_attach(), or NULL: refused for lack of memory. */
    struct h2_app_stream *(*on_request)(struct h2_server *server, int32_t id, struct span fields);
    void (*on_data)(struct h2_app_stream *s, struct span in); /* give in.n back when it has moved */
    void (*on_ended)(struct h2_app_stream *s);                /* END_STREAM was received */
    void (*on_sent)(struct h2_app_stream *s);                 /* bytes of the body have left */
    void (*on_closed)(struct h2_app_stream *s, uint32_t code);
    /* HTTP/1.1 on this port: append the answer to out. */
    enum err (*on_http1)(struct h2_server *server, const struct http1_request *r, struct buf *out);
    void (*on_released)(struct h2_server *server); /* about to be freed; its streams are gone */
};

struct h2_server {
    struct h2_conn conn; /* first */
    enum { H2_SERVER_SNIFFING, H2_SERVER_HTTP2, H2_SERVER_HTTP1 } state;
    const struct h2_server_handler *handler; /* shares */
    void *owner;                             /* shares */
    struct h2_server *next, **link;          /* of the owner's list */
    struct h2_app_stream *streams;
    struct h2_request request; /* of the header block being received */
    int32_t ended[H2_ENDED_MAX];
    unsigned ended_at; /* the next one to be overwritten */
    struct h2_walk walk;
    struct buf early; /* owned; bytes until the kind is known; HTTP/1: the request head */
    struct http1_parser http1;
};

/* Accept a pending connection and put it at the head of *list. On an error nothing is held. */
enum err h2_server_accept(struct h2_hub *hub, uv_stream_t *pending,
                          const struct h2_server_handler *handler, void *owner,
                          struct h2_server **list) ATTR_MUST_USE;
/* GOAWAY in its polite form: streams that arrive meanwhile are still served. */
void h2_server_goaway_soon(struct h2_server *s);
/* GOAWAY: no further streams; the connection ends with its last one. */
void h2_server_goaway(struct h2_server *s);

/* For on_request: tie a to the stream. body.bytes must be set. */
void h2_server_attach(struct h2_server *s, int32_t id, struct h2_app_stream *a);
/* Response HEADERS; the body follows. fields: a header block. */
enum err h2_server_head(struct h2_app_stream *a, struct span fields) ATTR_MUST_USE;
/* HEADERS that are the whole response. */
enum err h2_server_answer(struct h2_app_stream *a, struct span fields) ATTR_MUST_USE;
/* New bytes are in the body, or it has ended (body.ended; trailers then follow). */
void h2_server_resume(struct h2_app_stream *a);
void h2_server_reset(struct h2_app_stream *a, uint32_t code);
/* The stream will be resumed soon: have what nghttp2 keeps of it in the caches by then. */
static inline void h2_server_fetch(const struct h2_app_stream *a)
{
    if (a->server != NULL)
        (void)nghttp2_session_get_stream_user_data(a->server->conn.session, a->id);
}
/* Give n bytes of request body back to the stream's window. */
static inline void h2_server_consume(struct h2_app_stream *a, size_t n)
{
    if (a->server != NULL)
        h2_conn_consume(&a->server->conn, a->id, n);
}

#endif
