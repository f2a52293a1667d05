/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_body - the walk by schema; one function a kind of member.
 *
 * Recursion is over the schemas, which are trees of at most 5 levels; values are walked without.
 * Bytes are copied from the last changed value on: `copied` stands behind it.
 */
#include "nats/js_body.h"

#include "nats/js_headers.h"
#include "nats/js_subject.h"
#include "wire/json_splice.h"
#include "wire/json_text.h"

static bool is_json_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct splice {
    const struct nats_ns *ns;
    struct buf *out;
    bool to_up;
    bool known_only;           /* to the application: no text but what the schema lists */
    struct js_asked asked;     /* to_up */
    struct js_refused refused; /* to_up */
    bool has_subjects, has_mirror, has_sources; /* the last one of each counts */
    uint32_t hidden, total_less; /* to the application: items left out; how many a total is less */
};

/* Of one object. */
struct place {
    const struct js_member *schema;
    unsigned depth;
    bool has_source; /* of a transform */
};

static enum err splice_object(struct splice *x, const struct js_member *schema, unsigned depth,
                              struct span value);

static enum err refuse(struct splice *x, enum js_refusal why)
{
    x->refused.why = why;
    return ERR_FOREIGN;
}

static enum err map_text(struct splice *x, enum js_kind kind, struct span text, struct buf *out)
{
    if (kind == JS_SOURCE)
        return js_subject_event(x->ns, text.n == 0 ? SPAN_LIT(">") : text, out);
    if (text.n == 0)
        return ERR_OK; /* none */
    if (kind == JS_NAME) {
        enum err e = js_names_map(&x->ns->names, text, out);
        return e == ERR_LIMIT ? refuse(x, JS_NAME_TOO_LONG) : e;
    }
    if (kind == JS_GROUP)
        return subject_map_group(&js_reader(x->ns)->map, SUBJECT_EVENTS, text, out);
    if (kind == JS_CONSUMER) {
        enum err e = ERR_OK;
        if (js_consumer_map(x->ns, text, out, &e))
            return e;
        return refuse(x, e == ERR_LIMIT ? JS_NAME_TOO_LONG : JS_RESERVED);
    }
    if (kind == JS_EVENT)
        return js_subject_event(x->ns, text, out);
    if (kind == JS_LOOKUP)
        return js_subject_lookup(x->ns, text, out);
    return kind == JS_DELIVER ? js_subject_deliver(x->ns, text, out)
                              : js_subject_filter(x->ns, text, out);
}

static bool strip_group(const struct nats_ns *ns, struct span stored, struct span *ret_group)
{
    struct span suffix = span_str(ns->map.group_suffix);
    if (stored.n <= suffix.n || memcmp(stored.p + stored.n - suffix.n, suffix.p, suffix.n) != 0)
        return false;
    *ret_group = span_head(stored, stored.n - suffix.n);
    return true;
}

static enum err strip_headers(const struct nats_ns *ns, struct span text, struct buf *out)
{
    struct buf plain = {0}, edited = {0};
    bool changed;
    enum err e = base64_decode(text, &plain);
    if (e == ERR_OK)
        e = js_headers_strip(ns, buf_span(&plain), &edited, &changed);
    if (e == ERR_OK)
        e = base64_append(out, buf_span(&edited));
    buf_deinit(&plain);
    buf_deinit(&edited);
    return e;
}

/* ERR_FOREIGN: not of this namespace. */
static enum err strip_text(struct splice *x, enum js_kind kind, struct span text, struct buf *out)
{
    struct span own = SPAN_NONE;
    if (kind == JS_TEXT)
        return js_text_strip(x->ns, text, out);
    if (kind == JS_HEADERS)
        return strip_headers(x->ns, text, out);
    bool is_own = text.n == 0;
    if (!is_own && (kind == JS_NAME || kind == JS_SERVERS_NAME))
        is_own = js_names_strip(&x->ns->names, text, &own);
    else if (!is_own && kind == JS_GROUP)
        is_own = strip_group(js_reader(x->ns), text, &own);
    else if (!is_own && kind == JS_CONSUMER)
        is_own = js_consumer_strip(x->ns, text, &own);
    else if (!is_own && kind == JS_DELIVER)
        is_own = js_subject_strip(js_reader(x->ns), text, &own) ||
                 js_subject_is_servers(text, &own);
    else if (!is_own)
        is_own = js_subject_strip(x->ns, text, &own);
    return is_own ? buf_append(out, own) : ERR_FOREIGN;
}

