/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb_write - build small protobuf messages field by field (registry requests, local answers).
 *
 * The first error sticks: later calls do nothing, and whoever started looks at w.error once.
 */
#ifndef WIRE_PB_WRITE_H
#define WIRE_PB_WRITE_H

#include "base/buf.h"

struct pb_writer {
    struct buf *out; /* borrows; appended to */
    enum err error;
};

void pb_write_number(struct pb_writer *w, uint32_t number, uint64_t v);
void pb_write_bytes(struct pb_writer *w, uint32_t number, struct span bytes);
/* A sub-message: everything written between begin and end. Returns the mark that end needs. */
size_t pb_write_begin(struct pb_writer *w, uint32_t number);
void pb_write_end(struct pb_writer *w, size_t mark);

#endif
