/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - one line an event, logfmt or JSON, on standard error (design.md 8.3).
 *
 *   log_event(LOG_WARN, "upstream lost", "plane", "etcd", "peer", addr, NULL);
 *   -> time=2026-11-24T18:00:00.000Z level=warn msg="upstream lost" plane=etcd peer=127.0.0.1:2379
 *
 * Fields are pairs of strings, ended by NULL; values are escaped here. Never pass a key's value, a
 * payload, a token or a password. Each message text is rate-limited on its own: at most
 * LOG_BURST lines in LOG_PERIOD_MS, then one line says how many were left out.
 * One process, one loop, one log: its settings are the only globals of this tree.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };
enum { LOG_BURST = 10, LOG_PERIOD_MS = 10000 };

void log_set(enum log_level level, enum log_format format);
bool log_is_on(enum log_level level);
/* "error", "warn", "info", "debug". False if text is none of them. */
bool log_level_parse(const char *text, enum log_level *ret_level);

/* Of the level that is set. */
const char *log_level_name(void);

/* msg must be a literal (its address is the key of the rate limit). */
void log_event(enum log_level level, const char *msg, ...) __attribute__((sentinel));

#endif
