/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay - the floor: what any process in the middle costs that reads and writes with libuv.
 *
 *   usage: bench_relay NAME=LISTEN,UPSTREAM …        both HOST:PORT, numeric; port 0 = any
 *   prints `ready NAME=HOST:PORT …`, as the sidecar does, and runs until it is killed
 *
 *   client ──read──> shared buffer ──uv_try_write──> upstream
 *                         └─ what was not taken: copied, uv_write, reading stops till it is gone
 *
 * Made as fast as the library allows, so that the ratio to it is honest: one read buffer for the
 * whole loop, no allocation and no copy while the peer keeps up, TCP_NODELAY on both sides, one
 * epoll_wait, one read and one write for a message.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    READ_BYTES = 64 * 1024,
    ROUTES_MAX = 4,
    BACKLOG = 512,
};

struct pair;

struct half {
    uv_tcp_t tcp;
    struct pair *pair; /* borrows */
    struct half *peer; /* borrows; the other half of the pair */
    uv_write_t write;  /* one at a time: while it is under way the peer is not read */
    char *rest;        /* owned: what uv_try_write did not take */
    uv_shutdown_t shutdown;
    bool saw_eof;
};

struct pair {
    struct half app, up;
    uv_connect_t connect;
    int open_handles; /* memory goes with the last close callback */
};

struct route {
    uv_tcp_t listener;
    struct sockaddr_storage upstream;
};

static char read_buffer[READ_BYTES]; /* one loop, one thread: a read is used up in its callback */

static void fail(const char *what, int status)
{
    (void)fprintf(stderr, "bench_relay: %s: %s\n", what, uv_strerror(status));
    exit(1);
}

static void on_closed(uv_handle_t *h)
{
    struct half *half = h->data;
    struct pair *p = half->pair;
    free(half->rest);
    half->rest = NULL;
    if (--p->open_handles == 0) {
        free(p);
    }
}

static void pair_close(struct pair *p)
{
    if (!uv_is_closing((uv_handle_t *)&p->app.tcp)) {
        uv_close((uv_handle_t *)&p->app.tcp, on_closed);
    }
    if (!uv_is_closing((uv_handle_t *)&p->up.tcp)) {
        uv_close((uv_handle_t *)&p->up.tcp, on_closed);
    }
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *ret_buf)
{
    (void)h;
    (void)suggested;
    *ret_buf = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b);

static void on_written(uv_write_t *w, int status)
{
    struct half *to = w->data;
    free(to->rest);
    to->rest = NULL;
    if (status != 0) {
        pair_close(to->pair);
        return;
    }
    if (!to->peer->saw_eof && !uv_is_closing((uv_handle_t *)&to->peer->tcp)) {
        (void)uv_read_start((uv_stream_t *)&to->peer->tcp, on_alloc, on_read);
    }
}

static void write_rest(struct half *to, const char *data, size_t n)
{
    to->rest = malloc(n);
    if (to->rest == NULL) {
        pair_close(to->pair);
        return;
    }
    memcpy(to->rest, data, n);
    uv_buf_t b = uv_buf_init(to->rest, (unsigned)n);
    to->write.data = to;
    (void)uv_read_stop((uv_stream_t *)&to->peer->tcp);
    if (uv_write(&to->write, (uv_stream_t *)&to->tcp, &b, 1, on_written) != 0) {
        pair_close(to->pair);
    }
}

static void on_shutdown(uv_shutdown_t *r, int status)
{
    (void)r;
    (void)status;
}

/* The end of one direction: passed on after what is still to be written; both ends: closed. */
static void half_eof(struct half *from)
{
    from->saw_eof = true;
    (void)uv_read_stop((uv_stream_t *)&from->tcp);
    if (from->peer->saw_eof ||
        uv_shutdown(&from->peer->shutdown, (uv_stream_t *)&from->peer->tcp, on_shutdown) != 0) {
        pair_close(from->pair);
    }
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
    struct half *from = s->data;
    if (n == UV_EOF) {
        half_eof(from);
        return;
    }
    if (n < 0) {
        pair_close(from->pair);
        return;
    }
    if (n == 0) {
        return;
    }
    uv_buf_t out = uv_buf_init(b->base, (unsigned)n);
    int taken = uv_try_write((uv_stream_t *)&from->peer->tcp, &out, 1);
    if (taken == UV_EAGAIN) {
        taken = 0;
    }
    if (taken < 0) {
        pair_close(from->pair);
    } else if (taken < n) {
        write_rest(from->peer, b->base + taken, (size_t)(n - taken));
    }
}

