/* SPDX-License-Identifier: Apache-2.0 */
/* nats_js_view - whose a listed stream is, question by question; then the request itself. */
#include "nats/nats_js_view.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/attr.h"
#include "limit.h"
#include "nats/js_body.h"
#include "nats/js_subject.h"
#include "nats/nats_state.h"
#include "wire/json_splice.h"
#include "wire/json_text.h"

enum { CRLF_BYTES = 2, STREAM_NOT_FOUND = 10059 };

enum view_stage { VIEW_OWN, VIEW_SEARCH, VIEW_CHECK, VIEW_ASK };

/* One request, kept until it is answered. */
struct js_view {
    enum view_stage stage;
    bool searched;            /* once is enough */
    bool is_spoken;           /* something was sent in its place: the next +OK is nobody's */
    bool ignores_unknown;     /* js_asked's */
    struct js_holder *holder; /* CHECK, ASK */
    uint64_t offset;          /* SEARCH: of the next page */
    struct ns_path nearest;   /* SEARCH: the best so far */
    unsigned found;           /* how many hold it */
    struct buf absent;        /* what the own namespace answered */
    size_t subject_bytes, reply_bytes, body_bytes;
    uint8_t bytes[]; /* subject, reply, body */
};

static struct span subject_of(const struct js_view *v)
{
    return span_of(v->bytes, v->subject_bytes);
}

static struct span reply_of(const struct js_view *v)
{
    return span_of(v->bytes + v->subject_bytes, v->reply_bytes);
}

static struct span body_of(const struct js_view *v)
{
    return span_of(v->bytes + v->subject_bytes + v->reply_bytes, v->body_bytes);
}

void js_view_free(struct js_view *v)
{
    if (v == NULL)
        return;
    js_holder_release(v->holder);
    buf_deinit(&v->absent);
    free(v);
}

/* ---- what is remembered ---- */

void js_holder_release(struct js_holder *h)
{
    if (h == NULL || --h->refs != 0)
        return;
    free(h->ns);
    free(h);
}

struct js_holder *js_view_find(const struct nats_js *js, struct span stream)
{
    struct js_holder *h = js == NULL ? NULL : js->holders;
    while (h != NULL && !span_eq(span_of(h->stream, h->stream_bytes), stream))
        h = h->next;
    return h;
}

void js_view_forget(struct nats_js *js, struct span stream)
{
    struct js_holder *h = js_view_find(js, stream);
    if (h == NULL)
        return;
    struct js_holder **at = &js->holders;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    js_holder_release(h);
}

static void drop_oldest(struct nats_js *js)
{
    unsigned n = 0;
    for (struct js_holder **at = &js->holders; *at != NULL; at = &(*at)->next)
        if (++n == LIMIT_NATS_VIEW_STREAMS) {
            struct js_holder *old = *at;
            *at = old->next; /* NULL: there are never more */
            js_holder_release(old);
            return;
        }
}

/* Another namespace's names, as its own sidecar would have them, read by ns. */
static enum err holder_ns(const struct nats_ns *ns, const struct ns_path *path,
                          struct nats_ns **ret_ns)
{
    struct nats_ns *of = calloc(1, sizeof *of);
    if (of == NULL)
        return ERR_NOMEM;
    struct span root = span_head(subject_map_pub_prefix(&ns->map), ns->map.class_at - 1u);
    enum err e = subject_map_init(&of->map, root, path, ns->map.requests, ns->map.request_patterns);
    js_names_init(&of->names, path);
    of->counters = ns->counters;
    of->reader = ns;
    if (e == ERR_OK)
        *ret_ns = of;
    else
        free(of);
    return e;
}

