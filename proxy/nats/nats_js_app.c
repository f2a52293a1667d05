/* SPDX-License-Identifier: Apache-2.0 */
/* nats_js_app - an answer of JetStream's API: taken from our inbox, stripped, published. */
#include <stdlib.h>

#include "limit.h"
#include "nats/js_body.h"
#include "nats/js_headers.h"
#include "nats/nats_js.h"
#include "nats/nats_js_view.h"
#include "nats/nats_state.h"
#include "wire/nats_write.h"

enum { CRLF_BYTES = 2, NUMBER_DIGITS_MAX = 20 };

/* The number behind the last dot of one of our inbox's subjects. */
static bool read_number(struct span subject, uint64_t *ret_number)
{
    const uint8_t *dot = memrchr(subject.p, '.', subject.n);
    struct span digits = dot == NULL ? SPAN_NONE
                                     : span_skip(subject, (size_t)(dot - subject.p) + 1);
    uint64_t number = 0;
    if (digits.n == 0 || digits.n > NUMBER_DIGITS_MAX - 1)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return false;
        number = number * 10 + (digits.p[i] - (unsigned)'0');
    }
    *ret_number = number;
    return true;
}

static enum err say_error(struct nats_session *s, const struct js_pending *p,
                          const struct js_error *error)
{
    struct buf body = {0};
    enum err e = js_error_body(p->row, error, &body);
    if (e == ERR_OK)
        e = js_say(s, span_of(p->reply, p->reply_bytes), SPAN_NONE, buf_span(&body), true);
    buf_deinit(&body);
    return e;
}

static const struct js_error unreadable = {
    500, 10074, "bulkhead: the server's answer could not be read in this namespace"};
static const struct js_error too_large = {
    500, 10074, "bulkhead: the answer is larger than max_payload; ask for less of it"};

static enum err say(struct nats_session *s, const struct js_pending *p, struct span header,
                    struct span body)
{
    if (s->max_payload != 0 && header.n + body.n > s->max_payload)
        return say_error(s, p, &too_large);
    return js_say(s, span_of(p->reply, p->reply_bytes), header, body, true);
}

/* The next page of a list goes to the same place. Takes list. */
static enum err ask_again(struct nats_session *s, const struct js_pending *p, struct js_list *list)
{
    struct buf reply = {0}, body = {0}, subject = {0};
    const struct js_call call = {.row = p->row, .head = buf_span(&list->head)};
    enum err e = js_api_map(s->ns, &call, &subject);
    if (e == ERR_OK)
        e = js_list_request(list, &body);
    if (e == ERR_OK)
        e = js_pending_add(s->js, p->row, span_of(p->reply, p->reply_bytes), list);
    else
        js_list_free(list);
    if (e == ERR_OK)
        e = js_inbox_append(s, s->js->number, &reply);
    struct buf *out = nats_voice(s, SIDE_UP);
    if (e == ERR_OK)
        e = buf_printf(out, "PUB %.*s %.*s %zu\r\n", (int)buf_len(&subject),
                       (const char *)buf_span(&subject).p, (int)buf_len(&reply),
                       (const char *)buf_span(&reply).p, buf_len(&body));
    if (e == ERR_OK)
        e = buf_append(out, buf_span(&body));
    if (e == ERR_OK)
        e = buf_append(out, SPAN_LIT("\r\n"));
    buf_deinit(&reply);
    buf_deinit(&body);
    buf_deinit(&subject);
    return e == ERR_OK ? nats_expect_ok(s, true) : e;
}

static enum err answer_list(struct nats_session *s, struct js_pending *p, struct span header,
                            struct span body)
{
    struct buf answer = {0};
    bool done = false;
    enum err e = js_list_page(s->ns, p->list, p->row, body, &answer, &done);
    if (e == ERR_OK && !done) {
        struct js_list *list = p->list;
        p->list = NULL;
        e = ask_again(s, p, list);
        done = false;
    } else if (e == ERR_SYNTAX) {
        e = say_error(s, p, &unreadable);
        done = false;
    }
    if (e == ERR_OK && done)
        e = say(s, p, header, buf_span(&answer));
    buf_deinit(&answer);
    return e;
}

static enum err answer_body(struct nats_session *s, const struct js_pending *p, struct span header,
                            struct span body)
{
    struct buf answer = {0};
    const struct nats_ns *of = p->holder == NULL ? s->ns : p->holder->ns;
    enum err e = js_body_strip(of, p->row->answer, body, &answer);
    if (e == ERR_OK)
        e = say(s, p, header, buf_span(&answer));
    else if (e == ERR_SYNTAX || e == ERR_FOREIGN)
        e = say_error(s, p, &unreadable);
    buf_deinit(&answer);
    return e;
}

/* A status without a body, "503" above all, or an answer. */
static enum err deliver(struct nats_session *s, struct js_pending *p, struct span header,
                        struct span body)
{
    bool tell = true;
    if (p->view != NULL) {
        enum err e = js_view_answer(s, p, body, &body, &tell);
        if (e != ERR_OK || !tell)
            return e;
    }
    if (body.n == 0)
        return say(s, p, header, body);
    return p->list != NULL ? answer_list(s, p, header, body) : answer_body(s, p, header, body);
}

enum err nats_js_answer(struct nats_session *s, const struct nats_line *l, struct span *in)
{
    uint64_t number;
    uint32_t header_bytes = 0;
    struct js_pending *p = NULL;
    if (s->js != NULL && read_number(l->subject, &number))
        p = js_pending_take(s->js, number);
    if (l->header_text.n != 0 && !nats_parse_size(l->header_text, &header_bytes))
        header_bytes = 0;
    enum err e = ERR_OK;
    size_t whole = (size_t)l->payload_bytes + CRLF_BYTES;
    if (p == NULL) {
        count(s->ns->counters, COUNTER_FOREIGN_REPLY, 1);
        return nats_payload_begin(s, SIDE_UP, l->payload_bytes, true, in);
    }
    if (whole > LIMIT_NATS_JS_BODY_BYTES) {
        e = say_error(s, p, &too_large);
        js_pending_free(p);
        return e == ERR_OK ? nats_payload_begin(s, SIDE_UP, l->payload_bytes, true, in) : e;
    }
    struct span payload = span_head(*in, l->payload_bytes);
    struct buf header = {0};
    bool changed; /* or not: what is written is the whole block */
    if (!span_eq(span_head(span_skip(*in, payload.n), CRLF_BYTES), SPAN_LIT("\r\n")))
        e = ERR_UPSTREAM_PROTOCOL;
    if (e == ERR_OK && header_bytes != 0)
        e = js_headers_strip(s->ns, span_head(payload, header_bytes), &header, &changed);
    if (e == ERR_OK)
        e = deliver(s, p, buf_span(&header), span_skip(payload, header_bytes));
    buf_deinit(&header);
    js_pending_free(p);
    *in = span_skip(*in, whole);
    return e;
}
