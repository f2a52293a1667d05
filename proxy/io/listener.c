/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.c - resolve, bind, listen; accept or refuse; close.
 *
 * Names are resolved in the foreground: this happens once, before anything is served. SO_REUSEADDR
 * is set by libuv (a restarted sidecar gets its port back at once); SO_REUSEPORT never is, it would
 * let a second process take half of the connections.
 */
#include "io/listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "io/sockaddr.h"

enum { SOCKETS_MAX = 2 * LISTENER_ADDRS_MAX, BACKLOG = SOMAXCONN };

union listener_handle {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

/* One bound socket. refused is where a connection goes that nobody wants: one at a time, so that
 * refusing needs no memory; while it is closing, the next one waits in libuv. */
struct listener_socket {
    union listener_handle u;
    union listener_handle refused;
    struct listener *owner;
    bool is_refusing, is_waiting;
    struct addr addr; /* as bound */
};

struct listener {
    struct loop *loop;
    listener_accept_fn accept;
    void *arg;
    bool is_unlimited, is_closing;
    unsigned n;
    unsigned handles; /* not closed yet */
    struct listener_socket *socket[SOCKETS_MAX];
};

/* ---- closing ---- */

static void release(struct listener *l)
{
    for (unsigned i = 0; i < l->n; i++)
        free(l->socket[i]);
    free(l);
}

static void on_socket_closed(uv_handle_t *handle)
{
    struct listener_socket *s = handle->data;
    if (--s->owner->handles == 0)
        release(s->owner);
}

void listener_close(struct listener **listener)
{
    struct listener *l = *listener;
    *listener = NULL;
    if (l == NULL)
        return;
    l->is_closing = true;
    if (l->handles == 0) {
        release(l);
        return;
    }
    for (unsigned i = 0; i < l->n; i++)
        uv_close(&l->socket[i]->u.handle, on_socket_closed);
}

/* ---- accepting ---- */

static void offer(struct listener_socket *s);

static void on_refused(uv_handle_t *handle)
{
    struct listener_socket *s = handle->data;
    struct listener *l = s->owner;
    s->is_refusing = false;
    if (--l->handles == 0 && l->is_closing) {
        release(l);
    } else if (s->is_waiting && !l->is_closing) {
        s->is_waiting = false;
        offer(s);
    }
}

/* libuv has accepted it and keeps it here until uv_accept(); of all versions 1.x, on Unix. There is
 * no call that asks for it, and whose connection it is must be known before it is somebody's. */
int listener_pending_fd(const uv_stream_t *server)
{
    return server->accepted_fd;
}

void listener_refuse(uv_stream_t *server)
{
    struct listener_socket *s = server->data;
    struct listener *l = s->owner;
    if (s->is_refusing) {
        s->is_waiting = true;
        return;
    }
    int r = server->type == UV_NAMED_PIPE ? uv_pipe_init(&l->loop->uv, &s->refused.pipe, 0)
                                          : uv_tcp_init(&l->loop->uv, &s->refused.tcp);
    CHECK(r == 0); /* makes no system call */
    s->refused.handle.data = s;
    s->is_refusing = true;
    l->handles++;
    if (uv_accept(server, &s->refused.stream) != 0)
        log_event(LOG_WARN, "a connection could not be refused",
                  NULL); /* UNTESTED: no cause known */
    uv_close(&s->refused.handle, on_refused);
}

static void offer(struct listener_socket *s)
{
    struct listener *l = s->owner;
    struct loop *loop = l->loop;
    if (l->is_unlimited || loop->connections < loop->max_connections) {
        l->accept(l->arg, &s->u.stream);
        return;
    }
    if (!s->is_refusing) {
        char text[ADDR_TEXT_BYTES], limit[16];
        snprintf(limit, sizeof limit, "%u", loop->max_connections);
        log_event(LOG_WARN, "connection refused: limit reached, raise it with --max-connections",
                  "listener", addr_print(&s->addr, text), "limit", limit, NULL);
        count(&loop->counters, COUNTER_REFUSED_CONNS, 1);
    }
    listener_refuse(&s->u.stream);
}

static void on_connection(uv_stream_t *server, int status)
{
    struct listener_socket *s = server->data;
    if (status != 0) {
        log_event(LOG_WARN, "accept failed", "error", uv_strerror(status), NULL);
        return;
    }
    offer(s);
}

/* ---- opening ---- */

/* A socket file nobody listens on any more: a process was killed. */
static bool is_stale(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof sa.sun_path)
        return false;
    memcpy(sa.sun_path, path, strlen(path) + 1);
    bool stale = connect(fd, (struct sockaddr *)&sa, sizeof sa) != 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

static int bind_unix(struct listener_socket *s, const struct addr *a)
{
    int r = uv_pipe_bind(&s->u.pipe, a->path);
    if (r == UV_EADDRINUSE && is_stale(a->path) && unlink(a->path) == 0)
        r = uv_pipe_bind(&s->u.pipe, a->path);
    s->addr = *a;
    return r;
}

static int read_back(struct listener_socket *s)
{
    struct sockaddr_storage sa;
    int n = sizeof sa;
    int r = uv_tcp_getsockname(&s->u.tcp, (struct sockaddr *)&sa, &n);
    if (r == 0 && !sockaddr_to_addr((struct sockaddr *)&sa, &s->addr))
        r = UV_EAFNOSUPPORT;
    return r;
}

static void on_dropped(uv_handle_t *handle)
{
    struct listener_socket *s = handle->data;
    struct listener *l = s->owner;
    free(s);
    if (--l->handles == 0 && l->is_closing)
        release(l);
}

static int bind_and_listen(struct listener_socket *s, const struct addr *a,
                           const struct sockaddr *sa)
{
    int r = a->kind == ADDR_UNIX ? bind_unix(s, a) : uv_tcp_bind(&s->u.tcp, sa, 0);
    if (r == 0)
        r = uv_listen(&s->u.stream, BACKLOG, on_connection); /* libuv reports EADDRINUSE here */
    if (r == 0 && a->kind == ADDR_TCP)
        r = read_back(s);
    return r;
}

static int open_socket(struct listener *l, const struct addr *a, const struct sockaddr *sa)
{
    if (l->n == SOCKETS_MAX)
        return UV_ENOBUFS;
    struct listener_socket *s = calloc(1, sizeof *s);
    if (s == NULL)
        return UV_ENOMEM;
    int r = a->kind == ADDR_UNIX ? uv_pipe_init(&l->loop->uv, &s->u.pipe, 0)
                                 : uv_tcp_init(&l->loop->uv, &s->u.tcp);
    CHECK(r == 0); /* makes no system call */
    s->owner = l;
    s->u.handle.data = s;
    l->handles++;
    r = bind_and_listen(s, a, sa);
    if (r == 0)
        l->socket[l->n++] = s;
    else
        uv_close(&s->u.handle, on_dropped);
    return r;
}

/* The port that port 0 stands for: that of the first one bound. */
static uint16_t shared_port(const struct listener *l)
{
    return l->n != 0 && l->socket[0]->addr.kind == ADDR_TCP ? l->socket[0]->addr.port : 0;
}

static int open_sockaddr(struct listener *l, const struct addr *a, const struct sockaddr *found)
{
    struct sockaddr_storage sa = {0};
    memcpy(&sa, found,
           found->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    /* sin_port and sin6_port are the same bytes. */
    in_port_t *port = &((struct sockaddr_in *)&sa)->sin_port;
    if (a->port != 0 || shared_port(l) == 0)
        return open_socket(l, a, (struct sockaddr *)&sa);
    *port = htons(shared_port(l));
    int r = open_socket(l, a, (struct sockaddr *)&sa);
    if (r != UV_EADDRINUSE)
        return r;
    *port = 0;
    return open_socket(l, a, (struct sockaddr *)&sa);
}

static int open_name(struct listener *l, const struct addr *a)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)a->port);
    uv_getaddrinfo_t req;
    int r = uv_getaddrinfo(&l->loop->uv, &req, NULL, a->host, port, &hints);
    if (r != 0)
        return r;
    unsigned bound = 0;
    for (const struct addrinfo *i = req.addrinfo; i != NULL; i = i->ai_next) {
        int one = open_sockaddr(l, a, i->ai_addr);
        bound += one == 0;
        /* "localhost" on a machine without IPv6 is still localhost. */
        if (one != 0 && one != UV_EADDRNOTAVAIL && one != UV_EAFNOSUPPORT)
            r = one;
    }
    uv_freeaddrinfo(req.addrinfo);
    return r != 0 ? r : bound == 0 ? UV_EADDRNOTAVAIL : 0;
}

