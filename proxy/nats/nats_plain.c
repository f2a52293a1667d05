/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_plain - may_pass, then for each message: cut (fields and size), the two sides' conditions,
 * copy.
 *
 *   to_up    PUB [P] S ' ' [P] [R ' '] n CRLF payload CRLF     [ ] is put in or left out;
 *   to_app   MSG  P  S ' ' e sid ' ' P [R ' '] n CRLF …        the rest is copied in one piece
 */
#include "nats/nats_plain.h"

#include <endian.h>

#include "limits.h"
#include "nats/js_ack.h"
#include "nats/nats_state.h"

enum {
    VERB_BYTES = 4, /* "PUB ", "MSG " */
    CRLF_BYTES = 2,
    STEP_BYTES = 32, /* a prefix that fits is copied whole: two vectors, no call */
    SIZE_DIGITS_MAX = 9,
};
_Static_assert(sizeof(struct subject_prefix) >= STEP_BYTES + sizeof(uint16_t),
               "a copy of STEP_BYTES stays inside a prefix");

/* What follows the subject, by where it stands. */
struct tail {
    const uint8_t *reply; /* NULL: none */
    const uint8_t *size;  /* the first digit */
    const uint8_t *payload;
    const uint8_t *end; /* behind its CR LF */
    uint32_t payload_bytes;
};

/* The first byte that is a blank or below it, or end; eight bytes at a time. */
static inline const uint8_t *find_low(const uint8_t *p, const uint8_t *end)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        word = le64toh(word);
        /* Top bit of every byte below ' ' + 1; a borrow can only add some above the first. */
        uint64_t low = (word - each * (' ' + 1)) & ~word & each << 7;
        if (low != 0)
            return p + (unsigned)__builtin_ctzll(low) / 8;
        p += 8;
    }
    while (p<end && * p> ' ')
        p++;
    return p;
}

/* The end of a field that a single blank ends; NULL: it is empty, or ends otherwise. */
static inline const uint8_t *field_end(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *blank = find_low(p, end);
    return blank != end && blank != p && *blank == ' ' ? blank : NULL;
}

/* Digits and CR LF. NULL: something else. */
static inline const uint8_t *read_size(const uint8_t *p, const uint8_t *end, uint32_t *ret_size)
{
    const uint8_t *begin = p;
    uint32_t size = 0;
    for (; p < end && (unsigned)*p - '0' <= 9; p++)
        size = size * 10 + (*p - (unsigned)'0'); /* of too many digits nothing is used */
    if (p == begin || p - begin > SIZE_DIGITS_MAX || end - p < CRLF_BYTES || p[0] != '\r' ||
        p[1] != '\n')
        return NULL;
    *ret_size = size;
    return p + CRLF_BYTES;
}

/* [R ' '] n CRLF payload CRLF, all of it. */
static inline bool cut_tail(const uint8_t *p, const uint8_t *end, struct tail *ret)
{
    ret->reply = NULL;
    ret->size = p;
    ret->payload = read_size(p, end, &ret->payload_bytes);
    if (ret->payload == NULL) {
        const uint8_t *blank = field_end(p, end);
        if (blank == NULL)
            return false;
        ret->reply = p;
        ret->size = blank + 1;
        ret->payload = read_size(ret->size, end, &ret->payload_bytes);
        if (ret->payload == NULL)
            return false;
    }
    const uint8_t *last = ret->payload + ret->payload_bytes;
    if ((size_t)(end - ret->payload) < (size_t)ret->payload_bytes + CRLF_BYTES || last[0] != '\r' ||
        last[1] != '\n')
        return false;
    ret->end = last + CRLF_BYTES;
    return true;
}

/* Prefixes have at least eight bytes: "b.e.~.~.~.~." is the shortest. */
static inline bool starts_with(const uint8_t *p, const uint8_t *end, const struct subject_prefix *x)
{
    size_t n = x->n;
    if ((size_t)(end - p) <= n || n < 8)
        return false;
    uint64_t a, b, differ = 0;
    for (size_t i = 0; i + 8 <= n; i += 8) {
        memcpy(&a, p + i, sizeof a);
        memcpy(&b, x->text + i, sizeof b);
        differ |= a ^ b;
    }
    memcpy(&a, p + n - 8, sizeof a);
    memcpy(&b, x->text + n - 8, sizeof b);
    return (differ | (a ^ b)) == 0;
}

/* The caller reserved STEP_BYTES more than n. */
static inline uint8_t *put_prefix(uint8_t *to, const struct subject_prefix *x)
{
    memcpy(to, x->text, x->n <= STEP_BYTES ? STEP_BYTES : x->n);
    return to + x->n;
}

static inline uint8_t *put(uint8_t *to, const uint8_t *from, const uint8_t *end)
{
    memcpy(to, from, (size_t)(end - from));
    return to + (end - from);
}

/* Room for a message of n bytes and its prefixes; NULL: no memory. */
static inline uint8_t *room(struct buf *out, size_t n, const struct subject_prefix *x)
{
    return buf_reserve(out, n + 2 * (size_t)x->n + STEP_BYTES) == ERR_OK ? out->data + out->tail
                                                                         : NULL;
}

/* A publisher mostly says the same subject again: its class is looked up once a read. */
struct last {
    struct span subject; /* in the input */
    bool down;
};

static inline bool goes_down(const struct subject_map *map, struct last *last, struct span subject)
{
    if (!map->sends_down)
        return false;
    if (!span_eq(last->subject, subject)) {
        last->subject = subject;
        last->down = subject_map_goes_down(map, subject);
    }
    return last->down;
}

