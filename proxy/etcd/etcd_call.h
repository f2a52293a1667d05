/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_call - one gRPC call of an application, both directions; pure.
 *
 *   app DATA --feed_app--> frames cut, keys and leases mapped --> to_up  --> upstream DATA
 *   app DATA <-- to_app <-- keys and leases stripped <--feed_up-- upstream DATA
 *
 * io owns the HTTP/2 streams and moves bytes; what a byte means is decided here. Mapping is one
 * call to one call (design.md 4.6): no cache, no merging.
 */
#ifndef ETCD_ETCD_CALL_H
#define ETCD_ETCD_CALL_H

#include "base/counters.h"
#include "base/rng.h"
#include "etcd/etcd_rules.h"
#include "policy/key_map.h"
#include "policy/lease_tag.h"
#include "wire/grpc_frame.h"

enum { ETCD_CLIENT_URL_BYTES = 320, ETCD_DETAIL_BYTES = 160 };

/* What all calls of one sidecar share. Owned by io; lives longer than every call. */
struct etcd_ns {
    struct key_map keys, markers;
    bool has_user;     /* the sidecar's own: calls go with its token */
    bool marks_leases; /* the store has a role for each namespace: see etcd_marker.c */
    uint32_t tag;      /* valid when has_tag */
    bool has_tag;      /* the registry is settled; calls that need it wait until then */
    struct rng rng;
    struct counters *counters;              /* borrowed */
    char client_url[ETCD_CLIENT_URL_BYTES]; /* "http://127.0.0.1:2379", for MemberList */
    bool upstream_usable;                   /* what grpc.health answers */
    struct etcd_family *family;             /* shares; view subtree; NULL: view own */
    /* The last ResponseHeader seen, for answers made here. */
    uint64_t cluster_id, member_id, raft_term;
    int64_t revision;
};

/* Take over a ResponseHeader's ids, revision and term. ERR_PB_MALFORMED: does not parse. */
enum err etcd_ns_note_header(struct etcd_ns *ns, struct span header) ATTR_MUST_USE;

enum etcd_policy {
    ETCD_REWRITE, /* through the mappers */
    ETCD_FORWARD, /* as it is */
    ETCD_LOCAL,   /* answered here by etcd_call_end_app(); no upstream stream */
    ETCD_DENY,    /* answered before any upstream byte: ERR_DENIED */
};
/* Which upstream connection: events must not wait behind big reads (design.md 4.6). */
enum etcd_lane { ETCD_LANE_UNARY, ETCD_LANE_STREAM, ETCD_LANES };

struct etcd_family; /* etcd/etcd_family.h */
struct pb_message;  /* wire/pb_splice.h */
struct etcd_route {
    struct span path; /* "/etcdserverpb.KV/Range" */
    enum etcd_policy policy;
    enum etcd_lane lane;
    bool client_streams; /* more than one request message */
    bool server_streams;
    bool needs_tag;  /* the call waits until ns->has_tag, LOCAL ones too: they show etcd's header */
    bool resumes;    /* goes on after upstream was lost: etcd_call_resume() */
    bool stays_open; /* LOCAL: the stream does not end after the answer (grpc.health Watch) */
    unsigned kind;   /* enum etcd_kind of etcd_route.c: which special cases apply */
    const struct pb_message *request, *response; /* NULL where nothing is mapped */
};

/* NULL: unknown method, ERR_UNIMPLEMENTED. The table is static. */
const struct etcd_route *etcd_route_find(struct span path);
/* Why the call is not even begun: ERR_OK for REWRITE, FORWARD and LOCAL; ERR_DENIED;
 * ERR_UNIMPLEMENTED for NULL. *ret_message, always written, is static: the
 * grpc-message before percent-encoding. */
enum err etcd_route_refusal(const struct etcd_route *route, const char **ret_message) ATTR_MUST_USE;
/* Every route as it is by default, for the documentation's table and for tests. */
const struct etcd_route *etcd_route_table(size_t *ret_n);

