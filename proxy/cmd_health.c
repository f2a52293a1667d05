/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_health - ask a running sidecar, for probes in images without a shell or curl; and cmd_wait,
 * which asks until the answer is yes, for a postStart hook.
 */
#include <stdio.h>
#include <time.h>

#include "ask.h"
#include "cmd.h"
#include "limit.h"
#include "sidecar.h"

static void print(const struct buf *body)
{
    if (buf_len(body) != 0)
        fwrite(buf_span(body).p, 1, buf_len(body), stdout);
}

static int complain(const struct ask *q, const char *why)
{
    char text[ADDR_TEXT_BYTES];
    fprintf(stderr, "bulkhead: no answer from %s: %s\n", addr_print(&q->to, text), why);
    return CMD_FAILED;
}

int cmd_health(const struct config *c)
{
    const struct ask q = {.to = sidecar_reachable(c->health_listen.a[0]),
                          .method = "GET",
                          .path = c->live ? "/livez" : "/readyz",
                          .timeout_ms = LIMIT_DIAL_MS};
    struct buf body = {0};
    const char *why;
    int status = ask(&q, &body, &why);
    print(&body);
    buf_deinit(&body);
    return status == 0 ? complain(&q, why) : status == 200 ? CMD_CLEAN : CMD_FAILED;
}

/* ---- wait ---- */

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pause_ms(uint64_t ms)
{
    const struct timespec t = {.tv_sec = (time_t)(ms / 1000),
                               .tv_nsec = (long)(ms % 1000 * 1000000)};
    nanosleep(&t, NULL);
}

int cmd_wait(const struct config *c)
{
    enum { PAUSE_MIN_MS = 2, PAUSE_MAX_MS = 100 }; /* a sidecar listens after 2 ms */
    enum { TRY_MIN_MS = 100 }; /* the last try too: else its "no answer in time" hides the reason */
    struct ask q = {.to = sidecar_reachable(c->health_listen.a[0]),
                    .method = "GET",
                    .path = c->stores ? "/readyz" : "/startupz"};
    struct buf last = {0}; /* the last answer */
    const char *why = NULL;
    uint64_t end_ms = now_ms() + c->timeout_ms, pause = PAUSE_MIN_MS;
    int status = 0;
    for (;;) {
        uint64_t now = now_ms(), left = now < end_ms ? end_ms - now : 0;
        q.timeout_ms = left < TRY_MIN_MS      ? TRY_MIN_MS
                       : left < LIMIT_DIAL_MS ? (unsigned)left
                                              : LIMIT_DIAL_MS;
        struct buf body = {0};
        status = ask(&q, &body, &why);
        if (status != 0) {
            buf_deinit(&last);
            last = body;
        }
        if (status == 200 || left == 0)
            break;
        pause_ms(pause < left ? pause : left);
        pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS;
    }
    print(&last);
    bool is_silent = status == 0 && buf_len(&last) == 0;
    buf_deinit(&last);
    return is_silent ? complain(&q, why) : status == 200 ? CMD_CLEAN : CMD_FAILED;
}