static int open_addr(struct listener *l, const struct addr *a)
{
    struct sockaddr_storage sa;
    if (a->kind == ADDR_UNIX)
        return open_socket(l, a, NULL);
    if (sockaddr_from_literal(a, &sa))
        return open_sockaddr(l, a, (struct sockaddr *)&sa);
    return open_name(l, a);
}

static enum err explain(const struct addr *a, int r, const char *option, struct buf *error)
{
    char text[ADDR_TEXT_BYTES];
    addr_print(a, text);
    if (r == UV_EADDRINUSE)
        return buf_printf(
            error, "%s is in use: stop what listens there, or choose another address with %s", text,
            option);
    if (r == UV_EACCES)
        return buf_printf(error,
                          "not allowed to listen on %s: choose a port from 1024 up or a directory "
                          "you may write to with %s",
                          text, option);
    if (r == UV_EADDRNOTAVAIL || r == UV_EAFNOSUPPORT)
        return buf_printf(error, "%s is no address of this machine: choose another with %s", text,
                          option);
    return buf_printf(error, "cannot listen on %s: %s; choose another address with %s", text,
                      uv_strerror(r), option);
}

/* Machines without IPv6 keep the default list working. */
static bool may_be_left_out(const struct addr *a, int r)
{
    return a->kind == ADDR_TCP && strchr(a->host, ':') != NULL &&
           (r == UV_EADDRNOTAVAIL || r == UV_EAFNOSUPPORT);
}

