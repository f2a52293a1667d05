/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_oks - verbose clients get exactly one +OK for each of their lines, in order.
 *
 * The server answers every line that we send with +OK; some of them the application never wrote
 * (the second SUB of a subscription that needs two). This queue holds, in order, what is to be done
 * with the answers that are still to come: runs of "pass", then "swallow". Used only in verbose
 * mode.
 */
#ifndef NATS_NATS_OKS_H
#define NATS_NATS_OKS_H

#include "base/buf.h"

struct nats_oks_run {
    uint32_t pass;    /* first these */
    uint32_t swallow; /* then these */
};

struct nats_oks {
    struct nats_oks_run head;
    struct buf rest; /* runs behind head; empty, and no memory, as long as nothing is swallowed */
};

/* One more line was sent upstream. ERR_NOMEM. */
enum err nats_oks_push(struct nats_oks *q, bool swallow) ATTR_MUST_USE;
/* An answer came. True: it is the application's. An answer to nothing is, too. */
bool nats_oks_pop(struct nats_oks *q);
void nats_oks_deinit(struct nats_oks *q);

#endif
