/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/etcd_watch_resume.h"

#include <stdlib.h>

#include "base/check.h"
#include "etcd/view_watch.h"
#include "etcd/watch_walk.h"
#include "limit.h"
#include "wire/grpc_frame.h"
#include "wire/pb_wire.h"
#include "wire/pb_write.h"

/* Field numbers of etcd rpc.proto and kv.proto, by message. */
enum { REQUEST_CREATE = 1, REQUEST_CANCEL = 2, REQUEST_PROGRESS = 3 };
enum { CREATE_START = 3, CREATE_ID = 7, CANCEL_ID = 1 };
enum { REPLY_HEADER = 1, REPLY_ID = 2, REPLY_CREATED = 3, REPLY_CANCELED = 4, REPLY_FRAGMENT = 7 };
enum { REPLY_REASON = 6 };
enum { REPLY_EVENT = 11, HEADER_REVISION = 3, EVENT_KV = 2, KV_MOD_REVISION = 3 };

struct watch {
    int64_t id;     /* PENDING: as chosen by the application, 0 = by etcd */
    int64_t next;   /* the first revision not shown; PENDING: start_revision as asked */
    int64_t from;   /* next; or of a view one before, while upstream may begin there */
    uint32_t shown; /* events shown of the response that begins at from */
    uint32_t left;  /* of those, not yet seen again */
    bool is_recreating, is_cancelling;
    struct view_watch *view; /* owned; NULL: of the own namespace */
    uint32_t n;
    uint8_t create[]; /* the mapped WatchCreateRequest without start_revision and watch_id */
};

struct list {
    struct watch **at;
    size_t n, cap;
    struct watch *one; /* what at points to while cap is 1: most streams have one watch */
};

struct etcd_watches {
    struct list live;     /* by id, ascending */
    struct list pending;  /* in the order in which they were asked for */
    size_t recreating_at; /* no watch of live before it is recreating */
    int64_t auto_next;    /* above every id that etcd chose */
    bool has_resumed, progress_asked, cannot_resume;
    size_t bytes;
};

/* -- memory -- */
static void forget(struct etcd_watches *w, struct list *l, size_t i)
{
    w->bytes -= sizeof *l->at[i] + l->at[i]->n;
    if (l->at[i]->view != NULL)
        w->bytes -= l->at[i]->view->weighed;
    view_watch_free(&l->at[i]->view);
    free(l->at[i]);
    memmove(&l->at[i], &l->at[i + 1], (l->n - i - 1) * sizeof(struct watch *));
    l->n--;
    if (l == &w->live && i < w->recreating_at)
        w->recreating_at--;
}

static enum err reserve(struct etcd_watches *w, struct list *l)
{
    if (l->n < l->cap)
        return ERR_OK;
    if (l->cap == 0) {
        l->at = &l->one;
        l->cap = 1;
        return ERR_OK;
    }
    size_t cap = 2 * l->cap;
    struct watch **at = realloc(l->cap == 1 ? NULL : l->at, cap * sizeof(struct watch *));
    if (at == NULL)
        return ERR_NOMEM;
    if (l->cap == 1)
        at[0] = l->one;
    w->bytes += (cap - l->cap) * sizeof(struct watch *);
    l->at = at;
    l->cap = cap;
    return ERR_OK;
}

static void insert(struct list *l, size_t i, struct watch *watch)
{
    memmove(&l->at[i + 1], &l->at[i], (l->n - i) * sizeof(struct watch *));
    l->at[i] = watch;
    l->n++;
}

static void free_list(struct list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        view_watch_free(&l->at[i]->view);
        free(l->at[i]);
    }
}

static void free_slots(struct list *l)
{
    if (l->at != &l->one)
        free(l->at);
}

void etcd_watches_free(struct etcd_watches **w)
{
    if (*w == NULL)
        return;
    free_list(&(*w)->live);
    free_list(&(*w)->pending);
    free_slots(&(*w)->live);
    free_slots(&(*w)->pending);
    free(*w);
    *w = NULL;
}

size_t etcd_watches_bytes(const struct etcd_watches *w)
{
    return w == NULL ? 0 : w->bytes;
}

