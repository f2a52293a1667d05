/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry_entry - the JSON of a registry entry, {"created":"…","tag":"0a1b2c"}.
 *
 * Read by a scanner for exactly this: one object, members in any order, unknown ones skipped
 * whatever they hold, "tag" there once, as a string of six lower-case hexadecimal digits.
 */
#include <time.h>

#include "etcd/registry.h"
#include "policy/lease_tag.h"

enum { TAG_DIGITS = 6 };

enum err registry_write_entry(uint64_t created_ms, uint32_t tag, struct buf *out)
{
    time_t seconds = (time_t)(created_ms / 1000);
    struct tm utc;
    char created[sizeof "2026-08-20T12:34:56Z" + 16];
    if (gmtime_r(&seconds, &utc) == NULL ||
        strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        return ERR_CONFIG;
    return buf_printf(out, "{\"created\":\"%s\",\"tag\":\"%06x\"}", created, (unsigned)tag);
}

static void skip_blanks(struct span *s)
{
    while (s->n != 0 && (s->p[0] == ' ' || s->p[0] == '\t' || s->p[0] == '\n' || s->p[0] == '\r'))
        *s = span_skip(*s, 1);
}

static bool take(struct span *s, char c)
{
    skip_blanks(s);
    if (s->n == 0 || s->p[0] != (uint8_t)c)
        return false;
    *s = span_skip(*s, 1);
    return true;
}

/* A string; *ret_text is what stands between the quotes, escapes as written. */
static bool take_string(struct span *s, struct span *ret_text)
{
    if (!take(s, '"'))
        return false;
    for (size_t i = 0; i < s->n; i++) {
        if (s->p[i] == '\\') {
            i++;
        } else if (s->p[i] == '"') {
            *ret_text = span_head(*s, i);
            *s = span_skip(*s, i + 1);
            return true;
        }
    }
    return false;
}

/* Any value, up to the ',' or '}' that ends it. */
static bool skip_value(struct span *s)
{
    struct span text;
    size_t depth = 0;
    size_t before = s->n;
    for (skip_blanks(s); s->n != 0; skip_blanks(s)) {
        uint8_t c = s->p[0];
        if (c == '"') {
            if (!take_string(s, &text))
                return false;
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}'))
            return s->n != before;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth-- == 0)
            return false;
        *s = span_skip(*s, 1);
    }
    return false;
}

static bool parse_tag(struct span text, uint32_t *ret_tag)
{
    uint32_t tag = 0;
    if (text.n != TAG_DIGITS)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c >= '0' && c <= '9')
            tag = tag << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            tag = tag << 4 | (uint32_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret_tag = tag;
    return true;
}

enum err registry_parse_entry(struct span value, uint32_t *ret_tag)
{
    uint32_t tag = 0;
    unsigned tags = 0;
    if (!take(&value, '{'))
        return ERR_CONFIG;
    do {
        struct span name, text;
        if (!take_string(&value, &name) || !take(&value, ':'))
            return ERR_CONFIG;
        if (!span_eq(name, SPAN_LIT("tag"))) {
            if (!skip_value(&value))
                return ERR_CONFIG;
            continue;
        }
        if (!take_string(&value, &text) || !parse_tag(text, &tag))
            return ERR_CONFIG;
        tags++;
    } while (take(&value, ','));
    if (!take(&value, '}'))
        return ERR_CONFIG;
    skip_blanks(&value);
    if (value.n != 0 || tags != 1)
        return ERR_CONFIG;
    *ret_tag = tag;
    return ERR_OK;
}
