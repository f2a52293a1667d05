/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_ack - the answer to a publish that a stream took, or refused, known by its first bytes.
 *
 *   {"stream":"a~~ORDERS", "seq":7}                         PLAIN
 *   {"error":{…},"stream":"a~~ORDERS","seq":0}              ERROR
 *
 * Any publish with a reply may be answered so, and nobody knows which: remembering them all would
 * put a table on the way of every request. The shape is enough, because the stored prefix of this
 * namespace stands in it, which no application is ever shown: a message that an application wrote
 * itself does not look like this unless it means to, and then it only deceives itself.
 */
#ifndef NATS_JS_ACK_H
#define NATS_JS_ACK_H

#include "nats/nats_session.h"

enum js_ack {
    JS_ACK_NOT,
    JS_ACK_CUT,   /* so far it could be one */
    JS_ACK_PLAIN, /* a prefix of js_ack_plain_bytes is replaced by js_ack_start */
    JS_ACK_ERROR  /* the whole body has to be seen */
};

/* What in, the start of a payload of n bytes without reply and headers, begins like. */
enum js_ack js_ack_look(const struct nats_ns *ns, uint32_t n, struct span in);
/* {"stream":" and the stored prefix. */
size_t js_ack_plain_bytes(const struct nats_ns *ns);
extern const struct span js_ack_start;

/* The whole body of JS_ACK_ERROR, stripped, appended. False: it is none; nothing was appended. */
bool js_ack_strip_error(const struct nats_ns *ns, struct span body, struct buf *out,
                        enum err *ret_error);

#endif
