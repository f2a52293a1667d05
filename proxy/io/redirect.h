/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect - the rules into the kernel, by libnftables, in one transaction.
 *
 * Needs CAP_NET_ADMIN in the network namespace and nothing else: any user, no new privileges, a
 * read-only root. If the capability is only permitted (the program's file has it and the container
 * may), it is made effective here.
 *
 * libnftables is loaded when it is needed and never by the sidecar: with the libraries behind it,
 * it would cost each of them memory and time at its start.
 */
#ifndef IO_REDIRECT_H
#define IO_REDIRECT_H

#include "base/buf.h"

/* rules: what redirect_rules_write() wrote, table: what redirect_rules_write_table() wrote, or
 * SPAN_NONE if nothing shall be there. Where exactly that table is, nothing is done. ERR_IO:
 * *ret_error (appended) says what is missing and what would mend it; nothing was changed.
 * ERR_NOMEM. */
enum err redirect_install(struct span table, struct span rules,
                          struct buf *ret_error) ATTR_MUST_USE;

#endif
