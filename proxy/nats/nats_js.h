/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_js - JetStream in one session; private to this folder.
 *
 *   PUB $JS.API.STREAM.INFO.S R ──map──> PUB $JS.API.STREAM.INFO.a~~S <our inbox>.7
 *   pending: 7 -> row, R                          │
 *   PUB bh.e.n.R <stripped answer>  <──strip── MSG <our inbox>.7 {"config":{"name":"a~~S"…
 *
 * Answers of the API hold stored names, lists even foreign ones, so no subscription of an
 * application may hear them: they come to an inbox outside every slice, bh.r.<names' prefix>.
 * <server id>.<client id>.<number>, and are published to R in the application's names.
 *
 * Straight to the application goes what is frequent: acknowledgements of publishes, pulled and
 * pushed messages, direct gets. They are known by what they are (js_ack_prefix, headers, the reply)
 * and need no memory of a request.
 */
#ifndef NATS_NATS_JS_H
#define NATS_NATS_JS_H

#include "nats/js_api.h"
#include "nats/nats_info.h"
#include "nats/nats_session.h"
#include "wire/nats_parse.h"

struct js_view;
struct js_holder;

/* STREAM.NAMES or STREAM.LIST, page by page. */
struct js_list {
    struct buf head;    /* of the request's subject: "$JS.API." or a domain's */
    struct buf subject; /* the mapped filter; empty: none */
    struct buf items;   /* own ones that were asked for, stripped, with commas */
    uint64_t next;      /* offset of the next page, in the server's list */
    uint64_t skip;      /* the application's offset, in the own list */
    uint64_t own;       /* own ones seen so far */
    uint64_t shown;     /* of those, how many are in items */
    /* A search by subject, in view subtree: where the namespace has none, the nearest descendant's
     * listed one is found, or clients would not read what they may (view.streams). */
    bool sees_below;
    bool any_below;
    struct ns_path nearest;
    struct buf below; /* its name, as JSON */
};

struct js_pending {
    struct js_pending *next; /* newer */
    uint64_t number;
    const struct js_row *row;
    struct js_list *list;     /* of lists, else NULL */
    struct js_view *view;     /* of a read that may go on elsewhere, else NULL */
    struct js_holder *holder; /* whose names the answer holds; NULL: the own ones */
    size_t reply_bytes;
    uint8_t reply[]; /* R, as the application wrote it */
};

struct nats_js {
    struct js_pending *oldest;
    unsigned pending;
    uint64_t number;           /* of the last request */
    bool subscribed;           /* to our inbox */
    struct js_holder *holders; /* of listed streams, last one first */
    struct buf scratch;        /* one subject or reply while a line is written */
    struct buf aside;          /* nats_session_aside */
};

/* The session's, made when first needed. ERR_NOMEM. */
enum err nats_js_get(struct nats_session *s, struct nats_js **ret_js) ATTR_MUST_USE;
void nats_js_free(struct nats_js **js);
/* An own buffer for one name, emptied. NULL: no memory. */
struct buf *nats_js_scratch(struct nats_session *s);

/* How many bytes behind the line are needed before it can be dealt with; 0: none. */
size_t nats_js_wants_of_app(const struct nats_session *s, const struct nats_line *l);
size_t nats_js_wants_of_up(const struct nats_session *s, const struct nats_line *l, struct span in);

/* A publish to "$JS.…". False: it is an ordinary subject. */
bool nats_js_publish(struct nats_session *s, const struct nats_line *l, struct span *in,
                     enum err *ret_error);
/* A message of our own inbox? Then it is an answer of the API. */
static inline bool nats_js_is_inbox(struct span sid)
{
    return sid.p[0] == 'r';
}
/* Or one of the server's advisories and metrics? */
static inline bool nats_js_is_event(struct span sid)
{
    return sid.p[0] == 'v';
}
enum err nats_js_answer(struct nats_session *s, const struct nats_line *l,
                        struct span *in) ATTR_MUST_USE;

/* Subscribe to our inbox if that has not been done, and append a subject in it. */
enum err js_inbox_open(struct nats_session *s) ATTR_MUST_USE;
enum err js_inbox_append(const struct nats_session *s, uint64_t number,
                         struct buf *out) ATTR_MUST_USE;
/* Remember a request; takes list. ERR_NOMEM (list is freed). */
enum err js_pending_add(struct nats_js *js, const struct js_row *row, struct span reply,
                        struct js_list *list) ATTR_MUST_USE;
struct js_pending *js_pending_newest(struct nats_js *js);
/* Takes the request with that number out; NULL: forgotten. Free it with js_pending_free. */
struct js_pending *js_pending_take(struct nats_js *js, uint64_t number);
void js_pending_free(struct js_pending *p);
void js_list_free(struct js_list *list);

/* A message to the application's reply, in the place of the server's answer. is_ours: a verbose
 * application is not waiting for a +OK. */
enum err js_say(struct nats_session *s, struct span reply, struct span header, struct span body,
                bool is_ours) ATTR_MUST_USE;
/* A line of our own to the server, where no payload passes. ERR_NATS_CONTROL_LINE. */
enum err js_publish(struct nats_session *s, struct span subject, struct span reply,
                    struct span body) ATTR_MUST_USE;
struct js_error {
    unsigned code, err_code;
    const char *text;
};
enum err js_error_body(const struct js_row *row, const struct js_error *error,
                       struct buf *out) ATTR_MUST_USE;

/* js_list: the request of the next page; one page of an answer. *ret_done: items are complete, and
 * body was appended to out. ERR_SYNTAX: the answer is none. */
enum err js_list_begin(const struct nats_ns *ns, const struct js_call *call, struct span body,
                       struct js_list **ret_list) ATTR_MUST_USE;
enum err js_list_request(const struct js_list *list, struct buf *out) ATTR_MUST_USE;
enum err js_list_page(const struct nats_ns *ns, struct js_list *list, const struct js_row *row,
                      struct span body, struct buf *out, bool *ret_done) ATTR_MUST_USE;

#endif
