/* SPDX-License-Identifier: Apache-2.0 */
#include "io/h2_request.h"

#include <nghttp2/nghttp2.h>

#include "base/attr.h"

enum { SEEN_METHOD = 1, SEEN_PATH = 2, SEEN_SCHEME = 4, SEEN_AUTHORITY = 8 };

static unsigned pseudo_bit(struct span name)
{
    if (span_eq(name, SPAN_LIT(":method")))
        return SEEN_METHOD;
    if (span_eq(name, SPAN_LIT(":path")))
        return SEEN_PATH;
    if (span_eq(name, SPAN_LIT(":scheme")))
        return SEEN_SCHEME;
    return span_eq(name, SPAN_LIT(":authority")) ? SEEN_AUTHORITY : 0;
}

/* Fields about one HTTP/1 connection (RFC 9113 8.2.2). */
static bool is_connection_specific(struct span name, struct span value)
{
    static const struct span names[] = {
        {(const uint8_t *)"upgrade", 7},
        {(const uint8_t *)"connection", 10},
        {(const uint8_t *)"keep-alive", 10},
        {(const uint8_t *)"proxy-connection", 16},
        {(const uint8_t *)"transfer-encoding", 17},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (span_eq(name, names[i]))
            return true;
    return span_eq(name, SPAN_LIT("te")) && !span_eq(value, SPAN_LIT("trailers"));
}

/* RFC 9110 8.6: digits; said twice it must be the same. */
static bool read_length(struct h2_request *r, struct span value)
{
    uint64_t n = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9' || n > UINT32_MAX)
            return false;
        n = 10 * n + (uint64_t)(value.p[i] - '0');
    }
    bool is_same = !r->has_length || r->length == n;
    r->has_length = true;
    r->length = n;
    return is_same && value.n != 0;
}

void h2_request_field(struct h2_request *r, struct span name, struct span value)
{
    if (name.n != 0 && name.p[0] == ':') {
        unsigned bit = pseudo_bit(name);
        r->is_bad |= r->has_regular || bit == 0 || (r->seen & bit) != 0 || value.n == 0;
        r->seen |= bit;
        return;
    }
    r->has_regular = true;
    r->is_bad |= !nghttp2_check_header_name(name.p, name.n) ||
                 !nghttp2_check_header_value(value.p, value.n) ||
                 is_connection_specific(name, value) ||
                 (span_eq(name, SPAN_LIT("content-length")) && !read_length(r, value));
}

bool h2_request_is_good(const struct h2_request *r)
{
    const unsigned needed = SEEN_METHOD | SEEN_PATH | SEEN_SCHEME;
    return !r->is_bad && (r->seen & needed) == needed;
}

bool h2_request_is_good_trailer(const struct h2_request *r)
{
    return !r->is_bad && r->seen == 0;
}
