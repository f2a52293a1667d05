/* SPDX-License-Identifier: Apache-2.0 */
/*
 * web - a small HTTP/1.1 server on the sidecar's loop: requests in order, answers from memory, with
 * or without TLS, bodies where they are asked for.
 *
 *   HEAD --whole--> BODY --whole, answered--> HEAD            keep-alive
 *      \--refused, time------\--refused, time--> tcp_close_when_sent
 *
 * Bounded: a head by http1, a body by body_max, all bodies that are being read by WEB_HELD_BYTES;
 * a head must be there after WEB_HEAD_MS, the whole request after WEB_REQUEST_MS, and a connection
 * may be idle for WEB_IDLE_MS. Input is not read while output waits for a slow peer.
 *
 * Draining: answers say Connection: close and end the connection; new connections are still taken,
 * because the API server may not know yet. web_close ends what is idle at once and the rest when it
 * has been answered, or when its time is over.
 */
#ifndef INJECTOR_WEB_H
#define INJECTOR_WEB_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"
#include "wire/http1.h"

enum {
    WEB_HEAD_MS = 5000,
    WEB_REQUEST_MS = 10000,
    WEB_IDLE_MS = 90000, /* as long as Go's client keeps an idle connection */
    WEB_SWEEP_MS = 500,
    WEB_HELD_BYTES = 64 * 1024 * 1024
};

struct tls_context;
struct web;

struct web_request {
    enum http1_method method;
    struct span path, content_type, body; /* borrowed for the call */
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
    size_t body_max;         /* 0: no bodies, no POST */
    unsigned max_connections;
    void (*answer)(void *arg, const struct web_request *q, struct web_answer *ret_answer);
    void *arg;
    struct web_stats *stats; /* shares */
};

/* ERR_CONFIG: *ret_error says what and how to mend it. ERR_NOMEM. */
enum err web_open(struct loop *l, const struct web_options *options, struct web **ret_web,
                  struct buf *ret_error) ATTR_MUST_USE;
struct addr web_addr(const struct web *w);
void web_drain(struct web *w);
/* Stop accepting; see above. now: end everything. Memory is released by the loop; *w stays valid
 * until web_free_later says so: call it once, last. */
void web_stop(struct web *w);
/* Requests that are being read or answered. */
unsigned web_busy(const struct web *w);
/* End all connections. Nulls *w; nothing happens to NULL. */
void web_close(struct web **w);

#endif
