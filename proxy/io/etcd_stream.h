/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_stream - one call: an application's HTTP/2 stream, the etcd_call that maps it, and the
 * stream to upstream.
 *
 *   h2_app_stream ── DATA ──> etcd_call ── to_up ──> h2_up_stream
 *                 <─ to_app ─           <── DATA ──
 *
 *           the request, or a stream's    the lane
 *           head; no lane is usable       is usable
 *   GATHERING ─────────────────> WAITING ──────────> FLOWING
 *    │  ^  ^  the tag is settled  │  │                │  │
 *    │  │  └──────────────────────┘  │                │  │
 *    │  └──────────── a random lease id was taken ────┘  │
 *    │ refused, answered here        │ deadline,         │ trailers, reset, lost
 *    │                               v no upstream       │
 *    └────────────────────────────> ENDING <─────────────┘
 *
 * A stream of watches or keep-alives whose upstream is lost goes from FLOWING to WAITING, as long
 * as it takes, and on with what etcd_call_resume() says; the application notices nothing.
 *
 * A unary call whose token etcd does not know any more has not been done: it goes from FLOWING to
 * GATHERING as well, once, and out again with the next token.
 *
 * In ENDING what is left goes out to the application, then the status. Memory is released when the
 * application's stream is closed, and by then none to upstream is left.
 *
 * Until the namespace's tag is known no byte can be mapped: a call waits with its bytes as they
 * came, at most one window of them.
 *
 * Unary requests go upstream when they are whole: their HEADERS and DATA leave in one write, and
 * one that is malformed costs upstream nothing. Streams are opened at once.
 *
 * Windows: bytes are given back to the sender when they have been handed on, or at once while less
 * than LIMIT_OUT_HIGH_BYTES wait; a message that is still being gathered does not count, its own
 * limit does. All calls together hold at most LIMIT_HELD_BYTES.
 */
#ifndef IO_ETCD_STREAM_H
#define IO_ETCD_STREAM_H

#include "io/etcd_plane_private.h"
#include "wire/grpc_status.h"

enum etcd_stream_state {
    ETCD_STREAM_GATHERING,
    ETCD_STREAM_WAITING,
    ETCD_STREAM_FLOWING,
    ETCD_STREAM_ENDING,
    ETCD_STREAM_STATES
};

/* A read of our own that a stream of watches needs (etcd_stream_side.c). */
struct etcd_side {
    struct h2_up_stream up;
    struct buf request;               /* owned */
    struct etcd_stream *next, **link; /* of plane->side_waiting */
    bool is_waiting;                  /* for the unary lane */
    uint64_t again_ms;                /* when it is asked for again; 0: when the lane is usable */
    uint64_t backoff_ms;
    unsigned token; /* the number of the one that it was sent with */
};

struct etcd_stream {
    struct etcd_plane *plane; /* shares */
    struct h2_app_stream app;
    struct h2_up_stream up;
    struct etcd_side side;
    struct etcd_call call; /* call.route == NULL: refused before it was known */
    enum etcd_stream_state state;
    struct etcd_stream *next, **link; /* of plane->waiting, or of plane->spare */
    struct buf head;                  /* owned; the application's metadata that goes upstream */
    char timeout[GRPC_TIMEOUT_BYTES]; /* grpc-timeout as it came; "" = none */
    uint64_t deadline_ms;             /* on the loop's clock; 0 = none */
    uint64_t began_ns;
    size_t app_held, up_held; /* window bytes not yet given back */
    size_t held_bytes;        /* this call's part of plane->held_bytes */
    bool has_prelude_head;    /* upstream has begun to answer a prelude (etcd_call.h) */
    bool is_resuming;         /* waits to go on where the upstream was lost */
    bool has_heard;           /* upstream has sent a message since the stream to it was opened */
    bool is_again;            /* etcd did not know our token: sent again, once */
    unsigned token;           /* the number of the one that it was sent with */
    struct buf again;         /* owned; what was sent, where a token can become stale */
    bool is_plain;            /* plain HTTP: its answer is in head and call.to_app */
    bool is_early;            /* the tag is not known: bytes go to early */
    struct buf early;         /* owned */
};

/* A request has arrived; handler of h2_server. */
struct h2_app_stream *etcd_stream_on_request(struct h2_server *server, int32_t id,
                                             struct span fields);
void etcd_stream_on_data(struct h2_app_stream *app, struct span in);
void etcd_stream_on_ended(struct h2_app_stream *app);
void etcd_stream_on_sent(struct h2_app_stream *app);
void etcd_stream_on_closed(struct h2_app_stream *app, uint32_t code);

/* End the call with this error: the application gets its status, upstream a reset. */
void etcd_stream_finish(struct etcd_stream *s, enum err e, const char *message);
static inline struct etcd_stream *etcd_stream_of_app(struct h2_app_stream *app)
{
    return (struct etcd_stream *)(void *)((char *)app - offsetof(struct etcd_stream, app));
}

/* A health watch: tell it if what it was told last is no longer so. */
void etcd_stream_push_health(struct etcd_stream *s);

/* Send what can be sent of the calls that wait. */
void etcd_stream_pump(struct etcd_plane *p);
/* Answer those that wait for this lane (all lanes: ETCD_LANES) with e. */
void etcd_stream_fail_waiting(struct etcd_plane *p, enum etcd_lane lane, enum err e);
/* Answer those whose deadline is past; returns the next one in ms of the loop's clock, 0 = none. */
uint64_t etcd_stream_expire(struct etcd_plane *p);
void etcd_stream_free_spare(struct etcd_plane *p);

#endif
