/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_to_app - one line of the server: verified, stripped, or dropped.
 *
 * A message whose subject or reply lies outside what this namespace may see is dropped whole, with
 * its payload, and counted; nothing is cut off unchecked (design.md law L5).
 */
#include <stdio.h>

#include "limit.h"
#include "nats/js_ack.h"
#include "nats/js_event.h"
#include "nats/js_headers.h"
#include "nats/js_subject.h"
#include "nats/nats_err_text.h"
#include "nats/nats_js.h"
#include "nats/nats_state.h"
#include "wire/json_text.h"
#include "wire/nats_write.h"

/* The slice that the upstream sid names; false: none. */
static bool slice_of(const struct subject_map *map, struct span sid, unsigned *ret_slice)
{
    uint8_t letter = sid.p[0];
    unsigned slice = SUBJECT_EVENTS;
    if (sid.n < 2)
        return false;
    if (letter == 'd')
        slice = SUBJECT_REQUESTS;
    else if (letter == 'j')
        slice = SUBJECT_DELIVERY;
    else if (letter >= '1' && letter <= '4')
        slice = SUBJECT_ABOVE + (letter - (unsigned)'1');
    else if (letter != 'e')
        return false;
    *ret_slice = slice;
    return map->slice[slice].n != 0;
}

/* Make l's subject and sid the application's. False: not ours to show, counted. */
static bool strip_subject(const struct nats_session *s, unsigned slice, struct nats_line *l)
{
    const struct subject_map *map = &s->ns->map;
    const struct subject_prefix *p = &map->slice[slice];
    /* Nearly always the subject lies in the slice that the sid names. */
    if (l->subject.n > p->n && memcmp(l->subject.p, p->text, p->n) == 0)
        l->subject = span_skip(l->subject, p->n);
    else if (!subject_map_strip(map, l->subject, &l->subject)) {
        count(s->ns->counters, COUNTER_FOREIGN_SUBJECT, 1);
        return false;
    }
    l->sid = span_skip(l->sid, 1);
    return true;
}

/* The same for the reply. *ret_own = false: not ours to show, counted. */
static enum err strip_reply(struct nats_session *s, struct nats_line *l, bool *ret_own)
{
    *ret_own = true;
    if (l->reply.n == 0 || subject_map_strip_reply(&s->ns->map, l->reply, &l->reply))
        return ERR_OK;
    struct buf *text = l->reply.p[0] == '$' ? nats_js_scratch(s) : NULL;
    enum err e = l->reply.p[0] == '$' && text == NULL ? ERR_NOMEM : ERR_OK;
    if (text != NULL && js_shown_reply(s->ns, l->reply, text, &e)) {
        l->reply = buf_span(text);
        return e;
    }
    if (e == ERR_OK)
        count(s->ns->counters, COUNTER_FOREIGN_REPLY, 1);
    *ret_own = false;
    return e;
}

/* Our own PING, behind the UNSUBs of subscriptions that ended: its PONG ends their late messages.
 */
static enum err send_barrier(struct nats_session *s)
{
    if (s->barrier || s->subs.unfenced == NULL)
        return ERR_OK;
    nats_subs_fence(&s->subs);
    s->barrier = true;
    s->barrier_behind = s->pings;
    return buf_append(nats_voice(s, SIDE_UP), SPAN_LIT("PING\r\n"));
}

/* The server's word that nobody heard a request: it counts for no maximum there. */
static bool is_no_responders(const struct nats_line *l, struct span in)
{
    return l->op == NATS_OP_HMSG && span_eq(l->header_text, l->payload_text) &&
           span_has_prefix(in, SPAN_LIT("NATS/1.0 503"));
}

/* Count a message of a subscription that has several upstream sids. False: it came too late. */
static bool deliver(struct nats_session *s, unsigned slice, const struct nats_line *l,
                    struct span in, struct nats_sub **ret_full)
{
    struct nats_sub *sub = nats_subs_find(&s->subs, l->sid);
    *ret_full = NULL;
    if (sub == NULL)
        return true;
    if ((sub->slices >> slice & 1) == 0)
        return (sub->late >> slice & 1) == 0;
    if (is_no_responders(l, in))
        return true;
    sub->delivered++;
    if (sub->max != 0 && sub->delivered >= sub->max)
        *ret_full = sub;
    return true;
}

