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
#include "policy/key_map.h"
#include "policy/lease_tag.h"
#include "wire/pb_wire.h"
#include "wire/pb_write.h"

/* Field numbers of rpc.proto and kv.proto, by message. */
enum { COMPARE_RESULT = 1, COMPARE_TARGET = 2, COMPARE_KEY = 3, COMPARE_VERSION = 4 };
enum { COMPARE_CREATE = 5, COMPARE_VALUE = 7, TARGET_VALUE = 3 };
enum { RESULT_EQUAL = 0, TARGET_VERSION = 0, TARGET_CREATE = 1 };
enum { TXN_COMPARE = 1, TXN_FAILURE = 3 };
enum { OP_PUT = 2 };
enum { KEY = 1, PUT_VALUE = 2, PUT_IGNORE_VALUE = 5 };
enum { RANGE_KVS = 2, TXN_SUCCEEDED = 2, TXN_RESPONSES = 3 };

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

enum key_of { KEY_VERSION, KEY_ENTRY, KEY_TAG, KEY_PATTERNS };

static enum err append_key(const struct registry *r, enum key_of which, struct buf *out)
{
    switch (which) {
    case KEY_VERSION:
        return key_map_version_key(r->root, out);
    case KEY_ENTRY:
        return key_map_registry_key(r->root, r->path, out);
    case KEY_TAG:
        return key_map_tag_key(r->root, r->tag, out);
    case KEY_PATTERNS:
        return key_map_patterns_key(r->root, out);
    }
    return ERR_CONFIG;
}

static void write_key(struct pb_writer *w, const struct registry *r, uint32_t number,
                      enum key_of which)
{
    size_t mark = pb_write_begin(w, number);
    if (w->error == ERR_OK)
        w->error = append_key(r, which, w->out);
    pb_write_end(w, mark);
}

static void write_compare_absent(struct pb_writer *w, const struct registry *r, enum key_of which)
{
    size_t compare = pb_write_begin(w, TXN_COMPARE);
    pb_write_number(w, COMPARE_RESULT, RESULT_EQUAL);
    pb_write_number(w, COMPARE_TARGET, TARGET_VERSION);
    write_key(w, r, COMPARE_KEY, which);
    pb_write_number(w, COMPARE_VERSION, 0); /* the oneof must be there, even as 0 */
    pb_write_end(w, compare);
}

enum { PATTERNS_TEXT_BYTES = 16 + 1 };

static struct span patterns_text(const struct registry *r, char text[PATTERNS_TEXT_BYTES])
{
    (void)snprintf(text, PATTERNS_TEXT_BYTES, "%016" PRIx64, r->patterns);
    return span_str(text);
}

static void write_put(struct pb_writer *w, const struct registry *r, enum key_of which)
{
    char text[PATTERNS_TEXT_BYTES];
    size_t op = pb_write_begin(w, TXN_SUCCESS);
    size_t put = pb_write_begin(w, OP_PUT);
    write_key(w, r, KEY, which);
    size_t value = pb_write_begin(w, PUT_VALUE);
    if (w->error == ERR_OK) {
        if (which == KEY_VERSION)
            w->error = buf_append(w->out, layout_version);
        else if (which == KEY_ENTRY)
            w->error = registry_write_entry(r->now_ms, r->tag, w->out);
        else if (which == KEY_PATTERNS)
            w->error = buf_append(w->out, patterns_text(r, text));
        else
            w->error = buf_append(w->out, span_str(r->path->text));
    }
    pb_write_end(w, value);
    pb_write_end(w, put);
    pb_write_end(w, op);
}

static void write_compare_tag(struct pb_writer *w, const struct registry *r)
{
    if (!r->tag_is_own) {
        write_compare_absent(w, r, KEY_TAG);
        return;
    }
    size_t compare = pb_write_begin(w, TXN_COMPARE);
    pb_write_number(w, COMPARE_RESULT, RESULT_EQUAL);
    pb_write_number(w, COMPARE_TARGET, TARGET_VALUE);
    write_key(w, r, COMPARE_KEY, KEY_TAG);
    pb_write_bytes(w, COMPARE_VALUE, span_str(r->path->text));
    pb_write_end(w, compare);
}

