/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/registry_gc.h"

#include <inttypes.h>

#include "base/check.h"
#include "etcd/etcd_fields.h"
#include "etcd/registry.h"
#include "etcd/registry_txn.h"
#include "policy/lease_tag.h"

/* etcd rpc.proto LeaseLeasesResponse */
enum { LEASES = 2, LEASE_ID = 1 };

void registry_gc_init(struct registry_gc *g, struct span root, const struct ns_path *path)
{
    *g = (struct registry_gc){.root = root, .path = path};
}

void registry_gc_again(struct registry_gc *g)
{
    g->state = REGISTRY_GC_ASK_ENTRY;
    g->is_marked = false;
    g->keys = g->leases = 0;
}

void registry_gc_waited(struct registry_gc *g)
{
    CHECK(g->state == REGISTRY_GC_WAIT);
    g->state = REGISTRY_GC_ASK_LEASES;
}

/* {"gc":"<the revision that was read>",… */
static void write_mark(struct pb_writer *w, const struct registry_gc *g,
                       const struct registry_names *n)
{
    struct buf value = {0};
    if (w->error == ERR_OK)
        w->error = buf_printf(&value, REGISTRY_MARK "%" PRId64 "\",", g->revision);
    if (w->error == ERR_OK)
        w->error = buf_append(&value, span_of(g->rest, g->rest_bytes));
    registry_if_written(w, n, REGISTRY_KEY_ENTRY, (uint64_t)g->revision);
    registry_put(w, n, REGISTRY_KEY_ENTRY, buf_span(&value));
    buf_deinit(&value);
}

static void write_remove(struct pb_writer *w, const struct registry_gc *g,
                         const struct registry_names *n)
{
    registry_if_written(w, n, REGISTRY_KEY_ENTRY, (uint64_t)g->revision);
    registry_if_value(w, n, REGISTRY_KEY_TAG, span_str(g->path->text));
    registry_if_empty(w, n);
    registry_delete(w, n, REGISTRY_KEY_ENTRY);
    registry_delete(w, n, REGISTRY_KEY_TAG);
}

enum err registry_gc_next(const struct registry_gc *g, struct buf *out, struct span *ret_method)
{
    struct pb_writer w = {.out = out};
    const struct registry_names n = {g->root, g->path, g->tag};
    size_t before = buf_len(out);
    CHECK(g->state <= REGISTRY_GC_ASK_REMOVE && g->state != REGISTRY_GC_WAIT);
    *ret_method = SPAN_LIT("/etcdserverpb.KV/Range");
    if (g->state == REGISTRY_GC_ASK_ENTRY) {
        registry_write_key(&w, &n, RANGE_KEY, REGISTRY_KEY_ENTRY);
    } else if (g->state == REGISTRY_GC_ASK_LEASES) {
        *ret_method = SPAN_LIT("/etcdserverpb.Lease/LeaseLeases"); /* an empty message */
    } else if (g->state == REGISTRY_GC_ASK_KEYS) {
        registry_write_key(&w, &n, RANGE_KEY, REGISTRY_KEY_SLICE);
        registry_write_key(&w, &n, RANGE_END, REGISTRY_KEY_SLICE_END);
        pb_write_number(&w, RANGE_COUNT_ONLY, 1);
    } else {
        *ret_method = SPAN_LIT("/etcdserverpb.KV/Txn");
        if (g->state == REGISTRY_GC_ASK_MARK)
            write_mark(&w, g, &n);
        else
            write_remove(&w, g, &n);
    }
    if (w.error != ERR_OK)
        buf_truncate(out, before);
    return w.error;
}

static const char came_between[] = "a sidecar is running in it, or began meanwhile";

static enum err keep(struct registry_gc *g, const char *why)
{
    g->state = REGISTRY_GC_KEPT;
    g->why = why;
    return ERR_OK;
}

