/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_list - STREAM.NAMES and STREAM.LIST: one namespace's streams out of everybody's.
 *
 * The server's list is read page by page from its start, because only so its total can be ours: a
 * stream that mirrors or sources has no subjects that a filter could find. What the application
 * asked for is a window of the own ones, in the server's order.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "nats/js_body.h"
#include "nats/js_subject.h"
#include "nats/nats_js.h"
#include "wire/json_splice.h"
#include "wire/json_text.h"

/* Own infos collected for one answer; more are left for the application's next offset. */
enum { LIST_BYTES_MAX = 512 * 1024, LIST_NAMES_MAX = 1024, LIST_INFOS_MAX = 256 };

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Blanks, or null: no request. */
static bool is_none(struct span body)
{
    while (body.n != 0 && is_blank(body.p[body.n - 1]))
        body.n--;
    while (body.n != 0 && is_blank(body.p[0]))
        body = span_skip(body, 1);
    return body.n == 0 || span_eq(body, SPAN_LIT("null"));
}

static enum err read_request(const struct nats_ns *ns, struct span body, struct js_list *list)
{
    struct json_walk w;
    struct json_member m;
    struct buf text = {0};
    bool more = true;
    if (is_none(body))
        return ERR_OK;
    enum err e = json_walk_begin(&w, body);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        uint32_t offset;
        if (json_name_is(&m, "offset") && json_get_uint(m.value, UINT32_MAX, &offset))
            list->skip = offset;
        if (!json_name_is(&m, "subject") || !json_is_string(m.value))
            continue;
        buf_consume(&text, buf_len(&text));
        buf_consume(&list->subject, buf_len(&list->subject));
        e = json_text_decode(m.value, &text);
        if (e == ERR_OK && buf_len(&text) != 0)
            e = list->sees_below ? js_subject_below(ns, buf_span(&text), &list->subject)
                                 : js_subject_filter(ns, buf_span(&text), &list->subject);
    }
    buf_deinit(&text);
    return e;
}

enum err js_list_begin(const struct nats_ns *ns, const struct js_call *call, struct span body,
                       struct js_list **ret_list)
{
    struct js_list *list = calloc(1, sizeof *list);
    if (list == NULL)
        return ERR_NOMEM;
    list->sees_below = call->row->policy == JS_NAMES && ns->stream_patterns != 0;
    enum err e = buf_append(&list->head, call->head);
    if (e == ERR_OK)
        e = read_request(ns, body, list);
    if (e == ERR_OK)
        *ret_list = list;
    else
        js_list_free(list);
    return e;
}

enum err js_list_request(const struct js_list *list, struct buf *out)
{
    enum err e = buf_printf(out, "{\"offset\":%" PRIu64, list->next);
    if (e == ERR_OK && buf_len(&list->subject) != 0) {
        e = buf_append(out, SPAN_LIT(",\"subject\":"));
        if (e == ERR_OK)
            e = json_text_append(out, buf_span(&list->subject));
    }
    return e == ERR_OK ? buf_append_byte(out, '}') : e;
}

/* One element, stripped, behind the others. ERR_FOREIGN: not of this namespace. */
static enum err append_item(const struct nats_ns *ns, const struct js_list *list, bool infos,
                            struct span item, struct buf *out)
{
    struct buf text = {0};
    struct span name = SPAN_NONE;
    enum err e = ERR_OK;
    if (list->shown != 0 && buf_len(out) != 0)
        e = buf_append_byte(out, ',');
    if (e != ERR_OK)
        return e;
    if (infos) {
        e = js_body_strip(ns, js_stream_answer, item, out);
        return e == ERR_SYNTAX ? ERR_FOREIGN : e;
    }
    e = json_is_string(item) ? json_text_decode(item, &text) : ERR_FOREIGN;
    if (e == ERR_OK && !js_names_strip(&ns->names, buf_span(&text), &name))
        e = ERR_FOREIGN;
    if (e == ERR_OK)
        e = json_text_append(out, name);
    buf_deinit(&text);
    return e;
}

/* config.name of an info, as written: own ones need no escapes in front. */
static bool is_own_info(const struct nats_ns *ns, struct span item)
{
    struct json_walk w, inner;
    struct json_member m, n;
    bool more = true, own = false;
    enum err e = json_walk_begin(&w, item);
    while (e == ERR_OK && (e = json_walk_next(&w, &m, &more)) == ERR_OK && more) {
        if (!json_name_is(&m, "config") || json_walk_begin(&inner, m.value) != ERR_OK)
            continue;
        bool more_inner = true;
        while (json_walk_next(&inner, &n, &more_inner) == ERR_OK && more_inner) {
            struct span name;
            if (json_name_is(&n, "name") && json_is_string(n.value))
                own = js_names_strip(&ns->names, span_head(span_skip(n.value, 1), n.value.n - 2),
                                     &name);
        }
    }
    return e == ERR_OK && own;
}

/* The name of a descendant's listed stream: the nearest one is kept. */
static enum err take_below(const struct nats_ns *ns, struct js_list *list, struct span item)
{
    struct buf text = {0};
    struct span name;
    struct ns_path path;
    enum err e = json_is_string(item) ? json_text_decode(item, &text) : ERR_SYNTAX;
    struct span stored = buf_span(&text);
    if (e == ERR_OK && js_names_strip_below(&ns->names, stored, &name) &&
        js_stream_is_listed(ns, name) &&
        js_names_owner(span_head(stored, stored.n - name.n), &path) &&
        (!list->any_below || ns_path_is_nearer(&path, &list->nearest))) {
        list->any_below = true;
        list->nearest = path;
        buf_consume(&list->below, buf_len(&list->below));
        e = json_text_append(&list->below, name);
    }
    buf_deinit(&text);
    return e == ERR_SYNTAX ? ERR_OK : e;
}