/* One PUB at p. What follows it; p: not plain; NULL: no memory. */
static inline const uint8_t *publish(struct nats_session *s, const uint8_t *p, const uint8_t *end,
                                     struct last *last)
{
    const struct subject_prefix *x = &s->ns->map.slice[0];
    struct buf *out = &s->out[SIDE_UP];
    struct tail t;
    if (end - p < VERB_BYTES || memcmp(p, "PUB ", VERB_BYTES) != 0)
        return p;
    const uint8_t *subject = p + VERB_BYTES;
    const uint8_t *blank = field_end(subject, end);
    if (blank == NULL || *subject == '$' || !cut_tail(blank + 1, end, &t) ||
        (s->max_payload != 0 && t.payload_bytes > s->max_payload) ||
        t.payload_bytes > LIMIT_READ_BYTES ||
        (size_t)(t.payload - p) + 2 * (size_t)x->n > LIMIT_NATS_CONTROL_LINE)
        return p;
    uint8_t *to = room(out, (size_t)(t.end - p), x);
    if (to == NULL)
        return NULL;
    to = put(to, p, subject);
    bool down = goes_down(&s->ns->map, last, span_of(subject, (size_t)(blank - subject)));
    uint8_t *class = to + s->ns->map.class_at;
    to = put_prefix(to, x);
    if (down)
        *class = 'd';
    if (t.reply != NULL) {
        to = put_prefix(put(to, subject, t.reply), x);
        subject = t.reply;
    }
    out->tail = (size_t)(put(to, subject, t.end) - out->data);
    return t.end;
}

/* Is it one of the application's many subscriptions without a maximum? Then it is counted. */
static inline bool deliver(const struct nats_subs *subs, const uint8_t *sid, const uint8_t *sid_end)
{
    if (subs->n == 0)
        return true;
    struct nats_sub *sub = nats_subs_find(subs, span_of(sid, (size_t)(sid_end - sid)));
    if (sub == NULL)
        return true;
    if ((sub->slices & 1) == 0 || sub->max != 0)
        return false;
    sub->delivered++;
    return true;
}

static inline bool may_be_ack(const struct nats_ns *ns, const struct tail *t)
{
    return t->reply == NULL && t->payload_bytes != 0 && t->payload[0] == '{' &&
           t->payload_bytes <= LIMIT_NATS_PUB_ACK_BYTES &&
           js_ack_look(ns, t->payload_bytes, span_of(t->payload, t->payload_bytes)) != JS_ACK_NOT;
}

/* One MSG at p, as above. */
static inline const uint8_t *message(struct nats_session *s, const uint8_t *p, const uint8_t *end)
{
    const struct subject_prefix *x = &s->ns->map.slice[0];
    struct buf *out = &s->out[SIDE_APP];
    struct tail t;
    if (end - p < VERB_BYTES || memcmp(p, "MSG ", VERB_BYTES) != 0 ||
        !starts_with(p + VERB_BYTES, end, x))
        return p;
    const uint8_t *subject = p + VERB_BYTES + x->n;
    const uint8_t *sid = field_end(subject, end);
    if (sid == NULL || end - sid < 3 || sid[1] != 'e')
        return p;
    sid += 2; /* without its letter */
    const uint8_t *blank = field_end(sid, end);
    if (blank == NULL || !cut_tail(blank + 1, end, &t) ||
        (t.reply != NULL && !starts_with(t.reply, t.size - 1, x)) || may_be_ack(s->ns, &t) ||
        t.payload_bytes > LIMIT_READ_BYTES)
        return p;
    uint8_t *to = room(out, (size_t)(t.end - p), x);
    if (to == NULL)
        return NULL;
    if (!deliver(&s->subs, sid, blank))
        return p;
    to = put(put(to, p, p + VERB_BYTES), subject, sid - 1);
    if (t.reply != NULL) {
        to = put(to, sid, blank + 1);
        sid = t.reply + x->n;
    }
    out->tail = (size_t)(put(to, sid, t.end) - out->data);
    return t.end;
}

/* Between messages, nothing gathered, and no +OK to be counted for each publish. */
static bool may_pass(const struct nats_session *s, enum nats_side from)
{
    const struct nats_flow *f = &s->flow[from];
    return s->state == NATS_OPEN && f->left == 0 && f->held == NULL &&
           f->reader.partial.data == NULL && !(from == SIDE_APP && s->verbose);
}

bool nats_plain_pass(struct nats_session *s, enum nats_side from, struct span *in,
                     enum err *ret_error)
{
    if (!may_pass(s, from))
        return false;
    bool up = from == SIDE_APP;
    const struct buf *out = &s->out[up ? SIDE_UP : SIDE_APP];
    const uint8_t *p = in->p, *end = in->p + in->n;
    struct last last = {0};
    uint64_t n = 0;
    while (p < end && buf_len(out) < LIMIT_OUT_HIGH_BYTES) {
        const uint8_t *next = up ? publish(s, p, end, &last) : message(s, p, end);
        if (next == NULL)
            *ret_error = ERR_NOMEM;
        if (next == NULL || next == p)
            break;
        p = next;
        n++;
    }
    count(s->ns->counters, up ? COUNTER_NATS_MSGS_TO_UP : COUNTER_NATS_MSGS_TO_APP, n);
    *in = span_skip(*in, (size_t)(p - in->p));
    return n != 0;
}
