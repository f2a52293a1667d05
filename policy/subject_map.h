/* SPDX-License-Identifier: Apache-2.0 */
/*
 * subject_map - move NATS subjects, replies and queue groups into, and out of, one namespace's
 * slice.
 *
 * Layout (design.md 5.1): B . class . t1 . t2 . t3 . t4 . S with class "e" (event) or "d" (down).
 * The class of a published subject is decided by S alone: down if it matches view.requests.
 * This is view "own" (design.md 5.2): publishes go to e; a subscription that can match requests
 * also listens to d of its own namespace and, if it is literal, to d of each ancestor.
 */
#ifndef POLICY_SUBJECT_MAP_H
#define POLICY_SUBJECT_MAP_H

#include "base/buf.h"
#include "policy/ns_enc.h"

enum {
    SUBJECT_ROOT_BYTES_MAX = 32,
    SUBJECT_PREFIX_BYTES_MAX = SUBJECT_ROOT_BYTES_MAX + 4 + NS_ENC_PATH_BYTES_MAX +
                               2 * NS_SEGMENTS_MAX,
    SUBJECT_SLICES_MAX = 2 + NS_SEGMENTS_MAX,
    SUBJECT_PATTERNS_MAX = 32,
    SUBJECT_PATTERN_BYTES_MAX = 256
};

struct subject_prefix {
    uint16_t n;
    char text[SUBJECT_PREFIX_BYTES_MAX]; /* "bh.e.a.b.~.~." */
};

struct subject_map {
    /* [0] own events, [1] own requests (down), [2..] the ancestors' requests, nearest first. */
    struct subject_prefix slice[SUBJECT_SLICES_MAX];
    unsigned slices;
    struct subject_prefix ancestor_events[NS_SEGMENTS_MAX]; /* replies that an ancestor waits on */
    unsigned ancestors;
    char group_suffix[NS_ENC_PATH_BYTES_MAX + 2]; /* "~" enc { "/" enc }; root: "~" */
    struct span requests[SUBJECT_PATTERNS_MAX]; /* view.requests, borrowed from the configuration */
    unsigned request_patterns;
};

/* The default of view.requests: "$SRV.>" and Dynamo's instance subjects "*.*-<hex>". */
extern const struct span subject_map_default_requests[2];

/* root: B, one literal token that does not start with '$'. patterns: see subject_pattern_is_valid;
 * borrowed until the map is dropped. ERR_LIMIT: root or patterns too long or too many;
 * ERR_SUBJECT_INVALID: not a token or pattern. */
enum err subject_map_init(struct subject_map *m, struct span root, const struct ns_path *path,
                          const struct span *patterns, unsigned pattern_count) ATTR_MUST_USE;

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

/* Which slices (bits of m->slice) a subscription to filter listens to. filter must be valid.
 * Bit 0 is always set. */
unsigned subject_map_sub_slices(const struct subject_map *m, struct span filter);
/* The prefix to put before a published subject or reply: that of own events, in view own. */
static inline struct span subject_map_pub_prefix(const struct subject_map *m)
{
    return (struct span){(const uint8_t *)m->slice[0].text, m->slice[0].n};
}
/* The queue group as stored, appended: on e (slice 0) q + "~" + path, on d q itself. */
enum err subject_map_group(const struct subject_map *m, unsigned slice, struct span group,
                           struct buf *out) ATTR_MUST_USE;

/* Store -> application: true, and S as a part of stored, if stored lies in one of the slices. */
bool subject_map_strip(const struct subject_map *m, struct span stored, struct span *ret_subject);
/* The same for a reply field: own events, or an ancestor's events (design.md 5.2 Replies). */
bool subject_map_strip_reply(const struct subject_map *m, struct span stored,
                             struct span *ret_reply);

#endif
