/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_js_view - a read of a listed stream in view subtree (design.md 5.5, view.streams); private
 * to this folder.
 *
 *   request ──> OWN ──it is there──────────────────────────────────> answered
 *                │ "stream not found"
 *                ├─ remembered ─> ASK ──> answered                    (its holder has it no more:
 * SEARCH) └─ else SEARCH (STREAM.NAMES of the subtree) ─ nearest holder ─> ASK ──> answered └
 * nobody ──> the first answer ASK for a new consumer: first CHECK (STREAM.INFO), because only in a
 * stream that keeps messages by limits does a consumer change nothing for others.
 *
 * The own namespace is asked first every time, so an own stream wins from its first moment. What is
 * remembered of a session is only which holder a name led to last, for requests that are answered
 * with messages (MSG.NEXT, DIRECT.GET) and for acknowledgements, which follow the consumer.
 */
#ifndef NATS_NATS_JS_VIEW_H
#define NATS_NATS_JS_VIEW_H

#include "nats/js_api.h"
#include "nats/nats_js.h"

/* Where a listed name led to. Shared by the session and by requests that wait. */
struct js_holder {
    struct js_holder *next; /* older */
    unsigned refs;
    struct nats_ns *ns; /* the holder's; NULL: the own namespace */
    size_t stream_bytes;
    uint8_t stream[];
};

/* Must this request's body be whole, because it may have to be asked again elsewhere? */
bool js_view_wants(const struct nats_session *s, const struct nats_line *l,
                   const struct js_call *call);
/* Takes the request; its payload is whole in *in. */
enum err js_view_request(struct nats_session *s, const struct nats_line *l,
                         const struct js_call *call, struct span *in) ATTR_MUST_USE;
/* An answer to one of its questions. *ret_tell: *ret_body, in the names of p->holder, is what the
 * application is to be told; otherwise the request goes on, or was answered. */
enum err js_view_answer(struct nats_session *s, struct js_pending *p, struct span body,
                        struct span *ret_body, bool *ret_tell) ATTR_MUST_USE;
/* The holder that a name led to last; NULL: unknown. */
struct js_holder *js_view_find(const struct nats_js *js, struct span stream);
/* Something of this name was made or deleted: look again. */
void js_view_forget(struct nats_js *js, struct span stream);
void js_holder_release(struct js_holder *h);
void js_view_free(struct js_view *v);

#endif
