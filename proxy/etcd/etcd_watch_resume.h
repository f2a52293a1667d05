/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_watch_resume - what must be known of the watches of one stream to create them again when the
 * upstream was lost (design.md 4.6); pure.
 *
 *   create_request ─> PENDING ── created ──> LIVE ── canceled ──> forgotten
 *                        │                    │ ^
 *                 resume: asked again         │ │ created, which is swallowed
 *                                             v │
 *                                        RECREATING   resume: asked with its id and next revision
 *
 * Law: over any number of losses the application sees what one stream would have shown it: every
 * event once, in order, one `created` a watch, a compaction in between as one. The next revision is
 * one past the last event of a response that is complete; of a response in fragments that was cut
 * off, the events already shown are left out when they come again. A watch of several namespaces
 * asks for one revision more, and leaves it out: etcd before 3.5.18 forgets the deletions of the
 * revision that it compacts, and then says that ours is compacted instead of nothing.
 *
 * etcd answers creates in order and numbers watches from 0 where the application leaves the choice;
 * 0 cannot be asked for, so it is left to a new stream's own numbering, and further numbers are
 * chosen here. Memory: about 80 bytes and the create request for each watch.
 */
#ifndef ETCD_ETCD_WATCH_RESUME_H
#define ETCD_ETCD_WATCH_RESUME_H

#include "base/buf.h"

struct etcd_ns; /* etcd/etcd_call.h */
struct etcd_watches;
struct view_watch; /* etcd/view_watch.h */

/* What to do with a reply. */
struct etcd_watch_verdict {
    bool is_hidden;         /* it is not for the application */
    bool is_recreate_error; /* a watch could not be created again: show `shown_id`, not created */
    int64_t shown_id;
    uint32_t skip;           /* leave out so many events: they were shown */
    bool ends_gap;           /* send it even without events: it ends a response in fragments */
    bool hides_gap;          /* do not send it if none of its events is left */
    struct view_watch *view; /* shares; it is a watch of several namespaces */
    /* Created, and its table is to be filled before it is shown; refused, and its table is not
     * needed any more. */
    struct view_watch *opens; /* shares */
    bool ends_opening;
    int64_t id;
    int64_t revision;   /* the header's */
    int64_t last_event; /* that of the last event; 0: there is none */
    uint32_t events;
    bool is_fragment;
    struct span refused; /* borrows the message */
};

void etcd_watches_free(struct etcd_watches **w);
/* Bytes of memory held. */
size_t etcd_watches_bytes(const struct etcd_watches *w);

/* A whole mapped WatchRequest is going upstream. *w is made when it is needed. ERR_NOMEM. */
enum err etcd_watches_request(struct etcd_watches **w, struct span mapped) ATTR_MUST_USE;
/* The same of a create_request that is a watch of several namespaces; *view is taken over. */
enum err etcd_watches_request_view(struct etcd_watches **w, struct span mapped,
                                   struct view_watch **view) ATTR_MUST_USE;
/* Of a create_request without a watch_id, before it is mapped: which one to write, 0 = none. */
int64_t etcd_watches_choose_id(struct etcd_watches *w);
/* What upstream created, and has shown nothing of, begins with this revision. */
void etcd_watches_begin_at(struct etcd_watches *w, int64_t id, int64_t next);
/* The memory of this watch's view has changed. */
void etcd_watches_weigh(struct etcd_watches *w, struct view_watch *view);
/* A WatchResponse as upstream sent it. ERR_UPSTREAM_PROTOCOL. If it refuses a create for a reason,
 * that is ret->refused and nothing else has happened: either the stream is opened again, and the
 * create with it, or etcd_watches_refused() follows. */
enum err etcd_watches_reply(struct etcd_watches *w, struct span message,
                            struct etcd_watch_verdict *ret) ATTR_MUST_USE;
enum err etcd_watches_refused(struct etcd_watches *w, struct span message,
                              struct etcd_watch_verdict *ret) ATTR_MUST_USE;

/* The nth watch (from 0), those that are only asked for last. False: there are fewer. Borrows w. */
struct etcd_watch_shown {
    int64_t id, next; /* next: the first revision that was not shown; 0: not yet known */
    bool is_live, is_view;
    struct span create; /* the mapped WatchCreateRequest, without start_revision and watch_id */
};
bool etcd_watches_show(const struct etcd_watches *w, size_t nth, struct etcd_watch_shown *ret);
/* A WatchResponse of nothing but events, written as etcd writes it, which is nearly every one:
 * USUAL_SHOWN: what the application gets of it was appended to out as a frame. USUAL_SKIPPED: that
 * is nothing, of a watch of several namespaces. USUAL_NOT: nothing was done. No response in
 * fragments may be under way on the stream. w may be NULL. */
enum etcd_watch_usual { USUAL_NOT, USUAL_SHOWN, USUAL_SKIPPED };
enum etcd_watch_usual etcd_watches_usual(struct etcd_watches *w, const struct etcd_ns *ns,
                                         struct span message, struct buf *out);

/* False: a request was seen whose meaning is not known for sure; the stream cannot be resumed. */
bool etcd_watches_can_resume(const struct etcd_watches *w);
/* True: it can, and has few. */
bool etcd_watches_may_begin_again(const struct etcd_watches *w);
/* The stream to upstream was lost: append the frames that a new one begins with. ERR_NOMEM. */
enum err etcd_watches_resume(struct etcd_watches *w, struct buf *to_up) ATTR_MUST_USE;

#endif
