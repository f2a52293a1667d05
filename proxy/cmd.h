/* SPDX-License-Identifier: Apache-2.0 */
/* cmd - the subcommands. Each takes a loaded configuration and returns the exit status. */
#ifndef CMD_H
#define CMD_H

#include "config.h"

enum cmd_status {
    CMD_CLEAN = 0,
    CMD_FAILED = 1,           /* while running */
    CMD_USAGE = 2,            /* or configuration */
    CMD_NOT_EXECUTABLE = 126, /* `run`, as shells do */
    CMD_NOT_FOUND = 127,
    CMD_SIGNALLED = 128 /* plus the signal's number */
};

int cmd_serve(const struct config *c);
int cmd_run(const struct config *c);
int cmd_check(const struct config *c);
int cmd_health(const struct config *c);
int cmd_wait(const struct config *c);
int cmd_drain(const struct config *c);
int cmd_redirect(const struct config *c);
int cmd_gc(const struct config *c);

/* "bulkhead: <text>" on standard error, for what sidecar_open and the like say; returns the status
 * that goes with e. */
int cmd_fail(enum err e, const struct buf *text);

/* What was typed, in quotes: as it is, but for bytes that a terminal would not show. */
void check_print(struct span before, struct span s);
/* cmd_check_nats.c: --subject and --stream. */
struct subject_map;
enum err check_subject_map(const struct config *c, struct subject_map *map) ATTR_MUST_USE;
enum err check_explain_subject(const struct config *c) ATTR_MUST_USE;
enum err check_explain_stream(const struct config *c) ATTR_MUST_USE;

#endif
