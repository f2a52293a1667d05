/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model - the second, slow and obvious implementation of policy/.
 *
 * The code under test compares prefixes; the model takes stored bytes apart, character by character
 * and token by token, and says whose they are. It shares no function with policy/ but the parser of
 * a namespace's name, which ns_law_test.c holds against model_name_parse(). Law tests and fuzz
 * targets use it; it needs no cmocka.
 */
#ifndef TESTS_LAW_MODEL_H
#define TESTS_LAW_MODEL_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/span.h"

#define MODEL_ROOT SPAN_LIT("bh/")
#define MODEL_B    SPAN_LIT("bh")

/* ---- namespaces ---------------------------------------------------------------------------- */

struct model_name {
    unsigned segments;
    char segment[4][64]; /* NUL-terminated */
};

static inline bool model_is_plain(int c)
{
    return c > 0 && c < 128 &&
           strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", c) != NULL;
}

static inline bool model_segment_is_legal(const char *s, size_t n)
{
    if (n < 1 || n > 63 || s[0] == '.' || s[n - 1] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!model_is_plain((unsigned char)s[i]) && s[i] != '.')
            return false;
    return true;
}

static inline bool model_starts_with_default(struct span s, char sep)
{
    return (s.n == 7 || (s.n > 7 && s.p[7] == (uint8_t)sep)) && memcmp(s.p, "default", 7) == 0;
}

/* Design.md 2.1 and 2.2, rule after rule over the whole text. */
static inline bool model_name_parse(struct span text, char sep, struct model_name *ret_name)
{
    struct model_name name = {0};
    struct span rest = text;
    *ret_name = name;
    if (rest.n == 0)
        return true;
    if (model_starts_with_default(rest, sep)) {
        if (rest.n == 7)
            return true;
        rest = span_of(rest.p + 8, rest.n - 8);
        if (rest.n != 0 && model_starts_with_default(rest, sep))
            return false;
    }
    if (rest.n > 200)
        return false;
    for (size_t from = 0, to = 0; to <= rest.n; to++) {
        if (to != rest.n && rest.p[to] != (uint8_t)sep)
            continue;
        if (name.segments == 4 || !model_segment_is_legal((const char *)rest.p + from, to - from))
            return false;
        memcpy(name.segment[name.segments++], rest.p + from, to - from);
        from = to + 1;
    }
    if (sep == '.') /* cannot happen: '.' separates; the rule is written down all the same */
        for (unsigned i = 0; i < name.segments; i++)
            if (strchr(name.segment[i], '.') != NULL)
                return false;
    *ret_name = name;
    return true;
}

static inline bool model_name_equal(const struct model_name *a, const struct model_name *b)
{
    if (a->segments != b->segments)
        return false;
    for (unsigned i = 0; i < a->segments; i++)
        if (strcmp(a->segment[i], b->segment[i]) != 0)
            return false;
    return true;
}

static inline bool model_name_is_above(const struct model_name *a, const struct model_name *b)
{
    if (a->segments >= b->segments)
        return false;
    for (unsigned i = 0; i < a->segments; i++)
        if (strcmp(a->segment[i], b->segment[i]) != 0)
            return false;
    return true;
}

/* ---- byte strings that are put together piece by piece -------------------------------------- */

struct model_bytes {
    size_t n;
    uint8_t p[2048];
};

static inline struct span model_span(const struct model_bytes *b)
{
    return span_of(b->p, b->n);
}

static inline void model_add(struct model_bytes *b, struct span s)
{
    if (s.n > sizeof b->p - b->n)
        abort();
    if (s.n != 0)
        memcpy(b->p + b->n, s.p, s.n);
    b->n += s.n;
}

static inline void model_set(struct model_bytes *b, struct span s)
{
    b->n = 0;
    model_add(b, s);
}

static inline void model_add_str(struct model_bytes *b, const char *s)
{
    model_add(b, span_str(s));
}

static inline void model_add_enc(struct model_bytes *b, const char *segment)
{
    for (; *segment != '\0'; segment++) {
        char text[4] = {*segment};
        if (!model_is_plain((unsigned char)*segment))
            snprintf(text, sizeof text, "%%%02X", (unsigned)(unsigned char)*segment);
        model_add_str(b, text);
    }
}

