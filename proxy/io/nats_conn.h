/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_conn - one application connection and its own upstream connection; private to the NATS
 * plane.
 *
 * What a byte means is nats_session's business; here bytes are moved: read into the loop's buffer,
 * fed, and what the session wrote goes out in the same turn with one write a side. Connections are
 * released by themselves; the plane only opens them and may end all of them.
 */
#ifndef IO_NATS_CONN_H
#define IO_NATS_CONN_H

#include "base/addr.h"
#include "io/loop.h"
#include "io/nats_auth.h"
#include "io/tls_context.h"
#include "nats/nats_session.h"

/* One upstream, and what sessions with it share. */
struct nats_server {
    const struct addr *addr; /* borrowed */
    struct nats_ns ns;
    struct nats_conns *all;
    struct addr learnt; /* what addr points to, where another server named it (nats_learn) */
};

struct nats_conn;

/* What all connections of a plane share; owned by the plane. */
struct nats_conns {
    struct loop *loop;
    struct nats_server *servers;        /* owned by the plane */
    unsigned server_count, server_room; /* they never move: sessions borrow them */
    struct tls_options tls;             /* towards the servers */
    struct tls_context *tls_up;         /* made of tls when first needed; owned by the plane */
    struct tls_context *tls_app;        /* of the listener; NULL: plaintext; owned by the plane */
    struct nats_auth *auth;             /* owned by the plane */
    unsigned good;                      /* the server that answered last: where dialling begins */
    unsigned reloads;                   /* each may make an index lead to another server */
    /* Lent to the session that is being fed, so that a busy connection does not allocate and an
     * idle one holds nothing. */
    struct buf scratch[SIDES];
    struct nats_conn *first;
    unsigned n;
    /* A server answered with its INFO, or (false) none of them could be reached. */
    void (*on_dialled)(struct nats_conns *all, bool is_good);
    /* A connection to a server that had answered was lost. */
    void (*on_lost)(struct nats_conns *all);
    /* A connection was released. The last thing it does. */
    void (*on_released)(struct nats_conns *all);
};

/* Take the pending connection of server and dial. ERR_NOMEM: it is still pending, refuse it. */
enum err nats_conn_open(struct nats_conns *all, uv_stream_t *server) ATTR_MUST_USE;
/* all->tls_up, made if need be. NULL: it cannot be made; logged. */
struct tls_context *nats_conns_tls(struct nats_conns *all);
/* For dialling the server: NULL unless TLS comes first. ERR_CONFIG: as nats_conns_tls. */
enum err nats_conns_dial_tls(struct nats_conns *all, const struct nats_server *server,
                             struct tls_context **ret_tls) ATTR_MUST_USE;
/* What the secret files say, into what sessions share. */
void nats_conns_take_auth(struct nats_conns *all);
/* End all of them now. */
void nats_conns_close(struct nats_conns *all);

#endif
