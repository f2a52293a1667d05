/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_auth - who the sidecar is to etcd, where that is a user with a password: gets a token over
 * the unary lane, and another one when etcd does not know it any more (design.md 4.7). Asked for
 * (etcd_ask) when somebody needs one and the lane is usable; refused, or not answered in time,
 * again after a while.
 *
 * A unary call goes out with the token there is: etcd says if it is stale, and the call is sent
 * again. A watch cannot (before 3.5 etcd then answers "permission denied" inside the stream), so
 * streams are opened with a fresh token only: one that is not old, and that was given since the
 * last connection came back, because a server that was restarted has forgotten its tokens.
 *
 * Asking costs etcd a password hash (about 0.1 s of CPU): never more often than that.
 */
#ifndef IO_ETCD_AUTH_H
#define IO_ETCD_AUTH_H

#include "etcd/etcd_call.h"
#include "io/etcd_ask.h"

struct etcd_auth {
    struct loop *loop;           /* shares */
    const char *user, *password; /* borrows; "" or NULL: no user, and nothing is ever asked */
    void *owner;                 /* shares */
    struct etcd_link *link;      /* shares: the unary lane */
    void (*on_done)(struct etcd_auth *a);
    void (*on_failed)(struct etcd_auth *a); /* tried again later by itself */
    void (*on_closed)(struct etcd_auth *a);

    struct etcd_ask ask;
    enum err error;   /* of the last try: ERR_CREDENTIALS, ERR_NO_UPSTREAM, … */
    bool has_token;   /* it may be used; it is empty where etcd asks nobody who he is */
    bool is_fresh;    /* no connection has come back since */
    struct buf token; /* owned; never logged */
    unsigned number;  /* of the token, counted up */
    uint64_t got_ms;
    unsigned seen; /* lanes that were connected before, a bit each */
};

/* Set loop … on_closed first; the rest zeroed. */
void etcd_auth_open(struct etcd_auth *a);
void etcd_auth_close(struct etcd_auth *a);
static inline bool etcd_auth_is_on(const struct etcd_auth *a)
{
    return a->user != NULL && a->user[0] != '\0';
}
/* May a call of this lane go out? */
bool etcd_auth_allows(const struct etcd_auth *a, enum etcd_lane lane);
/* A call of this lane waits for it: ask, unless nothing is missing or it is under way. on_done or
 * on_failed follow later in the loop, never before this has returned. */
void etcd_auth_want(struct etcd_auth *a, enum etcd_lane lane);
/* This lane has connected. */
void etcd_auth_on_link(struct etcd_auth *a, enum etcd_lane lane);
/* The answer to a call that went out with token `number` says that etcd does not know the token:
 * then it is used no more. */
bool etcd_auth_is_stale(struct etcd_auth *a, unsigned number, int status, struct span text);
/* Has token `number` been in use for a while, or been replaced? Then a refusal may be because of
 * it. */
bool etcd_auth_is_old(const struct etcd_auth *a, unsigned number);
/* Streams with token `number` are refused: another one, unless there is one already. */
void etcd_auth_forget(struct etcd_auth *a, unsigned number);
/* User or password are others now: the token is not used any more. */
void etcd_auth_begin_anew(struct etcd_auth *a);
/* The metadata that says who we are: 0 or 1 fields. Borrows the token. */
size_t etcd_auth_field(const struct etcd_auth *a, nghttp2_nv *nv);

#endif