/* path NULL: the own namespace. */
static enum err remember(struct nats_session *s, struct span stream, const struct ns_path *path,
                         struct js_holder **ret_holder)
{
    struct nats_js *js;
    enum err e = nats_js_get(s, &js);
    if (e != ERR_OK)
        return e;
    js_view_forget(js, stream);
    drop_oldest(js);
    struct js_holder *h = calloc(1, sizeof *h + stream.n);
    if (h == NULL)
        return ERR_NOMEM;
    h->refs = 1;
    h->stream_bytes = stream.n;
    memcpy(h->stream, stream.p, stream.n);
    if (path != NULL)
        e = holder_ns(s->ns, path, &h->ns);
    if (e != ERR_OK) {
        js_holder_release(h);
        return e;
    }
    h->next = js->holders;
    js->holders = h;
    *ret_holder = h;
    return ERR_OK;
}

static void hold(struct js_view *v, struct js_holder *h)
{
    h->refs++;
    js_holder_release(v->holder);
    v->holder = h;
}

/* ---- what is sent ---- */

static enum err expect_ok(struct nats_session *s, struct js_view *v)
{
    bool swallow = v->is_spoken;
    v->is_spoken = true;
    return nats_expect_ok(s, swallow);
}

/* A question of ours; its answer comes to our inbox, for the pending request that takes *v. */
static enum err ask(struct nats_session *s, struct js_view **v, const struct js_row *row,
                    struct span subject, struct span body)
{
    struct buf reply = {0};
    struct js_view *view = *v;
    enum err e = js_inbox_open(s);
    if (e == ERR_OK)
        e = js_pending_add(s->js, row, reply_of(view), NULL);
    if (e == ERR_OK) {
        js_pending_newest(s->js)->view = view;
        *v = NULL;
        e = js_inbox_append(s, s->js->number, &reply);
    }
    if (e == ERR_OK)
        e = js_publish(s, subject, buf_span(&reply), body);
    buf_deinit(&reply);
    return e == ERR_OK ? expect_ok(s, view) : e;
}

static enum err say_error(struct nats_session *s, struct js_view *v, const struct js_row *row,
                          const struct js_error *error)
{
    struct buf body = {0};
    count(s->ns->counters, COUNTER_DENIED_JETSTREAM, 1);
    enum err e = js_error_body(row, error, &body);
    if (e == ERR_OK)
        e = js_say(s, reply_of(v), SPAN_NONE, buf_span(&body), v->is_spoken);
    v->is_spoken = true;
    buf_deinit(&body);
    return e;
}

static bool makes_consumer(const struct js_row *row)
{
    return row->request == js_consumer_request;
}

static const struct js_error bad_name = {
    400, 10052, "bulkhead: the stream's or the consumer's name is not possible here"};
static const struct js_error missing = {404, 10014, "consumer not found"};
static const struct js_error unknown_member = {
    400, 10052, "bulkhead: a member of the request is not known and could name what is outside"};
static const struct js_error bad_body = {400, 10025, "invalid JSON"};
static const struct js_error not_by_limits = {
    403, 10075, "bulkhead: a consumer would take messages away from this stream's namespace"};

/* The name in a request's configuration, appended; nothing if there is none. */
static enum err read_consumer(struct span body, struct buf *out)
{
    struct json_walk w, inner;
    struct json_member m, n;
    bool more = true;
    enum err e = json_walk_begin(&w, body);
    while (e == ERR_OK && (e = json_walk_next(&w, &m, &more)) == ERR_OK && more) {
        if (!json_name_is(&m, "config") || json_walk_begin(&inner, m.value) != ERR_OK)
            continue;
        bool more_inner = true;
        while (json_walk_next(&inner, &n, &more_inner) == ERR_OK && more_inner)
            if ((json_name_is(&n, "name") || json_name_is(&n, "durable_name")) &&
                json_is_string(n.value) && buf_len(out) == 0)
                e = json_text_decode(n.value, out);
    }
    return e == ERR_SYNTAX ? ERR_OK : e; /* whose fault it is is said by the splice */
}

