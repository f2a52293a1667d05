/* SPDX-License-Identifier: Apache-2.0 */
/* js_api - the table, then how a subject is cut by it and put together again. */
#include "nats/js_api.h"

#include "base/attr.h"
#include "nats/js_subject.h"

#define TYPE_AND(name, none) "io.nats.jetstream.api.v1." name "_response", none
#define TYPE(name)           TYPE_AND(name, NULL)
#define NO_PAGE              ",\"total\":0,\"offset\":0,\"limit\":0"

const struct js_row js_rows[] = {
    {.verb = "INFO", .answer = js_account_answer, .type = TYPE("account_info")},
    /* streams */
    {"STREAM.CREATE", true, JS_REST_NONE, JS_ASK, js_stream_config, js_stream_answer,
     TYPE("stream_create")},
    {"STREAM.UPDATE", true, JS_REST_NONE, JS_ASK, js_stream_config, js_stream_answer,
     TYPE("stream_update")},
    {"STREAM.INFO", true, JS_REST_NONE, JS_ASK, js_stream_info_request, js_stream_answer,
     TYPE_AND("stream_info", NO_PAGE)},
    {"STREAM.NAMES", false, JS_REST_NONE, JS_NAMES, NULL, js_error_answer,
     TYPE_AND("stream_names", NO_PAGE ",\"streams\":null")},
    {"STREAM.LIST", false, JS_REST_NONE, JS_LIST, NULL, js_error_answer,
     TYPE_AND("stream_list", NO_PAGE ",\"streams\":[]")},
    {"STREAM.DELETE", true, JS_REST_NONE, JS_ASK, NULL, js_error_answer, TYPE("stream_delete")},
    {"STREAM.PURGE", true, JS_REST_NONE, JS_ASK, js_purge_request, js_error_answer,
     TYPE_AND("stream_purge", ",\"purged\":0")},
    {"STREAM.MSG.GET", true, JS_REST_NONE, JS_ASK, js_get_request, js_get_answer,
     TYPE("stream_msg_get")},
    {"STREAM.MSG.DELETE", true, JS_REST_NONE, JS_ASK, NULL, js_error_answer,
     TYPE("stream_msg_delete")},
    {"STREAM.LEADER.STEPDOWN", true, JS_REST_NONE, JS_ASK, NULL, js_error_answer,
     TYPE("stream_leader_stepdown")},
    {"STREAM.PEER.REMOVE", true, JS_REST_NONE, JS_ASK, NULL, js_error_answer,
     TYPE("stream_remove_peer")},
    {"STREAM.PEER.EVACUATE", true, JS_REST_NONE, JS_ASK, NULL, js_error_answer,
     TYPE("stream_evacuate_peer")},
    {"STREAM.CANCEL_MOVE", true, JS_REST_NONE, JS_ASK, NULL, js_error_answer,
     TYPE("stream_cancel_move")},
    {"STREAM.SNAPSHOT", true, JS_REST_NONE, JS_DENY, NULL, NULL, TYPE("stream_snapshot")},
    {"STREAM.RESTORE", true, JS_REST_NONE, JS_DENY, NULL, NULL, TYPE("stream_restore")},
    {"DIRECT.GET", true, JS_REST_SUBJECT, JS_DIRECT, js_get_request, NULL, NULL, NULL},
    /* consumers */
    {"CONSUMER.CREATE", true, JS_REST_CONSUMER_FILTER, JS_ASK, js_consumer_request,
     js_consumer_answer, TYPE("consumer_create")},
    {"CONSUMER.DURABLE.CREATE", true, JS_REST_CONSUMER, JS_ASK, js_consumer_request,
     js_consumer_answer, TYPE("consumer_create")},
    {"CONSUMER.INFO", true, JS_REST_CONSUMER, JS_ASK, NULL, js_consumer_answer,
     TYPE("consumer_info")},
    {"CONSUMER.NAMES", true, JS_REST_NONE, JS_ASK, NULL, js_consumer_names_answer,
     TYPE_AND("consumer_names", NO_PAGE ",\"consumers\":[]")},
    {"CONSUMER.LIST", true, JS_REST_NONE, JS_ASK, NULL, js_consumer_list_answer,
     TYPE_AND("consumer_list", NO_PAGE ",\"consumers\":[]")},
    {"CONSUMER.DELETE", true, JS_REST_CONSUMER, JS_ASK, NULL, js_error_answer,
     TYPE("consumer_delete")},
    {"CONSUMER.PAUSE", true, JS_REST_CONSUMER, JS_ASK, NULL, js_error_answer,
     TYPE("consumer_pause")},
    {"CONSUMER.UNPIN", true, JS_REST_CONSUMER, JS_ASK, NULL, js_error_answer,
     TYPE("consumer_unpin")},
    {"CONSUMER.RESET", true, JS_REST_CONSUMER, JS_ASK, NULL, js_consumer_answer,
     TYPE("consumer_reset")},
    {"CONSUMER.LEADER.STEPDOWN", true, JS_REST_CONSUMER, JS_ASK, NULL, js_error_answer,
     TYPE("consumer_leader_stepdown")},
    {"CONSUMER.PEER.REMOVE", true, JS_REST_CONSUMER, JS_ASK, NULL, js_error_answer,
     TYPE("consumer_remove_peer")},
    {"CONSUMER.PEER.EVACUATE", true, JS_REST_CONSUMER, JS_ASK, NULL, js_error_answer,
     TYPE("consumer_evacuate_peer")},
    {"CONSUMER.MSG.NEXT", true, JS_REST_CONSUMER, JS_DIRECT, NULL, NULL, NULL, NULL},
};
const size_t js_row_count = ARRAY_LEN(js_rows);

