/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_entry_watch - one upstream watch on the namespace's registry entry, on the unary lane.
 *
 * Happy path: begin, and nothing more, for as long as the connection lives.
 * Ways it ends: on_again, once, when the entry is removed or about to be; silently when etcd ends
 * it or the connection is lost, which makes the namespace register again anyway; entry_watch_end().
 */
#ifndef IO_ETCD_ENTRY_WATCH_H
#define IO_ETCD_ENTRY_WATCH_H

#include "etcd/registry.h"
#include "io/etcd_auth.h"
#include "io/h2_client.h"
#include "wire/grpc_frame.h"

struct entry_watch {
    void *owner;                             /* shares */
    void (*on_again)(struct entry_watch *w); /* register again */
    uint64_t answered;                       /* registry_watch.h */
    struct h2_up_stream up;
    struct buf request;
    struct grpc_reader reader;
};

/* r is settled. Set owner and on_again first. ERR_NOMEM, ERR_LIMIT: it is not watched. */
enum err entry_watch_begin(struct entry_watch *w, struct h2_client *client, struct etcd_auth *auth,
                           const struct registry *r) ATTR_MUST_USE;
/* Nothing is called any more. Idempotent; safe on zeroed memory. */
void entry_watch_end(struct entry_watch *w);

#endif
