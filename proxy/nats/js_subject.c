/* SPDX-License-Identifier: Apache-2.0 */
/* js_subject - prefixes before subjects, the one token of $JS.ACK and $JS.FC, texts. */
#include "nats/js_subject.h"

#include <endian.h>

#include "base/attr.h"

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

enum err js_subject_deliver(const struct nats_ns *of, struct span subject, struct buf *out)
{
    const struct nats_ns *ns = js_reader(of);
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
    uint8_t class = stored.p[at];
    if (class != 'e' && class != 'd' && class != 'j' && class != '*')
        return false;
    *ret_subject = span_skip(stored, p->n);
    return true;
}

bool js_subject_is_servers(struct span stored, struct span *ret_subject)
{
    const struct span root = SPAN_LIT("$JS.S.");
    if (!span_has_prefix(stored, root) && !span_has_prefix(stored, SPAN_LIT("$JS.M.")))
        return false;
    struct span id = span_skip(stored, root.n);
    bool is_one = id.n != 0;
    for (size_t i = 0; i < id.n && is_one; i++)
        is_one = (id.p[i] >= '0' && id.p[i] <= '9') || (id.p[i] >= 'A' && id.p[i] <= 'Z') ||
                 (id.p[i] >= 'a' && id.p[i] <= 'z');
    if (is_one)
        *ret_subject = stored;
    return is_one;
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
static bool find_names(struct span subject, struct span *ret_stream, struct span *ret_consumer)
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
    *ret_consumer = token[is_short ? 3 : 5];
    return ret_stream->n != 0;
}

bool js_subject_stream(struct span subject, struct span *ret_stream)
{
    struct span consumer;
    return find_names(subject, ret_stream, &consumer);
}

/* subject with other names in the place of two of its tokens, which follow each other. */
static enum err replace(struct span subject, struct span stream, struct span consumer,
                        const struct span instead[4], struct buf *out)
{
    size_t before = (size_t)(stream.p - subject.p);
    size_t behind = (size_t)(consumer.p - subject.p) + consumer.n;
    struct span parts[] = {
        span_head(subject, before), instead[0], instead[1], SPAN_LIT("."), instead[2], instead[3],
        span_skip(subject, behind)};
    enum err e = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(parts) && e == ERR_OK; i++)
        e = buf_append(out, parts[i]);
    return e;
}

bool js_reply_map(const struct nats_ns *ns, struct span subject, struct buf *out,
                  enum err *ret_error)
{
    struct span stream, consumer;
    struct buf name = {0};
    if (!find_names(subject, &stream, &consumer) || stream.n > js_names_room(&ns->names))
        return false;
    bool ok = js_consumer_map(ns, consumer, &name, ret_error);
    /* map(N) is a prefix and N. */
    if (ok && *ret_error == ERR_OK)
        *ret_error = replace(
            subject, stream, consumer,
            (struct span[4]){js_names_prefix(&ns->names), stream, buf_span(&name), SPAN_NONE}, out);
    buf_deinit(&name);
    return ok;
}

bool js_reply_strip(const struct nats_ns *ns, struct span stored, struct buf *out,
                    enum err *ret_error)
{
    struct span stream, consumer, name, shown;
    if (!find_names(stored, &stream, &consumer) || !js_names_strip(&ns->names, stream, &name) ||
        !js_consumer_strip(ns, consumer, &shown))
        return false;
    *ret_error = replace(stored, stream, consumer,
                         (struct span[4]){name, SPAN_NONE, shown, SPAN_NONE}, out);
    return true;
}

/* One in each byte of word that is a dot. */
static uint64_t find_dots(uint64_t word)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    word ^= each * '.';
    uint64_t other = ((word & each * 0x7f) + each * 0x7f) | word;
    return ~other >> 7 & each;
}

/* Of 8 to 255 bytes: the sum fits a byte. */
static size_t count_dots(struct span s)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t word, sums = 0;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        memcpy(&word, s.p + i, sizeof word);
        sums += find_dots(word);
    }
    memcpy(&word, s.p + s.n - 8, sizeof word);
    if (i < s.n) /* not again those that were counted */
        sums += find_dots(le64toh(word) >> 8 * (i + 8 - s.n));
    return (size_t)(sums * each >> 56);
}

