/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp_dial.c - from a name to a connected socket.
 *
 *   literal, unix ---------------------v
 *   name --resolver thread--> addresses > attempt > connected
 *                                       ^-- socket closed <-- refused, timed out
 *
 * Happy path: resolve, attempt, on_connect, tcp_dialled(0). Ways it ends: no address left, time is
 * up, the owner closes. LIMIT_DIAL_MS is for all of it; an attempt gets its share of what is left,
 * so that an address that never answers does not take the time of those behind it.
 *
 * The struct is counted: one for the timer, one for each request that libuv holds. Closing tcp does
 * not wait for a slow resolver.
 */
#include <stdlib.h>

#include "base/check.h"
#include "io/dialled.h"
#include "io/sockaddr.h"
#include "io/tcp_private.h"

struct tcp_dial {
    struct tcp *t; /* NULL: nobody waits any more */
    unsigned refs;
    uv_timer_t timer;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    struct addr addr; /* without its secrets */
    struct sockaddr_storage literal;
    bool is_literal, is_taken; /* the one address of a literal or a unix path was tried */
    bool is_resolving;
    struct addrinfo *found, *next;
    uint64_t deadline_ms;
    int last_error;
};

static void unref(struct tcp_dial *d)
{
    if (--d->refs != 0)
        return;
    uv_freeaddrinfo(d->found);
    free(d);
}

static void on_timer_closed(uv_handle_t *handle)
{
    unref(handle->data);
}

void tcp_dial_detach(struct tcp *t)
{
    struct tcp_dial *d = t->dial;
    if (d == NULL)
        return;
    t->dial = NULL;
    d->t = NULL;
    if (d->is_resolving)
        uv_cancel(
            (uv_req_t *)&d->resolve); /* fails if a thread has begun it: then it ends unheard */
    uv_close((uv_handle_t *)&d->timer, on_timer_closed);
}

static void finish(struct tcp *t, int status)
{
    tcp_dial_detach(t);
    tcp_dialled(t, status);
}

static void on_connect(uv_connect_t *req, int status)
{
    struct tcp_dial *d = req->data;
    struct tcp *t = d->t;
    if (t != NULL && status == 0) {
        finish(t, 0);
    } else if (t != NULL && t->socket == TCP_SOCKET_OPEN) {
        d->last_error = status;
        tcp_socket_close(t);
    }
    unref(d);
}

static void on_time(uv_timer_t *timer)
{
    struct tcp_dial *d = timer->data;
    d->last_error = UV_ETIMEDOUT;
    if (d->t->socket == TCP_SOCKET_OPEN)
        tcp_socket_close(d->t);
    else if (d->t->socket == TCP_SOCKET_NONE)
        finish(d->t, UV_ETIMEDOUT);
}

/* Addresses not tried yet. */
static unsigned addresses_left(const struct tcp_dial *d)
{
    if (d->is_literal)
        return d->is_taken ? 0 : 1;
    unsigned n = 0;
    for (const struct addrinfo *i = d->next; i != NULL; i = i->ai_next)
        n++;
    return n;
}

static const struct sockaddr *take_address(struct tcp_dial *d)
{
    if (d->is_literal) {
        d->is_taken = true;
        return (const struct sockaddr *)&d->literal;
    }
    const struct sockaddr *sa = d->next->ai_addr;
    d->next = d->next->ai_next;
    return sa;
}

/* 0: on_connect follows. Else the socket may have to be closed. */
static int start_connect(struct tcp *t)
{
    struct tcp_dial *d = t->dial;
    const struct sockaddr *sa = take_address(d);
    int r = tcp_socket_init(t, d->addr.kind == ADDR_UNIX);
    if (r != 0)
        return r;
    d->connect.data = d;
    if (d->addr.kind == ADDR_UNIX)
        uv_pipe_connect(&d->connect, &t->u.pipe, d->addr.path, on_connect);
    else
        r = uv_tcp_connect(&d->connect, &t->u.tcp, sa, on_connect);
    if (r == 0)
        d->refs++;
    uv_os_fd_t fd;
    if (r == 0 && t->loop->dialled != NULL && d->addr.kind == ADDR_TCP &&
        uv_fileno(&t->u.handle, &fd) == 0)
        dialled_add(t->loop->dialled, fd, sa, &t->dialled);
    return r;
}

