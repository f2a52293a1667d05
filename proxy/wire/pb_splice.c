/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pb_splice.h"

#include "base/check.h"
#include "limit.h"
#include "wire/pb_wire.h"

/*
 *   input   [ in the output, or left out |  to be copied as it is  |  not read yet ]
 *                                        ^ copied                  ^ p
 * Bytes to be copied are gathered into runs: one memmove each.
 */
struct splice {
    void *ctx;
    const uint8_t *p;
    const uint8_t *copied;
    struct buf *grow; /* append; NULL in place */
    size_t grow_from; /* buf_len(grow) at the start: output offset 0 */
    uint8_t *base;    /* in place: the message */
    size_t n;         /* in place: bytes written */
    bool is_part;     /* the outermost message may go on behind its end */
    unsigned depth;   /* frames in use; stack[depth - 1] is being walked */
    struct pb_frame stack[LIMIT_PB_DEPTH];
};

static inline size_t out_len(const struct splice *s)
{
    return s->grow == NULL ? s->n : buf_len(s->grow) - s->grow_from;
}

/* Where the byte at `at` of the run not yet copied will be. */
static inline size_t out_offset(const struct splice *s, const uint8_t *at)
{
    return out_len(s) + (size_t)(at - s->copied);
}

static uint8_t *out_at(const struct splice *s, size_t offset)
{
    return s->grow == NULL ? s->base + offset
                           : s->grow->data + s->grow->head + s->grow_from + offset;
}

static void out_truncate(struct splice *s, size_t offset)
{
    if (s->grow == NULL)
        s->n = offset;
    else
        buf_truncate(s->grow, s->grow_from + offset);
}

/* In place: the encoding read is not shorter, so nothing unread is overwritten. */
static inline enum err emit_varint(struct splice *s, uint64_t v)
{
    uint8_t bytes[PB_VARINT_BYTES_MAX];
    if (s->grow != NULL)
        return buf_append(s->grow, span_of(bytes, pb_varint_write(bytes, v)));
    s->n += pb_varint_write(s->base + s->n, v);
    return ERR_OK;
}

/* Copy the run up to `to`. */
static inline enum err flush(struct splice *s, const uint8_t *to)
{
    const uint8_t *from = s->copied;
    size_t n = (size_t)(to - from);
    s->copied = to;
    if (n == 0)
        return ERR_OK;
    if (s->grow != NULL)
        return buf_append(s->grow, span_of(from, n));
    if (s->base + s->n != from)
        memmove(s->base + s->n, from, n);
    s->n += n;
    return ERR_OK;
}

/* The n bytes of content at output offset body_at are complete: mend the length_n bytes before
 * them. What is not yet copied of the content stays so if the length takes as many bytes as
 * before. */
static enum err mend_length(struct splice *s, size_t body_at, size_t length_n, size_t n)
{
    size_t want = pb_varint_size(n);
    if (want == length_n) {
        pb_varint_write(out_at(s, body_at) - length_n, n);
        return ERR_OK;
    }
    enum err e = flush(s, s->p);
    if (e == ERR_OK && want > length_n) {
        CHECK(s->grow != NULL);
        e = buf_reserve(s->grow, want - length_n);
    }
    if (e != ERR_OK)
        return e;
    uint8_t *body = out_at(s, body_at);
    memmove(body - length_n + want, body, n);
    pb_varint_write(body - length_n, n);
    if (s->grow == NULL)
        s->n = s->n + want - length_n;
    else
        s->grow->tail = s->grow->tail + want - length_n;
    return ERR_OK;
}

static enum err enter(struct splice *s, const struct pb_field *field, const struct pb_item *it)
{
    if (it->wire != PB_WIRE_BYTES || s->depth == LIMIT_PB_DEPTH)
        return ERR_PB_MALFORMED;
    struct pb_frame *up = &s->stack[s->depth - 1];
    struct pb_frame *f = &s->stack[s->depth++];
    *f = (struct pb_frame){
        .m = field->sub,
        .start = it->start,
        .end = it->bytes.p + it->bytes.n,
        .element_at = out_offset(s, it->start),
        .body_at = out_offset(s, it->bytes.p),
        .read_n = it->bytes.n,
        .number = it->number,
        .length_n = (uint8_t)(it->bytes.p - it->value),
        .droppable = field->droppable,
    };
    s->p = it->bytes.p;
    return f->m->begin == NULL ? ERR_OK : f->m->begin(s->ctx, f, up);
}

