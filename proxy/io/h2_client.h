/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_client - one connection to an etcd server.
 *
 *   DIALING ── connected ──> GREETING ── SETTINGS ──> USABLE ── GOAWAY, ids used up ──> RETIRED
 *      │                        │ (not HTTP/2)          │ (lost)                         │ (last
 *      v                        v                       v                                v stream)
 *   ENDING <───────────────────────────────────────────────────────────────────────── ENDING
 *      └── on_closed ──> on_gone(), released
 *
 * Nothing is sent before the server's SETTINGS: they prove that it speaks HTTP/2.
 *
 * Happy path of a stream: h2_client_request(), on_head, on_data, on_trailers, on_closed(0).
 * Ways it ends: on_head with ended (trailers only), on_closed with the code of a reset, on_lost
 * when the connection goes, h2_client_cancel() by the owner (then nothing is called any more).
 */
#ifndef IO_H2_CLIENT_H
#define IO_H2_CLIENT_H

#include "io/coalesce.h"
#include "io/h2_conn.h"

struct h2_client;
struct h2_up_stream;

struct h2_up_handler {
    /* A header block: the response's, or a trailers-only answer if ended. */
    void (*on_head)(struct h2_up_stream *s, struct span fields, bool ended);
    void (*on_data)(struct h2_up_stream *s, struct span in); /* give in.n back when it has moved */
    void (*on_trailers)(struct h2_up_stream *s, struct span fields);
    void (*fetch)(const struct h2_up_stream *s); /* may be NULL: on_data is near, warm the caches */
    void (*on_sent)(struct h2_up_stream *s);     /* bytes of the body have left */
    /* Closed by both sides (code 0) or reset by the server. The last call. */
    void (*on_closed)(struct h2_up_stream *s, uint32_t code);
    /* The connection was lost. sent: the server may have seen the request. The last call. */
    void (*on_lost)(struct h2_up_stream *s, bool sent);
};

/* One request to the server. Embedded in its owner; zeroed = attached to nothing. */
struct h2_up_stream {
    const struct h2_up_handler *handler; /* shares */
    struct h2_client *client;            /* shares; NULL: the stream is gone */
    struct h2_up_stream *next, **link;
    int32_t id;
    bool sent;  /* HEADERS have left */
    bool ended; /* END_STREAM was received */
    struct h2_body body;
};

struct h2_client_handler {
    void (*on_usable)(struct h2_client *c);
    void (*on_retired)(struct h2_client *c); /* take no further requests to it */
    /* Lost, or never usable (*ret_seen: what the server said instead, "" = nothing). Its streams
     * are gone; c is released after the call. */
    void (*on_gone)(struct h2_client *c, bool was_usable, const char *why);
};

struct h2_client {
    struct h2_conn conn; /* first */
    enum { H2_CLIENT_DIALING, H2_CLIENT_GREETING, H2_CLIENT_USABLE, H2_CLIENT_RETIRED } state;
    const struct h2_client_handler *handler; /* shares */
    void *owner;                             /* shares */
    struct h2_client *next, **link;          /* of the owner's list */
    struct h2_up_stream *streams;
    struct coalesce coalesce;
    uint64_t unwanted; /* h2_client_unwanted() of this read */
    struct addr addr;
    char authority[ADDR_TEXT_BYTES];
    bool was_usable;
    uint64_t heard_ms, pinged_ms; /* the last bytes; our ping that is not answered, 0 = none */
    int status;                   /* why it ended: uv's error, 0 = the server closed */
    uint8_t first[8];             /* its first bytes, to say what spoke */
    size_t first_n;
    const char *why; /* static text; NULL: status says */
};

/* The fields that every gRPC request begins with; returns how many, H2_CLIENT_GRPC_FIELDS. Borrows
 * c and method. */
enum { H2_CLIENT_GRPC_FIELDS = 6 };
size_t h2_client_grpc_fields(const struct h2_client *c, struct span method, nghttp2_nv *nv);

/* Dial addr; on_usable or on_gone follows, never before this has returned. Puts it into *list. */
enum err h2_client_open(struct h2_hub *hub, const struct addr *addr,
                        const struct h2_client_handler *handler, void *owner,
                        struct h2_client **list) ATTR_MUST_USE;
/* End it now; on_gone follows. */
void h2_client_close(struct h2_client *c);
/* As if the server had sent GOAWAY: on_retired, then it ends with its last stream. */
void h2_client_retire(struct h2_client *c);
/* Call it every LIMIT_UPSTREAM_LOOK_MS: pings a server that is silent while calls are open, and
 * ends the connection if it does not answer. */
void h2_client_look(struct h2_client *c);

/* Open a stream. c must be usable; s->body and s->handler must be set. ERR_NOMEM; ERR_LIMIT: no
 * stream ids are left: c is retired, use another. */
enum err h2_client_request(struct h2_client *c, struct h2_up_stream *s, const nghttp2_nv *nv,
                           size_t n) ATTR_MUST_USE;
/* New bytes are in the body, or it has ended (half close). */
void h2_client_resume(struct h2_up_stream *s);
/* Detach, and reset the stream unless the server has ended it. No call follows. Idempotent. */
void h2_client_cancel(struct h2_up_stream *s);
/* In on_data: so many events that came on this stream are for nobody. What another connection
 * brought, and goes on by an answer of this one, is none of them: calls would wait for it. */
static inline void h2_client_unwanted(struct h2_up_stream *s, uint64_t events)
{
    s->client->unwanted += events;
}
/* Give n bytes of response body back to the stream's window. */
static inline void h2_client_consume(struct h2_up_stream *s, size_t n)
{
    if (s->client != NULL)
        h2_conn_consume(&s->client->conn, s->id, n);
}

#endif
