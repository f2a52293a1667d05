/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_auth - who the sidecar is to the NATS servers, where files say it: a password, a token, a
 * credentials file (JWT and key) or an nkey's seed.
 *
 * The files are looked at again for every new connection, as those of TLS are: they change without
 * a restart. One that cannot be used leaves the last good content in force, with a log line.
 * Connections that stand keep what they said; the server ends them when their time is over.
 */
#ifndef IO_NATS_AUTH_H
#define IO_NATS_AUTH_H

#include "base/buf.h"
#include "nats/nats_session.h"

struct nats_auth;

/* Paths; "" or NULL = none. Borrowed for the plane's life. */
struct nats_auth_files {
    const char *password, *token, *creds;
};

/* Reads them; *ret_auth is NULL where there are none. ERR_CONFIG: *ret_error names the option, the
 * file, what is wrong and what mends it (appended). ERR_NOMEM. */
enum err nats_auth_new(const struct nats_auth_files *files, struct nats_auth **ret_auth,
                       struct buf *ret_error) ATTR_MUST_USE;
void nats_auth_free(struct nats_auth **auth);
/* True: a file has changed and was read; give it to every server's sessions. NULL is welcome. */
bool nats_auth_refresh(struct nats_auth *auth);
/* What the files say, into ns, which borrows the signer. */
void nats_auth_give(const struct nats_auth *auth, struct nats_ns *ns);

#endif