/* A consumer without a name would get one from the server, without the reader's path. */
static enum err name_consumer(struct nats_session *s, const struct js_view *v, struct js_call *call,
                              struct buf *name)
{
    if (!makes_consumer(call->row) || call->consumer.n != 0)
        return ERR_OK;
    enum err e = read_consumer(body_of(v), name);
    if (e == ERR_OK && buf_len(name) == 0)
        e = buf_printf(name, "%s-%s-%" PRIu64, s->server_id, s->client_id, s->js->number + 1);
    call->consumer = buf_span(name);
    return e;
}

/* The request in ns's names. Not FINE: *ret_error is what the application is to be told. */
static enum err map_request(const struct nats_ns *ns, const struct js_call *call,
                            const struct js_view *v, struct buf *subject, struct buf *body,
                            const struct js_error **ret_error)
{
    struct js_refused refused = {.why = JS_FINE};
    const struct js_asked asked = {.stream = call->stream, .ignores_unknown = v->ignores_unknown};
    enum err e = js_api_map(ns, call, subject);
    *ret_error = NULL;
    if (e == ERR_LIMIT || e == ERR_FOREIGN) {
        *ret_error = e == ERR_FOREIGN && !makes_consumer(call->row) ? &missing : &bad_name;
        return ERR_OK;
    }
    if (e == ERR_OK && call->row->request == NULL)
        return buf_append(body, body_of(v));
    if (e == ERR_OK)
        e = js_body_map(ns, call->row->request, body_of(v), &asked, body, &refused);
    if (e == ERR_OK && refused.why != JS_FINE)
        *ret_error = refused.why == JS_BAD_JSON  ? &bad_body
                     : refused.why == JS_UNKNOWN ? &unknown_member
                                                 : &bad_name;
    return e;
}

/* The request itself, to the own namespace or to a holder. Takes *v where an answer is due. */
static enum err send_request(struct nats_session *s, struct js_view **v, const struct nats_ns *ns)
{
    struct buf subject = {0}, body = {0}, reply = {0}, name = {0};
    struct js_call call;
    const struct js_error *error = NULL;
    enum err e = js_api_parse(subject_of(*v), &call) ? ERR_OK : ERR_SYNTAX;
    if (e == ERR_OK && ns != s->ns)
        e = name_consumer(s, *v, &call, &name);
    if (e == ERR_OK)
        e = map_request(ns, &call, *v, &subject, &body, &error);
    if (e == ERR_OK && error != NULL) {
        e = say_error(s, *v, call.row, error);
    } else if (e == ERR_OK && call.row->policy == JS_DIRECT) {
        e = js_subject_event(s->ns, reply_of(*v), &reply);
        if (e == ERR_OK)
            e = js_publish(s, buf_span(&subject), buf_span(&reply), buf_span(&body));
        if (e == ERR_OK)
            e = expect_ok(s, *v);
    } else if (e == ERR_OK) {
        e = ask(s, v, call.row, buf_span(&subject), buf_span(&body));
    }
    buf_deinit(&subject);
    buf_deinit(&body);
    buf_deinit(&reply);
    buf_deinit(&name);
    return e;
}

static const struct js_row info_row = {.verb = "STREAM.INFO", .has_stream = true, .policy = JS_ASK};

static enum err ask_info(struct nats_session *s, struct js_view **v, const struct js_call *call,
                         const struct nats_ns *ns)
{
    struct buf subject = {0};
    const struct js_call info = {.row = &info_row, .head = call->head, .stream = call->stream};
    enum err e = js_api_map(ns, &info, &subject);
    if (e == ERR_LIMIT)
        e = say_error(s, *v, call->row, &bad_name);
    else if (e == ERR_OK)
        e = ask(s, v, call->row, buf_span(&subject), SPAN_NONE);
    buf_deinit(&subject);
    return e;
}

