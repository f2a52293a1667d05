/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subject_map - move NATS subjects, replies and queue groups into, and out of, one namespace's
 * slice.
 *
 * Layout (design.md 5.1): B . class . t1 . t2 . t3 . t4 . S with class "e" (event) or "d" (down).
 * The class of a published subject is decided by S alone: down if it matches view.requests.
 * View "own" (design.md 5.2): publishes go to e; a subscription that can match requests also
 * listens to d of its own namespace and, if it is literal, to d of each ancestor. View "subtree",
 * switched on by subject_map_see_below: requests are published to d, so that they flow down; a
 * subscription wholly inside one pattern of view.events listens to e of all descendants besides its
 * own, so that events flow up. Nobody ever listens to a sibling, or to an ancestor's events.
 * What a push consumer delivers to a subject in view.events lies in a class of its own, "j": the
 * server wants a literal subscription for it, and that of view "subtree" to events is none. Members
 * with view "own" listen to it, too, by wildcards as well.
 */
#ifndef POLICY_SUBJECT_MAP_H
#define POLICY_SUBJECT_MAP_H

#include "base/buf.h"
#include "policy/ns_enc.h"

enum {
    SUBJECT_ROOT_BYTES_MAX = 32,
    SUBJECT_PREFIX_BYTES_MAX = SUBJECT_ROOT_BYTES_MAX + 4 + NS_ENC_PATH_BYTES_MAX +
                               2 * NS_SEGMENTS_MAX,
    SUBJECT_PATTERNS_MAX = 32,
    SUBJECT_PATTERN_BYTES_MAX = 256
};

/* The slices that one subscription may listen to, one upstream subscription each. */
enum subject_slice {
    SUBJECT_EVENTS,   /* own events; with SUBJECT_BELOW, those of the descendants as well */
    SUBJECT_REQUESTS, /* own requests (down) */
    SUBJECT_ABOVE,    /* the ancestors' requests, nearest first */
    SUBJECT_DELIVERY = SUBJECT_ABOVE + NS_SEGMENTS_MAX, /* what push consumers deliver, bh.j */
    SUBJECT_SLICES_MAX,
    SUBJECT_BELOW = 1 << SUBJECT_SLICES_MAX /* a bit beside those of the slices */
};

struct subject_prefix {
    uint16_t n;
    char text[SUBJECT_PREFIX_BYTES_MAX]; /* "bh.e.a.b.~.~." */
};

struct subject_map {
    struct subject_prefix slice[SUBJECT_SLICES_MAX]; /* n == 0: there is no such slice */
    unsigned slices; /* of requests and events: those before SUBJECT_ABOVE + ancestors */
    struct subject_prefix ancestor_events[NS_SEGMENTS_MAX]; /* replies that an ancestor waits on */
    unsigned ancestors;
    char group_suffix[NS_ENC_PATH_BYTES_MAX + 2]; /* "~" enc { "/" enc }; root: "~" */
    struct span requests[SUBJECT_PATTERNS_MAX]; /* view.requests, borrowed from the configuration */
    unsigned request_patterns;
    /* View subtree. */
    struct subject_prefix below;              /* "bh.e.a.b.*.*.": own events and all descendants' */
    struct span events[SUBJECT_PATTERNS_MAX]; /* view.events, borrowed likewise */
    unsigned event_patterns;
    bool sends_down;              /* requests are published to d */
    bool sees_below;              /* as above, and there can be descendants */
    uint16_t class_at, own_bytes; /* in each own prefix: the class's letter; "bh.e.a.b." */
};

/* The default of view.requests: "$SRV.>" and Dynamo's instance subjects "*.*-<hex>". */
extern const struct span subject_map_default_requests[2];
/* The default of view.events: "_INBOX.>" and Dynamo's events "namespace.>". */
extern const struct span subject_map_default_events[2];

/* root: B, one literal token that does not start with '$'. patterns: see subject_pattern_is_valid;
 * borrowed until the map is dropped. ERR_LIMIT: root or patterns too long or too many;
 * ERR_SUBJECT_INVALID: not a token or pattern. */
enum err subject_map_init(struct subject_map *m, struct span root, const struct ns_path *path,
                          const struct span *patterns, unsigned pattern_count) ATTR_MUST_USE;

