/* SPDX-License-Identifier: Apache-2.0 */
#include "io/coalesce.h"

#include <sys/socket.h>

/* False: the socket cannot; it goes on as it was. */
static bool wake_from(const struct tcp *t, int bytes)
{
    uv_os_fd_t fd;
    return uv_fileno(&t->u.handle, &fd) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) == 0;
}

static void on_time(void *arg)
{
    (void)wake_from(arg, 1);
}

/* Counts in windows; the flood of the last one stands until the next is over. */
static bool is_flood(struct coalesce *c, uint64_t now_ms, uint64_t unwanted)
{
    uint64_t passed = now_ms - c->since_ms;
    c->unwanted += unwanted;
    if (passed >= LIMIT_COALESCE_WINDOW_MS) {
        c->is_flood = c->unwanted / passed >= LIMIT_COALESCE_EVENTS_PER_MS;
        c->since_ms = now_ms;
        c->unwanted = 0;
    }
    return c->is_flood;
}

void coalesce_read(struct coalesce *c, struct tcp *t, uint64_t unwanted)
{
    if (unwanted == 0 || t->u.handle.type != UV_TCP || !is_flood(c, loop_now_ms(t->loop), unwanted))
        return;
    /* The deadline first: without it the last bytes of a flood would lie there until more come. */
    if (deadline_set(t->loop, LIMIT_COALESCE_MS, on_time, t, &c->gathering) == ERR_OK &&
        !wake_from(t, LIMIT_COALESCE_BYTES))
        deadline_cancel(&c->gathering);
}

void coalesce_end(struct coalesce *c)
{
    deadline_cancel(&c->gathering);
}
