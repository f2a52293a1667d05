/* SPDX-License-Identifier: Apache-2.0 */
/* json_text - decode, encode; then base64. */
#include "wire/json_text.h"

/* Four hexadecimal digits, known to be that. */
static unsigned read_hex4(const uint8_t *p)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = p[i];
        code = code * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return code;
}

static size_t put_utf8(unsigned code, uint8_t *out)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

static bool is_high(unsigned code)
{
    return code >= 0xd800 && code < 0xdc00;
}

static bool is_low(unsigned code)
{
    return code >= 0xdc00 && code < 0xe000;
}

/* p stands behind "\u"; returns the byte behind the escape, or behind the pair of escapes. */
static const uint8_t *decode_unicode(const uint8_t *p, const uint8_t *end, unsigned *ret_code)
{
    unsigned code = read_hex4(p);
    p += 4;
    if (is_high(code) && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && is_low(read_hex4(p + 2))) {
        *ret_code = 0x10000 + ((code - 0xd800) << 10) + (read_hex4(p + 2) - 0xdc00);
        return p + 6;
    }
    *ret_code = is_high(code) || is_low(code) ? 0xfffd : code;
    return p;
}

/* What stands behind a backslash, other than u, means. */
static uint8_t decode_short(uint8_t c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

enum err json_text_decode(struct span value, struct buf *out)
{
    if (!json_is_string(value))
        return ERR_SYNTAX;
    /* Decoding never makes a text longer. */
    enum err e = buf_reserve(out, value.n);
    const uint8_t *p = value.p + 1;
    const uint8_t *end = value.p + value.n - 1;
    while (p < end && e == ERR_OK) {
        const uint8_t *stop = memchr(p, '\\', (size_t)(end - p));
        size_t plain = stop == NULL ? (size_t)(end - p) : (size_t)(stop - p);
        e = buf_append(out, span_of(p, plain));
        p += plain;
        if (e != ERR_OK || p == end)
            break;
        uint8_t text[4] = {decode_short(p[1])};
        size_t n = 1;
        if (p[1] == 'u') {
            unsigned code;
            p = decode_unicode(p + 2, end, &code);
            n = put_utf8(code, text);
        } else {
            p += 2;
        }
        e = buf_append(out, span_of(text, n));
    }
    return e;
}

enum err json_text_append(struct buf *out, struct span text)
{
    enum err e = buf_reserve(out, text.n + 2);
    if (e == ERR_OK)
        e = buf_append_byte(out, '"');
    for (size_t i = 0; i < text.n && e == ERR_OK; i++) {
        uint8_t c = text.p[i];
        if (c == '"' || c == '\\')
            e = buf_printf(out, "\\%c", c);
        else if (c < 0x20)
            e = buf_printf(out, "\\u%04x", c);
        else
            e = buf_append_byte(out, c);
    }
    return e == ERR_OK ? buf_append_byte(out, '"') : e;
}

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int base64_value(uint8_t c)
{
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

enum err base64_decode(struct span text, struct buf *out)
{
    if (text.n % 4 != 0)
        return ERR_SYNTAX;
    enum err e = buf_reserve(out, text.n / 4 * 3);
    for (size_t i = 0; i < text.n && e == ERR_OK; i += 4) {
        const uint8_t *p = text.p + i;
        size_t pad = i + 4 < text.n || p[3] != '=' ? 0 : p[2] == '=' ? 2 : 1;
        uint32_t bits = 0;
        for (size_t k = 0; k < 4 - pad; k++) {
            int v = base64_value(p[k]);
            if (v < 0)
                return ERR_SYNTAX;
            bits |= (uint32_t)v << (18 - 6 * k);
        }
        uint8_t bytes[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8), (uint8_t)bits};
        e = buf_append(out, span_of(bytes, 3 - pad));
    }
    return e;
}

enum err base64_append(struct buf *out, struct span bytes)
{
    enum err e = buf_reserve(out, (bytes.n + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.n && e == ERR_OK; i += 3) {
        size_t n = bytes.n - i < 3 ? bytes.n - i : 3;
        uint32_t bits = 0;
        for (size_t k = 0; k < n; k++)
            bits |= (uint32_t)bytes.p[i + k] << (16 - 8 * k);
        char text[4] = {'=', '=', '=', '='};
        for (size_t k = 0; k <= n; k++)
            text[k] = digits[bits >> (18 - 6 * k) & 63];
        e = buf_append(out, span_of(text, 4));
    }
    return e;
}