/* The entry stays as it is, but for its mod_revision. */
static void write_touch(struct pb_writer *w, const struct registry *r)
{
    size_t compare = pb_write_begin(w, TXN_COMPARE);
    pb_write_number(w, COMPARE_RESULT, RESULT_EQUAL);
    pb_write_number(w, COMPARE_TARGET, TARGET_CREATE);
    write_key(w, r, COMPARE_KEY, KEY_ENTRY);
    pb_write_number(w, COMPARE_CREATE, r->created);
    pb_write_end(w, compare);
    size_t op = pb_write_begin(w, TXN_SUCCESS);
    size_t put = pb_write_begin(w, OP_PUT);
    write_key(w, r, KEY, KEY_ENTRY);
    pb_write_number(w, PUT_IGNORE_VALUE, 1);
    pb_write_end(w, put);
    pb_write_end(w, op);
}

/* What a Txn that fails answers with. */
static void write_read(struct pb_writer *w, const struct registry *r, enum key_of which)
{
    size_t op = pb_write_begin(w, TXN_FAILURE);
    size_t range = pb_write_begin(w, OP_RANGE);
    write_key(w, r, KEY, which);
    pb_write_end(w, range);
    pb_write_end(w, op);
}

enum err registry_next(const struct registry *r, struct buf *out, struct span *ret_method)
{
    struct pb_writer w = {.out = out};
    size_t before = buf_len(out);
    bool reads = r->state == REGISTRY_READ_VERSION || r->state == REGISTRY_READ_ENTRY;
    CHECK(r->state != REGISTRY_DONE);
    if (reads) {
        write_key(&w, r, KEY, r->state == REGISTRY_READ_VERSION ? KEY_VERSION : KEY_ENTRY);
    } else if (r->state == REGISTRY_WRITE_VERSION) {
        write_compare_absent(&w, r, KEY_VERSION);
        write_put(&w, r, KEY_VERSION);
    } else if (r->state == REGISTRY_TOUCH) {
        write_touch(&w, r);
    } else if (r->state == REGISTRY_COMPARE) {
        write_compare_absent(&w, r, KEY_PATTERNS);
        write_put(&w, r, KEY_PATTERNS);
        write_read(&w, r, KEY_PATTERNS);
    } else {
        write_compare_absent(&w, r, KEY_ENTRY);
        write_compare_tag(&w, r);
        write_put(&w, r, KEY_ENTRY);
        write_put(&w, r, KEY_TAG);
        /* Which of the two was there decides what comes next. */
        write_read(&w, r, KEY_ENTRY);
    }
    if (w.error != ERR_OK) {
        buf_truncate(out, before);
        return w.error;
    }
    *ret_method = reads ? SPAN_LIT("/etcdserverpb.KV/Range") : SPAN_LIT("/etcdserverpb.KV/Txn");
    return ERR_OK;
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
    uint64_t succeeded;
    if (!pb_find_number(reply, TXN_SUCCEEDED, &succeeded))
        return ERR_UPSTREAM_PROTOCOL;
    return succeeded != 0 ? done(r, ns) : again(r, REGISTRY_READ_ENTRY);
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
    uint64_t succeeded;
    struct span kv;
    bool has_entry;
    if (!pb_find_number(reply, TXN_SUCCEEDED, &succeeded))
        return ERR_UPSTREAM_PROTOCOL;
    if (succeeded != 0)
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
    uint64_t succeeded;
    struct span kv, value;
    bool found = false, has_value;
    char text[PATTERNS_TEXT_BYTES];
    if (!pb_find_number(reply, TXN_SUCCEEDED, &succeeded))
        return ERR_UPSTREAM_PROTOCOL;
    if (succeeded == 0 &&
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
    uint64_t succeeded;
    CHECK(r->state != REGISTRY_DONE);
    if (!find_bytes(reply, REPLY_HEADER, &header, &has_header) ||
        etcd_ns_note_header(ns, header) != ERR_OK)
        return ERR_UPSTREAM_PROTOCOL;
    switch (r->state) {
    case REGISTRY_READ_VERSION:
        return feed_version(r, reply);
    case REGISTRY_WRITE_VERSION:
        if (!pb_find_number(reply, TXN_SUCCEEDED, &succeeded))
            return ERR_UPSTREAM_PROTOCOL;
        if (succeeded == 0)
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
