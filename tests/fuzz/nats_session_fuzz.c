/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws: whatever both sides say, every subject and reply that goes upstream lies behind a prefix of
 * the session's own slices, names its own streams, or is its own inbox; CONNECT carries no member
 * that is not listed; what each side hears does not depend on how the input was cut, nor on when
 * the output was taken.
 *
 * Input: 1 byte of options, then chunks: 1 byte (bit 0: side, bits 1-7: length), the bytes.
 */
#include <stdlib.h>

#include "base/check.h"
#include "nats/js_api.h"
#include "nats/js_subject.h"
#include "nats/nats_session.h"
#include "wire/json_splice.h"
#include "wire/nats_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum option { SAY_HELLO = 1, VERBOSE = 2, CHILD = 4, CREDENTIALS = 8 };

struct play {
    struct nats_ns ns;
    struct counters counters;
    struct nats_session *session;
    struct buf heard[SIDES];
    enum err end;
};

static void listen(struct play *p)
{
    for (int side = 0; side < SIDES; side++) {
        struct buf *out = nats_session_out(p->session, (enum nats_side)side);
        CHECK(buf_append(&p->heard[side], buf_span(out)) == ERR_OK);
        buf_consume(out, buf_len(out));
        buf_trim(out);
    }
}

static void say(struct play *p, enum nats_side side, struct span in, size_t piece)
{
    while (in.n != 0 && p->end == ERR_OK && !nats_session_is_closing(p->session)) {
        size_t used = 0;
        struct span now = span_head(in, piece);
        p->end = nats_session_feed(p->session, side, now, &used);
        CHECK(used <= now.n && (p->end == ERR_OK || nats_session_is_closing(p->session)));
        in = span_skip(in, used);
        if (used < now.n) {
            listen(p);
            if (used == 0 && !nats_session_wants_read(p->session, side))
                return; /* the application, before INFO */
        }
    }
}

static void set_up(struct play *p, unsigned options)
{
    *p = (struct play){.ns = {.host = "127.0.0.1", .port = 4222}};
    p->ns.counters = &p->counters;
    if (options & CREDENTIALS)
        memcpy(p->ns.user, "us\"er", 6);
    struct ns_path path;
    CHECK(ns_path_parse(options & CHILD ? SPAN_LIT("a/b.c") : SPAN_NONE, '/', &path, NULL) ==
          ERR_OK);
    js_names_init(&p->ns.names, &path);
    CHECK(subject_map_init(&p->ns.map, SPAN_LIT("bh"), &path, subject_map_default_requests,
                           ARRAY_LEN(subject_map_default_requests)) == ERR_OK);
    CHECK(nats_session_new(&p->ns, &p->session) == ERR_OK);
}

static void play_all(struct play *p, unsigned options, struct span in, size_t piece)
{
    set_up(p, options);
    if (options & SAY_HELLO) {
        say(p, SIDE_UP, SPAN_LIT("INFO {\"headers\":true,\"max_payload\":2000}\r\n"), SIZE_MAX);
        say(p, SIDE_APP,
            options & VERBOSE ? SPAN_LIT("CONNECT {\"headers\":true}\r\n")
                              : SPAN_LIT("CONNECT {\"verbose\":false,\"headers\":true}\r\n"),
            SIZE_MAX);
    }
    while (in.n != 0) {
        struct span chunk = span_head(span_skip(in, 1), in.p[0] >> 1);
        say(p, in.p[0] & 1 ? SIDE_APP : SIDE_UP, chunk, piece);
        in = span_skip(in, 1 + chunk.n);
    }
    listen(p);
}

static void tear_down(struct play *p)
{
    nats_session_free(&p->session);
    for (int side = 0; side < SIDES; side++)
        buf_deinit(&p->heard[side]);
}

/* JetStream's own subjects: every token that could be a stored stream's name, of which "~" is a
 * sign, is one of this namespace; what is listed here holds none. */
