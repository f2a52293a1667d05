/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_header - the header block of HPUB and HMSG, line by line, and a copy with other values.
 *
 *   NATS/1.0[ status[ text]] CR LF { name ":" blanks value CR LF } CR LF
 *
 * Lines that are no headers pass as they are; nothing is re-ordered or re-printed.
 */
#ifndef WIRE_NATS_HEADER_H
#define WIRE_NATS_HEADER_H

#include "base/buf.h"

struct nats_header {
    struct span name, value; /* value without the blanks around it; both borrow the block */
};

/* The value of the header that is to be written instead, appended to ret_value. ERR_NOMEM. False in
 * *ret_changed: it stays as it is. */
typedef enum err (*nats_header_fn)(void *arg, const struct nats_header *h, struct buf *ret_value,
                                   bool *ret_changed);

/* Appends block to out with fn's values. *ret_changed: any value is another. ERR_NOMEM, fn's. */
enum err nats_header_edit(struct span block, nats_header_fn fn, void *arg, struct buf *out,
                          bool *ret_changed) ATTR_MUST_USE;

/* "100", "503", …: the status of the first line; empty if it has none. */
struct span nats_header_status(struct span block);

#endif
