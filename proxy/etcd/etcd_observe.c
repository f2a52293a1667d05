/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_observe - Election.Observe over a loss of the upstream; pure.
 *
 * Observe shows the leader there is, and then each later one that it gets to see; it promises the
 * latest, not all of them (etcd client/v3/concurrency/election.go Observe). So a new stream that
 * asks the same is the same stream, if the leader it begins with is not shown twice.
 */
#include "etcd/etcd_fields.h"
#include "etcd/etcd_pass.h"

enum { LEADER_KV = 2 };

enum err etcd_observe_request(struct etcd_call *c, struct span mapped)
{
    buf_deinit(&c->observed.request);
    return buf_append(&c->observed.request, mapped);
}

enum err etcd_observe_reply(struct etcd_call *c, struct span message, bool *ret_hidden)
{
    struct etcd_observed *o = &c->observed;
    struct span kv = SPAN_NONE, key = SPAN_NONE;
    uint64_t mod;
    bool is_first = o->is_resumed;
    *ret_hidden = false;
    o->is_resumed = false;
    if (!pb_find_bytes(message, LEADER_KV, &kv) || !pb_find_bytes(kv, KV_KEY, &key) ||
        !pb_find_number(kv, KV_MOD, &mod))
        return ERR_OK; /* it shows nobody */
    if (is_first && mod == o->mod && span_eq(key, buf_span(&o->key))) {
        *ret_hidden = true;
        return ERR_OK;
    }
    o->mod = mod;
    buf_consume(&o->key, buf_len(&o->key));
    return buf_append(&o->key, key);
}

enum err etcd_observe_resume(struct etcd_call *c)
{
    struct etcd_pass pass = {.call = c};
    c->observed.is_resumed = true;
    return etcd_frame_spliced(NULL, &pass, buf_span(&c->observed.request), &c->to_up);
}

void etcd_observe_deinit(struct etcd_observed *o)
{
    buf_deinit(&o->request);
    buf_deinit(&o->key);
}
