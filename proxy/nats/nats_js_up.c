/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_js_up - what an application publishes to "$JS.…": requests, acknowledgements, flow control.
 *
 * A request that cannot go on is answered in its place, so a verbose client's +OK stays in turn.
 */
#include <stdio.h>

#include "limit.h"
#include "nats/js_body.h"
#include "nats/js_subject.h"
#include "nats/nats_js.h"
#include "nats/nats_js_view.h"
#include "nats/nats_state.h"
#include "wire/json_text.h"
#include "wire/nats_write.h"

enum { CRLF_BYTES = 2 };

/* The line that a verbose application waits for was answered aside: another one brings its +OK. */
static enum err say_nothing(struct nats_session *s)
{
    struct buf subject = {0};
    enum err e = js_nowhere_append(s->ns, SPAN_LIT("ok"), &subject);
    if (e == ERR_OK)
        e = js_publish(s, buf_span(&subject), SPAN_NONE, SPAN_NONE);
    buf_deinit(&subject);
    return e == ERR_OK ? nats_expect_ok(s, false) : e;
}

/* Where messages for the application's own namespace go; NULL: no memory. */
static struct buf *voice_of(struct nats_session *s)
{
    struct nats_js *js;
    if (s->echo)
        return nats_voice(s, SIDE_UP);
    return nats_js_get(s, &js) == ERR_OK ? &js->aside : NULL;
}

enum err js_say(struct nats_session *s, struct span reply, struct span header, struct span body,
                bool is_ours)
{
    char sizes[2][16];
    int n[2] = {snprintf(sizes[0], sizeof sizes[0], "%zu", header.n),
                snprintf(sizes[1], sizeof sizes[1], "%zu", header.n + body.n)};
    struct nats_line line = {
        .op = header.n == 0 ? NATS_OP_PUB : NATS_OP_HPUB,
        .subject = reply,
        .header_text = header.n == 0 ? SPAN_NONE : span_of(sizes[0], (size_t)n[0]),
        .payload_text = span_of(sizes[1], (size_t)n[1]),
    };
    struct buf *out = voice_of(s);
    enum err e = out == NULL ? ERR_NOMEM
                             : nats_write_pub(out, subject_map_pub_prefix(&s->ns->map), &line);
    if (e == ERR_OK)
        e = buf_append(out, header);
    if (e == ERR_OK)
        e = buf_append(out, body);
    if (e == ERR_OK)
        e = buf_append(out, SPAN_LIT("\r\n"));
    if (e == ERR_OK && s->echo)
        return nats_expect_ok(s, is_ours);
    return e == ERR_OK && s->verbose && !is_ours ? say_nothing(s) : e;
}

enum err js_publish(struct nats_session *s, struct span subject, struct span reply,
                    struct span body)
{
    char size[16];
    struct nats_line line = {
        .op = NATS_OP_PUB,
        .subject = subject,
        .reply = reply,
        .payload_text = span_of(size, (size_t)snprintf(size, sizeof size, "%zu", body.n)),
    };
    if (nats_write_pub_bytes(SPAN_NONE, &line) > nats_line_max(s))
        return ERR_NATS_CONTROL_LINE;
    struct buf *out = nats_voice(s, SIDE_UP);
    enum err e = nats_write_pub(out, SPAN_NONE, &line);
    if (e == ERR_OK)
        e = buf_append(out, body);
    return e == ERR_OK ? buf_append(out, SPAN_LIT("\r\n")) : e;
}

enum err js_error_body(const struct js_row *row, const struct js_error *error, struct buf *out)
{
    const char *type = row == NULL || row->type == NULL ? "io.nats.jetstream.api.v1.error"
                                                        : row->type;
    enum err e = buf_printf(out, "{\"type\":\"%s\",\"error\":{\"code\":%u,\"err_code\":%u,", type,
                            error->code, error->err_code);
    if (e == ERR_OK)
        e = buf_append(out, SPAN_LIT("\"description\":"));
    if (e == ERR_OK)
        e = json_text_append(out, span_str(error->text));
    if (e == ERR_OK)
        e = buf_append_byte(out, '}');
    if (e == ERR_OK && row != NULL && row->none != NULL)
        e = buf_append(out, span_str(row->none));
    return e == ERR_OK ? buf_append_byte(out, '}') : e;
}

