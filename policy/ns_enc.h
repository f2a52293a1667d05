/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ns_enc - enc(segment), design.md 2.3: A-Z a-z 0-9 _ - stay, every other byte becomes %XX.
 *
 * Injective; the output is legal in an etcd key, a NATS token and a JetStream name.
 */
#ifndef POLICY_NS_ENC_H
#define POLICY_NS_ENC_H

#include "base/err.h"
#include "base/span.h"
#include "policy/ns_path.h"

enum {
    NS_ENC_SEGMENT_BYTES_MAX = 3 * NS_SEGMENT_BYTES_MAX,
    NS_ENC_PATH_BYTES_MAX = NS_SEGMENTS_MAX * (NS_ENC_SEGMENT_BYTES_MAX + 1)
};

/* Writes enc(segment) to out, which has room for NS_ENC_SEGMENT_BYTES_MAX; returns its length. */
size_t ns_enc_segment(struct span segment, char *out);
/* Writes { "/" enc(segment) } to out, which has room for NS_ENC_PATH_BYTES_MAX; returns its length,
 * 0 for the root. */
size_t ns_enc_path(const struct ns_path *path, char *out);
/* The inverse of ns_enc_segment: ERR_FOREIGN unless encoded is exactly what ns_enc_segment writes
 * for a legal segment. out has room for NS_SEGMENT_BYTES_MAX. */
enum err ns_enc_decode(struct span encoded, char *out, size_t *ret_n) ATTR_MUST_USE;

#endif
