/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http1.c - bytes are judged one by one as they arrive, lines when they end, the head as a whole at
 * its empty line.
 */
#include "wire/http1.h"

#include <stdio.h>
#include <strings.h>

#include "limit.h"

static enum http1_verdict refuse(struct http1_parser *p, int status, const char *why)
{
    p->refused_status = status;
    p->refused_why = why;
    return HTTP1_REFUSED;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* RFC 9110 5.6.2 tchar */
static bool is_token_byte(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is_token_byte(s.p[i]))
            return false;
    return s.n != 0;
}

static bool equal_nocase(struct span s, const char *text)
{
    return s.n == strlen(text) && strncasecmp((const char *)s.p, text, s.n) == 0;
}

static struct span trim_blanks(struct span s)
{
    while (s.n != 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = span_skip(s, 1);
    while (s.n != 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Cuts s at the first c; *ret_rest is what follows it. False if there is no c. */
static bool cut(struct span s, uint8_t c, struct span *ret_before, struct span *ret_rest)
{
    const uint8_t *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);
    if (at == NULL)
        return false;
    size_t n = (size_t)(at - s.p);
    *ret_before = span_head(s, n);
    *ret_rest = span_skip(s, n + 1);
    return true;
}

static enum http1_verdict version(struct http1_parser *p, struct span v)
{
    bool known_form = v.n == 8 && memcmp(v.p, "HTTP/", 5) == 0 && is_digit(v.p[5]) &&
                      v.p[6] == '.' && is_digit(v.p[7]);
    if (!known_form)
        return refuse(p, 400, "the request line does not end in an HTTP version");
    if (v.p[5] != '1' || v.p[7] > '1')
        return refuse(p, 505, "this port speaks HTTP/1.0 and HTTP/1.1");
    p->minor = (unsigned)(v.p[7] - '0');
    return HTTP1_MORE;
}

/* RFC 9112 3: method SP request-target SP HTTP-version. Only the origin form of a target is taken:
 * nobody uses this port as a proxy. */
static enum http1_verdict request_line(struct http1_parser *p, struct span line)
{
    struct span method, target, rest;
    if (!cut(line, ' ', &method, &rest) || !is_token(method))
        return refuse(p, 400, "the request line does not begin with a method");
    if (!cut(rest, ' ', &target, &rest))
        return refuse(p, 400, "the request line has no HTTP version");
    enum http1_verdict verdict = version(p, rest);
    if (verdict != HTTP1_MORE)
        return verdict;
    if (target.n == 0 || target.p[0] != '/')
        return refuse(p, 400, "the request target is not a path that begins with /");
    for (size_t i = 0; i < target.n; i++)
        if (target.p[i] <= ' ' || target.p[i] >= 0x7f || target.p[i] == '#')
            return refuse(p, 400, "the request target holds a byte that no URL may hold");
    p->method = HTTP1_OTHER;
    if (span_eq(method, SPAN_LIT("GET")))
        p->method = HTTP1_GET;
    else if (span_eq(method, SPAN_LIT("HEAD")))
        p->method = HTTP1_HEAD;
    else if (span_eq(method, SPAN_LIT("POST")))
        p->method = HTTP1_POST;
    p->target_start = p->line_start + method.n + 1;
    p->target_end = p->target_start + target.n;
    p->has_request_line = true;
    return HTTP1_MORE;
}

static enum http1_verdict content_length(struct http1_parser *p, struct span value)
{
    if (p->has_length)
        return refuse(p, 400, "there is more than one Content-Length");
    if (value.n == 0)
        return refuse(p, 400, "Content-Length is not a number");
    for (size_t i = 0; i < value.n; i++) {
        if (!is_digit(value.p[i]))
            return refuse(p, 400, "Content-Length is not a number");
        p->has_body = p->has_body || value.p[i] != '0';
        size_t digit = (size_t)(value.p[i] - '0');
        p->body_bytes = p->body_bytes > (SIZE_MAX - digit) / 10 ? SIZE_MAX
                                                                : p->body_bytes * 10 + digit;
    }
    p->has_length = true;
    return HTTP1_MORE;
}

static enum http1_verdict host(struct http1_parser *p, struct span value)
{
    if (p->has_host)
        return refuse(p, 400, "there is more than one Host");
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] <= ' ' || value.p[i] >= 0x7f || strchr("/?#@\\,", value.p[i]) != NULL)
            return refuse(p, 400, "Host is not a host name with an optional port");
    p->has_host = true;
    return HTTP1_MORE;
}

