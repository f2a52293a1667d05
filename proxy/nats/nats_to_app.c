/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_to_app - one line of the server: verified, stripped, or dropped.
 *
 * A message whose subject or reply lies outside what this namespace may see is dropped whole, with
 * its payload, and counted; nothing is cut off unchecked (design.md law L5).
 */
#include "nats/nats_err_text.h"
#include "nats/nats_info.h"
#include "nats/nats_state.h"
#include "wire/nats_write.h"

/* The slice that the upstream sid names; map->slices or more = none. */
static unsigned slice_of(struct span sid)
{
    uint8_t letter = sid.p[0];
    if (sid.n < 2)
        return SUBJECT_SLICES_MAX;
    if (letter == 'e')
        return 0;
    if (letter == 'd')
        return 1;
    return letter >= '1' && letter <= '4' ? 2u + (letter - (unsigned)'1') : SUBJECT_SLICES_MAX;
}

/* Make l's names the application's. False: not ours to show, counted. */
static bool strip(const struct nats_session *s, unsigned slice, struct nats_line *l)
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
    if (l->reply.n != 0 && !subject_map_strip_reply(map, l->reply, &l->reply)) {
        count(s->ns->counters, COUNTER_FOREIGN_REPLY, 1);
        return false;
    }
    l->sid = span_skip(l->sid, 1);
    return true;
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

/* Count a message of a subscription that has several upstream sids. False: it came too late. */
static bool deliver(struct nats_session *s, unsigned slice, struct span sid,
                    struct nats_sub **ret_full)
{
    struct nats_sub *sub = nats_subs_find(&s->subs, sid);
    *ret_full = NULL;
    if (sub == NULL)
        return true;
    if ((sub->slices >> slice & 1) == 0)
        return (sub->late >> slice & 1) == 0;
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

static enum err message(struct nats_session *s, struct nats_line *l, struct span *in)
{
    unsigned slice = slice_of(l->sid);
    struct nats_sub *full = NULL;
    if (slice >= s->ns->map.slices) {
        count(s->ns->counters, COUNTER_FOREIGN_SUBJECT, 1);
        return nats_payload_begin(s, SIDE_UP, l->payload_bytes, true, in);
    }
    if (!strip(s, slice, l) || !deliver(s, slice, l->sid, &full))
        return nats_payload_begin(s, SIDE_UP, l->payload_bytes, true, in);
    enum err e = nats_write_msg(&s->out[SIDE_APP], l);
    if (e == ERR_OK)
        e = nats_payload_begin(s, SIDE_UP, l->payload_bytes, false, in);
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
    s->wants_tls[SIDE_APP] = ns->tls_app;
    return ERR_OK;
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
    if (e != ERR_OK) {
        buf_truncate(&s->out[SIDE_APP], before);
        return e;
    }
    s->max_payload = info.max_payload;
    s->server_headers = info.headers;
    if (s->state == NATS_WAIT_INFO)
        nats_state_move(s, NATS_WAIT_CONNECT);
    return ERR_OK;
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
    case NATS_OP_HMSG:
        return message(s, &l, in);
    case NATS_OP_PING:
        return buf_append(&s->out[SIDE_APP], SPAN_LIT("PING\r\n"));
    case NATS_OP_PONG:
        return pong(s);
    case NATS_OP_OK:
        return ok(s);
    case NATS_OP_ERR:
        return error(s, l.text);
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
