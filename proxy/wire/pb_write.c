/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pb_write.h"

#include "wire/pb_wire.h"

static void write_varint(struct pb_writer *w, uint64_t v)
{
    uint8_t bytes[PB_VARINT_BYTES_MAX];
    if (w->error == ERR_OK)
        w->error = buf_append(w->out, span_of(bytes, pb_varint_write(bytes, v)));
}

void pb_write_number(struct pb_writer *w, uint32_t number, uint64_t v)
{
    write_varint(w, (uint64_t)number << 3 | PB_WIRE_VARINT);
    write_varint(w, v);
}

void pb_write_bytes(struct pb_writer *w, uint32_t number, struct span bytes)
{
    write_varint(w, (uint64_t)number << 3 | PB_WIRE_BYTES);
    write_varint(w, bytes.n);
    if (w->error == ERR_OK)
        w->error = buf_append(w->out, bytes);
}

size_t pb_write_begin(struct pb_writer *w, uint32_t number)
{
    write_varint(w, (uint64_t)number << 3 | PB_WIRE_BYTES);
    write_varint(w, 0);
    return buf_len(w->out);
}

void pb_write_end(struct pb_writer *w, size_t mark)
{
    if (w->error != ERR_OK)
        return;
    size_t n = buf_len(w->out) - mark;
    size_t more = pb_varint_size(n) - 1; /* one byte was kept by begin */
    w->error = buf_reserve(w->out, more);
    if (w->error != ERR_OK)
        return;
    uint8_t *body = w->out->data + w->out->head + mark;
    memmove(body + more, body, n);
    pb_varint_write(body - 1, n);
    w->out->tail += more;
}