static enum http1_verdict connection(struct http1_parser *p, struct span value)
{
    struct span option, rest = value;
    while (rest.n != 0) {
        if (!cut(rest, ',', &option, &rest)) {
            option = rest;
            rest = SPAN_NONE;
        }
        option = trim_blanks(option);
        if (option.n != 0 && !is_token(option))
            return refuse(p, 400, "Connection is not a list of words");
        p->close = p->close || equal_nocase(option, "close");
        p->keep_alive = p->keep_alive || equal_nocase(option, "keep-alive");
    }
    return HTTP1_MORE;
}

/* Headers that only say something about a body. */
static enum http1_verdict body_header(struct http1_parser *p, struct span name, struct span value,
                                      size_t value_at)
{
    if (equal_nocase(name, "expect")) {
        p->expects_continue = equal_nocase(value, "100-continue");
        return p->expects_continue ? HTTP1_MORE
                                   : refuse(p, 417, "only 100-continue can be expected");
    }
    if (equal_nocase(name, "transfer-encoding")) {
        if (p->has_coding || !equal_nocase(value, "chunked"))
            return refuse(p, 501, "the only Transfer-Encoding of this port is chunked");
        p->has_coding = true;
    } else if (equal_nocase(name, "content-encoding")) {
        p->is_encoded = p->is_encoded || !equal_nocase(value, "identity");
    } else if (equal_nocase(name, "content-type")) {
        if (p->type_end != 0)
            return refuse(p, 400, "there is more than one Content-Type");
        p->type_start = value_at;
        p->type_end = value_at + value.n;
    }
    return HTTP1_MORE;
}

