/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_kv - Range, Put, DeleteRange and KeyValue: which fields are keys and leases.
 *
 * Field numbers: etcd rpc.proto, kv.proto (reference: docs of etcd 3.4 .. 3.7).
 */
#include "etcd/etcd_pass.h"
#include "wire/pb_wire.h"

void etcd_pass_fault(struct etcd_pass *pass, enum err e)
{
    if (pass->pending == ERR_OK)
        pass->pending = e;
}

enum err etcd_map_key(void *ctx, struct pb_frame *f, struct span value, struct buf *out)
{
    const struct etcd_pass *pass = ctx;
    f->note[NOTE_HAS_KEY] = value.n != 0;
    return key_map_key(&pass->call->ns->keys, value, out);
}

/* An empty range end must not go upstream: to etcd before 3.7 one that is there, though empty,
 * means the end of the whole store (Go's []byte{} is not nil). It is left out, which means one key.
 */
enum err etcd_map_range_end(void *ctx, struct pb_frame *f, struct span value, struct buf *out)
{
    const struct etcd_pass *pass = ctx;
    (void)f;
    return value.n == 0 ? ERR_FOREIGN : key_map_end(&pass->call->ns->keys, value, out);
}

enum err etcd_need_key(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    (void)up;
    (void)out;
    if (f->note[NOTE_HAS_KEY] == 0)
        etcd_pass_fault(ctx, ERR_KEY_EMPTY);
    return ERR_OK;
}

enum err etcd_strip_key(void *ctx, struct pb_frame *f, struct span value, struct span *ret_rest)
{
    const struct etcd_pass *pass = ctx;
    f->note[NOTE_HAS_KEY] = 1;
    if (key_map_strip(&pass->call->ns->keys, value, ret_rest))
        return ERR_OK;
    count(pass->call->ns->counters, COUNTER_FOREIGN_KEY, 1);
    return ERR_FOREIGN;
}

enum err etcd_use_lease(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    struct etcd_pass *pass = ctx;
    struct etcd_ns *ns = pass->call->ns;
    bool foreign;
    (void)f;
    pass->lease_asked = (int64_t)v;
    *ret_v = (uint64_t)lease_tag_use(ns->tag, (int64_t)v, &foreign);
    if (foreign)
        count(ns->counters, COUNTER_FOREIGN_LEASE, 1);
    return ERR_OK;
}

enum err etcd_strip_lease(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    const struct etcd_pass *pass = ctx;
    struct etcd_ns *ns = pass->call->ns;
    int64_t id;
    (void)f;
    if (!lease_tag_strip(ns->tag, (int64_t)v, &id)) {
        count(ns->counters, COUNTER_FOREIGN_LEASE, 1);
        return ERR_FOREIGN;
    }
    *ret_v = (uint64_t)id;
    return ERR_OK;
}

static enum err note_revision(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    struct etcd_pass *pass = ctx;
    (void)f;
    if (v != 0)
        pass->reads_at_revision = true;
    *ret_v = v;
    return ERR_OK;
}

static enum err note_serializable(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    f->note[NOTE_SERIALIZABLE] = v != 0;
    *ret_v = v;
    return ERR_OK;
}

/*
 * RangeRequest.sort_order and sort_target. A number that the protocol does not know ends the
 * process of an etcd that does not check it (3.4.23 does not: a nil pointer; in a Txn of every
 * member, each time that it reads its log). Later ones refuse it with this text.
 */
enum { SORT_ORDER_LAST = 2, SORT_TARGET_LAST = 4 };

static enum err known_order(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    f->note[NOTE_BAD_SORT] |= v > SORT_ORDER_LAST;
    *ret_v = v;
    return ERR_OK;
}

static enum err known_target(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    f->note[NOTE_BAD_SORT] |= v > SORT_TARGET_LAST;
    *ret_v = v;
    return ERR_OK;
}

static enum err range_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    struct etcd_pass *pass = ctx;
    enum err e = etcd_need_key(ctx, f, up, out);
    if (f->note[NOTE_BAD_SORT] != 0)
        etcd_pass_fault(ctx, ERR_SORT_OPTION);
    if (f->note[NOTE_SERIALIZABLE] == 0)
        pass->needs_quorum = true;
    return e;
}

