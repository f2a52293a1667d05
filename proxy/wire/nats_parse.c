/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_parse - find the end of the line, know its verb, cut its fields.
 *
 * Bytes meet: nats_reader_next (memchr for the LF), find_verb, split, the verb's own row.
 */
#include "wire/nats_parse.h"

#include <endian.h>

#include "base/check.h"
#include "limit.h"

enum { FIELDS_MAX = 5 };
enum verb_end { END_BLANK, END_ANY }; /* what must follow the verb */

struct verb {
    char text[8]; /* lower case */
    uint8_t n;
    uint8_t op;
    uint8_t end;
    bool from[2]; /* by enum nats_from */
};

/* Hot ones first. A client's INFO, +OK and -ERR are known to the server's parser, so they are here:
 * what they mean is decided by the session. */
static const struct verb verbs[] = {
    {"pub", 3, NATS_OP_PUB, END_BLANK, {true, false}},
    {"msg", 3, NATS_OP_MSG, END_BLANK, {false, true}},
    {"hpub", 4, NATS_OP_HPUB, END_BLANK, {true, false}},
    {"hmsg", 4, NATS_OP_HMSG, END_BLANK, {false, true}},
    {"sub", 3, NATS_OP_SUB, END_BLANK, {true, false}},
    {"unsub", 5, NATS_OP_UNSUB, END_BLANK, {true, false}},
    {"ping", 4, NATS_OP_PING, END_ANY, {true, true}},
    {"pong", 4, NATS_OP_PONG, END_ANY, {true, true}},
    {"+ok", 3, NATS_OP_OK, END_ANY, {true, true}},
    {"-err", 4, NATS_OP_ERR, END_BLANK, {true, true}},
    {"info", 4, NATS_OP_INFO, END_ANY, {true, true}},
    {"connect", 7, NATS_OP_CONNECT, END_ANY, {true, false}},
};

static bool is_blank(uint8_t c)
{
    /* CR inside a line separates fields, as in the server's splitArg. */
    return c == ' ' || c == '\t' || c == '\r';
}

static bool same_letter(uint8_t byte, char lower)
{
    bool letter = lower >= 'a' && lower <= 'z';
    return (letter ? (byte | 0x20) : byte) == (uint8_t)lower;
}

/* The verb that head starts with. NULL and *ret_more: head could still become one / never will. */
static const struct verb *find_verb(enum nats_from from, struct span head, bool *ret_more)
{
    *ret_more = head.n == 0;
    for (size_t i = 0; i < ARRAY_LEN(verbs) && head.n != 0; i++) {
        const struct verb *v = &verbs[i];
        if (!v->from[from])
            continue;
        size_t n = 0;
        while (n < v->n && n < head.n && same_letter(head.p[n], v->text[n]))
            n++;
        if (n < v->n && n < head.n)
            continue;
        bool whole = n == v->n;
        if (whole && (v->end == END_ANY || (head.n > n && (head.p[n] == ' ' || head.p[n] == '\t'))))
            return v;
        *ret_more |= head.n == n;
    }
    return NULL;
}

/* The two verbs that nearly every line has, as nearly every line writes them. */
static const struct verb *hot_verb(enum nats_from from, struct span line)
{
    const struct verb *v = &verbs[from == NATS_FROM_CLIENT ? 0 : 1];
    const char *text = from == NATS_FROM_CLIENT ? "PUB " : "MSG ";
    return line.n >= 4 && memcmp(line.p, text, 4) == 0 ? v : NULL;
}

static struct span without_cr(struct span line)
{
    return line.n != 0 && line.p[line.n - 1] == '\r' ? span_head(line, line.n - 1) : line;
}

/* For a line that has ended or not: is its verb one, and is it short enough? */
static enum err check_head(const struct nats_reader *r, enum nats_from from, struct span line,
                           bool ended)
{
    bool more = false;
    const struct verb *v = find_verb(from, line, &more);
    if (v == NULL && (ended || !more))
        return ERR_NATS_UNKNOWN_OP;
    bool is_long = from == NATS_FROM_SERVER ||
                   (v != NULL && (v->op == NATS_OP_CONNECT || v->op == NATS_OP_INFO));
    size_t short_max = r->line_max != 0 ? r->line_max : LIMIT_NATS_CONTROL_LINE;
    size_t max = is_long ? LIMIT_NATS_INFO_LINE : short_max;
    return without_cr(line).n > max ? ERR_NATS_CONTROL_LINE : ERR_OK;
}

bool nats_reader_next(struct nats_reader *r, enum nats_from from, struct span *in,
                      struct span *ret_line, enum err *ret_error)
{
    *ret_error = ERR_OK;
    if (in->n == 0)
        return false;
    const uint8_t *lf = memchr(in->p, '\n', in->n);
    size_t n = lf == NULL ? in->n : (size_t)(lf - in->p);
    struct span line = span_head(*in, n);
    if (lf == NULL || r->partial.data != NULL) {
        /* One byte more than the limit shows that it is passed; the rest need not be kept. */
        *ret_error = buf_append(&r->partial, span_head(line, LIMIT_NATS_INFO_LINE + 2));
        if (*ret_error != ERR_OK)
            return false;
        CHECK(r->partial.data != NULL);
        line = buf_span(&r->partial);
        *ret_error = check_head(r, from, line, lf != NULL);
    } else if (line.n > LIMIT_NATS_CONTROL_LINE) {
        *ret_error = check_head(r, from, line, true);
    }
    if (*ret_error != ERR_OK)
        return false;
    *in = span_skip(*in, lf == NULL ? n : n + 1);
    if (lf != NULL)
        *ret_line = line;
    return lf != NULL;
}

