/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_call: byte 0 picks the method, byte 1 seeds the cuts, then 2 bytes of length and that many
 * of the application's bytes, then upstream's.
 *
 * Laws, checked with a decoder of our own: whatever goes upstream holds own keys, own range ends
 * and own leases only, at every depth; every key that comes back is one that upstream sent, in its
 * order, without our prefix; replies that repeat no id are no longer than what upstream sent.
 */
#include <stdlib.h>

#include "base/check.h"
#include "support/pb_build.h"

#include "etcd/etcd_call.h"

enum { TAG = 0xabcdef, HEAD = 5 };
#define P      "bh/d/a/b."
#define P_NEXT "bh/d/a/b/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_own_lease(uint64_t id)
{
    return id == 0 || ((id >> 38 & 0xffffff) == TAG && id >> 63 == 0);
}

/* Fields of a stored request that must be own: by message. */
struct shape {
    uint32_t key, end, lease;
    uint32_t deleted; /* a stored key that may be empty */
    struct {
        uint32_t field;
        const struct shape *sub;
    } sub[4];
};
static const struct shape range = {.key = 1, .end = 2};
static const struct shape put = {.key = 1, .lease = 3};
static const struct shape compare = {.key = 3, .end = 64, .lease = 8};
static const struct shape txn;
static const struct shape op = {.sub = {{1, &range}, {2, &put}, {3, &range}, {4, &txn}}};
static const struct shape txn = {.sub = {{1, &compare}, {2, &op}, {3, &op}}};
static const struct shape watch = {.sub = {{1, &range}}};
static const struct shape grant = {.lease = 2};
static const struct shape lease = {.lease = 1};
static const struct shape leased = {.key = 1, .lease = 2}; /* name */
static const struct shape named = {.key = 1};
static const struct shape unlock = {.deleted = 1};
static const struct shape leader = {.key = 1, .deleted = 2, .lease = 4};
static const struct shape held = {.sub = {{1, &leader}}};

/* And of replies. */
static const struct shape pair = {.key = 1};
static const struct shape pairs_2 = {.sub = {{2, &pair}}};
static const struct shape pairs_3 = {.sub = {{3, &pair}}};
static const struct shape txn_reply;
static const struct shape op_reply = {
    .sub = {{1, &pairs_2}, {2, &pairs_2}, {3, &pairs_3}, {4, &txn_reply}}};
static const struct shape txn_reply = {.sub = {{3, &op_reply}}};
static const struct shape event = {.sub = {{2, &pair}, {3, &pair}}};
static const struct shape watch_reply = {.sub = {{11, &event}}};
static const struct shape ttl_reply = {.key = 5};
static const struct shape lock_reply = {.key = 2};
static const struct shape leader_reply = {.sub = {{2, &pair}}};
static const struct shape pieces = {.sub = {{1, &pairs_2}}};
static const struct shape opaque;

static const struct {
    const char *method;
    const struct shape *stored, *reply;
} methods[] = {
    {"/etcdserverpb.KV/Range", &range, &pairs_2},
    {"/etcdserverpb.KV/Put", &put, &pairs_2},
    {"/etcdserverpb.KV/DeleteRange", &range, &pairs_3},
    {"/etcdserverpb.KV/Txn", &txn, &txn_reply},
    {"/etcdserverpb.Watch/Watch", &watch, &watch_reply},
    {"/etcdserverpb.Lease/LeaseGrant", &grant, &opaque},
    {"/etcdserverpb.Lease/LeaseRevoke", &lease, &opaque},
    {"/etcdserverpb.Lease/LeaseKeepAlive", &lease, &opaque},
    {"/etcdserverpb.Lease/LeaseTimeToLive", &lease, &ttl_reply},
    {"/etcdserverpb.Lease/LeaseLeases", &opaque, &opaque},
    {"/etcdserverpb.Maintenance/Alarm", &opaque, &opaque},
    {"/etcdserverpb.Maintenance/Status", &opaque, &opaque},
    {"/etcdserverpb.Cluster/MemberList", &opaque, &opaque},
    {"/etcdserverpb.Auth/AuthStatus", &opaque, &opaque},
    {"/etcdserverpb.Auth/Authenticate", &opaque, &opaque},
    {"/grpc.health.v1.Health/Check", &opaque, &opaque},
    {"/grpc.health.v1.Health/Watch", &opaque, &opaque},
    {"/etcdserverpb.KV/RangeStream", &range, &pieces},
    {"/v3lockpb.Lock/Lock", &leased, &lock_reply},
    {"/v3lockpb.Lock/Unlock", &unlock, &opaque},
    {"/v3electionpb.Election/Campaign", &leased, &opaque},
    {"/v3electionpb.Election/Proclaim", &held, &opaque},
    {"/v3electionpb.Election/Leader", &named, &leader_reply},
    {"/v3electionpb.Election/Observe", &named, &leader_reply},
    {"/v3electionpb.Election/Resign", &held, &opaque},
};

