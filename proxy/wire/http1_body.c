/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http1_body.h"

enum { LINE_BYTES_MAX = 256, TRAILER_BYTES_MAX = 4096, SIZE_DIGITS_MAX = 8 };

static enum http1_verdict refuse(struct http1_body *b, int status, const char *why)
{
    b->refused_status = status;
    b->refused_why = why;
    return HTTP1_REFUSED;
}

enum http1_verdict http1_body_begin(struct http1_body *b, const struct http1_request *request,
                                    size_t max)
{
    *b = (struct http1_body){.state = HTTP1_BODY_CHUNK_SIZE, .max = max};
    if (request->is_chunked)
        return HTTP1_MORE;
    if (!request->has_length)
        return refuse(b, 411, "there is neither Content-Length nor Transfer-Encoding: chunked");
    if (request->body_bytes > max)
        return refuse(b, 413, "the body is longer than this port takes");
    b->state = HTTP1_BODY_SIZED;
    b->left = request->body_bytes;
    return HTTP1_MORE;
}

static enum err take(struct http1_body *b, struct span *in, struct buf *out)
{
    struct span part = span_head(*in, b->left);
    enum err e = buf_append(out, part);
    b->left -= part.n;
    b->taken += part.n;
    *in = span_skip(*in, part.n);
    return e;
}

/* One line of framing; *ret_whole = false: more is needed. Its first bytes are in b->line. */
static enum http1_verdict take_line(struct http1_body *b, struct span *in, bool *ret_whole)
{
    *ret_whole = false;
    while (in->n != 0) {
        uint8_t c = in->p[0];
        *in = span_skip(*in, 1);
        if (b->has_cr != (c == '\n'))
            return refuse(b, 400, "a line between chunks does not end in CR LF");
        if (c == '\n') {
            b->has_cr = false;
            *ret_whole = true;
            return HTTP1_MORE;
        }
        b->has_cr = c == '\r';
        if (b->has_cr)
            continue;
        if ((c < ' ' && c != '\t') || c == 0x7f || ++b->line_bytes > LINE_BYTES_MAX)
            return refuse(b, 400, "a line between chunks is no such line");
        if (b->line_n < sizeof b->line)
            b->line[b->line_n++] = c;
    }
    return HTTP1_MORE;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* chunk-size [ ; extension ] */
static enum http1_verdict chunk_size(struct http1_body *b)
{
    size_t n = 0, size = 0;
    for (; n < b->line_n && hex_digit(b->line[n]) >= 0; n++) {
        if (n == SIZE_DIGITS_MAX)
            return refuse(b, 413, "a chunk is longer than this port takes");
        size = size * 16 + (size_t)hex_digit(b->line[n]);
    }
    if (n == 0 || (n < b->line_n && b->line[n] != ';'))
        return refuse(b, 400, "a chunk's size is not a hexadecimal number");
    if (size > b->max - b->taken)
        return refuse(b, 413, "the body is longer than this port takes");
    b->left = size;
    b->state = size == 0 ? HTTP1_BODY_TRAILERS : HTTP1_BODY_CHUNK_DATA;
    return HTTP1_MORE;
}

/* What a whole line means in the state it ends in. *ret_done: it was the last. */
static enum http1_verdict line_ended(struct http1_body *b, bool *ret_done)
{
    bool is_empty = b->line_bytes == 0;
    enum http1_verdict verdict = HTTP1_MORE;
    *ret_done = false;
    if (b->state == HTTP1_BODY_CHUNK_SIZE) {
        verdict = chunk_size(b);
    } else if (b->state == HTTP1_BODY_CHUNK_END) {
        if (!is_empty)
            return refuse(b, 400, "a chunk is longer than its size says");
        b->state = HTTP1_BODY_CHUNK_SIZE;
    } else {
        *ret_done = is_empty;
        b->trailer_bytes += b->line_bytes;
        if (b->trailer_bytes > TRAILER_BYTES_MAX)
            return refuse(b, 400, "the trailers are longer than 4 KiB");
    }
    b->line_n = b->line_bytes = 0;
    return verdict;
}

enum http1_verdict http1_body_feed(struct http1_body *b, struct span *in, struct buf *out,
                                   enum err *ret_err)
{
    *ret_err = ERR_OK;
    if (b->state == HTTP1_BODY_SIZED) {
        *ret_err = take(b, in, out);
        if (*ret_err != ERR_OK)
            return HTTP1_REFUSED;
        return b->left == 0 ? HTTP1_DONE : HTTP1_MORE;
    }
    while (in->n != 0) {
        bool whole = false, done = false;
        if (b->state == HTTP1_BODY_CHUNK_DATA) {
            *ret_err = take(b, in, out);
            if (*ret_err != ERR_OK)
                return HTTP1_REFUSED;
            if (b->left == 0)
                b->state = HTTP1_BODY_CHUNK_END;
            continue;
        }
        enum http1_verdict verdict = take_line(b, in, &whole);
        if (verdict == HTTP1_MORE && whole)
            verdict = line_ended(b, &done);
        if (verdict != HTTP1_MORE)
            return verdict;
        if (done)
            return HTTP1_DONE;
    }
    return HTTP1_MORE;
}
