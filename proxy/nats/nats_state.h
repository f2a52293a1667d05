/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_state - what one session remembers; private to this folder.
 *
 *   flow[SIDE_APP]: what the application says      out[SIDE_UP]:  what the server will hear
 *   flow[SIDE_UP]:  what the server says           out[SIDE_APP]: what the application will hear
 *
 * A payload is passed while it arrives. A line of our own for the same ears (-ERR 'Permissions
 * Violation', an extra UNSUB) may not fall into it: it waits in later[] until the payload has
 * ended.
 *
 * A message whose line depends on what follows it (JetStream's API, headers) is held until enough
 * of it is here; then its line is read again. Nothing of it has left before.
 */
#ifndef NATS_NATS_STATE_H
#define NATS_NATS_STATE_H

#include "base/attr.h"
#include "limit.h"
#include "nats/nats_info.h"
#include "nats/nats_oks.h"
#include "nats/nats_session.h"
#include "nats/nats_subs.h"
#include "nats/nats_trace.h"
#include "wire/nats_parse.h"

enum nats_state { NATS_WAIT_INFO, NATS_WAIT_CONNECT, NATS_OPEN, NATS_CLOSING, NATS_STATES };

/* A line that cannot be dealt with before so many bytes of what follows it are here. */
struct nats_held {
    struct buf line, body;
    size_t want; /* of body */
};

/* What one side is in the middle of saying. */
struct nats_flow {
    struct nats_reader reader;
    struct nats_held *held; /* NULL: nothing */
    uint32_t left;          /* bytes of payload and its CR LF still to come; 0 = between messages */
    bool drop;              /* the payload goes nowhere */
};

struct nats_session {
    const struct nats_ns *ns; /* shares */
    struct nats_flow flow[SIDES];
    struct buf out[SIDES];
    struct buf later[SIDES]; /* own lines behind the payload that is passing to this side */
    struct nats_oks oks;
    struct nats_subs subs;
    struct nats_trace trace; /* of the payload that the application is sending */
    struct nats_js *js;      /* NULL until JetStream is used */
    struct buf nonce;        /* of the first INFO, until CONNECT, for a signer */
    uint32_t max_payload;    /* of the last INFO; 0 = unknown */
    uint8_t server_minor;    /* 9 of version 2.9.10, of the first INFO; UINT8_MAX: not to be told */
    uint32_t pings;          /* of the application, unanswered */
    uint32_t barrier_behind; /* of those, how many are to be answered before our own PING */
    enum nats_state state;
    bool barrier;        /* our own PING is unanswered */
    bool verbose, echo;  /* CONNECT's, as the server has them: true, true by default */
    bool headers;        /* CONNECT's */
    bool is_voice;       /* nobody hears what the server says, but we */
    bool server_headers; /* INFO's */
    bool wants_tls[SIDES];
    /* INFO's, as tokens of a subject: together no other connection has them. */
    char server_id[NATS_SERVER_ID_BYTES_MAX + 1], client_id[NATS_CLIENT_ID_BYTES_MAX + 1];
};

/* The one function that moves between states. */
void nats_state_move(struct nats_session *s, enum nats_state to);

/* To a member of a request that it does not know a server of the table says nothing, or (from 2.12
 * on, unless it is told otherwise) that it does not. Of a later one nobody knows what it knows. */
enum { NATS_MINOR_STRICT = 12, NATS_MINOR_OF_TABLE = 15 };
static inline bool nats_ignores_unknown(const struct nats_session *s)
{
    return s->server_minor < NATS_MINOR_STRICT;
}
static inline bool nats_is_in_table(const struct nats_session *s)
{
    return s->server_minor <= NATS_MINOR_OF_TABLE;
}

/* The longest line that the server takes, and the application may say. */
static inline size_t nats_line_max(const struct nats_session *s)
{
    return s->ns->control_line != 0 ? s->ns->control_line : LIMIT_NATS_CONTROL_LINE;
}

/* A payload is on its way to side. */
static inline bool nats_is_mid_payload(const struct nats_session *s, enum nats_side side)
{
    const struct nats_flow *f = &s->flow[side == SIDE_APP ? SIDE_UP : SIDE_APP];
    return f->left != 0 && !f->drop;
}

/* Where a line of our own for side is to be appended. */
static inline struct buf *nats_voice(struct nats_session *s, enum nats_side side)
{
    return nats_is_mid_payload(s, side) ? &s->later[side] : &s->out[side];
}

/* Begin a payload of n bytes behind a line that was written (or, drop, was not). Takes it from *in
 * at once if it lies there whole; else feed goes on with it. */
enum err nats_payload_begin(struct nats_session *s, enum nats_side from, uint32_t n, bool drop,
                            struct span *in) ATTR_MUST_USE;

/* A header block for the server, whole / as the start of the payload that begins: no header may
 * make it publish outside the slice (nats_trace). */
enum err nats_write_header(struct nats_session *s, struct span block) ATTR_MUST_USE;
void nats_expect_header(struct nats_session *s, const struct nats_line *l);

/* line waits until n bytes of what follows it are here, and is then dealt with anew. */
enum err nats_hold(struct nats_session *s, enum nats_side from, struct span line, size_t n,
                   struct span *in) ATTR_MUST_USE;

/* One line of the application / of the server, without its LF; *in is what follows it. */
enum err nats_to_up_line(struct nats_session *s, struct span line, struct span *in) ATTR_MUST_USE;
enum err nats_to_app_line(struct nats_session *s, struct span line, struct span *in) ATTR_MUST_USE;

/* Upstream sids: 'e' own events, with the descendants' or without, 'd' own requests, '1'..'4'
 * requests of the ancestors, nearest first, 'j' what push consumers deliver, 'v' the server's
 * advisories and metrics of JetStream, which lie in no slice (js_event); then the application's
 * sid. */
enum { NATS_SLICE_JS_EVENTS = SUBJECT_SLICES_MAX };
_Static_assert(NATS_SLICE_JS_EVENTS < 8, "a bit of nats_sub.slices");
static inline char nats_letter(unsigned slice)
{
    return "ed1234jv"[slice];
}

/* UNSUB letter+sid for each bit of slices. own: the application did not ask for any of them;
 * otherwise the first one's +OK is the application's. */
enum err nats_unsub_slices(struct nats_session *s, unsigned slices, struct span sid,
                           struct span max, bool own) ATTR_MUST_USE;
/* In verbose mode: one more line that the server will answer with +OK. */
static inline enum err nats_expect_ok(struct nats_session *s, bool swallow)
{
    return s->verbose ? nats_oks_push(&s->oks, swallow) : ERR_OK;
}

#endif