static enum err begin_read(void *ctx, struct pb_frame *f, struct pb_frame *up)
{
    (void)ctx;
    (void)f;
    etcd_op_is_set(up);
    return ERR_OK;
}

static enum err begin_write(void *ctx, struct pb_frame *f, struct pb_frame *up)
{
    struct etcd_pass *pass = ctx;
    (void)f;
    pass->writes = pass->needs_quorum = true;
    etcd_op_is_set(up);
    return ERR_OK;
}

static const struct pb_field range_request_fields[] = {
    [1] = {.action = PB_MAP, .map = etcd_map_key},
    [2] = {.action = PB_MAP, .droppable = true, .map = etcd_map_range_end},
    [4] = {.action = PB_NUMBER, .number = note_revision},
    [5] = {.action = PB_NUMBER, .number = known_order},
    [6] = {.action = PB_NUMBER, .number = known_target},
    [7] = {.action = PB_NUMBER, .number = note_serializable},
};
const struct pb_message etcd_range_request = {range_request_fields, ARRAY_LEN(range_request_fields),
                                              begin_read, range_end, false};

static const struct pb_field put_request_fields[] = {
    [1] = {.action = PB_MAP, .map = etcd_map_key},
    [3] = {.action = PB_NUMBER, .number = etcd_use_lease},
};
const struct pb_message etcd_put_request = {put_request_fields, ARRAY_LEN(put_request_fields),
                                            begin_write, etcd_need_key, false};

static const struct pb_field delete_range_request_fields[] = {
    [1] = {.action = PB_MAP, .map = etcd_map_key},
    [2] = {.action = PB_MAP, .droppable = true, .map = etcd_map_range_end},
};
const struct pb_message etcd_delete_range_request = {delete_range_request_fields,
                                                     ARRAY_LEN(delete_range_request_fields),
                                                     begin_write, etcd_need_key, false};

/* etcd has no empty keys: a pair without one proves nothing about its slice. */
static enum err key_value_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    const struct etcd_pass *pass = ctx;
    (void)out;
    if (f->note[NOTE_HAS_KEY] != 0) {
        up->note[NOTE_HAS_KEY] = 1; /* for Event */
        return ERR_OK;
    }
    count(pass->call->ns->counters, COUNTER_FOREIGN_KEY, 1);
    return ERR_FOREIGN;
}

/* A foreign lease on an own key is not shown; the key is (design.md 4.4: foreign = missing). */
static const struct pb_field key_value_fields[] = {
    [1] = {.action = PB_STRIP, .strip = etcd_strip_key},
    [6] = {.action = PB_NUMBER, .droppable = true, .number = etcd_strip_lease},
};
const struct pb_message etcd_key_value = {key_value_fields, ARRAY_LEN(key_value_fields), NULL,
                                          key_value_end, false};

static const struct pb_field range_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_MESSAGE, .droppable = true, .sub = &etcd_key_value},
};
const struct pb_message etcd_range_response = {range_response_fields,
                                               ARRAY_LEN(range_response_fields), NULL, NULL, false};

/* 3.7: the answer in pieces. */
static const struct pb_field range_stream_response_fields[] = {
    [1] = {.action = PB_MESSAGE, .sub = &etcd_range_response},
};
const struct pb_message etcd_range_stream_response = {
    range_stream_response_fields, ARRAY_LEN(range_stream_response_fields), NULL, NULL, false};

static const struct pb_field put_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_MESSAGE, .droppable = true, .sub = &etcd_key_value},
};
const struct pb_message etcd_put_response = {put_response_fields, ARRAY_LEN(put_response_fields),
                                             NULL, NULL, false};

static const struct pb_field delete_range_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [3] = {.action = PB_MESSAGE, .droppable = true, .sub = &etcd_key_value},
};
const struct pb_message etcd_delete_range_response = {
    delete_range_response_fields, ARRAY_LEN(delete_range_response_fields), NULL, NULL, false};