static enum err take_item(const struct nats_ns *ns, struct js_list *list, bool infos,
                          struct span item)
{
    size_t before = buf_len(&list->items);
    bool full = list->shown >= (infos ? LIST_INFOS_MAX : LIST_NAMES_MAX) ||
                before >= LIST_BYTES_MAX;
    if (infos && !is_own_info(ns, item))
        return ERR_OK;
    enum err e = append_item(ns, list, infos, item, &list->items);
    bool own = e == ERR_OK;
    bool asked_for = own && list->own >= list->skip && !full;
    if (!asked_for)
        buf_truncate(&list->items, before);
    list->own += own;
    list->shown += asked_for;
    if (e == ERR_FOREIGN && list->sees_below && buf_len(&list->subject) != 0)
        e = take_below(ns, list, item);
    return e == ERR_FOREIGN ? ERR_OK : e;
}

struct page {
    uint32_t total, items;
    bool is_error;
};

static enum err read_items(const struct nats_ns *ns, struct js_list *list, bool infos,
                           struct span array, struct page *page)
{
    struct json_items w;
    struct span item;
    bool more = true;
    if (json_items_begin(&w, array) != ERR_OK)
        return ERR_OK; /* null */
    enum err e = ERR_OK;
    while (e == ERR_OK) {
        e = json_items_next(&w, &item, &more);
        if (e != ERR_OK || !more)
            break;
        page->items++;
        e = take_item(ns, list, infos, item);
    }
    return e;
}

static enum err read_page(const struct nats_ns *ns, struct js_list *list, bool infos,
                          struct span body, struct page *page)
{
    struct json_walk w;
    struct json_member m;
    bool more = true;
    enum err e = json_walk_begin(&w, body);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        if (json_name_is(&m, "streams"))
            e = read_items(ns, list, infos, m.value, page);
        else if (json_name_is(&m, "total"))
            (void)json_get_uint(m.value, UINT32_MAX, &page->total);
        else if (json_name_is(&m, "error"))
            page->is_error = true;
    }
    return e;
}

/* "missing": names of streams that did not answer. */
static enum err write_missing(const struct nats_ns *ns, struct span array, struct json_out *o)
{
    struct js_list own = {0};
    struct page page = {0};
    enum err e = read_items(ns, &own, false, array, &page);
    if (e == ERR_OK && own.shown != 0) {
        e = buf_printf(o->out, "%s\"missing\":[", o->any ? "," : "");
        o->any = true;
        if (e == ERR_OK)
            e = buf_append(o->out, buf_span(&own.items));
        if (e == ERR_OK)
            e = buf_append_byte(o->out, ']');
    }
    buf_deinit(&own.items);
    return e;
}

/* As the server: no infos are an empty array, no names are null. */
static enum err write_items(const struct js_list *list, bool infos, struct json_out *o)
{
    enum err e = buf_printf(o->out, "%s\"streams\":", o->any ? "," : "");
    o->any = true;
    if (e == ERR_OK && list->shown == 0)
        return buf_append(o->out, infos ? SPAN_LIT("[]") : SPAN_LIT("null"));
    if (e == ERR_OK)
        e = buf_append_byte(o->out, '[');
    if (e == ERR_OK)
        e = buf_append(o->out, buf_span(&list->items));
    return e == ERR_OK ? buf_append_byte(o->out, ']') : e;
}

static enum err write_member(const struct nats_ns *ns, const struct js_list *list, bool infos,
                             const struct json_member *m, struct json_out *o)
{
    if (json_name_is(m, "total"))
        return json_out_uint(o, "total", (uint32_t)list->own);
    if (json_name_is(m, "offset"))
        return json_out_uint(o, "offset",
                             (uint32_t)(list->skip < list->own ? list->skip : list->own));
    if (json_name_is(m, "missing"))
        return write_missing(ns, m->value, o);
    if (json_name_is(m, "offline"))
        return ERR_OK; /* an object of everybody's names; own ones are told by STREAM.INFO */
    return json_name_is(m, "streams") ? write_items(list, infos, o) : json_out_raw(o, m->raw);
}

static enum err write_answer(const struct nats_ns *ns, const struct js_list *list, bool infos,
                             struct span body, struct buf *out)
{
    struct json_walk w;
    struct json_member m;
    struct json_out o;
    bool more = true;
    enum err e = json_walk_begin(&w, body);
    if (e == ERR_OK)
        e = json_out_open(&o, out);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        e = write_member(ns, list, infos, &m, &o);
    }
    return e == ERR_OK ? json_out_close(&o) : e;
}

enum err js_list_page(const struct nats_ns *ns, struct js_list *list, const struct js_row *row,
                      struct span body, struct buf *out, bool *ret_done)
{
    struct page page = {0};
    enum err e = read_page(ns, list, row->policy == JS_LIST, body, &page);
    if (e != ERR_OK)
        return e;
    if (page.is_error) {
        *ret_done = true;
        return js_body_strip(ns, js_error_answer, body, out);
    }
    list->next += page.items;
    *ret_done = page.items == 0 || list->next >= page.total;
    if (*ret_done && list->own == 0 && list->any_below && list->skip == 0) {
        list->own = list->shown = 1;
        e = buf_append(&list->items, buf_span(&list->below));
    }
    if (e != ERR_OK)
        return e;
    return *ret_done ? write_answer(ns, list, row->policy == JS_LIST, body, out) : ERR_OK;
}
