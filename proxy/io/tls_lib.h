/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_lib - OpenSSL, loaded when the first TLS context is made and not before.
 *
 * Linked in the usual way it costs every process 1.1 MiB of memory (Pss) and a quarter of a
 * millisecond at its start, and most sidecars never speak TLS. So the program has no OpenSSL among
 * its needed libraries; what io calls is listed in tls_lib.def and bound here, with the types of
 * OpenSSL's own headers.
 */
#ifndef IO_TLS_LIB_H
#define IO_TLS_LIB_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/buf.h"

struct tls_lib {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): a member has no parentheses */
#define FN(name) __typeof__(&name) name;
#include "io/tls_lib.def"
#undef FN
};

/* The functions; loaded once, for the life of the process. NULL: *ret_error says what is missing
 * and what mends it (appended). */
const struct tls_lib *tls_lib_load(struct buf *ret_error);

#endif
