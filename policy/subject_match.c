/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subject_match - what a subject, a filter and a pattern are, and which of them meet.
 *
 * Source: nats-server 2.9 sublist.go IsValidSubject (its blanks: space, tab, CR, LF, form feed);
 * patterns: design.md 5.2. No memory, no recursion: a token with '*' inside or <hex> is run as a
 * set of states in one 64-bit word, a bounded cost per byte whatever the pattern.
 */
#include "policy/subject_map.h"

enum byte_class { ORDINARY, DOT, WILD, ILLEGAL };

static const uint8_t byte_class[256] = {
    ['\0'] = ILLEGAL, ['\t'] = ILLEGAL, ['\n'] = ILLEGAL, ['\f'] = ILLEGAL, ['\r'] = ILLEGAL,
    [' '] = ILLEGAL,  ['.'] = DOT,      ['*'] = WILD,     ['>'] = WILD,
};

bool subject_is_valid(struct span s)
{
    size_t token = 0; /* where the current one starts */
    for (size_t i = 0; i < s.n; i++) {
        uint8_t class = byte_class[s.p[i]];
        if (class == ILLEGAL || (class == DOT && i == token))
            return false;
        if (class == DOT)
            token = i + 1;
    }
    return token < s.n;
}

/* Hot: once for each published message. */
bool subject_is_literal(struct span s)
{
    size_t token = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t class = byte_class[s.p[i]];
        if (class == ORDINARY)
            continue;
        if (class == DOT) {
            if (i == token)
                return false;
            token = i + 1;
        } else if (class == ILLEGAL || (i == token && (i + 1 == s.n || s.p[i + 1] == '.'))) {
            return false;
        }
    }
    return token < s.n;
}

bool subject_is_sys(struct span s)
{
    return span_has_prefix(s, SPAN_LIT("$SYS")) && (s.n == 4 || s.p[4] == '.');
}

/* Cuts the first token off *rest. False if there is none left. */
static bool next_token(struct span *rest, struct span *ret_token)
{
    if (rest->n == 0)
        return false;
    const uint8_t *dot = memchr(rest->p, '.', rest->n);
    size_t n = dot == NULL ? rest->n : (size_t)(dot - rest->p);
    *ret_token = span_head(*rest, n);
    *rest = span_skip(*rest, dot == NULL ? n : n + 1);
    return true;
}

static bool token_is(struct span token, char c)
{
    return token.n == 1 && token.p[0] == (uint8_t)c;
}

bool subject_is_valid_filter(struct span s)
{
    if (!subject_is_valid(s))
        return false;
    for (struct span token; next_token(&s, &token);)
        if (token_is(token, '>') && s.n != 0)
            return false;
    return true;
}

/*
 * A pattern token, taken apart: one state an element, state `n` = all matched.
 *
 *   "*-<hex>":   any*  '-'  hex hex hex hex hex hex hex hex  hex? hex? hex? hex? hex? hex? hex?
 * hex?
 */
enum { GLOB_STATES_MAX = 63, HEX_MIN = 8, HEX_MAX = 16 };

struct glob {
    unsigned n;
    uint64_t any;      /* '*': stays on every byte, may be skipped */
    uint64_t hex;      /* a hexadecimal digit */
    uint64_t optional; /* may be skipped */
    uint8_t byte[GLOB_STATES_MAX];
};

/* False: too many elements, or a '<' or '>' that is no part of "<hex>". */
static bool glob_parse(struct span token, struct glob *ret_glob)
{
    struct glob g = {0};
    while (token.n != 0) {
        bool hex = span_has_prefix(token, SPAN_LIT("<hex>"));
        unsigned states = hex ? HEX_MAX : 1;
        if (states > GLOB_STATES_MAX - g.n || (!hex && (token.p[0] == '<' || token.p[0] == '>')))
            return false;
        uint64_t all = ((UINT64_C(1) << states) - 1) << g.n;
        if (hex) {
            g.hex |= all;
            g.optional |= all & (all << HEX_MIN);
        } else if (token.p[0] == '*') {
            g.any |= all;
            g.optional |= all;
        }
        g.byte[g.n] = token.p[0];
        g.n += states;
        token = span_skip(token, hex ? 5 : 1);
    }
    *ret_glob = g;
    return true;
}

