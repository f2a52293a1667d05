/* SPDX-License-Identifier: Apache-2.0 */
/* injector_options - the command line of bulkhead-injector, one table; help is made of it. */
#ifndef INJECTOR_OPTIONS_H
#define INJECTOR_OPTIONS_H

#include "base/addr.h"
#include "base/buf.h"
#include "base/log.h"

enum injector_command { INJECTOR_SERVE = 1, INJECTOR_INJECT = 2, INJECTOR_CHECK = 4 };
enum { INJECTOR_FILES_MAX = 256, INJECTOR_ADDRS_MAX = 8 };

struct injector_options {
    const char *config, *tls_cert, *tls_key, *kubernetes_namespace; /* borrow argv */
    struct addr listen[INJECTOR_ADDRS_MAX], health_listen[INJECTOR_ADDRS_MAX];
    unsigned listens, health_listens;
    unsigned max_connections, drain_ms;
    enum log_level log_level;
    enum log_format log_format;
    const char *files[INJECTOR_FILES_MAX];
    unsigned file_count;
    bool in_place, help, version;
};

/* ERR_CONFIG: *ret_error (appended) says what is wrong and what would be right. */
enum err injector_options_parse(enum injector_command command, int argc, char **argv,
                                struct injector_options *o, struct buf *ret_error) ATTR_MUST_USE;
enum err injector_options_help(enum injector_command command, struct buf *out) ATTR_MUST_USE;

#endif
