/* SPDX-License-Identifier: Apache-2.0 */
#include "h2.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { READ_BYTES = 256 * 1024 };

void h2_open(struct h2 *c, nghttp2_session_callbacks *callbacks, void *user, int32_t window)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)window},
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
    };
    c->user = user;
    c->fd = net_dial(c->target);
    if (c->fd < 0) {
        die("%s: %s", c->target, strerror(errno));
    }
    if (nghttp2_session_client_new(&c->session, callbacks, user) != 0 ||
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2) != 0 ||
        nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, window) != 0) {
        die("cannot make an HTTP/2 session");
    }
    nghttp2_session_callbacks_del(callbacks);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = user};
    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}

static void watch(struct h2 *c)
{
    bool wants = !outbuf_is_empty(&c->out);
    if (wants != c->wants_writable) {
        struct epoll_event ev = {.events = EPOLLIN | (wants ? EPOLLOUT : 0u), .data.ptr = c->user};
        (void)epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &ev);
        c->wants_writable = wants;
    }
}

void h2_flush(struct h2 *c)
{
    for (;;) {
        const uint8_t *data = NULL;
        ssize_t n = nghttp2_session_mem_send(c->session, &data);
        if (n < 0) {
            die("HTTP/2: %s", nghttp2_strerror((int)n));
        }
        if (n == 0) {
            break;
        }
        outbuf_put(&c->out, data, (size_t)n);
    }
    if (!outbuf_write(&c->out, c->fd)) {
        die("%s: lost while writing: %s", c->target, strerror(errno));
    }
    watch(c);
}

size_t h2_read(struct h2 *c, size_t n)
{
    static uint8_t buffer[READ_BYTES];
    ssize_t got = recv(c->fd, buffer, n < sizeof buffer ? n : sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (got <= 0) {
        die("%s: connection %s", c->target,
            got == 0 ? "closed by the other side" : strerror(errno));
    }
    ssize_t used = nghttp2_session_mem_recv(c->session, buffer, (size_t)got);
    if (used != got) {
        die("HTTP/2: %s", nghttp2_strerror((int)used));
    }
    return (size_t)got;
}