static enum http1_verdict header_line(struct http1_parser *p, struct span line)
{
    struct span name, value;
    if (line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(p, 400, "a header line is folded");
    if (!cut(line, ':', &name, &value))
        return refuse(p, 400, "a header line has no colon");
    if (!is_token(name))
        return refuse(p, 400, "a header's name holds a byte that no name may hold");
    value = trim_blanks(value);
    size_t value_at = p->line_start + (size_t)(value.p - line.p);
    if (equal_nocase(name, "content-length"))
        return content_length(p, value);
    if (equal_nocase(name, "host"))
        return host(p, value);
    if (equal_nocase(name, "connection"))
        return connection(p, value);
    if (p->takes_body)
        return body_header(p, name, value, value_at);
    if (equal_nocase(name, "expect"))
        return refuse(p, 417, "nothing can be expected of this port: leave out Expect");
    p->has_coding = p->has_coding || equal_nocase(name, "transfer-encoding");
    return HTTP1_MORE;
}

static enum http1_verdict head_ended(struct http1_parser *p, struct span in,
                                     struct http1_request *ret_request)
{
    /* RFC 9112 6.1: a coding next to a length, or in HTTP/1.0, is the shape of an attack. */
    if (p->has_coding && (p->has_length || p->minor == 0))
        return refuse(p, 400, "Transfer-Encoding stands where it may not stand");
    if (p->has_coding && !p->takes_body)
        return refuse(p, 501, "this port takes no body: leave out Transfer-Encoding");
    if (p->minor == 1 && !p->has_host)
        return refuse(p, 400, "there is no Host");
    struct span target = span_of(in.p + p->target_start, p->target_end - p->target_start);
    struct http1_request request = {
        .method = p->method,
        .path = target,
        .query = SPAN_NONE,
        .head_bytes = p->scanned,
        .keep_alive = !p->close && (!p->has_body || p->takes_body) &&
                      (p->minor == 1 || p->keep_alive),
        .has_length = p->has_length,
        .is_chunked = p->has_coding,
        .body_bytes = p->body_bytes,
        .expects_continue = p->expects_continue && p->minor == 1,
        .is_encoded = p->is_encoded,
        .content_type = span_of(in.p + p->type_start, p->type_end - p->type_start),
    };
    (void)cut(target, '?', &request.path, &request.query);
    *ret_request = request;
    return HTTP1_DONE;
}

static enum http1_verdict too_long(struct http1_parser *p)
{
    return p->has_request_line ? refuse(p, 431, "the request's head is longer than 8 KiB")
                               : refuse(p, 414, "the request line is longer than 8 KiB");
}

/* Bytes that are wrong wherever they stand are refused before their line ends, so that a peer that
 * speaks another protocol is told at once. */
static enum http1_verdict judge_byte(struct http1_parser *p, struct span in, size_t at)
{
    uint8_t c = in.p[at];
    if (at == 0 && !is_token_byte(c))
        return refuse(p, 400, "these bytes are not an HTTP request");
    if (at > p->line_start && in.p[at - 1] == '\r' && c != '\n')
        return refuse(p, 400, "a CR is not followed by a LF");
    if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
        return refuse(p, 400, "there is a control character in the request's head");
    if (c == '\n' && (at == p->line_start || in.p[at - 1] != '\r'))
        return refuse(p, 400, "a LF does not follow a CR");
    return HTTP1_MORE;
}

enum http1_verdict http1_feed(struct http1_parser *p, struct span in,
                              struct http1_request *ret_request)
{
    while (p->scanned < in.n) {
        size_t at = p->scanned++;
        if (at == LIMIT_HTTP1_HEAD_BYTES)
            return too_long(p);
        enum http1_verdict verdict = judge_byte(p, in, at);
        if (verdict != HTTP1_MORE)
            return verdict;
        if (in.p[at] != '\n')
            continue;
        struct span line = span_of(in.p + p->line_start, at - 1 - p->line_start);
        if (!p->has_request_line)
            verdict = request_line(p, line);
        else if (line.n == 0)
            verdict = head_ended(p, in, ret_request);
        else
            verdict = header_line(p, line);
        if (verdict != HTTP1_MORE)
            return verdict;
        p->line_start = at + 1;
    }
    return HTTP1_MORE;
}

static const char *phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 202:
        return "Accepted";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return ""; /* RFC 9112 4: the phrase may be empty */
    }
}

enum err http1_write(struct buf *out, const struct http1_response *r)
{
    size_t before = buf_len(out);
    const char *allow = r->allow == NULL ? "GET, HEAD" : r->allow;
    enum err e = buf_printf(out,
                            "HTTP/1.1 %d %s\r\n"
                            "Content-Type: %s\r\n"
                            "Content-Length: %zu\r\n"
                            "Cache-Control: no-store\r\n"
                            "%s%s%s"
                            "Connection: %s\r\n"
                            "\r\n",
                            r->status, phrase(r->status),
                            r->content_type == NULL ? "text/plain; charset=utf-8" : r->content_type,
                            r->body.n, r->status == 405 ? "Allow: " : "",
                            r->status == 405 ? allow : "", r->status == 405 ? "\r\n" : "",
                            r->keep_alive ? "keep-alive" : "close");
    if (e == ERR_OK && !r->head_only)
        e = buf_append(out, r->body);
    if (e != ERR_OK)
        buf_truncate(out, before);
    return e;
}

enum err http1_refusal(struct buf *out, const struct http1_parser *p)
{
    char text[160];
    int n = snprintf(text, sizeof text, "%s\n", p->refused_why);
    struct http1_response r = {.status = p->refused_status, .body = span_of(text, (size_t)n)};
    return http1_write(out, &r);
}