/* Listen to "j"; patterns: view.events, as above. ERR_LIMIT, ERR_SUBJECT_INVALID. */
enum err subject_map_hear_deliveries(struct subject_map *m, const struct span *patterns,
                                     unsigned pattern_count) ATTR_MUST_USE;
/* Switch to view "subtree", which includes the above. */
enum err subject_map_see_below(struct subject_map *m, const struct span *patterns,
                               unsigned pattern_count) ATTR_MUST_USE;

/* Subjects as nats-server takes them: tokens between dots, none empty, no blank, tab, CR, LF, FF,
 * NUL. */
bool subject_is_valid(struct span s);
/* As above, and no token is "*" or ">": what may be published to. */
bool subject_is_literal(struct span s);
/* As above; "*" and ">" are allowed as whole tokens, ">" only as the last one. */
bool subject_is_valid_filter(struct span s);
/* True for "$SYS" and all below it, filters like "$SYS.>" included: denied (design.md 5.6). ">" and
 * "*.x" are not: inside the slice they meet nothing of the server's own. */
bool subject_is_sys(struct span s);
/* NATS patterns whose tokens may also hold "*" inside (zero or more bytes of a token), and "<hex>"
 * for 8..16 lower-case hex digits. At most SUBJECT_PATTERN_BYTES_MAX bytes; a token with either
 * counts at most 63: each byte or inner "*" one, each "<hex>" 16. '<' and '>' stand nowhere else.
 */
bool subject_pattern_is_valid(struct span pattern);
/* Does the literal subject match the pattern / could any subject that the filter matches? Both are
 * exact. pattern, subject and filter must be valid. */
bool subject_pattern_matches(struct span pattern, struct span subject);
bool subject_pattern_overlaps(struct span pattern, struct span filter);

/* Does every subject that the filter matches match the pattern? Exact, too. */
bool subject_pattern_covers(struct span pattern, struct span filter);

/* Is the class of this published subject "down"? The same in every view. */
bool subject_map_is_request(const struct subject_map *m, struct span subject);
/* View subtree: does a subscription to filter, as far as it hears events, hear the descendants'? */
bool subject_map_is_view_event(const struct subject_map *m, struct span filter);
/* Which slices (bits of m->slice) a subscription to filter listens to, and SUBJECT_BELOW. filter
 * must be valid. SUBJECT_EVENTS is always among them. */
unsigned subject_map_sub_slices(const struct subject_map *m, struct span filter);
/* What the upstream subscription for one of these slices begins with. */
static inline const struct subject_prefix *subject_map_sub_prefix(const struct subject_map *m,
                                                                  unsigned slices, unsigned slice)
{
    return slice == SUBJECT_EVENTS && (slices & SUBJECT_BELOW) != 0 ? &m->below : &m->slice[slice];
}
/* The prefix to put before a published event or a reply. */
static inline struct span subject_map_pub_prefix(const struct subject_map *m)
{
    return (struct span){(const uint8_t *)m->slice[0].text, m->slice[0].n};
}
/* Must a published subject go down? Its prefix is then that of own requests, which differs from the
 * one above in the byte at m->class_at alone. */
static inline bool subject_map_goes_down(const struct subject_map *m, struct span subject)
{
    return m->sends_down && subject_map_is_request(m, subject);
}
/* The queue group as stored, appended: q + "~" + path, but on d q itself. */
enum err subject_map_group(const struct subject_map *m, unsigned slice, struct span group,
                           struct buf *out) ATTR_MUST_USE;

/* Store -> application: true, and S as a part of stored, if stored lies in one of the slices, or in
 * view subtree in a descendant's. */
bool subject_map_strip(const struct subject_map *m, struct span stored, struct span *ret_subject);
/* The same for a reply field: own events, an ancestor's or, in view subtree, a descendant's
 * (design.md 5.2 Replies). */
bool subject_map_strip_reply(const struct subject_map *m, struct span stored,
                             struct span *ret_reply);
/* The same for what an upstream subscription was made to: a server's error quotes it. */
bool subject_map_strip_sub(const struct subject_map *m, struct span stored,
                           struct span *ret_subject);
/* View subtree: does stored lie in the slice of the namespace itself or a descendant? Whose it is
 * is verified token by token. ret_class: 'e' or 'd'. */
bool subject_map_strip_below(const struct subject_map *m, struct span stored, char *ret_class,
                             struct span *ret_subject);

#endif
