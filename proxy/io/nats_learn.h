/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_learn - servers that a server's INFO names (connect_urls): other members of its cluster. The
 * sidecar dials them after the configured ones; applications never hear of them (design.md 5.4).
 *
 * Who they are reached as is what the server that named them is: same credentials, same TLS, whose
 * verification is what keeps an address that somebody slipped in from being believed.
 */
#ifndef IO_NATS_LEARN_H
#define IO_NATS_LEARN_H

#include "io/nats_conn.h"

/* nats_ns.learn: learner is a struct nats_server, urls a JSON array as INFO has it. Addresses that
 * are known, do not parse, or are more than LIMIT_NATS_LEARNT are left out. */
void nats_learn(void *learner, struct span urls);

#endif