/* The first blank, or end; eight bytes at a time. */
static const uint8_t *find_blank(const uint8_t *p, const uint8_t *end)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        word = le64toh(word);
        /* Top bit of every byte that is below ' ' + 1. A borrow can set more of them, but only
         * above a byte that is one: the lowest is right. */
        uint64_t low = (word - each * (' ' + 1)) & ~word & each << 7;
        if (low == 0) {
            p += 8;
            continue;
        }
        p += (unsigned)__builtin_ctzll(low) / 8;
        if (is_blank(*p))
            return p;
        p++; /* a control byte that separates nothing */
    }
    while (p < end && !is_blank(*p))
        p++;
    return p;
}

/* A field by where it begins and ends. Not a span: its two words would be stored apart and loaded
 * as one, and such a load waits until both stores have left the processor. */
struct field {
    uint32_t begin, end;
};

/* Fields between blanks; more than max: max + 1. */
static unsigned split(struct span args, struct field *field, unsigned max)
{
    const uint8_t *p = args.p;
    const uint8_t *end = args.p + args.n;
    for (unsigned n = 0;; n++) {
        while (p < end && is_blank(*p))
            p++;
        if (p == end)
            return n;
        if (n == max)
            return max + 1;
        field[n].begin = (uint32_t)(p - args.p);
        p = find_blank(p, end);
        field[n].end = (uint32_t)(p - args.p);
    }
}

static struct span cut(struct span args, const struct field *f)
{
    return span_of(args.p + f->begin, f->end - f->begin);
}

bool nats_parse_size(struct span text, uint32_t *ret_size)
{
    if (text.n == 0 || text.n > 9)
        return false;
    uint32_t size = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned digit = text.p[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        size = size * 10 + digit;
    }
    *ret_size = size;
    return true;
}

/* subject [sid] [reply] [header bytes] bytes: the four verbs that carry a payload. */
static enum err message(struct nats_line *l, struct span args)
{
    bool has_sid = l->op == NATS_OP_MSG || l->op == NATS_OP_HMSG;
    bool has_headers = l->op == NATS_OP_HPUB || l->op == NATS_OP_HMSG;
    unsigned fixed = 2u + has_sid + has_headers;
    struct field f[FIELDS_MAX];
    unsigned n = split(args, f, fixed + 1);
    if (n != fixed && n != fixed + 1)
        return ERR_SYNTAX;
    const struct field *next = f;
    l->subject = cut(args, next++);
    if (has_sid)
        l->sid = cut(args, next++);
    if (n == fixed + 1)
        l->reply = cut(args, next++);
    uint32_t header_bytes = 0;
    if (has_headers) {
        l->header_text = cut(args, next++);
        if (!nats_parse_size(l->header_text, &header_bytes))
            return ERR_SYNTAX;
    }
    struct span size = cut(args, next);
    l->payload_text = size;
    if (!nats_parse_size(size, &l->payload_bytes) || header_bytes > l->payload_bytes)
        return ERR_SYNTAX;
    return ERR_OK;
}

static enum err sub(struct nats_line *l, struct span args)
{
    struct field f[3];
    unsigned n = split(args, f, 3);
    if (n != 2 && n != 3)
        return ERR_SYNTAX;
    l->subject = cut(args, &f[0]);
    l->queue = n == 3 ? cut(args, &f[1]) : SPAN_NONE;
    l->sid = cut(args, &f[n - 1]);
    return ERR_OK;
}

static enum err unsub(struct nats_line *l, struct span args)
{
    struct field f[2];
    unsigned n = split(args, f, 2);
    if (n != 1 && n != 2)
        return ERR_SYNTAX;
    l->sid = cut(args, &f[0]);
    l->max = n == 2 ? cut(args, &f[1]) : SPAN_NONE;
    return ERR_OK;
}

static struct span trim(struct span s)
{
    const uint8_t *p = s.p;
    const uint8_t *end = s.p + s.n;
    while (p < end && is_blank(*p))
        p++;
    while (p < end && is_blank(end[-1]))
        end--;
    return span_of(p, (size_t)(end - p));
}

/* One by one: an initialiser of the whole struct becomes "rep stos", a tenth of a message's time.
 */
static void clear(struct nats_line *l, enum nats_op op)
{
    l->op = op;
    l->subject = SPAN_NONE;
    l->reply = SPAN_NONE;
    l->queue = SPAN_NONE;
    l->sid = SPAN_NONE;
    l->max = SPAN_NONE;
    l->header_text = SPAN_NONE;
    l->payload_text = SPAN_NONE;
    l->text = SPAN_NONE;
    l->payload_bytes = 0;
}

enum err nats_parse_line(enum nats_from from, struct span line, struct nats_line *ret_line)
{
    bool more;
    const struct verb *v = hot_verb(from, line);
    if (v == NULL)
        v = find_verb(from, line, &more);
    if (v == NULL)
        return ERR_NATS_UNKNOWN_OP;
    struct span args = span_skip(line, v->n);
    clear(ret_line, (enum nats_op)v->op);
    switch (ret_line->op) {
    case NATS_OP_PUB:
    case NATS_OP_MSG:
    case NATS_OP_HPUB:
    case NATS_OP_HMSG:
        return message(ret_line, args);
    case NATS_OP_SUB:
        return sub(ret_line, args);
    case NATS_OP_UNSUB:
        return unsub(ret_line, args);
    case NATS_OP_ERR:
    case NATS_OP_INFO:
    case NATS_OP_CONNECT:
        ret_line->text = trim(args);
        return ERR_OK;
    case NATS_OP_PING: /* what follows these is ignored, as the server does */
    case NATS_OP_PONG:
    case NATS_OP_OK:
    case NATS_OPS:
        break;
    }
    return ERR_OK;
}
