/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_health - ask a running sidecar, for probes in images without a shell or curl.
 *
 * Happy path: dial, send one GET, read until the sidecar closes, print the body. Ways it ends: the
 * dial fails, the timer fires, the answer is longer than it can be.
 */
#include <stdio.h>

#include "cmd.h"
#include "io/tcp.h"
#include "sidecar.h"

struct health {
    struct tcp tcp; /* first: handlers cast */
    struct loop loop;
    uv_timer_t timer;
    struct buf in;
    const char *path;
    const char *why; /* there was no answer; NULL if there was */
    bool is_over;
};

static void finish(struct health *h, const char *why)
{
    if (h->is_over)
        return;
    h->is_over = true;
    h->why = why;
    tcp_close(&h->tcp);
    uv_close((uv_handle_t *)&h->timer, NULL);
}

static void on_connected(struct tcp *t)
{
    struct health *h = (struct health *)t;
    char request[96];
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", h->path);
    tcp_read(t, true);
    if (tcp_write(t, span_str(request)) != ERR_OK)
        finish(h, "out of memory");
}

static void on_read(struct tcp *t, struct span in)
{
    struct health *h = (struct health *)t;
    if (buf_append(&h->in, in) != ERR_OK)
        finish(h, "out of memory");
    else if (buf_len(&h->in) > LIMIT_READ_BYTES)
        finish(h, "the answer is not a sidecar's");
}

static void on_end(struct tcp *t, int status)
{
    finish((struct health *)t, status == 0 ? NULL : uv_strerror(status));
}

static void on_drained(struct tcp *t)
{
    (void)t;
}

static void on_closed(struct tcp *t)
{
    (void)t;
}

static void on_timeout(uv_timer_t *timer)
{
    finish(timer->data, "no answer in time");
}

static const struct tcp_handler handler = {
    .on_connected = on_connected,
    .on_read = on_read,
    .on_drained = on_drained,
    .on_end = on_end,
    .on_closed = on_closed,
};

/* Prints the body. */
static int judge(const struct health *h)
{
    struct span in = buf_span(&h->in);
    bool is_http = span_has_prefix(in, SPAN_LIT("HTTP/1.1 "));
    const uint8_t *body = is_http ? memmem(in.p, in.n, "\r\n\r\n", 4) : NULL;
    if (body == NULL) {
        fprintf(stderr, "bulkhead: what answers there is not a sidecar's health listener\n");
        return CMD_FAILED;
    }
    body += 4;
    fwrite(body, 1, in.n - (size_t)(body - in.p), stdout);
    return span_has_prefix(in, SPAN_LIT("HTTP/1.1 200 ")) ? CMD_CLEAN : CMD_FAILED;
}

int cmd_health(const struct config *c)
{
    static struct health h;
    const struct buf none = {0};
    struct addr to = sidecar_reachable(c->health_listen.a[0]);
    h.path = c->live ? "/livez" : "/readyz";
    enum err e = loop_init(&h.loop);
    if (e != ERR_OK)
        return cmd_fail(e, &none);
    uv_timer_init(&h.loop.uv, &h.timer);
    h.timer.data = &h;
    uv_timer_start(&h.timer, on_timeout, LIMIT_DIAL_MS, 0);
    if (tcp_dial(&h.tcp, &h.loop, &to, &handler) != ERR_OK)
        finish(&h, "out of memory");
    while (!h.is_over)
        uv_run(&h.loop.uv, UV_RUN_ONCE);
    loop_deinit(&h.loop);
    int status = CMD_FAILED;
    char text[ADDR_TEXT_BYTES];
    if (h.why != NULL)
        fprintf(stderr, "bulkhead: no answer from %s: %s\n", addr_print(&to, text), h.why);
    else
        status = judge(&h);
    buf_deinit(&h.in);
    return status;
}
