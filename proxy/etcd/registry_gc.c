/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/registry_gc.h"

#include <inttypes.h>

#include "base/check.h"
#include "etcd/etcd_fields.h"
#include "etcd/registry.h"
#include "policy/key_map.h"
#include "policy/lease_tag.h"
#include "wire/pb_write.h"

/* etcd rpc.proto Compare, TxnRequest, RequestOp, LeaseLeasesResponse */
enum { COMPARE_RESULT = 1, COMPARE_TARGET = 2, COMPARE_KEY = 3, COMPARE_VERSION = 4 };
enum { COMPARE_MOD = 6, COMPARE_VALUE = 7, COMPARE_END = 64 };
enum { EQUAL = 0, TARGET_VERSION = 0, TARGET_MOD = 2, TARGET_VALUE = 3 };
enum { TXN_COMPARE = 1, OP_PUT = 2, PUT_VALUE = 2, OP_DELETE = 3, TXN_SUCCEEDED = 2 };
enum { LEASES = 2, LEASE_ID = 1 };

void registry_gc_init(struct registry_gc *g, struct span root, const struct ns_path *path)
{
    *g = (struct registry_gc){.root = root, .path = path};
}

void registry_gc_again(struct registry_gc *g)
{
    g->state = REGISTRY_GC_ASK_ENTRY;
    g->keys = g->leases = 0;
}

void registry_gc_waited(struct registry_gc *g)
{
    CHECK(g->state == REGISTRY_GC_WAIT);
    g->state = REGISTRY_GC_ASK_REMOVE;
}

enum key_of { KEY_ENTRY, KEY_TAG, KEY_FIRST, KEY_END };

static void write_key(struct pb_writer *w, const struct registry_gc *g, uint32_t field,
                      enum key_of which)
{
    struct key_map map;
    size_t mark = pb_write_begin(w, field);
    if (w->error == ERR_OK)
        w->error = key_map_init(&map, g->root, g->path);
    if (w->error == ERR_OK && which == KEY_ENTRY)
        w->error = key_map_registry_key(g->root, g->path, w->out);
    else if (w->error == ERR_OK && which == KEY_TAG)
        w->error = key_map_tag_key(g->root, g->tag, w->out);
    else if (w->error == ERR_OK && which == KEY_FIRST)
        w->error = key_map_key(&map, SPAN_NONE, w->out);
    else if (w->error == ERR_OK)
        w->error = key_map_end(&map, SPAN_LIT("\0"), w->out);
    pb_write_end(w, mark);
}

/* The entry is the one that was read. */
static void write_same_entry(struct pb_writer *w, const struct registry_gc *g)
{
    size_t compare = pb_write_begin(w, TXN_COMPARE);
    pb_write_number(w, COMPARE_RESULT, EQUAL);
    pb_write_number(w, COMPARE_TARGET, TARGET_MOD);
    write_key(w, g, COMPARE_KEY, KEY_ENTRY);
    pb_write_number(w, COMPARE_MOD, (uint64_t)g->revision);
    pb_write_end(w, compare);
}

/* The tag says that it is this namespace's. */
static void write_own_tag(struct pb_writer *w, const struct registry_gc *g)
{
    size_t compare = pb_write_begin(w, TXN_COMPARE);
    pb_write_number(w, COMPARE_RESULT, EQUAL);
    pb_write_number(w, COMPARE_TARGET, TARGET_VALUE);
    write_key(w, g, COMPARE_KEY, KEY_TAG);
    pb_write_bytes(w, COMPARE_VALUE, span_str(g->path->text));
    pb_write_end(w, compare);
}

/* Every key of the slice has version 0: there is none (etcd compares an empty range as one key that
 * is not there, server/etcdserver apply applyCompare). */
static void write_empty_slice(struct pb_writer *w, const struct registry_gc *g)
{
    size_t compare = pb_write_begin(w, TXN_COMPARE);
    pb_write_number(w, COMPARE_RESULT, EQUAL);
    pb_write_number(w, COMPARE_TARGET, TARGET_VERSION);
    write_key(w, g, COMPARE_KEY, KEY_FIRST);
    pb_write_number(w, COMPARE_VERSION, 0);
    write_key(w, g, COMPARE_END, KEY_END);
    pb_write_end(w, compare);
}

