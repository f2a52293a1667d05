/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_parse - control lines of the NATS client protocol, both directions (grammar: proto/nats.md).
 *
 * Knows bytes, not connections or tenants. A line that lies whole in the input is not copied; one
 * that arrives in pieces is gathered in the reader, which holds no memory otherwise. Payloads are
 * not lines: whoever reads them takes payload_bytes and CR LF from the input.
 * Source: nats-server 2.9.10, tried with a raw socket; NATS client protocol.
 */
#ifndef WIRE_NATS_PARSE_H
#define WIRE_NATS_PARSE_H

#include "base/buf.h"

enum nats_op {
    NATS_OP_PUB,
    NATS_OP_MSG,
    NATS_OP_HPUB,
    NATS_OP_HMSG,
    NATS_OP_SUB,
    NATS_OP_UNSUB,
    NATS_OP_PING,
    NATS_OP_PONG,
    NATS_OP_OK,
    NATS_OP_ERR,
    NATS_OP_INFO,
    NATS_OP_CONNECT,
    NATS_OPS
};

/* Who wrote the line: a client may not say MSG, a server may not say PUB. */
enum nats_from { NATS_FROM_CLIENT, NATS_FROM_SERVER };

/* One line. All spans borrow the line; those that its verb does not have are empty. */
struct nats_line {
    enum nats_op op;
    struct span subject;      /* PUB HPUB SUB MSG HMSG */
    struct span reply;        /* PUB HPUB MSG HMSG; may be empty */
    struct span queue;        /* SUB; may be empty */
    struct span sid;          /* SUB UNSUB MSG HMSG */
    struct span max;          /* UNSUB, as written; may be empty */
    struct span header_text;  /* HPUB HMSG: header bytes as written */
    struct span payload_text; /* PUB HPUB MSG HMSG: all bytes, headers included, as written */
    struct span text;         /* CONNECT INFO -ERR: what follows the verb, without outer blanks */
    uint32_t payload_bytes;   /* payload_text as a number */
};

struct nats_reader {
    struct buf partial; /* a line that has not ended */
    uint32_t line_max;  /* of a client's lines, but CONNECT; 0: LIMIT_NATS_CONTROL_LINE */
};

/*
 * Take the next line out of *in. True: *ret_line is the line without its LF, valid until
 * nats_reader_release(). False: all of *in was consumed and the line has not ended (*ret_error ==
 * ERR_OK), or ERR_NATS_UNKNOWN_OP: no verb starts with these bytes (found with the first such byte,
 * so a stream without line ends cannot hide), ERR_NATS_CONTROL_LINE: longer than limit.h allows,
 * ERR_NOMEM.
 */
bool nats_reader_next(struct nats_reader *r, enum nats_from from, struct span *in,
                      struct span *ret_line, enum err *ret_error) ATTR_MUST_USE;
/* The line was dealt with; gives its memory back. Also the reader's deinit. */
static inline void nats_reader_release(struct nats_reader *r)
{
    if (r->partial.data != NULL)
        buf_deinit(&r->partial);
}

/* Parse a line of nats_reader_next(). ERR_NATS_UNKNOWN_OP; ERR_SYNTAX: wrong number of fields, or a
 * size that is none. Subjects are not judged here. */
enum err nats_parse_line(enum nats_from from, struct span line,
                         struct nats_line *ret_line) ATTR_MUST_USE;
/* 1 to 9 digits and nothing else, as the server's parseSize. */
bool nats_parse_size(struct span text, uint32_t *ret_size);

#endif