/* An empty message to where nobody listens: the server answers 503 to a reply, and a verbose
 * client's +OK comes. */
static enum err pass_nowhere(struct nats_session *s, const struct nats_line *l, struct span *in)
{
    struct buf subject = {0}, reply = {0};
    struct buf *out = &s->out[SIDE_UP];
    enum err e = js_nowhere_append(s->ns, l->subject, &subject);
    if (e == ERR_OK)
        e = js_subject_event(s->ns, l->reply, &reply);
    struct nats_line line = {.op = NATS_OP_PUB,
                             .subject = buf_span(&subject),
                             .reply = buf_span(&reply),
                             .payload_text = SPAN_LIT("0")};
    if (e == ERR_OK)
        e = nats_write_pub(out, SPAN_NONE, &line);
    if (e == ERR_OK)
        e = buf_append(out, SPAN_LIT("\r\n"));
    buf_deinit(&subject);
    buf_deinit(&reply);
    if (e == ERR_OK)
        e = nats_expect_ok(s, false);
    return e == ERR_OK ? nats_payload_begin(s, SIDE_APP, l->payload_bytes, true, in) : e;
}

static enum err refuse(struct nats_session *s, const struct nats_line *l, const struct js_row *row,
                       const struct js_error *error, struct span *in)
{
    struct buf body = {0};
    if (l->reply.n == 0)
        return pass_nowhere(s, l, in);
    enum err e = js_error_body(row, error, &body);
    if (e == ERR_OK)
        e = js_say(s, l->reply, SPAN_NONE, buf_span(&body), false);
    buf_deinit(&body);
    return e == ERR_OK ? nats_payload_begin(s, SIDE_APP, l->payload_bytes, true, in) : e;
}

static enum err refuse_name(struct nats_session *s, const struct nats_line *l,
                            const struct js_row *row, struct span *in)
{
    char text[128];
    snprintf(text, sizeof text, "stream name is too long, maximum allowed is %zu in this namespace",
             js_names_room(&s->ns->names));
    const struct js_error error = {400, 10052, text};
    count(s->ns->counters, COUNTER_DENIED_JETSTREAM, 1);
    return refuse(s, l, row, &error, in);
}

/* A consumer's name that stands for another reader: nobody here has made it. */
static enum err refuse_reserved(struct nats_session *s, const struct nats_line *l,
                                const struct js_row *row, struct span *in)
{
    static const struct js_error missing = {404, 10014, "consumer not found"};
    static const struct js_error reserved = {400, 10052,
                                             "bulkhead: a consumer's name does not begin with ~~"};
    count(s->ns->counters, COUNTER_DENIED_JETSTREAM, 1);
    if (row->policy == JS_DIRECT)
        return pass_nowhere(s, l, in);
    return refuse(s, l, row, row->request == js_consumer_request ? &reserved : &missing, in);
}

/* A member that is not in the table, and holds text: in the server's words, where it has them. */
static enum err refuse_unknown(struct nats_session *s, const struct nats_line *l,
                               const struct js_row *row, const char *member, struct span *in)
{
    char text[160];
    bool in_table = nats_is_in_table(s);
    snprintf(text, sizeof text,
             in_table
                 ? "invalid JSON: json: unknown field \"%s\""
                 : "bulkhead: \"%s\" is not known to this sidecar and could name what is outside",
             member);
    const struct js_error unknown = {400, in_table ? 10025 : 10052, text};
    count(s->ns->counters, COUNTER_DENIED_JETSTREAM_UNKNOWN, 1);
    return refuse(s, l, row, &unknown, in);
}

static enum err refuse_body(struct nats_session *s, const struct nats_line *l,
                            const struct js_row *row, const struct js_refused *refused,
                            struct span *in)
{
    static const struct js_error external = {
        403, 10052, "bulkhead: external mirrors and sources are outside this namespace"};
    static const struct js_error bad_json = {400, 10025, "invalid JSON"};
    switch (refused->why) {
    case JS_NAME_TOO_LONG:
        return refuse_name(s, l, row, in);
    case JS_RESERVED:
        return refuse_reserved(s, l, row, in);
    case JS_UNKNOWN:
        return refuse_unknown(s, l, row, refused->member, in);
    case JS_FINE:
    case JS_EXTERNAL:
    case JS_BAD_JSON:
        break;
    }
    count(s->ns->counters, COUNTER_DENIED_JETSTREAM, 1);
    return refuse(s, l, row, refused->why == JS_EXTERNAL ? &external : &bad_json, in);
}

