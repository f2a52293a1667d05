/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_to_up - one line of the application: into the slice, or answered here.
 *
 * Whatever the application writes as a subject, reply or group goes up behind the session's own
 * prefix, unjudged: the server is the judge of its form, and inside the prefix it can reach nothing
 * else (tried: a publish to "P.>" or "P.*" is a literal to the server). What is answered here:
 * $SYS, JetStream's API, subscriptions that are no filters, and limits.
 */
#include <stdio.h>

#include "limit.h"
#include "nats/js_event.h"
#include "nats/js_headers.h"
#include "nats/nats_info.h"
#include "nats/nats_js.h"
#include "nats/nats_state.h"
#include "wire/json_splice.h"
#include "wire/nats_write.h"

static enum err say_err(struct nats_session *s, const char *text)
{
    return nats_write_err(nats_voice(s, SIDE_APP), span_str(text));
}

/* -ERR 'Permissions Violation for <what> "<subject>"[ using queue "<queue>"]' */
static enum err deny(struct nats_session *s, const char *what, const struct nats_line *l)
{
    struct buf text = {0};
    enum err e = buf_printf(&text, "Permissions Violation for %s \"", what);
    if (e == ERR_OK)
        e = buf_append(&text, l->subject);
    if (e == ERR_OK && l->queue.n != 0) {
        e = buf_append(&text, SPAN_LIT("\" using queue \""));
        if (e == ERR_OK)
            e = buf_append(&text, l->queue);
    }
    if (e == ERR_OK)
        e = buf_append_byte(&text, '"');
    if (e == ERR_OK)
        e = nats_write_err(nats_voice(s, SIDE_APP), buf_span(&text));
    buf_deinit(&text);
    count(s->ns->counters, COUNTER_DENIED_SYS, 1);
    return e;
}

/* The line of a publish. Only the subject's class may differ from the reply's, by one letter. */
static enum err write_pub_line(struct nats_session *s, const struct nats_line *l)
{
    const struct subject_map *map = &s->ns->map;
    struct buf *out = &s->out[SIDE_UP];
    size_t before = buf_len(out);
    enum err e = nats_write_pub(out, subject_map_pub_prefix(map), l);
    if (e == ERR_OK && subject_map_goes_down(map, l->subject)) {
        size_t verb = l->op == NATS_OP_HPUB ? 5 : 4; /* "HPUB ", "PUB " */
        out->data[out->head + before + verb + map->class_at] = 'd';
    }
    return e;
}

/* The header block is whole in *in, or too large to be looked at: names that the server acts upon
 * are mapped, and both lengths follow. */
static enum err publish_headers(struct nats_session *s, const struct nats_line *l, struct span *in,
                                bool *ret_written)
{
    uint32_t n = 0;
    if (!nats_parse_size(l->header_text, &n) || n > in->n || n > l->payload_bytes ||
        !js_headers_may_change(span_head(*in, n)))
        return ERR_OK;
    struct buf edited = {0};
    enum err e = js_headers_map(s->ns, span_head(*in, n), &edited, ret_written);
    if (e != ERR_OK || !*ret_written) {
        buf_deinit(&edited);
        return e;
    }
    char sizes[2][16];
    size_t total = l->payload_bytes - n + buf_len(&edited);
    struct nats_line line = *l;
    line.header_text = span_of(
        sizes[0], (size_t)snprintf(sizes[0], sizeof sizes[0], "%zu", buf_len(&edited)));
    line.payload_text = span_of(sizes[1],
                                (size_t)snprintf(sizes[1], sizeof sizes[1], "%zu", total));
    if (s->max_payload != 0 && total > s->max_payload)
        e = ERR_NATS_PAYLOAD;
    if (e == ERR_OK)
        e = write_pub_line(s, &line);
    if (e == ERR_OK)
        e = nats_write_header(s, buf_span(&edited));
    *in = span_skip(*in, n);
    buf_deinit(&edited);
    return e;
}

static enum err write_publish(struct nats_session *s, const struct nats_line *l, struct span *in)
{
    bool written = false;
    uint32_t left = l->payload_bytes;
    size_t before = in->n;
    enum err e = l->op == NATS_OP_HPUB ? publish_headers(s, l, in, &written) : ERR_OK;
    if (e == ERR_OK && !written)
        e = write_pub_line(s, l);
    if (e == ERR_OK)
        e = nats_expect_ok(s, false);
    if (e != ERR_OK)
        return e;
    left -= (uint32_t)(before - in->n);
    count(s->ns->counters, COUNTER_NATS_MSGS_TO_UP, 1);
    if (!written)
        nats_expect_header(s, l);
    return nats_payload_begin(s, SIDE_APP, left, false, in);
}

/* A subject that starts with '$'. True: it was dealt with. */
static bool publish_reserved(struct nats_session *s, const struct nats_line *l, struct span *in,
                             enum err *ret_error)
{
    if (!subject_is_sys(l->subject))
        return nats_js_publish(s, l, in, ret_error);
    *ret_error = deny(s, "Publish to", l);
    if (*ret_error == ERR_OK)
        *ret_error = nats_payload_begin(s, SIDE_APP, l->payload_bytes, true, in);
    return true;
}

