/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease_tag - who owns a lease is written in its id (design.md 4.4); no state.
 *
 *   bit 63 = 0 | bit 62 = alias | bits 61..38 = tag of the namespace | bits 37..0 = payload
 *
 * An alias with payload 0 is never granted: "the lease that never exists" of a namespace. A foreign
 * or impossible id is mapped to it, so that etcd itself answers as for a missing lease and nobody
 * can tell the two apart (law L6). It is not 0 even for tag 0. Id 0 means "no lease" and stays 0,
 * both ways. Random payloads have bit 37 set, so no chosen id looks like a small one. tag must be
 * below LEASE_TAG_COUNT.
 */
#ifndef POLICY_LEASE_TAG_H
#define POLICY_LEASE_TAG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rng.h"
#include "base/span.h"

#define LEASE_TAG_BITS     24
#define LEASE_TAG_COUNT    (UINT32_C(1) << LEASE_TAG_BITS)
#define LEASE_PAYLOAD_BITS 38
#define LEASE_ALIAS_MAX    ((INT64_C(1) << 37) - 1) /* largest id an application may choose */

/* First tag to try for a namespace: a 24-bit hash (FNV-1a, folded) of its canonical path. */
uint32_t lease_tag_hash(struct span path);
/* LeaseGrant.ID, application -> store: 0 -> random; 1..LEASE_ALIAS_MAX -> alias; an id of our own
 * tag without alias and with a payload -> itself; anything else ERR_LEASE_FOREIGN_ID. */
enum err lease_tag_grant(uint32_t tag, int64_t id, struct rng *rng,
                         int64_t *ret_stored) ATTR_MUST_USE;
/* Any other use of a lease id, application -> store. Total: foreign ids become the lease that never
 * exists. *ret_foreign says whether that happened (may be NULL). */
int64_t lease_tag_use(uint32_t tag, int64_t id, bool *ret_foreign);
/* Store -> application. False if the id is not of this namespace (then *ret_id is not written). */
bool lease_tag_strip(uint32_t tag, int64_t stored, int64_t *ret_id);

#endif
