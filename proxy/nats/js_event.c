/* SPDX-License-Identifier: Apache-2.0 */
/* js_event - the table of advisories and metrics, the filter upwards, the check downwards. */
#include "nats/js_event.h"

#include "base/attr.h"
#include "nats/js_body.h"
#include "nats/js_subject.h"
#include "wire/json_splice.h"
#include "wire/json_text.h"

#define HEAD SPAN_LIT("$JS.EVENT.")

enum { STREAM_TOKEN = 3 }; /* behind HEAD: ADVISORY.CONSUMER.CREATED.<stream> */

/* Not here: API (requests of everybody, whole), SNAPSHOT and RESTORE (who asked, by address),
 * DOMAIN and SERVER (the operator's). */
static const struct js_event_row {
    const char *what;
    bool has_consumer;
} rows[] = {
    {"ADVISORY.STREAM.CREATED.", false},      {"ADVISORY.STREAM.DELETED.", false},
    {"ADVISORY.STREAM.UPDATED.", false},      {"ADVISORY.STREAM.LEADER_ELECTED.", false},
    {"ADVISORY.STREAM.QUORUM_LOST.", false},  {"ADVISORY.STREAM.BATCH_ABANDONED.", false},
    {"ADVISORY.CONSUMER.CREATED.", true},     {"ADVISORY.CONSUMER.DELETED.", true},
    {"ADVISORY.CONSUMER.PAUSE.", true},       {"ADVISORY.CONSUMER.PINNED.", true},
    {"ADVISORY.CONSUMER.UNPINNED.", true},    {"ADVISORY.CONSUMER.LEADER_ELECTED.", true},
    {"ADVISORY.CONSUMER.QUORUM_LOST.", true}, {"ADVISORY.CONSUMER.MAX_DELIVERIES.", true},
    {"ADVISORY.CONSUMER.MSG_NAKED.", true},   {"ADVISORY.CONSUMER.MSG_TERMINATED.", true},
    {"METRIC.CONSUMER.ACK.", true},
};

/* Text in other members, "account" and "domain" above all, becomes null. */
static const struct js_member schema[] = {
    {"stream", JS_NAME, NULL},      {"consumer", JS_CONSUMER, NULL}, {"type", JS_PASS, NULL},
    {"id", JS_PASS, NULL},          {"timestamp", JS_PASS, NULL},    {"action", JS_PASS, NULL},
    {"reason", JS_PASS, NULL},      {"group", JS_PASS, NULL},        {"pinned_id", JS_PASS, NULL},
    {"pause_until", JS_PASS, NULL}, {"batch", JS_PASS, NULL},        {"leader", JS_PASS, NULL},
    {"replicas", JS_PASS, NULL},    {NULL, JS_TEXT, NULL},
};

/* The first token of s, without its dot. */
static struct span first_token(struct span s)
{
    const uint8_t *dot = s.n == 0 ? NULL : memchr(s.p, '.', s.n);
    return dot == NULL ? s : span_head(s, (size_t)(dot - s.p));
}

/* What stands behind "$JS.EVENT." in the filter; empty: it hears nothing from there. */
static struct span behind_head(struct span filter)
{
    static const char *const tokens[] = {"$JS", "EVENT"};
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct span token = first_token(filter);
        if (span_eq(token, SPAN_LIT(">")))
            return filter;
        if (token.n == filter.n ||
            (!span_eq(token, span_str(tokens[i])) && !span_eq(token, SPAN_LIT("*"))))
            return SPAN_NONE;
        filter = span_skip(filter, token.n + 1);
    }
    return filter;
}

/* Could it be the subject of something that is shown? They have the stream's token, and after it
 * one or none. What is shorter would bring the audit of the API, for nothing. */
static bool has_room_for_rows(struct span rest)
{
    unsigned tokens = 1;
    for (size_t i = 0; i < rest.n; i++)
        tokens += rest.p[i] == '.';
    bool is_open = rest.n != 0 && rest.p[rest.n - 1] == '>' &&
                   (rest.n == 1 || rest.p[rest.n - 2] == '.');
    return is_open ? tokens <= STREAM_TOKEN + 2
                   : tokens == STREAM_TOKEN + 1 || tokens == STREAM_TOKEN + 2;
}

/* The filter behind what is in out already, tokens of it. What is shown names a stream: so ">" need
 * not begin before it, and the audit of the API, which is everybody's requests whole, stays away.
 */
