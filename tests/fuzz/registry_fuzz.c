/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry: what the store answers to the sidecar's own requests. Byte 0 picks who asks (the
 * registration, the removal of a namespace), then replies: two bytes of length and that many.
 *
 * Laws: every key that is asked for or written is metadata, or the own slice that is counted; what
 * is removed is the own entry and a tag; a tag that is settled has 24 bits; a token lies in its
 * reply and is fit for a header field.
 */
#include "base/check.h"
#include "support/pb_build.h"

#include "etcd/authenticate.h"
#include "etcd/registry.h"
#include "etcd/registry_gc.h"
#include "etcd/registry_watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { STEPS_MAX = 64 };

static void check_key(struct span key, struct span end, bool is_written)
{
    bool is_meta = span_has_prefix(key, SPAN_LIT("bh/m/"));
    bool is_slice = span_eq(key, SPAN_LIT("bh/d/a/b.")) && span_eq(end, SPAN_LIT("bh/d/a/b/"));
    CHECK(is_meta || (is_slice && !is_written));
    CHECK(end.n == 0 || is_slice);
}

static void check_ops(struct span txn, uint32_t branch)
{
    struct pb_got op, inner;
    for (unsigned i = 0; (op = pb_find(txn, branch, i)).field != 0; i++)
        while (pb_get(&op.s, &inner) == 1) {
            struct span key = pb_find(inner.s, 1, 0).s;
            bool is_put = inner.field == 2, is_delete = inner.field == 3;
            check_key(key, is_put ? SPAN_NONE : pb_find(inner.s, 2, 0).s, is_put || is_delete);
            CHECK(!is_delete || span_eq(key, SPAN_LIT("bh/m/n/a/b.")) ||
                  (span_has_prefix(key, SPAN_LIT("bh/m/t/")) && key.n == 13));
        }
}

static void check_request(struct span method, struct span m)
{
    struct pb_got got;
    if (span_eq(method, SPAN_LIT("/etcdserverpb.KV/Range"))) {
        check_key(pb_find(m, 1, 0).s, pb_find(m, 2, 0).s, false);
    } else if (span_eq(method, SPAN_LIT("/etcdserverpb.KV/Txn"))) {
        for (unsigned i = 0; (got = pb_find(m, 1, i)).field != 0; i++)
            check_key(pb_find(got.s, 3, 0).s, pb_find(got.s, 64, 0).s, false);
        check_ops(m, 2);
        check_ops(m, 3);
    } else {
        CHECK(span_eq(method, SPAN_LIT("/etcdserverpb.Lease/LeaseLeases")) && m.n == 0);
    }
}

static bool next_reply(struct span *rest, struct span *ret_reply)
{
    if (rest->n < 2)
        return false;
    size_t n = (size_t)rest->p[0] << 8 | rest->p[1];
    *ret_reply = span_head(span_skip(*rest, 2), n);
    *rest = span_skip(*rest, 2 + ret_reply->n);
    return true;
}

static void enroll(const struct ns_path *path, struct span rest)
{
    struct counters counters = {0};
    struct etcd_ns ns = {.rng = {1}, .counters = &counters};
    struct registry r;
    struct span reply, method;
    enum err e = ERR_OK;
    registry_init(&r, SPAN_LIT("bh/"), path, 1790000000000);
    r.patterns = 7;
    for (unsigned i = 0; i < STEPS_MAX && e == ERR_OK && r.state != REGISTRY_DONE; i++) {
        struct buf out = {0};
        CHECK(registry_next(&r, &out, &method) == ERR_OK);
        check_request(method, buf_span(&out));
        buf_deinit(&out);
        if (!next_reply(&rest, &reply))
            return;
        e = registry_feed(&r, reply, &ns);
        CHECK(r.state < REGISTRY_COMPARE || (ns.has_tag && ns.tag < 1u << 24));
    }
}

static void collect(const struct ns_path *path, struct span rest, bool is_dry_run)
{
    struct registry_gc g;
    struct span reply, method;
    enum err e = ERR_OK;
    registry_gc_init(&g, SPAN_LIT("bh/"), path);
    g.is_dry_run = is_dry_run;
    for (unsigned i = 0; i < STEPS_MAX && e == ERR_OK; i++) {
        struct buf out = {0};
        if (g.state == REGISTRY_GC_WAIT)
            registry_gc_waited(&g);
        if (g.state == REGISTRY_GC_DONE || g.state == REGISTRY_GC_KEPT)
            return;
        CHECK(registry_gc_next(&g, &out, &method) == ERR_OK);
        CHECK(!is_dry_run || !span_eq(method, SPAN_LIT("/etcdserverpb.KV/Txn")));
        check_request(method, buf_span(&out));
        buf_deinit(&out);
        if (!next_reply(&rest, &reply))
            return;
        e = registry_gc_feed(&g, reply);
    }
}

static void read_alone(struct span message)
{
    struct span token;
    uint64_t answered = 0;
    uint32_t tag;
    bool again;
    if (authenticate_read(message, &token) == ERR_OK) {
        CHECK(token.n != 0 && token.p >= message.p && token.p + token.n <= message.p + message.n);
        for (size_t i = 0; i < token.n; i++)
            CHECK(token.p[i] >= ' ' && token.p[i] < 0x7f);
    }
    (void)!registry_watch_feed(message, &answered, &again);
    CHECK(registry_parse_entry(message, &tag) != ERR_OK || tag < 1u << 24);
    (void)authenticate_refusal(16, message);
    (void)authenticate_is_stale(16, message, true);
    (void)authenticate_cancel_reason(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ns_path path;
    if (n == 0)
        return 0;
    CHECK(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL) == ERR_OK);
    struct span rest = span_of(data + 1, n - 1);
    if (data[0] % 4 == 0)
        enroll(&path, rest);
    else if (data[0] % 4 == 3)
        read_alone(rest);
    else
        collect(&path, rest, data[0] % 4 == 2);
    return 0;
}
