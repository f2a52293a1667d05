/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_write - control lines of the NATS client protocol, appended to a buf.
 *
 * Fields are separated by one blank, verbs are upper case, lines end in CR LF. Every function
 * reserves once and returns ERR_NOMEM with out as it was. Fields may not hold blanks or line ends:
 * they come out of nats_parse, which cut them there.
 */
#ifndef WIRE_NATS_WRITE_H
#define WIRE_NATS_WRITE_H

#include "base/buf.h"
#include "wire/nats_parse.h"

/* PUB or HPUB of l with prefix before subject and reply. */
enum err nats_write_pub(struct buf *out, struct span prefix,
                        const struct nats_line *l) ATTR_MUST_USE;
/* Bytes of that line without its CR LF. */
size_t nats_write_pub_bytes(struct span prefix, const struct nats_line *l);
/* MSG or HMSG of l. */
enum err nats_write_msg(struct buf *out, const struct nats_line *l) ATTR_MUST_USE;

/* SUB prefix+subject [queue] letter+sid */
struct nats_sub_line {
    struct span prefix, subject;
    struct span queue; /* empty: no group */
    char letter;
    struct span sid;
};
enum err nats_write_sub(struct buf *out, const struct nats_sub_line *l) ATTR_MUST_USE;
size_t nats_write_sub_bytes(const struct nats_sub_line *l);
/* UNSUB letter+sid [max] */
enum err nats_write_unsub(struct buf *out, char letter, struct span sid,
                          struct span max) ATTR_MUST_USE;
size_t nats_write_unsub_bytes(struct span sid, struct span max);
/* -ERR 'text' */
enum err nats_write_err(struct buf *out, struct span text) ATTR_MUST_USE;

#endif
