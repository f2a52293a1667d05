/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ns_enc - the one spelling of a segment in stores, both directions.
 *
 * Of the bytes that a legal segment may hold only '.' is ever escaped ("%2E"); the code does not
 * rely on that, so that enc is injective over all byte strings.
 */
#include "policy/ns_enc.h"

#include "base/check.h"

static const char hex_upper[] = "0123456789ABCDEF";

static bool stays(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

size_t ns_enc_segment(struct span segment, char *out)
{
    CHECK(segment.n <= NS_SEGMENT_BYTES_MAX);
    size_t n = 0;
    for (size_t i = 0; i < segment.n; i++) {
        uint8_t c = segment.p[i];
        if (stays(c)) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex_upper[c >> 4];
        out[n++] = hex_upper[c & 15];
    }
    return n;
}

size_t ns_enc_path(const struct ns_path *path, char *out)
{
    size_t n = 0;
    for (unsigned i = 0; i < path->segments; i++) {
        out[n++] = '/';
        n += ns_enc_segment(ns_path_segment(path, i), out + n);
    }
    return n;
}

/* 0..15, or -1: lower case is not what we write. */
static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum err ns_enc_decode(struct span encoded, char *out, size_t *ret_n)
{
    char text[NS_SEGMENT_BYTES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < encoded.n; i++) {
        uint8_t c = encoded.p[i];
        if (n == sizeof text)
            return ERR_FOREIGN;
        if (stays(c)) {
            text[n++] = (char)c;
            continue;
        }
        if (c != '%' || encoded.n - i < 3)
            return ERR_FOREIGN;
        int high = hex_value(encoded.p[i + 1]), low = hex_value(encoded.p[i + 2]);
        if (high < 0 || low < 0 || stays((uint8_t)(high * 16 + low)))
            return ERR_FOREIGN;
        text[n++] = (char)(high * 16 + low);
        i += 2;
    }
    if (!ns_path_segment_is_valid(span_of(text, n)))
        return ERR_FOREIGN;
    memcpy(out, text, n);
    *ret_n = n;
    return ERR_OK;
}
