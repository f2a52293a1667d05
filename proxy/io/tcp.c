/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp.c - states, reading, writing, closing; tcp_dial.c has the way from a name to a socket,
 * tcp_tls.c what stands between the socket and the owner where TLS is spoken.
 *
 *   tcp_write --> kernel            usual case
 *            \--> queue --> send --> kernel      what the kernel did not take; send is in libuv's
 * hands
 *
 * In OPEN: queue is not empty only while send is in flight.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "base/check.h"
#include "io/dialled.h"
#include "io/sockaddr.h"
#include "io/tcp_private.h"

#define CONTAINER(type, member, p) ((type *)(void *)((char *)(p)-offsetof(type, member)))

struct tcp_send {
    uv_write_t req;
    struct buf bytes;
};

/* ---- states ---- */

#define TO(state) (1u << TCP_STATE_##state)
static const uint8_t moves[TCP_STATE_COUNT] = {
    [TCP_STATE_NEW] = TO(CONNECTING) | TO(OPEN) | TO(CLOSING), /* CLOSING: accept failed */
    [TCP_STATE_CONNECTING] = TO(OPEN) | TO(SECURING) | TO(CLOSING),
    [TCP_STATE_SECURING] = TO(OPEN) | TO(CLOSING),
    [TCP_STATE_OPEN] = TO(LINGERING) | TO(CLOSING),
    [TCP_STATE_LINGERING] = TO(CLOSING),
    [TCP_STATE_CLOSING] = TO(CLOSED),
};
#undef TO

void tcp_move(struct tcp *t, enum tcp_state to)
{
    CHECK((moves[t->state] >> to & 1u) != 0);
    t->state = (uint8_t)to;
}

static void closed(struct tcp *t)
{
    loop_cancel(&t->later);
    tcp_move(t, TCP_STATE_CLOSED);
    struct tcp_tls *tls = t->tls;
    t->handler->on_closed(t); /* t may be gone */
    tcp_tls_free(&tls);
}

void tcp_report_end(struct tcp *t, int status)
{
    if (t->ended)
        return;
    t->ended = true;
    t->reading = false;
    tcp_poll(t);
    t->handler->on_end(t, status);
}

static void run_later(struct loop_task *task)
{
    struct tcp *t = CONTAINER(struct tcp, later, task);
    if (t->due_closed) {
        closed(t);
        return;
    }
    if (t->due_input) {
        t->due_input = false;
        tcp_tls_input(t, SPAN_NONE);
    }
    if (t->due_turn) {
        t->due_turn = false;
        t->handler->on_turn(t);
    }
    if (t->due_end) {
        t->due_end = false;
        tcp_report_end(t, t->failed);
    }
}

void tcp_input_later(struct tcp *t)
{
    t->due_input = true;
    loop_later(t->loop, &t->later, run_later);
}

static void schedule_end(struct tcp *t)
{
    t->due_end = true;
    loop_later(t->loop, &t->later, run_later);
}

void tcp_fail(struct tcp *t, int status)
{
    t->failed = status;
    buf_deinit(&t->queue);
    if (t->state == TCP_STATE_LINGERING) {
        tcp_close(t);
        return;
    }
    /* A dead connection ends its reads too, after what had arrived; nothing else does. */
    bool reads_end = status == UV_EPIPE || status == UV_ECONNRESET;
    if (!t->reading || !reads_end)
        schedule_end(t);
}

/* ---- the libuv handle ---- */

static void on_socket_closed(uv_handle_t *handle)
{
    struct tcp *t = handle->data;
    t->socket = TCP_SOCKET_NONE;
    if (t->state == TCP_STATE_CLOSING)
        closed(t);
    else
        tcp_dial_next(t);
}

