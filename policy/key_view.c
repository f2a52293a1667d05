/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/key_view.h"

static void put(uint8_t *to, size_t *n, const void *p, size_t more)
{
    if (more != 0)
        memcpy(to + *n, p, more);
    *n += more;
}

enum err key_view_init(struct key_view *v, struct span root, const struct ns_path *path)
{
    if (root.n > KEY_ROOT_BYTES_MAX)
        return ERR_LIMIT;
    char encoded[NS_ENC_PATH_BYTES_MAX];
    size_t n = ns_enc_path(path, encoded);
    *v = (struct key_view){.path = *path};
    put(v->data, &v->data_n, root.p, root.n);
    put(v->data, &v->data_n, "d", 1);
    put(v->data, &v->data_n, encoded, n);
    put(v->registry, &v->registry_n, root.p, root.n);
    put(v->registry, &v->registry_n, "m/n", 3);
    put(v->registry, &v->registry_n, encoded, n);
    return ERR_OK;
}

bool key_view_path_is_valid(const struct key_view *v, struct span path, unsigned *ret_segments)
{
    unsigned segments = 0;
    size_t bytes = strlen(v->path.text);
    while (path.n != 0) {
        char decoded[NS_SEGMENT_BYTES_MAX];
        size_t n;
        if (path.p[0] != '/')
            return false;
        path = span_skip(path, 1);
        const uint8_t *slash = path.n == 0 ? NULL : memchr(path.p, '/', path.n);
        struct span segment = slash == NULL ? path : span_head(path, (size_t)(slash - path.p));
        if (ns_enc_decode(segment, decoded, &n) != ERR_OK)
            return false;
        bytes += n + (bytes != 0);
        segments++;
        path = span_skip(path, segment.n);
    }
    if (ret_segments != NULL)
        *ret_segments = segments;
    return v->path.segments + segments <= NS_SEGMENTS_MAX && bytes <= NS_PATH_BYTES_MAX;
}

bool key_view_registry_split(const struct key_view *v, struct span stored, struct span *ret_path)
{
    if (!span_has_prefix(stored, span_of(v->registry, v->registry_n)))
        return false;
    struct span rest = span_skip(stored, v->registry_n);
    if (rest.n < 3 || rest.p[rest.n - 1] != '.') /* "/x." */
        return false;
    *ret_path = span_head(rest, rest.n - 1);
    return key_view_path_is_valid(v, *ret_path, NULL);
}

static enum err append(struct span a, struct span b, struct span c, struct buf *out)
{
    enum err e = buf_reserve(out, a.n + b.n + c.n + 1);
    if (e == ERR_OK)
        e = buf_append(out, a);
    if (e == ERR_OK)
        e = buf_append(out, b);
    return e == ERR_OK ? buf_append(out, c) : e;
}

enum err key_view_key(const struct key_view *v, struct span path, struct span key, struct buf *out)
{
    enum err e = append(span_of(v->data, v->data_n), path, SPAN_LIT("."), out);
    return e == ERR_OK ? buf_append(out, key) : e;
}

enum err key_view_first(const struct key_view *v, struct buf *out)
{
    return append(span_of(v->data, v->data_n), SPAN_LIT("."), SPAN_NONE, out);
}

enum err key_view_end(const struct key_view *v, struct buf *out)
{
    return append(span_of(v->data, v->data_n), SPAN_LIT("0"), SPAN_NONE, out);
}

enum err key_view_registry_first(const struct key_view *v, struct buf *out)
{
    return append(span_of(v->registry, v->registry_n), SPAN_LIT("/"), SPAN_NONE, out);
}

enum err key_view_registry_end(const struct key_view *v, struct buf *out)
{
    return append(span_of(v->registry, v->registry_n), SPAN_LIT("0"), SPAN_NONE, out);
}

/* Is end at most the first key behind all that begin with prefix? */
static bool ends_inside(struct span end, struct span prefix)
{
    if (span_has_prefix(end, prefix) || span_cmp(end, prefix) < 0)
        return true;
    /* next(prefix): the last byte that is not ff, one up, and nothing behind it. */
    size_t n = prefix.n;
    while (n != 0 && prefix.p[n - 1] == 0xff)
        n--;
    return n != 0 && end.n == n && memcmp(end.p, prefix.p, n - 1) == 0 &&
           end.p[n - 1] == prefix.p[n - 1] + 1;
}

bool key_interval_is_inside(struct span key, struct span end, struct span prefix)
{
    if (prefix.n == 0 || !span_has_prefix(key, prefix))
        return false;
    bool is_open = end.n == 1 && end.p[0] == 0;
    return end.n == 0 || (!is_open && ends_inside(end, prefix));
}