/* The maximum was reached on one upstream sid or on all together: end all of them. */
static enum err finish(struct nats_session *s, struct nats_sub *sub)
{
    unsigned slices = sub->slices;
    nats_subs_finish(&s->subs, sub);
    enum err e = nats_unsub_slices(s, slices, span_of(sub->sid, sub->sid_bytes), SPAN_NONE, true);
    return e == ERR_OK ? send_barrier(s) : e;
}

/* A payload that starts otherwise than it came: start instead of its first cut bytes. */
static enum err write_other(struct nats_session *s, const struct nats_line *l, size_t cut,
                            struct span start, bool is_header, struct span *in)
{
    char sizes[2][16];
    struct nats_line line = *l;
    size_t n = l->payload_bytes - cut + start.n;
    if (is_header)
        line.header_text = span_of(sizes[0],
                                   (size_t)snprintf(sizes[0], sizeof sizes[0], "%zu", start.n));
    line.payload_text = span_of(sizes[1], (size_t)snprintf(sizes[1], sizeof sizes[1], "%zu", n));
    enum err e = nats_write_msg(&s->out[SIDE_APP], &line);
    if (e == ERR_OK)
        e = buf_append(&s->out[SIDE_APP], start);
    *in = span_skip(*in, cut);
    return e == ERR_OK ? nats_payload_begin(s, SIDE_UP, l->payload_bytes - (uint32_t)cut, false, in)
                       : e;
}

/* HMSG: the header block is whole in *in, or too large to be looked at. */
static enum err write_headers(struct nats_session *s, const struct nats_line *l, struct span *in,
                              bool *ret_written)
{
    uint32_t n = 0;
    if (!nats_parse_size(l->header_text, &n) || n > in->n || n > l->payload_bytes ||
        !js_headers_may_change(span_head(*in, n)))
        return ERR_OK;
    struct buf edited = {0};
    enum err e = js_headers_strip(s->ns, span_head(*in, n), &edited, ret_written);
    if (e == ERR_OK && *ret_written)
        e = write_other(s, l, n, buf_span(&edited), true, in);
    buf_deinit(&edited);
    return e;
}

/* MSG: is it the answer to a publish that went to a stream? */
static enum err write_ack(struct nats_session *s, const struct nats_line *l, struct span *in,
                          bool *ret_written)
{
    const struct nats_ns *ns = s->ns;
    struct span body = span_head(*in, l->payload_bytes);
    enum js_ack ack = l->reply.n != 0 || l->payload_bytes > LIMIT_NATS_PUB_ACK_BYTES
                          ? JS_ACK_NOT
                          : js_ack_look(ns, l->payload_bytes, body);
    *ret_written = ack == JS_ACK_PLAIN;
    if (ack == JS_ACK_PLAIN)
        return write_other(s, l, js_ack_plain_bytes(ns), js_ack_start, false, in);
    enum err e = ERR_OK;
    struct buf stripped = {0};
    if (ack == JS_ACK_ERROR && body.n == l->payload_bytes &&
        js_ack_strip_error(ns, body, &stripped, &e)) {
        *ret_written = true;
        if (e == ERR_OK)
            e = write_other(s, l, body.n, buf_span(&stripped), false, in);
    }
    buf_deinit(&stripped);
    return e;
}

static enum err write_message(struct nats_session *s, const struct nats_line *l, struct span *in)
{
    bool written = false;
    enum err e = l->op == NATS_OP_HMSG ? write_headers(s, l, in, &written)
                                       : write_ack(s, l, in, &written);
    if (e != ERR_OK || written)
        return e;
    e = nats_write_msg(&s->out[SIDE_APP], l);
    return e == ERR_OK ? nats_payload_begin(s, SIDE_UP, l->payload_bytes, false, in) : e;
}