static enum err append_rest(struct span rest, unsigned tokens, struct buf *out)
{
    enum err e = ERR_OK;
    for (; rest.n != 0 && !span_eq(rest, SPAN_LIT(">")) && e == ERR_OK; tokens++) {
        struct span token = first_token(rest);
        struct span whole = span_head(rest, token.n == rest.n ? token.n : token.n + 1);
        e = buf_append(out, whole);
        rest = span_skip(rest, whole.n);
    }
    for (; rest.n != 0 && tokens < STREAM_TOKEN && e == ERR_OK; tokens++)
        e = buf_append(out, SPAN_LIT("*."));
    return e == ERR_OK ? buf_append(out, rest) : e;
}

bool js_event_filter(const struct nats_ns *ns, struct span filter, struct buf *out,
                     enum err *ret_error)
{
    struct span rest = behind_head(filter), stream = rest;
    for (unsigned i = 0; i < STREAM_TOKEN && stream.n != 0; i++) {
        struct span token = first_token(stream);
        stream = span_skip(stream, token.n == stream.n ? token.n : token.n + 1);
    }
    struct span name = first_token(stream);
    bool named = name.n != 0 && !span_eq(name, SPAN_LIT("*")) && !span_eq(name, SPAN_LIT(">"));
    if (!has_room_for_rows(rest) || (named && name.n > js_names_room(&ns->names)))
        return false;
    enum err e = buf_append(out, HEAD);
    if (e == ERR_OK && named) {
        e = buf_append(out, span_head(rest, rest.n - stream.n));
        rest = stream;
        if (e == ERR_OK)
            e = buf_append(out, js_names_prefix(&ns->names));
    }
    *ret_error = e == ERR_OK ? append_rest(rest, named ? STREAM_TOKEN : 0, out) : e;
    return true;
}

/* Is every member of that name, and at least one, this text? */
static enum err verify_name(struct span body, const char *member, struct span text)
{
    struct json_walk w;
    struct json_member m;
    bool more = true, found = false;
    enum err e = json_walk_begin(&w, body);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        if (!json_name_is(&m, member))
            continue;
        struct buf value = {0};
        e = json_is_string(m.value) ? json_text_decode(m.value, &value) : ERR_FOREIGN;
        if (e == ERR_OK && !span_eq(buf_span(&value), text))
            e = ERR_FOREIGN;
        buf_deinit(&value);
        found = true;
    }
    return e == ERR_OK && !found ? ERR_FOREIGN : e;
}

struct event {
    struct span what;             /* "$JS.EVENT.ADVISORY.STREAM.CREATED." */
    struct span stream, consumer; /* as stored; consumer is empty if the row has none */
};

static bool parse(struct span subject, struct event *ret)
{
    struct span rest = span_skip(subject, HEAD.n);
    for (size_t i = 0; i < ARRAY_LEN(rows) && span_has_prefix(subject, HEAD); i++) {
        struct span what = span_str(rows[i].what);
        if (!span_has_prefix(rest, what))
            continue;
        ret->what = span_head(subject, HEAD.n + what.n);
        ret->stream = first_token(span_skip(rest, what.n));
        rest = span_skip(rest, what.n + ret->stream.n);
        ret->consumer = SPAN_NONE;
        if (!rows[i].has_consumer)
            return ret->stream.n != 0 && rest.n == 0;
        ret->consumer = rest.n < 2 ? SPAN_NONE : span_skip(rest, 1);
        return ret->stream.n != 0 && ret->consumer.n != 0 &&
               first_token(ret->consumer).n == ret->consumer.n;
    }
    return false;
}

static enum err append_subject(const struct event *x, struct span name, struct span consumer,
                               struct buf *out)
{
    enum err e = buf_append(out, x->what);
    if (e == ERR_OK)
        e = buf_append(out, name);
    if (e == ERR_OK && consumer.n != 0)
        e = buf_append_byte(out, '.');
    return e == ERR_OK ? buf_append(out, consumer) : e;
}

enum err js_event_strip(const struct nats_ns *ns, struct span subject, struct span body,
                        struct buf *ret_subject, struct buf *ret_body)
{
    struct event x;
    struct span name, consumer = SPAN_NONE;
    if (!parse(subject, &x) || !js_names_strip(&ns->names, x.stream, &name) ||
        (x.consumer.n != 0 && !js_consumer_strip(ns, x.consumer, &consumer)))
        return ERR_FOREIGN;
    enum err e = verify_name(body, "stream", x.stream);
    if (e == ERR_OK && x.consumer.n != 0)
        e = verify_name(body, "consumer", x.consumer);
    if (e == ERR_OK)
        e = js_body_strip_known(ns, schema, body, ret_body);
    if (e == ERR_OK)
        e = append_subject(&x, name, consumer, ret_subject);
    return e == ERR_OK || e == ERR_NOMEM ? e : ERR_FOREIGN;
}
