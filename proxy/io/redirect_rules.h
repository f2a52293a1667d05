/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect_rules - the text of the nftables rules of one pod (design.md 6, tier d). Pure.
 *
 *   application ── connect(store:2379) ──> output hook
 *        -120  enforce_before   other ports of stores: reset     (before a mesh can take them away)
 *        -110  to_sidecar       ports of stores: to the sidecar on loopback
 *        -100                   a mesh's own redirect, for everything else
 *           0  enforce          ports of stores that were not redirected after all: reset
 *
 * The users that are exempt (the sidecar, a mesh's proxy) pass all of them. The text is one
 * transaction that can be run again and again: it adds the table, deletes it with all it holds, and
 * adds it anew; the kernel takes all of it or nothing.
 */
#ifndef IO_REDIRECT_RULES_H
#define IO_REDIRECT_RULES_H

#include "base/buf.h"

#define REDIRECT_TABLE "inet bulkhead"

struct redirect_ports {
    const uint16_t *p; /* borrowed */
    unsigned n;
};

struct redirect_rules {
    struct redirect_ports etcd, nats; /* together at least one */
    uint16_t to_port;                 /* of the intercept listener */
    const uint32_t *uids;             /* exempt, at least one; borrowed */
    unsigned uid_count;
    bool enforce;
    struct redirect_ports more; /* enforced besides those that are redirected */
    const char (*nets)[64]; /* enforced towards these only; borrowed; literals that were checked */
    unsigned net_count;     /* 0: towards every address but loopback */
};

/* Append the transaction. ERR_NOMEM. */
enum err redirect_rules_write(const struct redirect_rules *r, struct buf *out) ATTR_MUST_USE;
/* Append the table alone, as `nft --stateless --numeric list` shows it, but for blanks. ERR_NOMEM.
 */
enum err redirect_rules_write_table(const struct redirect_rules *r, struct buf *out) ATTR_MUST_USE;
/* Does the listing show that very table, and nothing else in it? Blanks do not count. A version of
 * nft that writes it otherwise makes another one of it. */
bool redirect_rules_are_same(struct span listed, struct span table);
/* Append the transaction that removes it; it does not mind if there is nothing. ERR_NOMEM. */
enum err redirect_rules_remove(struct buf *out) ATTR_MUST_USE;
/* Is uid one of the exempt users? */
bool redirect_rules_exempt(const struct redirect_rules *r, uint32_t uid);

#endif
