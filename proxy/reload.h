/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reload - a running sidecar takes over what has changed in its configuration file (design.md 8.1):
 * on SIGHUP, and when the file is another one. All or nothing: a file that cannot be used, or that
 * changes what needs a restart, changes nothing; that is logged and counted.
 */
#ifndef RELOAD_H
#define RELOAD_H

#include "sidecar.h"

struct file_watch;

struct reload {
    struct sidecar *sidecar; /* shares */
    struct file_watch *watch;
    unsigned at; /* of the two places for configurations, the one not in use */
};

/* Watch the file, where there is one: that it cannot be watched is logged, SIGHUP still works. */
void reload_open(struct reload *r, struct sidecar *sidecar);
void reload_close(struct reload *r);
/* Now; by whom is for the log. */
void reload_now(struct reload *r, const char *by);

#endif
