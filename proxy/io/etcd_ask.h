/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_ask - one request of the sidecar's own to etcd, over one lane: its token, its namespace's
 * entry, etcd's version, a watch on that entry. What is asked, and what an answer means, is the
 * owner's.
 *
 *   IDLE ── etcd_ask_send ──> ASKING ── on_answer, on_refused, on_lost ──> IDLE
 *    ^                          │ on_failed                                 │
 *    │                          v                                           │ etcd_ask_wait,
 *    └── on_again ────────── WAITING <──────────────────────────────────────┘ etcd_ask_back_off
 *
 * Happy path: begin, append the message to `request`, send; on_message for each message; on_answer.
 * Ways it ends: on_refused with etcd's status; on_failed, when it is not answered in time, or not
 * as gRPC would; on_lost with the connection; etcd_ask_forget() by the owner, and nothing is called
 * any more. One call ends it, once, and the owner may begin anew in it.
 */
#ifndef IO_ETCD_ASK_H
#define IO_ETCD_ASK_H

#include "io/etcd_link.h"
#include "wire/grpc_frame.h"

struct etcd_ask;
struct etcd_auth;

struct etcd_ask_handler {
    uint32_t message_bytes; /* the longest answer */
    bool stays_open;        /* the answers do not end: no time limit, and the request stays open */
    /* etcd ends it when its member has no leader (it may be cut off from the others). */
    bool wants_leader;
    /* An error ends it with on_failed; unless it was ended here. */
    enum err (*on_message)(struct etcd_ask *a, struct span message);
    void (*on_answer)(struct etcd_ask *a); /* status 0, behind a message at least */
    void (*on_refused)(struct etcd_ask *a, int status, struct span text);
    void (*on_failed)(struct etcd_ask *a, enum err error);
    void (*on_lost)(struct etcd_ask *a);
    void (*on_again)(struct etcd_ask *a);  /* the wait is over */
    void (*on_closed)(struct etcd_ask *a); /* after etcd_ask_close() */
};

struct etcd_ask {
    const struct etcd_ask_handler *handler; /* shares */
    struct etcd_link *link;                 /* shares */
    struct etcd_auth *auth;                 /* shares; NULL: it goes without a token */
    struct loop *loop;                      /* shares */

    enum { ETCD_ASK_IDLE, ETCD_ASK_ASKING, ETCD_ASK_WAITING } state;
    struct h2_up_stream up;
    struct buf request; /* one frame; wiped of nothing, so freed as soon as may be */
    struct grpc_reader reader;
    unsigned token;      /* the number of the one that it went out with */
    bool is_answered;    /* a message has come */
    bool has_timer;      /* else it is never late, and cannot wait */
    uint64_t backoff_ms; /* the last one; 0 after a success, which the owner declares */
    uv_timer_t timer;
};

/* Set handler … loop first; the rest zeroed. Without open there is no time limit and no waiting,
 * and etcd_ask_forget() is the end. */
void etcd_ask_open(struct etcd_ask *a);
/* on_closed follows, later in the loop. */
void etcd_ask_close(struct etcd_ask *a);

/* Forget what was, and make room for the frame's head: append the message to a->request. (After
 * etcd_ask_forget() alone, etcd_ask_send() sends no message: one that stays open may do so.) */
enum err etcd_ask_begin(struct etcd_ask *a) ATTR_MUST_USE;
/* ERR_NO_UPSTREAM: the lane is not usable. ERR_NOMEM, ERR_LIMIT. Nothing is called then. */
enum err etcd_ask_send(struct etcd_ask *a, struct span method) ATTR_MUST_USE;
/* Idempotent; safe on zeroed memory. */
void etcd_ask_forget(struct etcd_ask *a);
/* on_again after so long; or after a time that doubles (limit.h). It is forgotten meanwhile. */
void etcd_ask_wait(struct etcd_ask *a, uint64_t ms);
void etcd_ask_back_off(struct etcd_ask *a);

#endif
