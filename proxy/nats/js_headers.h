/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_headers - headers whose values are names or subjects (reference: nats-server 2.12
 * stream.go, "Headers for published messages" and those for republished ones).
 *
 * To the server those are mapped that it acts upon. To the application every one is stripped whose
 * value is stored in its own slice; any other value is what an application wrote, and stays.
 */
#ifndef NATS_JS_HEADERS_H
#define NATS_JS_HEADERS_H

#include "nats/nats_session.h"

/* Could an edit change block? One search, for the way of ordinary messages. */
static inline bool js_headers_may_change(struct span block)
{
    return block.n != 0 && memmem(block.p, block.n, "Nats-", 5) != NULL;
}

/* Appends block, edited. ERR_NOMEM. A stream's name that is too long passes unmapped: the server
 * then finds no such stream. */
enum err js_headers_map(const struct nats_ns *ns, struct span block, struct buf *out,
                        bool *ret_changed) ATTR_MUST_USE;
enum err js_headers_strip(const struct nats_ns *ns, struct span block, struct buf *out,
                          bool *ret_changed) ATTR_MUST_USE;

#endif