int tcp_socket_init(struct tcp *t, bool is_unix)
{
    int r = is_unix ? uv_pipe_init(&t->loop->uv, &t->u.pipe, 0)
                    : uv_tcp_init(&t->loop->uv, &t->u.tcp);
    if (r != 0)
        return r;
    t->u.handle.data = t;
    t->socket = TCP_SOCKET_OPEN;
    /* Kept by libuv until there is a socket. */
    return is_unix ? 0 : uv_tcp_nodelay(&t->u.tcp, 1);
}

void tcp_socket_close(struct tcp *t)
{
    t->socket = TCP_SOCKET_CLOSING;
    dialled_remove(&t->dialled);
    uv_close(&t->u.handle, on_socket_closed);
}

enum err tcp_accept(struct tcp *t, struct loop *l, uv_stream_t *server,
                    const struct tcp_handler *handler)
{
    CHECK(t->state == TCP_STATE_NEW);
    t->loop = l;
    t->handler = handler;
    int r = tcp_socket_init(t, server->type == UV_NAMED_PIPE);
    if (r == 0)
        r = uv_accept(server, &t->u.stream);
    if (r == 0) {
        tcp_move(t, TCP_STATE_OPEN);
        return ERR_OK;
    }
    tcp_move(t, TCP_STATE_CLOSING);
    if (t->socket == TCP_SOCKET_OPEN) {
        tcp_socket_close(t);
    } else {
        t->due_closed = true;
        loop_later(l, &t->later, run_later);
    }
    return ERR_IO;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    (void)suggested;
    struct tcp *t = handle->data;
    *ret_buf = uv_buf_init((char *)t->loop->read_buffer, LIMIT_READ_BYTES);
}

static void read_ended(struct tcp *t, int status)
{
    if (t->state == TCP_STATE_LINGERING) {
        t->ended = true;
        if (status < 0 || t->send == NULL)
            tcp_close(t);
        return;
    }
    if (t->tls != NULL && status == 0)
        status = tcp_tls_eof(t);
    if (status < 0 && t->failed == 0)
        tcp_fail(t, status);
    tcp_report_end(t, t->failed);
}

static void on_uv_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct tcp *t = stream->data;
    if (n == 0)
        return;
    if (n < 0) {
        read_ended(t, n == UV_EOF ? 0 : (int)n);
        return;
    }
    if (t->state == TCP_STATE_LINGERING)
        return; /* thrown away */
    struct span in = span_of(buf->base, (size_t)n);
    if (t->tls != NULL)
        tcp_tls_input(t, in);
    else
        t->handler->on_read(t, in);
    if (t->handler->on_turn == NULL || t->state != TCP_STATE_OPEN)
        return;
    t->due_turn = n == LIMIT_READ_BYTES;
    if (t->due_turn)
        loop_later(t->loop, &t->later, run_later);
    else
        t->handler->on_turn(t);
}

void tcp_poll(struct tcp *t)
{
    bool on = !t->ended && (t->state == TCP_STATE_LINGERING ||
                            (t->tls == NULL ? t->reading : tcp_tls_wants_input(t)));
    if (on == t->polling)
        return;
    t->polling = on;
    if (!on) {
        uv_read_stop(&t->u.stream);
        return;
    }
    int r = uv_read_start(&t->u.stream, on_alloc, on_uv_read);
    if (r != 0)
        tcp_fail(t, r); /* UNTESTED: libuv refuses only handles that are not connected */
}

void tcp_read(struct tcp *t, bool on)
{
    if (t->state != TCP_STATE_OPEN || t->ended || t->reading == on)
        return;
    t->reading = on;
    if (on && t->tls != NULL)
        tcp_tls_read(t);
    tcp_poll(t);
    if (!on && t->failed != 0)
        schedule_end(t);
}

/* ---- writing ---- */

static void send_start(struct tcp *t);

/* The sending side is done. The peer closes when it has read everything; then so do we. */
static void shut_down(struct tcp *t)
{
    uv_os_fd_t fd;
    if (t->ended || uv_fileno(&t->u.handle, &fd) != 0 || shutdown(fd, SHUT_WR) != 0)
        tcp_close(t);
}

