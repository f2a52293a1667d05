/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_body - a JSON body of JetStream's API, spliced by a schema: listed members are mapped or
 * stripped, everything else passes byte for byte (design.md 3.4), but text in members that a
 * request has and the schema does not: a later server could take it for a name outside the slice.
 * A server that ignores what it does not know (up to 2.11) gets null in its place; later ones
 * refuse it themselves, so it is refused for them.
 *
 * A member's name is compared without ASCII case, and all of its duplicates are mapped, as Go's
 * decoder reads them. Go also folds two letters beyond ASCII onto "s" and "k": a request that has a
 * name beyond ASCII where a listed one could be is refused.
 */
#ifndef NATS_JS_BODY_H
#define NATS_JS_BODY_H

#include "nats/js_schema.h"
#include "nats/nats_session.h"

/* What a request is refused for. */
enum js_refusal {
    JS_FINE,
    JS_NAME_TOO_LONG, /* a stream's name with its prefix is longer than the server takes */
    JS_EXTERNAL,      /* a member that reaches out of the slice */
    JS_BAD_JSON,      /* does not parse, or has a name beyond ASCII */
    JS_RESERVED,      /* a consumer's name that stands for another reader */
    JS_UNKNOWN        /* text in a member that the table does not know */
};

struct js_refused {
    enum js_refusal why;
    char member[65]; /* JS_UNKNOWN: its name */
};

/* Anything else holds no member that a server could read: nothing, or null, which Rust's client
 * sends for nothing. */
bool js_body_is_object(struct span body);

/* What a body cannot say of itself. */
struct js_asked {
    struct span stream;   /* of the request's subject: what a stream without subjects, mirror or
                           * sources listens to */
    bool ignores_unknown; /* the server does */
};

/* Appends body for the server; what is no object passes. ERR_NOMEM. On another refusal than JS_FINE
 * out is as it was. */
enum err js_body_map(const struct nats_ns *ns, const struct js_member *schema, struct span body,
                     const struct js_asked *asked, struct buf *out,
                     struct js_refused *ret_refused) ATTR_MUST_USE;

/* Appends body for the application. ERR_SYNTAX: does not parse, out is as it was; ERR_FOREIGN: a
 * name at the top is not of this namespace; ERR_NOMEM. */
enum err js_body_strip(const struct nats_ns *ns, const struct js_member *schema, struct span body,
                       struct buf *out) ATTR_MUST_USE;
/* The same, but text in a member that the schema does not list becomes null: what the server says
 * of everybody (js_event) shows only what is known. */
enum err js_body_strip_known(const struct nats_ns *ns, const struct js_member *schema,
                             struct span body, struct buf *out) ATTR_MUST_USE;

#endif