void etcd_watches_weigh(struct etcd_watches *w, struct view_watch *view)
{
    size_t now = view_watch_bytes(view);
    w->bytes += now - view->weighed;
    view->weighed = now;
}

/* Where id is in live, or would be. */
static bool find(const struct etcd_watches *w, int64_t id, size_t *ret_at)
{
    size_t low = 0, high = w->live.n;
    /* Ids grow: most searches are for the last or beyond. */
    if (high != 0 && w->live.at[high - 1]->id < id)
        low = high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (w->live.at[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_at = low;
    return low < w->live.n && w->live.at[low]->id == id;
}

/* -- requests -- */
static bool is_in_use(const struct etcd_watches *w, int64_t id)
{
    size_t at;
    if (find(w, id, &at))
        return true;
    for (size_t i = 0; i < w->pending.n; i++)
        if (w->pending.at[i]->id == id && id != 0)
            return true;
    return false;
}

/* As etcd numbers: one up, over those in use. */
static int64_t take_auto_id(struct etcd_watches *w)
{
    while (is_in_use(w, w->auto_next))
        w->auto_next++;
    return w->auto_next++;
}

int64_t etcd_watches_choose_id(struct etcd_watches *w)
{
    return w == NULL || !w->has_resumed ? 0 : take_auto_id(w);
}

/* Everything but the fields that are written anew. ret has room for all of it. */
static void copy_create(struct span create, struct watch *ret)
{
    const uint8_t *p = create.p, *end = span_end(create);
    struct pb_item it;
    ret->n = 0;
    while (p != end && pb_item_next(&p, end, &it)) {
        if (it.number == CREATE_START && it.wire == PB_WIRE_VARINT) {
            ret->next = (int64_t)it.varint;
        } else if (it.number == CREATE_ID && it.wire == PB_WIRE_VARINT) {
            ret->id = (int64_t)it.varint;
        } else {
            memcpy(ret->create + ret->n, it.start, (size_t)(p - it.start));
            ret->n += (uint32_t)(p - it.start);
        }
    }
}

static enum err add_pending(struct etcd_watches *w, struct span create)
{
    enum err e = reserve(w, &w->pending);
    if (e != ERR_OK)
        return e;
    struct watch *watch = malloc(sizeof *watch + create.n);
    if (watch == NULL)
        return ERR_NOMEM;
    *watch = (struct watch){0};
    copy_create(create, watch);
    struct watch *fits = realloc(watch, sizeof *watch + watch->n);
    watch = fits != NULL ? fits : watch;
    w->bytes += sizeof *watch + watch->n;
    insert(&w->pending, w->pending.n, watch);
    return ERR_OK;
}

static void note_cancel(struct etcd_watches *w, struct span cancel)
{
    const uint8_t *p = cancel.p, *end = span_end(cancel);
    struct pb_item it;
    int64_t id = 0;
    size_t at;
    while (p != end && pb_item_next(&p, end, &it))
        if (it.number == CANCEL_ID && it.wire == PB_WIRE_VARINT)
            id = (int64_t)it.varint;
    /* The last create with the id, which can be one that is asked for again. */
    for (size_t i = w->pending.n; id != 0 && i != 0; i--)
        if (w->pending.at[i - 1]->id == id) {
            w->pending.at[i - 1]->is_cancelling = true;
            return;
        }
    if (find(w, id, &at))
        w->live.at[at]->is_cancelling = true;
}

enum err etcd_watches_request(struct etcd_watches **made, struct span mapped)
{
    const uint8_t *p = mapped.p, *end = span_end(mapped);
    struct pb_item it, what = {0};
    unsigned kinds = 0;
    if (*made == NULL && (*made = calloc(1, sizeof **made)) == NULL)
        return ERR_NOMEM;
    struct etcd_watches *w = *made;
    w->bytes = w->bytes == 0 ? sizeof *w : w->bytes;
    while (p != end && pb_item_next(&p, end, &it)) {
        what = it;
        kinds++;
    }
    /* A union that is set twice: servers differ in what they make of it. */
    if (kinds > 1 || (kinds == 1 && what.wire != PB_WIRE_BYTES))
        w->cannot_resume = true;
    else if (what.number == REQUEST_CREATE)
        return add_pending(w, what.bytes);
    else if (what.number == REQUEST_CANCEL)
        note_cancel(w, what.bytes);
    else if (what.number == REQUEST_PROGRESS)
        w->progress_asked = true;
    return ERR_OK;
}

enum err etcd_watches_request_view(struct etcd_watches **made, struct span mapped,
                                   struct view_watch **view)
{
    enum err e = etcd_watches_request(made, mapped);
    if (e != ERR_OK)
        return e;
    struct etcd_watches *w = *made;
    CHECK(w->pending.n != 0);
    w->pending.at[w->pending.n - 1]->view = *view;
    etcd_watches_weigh(w, *view);
    *view = NULL;
    return ERR_OK;
}

/* -- replies -- */
struct reply {
    int64_t id, revision;
    bool is_created, is_canceled, is_fragment;
    uint32_t events;
    struct span last_event, reason;
};

static bool read_number(struct span message, uint32_t number, uint64_t *ret_v)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    *ret_v = 0;
    while (p != end) {
        const uint8_t *next = *p >> 3 == number ? NULL : pb_skip_usual(p, end);
        if (next != NULL) {
            p = next;
            continue;
        }
        if (!pb_item_next(&p, end, &it))
            return false;
        if (it.number == number && it.wire == PB_WIRE_VARINT)
            *ret_v = it.varint;
    }
    return true;
}

static bool read_reply(struct span message, struct reply *ret)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    uint64_t revision = 0;
    *ret = (struct reply){0};
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return false;
        if (it.number == REPLY_EVENT) {
            ret->events++;
            ret->last_event = it.wire == PB_WIRE_BYTES ? it.bytes : SPAN_NONE;
        } else if (it.number == REPLY_HEADER && it.wire == PB_WIRE_BYTES) {
            if (!read_number(it.bytes, HEADER_REVISION, &revision))
                return false;
        } else if (it.number == REPLY_ID) {
            ret->id = (int64_t)it.varint;
        } else if (it.number == REPLY_CREATED) {
            ret->is_created = it.varint != 0;
        } else if (it.number == REPLY_CANCELED) {
            ret->is_canceled = it.varint != 0;
        } else if (it.number == REPLY_REASON && it.wire == PB_WIRE_BYTES) {
            ret->reason = it.bytes;
        } else if (it.number == REPLY_FRAGMENT) {
            ret->is_fragment = it.varint != 0;
        }
    }
    ret->revision = (int64_t)revision;
    return true;
}