static enum err publish(struct nats_session *s, const struct nats_line *l, struct span raw,
                        struct span *in)
{
    if (s->max_payload != 0 && l->payload_bytes > s->max_payload)
        return ERR_NATS_PAYLOAD;
    if (l->op == NATS_OP_HPUB && !(s->headers && s->server_headers))
        return ERR_NATS_HEADERS;
    if (nats_write_pub_bytes(subject_map_pub_prefix(&s->ns->map), l) > nats_line_max(s))
        return ERR_NATS_CONTROL_LINE;
    size_t want = nats_js_wants_of_app(s, l);
    if (want > in->n)
        return nats_hold(s, SIDE_APP, raw, want, in);
    enum err e = ERR_OK;
    if (l->subject.p[0] == '$' && publish_reserved(s, l, in, &e))
        return e;
    return write_publish(s, l, in);
}

/* One upstream SUB. Whose group a queue is in is the namespace algebra's to say. */
static enum err write_sub(struct nats_session *s, const struct nats_line *l,
                          const struct subject_prefix *prefix, unsigned slice)
{
    const struct subject_map *map = &s->ns->map;
    struct buf group = {0};
    enum err e = ERR_OK;
    if (l->queue.n != 0)
        e = subject_map_group(map, slice, l->queue, &group);
    struct nats_sub_line line = {
        .prefix = span_of(prefix->text, prefix->n),
        .subject = l->subject,
        .queue = buf_span(&group),
        .letter = nats_letter(slice),
        .sid = l->sid,
    };
    if (e == ERR_OK && nats_write_sub_bytes(&line) > nats_line_max(s))
        e = ERR_NATS_CONTROL_LINE;
    if (e == ERR_OK)
        e = nats_write_sub(&s->out[SIDE_UP], &line);
    buf_deinit(&group);
    return e;
}

static enum err write_subs(struct nats_session *s, const struct nats_line *l, unsigned slices)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < SUBJECT_SLICES_MAX && e == ERR_OK; i++) {
        if ((slices >> i & 1) == 0)
            continue;
        e = write_sub(s, l, subject_map_sub_prefix(&s->ns->map, slices, i), i);
        if (e == ERR_OK)
            e = nats_expect_ok(s, i != 0);
    }
    return e;
}

/* One upstream SUB for the server's own events. The queue group is of this namespace: members of
 * another's would take ours, and drop them. */
static enum err write_event_sub(struct nats_session *s, const struct nats_line *l,
                                struct span filter)
{
    struct buf group = {0};
    enum err e = ERR_OK;
    if (l->queue.n != 0)
        e = subject_map_group(&s->ns->map, SUBJECT_EVENTS, l->queue, &group);
    struct nats_sub_line line = {.subject = filter,
                                 .queue = buf_span(&group),
                                 .letter = nats_letter(NATS_SLICE_JS_EVENTS),
                                 .sid = l->sid};
    if (e == ERR_OK && nats_write_sub_bytes(&line) > nats_line_max(s))
        e = ERR_NATS_CONTROL_LINE;
    if (e == ERR_OK)
        e = nats_write_sub(&s->out[SIDE_UP], &line);
    buf_deinit(&group);
    return e == ERR_OK ? nats_expect_ok(s, true) : e;
}

static enum err subscribe_slices(struct nats_session *s, const struct nats_line *l,
                                 struct span events)
{
    /* No filter: the server says so, in its turn among the answers of a verbose client. */
    bool valid = subject_is_valid_filter(l->subject);
    unsigned slices = valid ? subject_map_sub_slices(&s->ns->map, l->subject) : 1;
    unsigned listens = slices & ~(unsigned)SUBJECT_BELOW; /* in the events' place */
    if (events.n != 0)
        listens |= 1u << NATS_SLICE_JS_EVENTS;
    count(s->ns->counters, COUNTER_DENIED_SUBJECT, !valid);
    const struct nats_sub *known = nats_subs_find(&s->subs, l->sid);
    if (known != NULL && known->slices != 0) {
        slices = 1; /* a sid in use: the server ignores the line, and answers it */
        events = SPAN_NONE;
    } else if (listens != 1 || known != NULL) {
        enum err e = nats_subs_add(&s->subs, l->sid, listens);
        if (e == ERR_NATS_SUBS) {
            count(s->ns->counters, COUNTER_DENIED_SUBJECT, 1);
            return say_err(s, err_info(e)->nats_text);
        }
        if (e != ERR_OK)
            return e;
    }
    count(s->ns->counters, COUNTER_NATS_SUBS, 1);
    enum err e = write_subs(s, l, slices);
    return e == ERR_OK && events.n != 0 ? write_event_sub(s, l, events) : e;
}

