/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry - requests to and answers from the store until the namespace has its tag.
 *
 * Txns create only what is absent (Compare version == 0), so two sidecars that start at once cannot
 * both be first, and a repeated step does no harm.
 */
#include "etcd/registry.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "etcd/etcd_fields.h"
#include "etcd/registry_txn.h"
#include "policy/lease_tag.h"

enum { RANGE_KVS = 2, TXN_RESPONSES = 3 };

static const struct span layout_version = {(const uint8_t *)"1", 1};

void registry_init(struct registry *r, struct span root, const struct ns_path *path,
                   uint64_t now_wall_ms)
{
    *r = (struct registry){
        .root = root,
        .path = path,
        .now_ms = now_wall_ms,
        .tag = lease_tag_hash(span_str(path->text)),
    };
}

enum { PATTERNS_TEXT_BYTES = 16 + 1 };

static struct span patterns_text(const struct registry *r, char text[PATTERNS_TEXT_BYTES])
{
    (void)snprintf(text, PATTERNS_TEXT_BYTES, "%016" PRIx64, r->patterns);
    return span_str(text);
}

/* Entry and tag, both of which must be absent; a tag may be there if it is this namespace's. */
static void write_claim(struct pb_writer *w, const struct registry *r,
                        const struct registry_names *n)
{
    struct buf entry = {0};
    struct span path = span_str(r->path->text);
    registry_if_absent(w, n, REGISTRY_KEY_ENTRY);
    if (r->tag_is_own)
        registry_if_value(w, n, REGISTRY_KEY_TAG, path);
    else
        registry_if_absent(w, n, REGISTRY_KEY_TAG);
    if (w->error == ERR_OK)
        w->error = registry_write_entry(r->now_ms, r->tag, &entry);
    registry_put(w, n, REGISTRY_KEY_ENTRY, buf_span(&entry));
    registry_put(w, n, REGISTRY_KEY_TAG, path);
    /* Which of the two was there decides what comes next. */
    registry_else_read(w, n, REGISTRY_KEY_ENTRY);
    buf_deinit(&entry);
}

enum err registry_next(const struct registry *r, struct buf *out, struct span *ret_method)
{
    struct pb_writer w = {.out = out};
    const struct registry_names n = {r->root, r->path, r->tag};
    size_t before = buf_len(out);
    char text[PATTERNS_TEXT_BYTES];
    CHECK(r->state != REGISTRY_DONE);
    *ret_method = SPAN_LIT("/etcdserverpb.KV/Txn");
    switch (r->state) {
    case REGISTRY_READ_VERSION:
        registry_write_key(&w, &n, RANGE_KEY, REGISTRY_KEY_VERSION);
        *ret_method = SPAN_LIT("/etcdserverpb.KV/Range");
        break;
    case REGISTRY_WRITE_VERSION:
        registry_if_absent(&w, &n, REGISTRY_KEY_VERSION);
        registry_put(&w, &n, REGISTRY_KEY_VERSION, layout_version);
        break;
    case REGISTRY_READ_ENTRY:
        registry_write_key(&w, &n, RANGE_KEY, REGISTRY_KEY_ENTRY);
        *ret_method = SPAN_LIT("/etcdserverpb.KV/Range");
        break;
    case REGISTRY_TOUCH: /* the entry stays as it is, but for its mod_revision */
        registry_if_created(&w, &n, REGISTRY_KEY_ENTRY, r->created);
        registry_touch(&w, &n, REGISTRY_KEY_ENTRY);
        break;
    case REGISTRY_CLAIM:
        write_claim(&w, r, &n);
        break;
    case REGISTRY_COMPARE:
        registry_if_absent(&w, &n, REGISTRY_KEY_PATTERNS);
        registry_put(&w, &n, REGISTRY_KEY_PATTERNS, patterns_text(r, text));
        registry_else_read(&w, &n, REGISTRY_KEY_PATTERNS);
        break;
    case REGISTRY_DONE:
        break;
    }
    if (w.error != ERR_OK)
        buf_truncate(out, before);
    return w.error;
}

/* The last field `number` that is bytes, or SPAN_NONE with *ret_found false. */
static bool find_bytes(struct span message, uint32_t number, struct span *ret_bytes,
                       bool *ret_found)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    *ret_found = false;
    *ret_bytes = SPAN_NONE;
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return false;
        if (it.number != number)
            continue;
        if (it.wire != PB_WIRE_BYTES)
            return false;
        *ret_found = true;
        *ret_bytes = it.bytes;
    }
    return true;
}

/* RangeResponse of one key: its value and when it was created, if it is there. */
static bool find_value(struct span reply, struct span *ret_value, uint64_t *ret_created,
                       bool *ret_found)
{
    struct span kv;
    bool has_value;
    if (!find_bytes(reply, RANGE_KVS, &kv, ret_found))
        return false;
    *ret_value = SPAN_NONE;
    return !*ret_found || (find_bytes(kv, KV_VALUE, ret_value, &has_value) &&
                           pb_find_number(kv, KV_CREATE, ret_created));
}