/* {"gc":"<the revision that was read>",… */
static void write_mark(struct pb_writer *w, const struct registry_gc *g)
{
    size_t op = pb_write_begin(w, TXN_SUCCESS);
    size_t put = pb_write_begin(w, OP_PUT);
    write_key(w, g, RANGE_KEY, KEY_ENTRY);
    size_t value = pb_write_begin(w, PUT_VALUE);
    if (w->error == ERR_OK)
        w->error = buf_printf(w->out, REGISTRY_MARK "%" PRId64 "\",", g->revision);
    if (w->error == ERR_OK)
        w->error = buf_append(w->out, span_of(g->rest, g->rest_bytes));
    pb_write_end(w, value);
    pb_write_end(w, put);
    pb_write_end(w, op);
}

static void write_delete(struct pb_writer *w, const struct registry_gc *g, enum key_of which)
{
    size_t op = pb_write_begin(w, TXN_SUCCESS);
    size_t del = pb_write_begin(w, OP_DELETE);
    write_key(w, g, RANGE_KEY, which);
    pb_write_end(w, del);
    pb_write_end(w, op);
}

enum err registry_gc_next(const struct registry_gc *g, struct buf *out, struct span *ret_method)
{
    struct pb_writer w = {.out = out};
    size_t before = buf_len(out);
    CHECK(g->state <= REGISTRY_GC_ASK_REMOVE && g->state != REGISTRY_GC_WAIT);
    if (g->state == REGISTRY_GC_ASK_ENTRY) {
        write_key(&w, g, RANGE_KEY, KEY_ENTRY);
        *ret_method = SPAN_LIT("/etcdserverpb.KV/Range");
    } else if (g->state == REGISTRY_GC_ASK_LEASES) {
        *ret_method = SPAN_LIT("/etcdserverpb.Lease/LeaseLeases"); /* an empty message */
    } else if (g->state == REGISTRY_GC_ASK_KEYS) {
        write_key(&w, g, RANGE_KEY, KEY_FIRST);
        write_key(&w, g, RANGE_END, KEY_END);
        pb_write_number(&w, RANGE_COUNT_ONLY, 1);
        *ret_method = SPAN_LIT("/etcdserverpb.KV/Range");
    } else if (g->state == REGISTRY_GC_ASK_MARK) {
        write_same_entry(&w, g);
        write_mark(&w, g);
        *ret_method = SPAN_LIT("/etcdserverpb.KV/Txn");
    } else {
        write_same_entry(&w, g);
        write_own_tag(&w, g);
        write_empty_slice(&w, g);
        write_delete(&w, g, KEY_ENTRY);
        write_delete(&w, g, KEY_TAG);
        *ret_method = SPAN_LIT("/etcdserverpb.KV/Txn");
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
    g->state = REGISTRY_GC_ASK_KEYS;
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
    uint64_t succeeded, revision;
    if (!pb_find_number(reply, TXN_SUCCEEDED, &succeeded) ||
        !pb_find_bytes(reply, REPLY_HEADER, &header) ||
        !pb_find_number(header, HEADER_REVISION, &revision))
        return ERR_UPSTREAM_PROTOCOL;
    if (succeeded == 0)
        return keep(g, came_between);
    g->revision = (int64_t)revision;
    g->state = REGISTRY_GC_WAIT;
    return ERR_OK;
}

enum err registry_gc_feed(struct registry_gc *g, struct span reply)
{
    uint64_t succeeded;
    CHECK(g->state <= REGISTRY_GC_ASK_REMOVE);
    if (g->state == REGISTRY_GC_ASK_ENTRY)
        return feed_entry(g, reply);
    if (g->state == REGISTRY_GC_ASK_LEASES)
        return feed_leases(g, reply);
    if (g->state == REGISTRY_GC_ASK_KEYS)
        return feed_keys(g, reply);
    if (g->state == REGISTRY_GC_ASK_MARK)
        return feed_mark(g, reply);
    if (!pb_find_number(reply, TXN_SUCCEEDED, &succeeded))
        return ERR_UPSTREAM_PROTOCOL;
    if (succeeded == 0)
        return keep(g, came_between);
    g->state = REGISTRY_GC_DONE;
    return ERR_OK;
}