/* The routes of one sidecar: the table, with the configuration applied once, at start. */
enum { ETCD_ROUTES_MAX = 56 };
struct etcd_routes {
    size_t n;
    struct etcd_route route[ETCD_ROUTES_MAX];
};
void etcd_routes_init(struct etcd_routes *r, const struct etcd_rules *rules);
/* As etcd_route_find(). */
const struct etcd_route *etcd_routes_find(const struct etcd_routes *r, struct span path);

/* Observe: what was asked, mapped, and the leader that was shown last. */
struct etcd_observed {
    struct buf request, key;
    uint64_t mod;
    bool is_resumed; /* nothing has come since upstream was lost */
};

struct etcd_call {
    const struct etcd_route *route; /* shares */
    struct etcd_ns *ns;             /* shares */
    struct grpc_reader from_app, from_up;
    struct buf to_up;  /* frames for upstream; io consumes */
    struct buf to_app; /* frames for the application; io consumes */
    unsigned requests; /* whole messages seen from the application */
    bool app_ended;
    char detail[ETCD_DETAIL_BYTES];  /* text that replaces the table's grpc-message, "" = none */
    struct etcd_lease_queue *leases; /* ids as the application wrote them, oldest first; owned */
    int64_t lease_asked;             /* LeaseTimeToLive: the id as the application wrote it */
    bool lease_random;               /* LeaseGrant with id 0: may be tried again */
    uint8_t lease_tries;
    struct buf lease_grant; /* that request's message, for the next try */
    enum etcd_prelude {
        ETCD_NO_PRELUDE,
        ETCD_PRELUDE_ASKS, /* for a lease; a LeaseGrant of the application too if it is marked */
        ETCD_PRELUDE_ANSWERED,
        ETCD_PRELUDE_MARKS,  /* the lease */
        ETCD_PRELUDE_MARKED, /* and with that a LeaseGrant is answered */
        ETCD_PRELUDE_REVOKES /* it could not be marked */
    } prelude;
    struct buf after_prelude;     /* the request's message, mapped, still without a lease */
    int64_t prelude_lease;        /* the granted id, as it is stored */
    enum err marker_error;        /* in REVOKES: how the call ends */
    bool has_fragments;           /* Watch: a fragment was seen */
    bool is_unmoved;              /* the last etcd_call_feed_up() left nothing but skipped events */
    struct etcd_watches *watches; /* Watch: to resume by; owned; NULL before the first request */
    struct view_range *range;     /* a read of several namespaces; owned; NULL: the own one's */
    struct view_stream *views;    /* Watch: what watches of several namespaces wait for; owned */
    struct etcd_observed observed;
    /* Watch, where the sidecar has a user: the stream's token is not new, so a create that is
     * refused may be because of it; and it was: the stream is to be opened again, with
     * etcd_call_resume(). */
    bool is_token_old, is_token_stale;
    bool begins_again;   /* Watch, after etcd_call_end_side(): likewise, for a watch that upstream
                            created behind its start */
    uint8_t token_tries; /* times in a row */
    bool is_local_read;  /* a member answers it that has lost the others, too */
    uint8_t health;      /* the last status answered, 0 = none */
};

/* Only for routes whose policy is REWRITE, FORWARD or LOCAL. Allocates nothing. */
void etcd_call_init(struct etcd_call *c, struct etcd_ns *ns, const struct etcd_route *route);
void etcd_call_deinit(struct etcd_call *c);

/* Bytes of the application's DATA frames, all of them consumed. On an error the call is over:
 * io answers with err_info(e)->grpc_status and etcd_call_message(c, e), and resets upstream. */
enum err etcd_call_feed_app(struct etcd_call *c, struct span in) ATTR_MUST_USE;
/* Upstream has many answers to give: the application should be held up (flow control). */
bool etcd_call_is_behind(const struct etcd_call *c);
/* Memory of what is in flight and of watches, besides the buffers. */
size_t etcd_call_queue_bytes(const struct etcd_call *c);
/* The application half-closed. ERR_GRPC_FRAME in the middle of a message, ERR_GRPC_REQUEST unless a
 * unary call had exactly one. LOCAL: the answer is now in to_app. */
