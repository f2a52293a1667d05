/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view_watch - one watch of a sidecar with view subtree, over several namespaces (design.md 4.5);
 * pure.
 *
 * Upstream it is one watch over all of the subtree's interval. Who holds which key is remembered
 * (holders), from a read of keys at the revision before the watch's first. A watch that begins now,
 * or later, gets its table when upstream has created it: nothing can be compacted away between the
 * two.
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
    int64_t start_up;    /* what upstream is asked for; 0 = now */
    int64_t known;       /* events up to this revision are in the table */
    int64_t half_known;  /* of this revision it has what was left, not what was deleted; 0: none */
    int64_t shown_from;  /* events before are only learnt from */
    bool needs_table;    /* to be filled when it has been created */
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
/* The read of keys is complete: the table, which knows all up to g->at. at_start: it is of the
 * start's own revision, because the one before is compacted: what that revision created is left
 * out, and its events are to come. */
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
/* True: the watch does not show this event, which is written as etcd writes it. */
bool view_skip_event(const struct view_watch *w, struct span event);
/* True: the watch shows none of these events and no answer is due; *ret_revision is that of the
 * last one. False: nothing was done. */
bool view_skip_events(struct view_watch *w, struct span events, int64_t *ret_revision);

/*
 * What is to be read before an event can be shown.
 *
 *   SURVIVOR   the nearest one left, at the event's revision. Compacted: LEFT
 *   LEFT       the same at the first revision that is not compacted, which is looked for by halves
 *   PREVIOUS   what a nearer namespace takes the place of, at the revision before
 */
struct view_fetch {
    enum { FETCH_NOTHING, FETCH_SURVIVOR, FETCH_LEFT, FETCH_PREVIOUS } what;
    uint32_t number; /* whose */
    int64_t at;
};

/* One read. Which ones the events behind will need is guessed, so that many go in one request; what
 * was not guessed is asked for when it is needed. */
struct view_ask {
    size_t event; /* where it is in the response */
    struct view_fetch fetch;
    size_t answer, answer_n; /* in view_reply.answers */
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
    struct view_ask *ask; /* owned */
    uint32_t asks, most;  /* most: in one request */
    bool is_answered;
    struct buf answers; /* owned */
    size_t answers_at;  /* where the message begins in it */
    int64_t low, high;  /* LEFT: compacted; there, 0 = none known, and what `answers` says */
};

void view_reply_deinit(struct view_reply *r);
/* Begin with a message of this watch; borrowed until view_reply_keep(). */
void view_reply_begin(struct view_reply *r, struct view_watch *w, struct span message);
/* It has been sent: memory that only a large one needs is given back. */
void view_reply_trim(struct view_reply *r);
/* Go on. r->fetch.what != FETCH_NOTHING: it has stopped. ERR_UPSTREAM_PROTOCOL, ERR_NOMEM,
 * ERR_LIMIT. */
enum err view_reply_step(struct view_reply *r) ATTR_MUST_USE;
/* It has stopped: the message is copied. */
enum err view_reply_keep(struct view_reply *r) ATTR_MUST_USE;
/* Appends the request that r->fetch and those behind it need; *ret_is_txn: which it is. */
enum err view_reply_ask(const struct view_reply *r, struct buf *out,
                        bool *ret_is_txn) ATTR_MUST_USE;
/* Its answer, from `at` on; taken over. Then step again. */
enum err view_reply_answer(struct view_reply *r, struct buf *answer, size_t at) ATTR_MUST_USE;
/* A revision was compacted. Then step again. */
void view_reply_compacted(struct view_reply *r);
/* etcd calls it invalid: it may have a lower --max-txn-ops. False: it cannot be made narrower; else
 * ask again. */
bool view_reply_narrow(struct view_reply *r);
/* It is sent, and none of its events is left: clients take it for a progress, so its header says
 * the last event's revision and not the store's, which etcd writes where it tells history. */
enum err view_reply_as_progress(struct view_reply *r) ATTR_MUST_USE;
/* At the end: is there something to send? has_fragments: the stream has seen some. */
bool view_reply_is_sent(struct view_reply *r, bool has_fragments);

#endif
