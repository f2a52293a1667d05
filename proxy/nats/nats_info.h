/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_info - what an application learns about the server, and the server about the application:
 * the bodies of INFO and CONNECT (design.md 5.4). README.md lists every member.
 */
#ifndef NATS_NATS_INFO_H
#define NATS_NATS_INFO_H

#include "nats/nats_session.h"

/* What the session needs to know of an INFO. */
struct nats_info {
    uint32_t max_payload; /* 0 = not said */
    bool headers;
    bool tls_required, tls_available;
    struct span version, server_id, client_id, nonce,
        connect_urls; /* JSON values as written, or empty; borrow the line */
};

/* Longer ones are ignored: a server id is a public key of 56 letters. */
enum { NATS_SERVER_ID_BYTES_MAX = 64, NATS_CLIENT_ID_BYTES_MAX = 20 };

/* What the session needs to know of a CONNECT; members that are not there leave it as it is. */
struct nats_connect {
    bool verbose, echo, headers;
    struct span nonce; /* the server's, for our signer; borrowed */
};

/* Appends "INFO {…}\r\n" for the application. ERR_SYNTAX, ERR_NOMEM. */
enum err nats_info_write(const struct nats_ns *ns, struct span json, struct buf *out,
                         struct nats_info *ret_info) ATTR_MUST_USE;
/* Appends "CONNECT {…}\r\n" for the server, with our credentials and none of the application's. */
enum err nats_connect_write(const struct nats_ns *ns, struct span json, struct buf *out,
                            struct nats_connect *connect) ATTR_MUST_USE;
bool nats_has_credentials(const struct nats_ns *ns);

#endif