static enum err ask_page(struct nats_session *s, struct js_view **v, const struct js_call *call)
{
    struct buf subject = {0}, body = {0}, filter = {0};
    (*v)->stage = VIEW_SEARCH;
    enum err e = buf_append(&subject, call->head);
    if (e == ERR_OK)
        e = buf_append(&subject, SPAN_LIT("STREAM.NAMES"));
    if (e == ERR_OK)
        e = js_subject_below(s->ns, SPAN_LIT(">"), &filter);
    if (e == ERR_OK)
        e = buf_printf(&body, "{\"offset\":%" PRIu64 ",\"subject\":", (*v)->offset);
    if (e == ERR_OK)
        e = json_text_append(&body, buf_span(&filter));
    if (e == ERR_OK)
        e = buf_append_byte(&body, '}');
    if (e == ERR_OK)
        e = ask(s, v, call->row, buf_span(&subject), buf_span(&body));
    buf_deinit(&subject);
    buf_deinit(&body);
    buf_deinit(&filter);
    return e;
}

/* To the holder: a new consumer only where it takes nothing away. */
static enum err go_to_holder(struct nats_session *s, struct js_view **v, const struct js_call *call,
                             struct js_holder *h)
{
    hold(*v, h);
    (*v)->stage = makes_consumer(call->row) ? VIEW_CHECK : VIEW_ASK;
    if ((*v)->stage == VIEW_CHECK)
        return ask_info(s, v, call, h->ns);
    count(s->ns->counters, COUNTER_VIEW_STREAM_READS, 1);
    return send_request(s, v, h->ns);
}

/* ---- the request ---- */

bool js_view_wants(const struct nats_session *s, const struct nats_line *l,
                   const struct js_call *call)
{
    static const char *const reads[] = {
        "STREAM.INFO",    "STREAM.MSG.GET",  "DIRECT.GET",       "CONSUMER.CREATE",
        "CONSUMER.INFO",  "CONSUMER.DELETE", "CONSUMER.PAUSE",   "CONSUMER.DURABLE.CREATE",
        "CONSUMER.RESET", "CONSUMER.UNPIN",  "CONSUMER.MSG.NEXT"};
    if (s->ns->stream_patterns == 0 || call->stream.n == 0 || l->reply.n == 0 ||
        !js_stream_is_listed(s->ns, call->stream) || l->payload_bytes > LIMIT_NATS_VIEW_BYTES)
        return false;
    bool is_read = false;
    for (size_t i = 0; i < ARRAY_LEN(reads) && !is_read; i++)
        is_read = strcmp(reads[i], call->row->verb) == 0;
    if (!is_read || call->row->policy != JS_DIRECT)
        return is_read;
    const struct js_holder *h = js_view_find(s->js, call->stream);
    return h == NULL || h->ns != NULL; /* known to be an own one: straight on */
}

/* The header of a request is left behind: it holds nothing that a read needs. */
static struct js_view *keep(const struct nats_line *l, struct span payload)
{
    uint32_t header = 0;
    if (l->header_text.n != 0 && !nats_parse_size(l->header_text, &header))
        header = 0;
    struct span body = span_skip(payload, header);
    struct js_view *v = calloc(1, sizeof *v + l->subject.n + l->reply.n + body.n);
    if (v == NULL)
        return NULL;
    v->subject_bytes = l->subject.n;
    v->reply_bytes = l->reply.n;
    v->body_bytes = body.n;
    memcpy(v->bytes, l->subject.p, l->subject.n);
    memcpy(v->bytes + l->subject.n, l->reply.p, l->reply.n);
    if (body.n != 0)
        memcpy(v->bytes + l->subject.n + l->reply.n, body.p, body.n);
    return v;
}