/* An advisory or metric as it may be seen, in the place of the server's. */
static enum err write_event(struct nats_session *s, struct nats_line *l, const struct buf *subject,
                            const struct buf *body, struct span *in)
{
    struct nats_sub *full = NULL;
    l->sid = span_skip(l->sid, 1);
    if (!deliver(s, NATS_SLICE_JS_EVENTS, l, *in, &full))
        return nats_payload_begin(s, SIDE_UP, l->payload_bytes, true, in);
    l->subject = buf_span(subject);
    enum err e = write_other(s, l, l->payload_bytes, buf_span(body), false, in);
    count(s->ns->counters, COUNTER_NATS_MSGS_TO_APP, 1);
    return e == ERR_OK && full != NULL ? finish(s, full) : e;
}

/* The server's own words, of every namespace: what is not wholly understood is dropped. */
static enum err event(struct nats_session *s, struct nats_line *l, struct span *in)
{
    struct buf subject = {0}, body = {0};
    bool is_plain = l->op == NATS_OP_MSG && l->reply.n == 0 && l->sid.n > 1 &&
                    l->payload_bytes <= in->n;
    enum err e = is_plain ? js_event_strip(s->ns, l->subject, span_head(*in, l->payload_bytes),
                                           &subject, &body)
                          : ERR_FOREIGN;
    if (e == ERR_OK) {
        e = write_event(s, l, &subject, &body, in);
    } else if (e == ERR_FOREIGN) {
        count(s->ns->counters, COUNTER_FOREIGN_EVENT, 1);
        e = nats_payload_begin(s, SIDE_UP, l->payload_bytes, true, in);
    }
    buf_deinit(&subject);
    buf_deinit(&body);
    return e;
}

static enum err message(struct nats_session *s, struct nats_line *l, struct span *in)
{
    if (nats_js_is_inbox(l->sid))
        return nats_js_answer(s, l, in);
    if (nats_js_is_event(l->sid))
        return event(s, l, in);
    unsigned slice = 0;
    struct nats_sub *full = NULL;
    if (!slice_of(&s->ns->map, l->sid, &slice)) {
        count(s->ns->counters, COUNTER_FOREIGN_SUBJECT, 1);
        return nats_payload_begin(s, SIDE_UP, l->payload_bytes, true, in);
    }
    bool own = strip_subject(s, slice, l);
    enum err e = own ? strip_reply(s, l, &own) : ERR_OK;
    if (e != ERR_OK)
        return e;
    if (!own || !deliver(s, slice, l, *in, &full))
        return nats_payload_begin(s, SIDE_UP, l->payload_bytes, true, in);
    e = write_message(s, l, in);
    count(s->ns->counters, COUNTER_NATS_MSGS_TO_APP, 1);
    return e == ERR_OK && full != NULL ? finish(s, full) : e;
}

/* The first INFO decides: the server's wish and ours upstream, the listener's for the application.
 */
static enum err decide_tls(struct nats_session *s, const struct nats_info *info)
{
    const struct nats_ns *ns = s->ns;
    if (ns->tls_up && !info->tls_required && !info->tls_available)
        return ERR_NATS_NO_TLS;
    s->wants_tls[SIDE_UP] = !ns->tls_up_first && (ns->tls_up || info->tls_required);
    s->wants_tls[SIDE_APP] = ns->tls_app && !s->is_voice;
    return ERR_OK;
}

/* A JSON value of letters and digits, without its quotes, as one token; any other is "0". */
static void take_token(struct span value, char *text, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < value.n && n + 1 < size; i++) {
        uint8_t c = value.p[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
            text[n++] = (char)c;
    }
    if (n == 0)
        text[n++] = '0';
    text[n] = '\0';
}

/* "2.9.10": 9. */
static uint8_t read_minor(struct span version)
{
    unsigned minor = 0;
    size_t i = 3;
    if (version.n < 5 || memcmp(version.p, "\"2.", 3) != 0)
        return UINT8_MAX;
    for (; i < version.n && version.p[i] >= '0' && version.p[i] <= '9' && minor < UINT8_MAX; i++)
        minor = minor * 10 + (version.p[i] - (unsigned)'0');
    return i > 3 && minor < UINT8_MAX && version.p[i] == '.' ? (uint8_t)minor : UINT8_MAX;
}

