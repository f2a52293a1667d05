/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_msg - the few gRPC frames the load client sends and checks, made by hand (etcd rpc.proto).
 *
 * Every benchmark key is PREFIX + 6 digits + SUFFIX (some are PREFIX + 6 digits + RARE + the same
 * digits), every value begins with its key and is filled with 'v'; an answer can therefore be
 * checked without knowing who wrote it.
 */
#ifndef ETCD_MSG_H
#define ETCD_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ETCD_GRPC_HEAD_BYTES = 5,
    ETCD_KEY_BYTES_MAX = 320,
    ETCD_VALUE_BYTES_MAX = 4096,
    /* Frame head, field heads, key, range end, value. */
    ETCD_FRAME_BYTES_MAX = ETCD_VALUE_BYTES_MAX + 2 * ETCD_KEY_BYTES_MAX + 64,
};

enum etcd_op { ETCD_RANGE, ETCD_PUT, ETCD_LIST };

struct etcd_shape {
    const char *prefix, *suffix; /* of every key; suffix may be NULL */
    const char *rare;            /* of every rare_every-th key; NULL: of none */
    uint32_t rare_every;
    uint32_t value_bytes;
    uint32_t list_keys; /* ETCD_LIST: limit, and how many must come back */
};

/* A whole gRPC message (5 byte head and all) into out[ETCD_FRAME_BYTES_MAX]; its length. */
size_t etcd_msg_request(uint8_t *out, enum etcd_op op, const struct etcd_shape *s, uint32_t key);
/* NULL when the body is the right answer to that request, else what is wrong with it. */
const char *etcd_msg_check(const uint8_t *body, size_t n, enum etcd_op op,
                           const struct etcd_shape *s, uint32_t key);

/* Whole gRPC messages for load_streams: a Put of key and value, a watch of one key or of all that
 * begin so (watch_id the server's), a grant, a keep-alive. */
size_t etcd_msg_put(uint8_t *out, const char *key, const char *value);
size_t etcd_msg_watch(uint8_t *out, const char *key, bool is_prefix);
size_t etcd_msg_grant(uint8_t *out, uint32_t ttl_s);
size_t etcd_msg_keepalive(uint8_t *out, int64_t lease);

/* The answers, without their 5 byte head; NULL or what is wrong. */
enum etcd_watch_answer { ETCD_WATCH_BAD, ETCD_WATCH_CREATED, ETCD_WATCH_EVENT };
const char *etcd_msg_check_watch(const uint8_t *body, size_t n, const char *key, const char *value,
                                 enum etcd_watch_answer *ret_kind);
/* Of a grant or a keep-alive. */
const char *etcd_msg_read_lease(const uint8_t *body, size_t n, int64_t *ret_lease);

#endif