enum err js_view_request(struct nats_session *s, const struct nats_line *l,
                         const struct js_call *call, struct span *in)
{
    struct span payload = span_head(*in, l->payload_bytes);
    if (!span_eq(span_head(span_skip(*in, payload.n), CRLF_BYTES), SPAN_LIT("\r\n")))
        return ERR_NATS_UNKNOWN_OP;
    struct js_view *v = keep(l, payload);
    if (v == NULL)
        return ERR_NOMEM;
    v->ignores_unknown = nats_ignores_unknown(s);
    *in = span_skip(*in, (size_t)l->payload_bytes + CRLF_BYTES);
    count(s->ns->counters, COUNTER_NATS_MSGS_TO_UP, 1);
    struct js_holder *h = js_view_find(s->js, call->stream);
    enum err e;
    if (call->row->policy != JS_DIRECT)
        e = send_request(s, &v, s->ns);
    else if (h != NULL)
        e = go_to_holder(s, &v, call, h);
    else
        e = ask_info(s, &v, call, s->ns);
    js_view_free(v);
    return e;
}

/* ---- answers ---- */

static bool says_absent(struct span body)
{
    struct json_walk w, inner;
    struct json_member m, n;
    bool more = true, absent = false;
    enum err e = json_walk_begin(&w, body);
    while (e == ERR_OK && (e = json_walk_next(&w, &m, &more)) == ERR_OK && more) {
        uint32_t code;
        if (!json_name_is(&m, "error") || json_walk_begin(&inner, m.value) != ERR_OK)
            continue;
        bool more_inner = true;
        while (json_walk_next(&inner, &n, &more_inner) == ERR_OK && more_inner)
            if (json_name_is(&n, "err_code") && json_get_uint(n.value, UINT32_MAX, &code))
                absent = code == STREAM_NOT_FOUND;
    }
    return e == ERR_OK && absent;
}

/* config.retention of a STREAM.INFO is "limits". */
static bool keeps_by_limits(struct span body)
{
    struct json_walk w, inner;
    struct json_member m, n;
    bool more = true, limits = false;
    enum err e = json_walk_begin(&w, body);
    while (e == ERR_OK && (e = json_walk_next(&w, &m, &more)) == ERR_OK && more) {
        if (!json_name_is(&m, "config") || json_walk_begin(&inner, m.value) != ERR_OK)
            continue;
        bool more_inner = true;
        while (json_walk_next(&inner, &n, &more_inner) == ERR_OK && more_inner)
            if (json_name_is(&n, "retention"))
                limits = span_eq(n.value, SPAN_LIT("\"limits\""));
    }
    return e == ERR_OK && limits;
}

static enum err take_name(struct nats_session *s, struct js_view *v, struct span stream,
                          struct span item)
{
    struct buf text = {0};
    struct span name;
    struct ns_path path;
    if (!json_is_string(item))
        return ERR_OK;
    enum err e = json_text_decode(item, &text);
    struct span stored = buf_span(&text);
    if (e == ERR_OK && js_names_strip_below(&s->ns->names, stored, &name) &&
        span_eq(name, stream) && js_names_owner(span_head(stored, stored.n - name.n), &path)) {
        if (v->found == 0 || ns_path_is_nearer(&path, &v->nearest))
            v->nearest = path;
        v->found++;
    }
    buf_deinit(&text);
    return e == ERR_SYNTAX ? ERR_OK : e;
}

/* One page of names. ret_done: there are no more. */
static enum err take_page(struct nats_session *s, struct js_view *v, struct span stream,
                          struct span body, bool *ret_done)
{
    struct json_walk w;
    struct json_items items;
    struct json_member m;
    struct span item;
    uint32_t total = 0, n = 0;
    bool more = true, more_items = true;
    enum err e = json_walk_begin(&w, body);
    while (e == ERR_OK && (e = json_walk_next(&w, &m, &more)) == ERR_OK && more) {
        if (json_name_is(&m, "total"))
            (void)json_get_uint(m.value, UINT32_MAX, &total);
        if (!json_name_is(&m, "streams") || json_items_begin(&items, m.value) != ERR_OK)
            continue;
        while (e == ERR_OK && (e = json_items_next(&items, &item, &more_items)) == ERR_OK &&
               more_items) {
            n++;
            e = take_name(s, v, stream, item);
        }
    }
    v->offset += n;
    *ret_done = e != ERR_OK || n == 0 || v->offset >= total;
    return e == ERR_SYNTAX ? ERR_OK : e;
}