static uint64_t glob_skip(const struct glob *g, uint64_t states)
{
    for (uint64_t before = 0; before != states;) {
        before = states;
        states |= (states & g->optional) << 1;
    }
    return states;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool glob_matches(const struct glob *g, struct span text)
{
    uint64_t states = glob_skip(g, 1);
    for (size_t i = 0; i < text.n && states != 0; i++) {
        uint64_t next = states & g->any;
        if (is_hex(text.p[i]))
            next |= (states & g->hex) << 1;
        uint64_t literal = states & ~(g->any | g->hex) & ((UINT64_C(1) << g->n) - 1);
        for (; literal != 0; literal &= literal - 1) {
            unsigned s = (unsigned)__builtin_ctzll(literal);
            if (g->byte[s] == text.p[i])
                next |= UINT64_C(2) << s;
        }
        states = glob_skip(g, next);
    }
    return (states >> g->n & 1) != 0;
}

static bool is_glob(struct span token)
{
    return memchr(token.p, '*', token.n) != NULL || memchr(token.p, '<', token.n) != NULL;
}

/* What "<hex>" at the end of a pattern's token needs at least: most subjects are told apart here.
 */
static bool ends_in_hex(struct span token)
{
    bool hex = token.n >= HEX_MIN;
    for (size_t i = 0; i < HEX_MIN && hex; i++)
        hex = is_hex(token.p[token.n - 1 - i]);
    return hex;
}

static bool wants_hex_end(struct span pattern)
{
    return pattern.n >= 5 && memcmp(pattern.p + pattern.n - 5, "<hex>", 5) == 0;
}

/* One token of a valid pattern against one literal token; not for ">". */
static bool token_matches(struct span pattern, struct span token)
{
    if (token_is(pattern, '*'))
        return true;
    if (!is_glob(pattern))
        return span_eq(pattern, token);
    if (wants_hex_end(pattern) && !ends_in_hex(token))
        return false;
    struct glob g;
    return glob_parse(pattern, &g) && glob_matches(&g, token);
}

bool subject_pattern_is_valid(struct span pattern)
{
    if (pattern.n > SUBJECT_PATTERN_BYTES_MAX || !subject_is_valid_filter(pattern))
        return false;
    for (struct span token; next_token(&pattern, &token);) {
        struct glob g;
        bool whole = token_is(token, '*') || token_is(token, '>');
        bool special = is_glob(token) || memchr(token.p, '>', token.n) != NULL;
        if (!whole && special && !glob_parse(token, &g))
            return false;
    }
    return true;
}

/* Tells most subjects from most patterns by their ends: a publisher of ever new subjects pays for
 * this and no more. */
static bool may_match(struct span pattern, struct span subject)
{
    uint8_t first = pattern.p[0];
    bool is_literal = first != '*' && first != '<' && first != '>';
    return (!is_literal || first == subject.p[0]) &&
           (!wants_hex_end(pattern) || ends_in_hex(subject));
}

bool subject_pattern_matches(struct span pattern, struct span subject)
{
    struct span p, s;
    if (!may_match(pattern, subject))
        return false;
    while (next_token(&pattern, &p)) {
        if (!next_token(&subject, &s))
            return false;
        if (token_is(p, '>'))
            return true;
        if (!token_matches(p, s))
            return false;
    }
    return subject.n == 0;
}

/*
 * Tokens are independent of each other and each pattern token matches something, so two patterns
 * meet if they do so token by token. A filter's token is literal, "*" or ">": this is exact.
 */
bool subject_pattern_overlaps(struct span pattern, struct span filter)
{
    struct span p, f;
    while (next_token(&pattern, &p)) {
        if (!next_token(&filter, &f))
            return false;
        if (token_is(p, '>') || token_is(f, '>'))
            return true;
        if (!token_is(f, '*') && !token_matches(p, f))
            return false;
    }
    return filter.n == 0;
}

static bool takes_any_token(struct span pattern)
{
    for (size_t i = 0; i < pattern.n; i++)
        if (pattern.p[i] != '*')
            return false;
    return true;
}

/* Token by token again: a filter's "*" is inside only of what takes every token. */
bool subject_pattern_covers(struct span pattern, struct span filter)
{
    struct span p, f;
    while (next_token(&pattern, &p)) {
        if (!next_token(&filter, &f))
            return false;
        if (token_is(p, '>'))
            return true;
        if (token_is(f, '>') || (token_is(f, '*') && !takes_any_token(p)))
            return false;
        if (!token_is(f, '*') && !token_matches(p, f))
            return false;
    }
    return filter.n == 0;
}
