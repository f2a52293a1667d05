/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask.c - happy path: dial, send one request, read until the sidecar closes. Ways it ends: the dial
 * fails, the timer fires, the answer is longer than it can be, or no answer of HTTP.
 */
#include "ask.h"

#include <stdio.h>

#include "io/tcp.h"

struct asking {
    struct tcp tcp; /* first: handlers cast */
    struct loop loop;
    uv_timer_t timer;
    struct buf in;
    const struct ask *question;
    const char *why; /* there was no answer; NULL if there was */
    bool is_over;
};

static void finish(struct asking *a, const char *why)
{
    if (a->is_over)
        return;
    a->is_over = true;
    a->why = why;
    tcp_close(&a->tcp);
    uv_close((uv_handle_t *)&a->timer, NULL);
}

static void on_connected(struct tcp *t)
{
    struct asking *a = (struct asking *)t;
    char request[128];
    snprintf(request, sizeof request,
             "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
             a->question->method, a->question->path);
    tcp_read(t, true);
    if (tcp_write(t, span_str(request)) != ERR_OK)
        finish(a, "out of memory");
}

static void on_read(struct tcp *t, struct span in)
{
    struct asking *a = (struct asking *)t;
    if (buf_append(&a->in, in) != ERR_OK)
        finish(a, "out of memory");
    else if (buf_len(&a->in) > LIMIT_READ_BYTES)
        finish(a, "the answer is not a sidecar's");
}

static void on_end(struct tcp *t, int status)
{
    finish((struct asking *)t, status == 0 ? NULL : uv_strerror(status));
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

/* "HTTP/1.1 NNN …", and what follows the empty line. */
static int parse(struct span in, struct buf *ret_body, const char **ret_why)
{
    const uint8_t *body = in.n == 0 ? NULL : memmem(in.p, in.n, "\r\n\r\n", 4);
    *ret_why = "what answers there is not a sidecar";
    if (body == NULL || !span_has_prefix(in, SPAN_LIT("HTTP/1.1 ")) || in.n < 12)
        return 0;
    int status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (in.p[i] < '0' || in.p[i] > '9')
            return 0;
        status = status * 10 + (in.p[i] - '0');
    }
    body += 4;
    *ret_why = "out of memory";
    return buf_append(ret_body, span_skip(in, (size_t)(body - in.p))) == ERR_OK ? status : 0;
}

int ask(const struct ask *question, struct buf *ret_body, const char **ret_why)
{
    struct asking a = {.question = question};
    *ret_why = "out of memory";
    if (loop_init(&a.loop) != ERR_OK)
        return 0;
    uv_timer_init(&a.loop.uv, &a.timer);
    a.timer.data = &a;
    uv_timer_start(&a.timer, on_timeout, question->timeout_ms, 0);
    if (tcp_dial(&a.tcp, &a.loop, &question->to, &handler) != ERR_OK)
        finish(&a, "out of memory");
    while (!a.is_over)
        uv_run(&a.loop.uv, UV_RUN_ONCE);
    loop_deinit(&a.loop);
    *ret_why = a.why;
    int status = a.why != NULL ? 0 : parse(buf_span(&a.in), ret_body, ret_why);
    buf_deinit(&a.in);
    return status;
}