/* A string, mapped or stripped. Another value is no name: it stays, for the reader to refuse. */
static enum err splice_text(struct splice *x, enum js_kind kind, struct span value)
{
    struct buf text = {0}, other = {0};
    if (!json_is_string(value))
        return buf_append(x->out, value);
    enum err e = json_text_decode(value, &text);
    if (e == ERR_OK)
        e = x->to_up ? map_text(x, kind, buf_span(&text), &other)
                     : strip_text(x, kind, buf_span(&text), &other);
    if (e == ERR_OK)
        e = json_text_append(x->out, buf_span(&other));
    buf_deinit(&text);
    buf_deinit(&other);
    return e;
}

/* To the application, what is foreign is left out of an array, and of an object it is empty. */
static bool is_left_out(struct splice *x, enum err e, size_t before)
{
    if (e != ERR_FOREIGN || x->to_up)
        return false;
    count(x->ns->counters, COUNTER_FOREIGN_STREAM, 1);
    buf_truncate(x->out, before);
    return true;
}

static enum err splice_items(struct splice *x, const struct js_member *m, unsigned depth,
                             struct span value)
{
    struct json_items w;
    if (json_items_begin(&w, value) != ERR_OK)
        return buf_append(x->out, value);
    enum js_kind kind = m->kind == JS_CONSUMERS ? JS_CONSUMER : JS_FILTER;
    bool more = true, any = false;
    enum err e = buf_append_byte(x->out, '[');
    while (e == ERR_OK) {
        struct span item;
        e = json_items_next(&w, &item, &more);
        if (e != ERR_OK || !more)
            break;
        size_t before = buf_len(x->out);
        if (any)
            e = buf_append_byte(x->out, ',');
        if (e == ERR_OK)
            e = m->schema != NULL ? splice_object(x, m->schema, depth + 1, item)
                                  : splice_text(x, kind, item);
        if (is_left_out(x, e, before)) {
            x->hidden++;
            e = ERR_OK;
        } else {
            any = true;
        }
    }
    return e == ERR_OK ? buf_append_byte(x->out, ']') : e;
}

/* {"subject":…}: only the names are stripped. */
static enum err splice_by_subject(struct splice *x, struct span value)
{
    struct json_walk w;
    struct json_member m;
    struct json_out o;
    bool more = true;
    if (json_walk_begin(&w, value) != ERR_OK)
        return buf_append(x->out, value);
    enum err e = json_out_open(&o, x->out);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        size_t before = buf_len(x->out);
        if (o.any)
            e = buf_append_byte(x->out, ',');
        if (e == ERR_OK)
            e = splice_text(x, JS_EVENT, m.key);
        if (is_left_out(x, e, before)) {
            e = ERR_OK;
            continue;
        }
        o.any = true;
        if (e == ERR_OK)
            e = buf_append_byte(x->out, ':');
        if (e == ERR_OK)
            e = buf_append(x->out, m.value);
    }
    return e == ERR_OK ? json_out_close(&o) : e;
}

static bool is_null(struct span value)
{
    return span_eq(value, SPAN_LIT("null"));
}

static bool has_items(struct span value)
{
    struct json_items w;
    struct span item;
    bool more = false;
    return json_items_begin(&w, value) == ERR_OK && json_items_next(&w, &item, &more) == ERR_OK &&
           more;
}

static enum err splice_total(struct splice *x, struct span value)
{
    uint32_t total;
    if (x->total_less == 0 || !json_get_uint(value, UINT32_MAX, &total))
        return buf_append(x->out, value);
    return buf_printf(x->out, "%u", total - (total < x->total_less ? total : x->total_less));
}

static enum err splice_metadata(struct splice *x, const struct js_member *m, unsigned depth,
                                struct span value)
{
    if (x->to_up)
        return buf_append(x->out, value);
    bool known_only = x->known_only;
    x->known_only = false; /* all other text there is the application's */
    enum err e = splice_object(x, m->schema, depth + 1, value);
    x->known_only = known_only;
    return e;
}

