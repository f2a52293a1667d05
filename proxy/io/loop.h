/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop - the one libuv loop and what everything on it shares.
 *
 * No callback frees or re-enters its caller: work that would is put on the turn list and done at
 * the end of the loop turn (a uv_check; a uv_idle keeps the loop from sleeping while it is not
 * empty).
 *
 *   one turn:  timers > idle, prepare > poll (reads, writes, accepts) > [tasks] > close callbacks
 *
 * A task queued before or during the poll runs in the same turn; one queued by a task or by a close
 * callback runs at the end of the next one, which does not sleep.
 */
#ifndef IO_LOOP_H
#define IO_LOOP_H

#include <uv.h>

#include "base/counters.h"
#include "base/err.h"
#include "base/rng.h"
#include "limit.h"

/* Embedded in whoever wants to be called at the end of the turn. Zeroed = not queued. */
struct loop_task {
    struct loop_task *next, *prev; /* NULL: not queued */
    void (*run)(struct loop_task *t);
};

struct dialled_table; /* io/dialled.h */

struct loop {
    uv_loop_t uv;
    uv_check_t turn_end;
    uv_idle_t no_sleep;
    struct loop_task tasks; /* head of a ring, first in, first out */
    struct counters counters;
    struct rng rng;                /* seeded from getrandom() */
    struct dialled_table *dialled; /* what upstream sockets are ours; NULL: nobody asks */
    unsigned
        connections; /* open application connections, all planes; planes count, listeners look */
    unsigned max_connections; /* LIMIT_CONNECTIONS unless set after loop_init */
    uint8_t *read_buffer;     /* LIMIT_READ_BYTES, lent to each read callback in turn */
};

/* Also ignores SIGPIPE for the process: libuv writes without MSG_NOSIGNAL. (uv_spawn gives children
 * the default back.) ERR_IO, ERR_NOMEM; then there is nothing to deinit. */
enum err loop_init(struct loop *l) ATTR_MUST_USE;
/* Closes the loop's own handles, runs until nothing is left, returns uv_loop_close()'s result (0 =
 * nothing leaked). Everything else must have been told to close before. */
int loop_deinit(struct loop *l);
/* Queue t for the end of this turn; again while queued: nothing happens. */
void loop_later(struct loop *l, struct loop_task *t, void (*run)(struct loop_task *t));
/* Take t off the list; safe if it is not on it. Call before releasing the memory t lives in. */
void loop_cancel(struct loop_task *t);
/* Monotonic clock as of this turn. */
static inline uint64_t loop_now_ms(const struct loop *l)
{
    return uv_now(&l->uv);
}

#endif