static bool is_own_jetstream(const struct nats_ns *ns, struct span subject)
{
    static const char *const without[] = {"INFO", "STREAM.NAMES", "STREAM.LIST"};
    struct span stream, name;
    struct js_call call;
    if (js_subject_stream(subject, &stream))
        return js_names_strip(&ns->names, stream, &name);
    if (!js_api_is(subject) || !js_api_parse(subject, &call) || call.row->policy == JS_DENY)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(without); i++)
        if (strcmp(without[i], call.row->verb) == 0)
            return call.stream.n == 0;
    return js_names_strip(&ns->names, call.stream, &name) &&
           (call.subject.n == 0 || js_subject_strip(ns, call.subject, &name));
}

static bool is_own_inbox(const struct nats_ns *ns, struct span subject)
{
    struct span rest;
    return span_has_prefix(subject, SPAN_LIT("bh.r.")) &&
           js_names_strip(&ns->names, span_skip(subject, 5), &rest) && rest.p[0] == '.';
}

static void check_own(const struct nats_ns *ns, struct span subject, bool publish)
{
    const struct subject_map *m = &ns->map;
    bool own = is_own_inbox(ns, subject) || (publish && is_own_jetstream(ns, subject));
    for (unsigned i = 0; i < (publish ? 1 : m->slices); i++)
        own |= span_has_prefix(subject, span_of(m->slice[i].text, m->slice[i].n)) &&
               subject.n > m->slice[i].n;
    CHECK(own);
}

static void check_connect(struct span text)
{
    static const char *const listed[] = {"verbose", "pedantic", "name",          "lang",
                                         "version", "protocol", "echo",          "headers",
                                         "user",    "pass",     "no_responders", "auth_token"};
    struct json_walk w;
    struct json_member m;
    bool more = true;
    CHECK(json_walk_begin(&w, text) == ERR_OK);
    for (;;) {
        CHECK(json_walk_next(&w, &m, &more) == ERR_OK);
        if (!more)
            return;
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(listed); i++)
            found |= json_name_is(&m, listed[i]);
        CHECK(found);
        if (json_name_is(&m, "user"))
            CHECK(span_eq(m.value, SPAN_LIT("\"us\\\"er\"")));
    }
}

/* Read what the server heard as it would. */
static void check_up(const struct nats_ns *ns, struct span in)
{
    while (in.n != 0) {
        struct nats_reader r = {0};
        struct span line;
        struct nats_line l;
        enum err e;
        if (!nats_reader_next(&r, NATS_FROM_CLIENT, &in, &line, &e)) {
            CHECK(e == ERR_OK);
            nats_reader_release(&r);
            return;
        }
        CHECK(nats_parse_line(NATS_FROM_CLIENT, line, &l) == ERR_OK);
        bool publish = l.op == NATS_OP_PUB || l.op == NATS_OP_HPUB;
        /* Of the server's own subjects advisories alone, where each is judged (js_event). */
        bool events = l.op == NATS_OP_SUB && l.sid.p[0] == 'v';
        if (events)
            CHECK(span_has_prefix(l.subject, SPAN_LIT("$JS.EVENT.")));
        else if (publish || l.op == NATS_OP_SUB)
            check_own(ns, l.subject, publish);
        if (l.reply.n != 0)
            check_own(ns, l.reply, true);
        if (l.op == NATS_OP_CONNECT)
            check_connect(l.text);
        if (publish) {
            size_t n = (size_t)l.payload_bytes + 2;
            if (in.n < n)
                return;
            CHECK(in.p[n - 2] == '\r' && in.p[n - 1] == '\n');
            in = span_skip(in, n);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    struct span in = span_of(data + 1, n - 1);
    struct play whole, bytes, pieces;
    play_all(&whole, data[0], in, SIZE_MAX);
    play_all(&bytes, data[0], in, 1);
    play_all(&pieces, data[0], in, 2u + data[0] / 16);
    CHECK(whole.end == bytes.end && whole.end == pieces.end);
    for (int side = 0; side < SIDES; side++) {
        CHECK(span_eq(buf_span(&whole.heard[side]), buf_span(&bytes.heard[side])));
        CHECK(span_eq(buf_span(&whole.heard[side]), buf_span(&pieces.heard[side])));
    }
    check_up(&whole.ns, buf_span(&whole.heard[SIDE_UP]));
    tear_down(&whole);
    tear_down(&bytes);
    tear_down(&pieces);
    return 0;
}