static enum err again(struct registry *r, enum registry_state next)
{
    r->state = next;
    return ++r->rounds > REGISTRY_ROUNDS ? ERR_LIMIT : ERR_OK;
}

static enum err done(struct registry *r, struct etcd_ns *ns)
{
    r->state = r->patterns == 0 ? REGISTRY_DONE : REGISTRY_COMPARE;
    ns->tag = r->tag;
    ns->has_tag = true;
    r->written = ns->revision; /* of the reply's header, which is noted first */
    return ERR_OK;
}

static enum err feed_version(struct registry *r, struct span reply)
{
    struct span value;
    uint64_t created;
    bool found;
    if (!find_value(reply, &value, &created, &found))
        return ERR_UPSTREAM_PROTOCOL;
    if (!found) {
        r->state = REGISTRY_WRITE_VERSION;
        return ERR_OK;
    }
    if (!span_eq(value, layout_version))
        return ERR_REGISTRY;
    r->state = REGISTRY_READ_ENTRY;
    return ERR_OK;
}

static enum err feed_entry(struct registry *r, struct span reply)
{
    struct span value;
    bool found;
    if (!find_value(reply, &value, &r->created, &found))
        return ERR_UPSTREAM_PROTOCOL;
    if (!found) {
        r->state = REGISTRY_CLAIM;
        return ERR_OK;
    }
    r->state = REGISTRY_TOUCH;
    return registry_parse_entry(value, &r->tag) == ERR_OK ? ERR_OK : ERR_REGISTRY_ENTRY;
}

static enum err feed_touch(struct registry *r, struct span reply, struct etcd_ns *ns)
{
    bool succeeded;
    if (!registry_txn_succeeded(reply, &succeeded))
        return ERR_UPSTREAM_PROTOCOL;
    return succeeded ? done(r, ns) : again(r, REGISTRY_READ_ENTRY);
}

/* The one key that a failed Txn has read: kv, if it is there. */
static bool find_read(struct span reply, struct span *ret_kv, bool *ret_found)
{
    struct span op, range;
    bool has_op, has_range;
    return find_bytes(reply, TXN_RESPONSES, &op, &has_op) &&
           find_bytes(op, OP_RANGE, &range, &has_range) && has_range &&
           find_bytes(range, RANGE_KVS, ret_kv, ret_found);
}

/* The entry was absent in READ_ENTRY; a failed claim says whether it still is. */
static enum err feed_claim(struct registry *r, struct span reply, struct etcd_ns *ns)
{
    bool succeeded;
    struct span kv;
    bool has_entry;
    if (!registry_txn_succeeded(reply, &succeeded))
        return ERR_UPSTREAM_PROTOCOL;
    if (succeeded)
        return done(r, ns);
    if (!find_read(reply, &kv, &has_entry))
        return ERR_UPSTREAM_PROTOCOL;
    if (has_entry)
        return again(r, REGISTRY_READ_ENTRY);
    r->tag_is_own = !r->tag_is_own;
    if (r->tag_is_own)
        return ERR_OK;
    r->tag = (r->tag + 1) % LEASE_TAG_COUNT;
    return ++r->tries >= REGISTRY_TAG_TRIES ? ERR_REGISTRY_TAGS : ERR_OK;
}

static enum err feed_compare(struct registry *r, struct span reply)
{
    bool succeeded;
    struct span kv, value;
    bool found = false, has_value;
    char text[PATTERNS_TEXT_BYTES];
    if (!registry_txn_succeeded(reply, &succeeded))
        return ERR_UPSTREAM_PROTOCOL;
    if (!succeeded &&
        (!find_read(reply, &kv, &found) || !found || !find_bytes(kv, KV_VALUE, &value, &has_value)))
        return ERR_UPSTREAM_PROTOCOL;
    r->patterns_differ = found && !span_eq(value, patterns_text(r, text));
    r->state = REGISTRY_DONE;
    return ERR_OK;
}

enum err registry_feed(struct registry *r, struct span reply, struct etcd_ns *ns)
{
    struct span header;
    bool has_header;
    bool succeeded;
    CHECK(r->state != REGISTRY_DONE);
    if (!find_bytes(reply, REPLY_HEADER, &header, &has_header) ||
        etcd_ns_note_header(ns, header) != ERR_OK)
        return ERR_UPSTREAM_PROTOCOL;
    switch (r->state) {
    case REGISTRY_READ_VERSION:
        return feed_version(r, reply);
    case REGISTRY_WRITE_VERSION:
        if (!registry_txn_succeeded(reply, &succeeded))
            return ERR_UPSTREAM_PROTOCOL;
        if (!succeeded)
            return again(r, REGISTRY_READ_VERSION);
        r->state = REGISTRY_READ_ENTRY;
        return ERR_OK;
    case REGISTRY_READ_ENTRY:
        return feed_entry(r, reply);
    case REGISTRY_TOUCH:
        return feed_touch(r, reply, ns);
    case REGISTRY_CLAIM:
        return feed_claim(r, reply, ns);
    case REGISTRY_COMPARE:
        return feed_compare(r, reply);
    case REGISTRY_DONE:
        break;
    }
    return ERR_UPSTREAM_PROTOCOL;
}
