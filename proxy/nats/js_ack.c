/* SPDX-License-Identifier: Apache-2.0 */
/* js_ack - two beginnings are compared; the second one is parsed before it is believed. */
#include "nats/js_ack.h"

#include "nats/js_body.h"
#include "wire/json_splice.h"

/* As every server from 2.2 to 2.12 writes it, from a format of its own. */
const struct span js_ack_start = {(const uint8_t *)"{\"stream\":\"", 11};
static const struct span error_start = {(const uint8_t *)"{\"error\":{", 10};

size_t js_ack_plain_bytes(const struct nats_ns *ns)
{
    return js_ack_start.n + ns->names.n;
}

static bool agree(struct span a, struct span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    return n == 0 || memcmp(a.p, b.p, n) == 0;
}

enum js_ack js_ack_look(const struct nats_ns *ns, uint32_t n, struct span in)
{
    size_t plain = js_ack_plain_bytes(ns);
    in = span_head(in, n);
    if (agree(in, error_start) && n > error_start.n)
        return in.n < error_start.n ? JS_ACK_CUT : JS_ACK_ERROR;
    if (!agree(in, js_ack_start) || n <= plain)
        return JS_ACK_NOT;
    if (in.n > js_ack_start.n && !agree(span_skip(in, js_ack_start.n), js_names_prefix(&ns->names)))
        return JS_ACK_NOT;
    return in.n < plain ? JS_ACK_CUT : JS_ACK_PLAIN;
}

static bool names_own_stream(const struct nats_ns *ns, struct span body)
{
    struct json_walk w;
    struct json_member m;
    bool more = true, own = false;
    enum err e = json_walk_begin(&w, body);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        struct span name;
        if (json_name_is(&m, "stream") && m.value.n > 2)
            own = js_names_strip(&ns->names, span_head(span_skip(m.value, 1), m.value.n - 2),
                                 &name);
    }
    return e == ERR_OK && own;
}

bool js_ack_strip_error(const struct nats_ns *ns, struct span body, struct buf *out,
                        enum err *ret_error)
{
    if (!names_own_stream(ns, body))
        return false;
    enum err e = js_body_strip(ns, js_pub_ack, body, out);
    if (e == ERR_SYNTAX || e == ERR_FOREIGN)
        return false;
    *ret_error = e;
    return true;
}
