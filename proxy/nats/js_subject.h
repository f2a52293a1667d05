/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_subject - subjects and names of JetStream, where they stand inside bodies, headers and replies
 * (design.md 5.5).
 *
 *   event   bh.e.n.S   the result of a transform, or what a view sends nowhere else
 *   lookup  bh.e.n.S, or bh.d.n.S where this view publishes S as a request
 *   deliver bh.j.n.S if a literal subscription to S listens there (view.events, in both views),
 *           else bh.e.n.S: a wildcard, which hears descendants, wakes no push consumer
 *   filter  bh.e.n.P, or bh.*.n.P if a request could match P: members of the namespace with another
 *           view publish those under "d"
 *   ACK FC  $JS.ACK.<stream>.…, $JS.FC.<stream>.…: the one token is mapped, the rest is the
 * server's
 */
#ifndef NATS_JS_SUBJECT_H
#define NATS_JS_SUBJECT_H

#include "nats/nats_session.h"

/* Appends the stored form. ERR_NOMEM. An empty subject stays empty: it means "none". */
enum err js_subject_event(const struct nats_ns *ns, struct span subject,
                          struct buf *out) ATTR_MUST_USE;
enum err js_subject_lookup(const struct nats_ns *ns, struct span subject,
                           struct buf *out) ATTR_MUST_USE;
enum err js_subject_deliver(const struct nats_ns *ns, struct span subject,
                            struct buf *out) ATTR_MUST_USE;
enum err js_subject_filter(const struct nats_ns *ns, struct span pattern,
                           struct buf *out) ATTR_MUST_USE;
/* True, and S as a part of stored, if stored is bh.e.n.S, bh.d.n.S, bh.j.n.S or
 * bh.*.n.S. */
bool js_subject_strip(const struct nats_ns *ns, struct span stored, struct span *ret_subject);
/* Where a server has what it copies for a stream delivered: $JS.S.ID, $JS.M.ID. Shown as it is. */
bool js_subject_is_servers(struct span stored, struct span *ret_subject);

/* $JS.ACK.… of an acknowledgement or $JS.FC.… of flow control: the stream's token in either form.
 */
bool js_subject_stream(struct span subject, struct span *ret_stream);
/* With that token mapped / stripped, appended. False: no such subject, or the stream's name is too
 * long / not of this namespace; nothing was appended. */
bool js_reply_map(const struct nats_ns *ns, struct span subject, struct buf *out,
                  enum err *ret_error);
bool js_reply_strip(const struct nats_ns *ns, struct span stored, struct buf *out,
                    enum err *ret_error);

/* bh.r.<names' prefix>.S: where nobody listens, whatever the streams and subscriptions of any
 * namespace are; how a denied request gets the server's 503 and +OK. */
enum err js_nowhere_append(const struct nats_ns *ns, struct span subject,
                           struct buf *out) ATTR_MUST_USE;
bool js_nowhere_strip(const struct nats_ns *ns, struct span stored, struct span *ret_subject);
/* Appends "bh.r.<names' prefix>": "~" stands in no segment, and behind the root's "~" stands no
 * other one, so no pattern of a slice, bh.*.n.> included, matches what follows. */
enum err js_aside_append(const struct nats_ns *ns, struct buf *out) ATTR_MUST_USE;

/* May a stream of this name be read of a descendant (view.streams)? */
bool js_stream_is_listed(const struct nats_ns *ns, struct span name);
/* What the application may be shown: its own, as above, or what a descendant's listed stream holds.
 * What a consumer of ours delivers from there names that stream. */
bool js_shown_stream(const struct nats_ns *ns, struct span stored, struct span *ret_name);
bool js_shown_subject(const struct nats_ns *ns, struct span stored, struct span *ret_subject);
bool js_shown_reply(const struct nats_ns *ns, struct span stored, struct buf *out,
                    enum err *ret_error);
/* bh.*.n*.P: own and all descendants', for a search among streams. */
enum err js_subject_below(const struct nats_ns *ns, struct span pattern,
                          struct buf *out) ATTR_MUST_USE;
/* Who has made this consumer, the namespace itself or who reads its stream? */
static inline const struct nats_ns *js_reader(const struct nats_ns *ns)
{
    return ns->reader == NULL ? ns : ns->reader;
}
/* js_reply_strip() for those who copy: is stored the short form of an acknowledgement's subject, of
 * an own stream? Then it is shown without the bytes of js_names_prefix() that begin at
 * JS_ACK_NAME_AT, and js_reply_strip() says the same. False: whatever it is, ask that one. */
enum { JS_ACK_NAME_AT = 8 }; /* behind "$JS.ACK." */
bool js_reply_is_own_ack(const struct nats_ns *ns, struct span stored);
/* A consumer's name, both ways. To the server: false if it is reserved, *ret_error = ERR_FOREIGN,
 * or too long, ERR_LIMIT. To the application: false if it is another reader's. */
bool js_consumer_map(const struct nats_ns *ns, struct span name, struct buf *out,
                     enum err *ret_error);
bool js_consumer_strip(const struct nats_ns *ns, struct span stored, struct span *ret_name);

/* A text for people: own prefixes of names and subjects are taken out; a text that still holds a
 * stored subject says only that something is wrong. */
enum err js_text_strip(const struct nats_ns *ns, struct span text, struct buf *out) ATTR_MUST_USE;

#endif