static enum err splice_member(struct splice *x, const struct js_member *m, struct place *at,
                              struct span value)
{
    switch (m->kind) {
    case JS_SUBJECTS:
        x->has_subjects = has_items(value);
        return splice_items(x, m, at->depth, value);
    case JS_MIRROR:
        x->has_mirror = !is_null(value);
        return splice_object(x, m->schema, at->depth + 1, value);
    case JS_SOURCES:
        x->has_sources = has_items(value);
        return splice_items(x, m, at->depth, value);
    case JS_FILTERS:
    case JS_CONSUMERS:
    case JS_OBJECTS:
        return splice_items(x, m, at->depth, value);
    case JS_OBJECT:
        return splice_object(x, m->schema, at->depth + 1, value);
    case JS_METADATA:
        return splice_metadata(x, m, at->depth, value);
    case JS_BY_SUBJECT:
        return splice_by_subject(x, value);
    case JS_ZERO:
        return buf_append_byte(x->out, '0');
    case JS_PASS:
        return buf_append(x->out, value);
    case JS_TOTAL:
        return splice_total(x, value);
    case JS_DENIED:
        return x->to_up && !is_null(value) && !span_eq(value, SPAN_LIT("\"\""))
                   ? refuse(x, JS_EXTERNAL)
                   : buf_append(x->out, value);
    case JS_SOURCE:
        at->has_source = at->has_source || json_is_string(value);
        return splice_text(x, m->kind, value);
    case JS_NAME:
    case JS_SERVERS_NAME:
    case JS_EVENT:
    case JS_LOOKUP:
    case JS_DELIVER:
    case JS_FILTER:
    case JS_GROUP:
    case JS_CONSUMER:
    case JS_HEADERS:
    case JS_TEXT:
        break;
    }
    return splice_text(x, m->kind, value);
}

static const struct js_member *find(const struct js_member *schema, const struct json_member *m)
{
    for (const struct js_member *row = schema; row->name != NULL; row++)
        if (json_name_is(m, row->name) || strcmp(row->name, "*") == 0)
            return row;
    return NULL;
}

static bool is_ascii(const struct json_member *m)
{
    if (m->name_bytes == 0)
        return m->key.n == 2; /* "" */
    for (size_t i = 0; i < m->name_bytes; i++)
        if ((uint8_t)m->name[i] >= 0x80)
            return false;
    return true;
}

/* A member's name as every server's are: it names no stream and no subject with a prefix. */
static bool is_word(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '_')
            return false;
    return true;
}

/* A string anywhere in value, which a walk has passed; but empty ones, and names of members. */
static bool holds_text(struct span value)
{
    size_t i = 0;
    while (i < value.n) {
        if (value.p[i++] != '"')
            continue;
        size_t start = i;
        while (value.p[i] != '"')
            i += value.p[i] == '\\' ? 2 : 1;
        struct span text = span_of(value.p + start, i - start);
        i++;
        while (i < value.n && is_json_blank(value.p[i]))
            i++;
        bool is_name = i < value.n && value.p[i] == ':';
        if (is_name ? !is_word(text) : text.n != 0)
            return true;
    }
    return false;
}

static enum err refuse_unknown(struct splice *x, const struct json_member *m)
{
    memcpy(x->refused.member, m->name, m->name_bytes);
    x->refused.member[m->name_bytes] = '\0';
    return refuse(x, JS_UNKNOWN);
}

static bool is_transform(const struct js_member *schema)
{
    return schema[0].name != NULL && schema[0].kind == JS_SOURCE;
}

/* What the server would fill in by itself, in stored names. */
static enum err add_defaults(struct splice *x, const struct place *at, bool any)
{
    enum err e = ERR_OK;
    if (!x->to_up)
        return e;
    if (is_transform(at->schema) && !at->has_source) {
        e = buf_append(x->out, any ? SPAN_LIT(",\"src\":") : SPAN_LIT("\"src\":"));
        return e == ERR_OK ? splice_text(x, JS_SOURCE, SPAN_LIT("\"\"")) : e;
    }
    if (at->schema != js_stream_config || x->has_subjects || x->has_mirror || x->has_sources)
        return e;
    struct buf name = {0};
    e = js_subject_filter(x->ns, x->asked.stream, &name);
    if (e == ERR_OK)
        e = buf_append(x->out, any ? SPAN_LIT(",\"subjects\":[") : SPAN_LIT("\"subjects\":["));
    if (e == ERR_OK)
        e = json_text_append(x->out, buf_span(&name));
    if (e == ERR_OK)
        e = buf_append_byte(x->out, ']');
    buf_deinit(&name);
    return e;
}

