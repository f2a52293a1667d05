/* SPDX-License-Identifier: Apache-2.0 */
/*
 * args - `--name value` flags of the load programs, from one table each.
 */
#ifndef ARGS_H
#define ARGS_H

#include <stdint.h>

enum { ARGS_PIDS_MAX = 8 };

struct pids {
    unsigned n;
    int pid[ARGS_PIDS_MAX];
};

/* Exactly one of the targets is set. */
struct arg {
    const char *name;  /* with its dashes */
    const char **text; /* borrows argv */
    uint64_t *number;  /* decimal, at most `max` */
    uint64_t max;
    struct pids *pids; /* comma-separated */
    const char *help;
};

/* Reads argv into the table's targets; the table ends with name == NULL. Unknown flags and bad
 * values: usage on stderr, exit status 1. */
void args_read(const struct arg *table, int argc, char **argv);

#endif
