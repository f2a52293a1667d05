/* SPDX-License-Identifier: Apache-2.0 */
/* nats_js - what a session remembers of JetStream: its inbox, requests that wait, one buffer. */
#include "nats/nats_js.h"

#include <inttypes.h>
#include <stdlib.h>

#include "limit.h"
#include "nats/js_ack.h"
#include "nats/js_subject.h"
#include "nats/nats_js_view.h"
#include "nats/nats_state.h"
#include "wire/nats_write.h"

enum { END_BYTES = 2 };

enum err nats_js_get(struct nats_session *s, struct nats_js **ret_js)
{
    if (s->js == NULL)
        s->js = calloc(1, sizeof *s->js);
    *ret_js = s->js;
    return s->js == NULL ? ERR_NOMEM : ERR_OK;
}

void js_list_free(struct js_list *list)
{
    if (list == NULL)
        return;
    buf_deinit(&list->head);
    buf_deinit(&list->subject);
    buf_deinit(&list->items);
    buf_deinit(&list->below);
    free(list);
}

void js_pending_free(struct js_pending *p)
{
    js_list_free(p->list);
    js_view_free(p->view);
    js_holder_release(p->holder);
    free(p);
}

void nats_js_free(struct nats_js **ref)
{
    struct nats_js *js = *ref;
    if (js == NULL)
        return;
    while (js->oldest != NULL) {
        struct js_pending *p = js->oldest;
        js->oldest = p->next;
        js_pending_free(p);
    }
    while (js->holders != NULL) {
        struct js_holder *h = js->holders;
        js->holders = h->next;
        js_holder_release(h);
    }
    buf_deinit(&js->scratch);
    buf_deinit(&js->aside);
    free(js);
    *ref = NULL;
}

struct buf *nats_session_aside(struct nats_session *s)
{
    return s->js == NULL ? NULL : &s->js->aside;
}

struct buf *nats_js_scratch(struct nats_session *s)
{
    struct nats_js *js;
    if (nats_js_get(s, &js) != ERR_OK)
        return NULL;
    buf_consume(&js->scratch, buf_len(&js->scratch));
    return &js->scratch;
}

enum err js_pending_add(struct nats_js *js, const struct js_row *row, struct span reply,
                        struct js_list *list)
{
    struct js_pending *p = calloc(1, sizeof *p + reply.n);
    if (p == NULL) {
        js_list_free(list);
        return ERR_NOMEM;
    }
    p->number = ++js->number;
    p->row = row;
    p->list = list;
    p->reply_bytes = reply.n;
    memcpy(p->reply, reply.p, reply.n);
    if (js->pending == LIMIT_NATS_JS_PENDING)
        js_pending_free(js_pending_take(js, js->oldest->number));
    struct js_pending **end = &js->oldest;
    while (*end != NULL)
        end = &(*end)->next;
    *end = p;
    js->pending++;
    return ERR_OK;
}

struct js_pending *js_pending_newest(struct nats_js *js)
{
    struct js_pending *p = js->oldest;
    while (p != NULL && p->next != NULL)
        p = p->next;
    return p;
}

struct js_pending *js_pending_take(struct nats_js *js, uint64_t number)
{
    struct js_pending **at = &js->oldest;
    while (*at != NULL && (*at)->number != number)
        at = &(*at)->next;
    struct js_pending *p = *at;
    if (p != NULL) {
        *at = p->next;
        js->pending--;
    }
    return p;
}

/* bh.r.a~b~~.<server id>.<client id>. */
static enum err append_inbox(const struct nats_session *s, struct buf *out)
{
    enum err e = js_aside_append(s->ns, out);
    return e == ERR_OK ? buf_printf(out, ".%s.%s.", s->server_id, s->client_id) : e;
}

enum err js_inbox_append(const struct nats_session *s, uint64_t number, struct buf *out)
{
    enum err e = append_inbox(s, out);
    return e == ERR_OK ? buf_printf(out, "%" PRIu64, number) : e;
}

enum err js_inbox_open(struct nats_session *s)
{
    struct nats_js *js;
    enum err e = nats_js_get(s, &js);
    if (e != ERR_OK || js->subscribed)
        return e;
    struct buf subject = {0};
    e = append_inbox(s, &subject);
    if (e == ERR_OK)
        e = buf_append_byte(&subject, '*');
    struct nats_sub_line line = {
        .subject = buf_span(&subject), .letter = 'r', .sid = SPAN_LIT("0")};
    if (e == ERR_OK)
        e = nats_write_sub(nats_voice(s, SIDE_UP), &line);
    buf_deinit(&subject);
    if (e == ERR_OK)
        e = nats_expect_ok(s, true);
    js->subscribed = e == ERR_OK;
    return e;
}

static uint32_t header_bytes(const struct nats_line *l)
{
    uint32_t n = 0;
    return nats_parse_size(l->header_text, &n) && n <= l->payload_bytes ? n : 0;
}

static size_t bounded(size_t n)
{
    return n > LIMIT_NATS_JS_BODY_BYTES ? 0 : n;
}

static bool needs_body(const struct js_call *call)
{
    return call->row->policy != JS_DENY &&
           (call->row->request != NULL || call->row->policy == JS_NAMES ||
            call->row->policy == JS_LIST);
}

size_t nats_js_wants_of_app(const struct nats_session *s, const struct nats_line *l)
{
    struct js_call call;
    if (l->subject.p[0] == '$' && js_api_is(l->subject))
        return js_api_parse(l->subject, &call) && (needs_body(&call) || js_view_wants(s, l, &call))
                   ? bounded((size_t)l->payload_bytes + END_BYTES)
                   : 0;
    return l->op == NATS_OP_HPUB ? bounded(header_bytes(l)) : 0;
}

size_t nats_js_wants_of_up(const struct nats_session *s, const struct nats_line *l, struct span in)
{
    if (nats_js_is_inbox(l->sid) || nats_js_is_event(l->sid))
        return bounded((size_t)l->payload_bytes + END_BYTES);
    if (l->op == NATS_OP_HMSG)
        return bounded(header_bytes(l));
    if (l->reply.n != 0 || l->payload_bytes > LIMIT_NATS_PUB_ACK_BYTES)
        return 0;
    switch (js_ack_look(s->ns, l->payload_bytes, in)) {
    case JS_ACK_NOT:
    case JS_ACK_PLAIN:
        return 0;
    case JS_ACK_ERROR:
        return (size_t)l->payload_bytes + END_BYTES;
    case JS_ACK_CUT:
        break;
    }
    return in.n + 1;
}
