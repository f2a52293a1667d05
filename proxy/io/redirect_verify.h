/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect_verify - the proof that connections to stores arrive here, whoever made the rules.
 *
 * Listens where the sidecar would, connects to each redirected port of an address on loopback and
 * of one that nobody has (TEST-NET-1, the documentation's IPv6 prefix), and expects a random token
 * of its own on the connection that arrives, and the kernel to know where it was meant to go.
 * Without rules such a connection ends nowhere. Blocking, at most VERIFY_MS for each connection;
 * needs no capability.
 */
#ifndef IO_REDIRECT_VERIFY_H
#define IO_REDIRECT_VERIFY_H

#include "io/redirect_rules.h"

enum redirect_verdict {
    REDIRECT_PROVEN,
    REDIRECT_NOT_PROVEN, /* *ret_text says which connection went elsewhere */
    REDIRECT_IN_USE      /* something listens on the port: the sidecar runs already */
};

/* *ret_text (appended): what was tried, or what went wrong, for people. ERR_NOMEM, ERR_IO. */
enum err redirect_verify(const struct redirect_rules *r, enum redirect_verdict *ret_verdict,
                         struct buf *ret_text) ATTR_MUST_USE;

#endif
