/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_plain - may_pass, then for each message: cut (fields and size), the two sides' conditions,
 * copy.
 *
 *   to_up    PUB [P] S ' ' [P] [R ' '] n CRLF payload CRLF     [ ] is put in or left out;
 *   to_app   MSG  P  S ' ' e sid ' ' P [R ' '] n CRLF …        the rest is copied in one piece
 *            a second blank instead of R ' ' is left out
 *            … $JS.ACK. [N] stream…  and  {"stream":" [N] stream…   N: the names' prefix, left out
 *
 * What is decided of a message depends on its line alone (but for what may be an acknowledgement).
 * So while the next messages have the very same line, which is what a stream of events looks like,
 * they get the very same mapped line: repeat() compares, copies and decides nothing again.
 */
#include "nats/nats_plain.h"

#include <endian.h>

#include "limit.h"
#include "nats/js_ack.h"
#include "nats/js_subject.h"
#include "nats/nats_state.h"

enum {
    VERB_BYTES = 4, /* "PUB ", "MSG " */
    CRLF_BYTES = 2,
    STEP_BYTES = 32,          /* a prefix that fits is copied whole: two vectors, no call */
    SLACK_BYTES = STEP_BYTES, /* of the output, behind what is written */
    STEPS_MAX = 8,            /* above it memcpy is the faster one */
    REPEATED_BYTES_MAX = STEPS_MAX * STEP_BYTES, /* of a mapped line */
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

/* [[R] ' '] n CRLF payload CRLF, all of it. An empty R and its blank are what nats-server up to
 * 2.9 writes in the answers of JetStream, and some clients in publishes without a reply. */
static inline bool cut_tail(const uint8_t *p, const uint8_t *end, struct tail *ret)
{
    ret->reply = NULL;
    ret->size = p;
    ret->payload = read_size(p, end, &ret->payload_bytes);
    if (ret->payload == NULL) {
        bool is_empty = p < end && *p == ' ';
        const uint8_t *blank = is_empty ? p : field_end(p, end);
        if (blank == NULL)
            return false;
        ret->reply = is_empty ? NULL : p;
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

/* n bytes, eight at least. */
static inline bool is_same(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;
    uint64_t x, y, differ = 0;
    for (size_t i = 0; i + 8 <= n; i += 8) {
        memcpy(&x, p + i, sizeof x);
        memcpy(&y, q + i, sizeof y);
        differ |= x ^ y;
    }
    memcpy(&x, p + n - 8, sizeof x);
    memcpy(&y, q + n - 8, sizeof y);
    return (differ | (x ^ y)) == 0;
}

/* Prefixes have at least eight bytes: "b.e.~.~.~.~." is the shortest. */
static inline bool starts_with(const uint8_t *p, const uint8_t *end, const struct subject_prefix *x)
{
    return (size_t)(end - p) > x->n && x->n >= 8 && is_same(p, x->text, x->n);
}

/* The caller reserved STEP_BYTES more than n. */
static inline uint8_t *put_prefix(uint8_t *to, const struct subject_prefix *x)
{
    memcpy(to, x->text, x->n <= STEP_BYTES ? STEP_BYTES : x->n);
    return to + x->n;
}

/* n bytes, and up to STEP_BYTES - 1 more are read and written: no call for what is short. */
static inline uint8_t *put_steps(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n > (size_t)STEPS_MAX * STEP_BYTES)
        memcpy(to, from, n);
    else
        for (size_t i = 0; i < n; i += STEP_BYTES)
            memcpy(to + i, from + i, STEP_BYTES);
    return to + n;
}

/* The same for bytes of the input: steps while they stay inside it. */
static inline uint8_t *put(uint8_t *to, const uint8_t *from, const uint8_t *until, bool steps)
{
    size_t n = (size_t)(until - from);
    if (steps)
        return put_steps(to, from, n);
    memcpy(to, from, n);
    return to + n;
}

/* Room for a message of n bytes and its prefixes; NULL: no memory. */
static inline uint8_t *room(struct buf *out, size_t n, const struct subject_prefix *x)
{
    return buf_reserve(out, n + 2 * (size_t)x->n + SLACK_BYTES) == ERR_OK ? out->data + out->tail
                                                                          : NULL;
}

/* The message before this one, and what was found out about it. */
struct last {
    const uint8_t *line, *payload, *end; /* in the input; end: behind its CR LF */
    size_t mapped_at;                    /* bytes of output before it */
    struct span subject;                 /* published; in the input */
    struct nats_sub *sub;                /* delivered to, and counted there; NULL: not counted */
    bool down;                           /* the subject's class */
    bool has_reply;
    bool is_single; /* its mapped line says another size: no other one gets it */
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
    bool steps = end - t.end >= STEP_BYTES;
    memcpy(to, p, VERB_BYTES);
    to += VERB_BYTES;
    bool down = goes_down(&s->ns->map, last, span_of(subject, (size_t)(blank - subject)));
    uint8_t *class = to + s->ns->map.class_at;
    to = put_prefix(to, x);
    if (down)
        *class = 'd';
    if (t.reply != NULL) {
        to = put_prefix(put(to, subject, t.reply, steps), x);
        subject = t.reply;
    } else if (t.size != blank + 1) {
        to = put(to, subject, blank + 1, steps);
        subject = t.size;
    }
    out->tail = (size_t)(put(to, subject, t.end, steps) - out->data);
    last->payload = t.payload;
    return t.end;
}

/* Is it one of the application's many subscriptions without a maximum? Then it is counted. */
static inline bool deliver(const struct nats_subs *subs, const uint8_t *sid, const uint8_t *sid_end,
                           struct nats_sub **ret_sub)
{
    *ret_sub = NULL;
    if (subs->n == 0)
        return true;
    struct nats_sub *sub = nats_subs_find(subs, span_of(sid, (size_t)(sid_end - sid)));
    if (sub == NULL)
        return true;
    if ((sub->slices & 1) == 0 || sub->max != 0)
        return false;
    sub->delivered++;
    *ret_sub = sub;
    return true;
}

static inline enum js_ack look_for_ack(const struct nats_ns *ns, const uint8_t *payload, uint32_t n)
{
    return n != 0 && payload[0] == '{' && n <= LIMIT_NATS_PUB_ACK_BYTES
               ? js_ack_look(ns, n, span_of(payload, n))
               : JS_ACK_NOT;
}

/* Of a reply cut_bytes at cut_at are left out. False: it is neither an own one nor an own
 * stream's. */
static inline bool strip_reply(const struct nats_ns *ns, const struct tail *t, uint32_t *ret_cut_at,
                               uint32_t *ret_cut_bytes)
{
    const struct subject_prefix *x = &ns->map.slice[0];
    struct span reply = span_of(t->reply, (size_t)(t->size - 1 - t->reply));
    bool is_own = starts_with(t->reply, t->size - 1, x);
    if (!is_own && !js_reply_is_own_ack(ns, reply))
        return false;
    *ret_cut_at = is_own ? 0 : JS_ACK_NAME_AT;
    *ret_cut_bytes = is_own ? x->n : ns->names.n;
    return true;
}

/* n CRLF payload CRLF of JS_ACK_PLAIN: without the names' prefix, and so many bytes fewer. */
static uint8_t *put_ack(uint8_t *to, const struct nats_ns *ns, const struct tail *t)
{
    char digits[SIZE_DIGITS_MAX + 1];
    uint32_t n = t->payload_bytes - ns->names.n;
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    const uint8_t *name = t->payload + js_ack_start.n + ns->names.n;
    memcpy(to, digits + at, sizeof digits - at);
    to += sizeof digits - at;
    memcpy(to, "\r\n", CRLF_BYTES);
    to += CRLF_BYTES;
    memcpy(to, t->payload, js_ack_start.n);
    to += js_ack_start.n;
    memcpy(to, name, (size_t)(t->end - name));
    return to + (t->end - name);
}

/* One MSG at p, as above. */
static inline const uint8_t *message(struct nats_session *s, const uint8_t *p, const uint8_t *end,
                                     struct last *last)
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
    if (blank == NULL || !cut_tail(blank + 1, end, &t) || t.payload_bytes > LIMIT_READ_BYTES)
        return p;
    uint32_t cut_at = 0, cut_bytes = 0;
    enum js_ack ack = JS_ACK_NOT;
    if (t.reply == NULL)
        ack = look_for_ack(s->ns, t.payload, t.payload_bytes);
    else if (!strip_reply(s->ns, &t, &cut_at, &cut_bytes))
        return p;
    if (ack != JS_ACK_NOT && ack != JS_ACK_PLAIN)
        return p;
    uint8_t *to = room(out, (size_t)(t.end - p), x);
    if (to == NULL)
        return NULL;
    if (!deliver(&s->subs, sid, blank, &last->sub))
        return p;
    bool steps = end - t.end >= STEP_BYTES;
    memcpy(to, p, VERB_BYTES);
    to = put(to + VERB_BYTES, subject, sid - 1, steps);
    if (t.reply != NULL) {
        to = put(to, sid, t.reply + cut_at, steps);
        sid = t.reply + cut_at + cut_bytes;
    } else if (t.size != blank + 1) {
        to = put(to, sid, blank + 1, steps);
        sid = t.size;
    }
    to = ack == JS_ACK_PLAIN ? put_ack(put(to, sid, t.size, steps), s->ns, &t)
                             : put(to, sid, t.end, steps);
    out->tail = (size_t)(to - out->data);
    last->payload = t.payload;
    last->has_reply = t.reply != NULL;
    last->is_single = ack == JS_ACK_PLAIN;
    return t.end;
}

/* Does the message behind the last one have its very line, and lie in the input with as many bytes
 * more as copies in steps may read? Lines differ near their end, if they do. */
static inline bool is_repeated(const struct last *last, const uint8_t *end)
{
    const uint8_t *p = last->end;
    size_t line = (size_t)(last->payload - last->line);
    return !last->is_single && end - p >= p - last->line + STEP_BYTES &&
           is_same(p + line - 8, last->payload - 8, 8) && is_same(p, last->line, line);
}

/* Passes the messages of which that is true, until the high mark. How many there were. */
static size_t repeat(struct nats_session *s, enum nats_side to_side, const uint8_t *end,
                     const struct last *last)
{
    struct buf *out = &s->out[to_side];
    const uint8_t *p = last->end;
    size_t line = (size_t)(last->payload - last->line), body = (size_t)(p - last->payload);
    size_t len = buf_len(out), mapped = len - last->mapped_at - body, n = 0;
    if (len >= LIMIT_OUT_HIGH_BYTES || mapped > REPEATED_BYTES_MAX)
        return 0;
    size_t most = ((size_t)(end - p) - STEP_BYTES) / (line + body);
    size_t fit = (LIMIT_OUT_HIGH_BYTES - 1 - len) / (mapped + body) + 1;
    most = most < fit ? most : fit;
    if (buf_reserve(out, most * (mapped + body) + SLACK_BYTES) != ERR_OK)
        return 0;
    bool look = to_side == SIDE_APP && !last->has_reply;
    uint8_t text[REPEATED_BYTES_MAX + STEP_BYTES]; /* a copy: steps reach over what they read */
    memcpy(text, buf_span(out).p + last->mapped_at, mapped);
    uint8_t *to = out->data + out->tail;
    for (; n < most && is_same(p, last->line, line); n++, p += body) {
        p += line;
        if (p[body - 2] != '\r' || p[body - 1] != '\n' ||
            (look && look_for_ack(s->ns, p, (uint32_t)(body - CRLF_BYTES)) != JS_ACK_NOT))
            break;
        to = put_steps(put_steps(to, text, mapped), p, body);
    }
    out->tail = (size_t)(to - out->data);
    if (last->sub != NULL)
        last->sub->delivered += n;
    return n;
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
    enum nats_side to = up ? SIDE_UP : SIDE_APP;
    const uint8_t *p = in->p, *end = in->p + in->n;
    struct last last = {0};
    uint64_t n = 0;
    while (p < end && buf_len(&s->out[to]) < LIMIT_OUT_HIGH_BYTES) {
        last.line = p;
        last.mapped_at = buf_len(&s->out[to]);
        const uint8_t *next = up ? publish(s, p, end, &last) : message(s, p, end, &last);
        if (next == NULL)
            *ret_error = ERR_NOMEM;
        if (next == NULL || next == p)
            break;
        last.end = next;
        size_t again = is_repeated(&last, end) ? repeat(s, to, end, &last) : 0;
        n += 1 + again;
        p = next + again * (size_t)(next - p);
    }
    count(s->ns->counters, up ? COUNTER_NATS_MSGS_TO_UP : COUNTER_NATS_MSGS_TO_APP, n);
    *in = span_skip(*in, (size_t)(p - in->p));
    return n != 0;
}
