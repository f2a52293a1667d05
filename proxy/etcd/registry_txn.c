/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/registry_txn.h"

#include "etcd/etcd_fields.h"
#include "policy/key_map.h"

/* etcd rpc.proto Compare, TxnRequest, RequestOp, PutRequest, TxnResponse */
enum { COMPARE_RESULT = 1, COMPARE_TARGET = 2, COMPARE_KEY = 3, COMPARE_VERSION = 4 };
enum { COMPARE_CREATE = 5, COMPARE_MOD = 6, COMPARE_VALUE = 7, COMPARE_END = 64 };
enum { EQUAL = 0, TARGET_VERSION = 0, TARGET_CREATE = 1, TARGET_MOD = 2, TARGET_VALUE = 3 };
enum { TXN_COMPARE = 1, TXN_FAILURE = 3, OP_PUT = 2, OP_DELETE = 3 };
enum { OP_KEY = 1, PUT_VALUE = 2, PUT_IGNORE_VALUE = 5, TXN_SUCCEEDED = 2 };

static enum err append_slice(const struct registry_names *n, bool is_end, struct buf *out)
{
    struct key_map map;
    enum err e = key_map_init(&map, n->root, n->path);
    if (e != ERR_OK)
        return e;
    return is_end ? key_map_end(&map, SPAN_LIT("\0"), out) : key_map_key(&map, SPAN_NONE, out);
}

static enum err append_key(const struct registry_names *n, enum registry_key which, struct buf *out)
{
    switch (which) {
    case REGISTRY_KEY_VERSION:
        return key_map_version_key(n->root, out);
    case REGISTRY_KEY_ENTRY:
        return key_map_registry_key(n->root, n->path, out);
    case REGISTRY_KEY_TAG:
        return key_map_tag_key(n->root, n->tag, out);
    case REGISTRY_KEY_PATTERNS:
        return key_map_patterns_key(n->root, out);
    case REGISTRY_KEY_SLICE:
    case REGISTRY_KEY_SLICE_END:
        return append_slice(n, which == REGISTRY_KEY_SLICE_END, out);
    }
    return ERR_CONFIG;
}

void registry_write_key(struct pb_writer *w, const struct registry_names *n, uint32_t field,
                        enum registry_key which)
{
    size_t mark = pb_write_begin(w, field);
    if (w->error == ERR_OK)
        w->error = append_key(n, which, w->out);
    pb_write_end(w, mark);
}

/* -- compares -- */
static size_t begin_compare(struct pb_writer *w, const struct registry_names *n,
                            enum registry_key which, uint64_t target)
{
    size_t compare = pb_write_begin(w, TXN_COMPARE);
    pb_write_number(w, COMPARE_RESULT, EQUAL);
    pb_write_number(w, COMPARE_TARGET, target);
    registry_write_key(w, n, COMPARE_KEY, which);
    return compare;
}

static void if_number(struct pb_writer *w, const struct registry_names *n, enum registry_key which,
                      uint64_t target, uint32_t field, uint64_t number)
{
    size_t compare = begin_compare(w, n, which, target);
    pb_write_number(w, field, number); /* the oneof must be there, even as 0 */
    pb_write_end(w, compare);
}

void registry_if_absent(struct pb_writer *w, const struct registry_names *n,
                        enum registry_key which)
{
    if_number(w, n, which, TARGET_VERSION, COMPARE_VERSION, 0);
}

void registry_if_written(struct pb_writer *w, const struct registry_names *n,
                         enum registry_key which, uint64_t revision)
{
    if_number(w, n, which, TARGET_MOD, COMPARE_MOD, revision);
}

void registry_if_created(struct pb_writer *w, const struct registry_names *n,
                         enum registry_key which, uint64_t revision)
{
    if_number(w, n, which, TARGET_CREATE, COMPARE_CREATE, revision);
}

void registry_if_value(struct pb_writer *w, const struct registry_names *n, enum registry_key which,
                       struct span value)
{
    size_t compare = begin_compare(w, n, which, TARGET_VALUE);
    pb_write_bytes(w, COMPARE_VALUE, value);
    pb_write_end(w, compare);
}

/* Every key of the slice has version 0: there is none (etcd compares an empty range as one key that
 * is not there, server/etcdserver apply applyCompare). */
void registry_if_empty(struct pb_writer *w, const struct registry_names *n)
{
    size_t compare = begin_compare(w, n, REGISTRY_KEY_SLICE, TARGET_VERSION);
    pb_write_number(w, COMPARE_VERSION, 0);
    registry_write_key(w, n, COMPARE_END, REGISTRY_KEY_SLICE_END);
    pb_write_end(w, compare);
}

/* -- operations -- */
struct op {
    size_t op, request;
};

static struct op begin_op(struct pb_writer *w, uint32_t list, uint32_t kind)
{
    size_t op = pb_write_begin(w, list);
    return (struct op){op, pb_write_begin(w, kind)};
}

static void end_op(struct pb_writer *w, struct op o)
{
    pb_write_end(w, o.request);
    pb_write_end(w, o.op);
}

void registry_put(struct pb_writer *w, const struct registry_names *n, enum registry_key which,
                  struct span value)
{
    struct op o = begin_op(w, TXN_SUCCESS, OP_PUT);
    registry_write_key(w, n, OP_KEY, which);
    pb_write_bytes(w, PUT_VALUE, value);
    end_op(w, o);
}

void registry_touch(struct pb_writer *w, const struct registry_names *n, enum registry_key which)
{
    struct op o = begin_op(w, TXN_SUCCESS, OP_PUT);
    registry_write_key(w, n, OP_KEY, which);
    pb_write_number(w, PUT_IGNORE_VALUE, 1);
    end_op(w, o);
}

void registry_delete(struct pb_writer *w, const struct registry_names *n, enum registry_key which)
{
    struct op o = begin_op(w, TXN_SUCCESS, OP_DELETE);
    registry_write_key(w, n, OP_KEY, which);
    end_op(w, o);
}

void registry_else_read(struct pb_writer *w, const struct registry_names *n,
                        enum registry_key which)
{
    struct op o = begin_op(w, TXN_FAILURE, OP_RANGE);
    registry_write_key(w, n, OP_KEY, which);
    end_op(w, o);
}

bool registry_txn_succeeded(struct span reply, bool *ret)
{
    uint64_t succeeded;
    if (!pb_find_number(reply, TXN_SUCCEEDED, &succeeded))
        return false;
    *ret = succeeded != 0;
    return true;
}