static enum err info(struct nats_session *s, struct span json)
{
    struct nats_info info;
    size_t before = buf_len(&s->out[SIDE_APP]);
    enum err e = nats_info_write(s->ns, json, &s->out[SIDE_APP], &info);
    if (e != ERR_OK)
        return e;
    if (s->state == NATS_WAIT_INFO)
        e = decide_tls(s, &info);
    if (e != ERR_OK || s->is_voice)
        buf_truncate(&s->out[SIDE_APP], before);
    if (e != ERR_OK)
        return e;
    if (s->ns->learn != NULL && info.connect_urls.n != 0)
        s->ns->learn(s->ns->learner, info.connect_urls);
    s->max_payload = info.max_payload;
    s->server_headers = info.headers;
    if (s->state == NATS_WAIT_INFO) { /* they name our inbox for as long as the session lives */
        take_token(info.server_id, s->server_id, sizeof s->server_id);
        take_token(info.client_id, s->client_id, sizeof s->client_id);
        s->server_minor = read_minor(info.version);
    }
    if (s->state == NATS_WAIT_INFO && s->ns->signer != NULL && json_is_string(info.nonce))
        e = json_text_decode(info.nonce, &s->nonce);
    if (s->state == NATS_WAIT_INFO && e == ERR_OK)
        nats_state_move(s, NATS_WAIT_CONNECT);
    return e;
}

static enum err ok(struct nats_session *s)
{
    return nats_oks_pop(&s->oks) ? buf_append(&s->out[SIDE_APP], SPAN_LIT("+OK\r\n")) : ERR_OK;
}

static enum err pong(struct nats_session *s)
{
    if (s->barrier && s->barrier_behind == 0) {
        s->barrier = false;
        nats_subs_passed_fence(&s->subs);
        return send_barrier(s);
    }
    if (s->barrier)
        s->barrier_behind--;
    if (s->pings != 0)
        s->pings--;
    return buf_append(&s->out[SIDE_APP], SPAN_LIT("PONG\r\n"));
}

static enum err error(struct nats_session *s, struct span text)
{
    if (s->verbose && !nats_err_text_has_ok(text))
        (void)nats_oks_pop(&s->oks);
    if (nats_err_text_is_of_events(text)) {
        count(s->ns->counters, COUNTER_DENIED_EVENTS, 1);
        return ERR_OK;
    }
    struct buf stripped = {0};
    enum err e = nats_err_text_strip(&s->ns->map, text, &stripped);
    if (e == ERR_OK)
        e = nats_write_err(&s->out[SIDE_APP], buf_span(&stripped));
    buf_deinit(&stripped);
    return e;
}

enum err nats_to_app_line(struct nats_session *s, struct span line, struct span *in)
{
    struct nats_line l;
    enum err e = nats_parse_line(NATS_FROM_SERVER, line, &l);
    if (e != ERR_OK)
        return e;
    /* A server speaks first: INFO, or why it will not have us. */
    if (s->state == NATS_WAIT_INFO && l.op != NATS_OP_INFO && l.op != NATS_OP_ERR)
        return ERR_UPSTREAM_PROTOCOL;
    switch (l.op) {
    case NATS_OP_MSG:
    case NATS_OP_HMSG: {
        size_t want = nats_js_wants_of_up(s, &l, *in);
        return want > in->n ? nats_hold(s, SIDE_UP, line, want, in) : message(s, &l, in);
    }
    case NATS_OP_PING:
        return s->is_voice ? buf_append(&s->out[SIDE_UP], SPAN_LIT("PONG\r\n"))
                           : buf_append(&s->out[SIDE_APP], SPAN_LIT("PING\r\n"));
    case NATS_OP_PONG:
        return pong(s);
    case NATS_OP_OK:
        return ok(s);
    case NATS_OP_ERR:
        return s->is_voice ? ERR_OK : error(s, l.text); /* what ends it is followed by its end */
    case NATS_OP_INFO:
        return info(s, l.text);
    case NATS_OP_PUB:
    case NATS_OP_HPUB:
    case NATS_OP_SUB:
    case NATS_OP_UNSUB:
    case NATS_OP_CONNECT:
    case NATS_OPS:
        break;
    }
    return ERR_UPSTREAM_PROTOCOL;
}
