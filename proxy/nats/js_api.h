/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_api - the one table of JetStream's API: which subject, what is mapped in it, what is done.
 *
 *   $JS.API.<verb>[.<stream>[.<rest>]]          $JS.<domain>.API.<verb>…
 *
 * What has no row is denied and counted, so a later server's verb reaches nothing unmapped.
 * Source: nats-server 2.9.10 .. 2.15.2, jetstream_api.go.
 */
#ifndef NATS_JS_API_H
#define NATS_JS_API_H

#include "nats/js_schema.h"
#include "nats/nats_session.h"

enum js_policy {
    JS_ASK,    /* answered with a JSON body, through our own inbox */
    JS_NAMES,  /* STREAM.NAMES: every page is read, own names are kept */
    JS_LIST,   /* STREAM.LIST: likewise */
    JS_DIRECT, /* answered with messages, straight to the application */
    JS_DENY
};

/* What may follow the verb and the stream. */
enum js_rest {
    JS_REST_NONE,
    JS_REST_CONSUMER,        /* one token */
    JS_REST_CONSUMER_FILTER, /* nothing, one token, or one and a filter subject */
    JS_REST_SUBJECT          /* nothing, or a subject */
};

struct js_row {
    const char *verb;
    bool has_stream;
    enum js_rest rest;
    enum js_policy policy;
    const struct js_member *request; /* NULL: the body holds nothing to map and passes */
    const struct js_member *answer;  /* of JS_ASK */
    const char *type;                /* of the answer, for errors of our own; NULL: "error" */
    const char *none;                /* what the server puts behind an error; NULL: nothing */
};

/* One request's subject, cut. Spans borrow the subject. */
struct js_call {
    const struct js_row *row;
    struct span head; /* "$JS.API." or "$JS.hub.API." */
    struct span stream;
    struct span consumer; /* JS_REST_CONSUMER… */
    struct span subject;  /* the filter or subject at the end */
};

extern const struct js_row js_rows[];
extern const size_t js_row_count;

/* $JS.API.… and $JS.<domain>.API.… */
bool js_api_is(struct span subject);
/* False: an API subject that is not in the table. */
bool js_api_parse(struct span subject, struct js_call *ret_call);
/* Appends the subject for the server. ERR_LIMIT: the stream's name is too long; ERR_FOREIGN: the
 * consumer's is reserved (js_names.h). ERR_NOMEM. */
enum err js_api_map(const struct nats_ns *ns, const struct js_call *call,
                    struct buf *out) ATTR_MUST_USE;
/* The reverse, appended: a server says in a 503 what nobody listens to. False: no such subject, or
 * nothing in it is of this namespace; nothing was appended. */
bool js_api_strip(const struct nats_ns *ns, struct span stored, struct buf *out,
                  enum err *ret_error);

#endif