bool js_reply_is_own_ack(const struct nats_ns *ns, struct span stored)
{
    enum { BYTES_MAX = 255, DOTS = 8 }; /* longer ones are rare; find_names: nine tokens */
    struct span head = SPAN_LIT("$JS.ACK."), prefix = js_names_prefix(&ns->names);
    struct span name = span_skip(stored, JS_ACK_NAME_AT + prefix.n);
    if (name.n == 0 || stored.n > BYTES_MAX || ns->reader != NULL ||
        memcmp(stored.p, head.p, JS_ACK_NAME_AT) != 0 ||
        memcmp(stored.p + JS_ACK_NAME_AT, prefix.p, prefix.n) != 0 || name.p[0] == '.')
        return false;
    const uint8_t *dot = memchr(name.p, '.', name.n);
    if (dot == NULL || span_has_prefix(span_skip(name, (size_t)(dot - name.p) + 1), JS_READER))
        return false;
    return count_dots(stored) == DOTS;
}

/* ---- a descendant's streams ---- */

bool js_consumer_map(const struct nats_ns *ns, struct span name, struct buf *out,
                     enum err *ret_error)
{
    bool is_reserved = ns->reader == NULL && span_has_prefix(name, JS_READER);
    if (is_reserved)
        *ret_error = ERR_FOREIGN;
    else
        *ret_error = ns->reader == NULL ? buf_append(out, name)
                                        : js_names_map_consumer(&ns->reader->names, name, out);
    return *ret_error != ERR_FOREIGN && *ret_error != ERR_LIMIT;
}

bool js_consumer_strip(const struct nats_ns *ns, struct span stored, struct span *ret_name)
{
    if (ns->reader != NULL)
        return js_names_strip_consumer(&ns->reader->names, stored, ret_name);
    if (span_has_prefix(stored, JS_READER))
        return false;
    *ret_name = stored;
    return true;
}

bool js_stream_is_listed(const struct nats_ns *ns, struct span name)
{
    for (unsigned i = 0; i < ns->stream_patterns; i++)
        if (subject_pattern_matches(ns->streams[i], name))
            return true;
    return false;
}

bool js_shown_stream(const struct nats_ns *ns, struct span stored, struct span *ret_name)
{
    if (js_names_strip(&ns->names, stored, ret_name))
        return true;
    struct span name;
    if (ns->stream_patterns == 0 || !js_names_strip_below(&ns->names, stored, &name) ||
        !js_stream_is_listed(ns, name))
        return false;
    *ret_name = name;
    return true;
}

bool js_shown_subject(const struct nats_ns *ns, struct span stored, struct span *ret_subject)
{
    char class;
    return js_subject_strip(ns, stored, ret_subject) ||
           subject_map_strip_below(&ns->map, stored, &class, ret_subject);
}

bool js_shown_reply(const struct nats_ns *ns, struct span stored, struct buf *out,
                    enum err *ret_error)
{
    struct span stream, consumer, name, shown;
    if (js_reply_strip(ns, stored, out, ret_error))
        return true;
    if (ns->stream_patterns == 0 || !find_names(stored, &stream, &consumer) ||
        !js_shown_stream(ns, stream, &name) ||
        !js_names_strip_consumer(&ns->names, consumer, &shown))
        return false;
    *ret_error = replace(stored, stream, consumer,
                         (struct span[4]){name, SPAN_NONE, shown, SPAN_NONE}, out);
    return true;
}

enum err js_subject_below(const struct nats_ns *ns, struct span pattern, struct buf *out)
{
    size_t at = buf_len(out);
    enum err e = buf_append(out, span_of(ns->map.below.text, ns->map.below.n));
    if (e == ERR_OK)
        out->data[out->head + at + ns->map.class_at] = '*';
    return e == ERR_OK ? buf_append(out, pattern) : e;
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
