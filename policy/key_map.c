/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_map - one prefix before each key, verified and cut on the way back.
 *
 *   own(p)     = [ R d p "." , R d p "/" )     '.' 0x2E  '/' 0x2F  '0' 0x30 are neighbours
 *
 * A sibling ab, a-b or a0 of a differs from P inside the prefix, a child a/b at its '.'.
 */
#include "policy/key_map.h"

/* zone: "d" or "m/l". */
static enum err init(struct key_map *m, struct span root, struct span zone,
                     const struct ns_path *path)
{
    if (root.n > KEY_ROOT_BYTES_MAX)
        return ERR_LIMIT;
    char encoded[NS_ENC_PATH_BYTES_MAX];
    size_t n = ns_enc_path(path, encoded);

    *m = (struct key_map){0};
    if (root.n != 0)
        memcpy(m->prefix, root.p, root.n);
    m->n = root.n;
    memcpy(m->prefix + m->n, zone.p, zone.n);
    m->n += zone.n;
    memcpy(m->prefix + m->n, encoded, n);
    m->n += n;
    m->prefix[m->n++] = '.';
    return ERR_OK;
}

enum err key_map_init(struct key_map *m, struct span root, const struct ns_path *path)
{
    return init(m, root, SPAN_LIT("d"), path);
}

enum err key_map_init_markers(struct key_map *m, struct span root, const struct ns_path *path)
{
    return init(m, root, SPAN_LIT("m/l"), path);
}

/* All or nothing: one reservation for both parts. */
static enum err append_two(struct buf *out, struct span a, struct span b)
{
    enum err e = buf_reserve(out, a.n + b.n);
    if (e == ERR_OK)
        e = buf_append(out, a);
    return e != ERR_OK ? e : buf_append(out, b);
}

enum err key_map_key(const struct key_map *m, struct span key, struct buf *out)
{
    return append_two(out, span_of(m->prefix, m->n), key);
}

enum err key_map_end(const struct key_map *m, struct span end, struct buf *out)
{
    if (end.n == 0)
        return ERR_OK;
    if (end.n == 1 && end.p[0] == 0) /* etcd: all keys from key on; here: to the end of the slice */
        return append_two(out, span_of(m->prefix, m->n - 1), SPAN_LIT("/"));
    return key_map_key(m, end, out);
}

bool key_map_strip(const struct key_map *m, struct span stored, struct span *ret_key)
{
    if (!span_has_prefix(stored, span_of(m->prefix, m->n)))
        return false;
    *ret_key = span_skip(stored, m->n);
    return true;
}

enum err key_map_registry_key(struct span root, const struct ns_path *path, struct buf *out)
{
    char rest[3 + NS_ENC_PATH_BYTES_MAX + 1] = "m/n";
    size_t n = 3 + ns_enc_path(path, rest + 3);
    rest[n++] = '.';
    return append_two(out, root, span_of(rest, n));
}

enum err key_map_tag_key(struct span root, uint32_t tag, struct buf *out)
{
    static const char hex[] = "0123456789abcdef";
    char rest[] = "m/t/000000";
    for (int i = 0; i < 6; i++)
        rest[4 + i] = hex[(tag >> (20 - 4 * i)) & 15];
    return append_two(out, root, span_of(rest, sizeof rest - 1));
}

enum err key_map_version_key(struct span root, struct buf *out)
{
    return append_two(out, root, SPAN_LIT("m/v"));
}

enum err key_map_patterns_key(struct span root, struct buf *out)
{
    return append_two(out, root, SPAN_LIT("m/view"));
}
