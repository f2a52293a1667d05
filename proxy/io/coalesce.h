/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coalesce - a connection whose input is mostly for nobody is read less often.
 *
 * A watch over the subtree of a namespace hears of every key in it, and shows few. What such an
 * event costs is not its bytes but being woken for it (bench/README.md). Network cards have the
 * same trouble and the same way out, interrupt coalescing: while there is little, each arrival is
 * announced at once; in a flood, only when some have gathered or a moment has passed.
 *
 *   ATTENTIVE ── a read, in a flood ──> GATHERING ── LIMIT_COALESCE_BYTES are there, or
 *       ^                                  │          LIMIT_COALESCE_MS have passed
 *       └──────────────────────────────────┘
 *
 * A flood: LIMIT_COALESCE_EVENTS_PER_MS unwanted events or more in each of the last
 * LIMIT_COALESCE_WINDOW_MS. The most that anything on the connection is late by it is
 * LIMIT_COALESCE_MS; nothing is reordered, and an end or an error is told at once. The kernel keeps
 * watch (socket(7), SO_RCVLOWAT), so that gathering itself wakes nobody. It does so for TCP only; a
 * unix socket is always ATTENTIVE.
 */
#ifndef IO_COALESCE_H
#define IO_COALESCE_H

#include "io/tcp.h"

/* Zeroed = ATTENTIVE. Embedded beside the tcp that it is about, which outlives it. */
struct coalesce {
    struct deadline *gathering; /* owned; NULL: ATTENTIVE */
    uint64_t since_ms;          /* the window began */
    uint64_t unwanted;          /* events in it */
    bool is_flood;              /* the last window was */
};

/* t was read, and so many of the events that came were for nobody. */
void coalesce_read(struct coalesce *c, struct tcp *t, uint64_t unwanted);
/* Before the memory of either goes; idempotent. */
void coalesce_end(struct coalesce *c);

#endif
