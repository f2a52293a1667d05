/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd_msg.h"

#include <stdio.h>
#include <string.h>

enum {
    GRPC_HEAD_BYTES = 5,
    WIRE_VARINT = 0,
    WIRE_LEN = 2,
};

static size_t put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        out[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (uint8_t)v;
    return n;
}

static size_t put_bytes(uint8_t *out, unsigned field, const void *data, size_t n)
{
    size_t at = put_varint(out, (uint64_t)field << 3 | WIRE_LEN);
    at += put_varint(out + at, n);
    memcpy(out + at, data, n);
    return at + n;
}

static size_t make_key(char *out, const struct etcd_shape *s, uint32_t key)
{
    int n = snprintf(out, ETCD_KEY_BYTES_MAX, "%s%06u", s->prefix, key);
    return n < 0 || n >= ETCD_KEY_BYTES_MAX ? 0 : (size_t)n;
}

static size_t put_value(uint8_t *out, const struct etcd_shape *s, const char *key, size_t key_n)
{
    uint8_t value[ETCD_VALUE_BYTES_MAX];
    memset(value, 'v', s->value_bytes);
    memcpy(value, key, key_n < s->value_bytes ? key_n : s->value_bytes);
    return put_bytes(out, 2, value, s->value_bytes);
}

/* All keys of the prefix: the end is the prefix with its last byte one higher, etcd's convention.
 */
static size_t put_list(uint8_t *out, const struct etcd_shape *s)
{
    char end[ETCD_KEY_BYTES_MAX];
    size_t n = strlen(s->prefix);
    memcpy(end, s->prefix, n);
    end[n - 1]++;
    size_t at = put_bytes(out, 1, s->prefix, n);
    at += put_bytes(out + at, 2, end, n);
    at += put_varint(out + at, 3 << 3 | WIRE_VARINT); /* RangeRequest.limit */
    return at + put_varint(out + at, s->list_keys);
}

size_t etcd_msg_request(uint8_t *out, enum etcd_op op, const struct etcd_shape *s, uint32_t key)
{
    uint8_t *body = out + GRPC_HEAD_BYTES;
    char name[ETCD_KEY_BYTES_MAX];
    size_t name_n = make_key(name, s, key);
    size_t n = 0;
    if (op == ETCD_LIST) {
        n = put_list(body, s);
    } else {
        n = put_bytes(body, 1, name, name_n);
        n += op == ETCD_PUT ? put_value(body + n, s, name, name_n) : 0;
    }
    out[0] = 0;
    for (int i = 0; i < 4; i++) {
        out[1 + i] = (uint8_t)(n >> (8 * (3 - i)));
    }
    return GRPC_HEAD_BYTES + n;
}

struct field {
    unsigned number;
    uint64_t value;      /* varint, or length */
    const uint8_t *data; /* WIRE_LEN */
};

static bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t b = *(*p)++;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80) {
            *ret = v;
            return true;
        }
    }
    return false;
}

/* etcd's answers hold varints and byte strings only. */
static bool get_field(const uint8_t **p, const uint8_t *end, struct field *ret)
{
    uint64_t tag = 0;
    struct field f = {0};
    if (!get_varint(p, end, &tag) || !get_varint(p, end, &f.value)) {
        return false;
    }
    f.number = (unsigned)(tag >> 3);
    if ((tag & 7) == WIRE_LEN) {
        if (f.value > (uint64_t)(end - *p)) {
            return false;
        }
        f.data = *p;
        *p += f.value;
    } else if ((tag & 7) != WIRE_VARINT) {
        return false;
    }
    *ret = f;
    return true;
}

/* mvccpb.KeyValue: key 1, create 2, mod 3, version 4, value 5, lease 6. */
static const char *check_kv(struct field kv, const struct etcd_shape *s, uint32_t key)
{
    const uint8_t *p = kv.data, *end = kv.data + kv.value;
    char name[ETCD_KEY_BYTES_MAX];
    size_t name_n = make_key(name, s, key);
    bool key_seen = false, value_seen = false;
    while (p < end) {
        struct field f;
        if (!get_field(&p, end, &f)) {
            return "a key-value pair that does not parse";
        }
        if (f.number == 1 && f.data != NULL) {
            key_seen = f.value == name_n && memcmp(f.data, name, name_n) == 0;
        } else if (f.number == 5 && f.data != NULL) {
            value_seen = f.value == s->value_bytes && memcmp(f.data, name, name_n) == 0;
        }
    }
    return !key_seen ? "another key than the one asked for" : value_seen ? NULL : "another value";
}

/* RangeResponse: header 1, kvs 2, more 3, count 4. PutResponse: header 1. */
static const char *check_body(const uint8_t *p, const uint8_t *end, enum etcd_op op,
                              const struct etcd_shape *s, uint32_t key)
{
    uint32_t kvs = 0;
    bool header = false;
    while (p < end) {
        struct field f;
        if (!get_field(&p, end, &f)) {
            return "a body that does not parse";
        }
        if (f.number == 1 && f.data != NULL) {
            header = f.data != NULL && f.value > 0;
        } else if (f.number == 2 && op != ETCD_PUT && f.data != NULL) {
            const char *wrong = check_kv(f, s, op == ETCD_LIST ? kvs : key);
            if (wrong != NULL) {
                return wrong;
            }
            kvs++;
        }
    }
    uint32_t want = op == ETCD_PUT ? 0 : op == ETCD_LIST ? s->list_keys : 1;
    return !header ? "no header" : kvs != want ? "another number of keys" : NULL;
}

const char *etcd_msg_check(const uint8_t *body, size_t n, enum etcd_op op,
                           const struct etcd_shape *s, uint32_t key)
{
    if (n < GRPC_HEAD_BYTES || body[0] != 0) {
        return "no gRPC message";
    }
    size_t length = (size_t)body[1] << 24 | (size_t)body[2] << 16 | (size_t)body[3] << 8 |
                    (size_t)body[4];
    if (length != n - GRPC_HEAD_BYTES) {
        return "a gRPC length that is not the body's";
    }
    return check_body(body + GRPC_HEAD_BYTES, body + n, op, s, key);
}
