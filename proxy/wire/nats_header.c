/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_header - cut at LF; of each line the value, between blanks, may be another.
 *
 * Lines end in CR LF. A bare LF ends one here, too: a server that reads it so finds nothing that
 * was not looked at.
 */
#include "wire/nats_header.h"

static struct span without_blanks(struct span s)
{
    while (s.n != 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = span_skip(s, 1);
    while (s.n != 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Takes a line with its end off *rest; what has no end is one, too. */
static struct span next_line(struct span *rest)
{
    const uint8_t *end = memchr(rest->p, '\n', rest->n);
    struct span line = end == NULL ? *rest : span_head(*rest, (size_t)(end - rest->p) + 1);
    *rest = span_skip(*rest, line.n);
    return line;
}

static bool parse(struct span line, struct nats_header *h)
{
    const uint8_t *colon = memchr(line.p, ':', line.n);
    if (colon == NULL || line.n < 2)
        return false;
    h->name = span_head(line, (size_t)(colon - line.p));
    struct span value = span_skip(line, h->name.n + 1);
    while (value.n != 0 && (value.p[value.n - 1] == '\n' || value.p[value.n - 1] == '\r'))
        value.n--;
    h->value = without_blanks(value);
    return true;
}

static enum err edit_line(struct span line, nats_header_fn fn, void *arg, struct buf *out,
                          bool *ret_changed)
{
    struct nats_header h;
    bool changed = false;
    if (!parse(line, &h))
        return buf_append(out, line);
    struct buf value = {0};
    enum err e = fn(arg, &h, &value, &changed);
    if (e == ERR_OK && !changed)
        e = buf_append(out, line);
    if (e == ERR_OK && changed) {
        size_t before = (size_t)(h.value.p - line.p);
        e = buf_append(out, span_head(line, before));
        if (e == ERR_OK)
            e = buf_append(out, buf_span(&value));
        if (e == ERR_OK)
            e = buf_append(out, span_skip(line, before + h.value.n));
        *ret_changed = true;
    }
    buf_deinit(&value);
    return e;
}

enum err nats_header_edit(struct span block, nats_header_fn fn, void *arg, struct buf *out,
                          bool *ret_changed)
{
    *ret_changed = false;
    enum err e = buf_reserve(out, block.n);
    if (e == ERR_OK && block.n != 0)
        e = buf_append(out, next_line(&block)); /* the status line */
    while (block.n != 0 && e == ERR_OK)
        e = edit_line(next_line(&block), fn, arg, out, ret_changed);
    return e;
}

struct span nats_header_status(struct span block)
{
    if (!span_has_prefix(block, SPAN_LIT("NATS/1.0 ")))
        return SPAN_NONE;
    struct span rest = span_skip(block, 9);
    size_t n = 0;
    while (n < rest.n && rest.p[n] >= '0' && rest.p[n] <= '9')
        n++;
    return span_head(rest, n);
}
