/* SPDX-License-Identifier: Apache-2.0 */
/* js_subject - prefixes before subjects, the one token of $JS.ACK and $JS.FC, texts. */
#include "nats/js_subject.h"

enum err js_subject_event(const struct nats_ns *ns, struct span subject, struct buf *out)
{
    if (subject.n == 0)
        return ERR_OK;
    enum err e = buf_append(out, subject_map_pub_prefix(&ns->map));
    return e == ERR_OK ? buf_append(out, subject) : e;
}

/* The same with another class. */
static enum err append_class(const struct nats_ns *ns, char class, struct span subject,
                             struct buf *out)
{
    size_t at = buf_len(out);
    enum err e = js_subject_event(ns, subject, out);
    if (e == ERR_OK && buf_len(out) != at)
        out->data[out->head + at + ns->map.class_at] = (uint8_t) class;
    return e;
}

enum err js_subject_lookup(const struct nats_ns *ns, struct span subject, struct buf *out)
{
    return append_class(ns, subject_map_goes_down(&ns->map, subject) ? 'd' : 'e', subject, out);
}

enum err js_subject_deliver(const struct nats_ns *ns, struct span subject, struct buf *out)
{
    bool listens = subject.n != 0 && subject_is_literal(subject) &&
                   (subject_map_sub_slices(&ns->map, subject) & 1u << SUBJECT_DELIVERY) != 0;
    return append_class(ns, listens ? 'j' : 'e', subject, out);
}

enum err js_subject_filter(const struct nats_ns *ns, struct span pattern, struct buf *out)
{
    bool both = subject_is_valid_filter(pattern) &&
                (subject_map_sub_slices(&ns->map, pattern) & 1u << SUBJECT_REQUESTS) != 0;
    return append_class(ns, both ? '*' : 'e', pattern, out);
}

bool js_subject_strip(const struct nats_ns *ns, struct span stored, struct span *ret_subject)
{
    const struct subject_prefix *p = &ns->map.slice[0];
    size_t at = ns->map.class_at;
    if (stored.n <= p->n || memcmp(stored.p, p->text, at) != 0 ||
        memcmp(stored.p + at + 1, p->text + at + 1, p->n - at - 1) != 0)
        return false;
    if (memchr("edj*", stored.p[at], 4) == NULL)
        return false;
    *ret_subject = span_skip(stored, p->n);
    return true;
}

enum err js_aside_append(const struct nats_ns *ns, struct buf *out)
{
    const struct subject_prefix *own = &ns->map.slice[0];
    enum err e = buf_append(out, span_of(own->text, ns->map.class_at));
    if (e == ERR_OK)
        e = buf_append(out, SPAN_LIT("r."));
    return e == ERR_OK ? buf_append(out, js_names_prefix(&ns->names)) : e;
}

enum err js_nowhere_append(const struct nats_ns *ns, struct span subject, struct buf *out)
{
    enum err e = js_aside_append(ns, out);
    if (e == ERR_OK)
        e = buf_append_byte(out, '.');
    return e == ERR_OK ? buf_append(out, subject) : e;
}

bool js_nowhere_strip(const struct nats_ns *ns, struct span stored, struct span *ret_subject)
{
    const struct subject_prefix *own = &ns->map.slice[0];
    struct span root = span_of(own->text, ns->map.class_at);
    struct span rest = span_skip(stored, root.n + 2), name;
    if (!span_has_prefix(stored, root) || stored.n <= root.n + 2 || stored.p[root.n] != 'r' ||
        stored.p[root.n + 1] != '.' || !js_names_strip(&ns->names, rest, &name) || name.n < 2 ||
        name.p[0] != '.')
        return false;
    *ret_subject = span_skip(name, 1);
    return true;
}

enum { TOKENS_MAX = 16 };

/* Cuts at dots; the last one holds what is left. Returns how many there are, more than max as
 * max + 1. */
static size_t split(struct span s, struct span *token, size_t max)
{
    for (size_t n = 0; n < max; n++) {
        const uint8_t *dot = memchr(s.p, '.', s.n);
        if (dot == NULL) {
            token[n] = s;
            return n + 1;
        }
        token[n] = span_head(s, (size_t)(dot - s.p));
        s = span_skip(s, token[n].n + 1);
    }
    return max + 1;
}

