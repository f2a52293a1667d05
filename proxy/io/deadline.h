/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadline - call me in a while, unless I change my mind. For waits that most objects do not have
 * most of the time: the owner holds one pointer instead of a uv_timer_t.
 *
 *   slot == NULL --set--> slot != NULL --time, after which run()--> slot == NULL
 *                                      \--cancel--> slot == NULL, run() never comes
 */
#ifndef IO_DEADLINE_H
#define IO_DEADLINE_H

#include "io/loop.h"

struct deadline;
typedef void (*deadline_fn)(void *arg);

/* Set *slot, replacing what it holds; *slot must stay where it is until run() or cancel. The time
 * counts from the beginning of this loop turn. ERR_NOMEM. */
enum err deadline_set(struct loop *l, unsigned after_ms, deadline_fn run, void *arg,
                      struct deadline **slot) ATTR_MUST_USE;
/* Nulls *slot; nothing happens to NULL. */
void deadline_cancel(struct deadline **slot);

#endif