/* The value is an object with a member, so something stands behind "{" and behind a mark's ",". */
static enum err note_rest(struct registry_gc *g, struct span value)
{
    const uint8_t *comma = memchr(value.p, ',', value.n);
    const uint8_t *brace = memchr(value.p, '{', value.n);
    bool is_marked = span_has_prefix(value, SPAN_LIT(REGISTRY_MARK)) && comma != NULL;
    const uint8_t *at = is_marked ? comma : brace;
    struct span rest = span_skip(value, (size_t)(at - value.p) + 1);
    if (rest.n > sizeof g->rest)
        return ERR_CONFIG;
    memcpy(g->rest, rest.p, rest.n);
    g->rest_bytes = rest.n;
    g->state = REGISTRY_GC_ASK_LEASES;
    return ERR_OK;
}

static enum err feed_entry(struct registry_gc *g, struct span reply)
{
    struct span kv, value;
    uint64_t revision;
    if (!pb_find_bytes(reply, RANGE_REPLY_KV, &kv))
        return keep(g, "it has no entry");
    if (!pb_find_bytes(kv, KV_VALUE, &value) || !pb_find_number(kv, KV_MOD, &revision))
        return ERR_UPSTREAM_PROTOCOL;
    g->revision = (int64_t)revision;
    enum err e = registry_parse_entry(value, &g->tag);
    return e == ERR_OK ? note_rest(g, value) : e;
}

static enum err feed_leases(struct registry_gc *g, struct span reply)
{
    const uint8_t *p = reply.p, *end = span_end(reply);
    struct pb_item it;
    while (p != end) {
        uint64_t stored;
        int64_t id;
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        if (it.number != LEASES)
            continue;
        if (!pb_find_number(it.bytes, LEASE_ID, &stored))
            return ERR_UPSTREAM_PROTOCOL;
        if (stored != 0 && lease_tag_strip(g->tag, (int64_t)stored, &id))
            g->leases++;
    }
    if (g->leases != 0)
        return keep(g, "leases of it are alive");
    g->state = g->is_marked ? REGISTRY_GC_ASK_REMOVE : REGISTRY_GC_ASK_KEYS;
    return ERR_OK;
}

static enum err feed_keys(struct registry_gc *g, struct span reply)
{
    if (!pb_find_number(reply, RANGE_REPLY_COUNT, &g->keys))
        return ERR_UPSTREAM_PROTOCOL;
    if (g->keys != 0)
        return keep(g, "it is not empty");
    g->state = g->is_dry_run ? REGISTRY_GC_DONE : REGISTRY_GC_ASK_MARK;
    return ERR_OK;
}

static enum err feed_mark(struct registry_gc *g, struct span reply)
{
    struct span header;
    uint64_t revision;
    bool succeeded;
    if (!registry_txn_succeeded(reply, &succeeded) ||
        !pb_find_bytes(reply, REPLY_HEADER, &header) ||
        !pb_find_number(header, HEADER_REVISION, &revision))
        return ERR_UPSTREAM_PROTOCOL;
    if (!succeeded)
        return keep(g, came_between);
    g->revision = (int64_t)revision;
    g->is_marked = true;
    g->state = REGISTRY_GC_WAIT;
    return ERR_OK;
}

enum err registry_gc_feed(struct registry_gc *g, struct span reply)
{
    bool succeeded;
    CHECK(g->state <= REGISTRY_GC_ASK_REMOVE);
    if (g->state == REGISTRY_GC_ASK_ENTRY)
        return feed_entry(g, reply);
    if (g->state == REGISTRY_GC_ASK_LEASES)
        return feed_leases(g, reply);
    if (g->state == REGISTRY_GC_ASK_KEYS)
        return feed_keys(g, reply);
    if (g->state == REGISTRY_GC_ASK_MARK)
        return feed_mark(g, reply);
    if (!registry_txn_succeeded(reply, &succeeded))
        return ERR_UPSTREAM_PROTOCOL;
    if (!succeeded)
        return keep(g, came_between);
    g->state = REGISTRY_GC_DONE;
    return ERR_OK;
}
