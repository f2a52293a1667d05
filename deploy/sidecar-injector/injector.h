/* SPDX-License-Identifier: Apache-2.0 */
/* injector - the commands of bulkhead-injector, and what they share. */
#ifndef INJECTOR_H
#define INJECTOR_H

#include "inject/inject_config.h"
#include "injector_options.h"

enum { INJECTOR_CLEAN = 0, INJECTOR_FAILED = 1, INJECTOR_USAGE = 2 };

int injector_serve(const struct injector_options *o);
int injector_inject(const struct injector_options *o);
int injector_check(const struct injector_options *o);

/* Reads a whole file of at most max bytes, or standard input for "-". ERR_CONFIG: *ret_why, static
 * or errno's text. */
enum err injector_read_file(const char *path, size_t max, struct buf *out,
                            const char **ret_why) ATTR_MUST_USE;
/* The configuration of a file. *ret_config is on the heap: inject_config_free. ERR_CONFIG:
 * *ret_error (appended). */
enum err injector_load_config(const char *path, struct inject_config **ret_config,
                              struct buf *ret_error) ATTR_MUST_USE;
void injector_free_config(struct inject_config **c);

#endif
