/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_trace - the one header by which a message itself tells the server where to publish.
 *
 * From 2.11 on, nats-server answers a message that has the header `Nats-Trace-Dest: SUBJECT` by
 * publishing how it was routed to SUBJECT, as it stands there: a way out of the slice, and in it
 * names as they are stored. Headers pass while they arrive and cannot grow, so the value cannot be
 * mapped: the name is made another one of the same length, Nats-Trace_…, which the server does not
 * know. Source: nats-server 2.12 msgtrace.go; the name is compared there with its case, here
 * without.
 */
#ifndef NATS_NATS_TRACE_H
#define NATS_NATS_TRACE_H

#include "base/span.h"

struct nats_trace {
    uint32_t left;   /* header bytes still to come */
    uint8_t matched; /* of what makes the name, behind the bytes seen so far */
};

/* The next n bytes of a message; those that are still header are changed in place. Returns how
 * many names were. */
unsigned nats_trace_blunt(struct nats_trace *t, uint8_t *bytes, size_t n);

#endif