/* The inverse of model_add_enc; false unless encoded is its output for a legal segment. */
static inline bool model_read_enc(struct span encoded, char *ret_segment)
{
    char text[64] = "";
    size_t n = 0;
    for (size_t i = 0; i < encoded.n; i++) {
        if (n == 63)
            return false;
        if (encoded.p[i] != '%') {
            text[n++] = (char)encoded.p[i];
            continue;
        }
        char hex[3] = "";
        if (i + 2 >= encoded.n)
            return false;
        memcpy(hex, encoded.p + i + 1, 2);
        if (strspn(hex, "0123456789ABCDEF") != 2)
            return false;
        text[n++] = (char)strtoul(hex, NULL, 16);
        i += 2;
    }
    if (!model_segment_is_legal(text, n))
        return false;
    struct model_bytes again = {0}; /* one spelling only: write it and compare */
    model_add_enc(&again, text);
    if (!span_eq(model_span(&again), encoded))
        return false;
    memcpy(ret_segment, text, n + 1);
    return true;
}

/* ---- etcd keys ------------------------------------------------------------------------------ */

static inline void model_key_write(const struct model_name *name, struct span key,
                                   struct model_bytes *out)
{
    out->n = 0;
    model_add(out, MODEL_ROOT);
    model_add_str(out, "d");
    for (unsigned i = 0; i < name->segments; i++) {
        model_add_str(out, "/");
        model_add_enc(out, name->segment[i]);
    }
    model_add_str(out, ".");
    model_add(out, key);
}

/* Whose stored key is this, and what does its owner call it? False: nobody's. */
static inline bool model_key_read(struct span stored, struct model_name *ret_name,
                                  struct span *ret_key)
{
    struct model_name name = {0};
    size_t i = 0;
    for (; i < MODEL_ROOT.n; i++)
        if (i == stored.n || stored.p[i] != MODEL_ROOT.p[i])
            return false;
    if (i == stored.n || stored.p[i++] != 'd')
        return false;
    while (i < stored.n && stored.p[i] == '/') {
        size_t from = ++i;
        while (i < stored.n && stored.p[i] != '/' && stored.p[i] != '.')
            i++;
        if (name.segments == 4 ||
            !model_read_enc(span_of(stored.p + from, i - from), name.segment[name.segments]))
            return false;
        name.segments++;
    }
    if (i == stored.n || stored.p[i] != '.')
        return false;
    *ret_name = name;
    *ret_key = span_of(stored.p + i + 1, stored.n - i - 1);
    return true;
}

/* etcd rpc.proto RangeRequest: is key in [from, end)? end "" = one key, "\0" = all from `from` on.
 */
static inline bool model_in_range(struct span key, struct span from, struct span end)
{
    if (end.n == 0)
        return span_eq(key, from);
    if (span_cmp(key, from) < 0)
        return false;
    return (end.n == 1 && end.p[0] == 0) || span_cmp(key, end) < 0;
}

/* ---- subjects ------------------------------------------------------------------------------- */

struct model_tokens {
    unsigned n;
    struct span token[256];
};

static inline struct model_tokens model_split(struct span s)
{
    struct model_tokens t = {0};
    for (size_t from = 0, to = 0; to <= s.n; to++)
        if (to == s.n || s.p[to] == '.') {
            if (t.n == 256)
                abort();
            t.token[t.n++] = span_of(s.p + from, to - from);
            from = to + 1;
        }
    return t;
}

static inline bool model_token_is(struct span token, const char *text)
{
    return span_eq(token, span_str(text));
}

static inline bool model_token_is_legal(struct span token)
{
    for (size_t i = 0; i < token.n; i++)
        if (token.p[i] == 0 || strchr(" \t\r\n\f", token.p[i]) != NULL)
            return false;
    return token.n != 0;
}

/* What may be published to (wildcards = false) or subscribed to. */
static inline bool model_subject_is_legal(struct span s, bool wildcards)
{
    struct model_tokens t = model_split(s);
    for (unsigned i = 0; i < t.n; i++) {
        bool star = model_token_is(t.token[i], "*"), rest = model_token_is(t.token[i], ">");
        if (!model_token_is_legal(t.token[i]) || ((star || rest) && !wildcards) ||
            (rest && i + 1 != t.n))
            return false;
    }
    return true;
}

/* Does a pattern's token fit the text? A table over both, from the ends back; <hex> tries each
 * length. ok[i][j]: the pattern from i on fits the text from j on. */
