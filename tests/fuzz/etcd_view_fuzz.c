/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_view: a sidecar of namespace a with view subtree and `v1/` in view.keys. Byte 0 picks the
 * method, byte 1 seeds the cuts, then steps of one byte (what), two of length, and that many.
 *
 * Laws, checked on the bytes themselves: what goes upstream asks for the subtree's keys and
 * registry only, and writes nothing; a key that comes back is one that upstream sent in the own
 * slice or in a descendant's, and of a watch then below `v1/` (that a Range's answer lies in what
 * was asked for is etcd's word); the result does not depend on the cuts.
 */
#include <stdlib.h>

#include "base/check.h"
#include "support/pb_build.h"

#include "etcd/etcd_call.h"
#include "etcd/etcd_family.h"

enum { HEAD = 5, SENT_MAX = 64 * 1024, STEPS_MAX = 64 };
#define DATA "bh/d/a"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum step { STEP_APP, STEP_UP, STEP_SIDE, STEP_GONE, STEP_LOSE, STEP_END, STEPS };

static const char *const methods[] = {"/etcdserverpb.KV/Range", "/etcdserverpb.KV/RangeStream",
                                      "/etcdserverpb.Watch/Watch"};

struct run {
    struct counters counters;
    struct etcd_family family;
    struct etcd_ns ns;
    struct etcd_call call;
    struct rng rng; /* state 0: nothing is cut */
    struct buf sent, to_app, to_up;
};

/* ---- what is asked ---- */
static bool is_between(struct span key, struct span from, struct span end)
{
    return span_cmp(key, from) >= 0 && span_cmp(key, end) <= 0;
}

static void check_interval(struct span request)
{
    struct span key = pb_find(request, 1, 0).s, end = pb_find(request, 2, 0).s;
    bool is_data = is_between(key, SPAN_LIT(DATA "."), SPAN_LIT(DATA "0"));
    bool is_registry = is_between(key, SPAN_LIT("bh/m/n/a."), SPAN_LIT("bh/m/n/a0"));
    CHECK(is_data || is_registry);
    CHECK(end.n == 0 || (is_data && is_between(end, SPAN_LIT(DATA "."), SPAN_LIT(DATA "0"))) ||
          (is_registry && is_between(end, SPAN_LIT("bh/m/n/a."), SPAN_LIT("bh/m/n/a0"))));
}

static void check_asked(struct span method, struct span m)
{
    struct pb_got got, op;
    if (span_eq(method, SPAN_LIT("/etcdserverpb.KV/Txn"))) {
        while (pb_get(&m, &got) == 1) {
            CHECK(got.field == 2 && got.wire == 2); /* success: no compare, no other branch */
            while (pb_get(&got.s, &op) == 1) {
                CHECK(op.field == 1 && op.wire == 2); /* request_range */
                check_interval(op.s);
            }
        }
    } else if (span_eq(method, SPAN_LIT("/etcdserverpb.Watch/Watch"))) {
        for (unsigned i = 0; (got = pb_find(m, 1, i)).field != 0; i++)
            check_interval(got.s);
    } else {
        check_interval(m);
    }
}

static struct span next_frame(struct span *frames)
{
    CHECK(frames->n >= HEAD && frames->p[0] == 0);
    const uint8_t *p = frames->p;
    size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    CHECK(n <= frames->n - HEAD);
    struct span m = span_head(span_skip(*frames, HEAD), n);
    *frames = span_skip(*frames, HEAD + n);
    return m;
}

static void take_asked(struct run *r, struct span method, struct buf *from)
{
    CHECK(buf_append(&r->to_up, buf_span(from)) == ERR_OK);
    for (struct span s = buf_span(from); s.n != 0;)
        check_asked(method, next_frame(&s));
    buf_consume(from, buf_len(from));
}

/* ---- what comes back ---- */
static bool is_sent(struct span sent, struct span key, struct span below)
{
    struct span data = SPAN_LIT(DATA);
    for (; sent.n > data.n; sent = span_skip(sent, 1)) {
        if (!span_has_prefix(sent, data))
            continue;
        struct span path = span_skip(sent, data.n);
        const uint8_t *dot = memchr(path.p, '.', path.n);
        if (dot == NULL)
            return false;
        struct span rest = span_skip(path, (size_t)(dot - path.p) + 1);
        bool is_own = dot == path.p;
        if (span_has_prefix(rest, key) &&
            (is_own || (path.p[0] == '/' && span_has_prefix(key, below))))
            return true;
    }
    return false;
}

static void check_kvs(const struct run *r, struct span m, uint32_t field)
{
    struct span below = r->call.route->client_streams ? SPAN_LIT("v1/") : SPAN_NONE;
    struct pb_got got;
    for (unsigned i = 0; (got = pb_find(m, field, i)).field != 0; i++) {
        struct pb_got key = pb_find(got.s, 1, 0);
        CHECK(got.wire != 2 || key.field == 0 || is_sent(buf_span(&r->sent), key.s, below));
    }
}

static void take_shown(struct run *r, size_t which)
{
    struct pb_got got;
    CHECK(buf_append(&r->to_app, buf_span(&r->call.to_app)) == ERR_OK);
    for (struct span s = buf_span(&r->call.to_app); s.n != 0;) {
        struct span m = next_frame(&s);
        if (which == 0)
            check_kvs(r, m, 2);
        for (unsigned i = 0; which == 1 && (got = pb_find(m, 1, i)).field != 0; i++)
            check_kvs(r, got.s, 2);
        for (unsigned i = 0; which == 2 && (got = pb_find(m, 11, i)).field != 0; i++) {
            check_kvs(r, got.s, 2);
            check_kvs(r, got.s, 3);
        }
    }
    buf_consume(&r->call.to_app, buf_len(&r->call.to_app));
}