static enum err subscribe(struct nats_session *s, const struct nats_line *l)
{
    if (subject_is_sys(l->subject))
        return deny(s, "Subscription to", l);
    struct buf events = {0};
    enum err e = ERR_OK;
    uint8_t first = l->subject.p[0];
    if ((first == '$' || first == '*' || first == '>') && subject_is_valid_filter(l->subject))
        (void)js_event_filter(s->ns, l->subject, &events, &e);
    if (e == ERR_OK)
        e = subscribe_slices(s, l, buf_span(&events));
    buf_deinit(&events);
    return e;
}

enum err nats_unsub_slices(struct nats_session *s, unsigned slices, struct span sid,
                           struct span max, bool own)
{
    bool swallow = own;
    enum err e = ERR_OK;
    for (unsigned i = 0; slices >> i != 0 && e == ERR_OK; i++) {
        if ((slices >> i & 1) == 0)
            continue;
        e = nats_write_unsub(nats_voice(s, SIDE_UP), nats_letter(i), sid, max);
        if (e == ERR_OK)
            e = nats_expect_ok(s, swallow);
        swallow = true;
    }
    return e;
}

static enum err unsubscribe(struct nats_session *s, const struct nats_line *l)
{
    if (nats_write_unsub_bytes(l->sid, l->max) > nats_line_max(s))
        return ERR_NATS_CONTROL_LINE;
    struct nats_sub *sub = nats_subs_find(&s->subs, l->sid);
    if (sub == NULL || sub->slices == 0)
        return nats_unsub_slices(s, 1, l->sid, l->max, false);
    unsigned slices = sub->slices;
    /* As the server: a maximum that is none, or is reached already, ends it now. */
    uint32_t max = 0;
    if (nats_parse_size(l->max, &max) && max > sub->delivered) {
        sub->max = max;
        /* The server would count events of other namespaces, too. */
        slices &= ~(1u << NATS_SLICE_JS_EVENTS);
        return nats_unsub_slices(s, slices, l->sid, l->max, false);
    }
    nats_subs_remove(&s->subs, sub);
    return nats_unsub_slices(s, slices, l->sid, SPAN_NONE, false);
}

static enum err connect_line(struct nats_session *s, struct span json)
{
    struct nats_connect connect = {s->verbose, s->echo, s->headers, buf_span(&s->nonce)};
    enum err e = nats_connect_write(s->ns, json, &s->out[SIDE_UP], &connect);
    buf_deinit(&s->nonce);
    if (e != ERR_OK)
        return e;
    s->verbose = connect.verbose;
    s->echo = connect.echo;
    s->headers = connect.headers;
    return nats_expect_ok(s, false);
}

/* A client that begins without CONNECT is one with the server's defaults; only our credentials are
 * to be said before it. */
static enum err begin_without_connect(struct nats_session *s)
{
    if (!nats_has_credentials(s->ns))
        return ERR_OK;
    struct nats_connect connect = {.nonce = buf_span(&s->nonce)};
    enum err e = nats_connect_write(s->ns, SPAN_LIT("{}"), &s->out[SIDE_UP], &connect);
    buf_deinit(&s->nonce);
    return e == ERR_OK ? nats_expect_ok(s, true) : e;
}

/* The server reads an INFO of a client, and does nothing with it. */
static enum err check_info(struct span json)
{
    struct json_walk w;
    struct json_member m;
    bool more = !span_eq(json, SPAN_LIT("null"));
    enum err e = more ? json_walk_begin(&w, json) : ERR_OK;
    while (e == ERR_OK && more)
        e = json_walk_next(&w, &m, &more);
    return e;
}

enum err nats_to_up_line(struct nats_session *s, struct span line, struct span *in)
{
    struct nats_line l;
    enum err e = nats_parse_line(NATS_FROM_CLIENT, line, &l);
    if (e == ERR_OK && s->state == NATS_WAIT_CONNECT) {
        nats_state_move(s, NATS_OPEN);
        if (l.op != NATS_OP_CONNECT)
            e = begin_without_connect(s);
    }
    if (e != ERR_OK)
        return e;
    switch (l.op) {
    case NATS_OP_PUB:
    case NATS_OP_HPUB:
        return publish(s, &l, line, in);
    case NATS_OP_SUB:
        return subscribe(s, &l);
    case NATS_OP_UNSUB:
        return unsubscribe(s, &l);
    case NATS_OP_CONNECT:
        return connect_line(s, l.text);
    case NATS_OP_PING:
        s->pings++;
        return buf_append(&s->out[SIDE_UP], SPAN_LIT("PING\r\n"));
    case NATS_OP_PONG:
        return buf_append(&s->out[SIDE_UP], SPAN_LIT("PONG\r\n"));
    case NATS_OP_ERR:
        return ERR_SYNTAX; /* the server closes, too */
    case NATS_OP_INFO:
        return check_info(l.text);
    case NATS_OP_OK: /* the server takes it from a client and does nothing */
    case NATS_OP_MSG:
    case NATS_OP_HMSG:
    case NATS_OPS:
        break;
    }
    return ERR_OK;
}
