/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subject_map - which prefix a subject gets, and whether a stored one may be shown; view "own".
 *
 * On the way of each message: subject_is_literal, subject_map_pub_prefix, subject_map_strip and
 * subject_map_strip_reply. They read the subject once or compare it with a prefix built at start.
 * Every prefix has the same number of tokens, so at most one of them fits a stored subject.
 */
#include "policy/subject_map.h"

const struct span subject_map_default_requests[2] = {
    {(const uint8_t *)"$SRV.>", 6},
    {(const uint8_t *)"*.*-<hex>", 9},
};

static void put(struct subject_prefix *p, const void *bytes, size_t n)
{
    memcpy(p->text + p->n, bytes, n);
    p->n = (uint16_t)(p->n + n);
}

/* B "." class "." t1 "." t2 "." t3 "." t4 "." */
static void write_prefix(struct subject_prefix *p, struct span root, char class,
                         const struct ns_path *path)
{
    *p = (struct subject_prefix){0};
    put(p, root.p, root.n);
    put(p, ".", 1);
    put(p, &class, 1);
    put(p, ".", 1);
    for (unsigned i = 0; i < NS_SEGMENTS_MAX; i++) {
        char token[NS_ENC_SEGMENT_BYTES_MAX] = "~";
        size_t n = i < path->segments ? ns_enc_segment(ns_path_segment(path, i), token) : 1;
        put(p, token, n);
        put(p, ".", 1);
    }
}

/* "~" enc { "/" enc } */
static void write_group_suffix(char *suffix, const struct ns_path *path)
{
    size_t n = ns_enc_path(path, suffix);
    suffix[0] = '~'; /* in the place of the first '/' */
    suffix[n == 0 ? 1 : n] = '\0';
}

static enum err take_patterns(struct subject_map *m, const struct span *patterns, unsigned count)
{
    if (count > SUBJECT_PATTERNS_MAX)
        return ERR_LIMIT;
    for (unsigned i = 0; i < count; i++) {
        if (patterns[i].n > SUBJECT_PATTERN_BYTES_MAX)
            return ERR_LIMIT;
        if (!subject_pattern_is_valid(patterns[i]))
            return ERR_SUBJECT_INVALID;
        m->requests[i] = patterns[i];
    }
    m->request_patterns = count;
    return ERR_OK;
}

enum err subject_map_init(struct subject_map *m, struct span root, const struct ns_path *path,
                          const struct span *patterns, unsigned pattern_count)
{
    *m = (struct subject_map){0};
    if (root.n > SUBJECT_ROOT_BYTES_MAX)
        return ERR_LIMIT;
    if (!subject_is_literal(root) || memchr(root.p, '.', root.n) != NULL || root.p[0] == '$')
        return ERR_SUBJECT_INVALID;
    enum err e = take_patterns(m, patterns, pattern_count);
    if (e != ERR_OK)
        return e;

    write_prefix(&m->slice[0], root, 'e', path);
    write_prefix(&m->slice[1], root, 'd', path);
    m->ancestors = path->segments;
    m->slices = 2 + m->ancestors;
    for (unsigned i = 0; i < m->ancestors; i++) {
        struct ns_path above = ns_path_head(path, path->segments - 1 - i);
        write_prefix(&m->slice[2 + i], root, 'd', &above);
        write_prefix(&m->ancestor_events[i], root, 'e', &above);
    }
    write_group_suffix(m->group_suffix, path);
    return ERR_OK;
}

unsigned subject_map_sub_slices(const struct subject_map *m, struct span filter)
{
    bool requests = false;
    for (unsigned i = 0; i < m->request_patterns && !requests; i++)
        requests = subject_pattern_overlaps(m->requests[i], filter);
    if (!requests)
        return 1;
    /* A wildcard never listens to an ancestor. */
    return subject_is_literal(filter) ? (1u << m->slices) - 1 : 3;
}

enum err subject_map_group(const struct subject_map *m, unsigned slice, struct span group,
                           struct buf *out)
{
    struct span suffix = slice == 0 ? span_str(m->group_suffix) : SPAN_NONE;
    enum err e = buf_reserve(out, group.n + suffix.n);
    if (e == ERR_OK)
        e = buf_append(out, group);
    return e != ERR_OK ? e : buf_append(out, suffix);
}

static bool strip_prefix(const struct subject_prefix *p, struct span stored, struct span *ret_rest)
{
    if (stored.n <= p->n || memcmp(stored.p, p->text, p->n) != 0)
        return false;
    *ret_rest = span_skip(stored, p->n);
    return true;
}

bool subject_map_strip(const struct subject_map *m, struct span stored, struct span *ret_subject)
{
    for (unsigned i = 0; i < m->slices; i++)
        if (strip_prefix(&m->slice[i], stored, ret_subject))
            return true;
    return false;
}

bool subject_map_strip_reply(const struct subject_map *m, struct span stored,
                             struct span *ret_reply)
{
    if (strip_prefix(&m->slice[0], stored, ret_reply))
        return true;
    for (unsigned i = 0; i < m->ancestors; i++)
        if (strip_prefix(&m->ancestor_events[i], stored, ret_reply))
            return true;
    return false;
}