static void on_written(uv_write_t *req, int status)
{
    struct tcp_send *send = CONTAINER(struct tcp_send, req, req);
    struct tcp *t = req->data;
    /* Its memory becomes the next queue's: a busy connection does not allocate. */
    send->bytes.head = send->bytes.tail = 0;
    if (status == 0 && buf_len(&t->queue) != 0) {
        send_start(t);
    } else {
        t->send = NULL;
        buf_deinit(&send->bytes);
        free(send);
        buf_deinit(&t->queue);
        if (t->state == TCP_STATE_CLOSING)
            return;
        if (status != 0)
            tcp_fail(t, status);
        else if (t->state == TCP_STATE_LINGERING)
            shut_down(t);
    }
    if (t->state == TCP_STATE_OPEN && t->failed == 0 && tcp_queued(t) <= LIMIT_OUT_LOW_BYTES)
        t->handler->on_drained(t);
}

/* The queue changes places with the bytes that were sent. */
static void send_start(struct tcp *t)
{
    struct tcp_send *send = t->send;
    struct buf spare = send->bytes;
    send->bytes = t->queue;
    t->queue = spare;
    uv_buf_t b = {.base = (char *)send->bytes.data + send->bytes.head,
                  .len = buf_len(&send->bytes)};
    int r = uv_write(&send->req, &t->u.stream, &b, 1, on_written);
    CHECK(r == 0); /* refused only for handles that are not open */
}

/* Hand the queue to libuv, unless it still holds the last one. */
static enum err send_queue(struct tcp *t)
{
    if (t->send != NULL)
        return ERR_OK;
    t->send = calloc(1, sizeof *t->send);
    if (t->send == NULL)
        return ERR_NOMEM;
    t->send->req.data = t;
    send_start(t);
    return ERR_OK;
}

enum err tcp_write(struct tcp *t, struct span s)
{
    if (t->failed != 0 || s.n == 0)
        return ERR_OK;
    return t->tls == NULL ? tcp_write_raw(t, s) : tcp_tls_write(t, s);
}

enum err tcp_write_raw(struct tcp *t, struct span s)
{
    bool is_up = t->state == TCP_STATE_OPEN || t->state == TCP_STATE_SECURING;
    if (is_up && t->send == NULL) {
        uv_buf_t b = {.base = (char *)(uintptr_t)s.p, .len = s.n};
        int r = uv_try_write(&t->u.stream, &b, 1);
        if (r < 0 && r != UV_EAGAIN) {
            tcp_fail(t, r);
            return ERR_OK;
        }
        if (r > 0)
            s = span_skip(s, (size_t)r);
        if (s.n == 0)
            return ERR_OK;
    } else if (!is_up && t->state != TCP_STATE_CONNECTING) {
        return ERR_OK;
    }
    enum err e = buf_append(&t->queue, s);
    if (e != ERR_OK || t->state == TCP_STATE_CONNECTING)
        return e;
    return send_queue(t);
}

enum err tcp_writev(struct tcp *t, const struct span *pieces, size_t n)
{
    uv_buf_t b[TCP_PIECES_MAX];
    size_t taken = 0;
    CHECK(n <= TCP_PIECES_MAX);
    if (n > 1 && t->failed == 0 && t->tls == NULL && t->state == TCP_STATE_OPEN &&
        t->send == NULL) {
        for (size_t i = 0; i < n; i++)
            b[i] = uv_buf_init((char *)(uintptr_t)pieces[i].p, (unsigned)pieces[i].n);
        int r = uv_try_write(&t->u.stream, b, (unsigned)n);
        if (r < 0 && r != UV_EAGAIN)
            tcp_fail(t, r); /* the rest is dropped */
        taken = r > 0 ? (size_t)r : 0;
    }
    enum err e = ERR_OK;
    for (size_t i = 0; e == ERR_OK && i < n; i++) {
        size_t skip = taken < pieces[i].n ? taken : pieces[i].n;
        taken -= skip;
        e = tcp_write(t, span_skip(pieces[i], skip));
    }
    return e;
}

