/* SPDX-License-Identifier: Apache-2.0 */
/* nats_write - reserve the line's bytes once, then copy its parts behind one another. */
#include "wire/nats_write.h"

enum { CRLF_BYTES = 2 };

static inline uint8_t *put(uint8_t *p, struct span s)
{
    if (s.n != 0)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static inline uint8_t *put_field(uint8_t *p, struct span s)
{
    if (s.n == 0)
        return p;
    p = put(p, s);
    *p++ = ' ';
    return p;
}

static inline uint8_t *put_end(uint8_t *p)
{
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

static inline size_t field_bytes(struct span s)
{
    return s.n == 0 ? 0 : s.n + 1;
}

/* Room for line_bytes and the line end; NULL = no memory. */
static inline uint8_t *begin(struct buf *out, size_t line_bytes)
{
    return buf_reserve(out, line_bytes + CRLF_BYTES) == ERR_OK ? out->data + out->tail : NULL;
}

static inline void end(struct buf *out, const uint8_t *p)
{
    out->tail = (size_t)(p - out->data);
}

size_t nats_write_pub_bytes(struct span prefix, const struct nats_line *l)
{
    size_t verb = l->op == NATS_OP_HPUB ? 5 : 4;
    size_t reply = l->reply.n == 0 ? 0 : prefix.n + l->reply.n + 1;
    return verb + prefix.n + l->subject.n + 1 + reply + field_bytes(l->header_text) +
           l->payload_text.n;
}

enum err nats_write_pub(struct buf *out, struct span prefix, const struct nats_line *l)
{
    uint8_t *p = begin(out, nats_write_pub_bytes(prefix, l));
    if (p == NULL)
        return ERR_NOMEM;
    if (l->op == NATS_OP_HPUB)
        *p++ = 'H';
    p = put(p, SPAN_LIT("PUB "));
    p = put(p, prefix);
    p = put_field(p, l->subject);
    if (l->reply.n != 0)
        p = put_field(put(p, prefix), l->reply);
    p = put_field(p, l->header_text);
    end(out, put_end(put(p, l->payload_text)));
    return ERR_OK;
}

enum err nats_write_msg(struct buf *out, const struct nats_line *l)
{
    uint8_t *p = begin(out, 5 + l->subject.n + 1 + l->sid.n + 1 + field_bytes(l->reply) +
                                field_bytes(l->header_text) + l->payload_text.n);
    if (p == NULL)
        return ERR_NOMEM;
    if (l->op == NATS_OP_HMSG)
        *p++ = 'H';
    p = put(p, SPAN_LIT("MSG "));
    p = put_field(p, l->subject);
    p = put_field(p, l->sid);
    p = put_field(p, l->reply);
    p = put_field(p, l->header_text);
    end(out, put_end(put(p, l->payload_text)));
    return ERR_OK;
}

size_t nats_write_sub_bytes(const struct nats_sub_line *l)
{
    return 4 + l->prefix.n + l->subject.n + 1 + field_bytes(l->queue) + 1 + l->sid.n;
}

enum err nats_write_sub(struct buf *out, const struct nats_sub_line *l)
{
    uint8_t *p = begin(out, nats_write_sub_bytes(l));
    if (p == NULL)
        return ERR_NOMEM;
    p = put(p, SPAN_LIT("SUB "));
    p = put(p, l->prefix);
    p = put_field(p, l->subject);
    p = put_field(p, l->queue);
    *p++ = (uint8_t)l->letter;
    end(out, put_end(put(p, l->sid)));
    return ERR_OK;
}

size_t nats_write_unsub_bytes(struct span sid, struct span max)
{
    return 7 + sid.n + (max.n == 0 ? 0 : 1 + max.n);
}

enum err nats_write_unsub(struct buf *out, char letter, struct span sid, struct span max)
{
    uint8_t *p = begin(out, nats_write_unsub_bytes(sid, max));
    if (p == NULL)
        return ERR_NOMEM;
    p = put(p, SPAN_LIT("UNSUB "));
    *p++ = (uint8_t)letter;
    p = put(p, sid);
    if (max.n != 0)
        *p++ = ' ';
    end(out, put_end(put(p, max)));
    return ERR_OK;
}

enum err nats_write_err(struct buf *out, struct span text)
{
    uint8_t *p = begin(out, 7 + text.n);
    if (p == NULL)
        return ERR_NOMEM;
    p = put(p, SPAN_LIT("-ERR '"));
    p = put(p, text);
    *p++ = '\'';
    end(out, put_end(p));
    return ERR_OK;
}
