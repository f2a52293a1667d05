/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_plain - the messages that nearly all are, many at once.
 *
 *   PUB S [R] n CRLF payload CRLF             MSG P.S eSID [P.R] n CRLF payload CRLF
 *
 *                                           … [$JS.ACK.N stream …] n CRLF payload CRLF
 *                                           … n CRLF {"stream":"N stream" … CRLF
 *
 * Whole in the input, written as everybody writes them, and with nothing in them that anybody has
 * to think about: no headers, no `$` that is published, no subscription with a maximum; of
 * JetStream what a consumer delivers and the acknowledgement of a publish, where taking the names'
 * prefix N out is all that is to be done (not the API's answers, errors, another's streams). One
 * pass over the control line, one to three copies a message, counted once a read. Whatever is not
 * exactly so is left to nats_to_up and nats_to_app: this file refuses nothing and decides nothing,
 * what it writes is what they would have written (tests/session: whole input against single bytes,
 * which never come here).
 */
#ifndef NATS_NATS_PLAIN_H
#define NATS_NATS_PLAIN_H

#include "base/attr.h"
#include "nats/nats_session.h"

/* Pass the plain messages at the start of *in, until the high mark. False: there was none, or
 * (*ret_error) ERR_NOMEM. */
bool nats_plain_pass(struct nats_session *s, enum nats_side from, struct span *in,
                     enum err *ret_error) ATTR_MUST_USE;

#endif
