/* SPDX-License-Identifier: Apache-2.0 */
/*
 * web - the one HTTP/1.1 server of the sidecar (health and admin listener) and of the injector
 * (webhook and health): requests in order, answers from memory, with or without TLS, bodies where
 * they are asked for.
 *
 *   HEAD --whole--> BODY --whole, answered--> HEAD            keep-alive
 *      \--refused, time------\--refused, time--> tcp_close_when_sent
 *
 * Bounded: a head by http1, a body by body_max, all bodies that are being read by
 * LIMIT_WEB_HELD_BYTES; a head must be there after LIMIT_WEB_HEAD_MS, the whole request after
 * LIMIT_WEB_REQUEST_MS, and a connection may be idle for idle_ms,
 * before its first request for LIMIT_WEB_FIRST_MS, so that silent ones do not take the places.
 * Input is not read while output waits for a slow peer; where there are no bodies, one read's worth
 * of pipelined requests whose answers are larger than LIMIT_OUT_HIGH_BYTES ends the connection, so
 * that nobody holds up the loop.
 *
 * web_drain: answers say Connection: close and end their connection; new connections are still
 * taken, because the API server may not know yet. web_stop: no new ones, and those that are idle
 * end; what is in flight is answered. web_close ends everything.
 */
#ifndef IO_WEB_H
#define IO_WEB_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"
#include "wire/http1.h"

struct tls_context;
struct web;

struct web_request {
    enum http1_method method;
    struct span path, query, content_type, body; /* borrowed for the call; path and query are cut
                                                    at 128 bytes */
    bool is_encoded;
};

struct web_answer {
    int status;
    const char *content_type, *allow; /* static; NULL: http1's */
    struct buf body;                  /* web's to release */
};

struct web_stats {
    uint64_t connections_total, requests_total, refused_total, timeouts_total, held_refused_total;
    unsigned connections;
};

struct web_options {
    const struct addr *listen; /* borrowed for the call */
    unsigned listens;
    const char *option;      /* static: "--listen" */
    struct tls_context *tls; /* shares; NULL: plain */
    size_t body_max;         /* 0: no bodies */
    unsigned max_connections;
    uint64_t idle_ms;
    /* Not called after web_close. It may call web_drain and web_close. */
    void (*answer)(void *arg, const struct web_request *q, struct web_answer *ret_answer);
    void *arg;
};

/* ERR_CONFIG: *ret_error says what and how to mend it. ERR_NOMEM. */
enum err web_open(struct loop *l, const struct web_options *options, struct web **ret_web,
                  struct buf *ret_error) ATTR_MUST_USE;
struct addr web_addr(const struct web *w);
/* What it has counted so far; borrowed, until web_close. */
const struct web_stats *web_stats(const struct web *w);
void web_drain(struct web *w);
/* Stop accepting; idle connections end, the others when they were answered. */
void web_stop(struct web *w);
/* Requests that are being read or answered. */
unsigned web_busy(const struct web *w);
/* End all connections; memory is released by the loop. Nulls *w; nothing happens to NULL. */
void web_close(struct web **w);

#endif
