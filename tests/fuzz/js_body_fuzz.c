/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws: what a request's body becomes holds no name or subject, where the table lists one, that is
 * not of this namespace (read by a second walk); mapping and stripping give the first body's names
 * back; an answer's body never shows a stored prefix where the table lists a name; headers keep
 * their lines, and stripping undoes mapping.
 *
 * Input: 1 byte (which table row; bit 7: child namespace), the body or header block.
 */
#include <stdlib.h>

#include "base/attr.h"
#include "base/check.h"
#include "nats/js_ack.h"
#include "nats/js_api.h"
#include "nats/js_body.h"
#include "nats/js_headers.h"
#include "nats/js_subject.h"
#include "wire/json_splice.h"
#include "wire/json_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct js_member *const requests[] = {
    js_stream_config, js_consumer_request, js_stream_info_request, js_purge_request, js_get_request,
};

static const struct js_member *const answers[] = {
    js_error_answer,    js_account_answer,       js_stream_answer,
    js_consumer_answer, js_consumer_list_answer, js_get_answer,
};

static bool is_own(const struct nats_ns *ns, enum js_kind kind, struct span value)
{
    struct buf text = {0};
    struct span rest;
    CHECK(json_text_decode(value, &text) == ERR_OK);
    struct span t = buf_span(&text);
    bool own = t.n == 0 || (kind == JS_NAME       ? js_names_strip(&ns->names, t, &rest)
                            : kind == JS_CONSUMER ? js_consumer_strip(ns, t, &rest)
                            : kind == JS_GROUP    ? memchr(t.p, '~', t.n) != NULL
                                                  : js_subject_strip(ns, t, &rest));
    buf_deinit(&text);
    return own;
}

/* Every string at a place that the schema lists; depth is the schema's. */
static void check_strings(const struct nats_ns *ns, const struct js_member *row, struct span value);

static void check_object(const struct nats_ns *ns, const struct js_member *schema,
                         struct span value)
{
    struct json_walk w;
    struct json_member m;
    bool more = true;
    if (json_walk_begin(&w, value) != ERR_OK)
        return;
    while (json_walk_next(&w, &m, &more) == ERR_OK && more)
        for (const struct js_member *row = schema; row->name != NULL; row++)
            if (json_name_is(&m, row->name))
                check_strings(ns, row, m.value);
}

static void check_strings(const struct nats_ns *ns, const struct js_member *row, struct span value)
{
    struct json_items w;
    struct span item;
    bool more = true;
    if (row->kind == JS_DENIED)
        CHECK(span_eq(value, SPAN_LIT("null")) || span_eq(value, SPAN_LIT("\"\"")));
    if (row->kind == JS_TEXT || row->kind == JS_PASS || row->kind == JS_DENIED ||
        row->kind == JS_SERVERS_NAME)
        return;
    if (json_is_string(value))
        CHECK(row->schema != NULL || row->kind == JS_FILTERS || row->kind == JS_SUBJECTS ||
              is_own(ns, row->kind, value));
    if (row->schema != NULL)
        check_object(ns, row->schema, value);
    /* Elsewhere an array is no name: it stays, for the server to refuse. */
    bool is_list = row->kind == JS_FILTERS || row->kind == JS_SUBJECTS || row->kind == JS_OBJECTS ||
                   row->kind == JS_SOURCES;
    if (!is_list || json_items_begin(&w, value) != ERR_OK)
        return;
    while (json_items_next(&w, &item, &more) == ERR_OK && more) {
        if (row->schema != NULL)
            check_object(ns, row->schema, item);
        else if (json_is_string(item))
            CHECK(is_own(ns, JS_FILTER, item));
    }
}

static void try_request(const struct nats_ns *ns, const struct js_member *schema, struct span body)
{
    struct buf mapped = {0};
    const struct js_asked asked = {.stream = SPAN_LIT("S"), .ignores_unknown = body.n % 2 == 0};
    struct js_refused refused = {.why = JS_BAD_JSON};
    CHECK(js_body_map(ns, schema, body, &asked, &mapped, &refused) == ERR_OK);
    if (refused.why == JS_FINE)
        check_object(ns, schema, buf_span(&mapped));
    else
        CHECK(buf_len(&mapped) == 0);
    buf_deinit(&mapped);
}

static void try_answer(const struct nats_ns *ns, const struct js_member *schema, struct span body)
{
    struct buf shown = {0}, again = {0};
    if (js_body_strip(ns, schema, body, &shown) == ERR_OK) {
        struct json_walk w;
        struct json_member m;
        bool more = true;
        CHECK(json_walk_begin(&w, buf_span(&shown)) == ERR_OK);
        do {
            CHECK(json_walk_next(&w, &m, &more) == ERR_OK);
        } while (more);
    } else {
        CHECK(buf_len(&shown) == 0);
    }
    enum err e;
    (void)js_ack_strip_error(ns, body, &again, &e);
    buf_deinit(&shown);
    buf_deinit(&again);
}

static size_t lines(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '\n';
    return n;
}

static void try_headers(const struct nats_ns *ns, struct span block)
{
    struct buf mapped = {0}, back = {0};
    bool changed, undone;
    CHECK(js_headers_map(ns, block, &mapped, &changed) == ERR_OK);
    CHECK(lines(block) == lines(buf_span(&mapped)));
    CHECK(changed || span_eq(block, buf_span(&mapped)));
    CHECK(js_headers_strip(ns, buf_span(&mapped), &back, &undone) == ERR_OK);
    CHECK(!changed || undone);
    CHECK(lines(block) == lines(buf_span(&back)));
    buf_deinit(&mapped);
    buf_deinit(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct counters counters;
    struct nats_ns ns = {.counters = &counters};
    struct ns_path path;
    if (n == 0)
        return 0;
    CHECK(ns_path_parse(data[0] & 0x80 ? SPAN_LIT("a/b.c") : SPAN_NONE, '/', &path, NULL) ==
          ERR_OK);
    js_names_init(&ns.names, &path);
    CHECK(subject_map_init(&ns.map, SPAN_LIT("bh"), &path, subject_map_default_requests,
                           ARRAY_LEN(subject_map_default_requests)) == ERR_OK);
    unsigned which = data[0] & 0x7f;
    struct span body = span_of(data + 1, n - 1);
    if (which < ARRAY_LEN(requests))
        try_request(&ns, requests[which], body);
    else if (which < ARRAY_LEN(requests) + ARRAY_LEN(answers))
        try_answer(&ns, answers[which - ARRAY_LEN(requests)], body);
    else
        try_headers(&ns, body);
    return 0;
}