/* What goes up: l with other names; header and body are written, or (both empty) pass from *in. */
struct outgoing {
    struct buf subject, reply, body;
    struct span header;
    bool is_whole; /* header and body are all of the payload */
};

static enum err write_out(struct nats_session *s, const struct nats_line *l, struct outgoing *x,
                          struct span *in)
{
    char sizes[16];
    size_t n = x->header.n + buf_len(&x->body);
    struct nats_line line = *l;
    line.subject = buf_span(&x->subject);
    line.reply = buf_span(&x->reply);
    if (x->is_whole)
        line.payload_text = span_of(sizes, (size_t)snprintf(sizes, sizeof sizes, "%zu", n));
    if (nats_write_pub_bytes(SPAN_NONE, &line) > nats_line_max(s))
        return ERR_NATS_CONTROL_LINE;
    struct buf *out = &s->out[SIDE_UP];
    enum err e = nats_write_pub(out, SPAN_NONE, &line);
    if (e == ERR_OK)
        e = nats_expect_ok(s, false);
    count(s->ns->counters, COUNTER_NATS_MSGS_TO_UP, 1);
    if (e != ERR_OK)
        return e;
    if (!x->is_whole) {
        nats_expect_header(s, l);
        return nats_payload_begin(s, SIDE_APP, l->payload_bytes, false, in);
    }
    e = nats_write_header(s, x->header);
    if (e == ERR_OK)
        e = buf_append(out, buf_span(&x->body));
    *in = span_skip(*in, (size_t)l->payload_bytes + CRLF_BYTES);
    return e == ERR_OK ? buf_append(out, SPAN_LIT("\r\n")) : e;
}

static const struct js_error too_large = {400, 10052,
                                          "bulkhead: the request is larger than the server takes"};

/* The mapped body into x, or why there is none. */
static enum err map_body(struct nats_session *s, const struct nats_line *l,
                         const struct js_call *call, struct outgoing *x, struct js_list **ret_list,
                         struct js_refused *ret_refused, struct span in)
{
    uint32_t header = 0;
    if (l->header_text.n != 0 && !nats_parse_size(l->header_text, &header))
        return ERR_SYNTAX;
    struct span payload = span_head(in, l->payload_bytes);
    if (!span_eq(span_head(span_skip(in, payload.n), CRLF_BYTES), SPAN_LIT("\r\n")))
        return ERR_NATS_UNKNOWN_OP;
    x->is_whole = true;
    x->header = span_head(payload, header);
    struct span body = span_skip(payload, x->header.n);
    ret_refused->why = JS_FINE;
    const struct js_asked asked = {.stream = call->stream,
                                   .ignores_unknown = nats_ignores_unknown(s)};
    if (call->row->request != NULL)
        return js_body_map(s->ns, call->row->request, body, &asked, &x->body, ret_refused);
    enum err e = js_list_begin(s->ns, call, body, ret_list);
    if (e == ERR_SYNTAX) {
        ret_refused->why = JS_BAD_JSON;
        return ERR_OK;
    }
    return e == ERR_OK ? js_list_request(*ret_list, &x->body) : e;
}

/* Where the answer goes: to our inbox, or straight to the application. Takes list. */
static enum err map_reply(struct nats_session *s, const struct nats_line *l,
                          const struct js_row *row, struct js_list *list, struct buf *reply)
{
    if (l->reply.n == 0) {
        js_list_free(list);
        return ERR_OK;
    }
    if (row->policy == JS_DIRECT)
        return js_subject_event(s->ns, l->reply, reply);
    enum err e = js_inbox_open(s);
    if (e == ERR_OK)
        e = js_pending_add(s->js, row, l->reply, list);
    else
        js_list_free(list);
    return e == ERR_OK ? js_inbox_append(s, s->js->number, reply) : e;
}

