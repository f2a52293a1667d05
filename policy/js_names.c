/* SPDX-License-Identifier: Apache-2.0 */
/* js_names - one prefix, built at start; names are compared with it and cut. */
#include "policy/js_names.h"

void js_names_init(struct js_names *m, const struct ns_path *path)
{
    *m = (struct js_names){0};
    for (unsigned i = 0; i < path->segments; i++) {
        m->n = (uint16_t)(m->n + ns_enc_segment(ns_path_segment(path, i), m->text + m->n));
        m->text[m->n++] = '~';
    }
    m->text[m->n++] = '~';
}

enum err js_names_map(const struct js_names *m, struct span name, struct buf *out)
{
    if (name.n > js_names_room(m))
        return ERR_LIMIT;
    enum err e = buf_reserve(out, m->n + name.n);
    if (e == ERR_OK)
        e = buf_append(out, js_names_prefix(m));
    return e == ERR_OK ? buf_append(out, name) : e;
}

bool js_names_strip(const struct js_names *m, struct span stored, struct span *ret_name)
{
    if (stored.n <= m->n || !span_has_prefix(stored, js_names_prefix(m)))
        return false;
    *ret_name = span_skip(stored, m->n);
    return true;
}

/* "a~b~": what every name of a descendant begins with; the root: nothing. */
static struct span descent(const struct js_names *m)
{
    return span_head(js_names_prefix(m), m->n - 1u);
}

bool js_names_strip_below(const struct js_names *m, struct span stored, struct span *ret_name)
{
    struct span above = descent(m);
    if (above.n != 0 && !span_has_prefix(stored, above))
        return false;
    struct span rest = span_skip(stored, above.n);
    unsigned segments = 0;
    for (; rest.n != 0 && rest.p[0] != '~'; segments++) {
        const uint8_t *end = memchr(rest.p, '~', rest.n);
        char segment[NS_SEGMENT_BYTES_MAX];
        size_t n;
        if (end == NULL || segments == NS_SEGMENTS_MAX ||
            ns_enc_decode(span_head(rest, (size_t)(end - rest.p)), segment, &n) != ERR_OK)
            return false;
        rest = span_skip(rest, (size_t)(end - rest.p) + 1);
    }
    if (segments == 0 || rest.n < 2)
        return false;
    *ret_name = span_skip(rest, 1);
    return true;
}

bool js_names_owner(struct span prefix, struct ns_path *ret_path)
{
    char text[NS_PATH_BYTES_MAX + 1];
    size_t n = 0;
    struct ns_path path;
    for (struct span rest = prefix; rest.n > 1;) {
        const uint8_t *end = memchr(rest.p, '~', rest.n);
        char segment[NS_SEGMENT_BYTES_MAX];
        size_t bytes;
        if (end == NULL ||
            ns_enc_decode(span_head(rest, (size_t)(end - rest.p)), segment, &bytes) != ERR_OK ||
            n + bytes + 1 > sizeof text)
            return false;
        if (n != 0)
            text[n++] = '/';
        memcpy(text + n, segment, bytes);
        n += bytes;
        rest = span_skip(rest, (size_t)(end - rest.p) + 1);
    }
    if (ns_path_parse(span_of(text, n), '/', &path, NULL) != ERR_OK)
        return false;
    struct js_names again;
    js_names_init(&again, &path);
    if (!span_eq(js_names_prefix(&again), prefix))
        return false;
    *ret_path = path;
    return true;
}

enum err js_names_map_consumer(const struct js_names *reader, struct span name, struct buf *out)
{
    if (name.n + JS_READER.n > js_names_room(reader))
        return ERR_LIMIT;
    enum err e = buf_append(out, JS_READER);
    return e == ERR_OK ? js_names_map(reader, name, out) : e;
}

bool js_names_strip_consumer(const struct js_names *reader, struct span stored,
                             struct span *ret_name)
{
    return span_has_prefix(stored, JS_READER) &&
           js_names_strip(reader, span_skip(stored, JS_READER.n), ret_name);
}