static enum err open_all(struct listener *l, const struct listener_options *o, struct buf *error)
{
    const struct addr *left_out = NULL;
    int why = 0;
    for (unsigned i = 0; i < o->n; i++) {
        const struct addr *a = &o->addrs[i];
        int r = open_addr(l, a);
        if (r == 0)
            continue;
        if (r == UV_ENOMEM)
            return ERR_NOMEM;
        if (!may_be_left_out(a, r))
            return explain(a, r, o->option, error) == ERR_OK ? ERR_CONFIG : ERR_NOMEM;
        left_out = a;
        why = r;
        char text[ADDR_TEXT_BYTES];
        log_event(LOG_INFO, "IPv6 address left out: this machine does not have it", "address",
                  addr_print(a, text), NULL);
    }
    if (l->n == 0 && left_out != NULL)
        return explain(left_out, why, o->option, error) == ERR_OK ? ERR_CONFIG : ERR_NOMEM;
    return ERR_OK;
}

enum err listener_open(struct loop *l, const struct listener_options *o,
                       struct listener **ret_listener, struct buf *ret_error)
{
    CHECK(o->n >= 1 && o->n <= LISTENER_ADDRS_MAX);
    struct listener *listener = calloc(1, sizeof *listener);
    if (listener == NULL)
        return ERR_NOMEM;
    *listener = (struct listener){
        .loop = l, .accept = o->accept, .arg = o->arg, .is_unlimited = o->is_unlimited};
    enum err e = open_all(listener, o, ret_error);
    if (e != ERR_OK)
        listener_close(&listener);
    else
        *ret_listener = listener;
    return e;
}

struct addr listener_addr(const struct listener *l)
{
    return l->socket[0]->addr;
}
