/* SPDX-License-Identifier: Apache-2.0 */
/* nats_err_text - cut the text at its double quotes; odd pieces are names. */
#include "nats/nats_err_text.h"

static bool ends_with(struct span s, struct span tail)
{
    return s.n >= tail.n && (tail.n == 0 || memcmp(s.p + s.n - tail.n, tail.p, tail.n) == 0);
}

/* What the application calls the quoted name that stands behind before. */
static bool strip_name(const struct subject_map *map, struct span before, struct span name,
                       struct span *ret_name)
{
    if (ends_with(before, SPAN_LIT("using queue "))) {
        struct span suffix = span_str(map->group_suffix);
        *ret_name = ends_with(name, suffix) ? span_head(name, name.n - suffix.n) : name;
        return true;
    }
    if (ends_with(before, SPAN_LIT("sid "))) {
        *ret_name = name.n == 0 ? name : span_skip(name, 1);
        return true;
    }
    return subject_map_strip_sub(map, name, ret_name) ||
           subject_map_strip_reply(map, name, ret_name);
}

/* "bh.": what every stored subject of the installation starts with. */
static bool holds_stored_name(const struct subject_map *map, struct span text)
{
    const struct subject_prefix *own = &map->slice[0];
    const char *dot = memchr(own->text, '.', own->n);
    size_t n = dot == NULL ? own->n : (size_t)(dot - own->text) + 1;
    return text.n != 0 && memmem(text.p, text.n, own->text, n) != NULL;
}

static enum err strip_pieces(const struct subject_map *map, struct span text, struct buf *out)
{
    struct span before = SPAN_NONE;
    for (bool name = false;; name = !name) {
        const uint8_t *quote = text.n == 0 ? NULL : memchr(text.p, '"', text.n);
        struct span piece = quote == NULL ? text : span_head(text, (size_t)(quote - text.p));
        if (name && (quote == NULL || !strip_name(map, before, piece, &piece)))
            return ERR_FOREIGN;
        if (!name && holds_stored_name(map, piece))
            return ERR_FOREIGN;
        before = piece;
        enum err e = buf_append(out, piece);
        if (e == ERR_OK && quote != NULL)
            e = buf_append_byte(out, '"');
        if (e != ERR_OK || quote == NULL)
            return e;
        text = span_skip(text, (size_t)(quote - text.p) + 1);
    }
}

static struct span without_quotes(struct span text)
{
    if (text.n >= 2 && text.p[0] == '\'' && text.p[text.n - 1] == '\'')
        return span_head(span_skip(text, 1), text.n - 2);
    return text;
}

enum err nats_err_text_strip(const struct subject_map *map, struct span text, struct buf *out)
{
    size_t before = buf_len(out);
    enum err e = strip_pieces(map, without_quotes(text), out);
    if (e != ERR_FOREIGN)
        return e;
    buf_truncate(out, before);
    return buf_append(out, span_str(err_info(ERR_SUBJECT_DENIED)->nats_text));
}

bool nats_err_text_has_ok(struct span text)
{
    /* Measured: a pedantic 'Invalid Publish Subject' is followed by +OK, a denied or invalid line
     * by nothing. All other texts are not answers to a line, or end the connection. */
    text = without_quotes(text);
    return !span_has_prefix(text, SPAN_LIT("Permissions Violation")) &&
           !span_eq(text, SPAN_LIT("Invalid Subject"));
}

bool nats_err_text_is_of_events(struct span text)
{
    return span_has_prefix(without_quotes(text),
                           SPAN_LIT("Permissions Violation for Subscription to \"$JS.EVENT.*."));
}
