/* SPDX-License-Identifier: Apache-2.0 */
/* js_headers - one table of headers: what the value is, and who acts on it. */
#include "nats/js_headers.h"

#include "base/attr.h"
#include "nats/js_api.h"
#include "nats/js_subject.h"
#include "wire/nats_header.h"

enum value {
    VALUE_STREAM,
    VALUE_SUBJECT,
    VALUE_REPLY, /* $JS.FC.… */
    VALUE_FIELDS /* a stream, then fields of which some are subjects, between blanks */
};

static const struct {
    struct span name;
    enum value value;
    bool to_up; /* the server acts on what an application writes here */
} headers[] = {
    {{(const uint8_t *)"Nats-Stream", 11}, VALUE_STREAM, false},
    {{(const uint8_t *)"Nats-Subject", 12}, VALUE_SUBJECT, false},
    {{(const uint8_t *)"Nats-Expected-Stream", 20}, VALUE_STREAM, true},
    {{(const uint8_t *)"Nats-Expected-Last-Subject-Sequence-Subject", 43}, VALUE_SUBJECT, true},
    {{(const uint8_t *)"Nats-Consumer-Stalled", 21}, VALUE_REPLY, false},
    {{(const uint8_t *)"Nats-Stream-Source", 18}, VALUE_FIELDS, false},
    {{(const uint8_t *)"Nats-Schedule-Target", 20}, VALUE_SUBJECT, true},
    {{(const uint8_t *)"Nats-Schedule-Source", 20}, VALUE_SUBJECT, true},
    {{(const uint8_t *)"Nats-Scheduler", 14}, VALUE_SUBJECT, false},
};

struct edit {
    const struct nats_ns *ns;
    bool to_up;
};

static enum err map_value(const struct nats_ns *ns, enum value value, struct span v,
                          struct buf *out, bool *ret_changed)
{
    enum err e = ERR_OK;
    if (v.n == 0)
        return ERR_OK;
    if (value == VALUE_SUBJECT)
        e = subject_is_literal(v) ? js_subject_lookup(ns, v, out) : js_subject_filter(ns, v, out);
    else
        e = js_names_map(&ns->names, v, out);
    *ret_changed = e == ERR_OK;
    return e == ERR_LIMIT ? ERR_OK : e;
}

static bool strip_word(const struct nats_ns *ns, struct span word, struct span *ret_word)
{
    return js_shown_subject(ns, word, ret_word) || js_shown_stream(ns, word, ret_word);
}

static enum err strip_fields(const struct nats_ns *ns, struct span v, struct buf *out)
{
    enum err e = ERR_OK;
    while (v.n != 0 && e == ERR_OK) {
        const uint8_t *blank = memchr(v.p, ' ', v.n);
        struct span word = blank == NULL ? v : span_head(v, (size_t)(blank - v.p));
        v = span_skip(v, word.n + (blank != NULL));
        (void)strip_word(ns, word, &word);
        e = buf_append(out, word);
        if (e == ERR_OK && blank != NULL)
            e = buf_append_byte(out, ' ');
    }
    return e;
}

static enum err strip_value(const struct nats_ns *ns, enum value value, struct span v,
                            struct buf *out, bool *ret_changed)
{
    enum err e = ERR_OK;
    struct span word = v;
    switch (value) {
    case VALUE_STREAM:
        *ret_changed = js_shown_stream(ns, v, &word);
        return *ret_changed ? buf_append(out, word) : ERR_OK;
    case VALUE_SUBJECT:
        *ret_changed = js_shown_subject(ns, v, &word) || js_nowhere_strip(ns, v, &word);
        if (*ret_changed)
            return buf_append(out, word);
        *ret_changed = js_api_strip(ns, v, out, &e) || js_shown_reply(ns, v, out, &e);
        return e;
    case VALUE_REPLY:
        *ret_changed = js_shown_reply(ns, v, out, &e);
        return e;
    case VALUE_FIELDS:
        /* Only if the stream is an own one: anything else an application wrote itself. */
        *ret_changed = js_shown_stream(ns, v, &word);
        return *ret_changed ? strip_fields(ns, v, out) : ERR_OK;
    }
    return e;
}

static enum err edit(void *arg, const struct nats_header *h, struct buf *ret_value,
                     bool *ret_changed)
{
    const struct edit *x = arg;
    if (!span_has_prefix(h->name, SPAN_LIT("Nats-")))
        return ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        if (!span_eq(h->name, headers[i].name))
            continue;
        if (!x->to_up)
            return strip_value(x->ns, headers[i].value, h->value, ret_value, ret_changed);
        return headers[i].to_up
                   ? map_value(x->ns, headers[i].value, h->value, ret_value, ret_changed)
                   : ERR_OK;
    }
    return ERR_OK;
}

enum err js_headers_map(const struct nats_ns *ns, struct span block, struct buf *out,
                        bool *ret_changed)
{
    struct edit x = {ns, true};
    return nats_header_edit(block, edit, &x, out, ret_changed);
}

enum err js_headers_strip(const struct nats_ns *ns, struct span block, struct buf *out,
                          bool *ret_changed)
{
    struct edit x = {ns, false};
    return nats_header_edit(block, edit, &x, out, ret_changed);
}