/* All that an answer may lead to. */
struct verdict {
    bool tell, from_own; /* tell the application body, which is in the own names */
    struct span body;
};

/* All namespaces below were asked. */
static enum err search_ends(struct nats_session *s, struct js_view **v, const struct js_call *call,
                            struct verdict *to)
{
    struct js_holder *h;
    (*v)->searched = true;
    if ((*v)->found == 0) {
        if (call->row->policy == JS_DIRECT)
            return send_request(s, v, s->ns); /* the server's own words */
        *to = (struct verdict){true, true, buf_span(&(*v)->absent)};
        return ERR_OK;
    }
    count(s->ns->counters, COUNTER_HIDDEN_STREAM, (*v)->found - 1);
    enum err e = remember(s, call->stream, &(*v)->nearest, &h);
    return e == ERR_OK ? go_to_holder(s, v, call, h) : e;
}

/* The namespace that was asked has no such stream. */
static enum err is_absent(struct nats_session *s, struct js_view **v, const struct js_call *call,
                          struct span body, struct verdict *to)
{
    struct js_view *view = *v;
    struct js_holder *h = js_view_find(s->js, call->stream);
    if (view->stage == VIEW_OWN) {
        enum err e = buf_append(&view->absent, body);
        if (e != ERR_OK)
            return e;
        if (h != NULL && h->ns != NULL)
            return go_to_holder(s, v, call, h);
    }
    js_view_forget(s->js, call->stream);
    if (!view->searched)
        return ask_page(s, v, call);
    *to = (struct verdict){true, true, buf_span(&view->absent)};
    return ERR_OK;
}

static enum err own_has_it(struct nats_session *s, struct js_view **v, const struct js_call *call,
                           struct span body, struct verdict *to)
{
    struct js_holder *h;
    enum err e = body.n == 0 ? ERR_OK : remember(s, call->stream, NULL, &h);
    if (e == ERR_OK && call->row->policy == JS_DIRECT)
        return send_request(s, v, s->ns); /* the probe's answer is nobody's */
    *to = (struct verdict){true, true, body};
    return e;
}

static enum err weigh(struct nats_session *s, struct js_view **v, const struct js_call *call,
                      struct span body, struct verdict *to)
{
    bool done = false;
    if ((*v)->stage == VIEW_SEARCH) {
        enum err e = take_page(s, *v, call->stream, body, &done);
        if (e != ERR_OK)
            return e;
        return done ? search_ends(s, v, call, to) : ask_page(s, v, call);
    }
    if (says_absent(body))
        return is_absent(s, v, call, body, to);
    if ((*v)->stage == VIEW_OWN)
        return own_has_it(s, v, call, body, to);
    if ((*v)->stage == VIEW_CHECK && !keeps_by_limits(body))
        return say_error(s, *v, call->row, &not_by_limits);
    if ((*v)->stage == VIEW_CHECK) {
        (*v)->stage = VIEW_ASK;
        count(s->ns->counters, COUNTER_VIEW_STREAM_READS, 1);
        return send_request(s, v, (*v)->holder->ns);
    }
    *to = (struct verdict){true, false, body};
    return ERR_OK;
}

enum err js_view_answer(struct nats_session *s, struct js_pending *p, struct span body,
                        struct span *ret_body, bool *ret_tell)
{
    struct js_view *v = p->view;
    struct js_call call;
    struct verdict to = {0};
    if (!js_api_parse(subject_of(v), &call))
        return ERR_SYNTAX;
    p->view = NULL;
    enum err e = weigh(s, &v, &call, body, &to);
    if (e == ERR_OK && to.tell && !to.from_own) {
        v->holder->refs++;
        p->holder = v->holder;
    }
    p->view = v; /* may hold the answer until it is told; released with p */
    *ret_body = to.body;
    *ret_tell = to.tell;
    return e;
}