static int64_t event_revision(struct span event)
{
    const uint8_t *p = event.p, *end = span_end(event);
    struct pb_item it;
    uint64_t revision = 0;
    while (p != end && pb_item_next(&p, end, &it))
        if (it.number == EVENT_KV && it.wire == PB_WIRE_BYTES)
            (void)read_number(it.bytes, KV_MOD_REVISION, &revision);
    return (int64_t)revision;
}

/* The answer to the first create that was repeated. */
static enum err recreated(struct etcd_watches *w, const struct reply *r,
                          struct etcd_watch_verdict *ret)
{
    struct watch *watch = w->live.at[w->recreating_at];
    if (!r->is_canceled && r->id != watch->id)
        return ERR_UPSTREAM_PROTOCOL;
    watch->is_recreating = false;
    ret->is_hidden = !r->is_canceled;
    ret->is_recreate_error = r->is_canceled;
    ret->shown_id = watch->id;
    if (r->is_canceled)
        forget(w, &w->live, w->recreating_at);
    else if (watch->view != NULL && watch->shown == 0)
        watch->view->known = watch->next - 1; /* what came before the loss has been gone through */
    return ERR_OK;
}

static enum err created(struct etcd_watches *w, const struct reply *r,
                        struct etcd_watch_verdict *ret)
{
    size_t at;
    if (w->pending.n == 0)
        return ERR_UPSTREAM_PROTOCOL;
    struct view_watch *view = w->pending.at[0]->view;
    bool is_opening = view != NULL && view->needs_table;
    if (r->is_canceled) {
        ret->ends_opening = is_opening;
        forget(w, &w->pending, 0);
        return ERR_OK;
    }
    if (find(w, r->id, &at))
        return ERR_UPSTREAM_PROTOCOL;
    enum err e = reserve(w, &w->live);
    if (e != ERR_OK)
        return e;
    struct watch *watch = w->pending.at[0];
    w->pending.n--;
    memmove(&w->pending.at[0], &w->pending.at[1], w->pending.n * sizeof(struct watch *));
    if (watch->id == 0 && r->id >= w->auto_next)
        w->auto_next = r->id + 1;
    watch->id = r->id;
    if (watch->next == 0)
        watch->next = r->revision + 1;
    watch->from = watch->next;
    if (view != NULL && watch->next <= view->known)
        watch->next = view->known + 1;
    insert(&w->live, at, watch);
    ret->opens = is_opening ? view : NULL;
    ret->revision = r->revision;
    ret->id = r->id;
    return ERR_OK;
}

