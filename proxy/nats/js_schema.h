/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_schema - which members of JetStream's bodies hold names or subjects: data, no code.
 *
 * A schema is a list of members, ended by one without a name. Of a request, what is not listed
 * passes byte for byte if it holds no text (numbers, booleans, objects of such): members of later
 * servers need a row if they hold text, because nobody can say whether that is a name. Of an answer
 * everything that is not listed passes.
 * Source: nats-server 2.9.10 .. 2.15.2, stream.go, consumer.go, jetstream_api.go.
 */
#ifndef NATS_JS_SCHEMA_H
#define NATS_JS_SCHEMA_H

enum js_kind {
    JS_NAME,         /* a stream's name */
    JS_SERVERS_NAME, /* of an answer: the same, written by the server; a foreign one is empty */
    JS_EVENT,        /* a subject to publish to */
    JS_LOOKUP,       /* a literal one that messages were published to */
    JS_DELIVER,      /* where a push consumer delivers to */
    JS_FILTER,       /* a pattern of subjects */
    JS_FILTERS,      /* an array of them */
    JS_SUBJECTS,  /* the same, of a stream: without any, a stream has its own name as its subject */
    JS_SOURCE,    /* the source of a transform; without one it means everything */
    JS_GROUP,     /* a queue group */
    JS_CONSUMER,  /* a consumer's name */
    JS_CONSUMERS, /* an array of them; one of another reader is left out */
    JS_TOTAL,     /* how many of them there are, with those left out */
    JS_OBJECT,    /* an object with a schema of its own */
    JS_OBJECTS,   /* an array of them; one with a foreign name is left out */
    JS_MIRROR,    /* JS_OBJECT of a stream that then has no subjects of its own */
    JS_SOURCES,   /* JS_OBJECTS of such a one */
    JS_BY_SUBJECT, /* an object whose members are named by subjects */
    JS_HEADERS,    /* a header block in base64 */
    JS_TEXT,       /* words for people that may quote names */
    JS_ZERO,       /* a number that would tell about others */
    JS_METADATA, /* the application's own; of an answer, what the server wrote there is stripped */
    JS_PASS,     /* holds text, but no name or subject of the server */
    JS_DENIED    /* to the server: only null may be here */
};

struct js_member {
    const char *name; /* NULL: the end */
    enum js_kind kind;
    const struct js_member
        *schema; /* of JS_OBJECT, JS_OBJECTS, JS_MIRROR, JS_SOURCES, JS_METADATA */
};

/* Requests. */
extern const struct js_member js_stream_config[];
extern const struct js_member js_consumer_request[];
extern const struct js_member js_stream_info_request[];
extern const struct js_member js_purge_request[];
extern const struct js_member js_get_request[];
/* Answers. js_error_answer: those that hold no names unless they are errors. */
extern const struct js_member js_error_answer[];
extern const struct js_member js_account_answer[];
extern const struct js_member js_stream_answer[];
extern const struct js_member js_consumer_answer[];
extern const struct js_member js_consumer_list_answer[];
extern const struct js_member js_consumer_names_answer[];
extern const struct js_member js_get_answer[];
/* The answer to a publish that a stream has taken, or not. */
extern const struct js_member js_pub_ack[];

#endif