/* An object whose own name, not one further in, is foreign is foreign as a whole: ERR_FOREIGN. */
static enum err splice_object(struct splice *x, const struct js_member *schema, unsigned depth,
                              struct span value)
{
    struct json_walk w;
    struct json_member m;
    struct place at = {.schema = schema, .depth = depth};
    bool more = true, any = false;
    const uint8_t *copied = value.p;
    if (json_walk_begin(&w, value) != ERR_OK)
        return depth == 0 ? ERR_SYNTAX : buf_append(x->out, value);
    enum err e = ERR_OK;
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        any = true;
        if (x->to_up && !is_ascii(&m))
            return refuse(x, JS_BAD_JSON);
        const struct js_member *row = find(schema, &m);
        bool nulled = row == NULL && (x->known_only || x->to_up) && holds_text(m.value);
        if (nulled && x->to_up && !x->asked.ignores_unknown)
            return refuse_unknown(x, &m);
        if (row == NULL && !nulled)
            continue;
        e = buf_append(x->out, span_of(copied, (size_t)(m.value.p - copied)));
        copied = m.value.p + m.value.n;
        if (e != ERR_OK)
            break;
        if (nulled) {
            e = buf_append(x->out, SPAN_LIT("null"));
            continue;
        }
        size_t before = buf_len(x->out);
        e = splice_member(x, row, &at, m.value);
        bool is_whole = row->kind == JS_NAME || row->kind == JS_CONSUMER;
        if (!is_whole && is_left_out(x, e, before))
            e = buf_append(x->out, row->schema == NULL ? SPAN_LIT("\"\"") : SPAN_LIT("null"));
    }
    /* The object's "}" is its last byte but blanks. */
    const uint8_t *end = value.p + value.n;
    const uint8_t *brace = end - 1;
    while (e == ERR_OK && *brace != '}')
        brace--;
    if (e == ERR_OK)
        e = buf_append(x->out, span_of(copied, (size_t)(brace - copied)));
    if (e == ERR_OK)
        e = add_defaults(x, &at, any);
    return e == ERR_OK ? buf_append(x->out, span_of(brace, (size_t)(end - brace))) : e;
}

bool js_body_is_object(struct span body)
{
    size_t i = 0;
    while (i < body.n && is_json_blank(body.p[i]))
        i++;
    return i < body.n && body.p[i] == '{';
}

enum err js_body_map(const struct nats_ns *ns, const struct js_member *schema, struct span body,
                     const struct js_asked *asked, struct buf *out, struct js_refused *ret_refused)
{
    struct splice x = {.ns = ns, .out = out, .to_up = true, .asked = *asked};
    size_t before = buf_len(out);
    if (!js_body_is_object(body)) {
        ret_refused->why = JS_FINE;
        return buf_append(out, body);
    }
    enum err e = splice_object(&x, schema, 0, body);
    if (e == ERR_SYNTAX)
        e = refuse(&x, JS_BAD_JSON);
    if (e != ERR_OK)
        buf_truncate(out, before);
    if (e == ERR_OK || e == ERR_FOREIGN)
        *ret_refused = x.refused;
    return e == ERR_FOREIGN ? ERR_OK : e;
}

enum err js_body_strip(const struct nats_ns *ns, const struct js_member *schema, struct span body,
                       struct buf *out)
{
    struct splice x = {.ns = ns, .out = out};
    size_t before = buf_len(out);
    enum err e = splice_object(&x, schema, 0, body);
    if (e == ERR_OK && x.hidden != 0) { /* a total may stand before what is left out */
        x.total_less = x.hidden;
        buf_truncate(out, before);
        e = splice_object(&x, schema, 0, body);
    }
    if (e != ERR_OK)
        buf_truncate(out, before);
    return e;
}

enum err js_body_strip_known(const struct nats_ns *ns, const struct js_member *schema,
                             struct span body, struct buf *out)
{
    struct splice x = {.ns = ns, .out = out, .known_only = true};
    return splice_object(&x, schema, 0, body);
}
