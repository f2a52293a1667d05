/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subject_map - which prefix a subject gets, and whether a stored one may be shown.
 *
 * On the way of each message: subject_is_literal, subject_map_pub_prefix, subject_map_strip and
 * subject_map_strip_reply. They read the subject once or compare it with a prefix built at start.
 * Every prefix has the same number of tokens, so at most one of them fits a stored subject. What is
 * a descendant's is read token by token, and only when none of them did.
 */
#include "policy/subject_map.h"

const struct span subject_map_default_requests[2] = {
    {(const uint8_t *)"$SRV.>", 6},
    {(const uint8_t *)"*.*-<hex>", 9},
};

const struct span subject_map_default_events[2] = {
    {(const uint8_t *)"_INBOX.>", 8},
    {(const uint8_t *)"namespace.>", 11},
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

static enum err take_patterns(struct span *to, unsigned *ret_count, const struct span *patterns,
                              unsigned count)
{
    if (count > SUBJECT_PATTERNS_MAX)
        return ERR_LIMIT;
    for (unsigned i = 0; i < count; i++) {
        if (patterns[i].n > SUBJECT_PATTERN_BYTES_MAX)
            return ERR_LIMIT;
        if (!subject_pattern_is_valid(patterns[i]))
            return ERR_SUBJECT_INVALID;
        to[i] = patterns[i];
    }
    *ret_count = count;
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
    enum err e = take_patterns(m->requests, &m->request_patterns, patterns, pattern_count);
    if (e != ERR_OK)
        return e;

    write_prefix(&m->slice[SUBJECT_EVENTS], root, 'e', path);
    write_prefix(&m->slice[SUBJECT_REQUESTS], root, 'd', path);
    m->class_at = (uint16_t)(root.n + 1);
    m->ancestors = path->segments;
    m->own_bytes = (uint16_t)(m->slice[SUBJECT_EVENTS].n -
                              2 * (NS_SEGMENTS_MAX - m->ancestors)); /* "~." each */
    m->slices = SUBJECT_ABOVE + m->ancestors;
    for (unsigned i = 0; i < m->ancestors; i++) {
        struct ns_path above = ns_path_head(path, path->segments - 1 - i);
        write_prefix(&m->slice[SUBJECT_ABOVE + i], root, 'd', &above);
        write_prefix(&m->ancestor_events[i], root, 'e', &above);
    }
    write_group_suffix(m->group_suffix, path);
    return ERR_OK;
}

enum err subject_map_hear_deliveries(struct subject_map *m, const struct span *patterns,
                                     unsigned pattern_count)
{
    enum err e = take_patterns(m->events, &m->event_patterns, patterns, pattern_count);
    if (e != ERR_OK)
        return e;
    if (m->ancestors == NS_SEGMENTS_MAX)
        return ERR_OK; /* nothing can be below: view "subtree" is as "own" */
    m->slice[SUBJECT_DELIVERY] = m->slice[SUBJECT_EVENTS];
    m->slice[SUBJECT_DELIVERY].text[m->class_at] = 'j';
    return ERR_OK;
}

enum err subject_map_see_below(struct subject_map *m, const struct span *patterns,
                               unsigned pattern_count)
{
    enum err e = subject_map_hear_deliveries(m, patterns, pattern_count);
    if (e != ERR_OK)
        return e;
    m->sends_down = true;
    if (m->ancestors == NS_SEGMENTS_MAX)
        return ERR_OK; /* nothing can be below */
    m->sees_below = true;
    m->below = m->slice[SUBJECT_EVENTS];
    for (size_t at = m->own_bytes; at < m->below.n; at += 2)
        m->below.text[at] = '*';
    return ERR_OK;
}

bool subject_map_is_request(const struct subject_map *m, struct span subject)
{
    for (unsigned i = 0; i < m->request_patterns; i++)
        if (subject_pattern_matches(m->requests[i], subject))
            return true;
    return false;
}

static bool is_in_events(const struct subject_map *m, struct span filter)
{
    for (unsigned i = 0; i < m->event_patterns; i++)
        if (subject_pattern_covers(m->events[i], filter))
            return true;
    return false;
}

bool subject_map_is_view_event(const struct subject_map *m, struct span filter)
{
    return m->sees_below && is_in_events(m, filter);
}

static bool overlaps(const struct span *patterns, unsigned n, struct span filter)
{
    for (unsigned i = 0; i < n; i++)
        if (subject_pattern_overlaps(patterns[i], filter))
            return true;
    return false;
}

/* What a push consumer delivers wakes only for literal subscriptions. Where it is awake a wildcard
 * hears it, too, on a server of one's own; so it does in view own. */
static bool hears_deliveries(const struct subject_map *m, struct span filter, bool is_literal)
{
    if (m->slice[SUBJECT_DELIVERY].n == 0)
        return false;
    if (is_literal || m->sees_below)
        return is_literal && is_in_events(m, filter);
    return overlaps(m->events, m->event_patterns, filter);
}

unsigned subject_map_sub_slices(const struct subject_map *m, struct span filter)
{
    enum { OWN = 1 << SUBJECT_EVENTS, DOWN = 1 << SUBJECT_REQUESTS };
    bool literal = subject_is_literal(filter),
         requests = overlaps(m->requests, m->request_patterns, filter);
    /* A wildcard never listens to an ancestor. */
    if (literal && requests)
        return (1u << m->slices) - 1;
    unsigned slices = OWN | (requests ? DOWN : 0u);
    if (hears_deliveries(m, filter, literal))
        slices |= 1u << SUBJECT_DELIVERY;
    return slices | (subject_map_is_view_event(m, filter) ? SUBJECT_BELOW : 0u);
}

enum err subject_map_group(const struct subject_map *m, unsigned slice, struct span group,
                           struct buf *out)
{
    bool is_event = slice == SUBJECT_EVENTS || slice == SUBJECT_DELIVERY;
    struct span suffix = is_event ? span_str(m->group_suffix) : SPAN_NONE;
    enum err e = buf_reserve(out, group.n + suffix.n);
    if (e == ERR_OK)
        e = buf_append(out, group);
    return e != ERR_OK ? e : buf_append(out, suffix);
}

static bool strip_prefix(const struct subject_prefix *p, struct span stored, struct span *ret_rest)
{
    if (p->n == 0 || stored.n <= p->n || memcmp(stored.p, p->text, p->n) != 0)
        return false;
    *ret_rest = span_skip(stored, p->n);
    return true;
}

/* The tokens of a path behind its first `have` segments: encoded segments, then "~". */
static bool skip_path(struct span *rest, unsigned have)
{
    size_t bytes = 0;
    bool ended = false;
    for (unsigned i = have; i < NS_SEGMENTS_MAX; i++) {
        const uint8_t *dot = memchr(rest->p, '.', rest->n);
        if (dot == NULL)
            return false;
        struct span token = span_head(*rest, (size_t)(dot - rest->p));
        *rest = span_skip(*rest, token.n + 1);
        if (span_eq(token, SPAN_LIT("~"))) {
            ended = true;
            continue;
        }
        char segment[NS_SEGMENT_BYTES_MAX];
        size_t n;
        if (ended || ns_enc_decode(token, segment, &n) != ERR_OK)
            return false;
        /* A path does not begin so, it is dropped there (ns_path_parse). */
        if (i == 0 && span_eq(span_of(segment, n), SPAN_LIT("default")))
            return false;
        bytes += n + 1;
    }
    return bytes <= NS_PATH_BYTES_MAX + 1 && rest->n != 0;
}

bool subject_map_strip_below(const struct subject_map *m, struct span stored, char *ret_class,
                             struct span *ret_subject)
{
    const char *own = m->slice[SUBJECT_EVENTS].text;
    size_t at = m->class_at, behind = at + 1u;
    if (!m->sees_below || stored.n <= m->own_bytes || memcmp(stored.p, own, at) != 0 ||
        memcmp(stored.p + behind, own + behind, m->own_bytes - behind) != 0)
        return false;
    char class = (char)stored.p[at];
    struct span rest = span_skip(stored, m->own_bytes);
    if ((class != 'e' && class != 'd') || !skip_path(&rest, m->ancestors))
        return false;
    *ret_class = class;
    *ret_subject = rest;
    return true;
}

bool subject_map_strip(const struct subject_map *m, struct span stored, struct span *ret_subject)
{
    for (unsigned i = 0; i < SUBJECT_SLICES_MAX; i++)
        if (strip_prefix(&m->slice[i], stored, ret_subject))
            return true;
    char class;
    return subject_map_strip_below(m, stored, &class, ret_subject);
}

bool subject_map_strip_sub(const struct subject_map *m, struct span stored,
                           struct span *ret_subject)
{
    return subject_map_strip(m, stored, ret_subject) ||
           strip_prefix(&m->below, stored, ret_subject);
}

bool subject_map_strip_reply(const struct subject_map *m, struct span stored,
                             struct span *ret_reply)
{
    if (strip_prefix(&m->slice[SUBJECT_EVENTS], stored, ret_reply))
        return true;
    for (unsigned i = 0; i < m->ancestors; i++)
        if (strip_prefix(&m->ancestor_events[i], stored, ret_reply))
            return true;
    char class;
    struct span rest;
    if (!subject_map_strip_below(m, stored, &class, &rest) || class != 'e')
        return false;
    *ret_reply = rest;
    return true;
}