static inline bool model_token_fits(struct span pattern, struct span text)
{
    static uint8_t ok[300][300];
    if (pattern.n >= 300 || text.n >= 300)
        abort();
    for (size_t i = pattern.n + 1; i-- > 0;)
        for (size_t j = text.n + 1; j-- > 0;) {
            bool fits = false;
            if (i == pattern.n) {
                fits = j == text.n;
            } else if (pattern.n - i >= 5 && memcmp(pattern.p + i, "<hex>", 5) == 0) {
                size_t digits = 0;
                while (j + digits < text.n && text.p[j + digits] != 0 &&
                       strchr("0123456789abcdef", text.p[j + digits]) != NULL)
                    digits++;
                for (size_t k = 8; k <= 16 && k <= digits; k++)
                    fits |= ok[i + 5][j + k] != 0;
            } else if (pattern.p[i] == '*') {
                fits = ok[i + 1][j] || (j < text.n && ok[i][j + 1]);
            } else {
                fits = j < text.n && pattern.p[i] == text.p[j] && ok[i + 1][j + 1];
            }
            ok[i][j] = fits;
        }
    return ok[0][0] != 0;
}

/* inner: "*" inside a token and <hex> mean something too (patterns of ours, not filters of NATS).
 */
static inline bool model_subject_matches(struct span pattern, struct span subject, bool inner)
{
    struct model_tokens p = model_split(pattern), s = model_split(subject);
    for (unsigned i = 0; i < p.n; i++) {
        if (model_token_is(p.token[i], ">"))
            return s.n > i;
        if (i == s.n)
            return false;
        if (model_token_is(p.token[i], "*"))
            continue;
        if (inner ? !model_token_fits(p.token[i], s.token[i]) : !span_eq(p.token[i], s.token[i]))
            return false;
    }
    return p.n == s.n;
}

/* Is S a request (class down)? The default of view.requests. */
static inline bool model_is_request(struct span s)
{
    return model_subject_matches(SPAN_LIT("$SRV.>"), s, true) ||
           model_subject_matches(SPAN_LIT("*.*-<hex>"), s, true);
}

static inline void model_subject_write(const struct model_name *name, const char *class,
                                       struct span s, struct model_bytes *out)
{
    out->n = 0;
    model_add(out, MODEL_B);
    model_add_str(out, ".");
    model_add_str(out, class);
    for (unsigned i = 0; i < 4; i++) {
        model_add_str(out, ".");
        if (i < name->segments)
            model_add_enc(out, name->segment[i]);
        else
            model_add_str(out, "~");
    }
    model_add_str(out, ".");
    model_add(out, s);
}

/* Whose stored subject is this, of which class ('e', 'd'), and what do they call it? */
static inline bool model_subject_read(struct span stored, struct model_name *ret_name,
                                      char *ret_class, struct span *ret_s)
{
    struct model_name name = {0};
    struct model_tokens t = model_split(stored);
    if (t.n < 7 || !span_eq(t.token[0], MODEL_B) ||
        (!model_token_is(t.token[1], "e") && !model_token_is(t.token[1], "d")))
        return false;
    for (unsigned i = 0; i < 4; i++) {
        if (model_token_is(t.token[2 + i], "~"))
            continue;
        if (name.segments != i || !model_read_enc(t.token[2 + i], name.segment[i]))
            return false;
        name.segments++;
    }
    const uint8_t *from = t.token[6].p;
    *ret_s = span_of(from, (size_t)(stored.p + stored.n - from));
    if (ret_s->n == 0)
        return false;
    *ret_name = name;
    *ret_class = (char)t.token[1].p[0];
    return true;
}

/* ---- leases: arithmetic instead of bits ----------------------------------------------------- */

struct model_lease {
    bool negative, alias;
    uint32_t tag;
    int64_t payload;
};

static inline struct model_lease model_lease_read(int64_t id)
{
    const int64_t payloads = INT64_C(274877906944); /* 2 to the 38 */
    if (id < 0)
        return (struct model_lease){.negative = true};
    return (struct model_lease){.alias = id / payloads / 16777216 != 0,
                                .tag = (uint32_t)(id / payloads % 16777216),
                                .payload = id % payloads};
}

/* What namespace `tag` calls a stored lease; 0: it is none of its leases. */
static inline int64_t model_lease_strip(uint32_t tag, int64_t stored)
{
    struct model_lease l = model_lease_read(stored);
    if (l.negative || l.tag != tag || l.payload == 0)
        return 0;
    if (l.alias)
        return l.payload < INT64_C(137438953472) ? l.payload : 0;
    return stored >= INT64_C(137438953472) ? stored : 0; /* smaller ones are aliases' names */
}

#endif
