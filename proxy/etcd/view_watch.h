/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_watch - one watch of a sidecar with view subtree, over several namespaces (design.md 4.5);
 * pure.
 *
 * Upstream it is one watch over all of the subtree's interval. Who holds which key is remembered
 * (holders), from a read of keys at the revision before the watch's first:
 *
 *   PUT by n     n is now the nearest holder: shown.                     else: hidden
 *   DELETE by n  n was not the nearest: hidden. Nobody else holds it: shown.
 *                else it becomes the PUT of the nearest one left, as its pair is at that revision
 *
 * The pair of that one is not kept but read (a *fetch*), and so is prev_kv where a nearer namespace
 * takes a key over. The watch's stream waits for it: events keep their order.
 *
 * Law V: what is shown, replayed on the Range at the revision before the first, is the Range at
 * every later revision.
 */
#ifndef ETCD_VIEW_WATCH_H
#define ETCD_VIEW_WATCH_H

#include "etcd/etcd_watch_resume.h"
#include "etcd/holders.h"
#include "etcd/view_gather.h"
#include "etcd/view_kv.h"

struct view_watch {
    struct etcd_ns *ns;  /* shares */
    struct buf key, end; /* owned; the interval, as the application wrote it */
    struct buf others;   /* owned; the create's other fields, for upstream */
    int64_t start;       /* as asked; 0 = now */
    int64_t start_up;    /* what upstream is asked for: the table is that of the revision before */
    int64_t shown_from;  /* events before are only learnt from; 0: from what `created` says */
    bool hides_put, hides_delete, wants_prev, wants_progress, has_id;
    struct holders holders;
    size_t weighed;  /* bytes counted by etcd_watches_weigh() */
    uint32_t unsent; /* responses with nothing left in them, since the last one that was sent */
};

/* A WatchCreateRequest of the application. *ret NULL: not for the view. ERR_NOMEM. */
enum err view_watch_new(struct etcd_ns *ns, struct span create,
                        struct view_watch **ret) ATTR_MUST_USE;
void view_watch_free(struct view_watch **w);
size_t view_watch_bytes(const struct view_watch *w);
/* The read of keys is complete. at_start: it is of the start's own revision, because the one before
 * is compacted: what that revision created is left out. */
enum err view_watch_fill(struct view_watch *w, const struct view_gather *g,
                         bool at_start) ATTR_MUST_USE;
/* Appends the WatchRequest for upstream. id: the watch's number, 0 = etcd's choice. */
enum err view_watch_create(const struct view_watch *w, int64_t id, struct buf *out) ATTR_MUST_USE;

/* Of a watch that asked for progress, so many responses with nothing left are held back before one
 * is sent empty: etcd itself stays quiet while there are events. */
enum { VIEW_UNSENT_MOST = 128 };

/* Is this stored key in the watch's interval, whoever of the subtree holds it? */
static inline bool view_watch_sees(const struct view_watch *w, struct span stored)
{
    struct span path, key;
    return key_view_split(&w->ns->family->view, stored, &path, &key) &&
           key_interval_has(buf_span(&w->key), buf_span(&w->end), key);
}
/* A WatchResponse that only has events: whose it is, and where they begin. False: it has not, or is
 * not written as etcd writes it. */
bool view_skip_begin(struct span message, int64_t *ret_id, struct span *ret_events);
/* True: the watch shows none of these events and no answer is due; *ret_revision is that of the
 * last one. False: nothing was done. */
bool view_skip_events(struct view_watch *w, struct span events, int64_t *ret_revision);

/* What is to be read before an event can be shown. */
struct view_fetch {
    enum { FETCH_NOTHING, FETCH_SURVIVOR, FETCH_SURVIVOR_NOW, FETCH_PREVIOUS } what;
    uint32_t number; /* whose */
    int64_t at;
};

/* A WatchResponse with events on its way through; stops where something must be fetched. */
struct view_reply {
    struct view_watch *watch; /* shares; NULL: there is none */
    struct etcd_watch_verdict verdict;
    struct buf message; /* owned; upstream's, where it is kept */
    struct span in;     /* upstream's */
    size_t at;          /* the event being looked at, or the next field */
    uint32_t events, shown;
    bool must_send;
    struct buf out; /* owned; the application's */
    struct view_fetch fetch;
};

void view_reply_deinit(struct view_reply *r);
/* Begin with a message of this watch; borrowed until view_reply_keep(). */
void view_reply_begin(struct view_reply *r, struct view_watch *w, struct span message);
/* It has been sent: memory that only a large one needs is given back. */
void view_reply_trim(struct view_reply *r);
/* Go on. r->fetch.what != FETCH_NOTHING: it stopped. ERR_UPSTREAM_PROTOCOL, ERR_NOMEM, ERR_LIMIT.
 */
enum err view_reply_step(struct view_reply *r) ATTR_MUST_USE;
/* It has stopped: the message is copied. */
enum err view_reply_keep(struct view_reply *r) ATTR_MUST_USE;
/* Appends the RangeRequest for r->fetch. */
enum err view_reply_ask(const struct view_reply *r, struct buf *out) ATTR_MUST_USE;
/* Its RangeResponse; is_compacted: there is none, the revision is gone. Then step again. */
enum err view_reply_fetched(struct view_reply *r, struct span range,
                            bool is_compacted) ATTR_MUST_USE;
/* At the end: is there something to send? has_fragments: the stream has seen some. */
bool view_reply_is_sent(struct view_reply *r, bool has_fragments);

#endif