void tcp_dial_next(struct tcp *t)
{
    struct tcp_dial *d = t->dial;
    if (d == NULL) /* the dial is over; its end is on the way to the owner */
        return;
    for (;;) {
        uint64_t now_ms = loop_now_ms(t->loop);
        unsigned left = addresses_left(d);
        if (left == 0 || now_ms >= d->deadline_ms) {
            finish(t, d->last_error);
            return;
        }
        int r = start_connect(t);
        if (r == 0) {
            uv_timer_start(&d->timer, on_time, (d->deadline_ms - now_ms) / left, 0);
            return;
        }
        d->last_error = r;
        if (t->socket != TCP_SOCKET_NONE) {
            tcp_socket_close(t);
            return;
        }
    }
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct tcp_dial *d = req->data;
    d->is_resolving = false;
    d->found = d->next = found;
    if (d->t != NULL) {
        if (status != 0)
            finish(d->t, status);
        else
            tcp_dial_next(d->t);
    }
    unref(d);
}

/* Names are looked up afresh each time: a store's service may have moved. */
static void resolve(struct tcp *t)
{
    struct tcp_dial *d = t->dial;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)d->addr.port);
    d->resolve.data = d;
    int r = uv_getaddrinfo(&t->loop->uv, &d->resolve, on_resolved, d->addr.host, port, &hints);
    if (r != 0) {
        finish(t, r);
        return;
    }
    d->refs++;
    d->is_resolving = true;
}

enum err tcp_dial_tls(struct tcp *t, struct loop *l, const struct addr *addr,
                      struct tls_context *ctx, const struct tcp_handler *handler)
{
    if (ctx == NULL)
        return tcp_dial(t, l, addr, handler);
    struct tcp_tls *tls;
    enum err e = tcp_tls_new(ctx, addr->kind == ADDR_UNIX ? "localhost" : addr->host, &tls);
    if (e != ERR_OK)
        return e;
    t->tls = tls;
    e = tcp_dial(t, l, addr, handler);
    if (e != ERR_OK)
        tcp_tls_free(&t->tls);
    return e;
}

enum err tcp_dial(struct tcp *t, struct loop *l, const struct addr *addr,
                  const struct tcp_handler *handler)
{
    CHECK(t->state == TCP_STATE_NEW);
    struct tcp_dial *d = calloc(1, sizeof *d);
    if (d == NULL)
        return ERR_NOMEM;
    *d = (struct tcp_dial){.t = t, .refs = 1, .last_error = UV_EADDRNOTAVAIL};
    d->addr.kind = addr->kind;
    d->addr.port = addr->port;
    memcpy(d->addr.host, addr->host, sizeof d->addr.host);
    memcpy(d->addr.path, addr->path, sizeof d->addr.path);
    CHECK(uv_timer_init(&l->uv, &d->timer) == 0);
    d->timer.data = d;

    t->loop = l;
    t->handler = handler;
    t->dial = d;
    tcp_move(t, TCP_STATE_CONNECTING);
    uv_update_time(&l->uv); /* the turn may have been long; the deadline counts from now */
    d->deadline_ms = loop_now_ms(l) + LIMIT_DIAL_MS;
    uv_timer_start(&d->timer, on_time, LIMIT_DIAL_MS, 0);
    d->is_literal = addr->kind == ADDR_UNIX || sockaddr_from_literal(addr, &d->literal);
    if (d->is_literal)
        tcp_dial_next(t);
    else
        resolve(t);
    return ERR_OK;
}
