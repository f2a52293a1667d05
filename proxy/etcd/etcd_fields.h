/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_fields - private to the views: field numbers of etcd rpc.proto and kv.proto, by message, and
 * the last occurrence of one field.
 */
#ifndef ETCD_ETCD_FIELDS_H
#define ETCD_ETCD_FIELDS_H

#include "wire/pb_wire.h"

enum {
    RANGE_KEY = 1,
    RANGE_END = 2,
    RANGE_LIMIT = 3,
    RANGE_REVISION = 4,
    RANGE_ORDER = 5,
    RANGE_TARGET = 6,
    RANGE_SERIALIZABLE = 7,
    RANGE_KEYS_ONLY = 8,
    RANGE_COUNT_ONLY = 9,
    RANGE_MIN_MOD = 10,
    RANGE_MAX_MOD = 11,
    RANGE_MIN_CREATE = 12,
    RANGE_MAX_CREATE = 13,
    RANGE_FIELDS_END
};
enum { RANGE_REPLY_KV = 2, RANGE_REPLY_MORE = 3, RANGE_REPLY_COUNT = 4 };
enum { REPLY_HEADER = 1, HEADER_REVISION = 3 };
enum { TXN_SUCCESS = 2, OP_RANGE = 1, TXN_REPLY_OPS = 3 };
enum { KV_KEY = 1, KV_CREATE = 2, KV_MOD = 3, KV_VERSION = 4, KV_VALUE = 5, KV_LEASE = 6 };

/* The last field `number` that is bytes. False: it is not there, or the message does not parse. */
static inline bool pb_find_bytes(struct span message, uint32_t number, struct span *ret_bytes)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    bool found = false;
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return false;
        if (it.number == number && it.wire == PB_WIRE_BYTES) {
            *ret_bytes = it.bytes;
            found = true;
        }
    }
    return found;
}

/* The last field `number`, 0 if there is none. False: the message does not parse. */
static inline bool pb_find_number(struct span message, uint32_t number, uint64_t *ret_v)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    *ret_v = 0;
    while (p != end) {
        if (!pb_item_next(&p, end, &it))
            return false;
        if (it.number == number && it.wire == PB_WIRE_VARINT)
            *ret_v = it.varint;
    }
    return true;
}

#endif
