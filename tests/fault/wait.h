/* SPDX-License-Identifier: Apache-2.0 */
/* wait - run a loop until something is true; a test waits for a condition, never for a time. */
#ifndef TESTS_FAULT_WAIT_H
#define TESTS_FAULT_WAIT_H

#include "io/loop.h"
#include "support/support.h"

enum { WAIT_MS = 60000 }; /* a condition that does not come true by then fails the test */

static inline void wait_tick(uv_timer_t *timer)
{
    (void)timer; /* wakes uv_run, so that the deadline is looked at */
}

#define WAIT_FOR(l, condition)                                                                     \
    do {                                                                                           \
        uv_timer_t tick_;                                                                          \
        uint64_t end_ = uv_hrtime() + (uint64_t)WAIT_MS * 1000000;                                 \
        uv_timer_init(&(l)->uv, &tick_);                                                           \
        uv_timer_start(&tick_, wait_tick, 5, 5);                                                   \
        while (!(condition) && uv_hrtime() < end_)                                                 \
            uv_run(&(l)->uv, UV_RUN_ONCE);                                                         \
        uv_close((uv_handle_t *)&tick_, NULL);                                                     \
        uv_run(&(l)->uv, UV_RUN_NOWAIT);                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s:%d: never came true: %s", __FILE__, __LINE__, #condition);                \
    } while (0)

#endif
