/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_watch - tell when a file may be another one: written, moved over, or reached by a symbolic
 * link that points elsewhere now (the `..data` of a volume of Kubernetes). It is the folder that is
 * watched, and after LIMIT_FILE_QUIET_MS of silence in it the file that is looked at: when its
 * device, inode, size or time differ, on_changed is called.
 */
#ifndef IO_FILE_WATCH_H
#define IO_FILE_WATCH_H

#include "base/err.h"
#include "io/loop.h"

struct file_watch;

/* path is borrowed. ERR_IO: the folder cannot be watched. ERR_NOMEM. */
enum err file_watch_open(struct loop *l, const char *path, void (*on_changed)(void *arg), void *arg,
                         struct file_watch **ret_watch) ATTR_MUST_USE;
/* Nothing is called any more; memory is released by the loop. Nulls *w; nothing happens to NULL. */
void file_watch_close(struct file_watch **w);

#endif
