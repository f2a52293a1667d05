/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_conn_private - one connection from the inside: for nats_conn.c, and for nats_voice.c, which
 * gives some of them a second upstream connection.
 */
#ifndef IO_NATS_CONN_PRIVATE_H
#define IO_NATS_CONN_PRIVATE_H

#include "io/deadline.h"
#include "io/nats_conn.h"
#include "io/tcp.h"

enum nats_conn_state { STATE_DIALLING, STATE_GREETING, STATE_OPEN, STATE_CLOSING, STATE_COUNT };

struct nats_conn {
    struct tcp side[SIDES];
    struct nats_conns *all;
    struct nats_conn *next, **link;
    struct nats_session *session; /* GREETING and OPEN only; owned */
    struct buf kept[SIDES];       /* input that the session had no room for */
    struct deadline *greeting;
    uint64_t dialled_ns;
    unsigned reloads;                   /* all's when it was dialled */
    uint8_t state;                      /* enum nats_conn_state */
    uint8_t server, tried;              /* index into servers; how many were dialled */
    bool has_spoken;                    /* the application has */
    bool spoke_tls;                     /* and its first byte was TLS, in plaintext */
    bool is_voice;                      /* of another one: side[SIDE_APP] stays NEW */
    struct nats_conn *voice, *voice_of; /* NULL: none; each is cut when the other one ends */
};

extern const struct tcp_handler nats_conn_up_handler;

/* Into the list of all; counted. */
void nats_conn_link(struct nats_conn *c, struct nats_conns *all);
/* What the session has written is in the sockets' queues: close when it is sent. / Now. */
void nats_conn_part(struct nats_conn *c);
void nats_conn_abandon(struct nats_conn *c);
/* That side is gone. */
void nats_conn_lost(struct nats_conn *c, enum nats_side side, enum err e);
/* Feeds *in and flushes; *in is what could not be taken. ERR_NOMEM: bytes were lost. */
enum err nats_conn_feed(struct nats_conn *c, enum nats_side side, struct span *in) ATTR_MUST_USE;
/* After a feed: e as it returned. True if c goes on. */
bool nats_conn_goes_on(struct nats_conn *c, enum nats_side side, enum err e);
/* There may be room again: what was kept, then reading. */
void nats_conn_resume(struct nats_conn *c);

/* nats_voice: what the session said aside; dials its voice if there is none. ERR_NOMEM;
 * ERR_UPSTREAM_LOST: its server is not known any more. */
enum err nats_voice_speak(struct nats_conn *c) ATTR_MUST_USE;
/* v's server has greeted it. False: v has ended. */
bool nats_voice_begin(struct nats_conn *v);
/* c ends: its voice says what is left and ends; whose voice it is loses its upstream. */
void nats_voice_cut(struct nats_conn *c);

#endif
