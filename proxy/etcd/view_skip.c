/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_skip - most of what a watch over a subtree hears is about keys that it does not show. Such a
 * response is told by its keys alone, in one walk (watch_walk.h).
 */
#include "etcd/view_watch.h"
#include "etcd/watch_walk.h"

static bool take_revision(struct span behind_key, int64_t *ret)
{
    const uint8_t *p = behind_key.p, *end = behind_key.p + behind_key.n;
    uint64_t v;
    (void)watch_take_number(&p, end, TAG_CREATE, &v);
    if (!watch_take_number(&p, end, TAG_MOD, &v))
        return false;
    *ret = (int64_t)v;
    return true;
}

bool view_skip_event(const struct view_watch *w, struct span event)
{
    struct span key, behind;
    if (!watch_take_key(event, &key, &behind) || view_watch_sees(w, key))
        return false;
    count(w->ns->counters, COUNTER_VIEW_SKIPPED, 1);
    return true;
}

bool view_skip_events(struct view_watch *w, struct span events, int64_t *ret_revision)
{
    const uint8_t *p = events.p, *end = events.p + events.n;
    struct span key = SPAN_NONE, behind = SPAN_NONE;
    uint64_t skipped = 0;
    if (w->wants_progress && w->unsent + 1 >= VIEW_UNSENT_MOST)
        return false;
    while (p != end) {
        struct span event;
        if (!watch_take_bytes(&p, end, TAG_EVENT, &event) ||
            !watch_take_key(event, &key, &behind) || view_watch_sees(w, key))
            return false;
        skipped++;
    }
    if (!take_revision(behind, ret_revision))
        return false;
    w->unsent += w->wants_progress;
    count(w->ns->counters, COUNTER_VIEW_SKIPPED, skipped);
    return true;
}