enum err etcd_call_end_app(struct etcd_call *c) ATTR_MUST_USE;

/* Bytes of upstream's DATA frames. They are rewritten in place before being copied to to_app: in
 * must be writable memory. Errors: ERR_UPSTREAM_PROTOCOL, ERR_NOMEM, ERR_REQUEST_TOO_LARGE (over
 * LIMIT_GRPC_RESPONSE_BYTES). */
enum err etcd_call_feed_up(struct etcd_call *c, struct span in) ATTR_MUST_USE;
/* Upstream's stream ended. ERR_UPSTREAM_PROTOCOL in the middle of a message; ERR_MARKER,
 * ERR_MARKER_DENIED: the lease could not be marked and was given back. */
enum err etcd_call_end_up(struct etcd_call *c) ATTR_MUST_USE;
/* True: to_up holds a new request, and the call is to be sent upstream once more (to what is now
 * etcd_call_method()), as if nothing had been answered: a random lease id was taken, or the prelude
 * is over. */
bool etcd_call_retry(struct etcd_call *c, int grpc_status);
/* Upstream's stream was lost. True: to_up holds what a new one begins with, and the application is
 * not to notice (design.md 4.6). False: the call cannot be resumed; it is over. */
bool etcd_call_resume(struct etcd_call *c);
/* Where to_up goes: the route's path, or, in a prelude, another method. */
struct span etcd_call_method(const struct etcd_call *c);
/* A prelude is a request of our own that must be answered before the application's can go upstream.
 * Nothing of its answer is for the application, but the status if it fails. */
static inline bool etcd_call_in_prelude(const struct etcd_call *c)
{
    return c->prelude != ETCD_NO_PRELUDE || c->range != NULL;
}
/* One of our requests has already changed the store: the call may not be said not to have begun. */
static inline bool etcd_call_has_begun(const struct etcd_call *c)
{
    return c->prelude >= ETCD_PRELUDE_MARKS;
}
/* A read of several namespaces is complete, or the lease is marked: to_app holds all of the answer,
 * and its head is ours. */
bool etcd_call_is_answered(const struct etcd_call *c);

/*
 * Reads that watches of several namespaces need (etcd/view_watch.h), one at a time, over the unary
 * lane. Meanwhile the stream's own bytes wait where their order matters.
 *
 *   wants_side ─> begin_side: the request ─> feed_side … ─> end_side: go on
 *                     ^                                        │ the answer asks for another
 *                     └──── lost: the same again ──────────────┘
 */
bool etcd_call_wants_side(const struct etcd_call *c);
/* Writes the request's frame into *out, which is emptied, and names its method. */
enum err etcd_call_begin_side(struct etcd_call *c, struct buf *out,
                              struct span *ret_method) ATTR_MUST_USE;
enum err etcd_call_feed_side(struct etcd_call *c, struct span in) ATTR_MUST_USE;
/* Answered with this status, 0 or 11 (OutOfRange: the revision is compacted or future). */
enum err etcd_call_end_side(struct etcd_call *c, int grpc_status) ATTR_MUST_USE;
/* Upstream's bytes wait here: it should be held up. */
bool etcd_call_is_held(const struct etcd_call *c);
/* Requests of the application wait here: to_up has not ended, though the application has. */
bool etcd_call_has_later(const struct etcd_call *c);

/* grpc.health Watch, after the answer: appends a message if the status has changed since. For io to
 * call when ns->upstream_usable changes. */
enum err etcd_call_push_health(struct etcd_call *c) ATTR_MUST_USE;

/* What to write into grpc-message for e, before percent-encoding. Borrows c. */
const char *etcd_call_message(const struct etcd_call *c, enum err e);

#endif