/* "$JS.API." or "$JS.<domain>.API."; empty: neither. */
static struct span api_head(struct span subject)
{
    if (!span_has_prefix(subject, SPAN_LIT("$JS.")))
        return SPAN_NONE;
    struct span rest = span_skip(subject, 4);
    if (span_has_prefix(rest, SPAN_LIT("API.")))
        return span_head(subject, 8);
    const uint8_t *dot = memchr(rest.p, '.', rest.n);
    if (dot == NULL)
        return SPAN_NONE;
    rest = span_skip(rest, (size_t)(dot - rest.p) + 1);
    return span_has_prefix(rest, SPAN_LIT("API."))
               ? span_head(subject, (size_t)(rest.p - subject.p) + 4)
               : SPAN_NONE;
}

bool js_api_is(struct span subject)
{
    return api_head(subject).n != 0;
}

/* Takes the next token off *rest, which starts with its dot. False: none, or an empty one. */
static bool next_token(struct span *rest, struct span *ret_token)
{
    if (rest->n < 2 || rest->p[0] != '.')
        return false;
    struct span token = span_skip(*rest, 1);
    const uint8_t *dot = memchr(token.p, '.', token.n);
    if (dot != NULL)
        token = span_head(token, (size_t)(dot - token.p));
    *rest = span_skip(*rest, 1 + token.n);
    *ret_token = token;
    return token.n != 0;
}

static bool take_subject(struct span *rest, struct span *ret_subject)
{
    if (rest->n < 2 || rest->p[0] != '.')
        return false;
    *ret_subject = span_skip(*rest, 1);
    *rest = SPAN_NONE;
    return true;
}

/* rest: what follows the verb, with its dot. */
static bool parse_rest(const struct js_row *row, struct span rest, struct js_call *call)
{
    if (row->has_stream && !next_token(&rest, &call->stream))
        return false;
    switch (row->rest) {
    case JS_REST_NONE:
        break;
    case JS_REST_CONSUMER:
        if (!next_token(&rest, &call->consumer))
            return false;
        break;
    case JS_REST_CONSUMER_FILTER:
        if (rest.n != 0 && !next_token(&rest, &call->consumer))
            return false;
        if (rest.n != 0 && !take_subject(&rest, &call->subject))
            return false;
        break;
    case JS_REST_SUBJECT:
        if (rest.n != 0 && !take_subject(&rest, &call->subject))
            return false;
        break;
    }
    return rest.n == 0;
}

bool js_api_parse(struct span subject, struct js_call *ret_call)
{
    struct span head = api_head(subject);
    struct span rest = span_skip(subject, head.n);
    for (size_t i = 0; i < js_row_count && head.n != 0; i++) {
        struct js_call call = {.row = &js_rows[i], .head = head};
        struct span verb = span_str(js_rows[i].verb);
        if (!span_has_prefix(rest, verb) || !parse_rest(call.row, span_skip(rest, verb.n), &call))
            continue;
        *ret_call = call;
        return true;
    }
    return false;
}

/* ERR_FOREIGN: a reserved name. */
static enum err append_consumer(const struct nats_ns *ns, struct span name, struct buf *out)
{
    enum err e = buf_append_byte(out, '.');
    if (e == ERR_OK)
        (void)js_consumer_map(ns, name, out, &e);
    return e;
}

enum err js_api_map(const struct nats_ns *ns, const struct js_call *call, struct buf *out)
{
    enum err e = buf_append(out, call->head);
    if (e == ERR_OK)
        e = buf_append(out, span_str(call->row->verb));
    if (e == ERR_OK && call->stream.n != 0) {
        e = buf_append_byte(out, '.');
        if (e == ERR_OK)
            e = js_names_map(&ns->names, call->stream, out);
    }
    if (e == ERR_OK && call->consumer.n != 0)
        e = append_consumer(ns, call->consumer, out);
    if (e != ERR_OK || call->subject.n == 0)
        return e;
    e = buf_append_byte(out, '.');
    if (e == ERR_OK)
        e = call->row->rest == JS_REST_SUBJECT ? js_subject_lookup(ns, call->subject, out)
                                               : js_subject_filter(ns, call->subject, out);
    return e;
}

bool js_api_strip(const struct nats_ns *ns, struct span stored, struct buf *out,
                  enum err *ret_error)
{
    struct js_call call;
    struct span name, subject = SPAN_NONE;
    if (!js_api_parse(stored, &call) || !js_names_strip(&ns->names, call.stream, &name) ||
        (call.subject.n != 0 && !js_subject_strip(ns, call.subject, &subject)))
        return false;
    /* Both stand behind their prefix: what is before it, and what is behind. */
    enum err e = buf_append(out, span_head(stored, (size_t)(call.stream.p - stored.p)));
    size_t behind = (size_t)(name.p - stored.p);
    if (e == ERR_OK && subject.n != 0) {
        size_t until = (size_t)(call.subject.p - stored.p);
        e = buf_append(out, span_of(name.p, until - behind));
        behind = (size_t)(subject.p - stored.p);
    }
    *ret_error = e == ERR_OK ? buf_append(out, span_skip(stored, behind)) : e;
    return true;
}
