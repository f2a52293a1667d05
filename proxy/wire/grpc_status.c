/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/grpc_status.h"

enum { TIMEOUT_DIGITS = 8, STATUS_DIGITS = 3 };

enum err grpc_message_encode(struct span text, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    if (text.n > SIZE_MAX / 3)
        return ERR_NOMEM;
    enum err e = buf_reserve(out, 3 * text.n);
    if (e != ERR_OK)
        return e;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t byte = text.p[i];
        if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
            out->data[out->tail++] = byte;
            continue;
        }
        out->data[out->tail++] = '%';
        out->data[out->tail++] = (uint8_t)hex[byte >> 4];
        out->data[out->tail++] = (uint8_t)hex[byte & 15];
    }
    return ERR_OK;
}

static bool parse_digits(struct span text, size_t max, uint64_t *ret_v)
{
    if (text.n == 0 || text.n > max)
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.p[i] - '0');
    }
    *ret_v = v;
    return true;
}

bool grpc_status_parse(struct span text, int *ret_status)
{
    uint64_t v;
    if (!parse_digits(text, STATUS_DIGITS, &v) || (text.n > 1 && text.p[0] == '0'))
        return false;
    *ret_status = (int)v;
    return true;
}

bool grpc_timeout_parse(struct span text, uint64_t *ret_ms)
{
    uint64_t v;
    if (text.n < 2 || !parse_digits(span_head(text, text.n - 1), TIMEOUT_DIGITS, &v))
        return false;
    switch (text.p[text.n - 1]) {
    case 'H':
        *ret_ms = v * 3600 * 1000;
        return true;
    case 'M':
        *ret_ms = v * 60 * 1000;
        return true;
    case 'S':
        *ret_ms = v * 1000;
        return true;
    case 'm':
        *ret_ms = v;
        return true;
    case 'u':
        *ret_ms = (v + 999) / 1000;
        return true;
    case 'n':
        *ret_ms = (v + 999999) / 1000000;
        return true;
    default:
        return false;
    }
}

size_t grpc_timeout_print(uint64_t ms, char out[GRPC_TIMEOUT_BYTES])
{
    static const uint64_t most = 99999999;
    char unit = 'm';
    uint64_t v = ms;
    if (v > most) {
        unit = 'S';
        v = v / 1000 + (v % 1000 != 0);
    }
    if (v > most)
        v = most;
    char digits[TIMEOUT_DIGITS];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    out[n] = unit;
    out[n + 1] = '\0';
    return n + 1;
}