/* Events, or that there are none up to the header's revision. */
static void progressed(struct watch *watch, const struct reply *r, struct etcd_watch_verdict *ret)
{
    int64_t revision = r->events == 0 ? r->revision : event_revision(r->last_event);
    if (r->events == 0 && !r->is_fragment) {
        if (watch->left == 0 && revision >= watch->next) {
            watch->next = revision + 1;
            watch->from = watch->shown == 0 ? watch->next : watch->from;
        }
        return;
    }
    ret->last_event = r->events == 0 ? 0 : revision;
    ret->skip = watch->left < r->events ? watch->left : r->events;
    ret->ends_gap = ret->skip != 0 && ret->skip == watch->left && !r->is_fragment;
    ret->hides_gap = ret->skip != 0 && !ret->ends_gap;
    watch->left -= ret->skip;
    /* While nothing new was shown, what was shown begins at the same revision. */
    if (r->is_fragment || watch->left != 0) {
        watch->shown += r->events - ret->skip;
        return;
    }
    watch->shown = 0;
    if (revision >= watch->next)
        watch->next = revision + 1;
    watch->from = watch->next;
}

static bool has_recreating(struct etcd_watches *w)
{
    while (w->recreating_at < w->live.n && !w->live.at[w->recreating_at]->is_recreating)
        w->recreating_at++;
    return w->recreating_at < w->live.n;
}

enum err etcd_watches_reply(struct etcd_watches *w, struct span message,
                            struct etcd_watch_verdict *ret)
{
    struct reply r;
    size_t at;
    *ret = (struct etcd_watch_verdict){0};
    if (w->live.n == 1)
        __builtin_prefetch(w->live.at[0]); /* needed when the message has been read */
    if (!read_reply(message, &r))
        return ERR_UPSTREAM_PROTOCOL;
    if (r.is_created && r.is_canceled && r.reason.n != 0) {
        ret->refused = r.reason;
        return ERR_OK;
    }
    if (r.is_created)
        return has_recreating(w) ? recreated(w, &r, ret) : created(w, &r, ret);
    ret->revision = r.revision;
    ret->events = r.events;
    ret->is_fragment = r.is_fragment;
    if (!find(w, r.id, &at)) {
        if (r.id == -1 && !r.is_canceled)
            w->progress_asked = false;
        return ERR_OK;
    }
    struct watch *watch = w->live.at[at];
    ret->view = r.is_canceled ? NULL : watch->view;
    if (r.is_canceled)
        forget(w, &w->live, at);
    else
        progressed(watch, &r, ret);
    return ERR_OK;
}

enum err etcd_watches_refused(struct etcd_watches *w, struct span message,
                              struct etcd_watch_verdict *ret)
{
    struct reply r;
    *ret = (struct etcd_watch_verdict){0};
    if (!read_reply(message, &r))
        return ERR_UPSTREAM_PROTOCOL;
    return has_recreating(w) ? recreated(w, &r, ret) : created(w, &r, ret);
}

void etcd_watches_begin_at(struct etcd_watches *w, int64_t id, int64_t next)
{
    size_t at;
    if (find(w, id, &at))
        w->live.at[at]->next = next;
}

bool etcd_watches_show(const struct etcd_watches *w, size_t nth, struct etcd_watch_shown *ret)
{
    if (w == NULL || nth >= w->live.n + w->pending.n)
        return false;
    bool is_live = nth < w->live.n;
    const struct watch *watch = is_live ? w->live.at[nth] : w->pending.at[nth - w->live.n];
    *ret = (struct etcd_watch_shown){.id = watch->id,
                                     .next = watch->next,
                                     .is_live = is_live,
                                     .is_view = watch->view != NULL,
                                     .create = span_of(watch->create, watch->n)};
    return true;
}