static void check_stored(const struct shape *shape, struct span m, unsigned depth)
{
    struct pb_got got;
    int more;
    if (shape == &opaque)
        return;
    CHECK(depth < 300);
    while ((more = pb_get(&m, &got)) == 1) {
        if (got.field == shape->key)
            CHECK(got.wire == 2 && span_has_prefix(got.s, SPAN_LIT(P)));
        if (got.field == shape->end)
            CHECK(got.wire == 2 &&
                  (span_has_prefix(got.s, SPAN_LIT(P)) || span_eq(got.s, SPAN_LIT(P_NEXT))));
        if (got.field == shape->deleted)
            CHECK(got.wire == 2 && (got.s.n == 0 || span_has_prefix(got.s, SPAN_LIT(P))));
        if (got.field == shape->lease)
            CHECK(got.wire == 0 && is_own_lease(got.v));
        for (size_t i = 0; i < 4 && shape->sub[i].sub != NULL; i++)
            if (got.field == shape->sub[i].field)
                check_stored(shape->sub[i].sub, got.s, depth + 1);
    }
    CHECK(more == 0);
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

static void check_to_up(const struct etcd_call *c, const struct shape *stored)
{
    if (etcd_call_in_prelude(c))
        stored = &grant;
    for (struct span s = buf_span(&c->to_up); s.n != 0;) {
        check_stored(stored, next_frame(&s), 0);
    }
}

/* The keys of a reply, in order. */
struct keys {
    size_t n;
    struct span key[4096];
};

static void collect(const struct shape *shape, struct span m, struct keys *keys, unsigned depth)
{
    struct pb_got got;
    while (depth < 300 && pb_get(&m, &got) == 1) {
        if (shape->key != 0 && got.field == shape->key && got.wire == 2 &&
            keys->n < ARRAY_LEN(keys->key))
            keys->key[keys->n++] = got.s;
        for (size_t i = 0; i < 4 && shape->sub[i].sub != NULL; i++)
            if (got.field == shape->sub[i].field && got.wire == 2)
                collect(shape->sub[i].sub, got.s, keys, depth + 1);
    }
}

/* Upstream's bytes, as far as they are frames. */
static void collect_up(const struct shape *shape, struct span s, struct keys *keys)
{
    while (s.n >= HEAD) {
        size_t n = (size_t)s.p[1] << 24 | (size_t)s.p[2] << 16 | (size_t)s.p[3] << 8 | s.p[4];
        if (n > s.n - HEAD)
            return;
        collect(shape, span_head(span_skip(s, HEAD), n), keys, 0);
        s = span_skip(s, HEAD + n);
    }
}

static void check_to_app(const struct etcd_call *c, const struct shape *shape, struct span up)
{
    static struct keys sent, got;
    sent.n = got.n = 0;
    collect_up(shape, up, &sent);
    for (struct span s = buf_span(&c->to_app); s.n != 0;)
        collect(shape, next_frame(&s), &got, 0);
    if (sent.n == ARRAY_LEN(sent.key))
        return;
    size_t at = 0;
    for (size_t i = 0; i < got.n; i++, at++) {
        while (at < sent.n && !(span_has_prefix(sent.key[at], SPAN_LIT(P)) &&
                                span_eq(span_skip(sent.key[at], sizeof P - 1), got.key[i])))
            at++;
        CHECK(at < sent.n);
    }
}

static bool repeats_ids(size_t which)
{
    return strstr(methods[which].method, "KeepAlive") != NULL ||
           strstr(methods[which].method, "TimeToLive") != NULL;
}

static enum err feed(struct etcd_call *c, struct span in, bool from_app, struct rng *rng)
{
    enum err e = ERR_OK;
    while (in.n != 0 && e == ERR_OK) {
        size_t n = rng->state == 0 ? in.n : 1 + rng_below(rng, in.n);
        uint8_t *piece = malloc(n);
        CHECK(piece != NULL);
        memcpy(piece, in.p, n);
        e = from_app ? etcd_call_feed_app(c, span_of(piece, n))
                     : etcd_call_feed_up(c, span_of(piece, n));
        free(piece);
        in = span_skip(in, n);
    }
    return e;
}

static void run(size_t which, struct rng rng, struct span app, struct span up)
{
    struct counters counters = {0};
    struct etcd_ns ns = {.tag = TAG, .has_tag = true, .rng = {1}, .counters = &counters};
    struct ns_path path;
    struct etcd_call c;
    CHECK(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL) == ERR_OK);
    CHECK(key_map_init(&ns.keys, SPAN_LIT("bh/"), &path) == ERR_OK);
    etcd_call_init(&c, &ns, etcd_route_find(span_str(methods[which].method)));
    enum err e = feed(&c, app, true, &rng);
    if (e == ERR_OK)
        e = etcd_call_end_app(&c);
    check_to_up(&c, methods[which].stored);
    CHECK(etcd_call_message(&c, e) != NULL);
    if (c.route->policy != ETCD_LOCAL) {
        if (feed(&c, up, false, &rng) == ERR_OK)
            (void)!etcd_call_end_up(&c);
        CHECK(buf_len(&c.to_app) <= up.n || repeats_ids(which));
        check_to_app(&c, methods[which].reply, up);
        struct span again = span_head(up, up.n / 2);
        if (rng.state % 2 == 1 && etcd_call_resume(&c)) {
            check_to_up(&c, methods[which].stored);
            buf_consume(&c.to_app, buf_len(&c.to_app));
            (void)!feed(&c, again, false, &rng);
            check_to_app(&c, methods[which].reply, again);
        }
        if (etcd_call_retry(&c, 9))
            check_to_up(&c, methods[which].stored);
        if (etcd_call_in_prelude(&c) && etcd_call_retry(&c, 0))
            check_to_up(&c, methods[which].stored);
    }
    etcd_call_deinit(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 4)
        return 0;
    struct span rest = span_of(data + 4, n - 4);
    size_t app_n = (size_t)data[2] << 8 | data[3];
    struct span app = span_head(rest, app_n);
    run(data[0] % ARRAY_LEN(methods), (struct rng){data[1]}, app, span_skip(rest, app.n));
    return 0;
}