size_t tcp_queued(const struct tcp *t)
{
    size_t n = buf_len(&t->queue);
    if (t->send != NULL)
        n += uv_stream_get_write_queue_size(&t->u.stream);
    return t->tls == NULL ? n : n + tcp_tls_waiting(t);
}

/* ---- the dial's end ---- */

void tcp_dialled(struct tcp *t, int status)
{
    if (status != 0) {
        t->failed = status;
        buf_deinit(&t->queue);
        schedule_end(t);
        return;
    }
    if (t->tls != NULL) {
        tcp_move(t, TCP_STATE_SECURING);
        tcp_tls_begin(t);
        return;
    }
    tcp_move(t, TCP_STATE_OPEN);
    if (buf_len(&t->queue) != 0 && send_queue(t) != ERR_OK)
        tcp_fail(t, UV_ENOMEM);
    t->handler->on_connected(t);
}

/* ---- closing ---- */

static void forget_later(struct tcp *t)
{
    loop_cancel(&t->later);
    t->due_input = t->due_turn = t->due_end = false;
}

void tcp_close(struct tcp *t)
{
    if (t->state == TCP_STATE_NEW || t->state == TCP_STATE_CLOSING || t->state == TCP_STATE_CLOSED)
        return;
    tcp_move(t, TCP_STATE_CLOSING);
    tcp_dial_detach(t);
    if (t->tls != NULL)
        tcp_tls_stop(t);
    deadline_cancel(&t->linger);
    forget_later(t);
    buf_deinit(&t->queue);
    t->reading = t->polling = false;
    if (t->socket == TCP_SOCKET_OPEN) {
        tcp_socket_close(t);
    } else if (t->socket == TCP_SOCKET_NONE) {
        t->due_closed = true;
        loop_later(t->loop, &t->later, run_later);
    }
}

static void on_linger_time(void *t)
{
    tcp_close(t);
}

void tcp_close_when_sent(struct tcp *t)
{
    if (t->state == TCP_STATE_LINGERING)
        return;
    if (t->state != TCP_STATE_OPEN || t->failed != 0 || (t->tls != NULL && !tcp_tls_bye(t)) ||
        deadline_set(t->loop, LIMIT_LINGER_MS, on_linger_time, t, &t->linger) != ERR_OK) {
        tcp_close(t);
        return;
    }
    forget_later(t);
    tcp_move(t, TCP_STATE_LINGERING);
    tcp_poll(t);
    if (t->state == TCP_STATE_LINGERING && t->send == NULL)
        shut_down(t);
}

const char *tcp_why(const struct tcp *t, int status)
{
    if (status == 0)
        return "closed by the peer";
    bool is_tls = t->tls != NULL && (status == UV_EPROTO || status == UV_ETIMEDOUT);
    const char *why = is_tls ? tcp_tls_why(t) : NULL;
    return why != NULL ? why : uv_strerror(status);
}

const char *tcp_peer(const struct tcp *t, char text[ADDR_TEXT_BYTES])
{
    struct sockaddr_storage sa;
    int n = sizeof sa;
    struct addr a;
    if (t->socket == TCP_SOCKET_OPEN && t->u.handle.type == UV_TCP &&
        uv_tcp_getpeername(&t->u.tcp, (struct sockaddr *)&sa, &n) == 0 &&
        sockaddr_to_addr((struct sockaddr *)&sa, &a))
        return addr_print(&a, text);
    bool is_unix = t->socket == TCP_SOCKET_OPEN && t->u.handle.type == UV_NAMED_PIPE;
    snprintf(text, ADDR_TEXT_BYTES, "%s", is_unix ? "unix" : "unknown");
    return text;
}