static enum err send(struct nats_session *s, const struct nats_line *l, const struct js_call *call,
                     struct outgoing *x, struct span *in)
{
    const struct js_row *row = call->row;
    struct js_refused refused = {.why = JS_FINE};
    struct js_list *list = NULL;
    enum err e = js_api_map(s->ns, call, &x->subject);
    if (e == ERR_LIMIT)
        return refuse_name(s, l, row, in);
    if (e == ERR_FOREIGN)
        return refuse_reserved(s, l, row, in);
    bool is_held = row->request != NULL || row->policy == JS_NAMES || row->policy == JS_LIST;
    if (e == ERR_OK && is_held && l->payload_bytes > LIMIT_NATS_JS_BODY_BYTES - CRLF_BYTES)
        return refuse(s, l, row, &too_large, in);
    if (e == ERR_OK && is_held)
        e = map_body(s, l, call, x, &list, &refused, *in);
    if (e == ERR_OK && refused.why != JS_FINE)
        return refuse_body(s, l, row, &refused, in);
    if (e == ERR_OK && s->max_payload != 0 && x->header.n + buf_len(&x->body) > s->max_payload) {
        js_list_free(list);
        return refuse(s, l, row, &too_large, in);
    }
    if (e != ERR_OK) {
        js_list_free(list);
        return e;
    }
    e = map_reply(s, l, row, list, &x->reply);
    return e == ERR_OK ? write_out(s, l, x, in) : e;
}

static enum err request(struct nats_session *s, const struct nats_line *l, struct span *in)
{
    static const struct js_error denied = {403, 10075,
                                           "bulkhead: this request is not allowed in a namespace"};
    struct js_call call;
    if (!js_api_parse(l->subject, &call)) {
        count(s->ns->counters, COUNTER_DENIED_JETSTREAM_UNKNOWN, 1);
        return refuse(s, l, NULL, &denied, in);
    }
    if (call.row->policy == JS_DENY) {
        count(s->ns->counters, COUNTER_DENIED_JETSTREAM, 1);
        return refuse(s, l, call.row, &denied, in);
    }
    if (js_view_wants(s, l, &call))
        return js_view_request(s, l, &call, in);
    if (call.row->policy == JS_ASK)
        js_view_forget(s->js, call.stream);
    struct outgoing x = {0};
    enum err e = send(s, l, &call, &x, in);
    buf_deinit(&x.subject);
    buf_deinit(&x.reply);
    buf_deinit(&x.body);
    return e;
}

/* $JS.ACK.…, $JS.FC.…: only the subject is another. */
static enum err acknowledge(struct nats_session *s, const struct nats_line *l, struct buf *subject,
                            struct span *in)
{
    struct buf reply = {0};
    struct nats_line line = *l;
    line.subject = buf_span(subject);
    enum err e = js_subject_event(s->ns, l->reply, &reply);
    line.reply = buf_span(&reply);
    if (e == ERR_OK && nats_write_pub_bytes(SPAN_NONE, &line) > nats_line_max(s))
        e = ERR_NATS_CONTROL_LINE;
    if (e == ERR_OK)
        e = nats_write_pub(&s->out[SIDE_UP], SPAN_NONE, &line);
    buf_deinit(&reply);
    if (e == ERR_OK)
        e = nats_expect_ok(s, false);
    count(s->ns->counters, COUNTER_NATS_MSGS_TO_UP, 1);
    nats_expect_header(s, l);
    return e == ERR_OK ? nats_payload_begin(s, SIDE_APP, l->payload_bytes, false, in) : e;
}

bool nats_js_publish(struct nats_session *s, const struct nats_line *l, struct span *in,
                     enum err *ret_error)
{
    if (js_api_is(l->subject)) {
        *ret_error = request(s, l, in);
        return true;
    }
    struct span stream;
    if (!js_subject_stream(l->subject, &stream))
        return false;
    struct buf *subject = nats_js_scratch(s);
    *ret_error = ERR_NOMEM;
    if (subject == NULL)
        return true;
    const struct js_holder *h = js_view_find(s->js, stream);
    const struct nats_ns *of = h == NULL || h->ns == NULL ? s->ns : h->ns;
    if (!js_reply_map(of, l->subject, subject, ret_error))
        return false;
    if (*ret_error == ERR_OK)
        *ret_error = acknowledge(s, l, subject, in);
    return true;
}