static void on_connected(uv_connect_t *c, int status)
{
    struct pair *p = c->data;
    if (status != 0) {
        pair_close(p);
        return;
    }
    (void)uv_tcp_nodelay(&p->up.tcp, 1);
    (void)uv_tcp_nodelay(&p->app.tcp, 1);
    (void)uv_read_start((uv_stream_t *)&p->app.tcp, on_alloc, on_read);
    (void)uv_read_start((uv_stream_t *)&p->up.tcp, on_alloc, on_read);
}

static void half_init(struct half *h, struct pair *p, struct half *peer, uv_loop_t *loop)
{
    h->pair = p;
    h->peer = peer;
    (void)uv_tcp_init(loop, &h->tcp);
    h->tcp.data = h;
    p->open_handles++;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct route *r = listener->data;
    if (status != 0) {
        return;
    }
    struct pair *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return;
    }
    half_init(&p->app, p, &p->up, listener->loop);
    half_init(&p->up, p, &p->app, listener->loop);
    p->connect.data = p;
    if (uv_accept(listener, (uv_stream_t *)&p->app.tcp) != 0 ||
        uv_tcp_connect(&p->connect, &p->up.tcp, (const struct sockaddr *)&r->upstream,
                       on_connected) != 0) {
        pair_close(p);
    }
}

/* Numeric IPv4 HOST:PORT. */
static void parse_addr(const char *text, size_t n, struct sockaddr_storage *ret)
{
    char host[64];
    const char *colon = memrchr(text, ':', n);
    if (colon == NULL || (size_t)(colon - text) >= sizeof host) {
        fail(text, UV_EINVAL);
    }
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    int port = (int)strtol(colon + 1, NULL, 10);
    int status = uv_ip4_addr(host, port, (struct sockaddr_in *)ret);
    if (status != 0) {
        fail(text, status);
    }
}

/* Opens one NAME=LISTEN,UPSTREAM and prints its part of the ready line. */
static void route_open(struct route *r, uv_loop_t *loop, const char *spec)
{
    const char *equals = strchr(spec, '=');
    const char *comma = strchr(spec, ',');
    if (equals == NULL || comma == NULL || comma < equals) {
        fail(spec, UV_EINVAL);
    }
    struct sockaddr_storage listen;
    parse_addr(equals + 1, (size_t)(comma - equals - 1), &listen);
    parse_addr(comma + 1, strlen(comma + 1), &r->upstream);
    (void)uv_tcp_init(loop, &r->listener);
    r->listener.data = r;
    int status = uv_tcp_bind(&r->listener, (const struct sockaddr *)&listen, 0);
    if (status == 0) {
        status = uv_listen((uv_stream_t *)&r->listener, BACKLOG, on_connection);
    }
    int size = sizeof listen;
    if (status == 0) {
        status = uv_tcp_getsockname(&r->listener, (struct sockaddr *)&listen, &size);
    }
    if (status != 0) {
        fail(spec, status);
    }
    char host[64];
    (void)uv_ip4_name((const struct sockaddr_in *)&listen, host, sizeof host);
    printf(" %.*s=%s:%u", (int)(equals - spec), spec, host,
           ntohs(((const struct sockaddr_in *)&listen)->sin_port));
}

int main(int argc, char **argv)
{
    static struct route routes[ROUTES_MAX];
    uv_loop_t *loop = uv_default_loop();
    if (argc < 2 || argc - 1 > ROUTES_MAX) {
        fail("usage: bench_relay NAME=LISTEN,UPSTREAM …", UV_EINVAL);
    }
    printf("ready");
    for (int i = 1; i < argc; i++) {
        route_open(&routes[i - 1], loop, argv[i]);
    }
    printf("\n");
    (void)fflush(stdout);
    return uv_run(loop, UV_RUN_DEFAULT);
}