/* $JS.ACK.<stream>.<consumer> and 5 numbers, or $JS.ACK.<domain>.<account>.<stream>.<consumer> and
 * 5 numbers or more; $JS.FC.<stream>.<consumer>.<id>, or with domain and account before them. */
bool js_subject_stream(struct span subject, struct span *ret_stream)
{
    struct span token[TOKENS_MAX];
    if (!span_has_prefix(subject, SPAN_LIT("$JS.")))
        return false;
    size_t n = split(subject, token, TOKENS_MAX);
    bool is_ack = n > 2 && span_eq(token[1], SPAN_LIT("ACK"));
    bool is_fc = n > 2 && span_eq(token[1], SPAN_LIT("FC"));
    bool is_short = (is_ack && n == 9) || (is_fc && n == 5);
    bool is_long = (is_ack && n >= 11 && n <= TOKENS_MAX) || (is_fc && n >= 7 && n <= 8);
    if (!is_short && !is_long)
        return false;
    /* No domain and no account is named like a stored stream: what looks like one would be a way to
     * another's, wherever a server should take the short form with more tokens. */
    if (is_long && (memchr(token[2].p, '~', token[2].n) != NULL ||
                    memchr(token[3].p, '~', token[3].n) != NULL))
        return false;
    *ret_stream = token[is_short ? 2 : 4];
    return ret_stream->n != 0;
}

/* subject with instead in the place of its part token. */
static enum err replace(struct span subject, struct span token, struct span instead,
                        struct buf *out)
{
    size_t before = (size_t)(token.p - subject.p);
    enum err e = buf_append(out, span_head(subject, before));
    if (e == ERR_OK)
        e = buf_append(out, instead);
    return e == ERR_OK ? buf_append(out, span_skip(subject, before + token.n)) : e;
}

bool js_reply_map(const struct nats_ns *ns, struct span subject, struct buf *out,
                  enum err *ret_error)
{
    struct span stream;
    if (!js_subject_stream(subject, &stream) || stream.n > js_names_room(&ns->names))
        return false;
    /* map(N) is a prefix and N. */
    *ret_error = replace(subject, span_head(stream, 0), js_names_prefix(&ns->names), out);
    return true;
}

bool js_reply_strip(const struct nats_ns *ns, struct span stored, struct buf *out,
                    enum err *ret_error)
{
    struct span stream, name;
    if (!js_subject_stream(stored, &stream) || !js_names_strip(&ns->names, stream, &name))
        return false;
    *ret_error = replace(stored, stream, name, out);
    return true;
}

static bool is_name_byte(uint8_t c)
{
    return c > ' ' && c != '"' && c != '\'' && c != '(' && c != '[' && c != ',' && c != ':' &&
           c < 0x7f;
}

static struct span own_prefix(const struct nats_ns *ns, struct span at)
{
    struct span rest;
    if (js_subject_strip(ns, at, &rest))
        return span_head(at, at.n - rest.n);
    if (js_names_strip(&ns->names, at, &rest))
        return span_head(at, at.n - rest.n);
    return SPAN_NONE;
}

enum err js_text_strip(const struct nats_ns *ns, struct span text, struct buf *out)
{
    size_t start = buf_len(out);
    enum err e = buf_reserve(out, text.n);
    for (size_t i = 0; i < text.n && e == ERR_OK;) {
        bool at_start = i == 0 || !is_name_byte(text.p[i - 1]);
        size_t skip = at_start ? own_prefix(ns, span_skip(text, i)).n : 0;
        i += skip;
        if (i < text.n)
            e = buf_append_byte(out, text.p[i++]);
    }
    if (e != ERR_OK)
        return e;
    struct span root = span_head(subject_map_pub_prefix(&ns->map), ns->map.class_at);
    struct span got = span_skip(buf_span(out), start);
    if (got.n == 0 || memmem(got.p, got.n, root.p, root.n) == NULL)
        return ERR_OK;
    buf_truncate(out, start);
    return buf_append(out, SPAN_LIT("not possible in this namespace"));
}