/* Leave out the nearest droppable message of those being walked. */
static enum err drop_enclosing(struct splice *s)
{
    while (s->depth > 1) {
        const struct pb_frame *f = &s->stack[--s->depth];
        if (!f->droppable)
            continue;
        enum err e = ERR_OK;
        if (s->copied <= f->start)
            e = flush(s, f->start);
        else
            out_truncate(s, f->element_at);
        s->p = s->copied = f->end;
        return e;
    }
    return ERR_FOREIGN;
}

static enum err call_end(struct splice *s, struct pb_frame *f, struct pb_frame *up)
{
    if (f->m->end == NULL)
        return ERR_OK;
    enum err e = s->grow == NULL ? ERR_OK : flush(s, s->p); /* the hook may append */
    return e == ERR_OK ? f->m->end(s->ctx, f, up, s->grow) : e;
}

static enum err leave(struct splice *s)
{
    struct pb_frame *f = &s->stack[s->depth - 1];
    struct pb_frame *up = s->depth == 1 ? NULL : f - 1;
    enum err e = call_end(s, f, up);
    if (e == ERR_FOREIGN)
        return drop_enclosing(s);
    if (e != ERR_OK)
        return e;
    s->depth--;
    if (up == NULL)
        return flush(s, s->p);
    size_t n = out_offset(s, s->p) - f->body_at;
    return n == f->read_n ? ERR_OK : mend_length(s, f->body_at, f->length_n, n);
}

/* Everything before the field goes to the output, the field does not. */
static enum err leave_out(struct splice *s, const struct pb_item *it)
{
    enum err e = flush(s, it->start);
    s->copied = s->p;
    return e;
}

/* A hook called the field's value foreign. */
static enum err drop(struct splice *s, const struct pb_field *field, const struct pb_item *it)
{
    return field->droppable ? leave_out(s, it) : drop_enclosing(s);
}

static enum err map_bytes(struct splice *s, const struct pb_field *field, const struct pb_item *it)
{
    CHECK(s->grow != NULL);
    enum err e = flush(s, it->bytes.p);
    if (e != ERR_OK)
        return e;
    size_t body_at = out_len(s);
    e = field->map(s->ctx, &s->stack[s->depth - 1], it->bytes, s->grow);
    if (e == ERR_FOREIGN && field->droppable) {
        out_truncate(s, body_at - (size_t)(it->bytes.p - it->start));
        s->copied = s->p;
        return ERR_OK;
    }
    if (e != ERR_OK)
        return e;
    s->copied = s->p;
    size_t n = out_len(s) - body_at;
    return n == it->bytes.n ? ERR_OK
                            : mend_length(s, body_at, (size_t)(it->bytes.p - it->value), n);
}

static enum err strip_bytes(struct splice *s, const struct pb_field *field,
                            const struct pb_item *it)
{
    struct span rest;
    enum err e = field->strip(s->ctx, &s->stack[s->depth - 1], it->bytes, &rest);
    if (e == ERR_FOREIGN)
        return drop(s, field, it);
    if (e != ERR_OK || rest.n == it->bytes.n)
        return e;
    CHECK(rest.n < it->bytes.n);
    e = flush(s, it->value);
    if (e == ERR_OK)
        e = emit_varint(s, rest.n);
    s->copied = s->p - rest.n; /* the rest joins the next run */
    return e;
}

static enum err number(struct splice *s, const struct pb_field *field, const struct pb_item *it)
{
    uint64_t v;
    enum err e = field->number(s->ctx, &s->stack[s->depth - 1], it->varint, &v);
    if (e == ERR_FOREIGN)
        return drop(s, field, it);
    if (e != ERR_OK || v == it->varint)
        return e;
    CHECK(s->grow != NULL || pb_varint_size(v) <= (size_t)(s->p - it->value));
    e = flush(s, it->value);
    s->copied = s->p;
    return e == ERR_OK ? emit_varint(s, v) : e;
}

/* Walk over fields that nobody asks for, which are most; they join the run to be copied. True: the
 * message's end is reached. */