/* ---- one run ---- */
typedef enum err (*feed_fn)(struct etcd_call *c, struct span in);

static enum err feed(struct run *r, feed_fn to, struct span message)
{
    const uint8_t head[HEAD] = {0, 0, (uint8_t)(message.n >> 16), (uint8_t)(message.n >> 8),
                                (uint8_t)message.n};
    struct buf wire = {0};
    CHECK(buf_append(&wire, span_of(head, HEAD)) == ERR_OK && buf_append(&wire, message) == ERR_OK);
    enum err e = ERR_OK;
    for (struct span in = buf_span(&wire); in.n != 0 && e == ERR_OK;) {
        size_t n = r->rng.state == 0 ? in.n : 1 + rng_below(&r->rng, in.n);
        uint8_t *piece = malloc(n);
        CHECK(piece != NULL);
        memcpy(piece, in.p, n);
        e = to(&r->call, span_of(piece, n));
        free(piece);
        in = span_skip(in, n);
    }
    buf_deinit(&wire);
    return e;
}

static enum err side(struct run *r, struct span answer, int status)
{
    struct buf request = {0};
    struct span method;
    if (!etcd_call_wants_side(&r->call))
        return ERR_OK;
    enum err e = etcd_call_begin_side(&r->call, &request, &method);
    if (e == ERR_OK) {
        take_asked(r, method, &request);
        e = status == 0 ? feed(r, etcd_call_feed_side, answer) : ERR_OK;
    }
    if (e == ERR_OK)
        e = etcd_call_end_side(&r->call, status);
    buf_deinit(&request);
    return e;
}

static enum err take_step(struct run *r, enum step step, struct span in)
{
    if (step == STEP_UP || step == STEP_SIDE)
        CHECK(buf_append(&r->sent, in) == ERR_OK);
    switch (step) {
    case STEP_APP:
        return r->call.requests != 0 && !r->call.route->client_streams
                   ? ERR_OK
                   : feed(r, etcd_call_feed_app, in);
    case STEP_UP: /* nothing comes before something was asked, or behind an answer */
        return r->call.requests == 0 || etcd_call_is_answered(&r->call)
                   ? ERR_OK
                   : feed(r, etcd_call_feed_up, in);
    case STEP_SIDE:
        return side(r, in, 0);
    case STEP_GONE:
        return side(r, in, 11);
    case STEP_LOSE:
        return etcd_call_resume(&r->call) ? ERR_OK : ERR_UPSTREAM_LOST;
    case STEP_END:
        return etcd_call_retry(&r->call, in.n == 0 ? 0 : in.p[0] % 17) ? ERR_OK : ERR_UPSTREAM_LOST;
    case STEPS:
        break;
    }
    return ERR_OK;
}

static void open_run(struct run *r, size_t which, uint64_t cuts)
{
    static const struct span prefixes[] = {{(const uint8_t *)"v1/", 3}};
    const uint64_t seed[] = {1, 2};
    struct ns_path path;
    *r = (struct run){.rng = {cuts}};
    CHECK(ns_path_parse(SPAN_LIT("a"), '/', &path, NULL) == ERR_OK);
    CHECK(family_init(&r->family, SPAN_LIT("bh/"), &path, seed) == ERR_OK);
    r->family.prefixes = prefixes;
    r->family.prefix_count = 1;
    r->ns = (struct etcd_ns){.tag = 0xabcdef,
                             .has_tag = true,
                             .rng = {1},
                             .counters = &r->counters,
                             .family = &r->family};
    CHECK(key_map_init(&r->ns.keys, SPAN_LIT("bh/"), &path) == ERR_OK);
    etcd_call_init(&r->call, &r->ns, etcd_route_find(span_str(methods[which])));
}

static void close_run(struct run *r)
{
    etcd_call_deinit(&r->call);
    family_deinit(&r->family);
    buf_deinit(&r->sent);
    buf_deinit(&r->to_app);
    buf_deinit(&r->to_up);
}

static enum err play(struct run *r, size_t which, struct span steps)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; i < STEPS_MAX && steps.n >= 3 && e == ERR_OK; i++) {
        size_t n = (size_t)steps.p[1] << 8 | steps.p[2];
        struct span in = span_head(span_skip(steps, 3), n);
        if (buf_len(&r->sent) + in.n > SENT_MAX)
            break;
        e = take_step(r, (enum step)(steps.p[0] % STEPS), in);
        steps = span_skip(steps, 3 + in.n);
        take_asked(r, etcd_call_method(&r->call), &r->call.to_up);
        take_shown(r, which);
    }
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct run whole, cut;
    if (n < 2)
        return 0;
    size_t which = data[0] % ARRAY_LEN(methods);
    open_run(&whole, which, 0);
    open_run(&cut, which, data[1]);
    struct span steps = span_of(data + 2, n - 2);
    CHECK(play(&whole, which, steps) == play(&cut, which, steps));
    CHECK(span_eq(buf_span(&whole.to_app), buf_span(&cut.to_app)));
    CHECK(span_eq(buf_span(&whole.to_up), buf_span(&cut.to_up)));
    close_run(&whole);
    close_run(&cut);
    return 0;
}
