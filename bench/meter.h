/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meter - what every load program measures alike: warm, run, drain; operations, times, CPU.
 *
 *   WARM --warm_ms--> RUN --run_ms--> DRAIN      counted in RUN only
 *
 * CPU time of the processes asked for and of this one is read at both edges of RUN.
 */
#ifndef METER_H
#define METER_H

#include "args.h"
#include "hist.h"

#include <stdbool.h>
#include <stdint.h>

enum { METER_EXIT_WRONG = 3 };

enum meter_phase { METER_WARM, METER_RUN, METER_DRAIN };

struct meter {
    const char *target, *mode;
    struct pids pids;
    uint64_t warm_ms, run_ms;
    enum meter_phase phase;
    uint64_t phase_end_ns, run_start_ns, run_end_ns;
    uint64_t cpu_ns[ARGS_PIDS_MAX], self_cpu_ns;
    uint64_t done, wrong;
    const char *wrong_what;
    struct hist hist;
};

/* After the flags were read: WARM begins now. */
void meter_begin(struct meter *m);
/* Moves on when the time of a phase is over. */
void meter_step(struct meter *m);
/* Ends RUN now, for work that is of a fixed size. */
void meter_end(struct meter *m);
/* n operations ended, each of them took took_ns (0: not timed). */
void meter_done(struct meter *m, uint64_t n, uint64_t took_ns);
/* what: why an answer is wrong; NULL: it is not. */
void meter_check(struct meter *m, const char *what);
/* The JSON line, and the exit status of the program. */
int meter_print(const struct meter *m);

#endif