static inline bool skip_unlisted(struct splice *s, const struct pb_frame *f)
{
    const struct pb_message *m = f->m;
    const uint8_t *p = s->p, *next;
    while (p != f->end && !m->closed) {
        uint32_t number = *p >> 3;
        if (number < m->n_fields && m->fields[number].action != PB_COPY)
            break;
        next = pb_skip_usual(p, f->end);
        if (next == NULL)
            break;
        p = next;
    }
    s->p = p;
    return p == f->end;
}

/* The next field does not parse. In a part of a message it may lack its rest: end before it. */
static enum err cut_off(const struct splice *s, struct pb_frame *f)
{
    if (!s->is_part || s->depth != 1)
        return ERR_PB_MALFORMED;
    f->end = s->p;
    return ERR_OK;
}

/* One field of the message on top. */
static enum err step(struct splice *s)
{
    struct pb_frame *f = &s->stack[s->depth - 1];
    struct pb_item it;
    if (skip_unlisted(s, f))
        return ERR_OK;
    if (!pb_item_next(&s->p, f->end, &it))
        return cut_off(s, f);
    /* Most fields: decided without the jump through the table below. */
    if (it.number >= f->m->n_fields || f->m->fields[it.number].action == PB_COPY)
        return f->m->closed ? leave_out(s, &it) : ERR_OK;
    const struct pb_field *field = &f->m->fields[it.number];
    switch (field->action) {
    case PB_COPY:
    case PB_KEEP:
        return ERR_OK;
    case PB_MESSAGE:
        return enter(s, field, &it);
    case PB_MAP:
        return it.wire == PB_WIRE_BYTES ? map_bytes(s, field, &it) : ERR_PB_MALFORMED;
    case PB_STRIP:
        return it.wire == PB_WIRE_BYTES ? strip_bytes(s, field, &it) : ERR_PB_MALFORMED;
    case PB_NUMBER:
        return it.wire == PB_WIRE_VARINT ? number(s, field, &it) : ERR_PB_MALFORMED;
    case PB_PEEK:
        return it.wire == PB_WIRE_BYTES ? field->peek(s->ctx, f, it.bytes) : ERR_PB_MALFORMED;
    }
    return ERR_PB_MALFORMED;
}

static enum err run(struct splice *s, const struct pb_message *m, struct span in)
{
    s->stack[0] = (struct pb_frame){.m = m, .end = span_end(in), .read_n = in.n};
    s->depth = 1;
    enum err e = m->begin == NULL ? ERR_OK : m->begin(s->ctx, &s->stack[0], NULL);
    while (e == ERR_OK && s->depth != 0)
        e = s->p == s->stack[s->depth - 1].end ? leave(s) : step(s);
    return e;
}

enum err pb_splice(const struct pb_message *m, void *ctx, struct span in, struct buf *out)
{
    static const uint8_t nothing[1];
    if (in.n == 0)
        in.p = nothing;
    struct splice s;
    s.ctx = ctx;
    s.p = s.copied = in.p;
    s.grow = out;
    s.grow_from = buf_len(out);
    s.base = NULL;
    s.n = 0;
    s.is_part = false;
    /* One growth for most messages: a mapped key is a prefix longer. */
    enum err e = buf_reserve(out, in.n + 64);
    if (e == ERR_OK)
        e = run(&s, m, in);
    if (e != ERR_OK)
        buf_truncate(out, s.grow_from);
    return e;
}

static void begin_in_place(struct splice *s, void *ctx, uint8_t *data, bool is_part)
{
    s->ctx = ctx;
    s->p = s->copied = data;
    s->grow = NULL;
    s->grow_from = 0;
    s->base = data;
    s->n = 0;
    s->is_part = is_part;
}

enum err pb_splice_in_place(const struct pb_message *m, void *ctx, uint8_t *data, size_t n,
                            size_t *ret_n)
{
    if (n == 0)
        return *ret_n = 0, ERR_OK;
    struct splice s;
    begin_in_place(&s, ctx, data, false);
    enum err e = run(&s, m, span_of(data, n));
    if (e == ERR_OK)
        *ret_n = s.n;
    return e;
}

enum err pb_splice_arrived(const struct pb_message *m, void *ctx, uint8_t *data, size_t n,
                           size_t *ret_read, size_t *ret_written)
{
    CHECK(m->begin == NULL && m->end == NULL && !m->closed);
    struct splice s;
    begin_in_place(&s, ctx, data, true);
    enum err e = run(&s, m, span_of(data, n));
    *ret_read = (size_t)(s.p - data);
    *ret_written = s.n;
    return e;
}
