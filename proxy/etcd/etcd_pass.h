/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_pass - private to etcd/: one message on its way through, and the descriptors of all
 * messages.
 *
 * The hooks in etcd_kv.c, etcd_txn.c, etcd_watch.c and etcd_lease.c get the pass as their context.
 */
#ifndef ETCD_ETCD_PASS_H
#define ETCD_ETCD_PASS_H

#include "etcd/etcd_call.h"
#include "etcd/etcd_watch_resume.h"
#include "wire/pb_splice.h"

enum etcd_kind {
    ETCD_KIND_PLAIN,
    ETCD_KIND_WATCH,
    ETCD_KIND_LEASE_GRANT,
    ETCD_KIND_LEASE_KEEP_ALIVE,
    ETCD_KIND_LEASE_TIME_TO_LIVE,
    ETCD_KIND_LEASE_LEASES,
    ETCD_KIND_LEASED, /* Lock, Campaign: the lease is field 2 */
    ETCD_KIND_HELD,   /* Proclaim, Resign: the lease is field 4 of field 1 */
    ETCD_KIND_MEMBER_LIST,
    ETCD_KIND_AUTHENTICATE,
    ETCD_KIND_AUTH_STATUS,
    ETCD_KIND_HEALTH_CHECK,
    ETCD_KIND_HEALTH_WATCH,
    ETCD_KIND_COMPACT,
    ETCD_KIND_RANGE,
    ETCD_KIND_RANGE_STREAM,
    ETCD_KIND_TXN,
    ETCD_KIND_STATUS,
    ETCD_KIND_OBSERVE,
};

struct etcd_pass {
    struct etcd_call *call;
    /* A request's faults that etcd reports only after it has read and counted all of it. */
    enum err pending;
    unsigned txn_levels; /* TxnRequests open at this point */
    unsigned txn_ops;    /* the longest path's operations, once the outermost Txn has ended */
    bool writes;
    bool reads_at_revision;
    bool needs_quorum; /* a member that has lost the others cannot answer it: of KV's messages */
    /* LeaseGrant, LeaseKeepAlive, LeaseTimeToLive, locks and elections. Request: the last ID, as
     * the application wrote it; reply: what it sees. */
    int64_t lease_asked;
    bool wants_lease;   /* a request of v3lock or v3election without one: see etcd_prelude.c */
    uint64_t member_id; /* StatusResponse: of its header */
    /* WatchResponse */
    unsigned events, events_kept;
    bool must_send; /* says something besides its events */
    struct etcd_watch_verdict watch;
};

/* What is wrong with a request that parsed, in the order of etcd's own checks (v3rpc/key.go). */
enum err etcd_pass_verdict(const struct etcd_pass *pass) ATTR_MUST_USE;

/* Hooks used by several messages. */
enum err etcd_map_key(void *ctx, struct pb_frame *f, struct span value, struct buf *out);
enum err etcd_map_range_end(void *ctx, struct pb_frame *f, struct span value, struct buf *out);
enum err etcd_strip_key(void *ctx, struct pb_frame *f, struct span value, struct span *ret_rest);
enum err etcd_use_lease(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v);
enum err etcd_strip_lease(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v);
enum err etcd_note_header(void *ctx, struct pb_frame *f, struct span value);
/* pb_frame.note[] of messages with a key: whether its last occurrence was not empty. */
enum { NOTE_HAS_KEY };
/* Of RangeRequest: it asks for an order that does not exist; any member may answer it. */
enum { NOTE_BAD_SORT = 2, NOTE_SERIALIZABLE = 3 };
/* pb_frame.note[] of RequestOp: it holds an operation. up is NULL outside a Txn. */
enum { NOTE_OP_IS_SET = 1 };
static inline void etcd_op_is_set(struct pb_frame *up)
{
    if (up != NULL)
        up->note[NOTE_OP_IS_SET] = 1;
}
/* pb_end_fn of such messages: a missing key becomes pass->pending. */
enum err etcd_need_key(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out);
/* Remember the first fault. */
void etcd_pass_fault(struct etcd_pass *pass, enum err e);

/* Field 1 of every reply. */
#define ETCD_HEADER_FIELD                                                                          \
    {                                                                                              \
        .action = PB_PEEK, .peek = etcd_note_header                                                \
    }

extern const struct pb_message etcd_range_request, etcd_range_response;
extern const struct pb_message etcd_range_stream_response;
extern const struct pb_message etcd_put_request, etcd_put_response;
extern const struct pb_message etcd_delete_range_request, etcd_delete_range_response;
extern const struct pb_message etcd_key_value;
extern const struct pb_message etcd_txn_request, etcd_txn_response;
extern const struct pb_message etcd_watch_request, etcd_watch_response;
extern const struct pb_message etcd_lease_grant_request, etcd_lease_grant_response;
extern const struct pb_message etcd_lease_revoke_request;
extern const struct pb_message etcd_lease_keep_alive_request, etcd_lease_keep_alive_response;
extern const struct pb_message etcd_lease_time_to_live_request, etcd_lease_time_to_live_response;
extern const struct pb_message etcd_lease_leases_response, etcd_marked_leases_response;
extern const struct pb_message etcd_alarm_request, etcd_masked_status_response;
extern const struct pb_message etcd_leased_request, etcd_held_request, etcd_leader_request;
extern const struct pb_message etcd_unlock_request, etcd_lock_response, etcd_campaign_response;
extern const struct pb_message etcd_leader_response;

