/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_maintenance - Alarm, of which only GET is forwarded, and Status masked (design.md 4.3).
 *
 * A masked Status keeps the version, by which clients choose what they ask for, and shows a member
 * that is its own leader, of a store of one byte. Field numbers: etcd rpc.proto.
 */
#include "etcd/etcd_pass.h"
#include "wire/pb_wire.h"

/* AlarmRequest.action: GET is 0. */
static enum err only_get(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    (void)f;
    *ret_v = v;
    return v == 0 ? ERR_OK : ERR_DENIED;
}

static const struct pb_field alarm_request_fields[] = {
    [1] = {.action = PB_NUMBER, .number = only_get},
};
const struct pb_message etcd_alarm_request = {alarm_request_fields, ARRAY_LEN(alarm_request_fields),
                                              NULL, NULL, false};

static enum err note_member(void *ctx, struct pb_frame *f, struct span value)
{
    struct etcd_pass *pass = ctx;
    const uint8_t *p = value.p, *end = span_end(value);
    struct pb_item it;
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return ERR_PB_MALFORMED;
        if (it.number == 2 && it.wire == PB_WIRE_VARINT)
            pass->member_id = it.varint;
    }
    return etcd_note_header(ctx, f, value);
}

static enum err own_leader(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    const struct etcd_pass *pass = ctx;
    (void)f;
    *ret_v = v == 0 ? 0 : pass->member_id; /* that there is none may be known */
    return ERR_OK;
}

static enum err hide_number(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    (void)f;
    (void)v;
    *ret_v = 0;
    return ERR_OK;
}

/* Not 0: etcdctl 3.6 divides by it. */
static enum err hide_size(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    (void)f;
    (void)v;
    *ret_v = 1;
    return ERR_OK;
}

static enum err hide_bytes(void *ctx, struct pb_frame *f, struct span value, struct span *ret_rest)
{
    (void)ctx;
    (void)f;
    (void)value;
    (void)ret_rest;
    return ERR_FOREIGN;
}

static const struct pb_field status_response_fields[] = {
    [1] = {.action = PB_PEEK, .peek = note_member},
    [3] = {.action = PB_NUMBER, .number = hide_size}, /* dbSize */
    [4] = {.action = PB_NUMBER, .number = own_leader},
    [5] = {.action = PB_NUMBER, .number = hide_number},                  /* raftIndex */
    [7] = {.action = PB_NUMBER, .number = hide_number},                  /* raftAppliedIndex */
    [8] = {.action = PB_STRIP, .droppable = true, .strip = hide_bytes},  /* errors */
    [9] = {.action = PB_NUMBER, .number = hide_number},                  /* dbSizeInUse */
    [12] = {.action = PB_NUMBER, .number = hide_number},                 /* dbSizeQuota */
    [13] = {.action = PB_STRIP, .droppable = true, .strip = hide_bytes}, /* downgradeInfo */
};
const struct pb_message etcd_masked_status_response = {
    status_response_fields, ARRAY_LEN(status_response_fields), NULL, NULL, false};
