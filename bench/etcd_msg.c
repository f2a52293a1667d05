/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd_msg.h"

#include <stdio.h>
#include <string.h>

enum {
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
    bool is_rare = s->rare != NULL && key % s->rare_every == 0;
    const char *suffix = s->suffix == NULL ? "" : s->suffix;
    int n = is_rare
                ? snprintf(out, ETCD_KEY_BYTES_MAX, "%s%06u%s%06u", s->prefix, key, s->rare, key)
                : snprintf(out, ETCD_KEY_BYTES_MAX, "%s%06u%s", s->prefix, key, suffix);
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
static size_t put_interval(uint8_t *out, const char *prefix)
{
    char end[ETCD_KEY_BYTES_MAX];
    size_t n = strlen(prefix);
    memcpy(end, prefix, n);
    end[n - 1]++;
    size_t at = put_bytes(out, 1, prefix, n);
    return at + put_bytes(out + at, 2, end, n);
}

static size_t put_list(uint8_t *out, const struct etcd_shape *s)
{
    size_t at = put_interval(out, s->prefix);
    at += put_varint(out + at, 3 << 3 | WIRE_VARINT); /* RangeRequest.limit */
    return at + put_varint(out + at, s->list_keys);
}

static size_t put_head(uint8_t *out, size_t n)
{
    out[0] = 0;
    for (int i = 0; i < 4; i++) {
        out[1 + i] = (uint8_t)(n >> (8 * (3 - i)));
    }
    return ETCD_GRPC_HEAD_BYTES + n;
}

size_t etcd_msg_request(uint8_t *out, enum etcd_op op, const struct etcd_shape *s, uint32_t key)
{
    uint8_t *body = out + ETCD_GRPC_HEAD_BYTES;
    char name[ETCD_KEY_BYTES_MAX];
    size_t name_n = make_key(name, s, key);
    size_t n = 0;
    if (op == ETCD_LIST) {
        n = put_list(body, s);
    } else {
        n = put_bytes(body, 1, name, name_n);
        n += op == ETCD_PUT ? put_value(body + n, s, name, name_n) : 0;
    }
    return put_head(out, n);
}

size_t etcd_msg_put(uint8_t *out, const char *key, const char *value)
{
    uint8_t *body = out + ETCD_GRPC_HEAD_BYTES;
    size_t n = put_bytes(body, 1, key, strlen(key));
    n += put_bytes(body + n, 2, value, strlen(value));
    return put_head(out, n);
}

/* WatchRequest.create_request 1 = WatchCreateRequest { key 1, range_end 2 } */
size_t etcd_msg_watch(uint8_t *out, const char *key, bool is_prefix)
{
    uint8_t create[2 * ETCD_KEY_BYTES_MAX + 8];
    size_t n = is_prefix ? put_interval(create, key) : put_bytes(create, 1, key, strlen(key));
    return put_head(out, put_bytes(out + ETCD_GRPC_HEAD_BYTES, 1, create, n));
}

static size_t put_number(uint8_t *out, uint64_t number)
{
    uint8_t *body = out + ETCD_GRPC_HEAD_BYTES;
    size_t n = put_varint(body, 1 << 3 | WIRE_VARINT);
    return put_head(out, n + put_varint(body + n, number));
}

size_t etcd_msg_grant(uint8_t *out, uint32_t ttl_s)
{
    return put_number(out, ttl_s);
}

size_t etcd_msg_keepalive(uint8_t *out, int64_t lease)
{
    return put_number(out, (uint64_t)lease);
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
    if (n < ETCD_GRPC_HEAD_BYTES || body[0] != 0) {
        return "no gRPC message";
    }
    size_t length = (size_t)body[1] << 24 | (size_t)body[2] << 16 | (size_t)body[3] << 8 |
                    (size_t)body[4];
    if (length != n - ETCD_GRPC_HEAD_BYTES) {
        return "a gRPC length that is not the body's";
    }
    return check_body(body + ETCD_GRPC_HEAD_BYTES, body + n, op, s, key);
}

/* The bytes of field `number`; data == NULL: there are none. */
static struct field find_bytes(struct field in, unsigned number)
{
    const uint8_t *p = in.data, *end = in.data + in.value;
    struct field f = {0};
    while (p < end && get_field(&p, end, &f)) {
        if (f.number == number && f.data != NULL) {
            return f;
        }
    }
    return (struct field){0};
}

static bool is_text(struct field f, const char *text)
{
    return f.data != NULL && f.value == strlen(text) && memcmp(f.data, text, f.value) == 0;
}

/* WatchResponse: header 1, watch_id 2, created 3, canceled 4, events 11 { type 1, kv 2 }. */
const char *etcd_msg_check_watch(const uint8_t *body, size_t n, const char *key, const char *value,
                                 enum etcd_watch_answer *ret_kind)
{
    const uint8_t *p = body, *end = body + n;
    enum etcd_watch_answer kind = ETCD_WATCH_BAD;
    unsigned events = 0;
    struct field f, kv = {0};
    while (p < end) {
        if (!get_field(&p, end, &f)) {
            return "a watch answer that does not parse";
        }
        if (f.number == 3 && f.value == 1) {
            kind = ETCD_WATCH_CREATED;
        } else if (f.number == 4 && f.value == 1) {
            return "a watch was cancelled";
        } else if (f.number == 11 && f.data != NULL) {
            kind = ETCD_WATCH_EVENT;
            events++;
            kv = find_bytes(f, 2);
        }
    }
    *ret_kind = kind;
    if (kind == ETCD_WATCH_EVENT &&
        (events != 1 || kv.data == NULL || !is_text(find_bytes(kv, 1), key) ||
         !is_text(find_bytes(kv, 5), value))) {
        return "another event";
    }
    return kind == ETCD_WATCH_BAD ? "an answer to no watch" : NULL;
}

/* LeaseGrantResponse and LeaseKeepAliveResponse: header 1, ID 2, TTL 3. */
const char *etcd_msg_read_lease(const uint8_t *body, size_t n, int64_t *ret_lease)
{
    const uint8_t *p = body, *end = body + n;
    uint64_t lease = 0, ttl = 0;
    while (p < end) {
        struct field f;
        if (!get_field(&p, end, &f)) {
            return "a lease that does not parse";
        }
        lease = f.number == 2 ? f.value : lease;
        ttl = f.number == 3 ? f.value : ttl;
    }
    *ret_lease = (int64_t)lease;
    return lease == 0 || ttl == 0 ? "no lease" : NULL;
}