/* Ids asked for on one LeaseKeepAlive stream, oldest first. */
enum err etcd_lease_queue_push(struct etcd_lease_queue **q, int64_t id) ATTR_MUST_USE;
/* The nth of them, from 0; false if there are fewer. */
bool etcd_lease_queue_peek(const struct etcd_lease_queue *q, unsigned nth,
                           int64_t *ret_id) ATTR_MUST_USE;
bool etcd_lease_queue_pop(struct etcd_lease_queue *q, int64_t *ret_id) ATTR_MUST_USE;
void etcd_lease_queue_free(struct etcd_lease_queue **q);

/* Append message as one frame, rewritten if m is not NULL. On an error out is as it was. */
enum err etcd_frame_spliced(const struct pb_message *m, struct etcd_pass *pass, struct span message,
                            struct buf *out) ATTR_MUST_USE;

/* etcd_prelude.c: the only frame of to_up is set aside, and a LeaseGrant takes its place. */
enum err etcd_prelude_begin(struct etcd_call *c) ATTR_MUST_USE;
/* A message of the answer to our own request. */
enum err etcd_prelude_reply(struct etcd_call *c, struct span message) ATTR_MUST_USE;
/* It has ended with this status. True: to_up holds the next request, ours or the application's. */
bool etcd_prelude_next(struct etcd_call *c, int grpc_status);
struct span etcd_prelude_method(const struct etcd_call *c);

/* etcd_marker.c: the next request marks the lease that was granted (prelude_lease). */
enum err etcd_marker_put(struct etcd_call *c) ATTR_MUST_USE;
/* It could not be marked: the next request gives it back. */
enum err etcd_marker_give_up(struct etcd_call *c, int grpc_status) ATTR_MUST_USE;
/* LeaseLeases: the request, and its answer. */
enum err etcd_marker_list(struct etcd_call *c) ATTR_MUST_USE;
enum err etcd_marker_listed(struct etcd_call *c, struct span message) ATTR_MUST_USE;

/* etcd_observe.c: the request as it goes upstream; a reply as it comes, hidden if it was shown;
 * to_up holds the request again. */
enum err etcd_observe_request(struct etcd_call *c, struct span mapped) ATTR_MUST_USE;
enum err etcd_observe_reply(struct etcd_call *c, struct span message,
                            bool *ret_hidden) ATTR_MUST_USE;
enum err etcd_observe_resume(struct etcd_call *c) ATTR_MUST_USE;
void etcd_observe_deinit(struct etcd_observed *o);

/* etcd_call_view.c: *ret_taken: message is for several namespaces, and to_up holds the first of our
 * own requests. Only where ns->family is set. */
enum err etcd_view_request(struct etcd_call *c, struct span message, bool *ret_taken) ATTR_MUST_USE;
enum err etcd_view_reply(struct etcd_call *c, struct span message) ATTR_MUST_USE;
/* True: to_up holds the next request. */
bool etcd_view_next(struct etcd_call *c, int grpc_status);
/* etcd_call_fill.c: a create; what came of one whose table was still to be filled. */
enum err etcd_view_watch(struct etcd_call *c, struct span message, bool *ret_taken) ATTR_MUST_USE;
enum err etcd_view_opened(struct etcd_call *c, const struct etcd_watch_verdict *verdict,
                          struct span message) ATTR_MUST_USE;
enum err etcd_view_not_opened(struct etcd_call *c) ATTR_MUST_USE;
/* etcd_call_watch.c: a reply with events of a watch of several namespaces. */
enum err etcd_view_events(struct etcd_call *c, const struct etcd_watch_verdict *verdict,
                          struct span message) ATTR_MUST_USE;
/* Bytes that have to wait their turn: of the application behind a create that is being filled, of
 * upstream behind an event that is being fetched. */
enum err etcd_view_wait_app(struct etcd_call *c, struct span in) ATTR_MUST_USE;
enum err etcd_view_wait_up(struct etcd_call *c, struct span in) ATTR_MUST_USE;
/* Upstream was lost: what waited of it will come again. */
void etcd_view_forget_up(struct etcd_call *c);
void etcd_view_free(struct etcd_call *c);
size_t etcd_view_bytes(const struct etcd_call *c);
/* An empty head, to be mended when the message is complete; e != ERR_OK: nothing is left of it. */
size_t etcd_frame_begin(struct buf *out, enum err *e);
void etcd_frame_end(struct buf *out, size_t at, enum err e);

/* LOCAL routes (etcd_local.c): look at the request message; append the answer's frame. */
enum err etcd_local_request(struct etcd_call *c, struct span message) ATTR_MUST_USE;
enum err etcd_local_answer(struct etcd_call *c) ATTR_MUST_USE;

#endif
