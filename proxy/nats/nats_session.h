/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_session - one application connection and its one upstream connection; pure.
 *
 *   app bytes --feed(SIDE_APP)--> parse, map, write --> out(SIDE_UP)  --> upstream
 *   app bytes <-- out(SIDE_APP) <-- strip, write <--feed(SIDE_UP)--   upstream bytes
 *
 *   WAIT_INFO --INFO from up--> WAIT_CONNECT --first line from app--> OPEN --error, loss--> CLOSING
 *
 * Payloads are streamed: a message larger than every buffer passes in pieces. A control line that
 * arrives in pieces is kept here; nothing else of the input is. Per connection there is state only
 * for subscriptions that need several upstream ones; every other sid is carried by its own text.
 */
#ifndef NATS_NATS_SESSION_H
#define NATS_NATS_SESSION_H

#include "base/buf.h"
#include "base/counters.h"
#include "policy/js_names.h"
#include "policy/subject_map.h"
#include "wire/nkey.h"

enum nats_side { SIDE_APP, SIDE_UP, SIDES };

/* Who the sidecar is by a key: a JWT and its key's signature, or the public key and its. Owned by
 * io, which may change it between two sessions. */
struct nats_signer {
    struct span jwt; /* empty: an nkey alone */
    char public_key[NKEY_PUBLIC_TEXT_BYTES];
    /* Signs the server's nonce. False: it cannot be done; logged. */
    bool (*sign)(const struct nats_signer *signer, struct span nonce,
                 char ret_signature[NKEY_SIGNATURE_TEXT_BYTES]);
};

/* What all sessions of one sidecar share. Owned by io; lives longer than every session. */
struct nats_ns {
    struct subject_map map;
    struct js_names names; /* of streams; of the same path as map */
    /* view.streams: whose names may be read of a descendant; borrowed. None in view own. */
    const struct span *streams;
    unsigned stream_patterns;
    /* NULL, but of a descendant whose stream is read: the session's own, who reads it. */
    const struct nats_ns *reader;
    struct counters *counters; /* borrowed */
    char host[256];            /* of the listener, as INFO shows it: URL-safe */
    uint16_t port;
    /* Credentials for upstream; "" = none. Never shown, never logged. */
    char user[256], password[256], token[256];
    const struct nats_signer *signer; /* NULL: none; borrowed */
    /* Told of the servers that INFO names, a JSON array; NULL: nobody wants to know. */
    void (*learn)(void *learner, struct span urls);
    void *learner;
    uint32_t control_line; /* the longest line of an application, mapped or not; 0: 4096 */
    bool tls_up;           /* we want TLS with the server, whether it demands it or not */
    bool tls_up_first;     /* and it stands before INFO */
    bool tls_app;          /* applications speak TLS, from INFO on */
};

struct nats_session; /* sizes matter: 5,000 idle ones must stay small */

/* ERR_NOMEM. ns is shared and outlives the session. */
enum err nats_session_new(const struct nats_ns *ns,
                          struct nats_session **ret_session) ATTR_MUST_USE;
void nats_session_free(struct nats_session **s);

/*
 * Bytes that arrived from side. *ret_used (written on errors, too) says how many were taken: fewer
 * than in.n only when nats_session_wants_read(side) has become false: keep the rest, stop reading,
 * feed again when it is true, which only sending of out() or the other side's words can bring
 * about. Errors close: the last words are in out().
 */
enum err nats_session_feed(struct nats_session *s, enum nats_side side, struct span in,
                           size_t *ret_used) ATTR_MUST_USE;
/* Bytes to be written to side; io consumes from it, and buf_trim()s it when it is sent, so that an
 * idle session holds no buffers. Borrows the session. */
struct buf *nats_session_out(struct nats_session *s, enum nats_side side);
/* False while there is no room for what side would say or be told, and for the application before
 * INFO; always false when CLOSING. */
bool nats_session_wants_read(const struct nats_session *s, enum nats_side side);
/* True from the INFO that asks for TLS with side until nats_session_secured(): io starts it there,
 * behind what is in out(side). Until then nothing is read from the server or the application; what
 * the server says behind that INFO without TLS is nobody's words. */
bool nats_session_wants_tls(const struct nats_session *s, enum nats_side side);
void nats_session_secured(struct nats_session *s, enum nats_side side);
/* One side is gone (e: why). The other one gets its last words in out(); the session is CLOSING. */
void nats_session_lost(struct nats_session *s, enum nats_side side, enum err e);
/* This session's application is another session: it is that one's voice (below). Right after new.
 */
void nats_session_be_voice(struct nats_session *s);
/* A client with echo:false does not hear what its own connection publishes, and answers of
 * JetStream's API are published. Its are gathered here, as whole messages for the server; io takes
 * them and writes them on a second connection to the same server, behind the CONNECT of a session
 * that is a voice. NULL, or empty: nothing to say. Borrows the session. */
struct buf *nats_session_aside(struct nats_session *s);
/* Write what is in out(), then close both connections. */
bool nats_session_is_closing(const struct nats_session *s);

#endif