enum etcd_watch_usual etcd_watches_usual(struct etcd_watches *w, const struct etcd_ns *ns,
                                         struct span message, struct buf *out)
{
    int64_t id, revision;
    struct span events;
    size_t at;
    if (w == NULL)
        return USUAL_NOT;
    if (w->live.n == 1)
        __builtin_prefetch(w->live.at[0]); /* needed when the head has been read */
    if (!watch_take_begin(message, &id, &events) || !find(w, id, &at))
        return USUAL_NOT;
    struct watch *watch = w->live.at[at];
    /* left, shown: in the middle of fragments, or of what is seen again. */
    if (watch->left != 0 || watch->shown != 0)
        return USUAL_NOT;
    bool is_view = watch->view != NULL;
    if (is_view ? !view_skip_events(watch->view, events, &revision)
                : !watch_plain_strip(ns, message, events, out, &revision))
        return USUAL_NOT;
    if (revision >= watch->next)
        watch->next = revision + 1;
    watch->from = watch->next;
    return is_view ? USUAL_SKIPPED : USUAL_SHOWN;
}

/* -- resume -- */
bool etcd_watches_can_resume(const struct etcd_watches *w)
{
    return w == NULL || !w->cannot_resume;
}

bool etcd_watches_may_begin_again(const struct etcd_watches *w)
{
    return etcd_watches_can_resume(w) &&
           (w == NULL || w->live.n + w->pending.n < LIMIT_WATCHES_AGAIN);
}

static size_t begin_frame(struct pb_writer *w)
{
    static const uint8_t head[GRPC_HEAD_BYTES];
    size_t at = buf_len(w->out);
    if (w->error == ERR_OK)
        w->error = buf_append(w->out, span_of(head, sizeof head));
    return at;
}

static void end_frame(struct pb_writer *w, size_t at)
{
    if (w->error == ERR_OK)
        grpc_frame_head(w->out->data + w->out->head + at,
                        (uint32_t)(buf_len(w->out) - at - GRPC_HEAD_BYTES));
}

static void write_watch(struct pb_writer *w, const struct watch *watch, int64_t from)
{
    size_t frame = begin_frame(w);
    size_t create = pb_write_begin(w, REQUEST_CREATE);
    if (w->error == ERR_OK)
        w->error = buf_append(w->out, span_of(watch->create, watch->n));
    if (from != 0)
        pb_write_number(w, CREATE_START, (uint64_t)from);
    if (watch->id != 0)
        pb_write_number(w, CREATE_ID, (uint64_t)watch->id);
    pb_write_end(w, create);
    end_frame(w, frame);
    if (!watch->is_cancelling)
        return;
    frame = begin_frame(w);
    size_t cancel = pb_write_begin(w, REQUEST_CANCEL);
    pb_write_number(w, CANCEL_ID, (uint64_t)watch->id);
    pb_write_end(w, cancel);
    end_frame(w, frame);
}

enum err etcd_watches_resume(struct etcd_watches *w, struct buf *to_up)
{
    struct pb_writer out = {.out = to_up};
    if (w == NULL)
        return ERR_OK;
    w->has_resumed = true;
    w->recreating_at = 0;
    for (size_t i = 0; i < w->live.n; i++) {
        struct watch *watch = w->live.at[i];
        watch->is_recreating = true;
        watch->left = watch->shown;
        if (watch->shown == 0)
            watch->from = watch->next - (watch->view != NULL && watch->next > 1);
        write_watch(&out, watch, watch->from);
    }
    for (size_t i = 0; i < w->pending.n; i++) {
        struct watch *watch = w->pending.at[i];
        if (watch->id == 0) /* 0 again if etcd has numbered none: then its own are the same */
            watch->id = take_auto_id(w);
        write_watch(&out, watch, watch->next);
    }
    if (w->progress_asked) {
        size_t frame = begin_frame(&out);
        pb_write_end(&out, pb_write_begin(&out, REQUEST_PROGRESS));
        end_frame(&out, frame);
    }
    return out.error;
}
