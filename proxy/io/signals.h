/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals - signals of the process as events of the loop (signalfd).
 *
 * Not uv_signal, because `run` must know whether the terminal sent a signal: Ctrl-C reaches the
 * whole foreground group, the command included, and must not reach it twice.
 */
#ifndef IO_SIGNALS_H
#define IO_SIGNALS_H

#include "base/err.h"
#include "io/loop.h"

struct signals;

/* by_kernel: from the terminal (or another event of the kernel), not from a process. */
typedef void (*signals_fn)(void *arg, int signal, bool by_kernel);

/* Block the n signals of the list, in this thread and those that it makes. Before anything that
 * makes threads, and the resolver does at the first name: a thread that does not block a signal
 * gets it, and it ends the process. They wait until signals_open. */
void signals_block(const int *list, unsigned n);
/* Block the n signals of the list and deliver them to fn. One set at a time. ERR_IO, ERR_NOMEM. */
enum err signals_open(struct loop *l, const int *list, unsigned n, signals_fn fn, void *arg,
                      struct signals **ret_signals) ATTR_MUST_USE;
/* No more calls of fn. The signals stay blocked: the process ends now, and one that comes while it
 * does must not decide its exit status. Memory is released by the loop. Nulls *s; nothing happens
 * to NULL. */
void signals_close(struct signals **s);

#endif
