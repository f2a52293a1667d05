/* SPDX-License-Identifier: Apache-2.0 */
/* nats_subs - a chained hash table by sid, and two lists of those that ended with a maximum. */
#include "nats/nats_subs.h"

#include <stdlib.h>

#include "limit.h"

enum { BUCKETS_MIN = 8 };

/* FNV-1a. A client that makes its sids collide slows down itself. */
static uint32_t hash(struct span sid)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < sid.n; i++)
        h = (h ^ sid.p[i]) * 16777619u;
    return h;
}

static struct nats_sub **bucket_of(const struct nats_subs *t, struct span sid)
{
    return &t->bucket[hash(sid) & (t->buckets - 1)];
}

static struct span sid_of(const struct nats_sub *sub)
{
    return span_of(sub->sid, sub->sid_bytes);
}

struct nats_sub *nats_subs_find(const struct nats_subs *t, struct span sid)
{
    if (t->n == 0)
        return NULL;
    struct nats_sub *sub = *bucket_of(t, sid);
    while (sub != NULL && !span_eq(sid_of(sub), sid))
        sub = sub->next;
    return sub;
}

static enum err grow(struct nats_subs *t)
{
    struct nats_subs wide = {.buckets = t->buckets == 0 ? BUCKETS_MIN : t->buckets * 2};
    wide.bucket = calloc(wide.buckets, sizeof(struct nats_sub *));
    if (wide.bucket == NULL)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < t->buckets; i++)
        for (struct nats_sub *sub = t->bucket[i], *next; sub != NULL; sub = next) {
            next = sub->next;
            struct nats_sub **b = bucket_of(&wide, sid_of(sub));
            sub->next = *b;
            *b = sub;
        }
    free(t->bucket);
    t->bucket = wide.bucket;
    t->buckets = wide.buckets;
    return ERR_OK;
}

static enum err insert(struct nats_subs *t, struct span sid, struct nats_sub **ret_sub)
{
    if (t->n == LIMIT_NATS_MULTI_SUBS || sid.n > UINT16_MAX)
        return ERR_NATS_SUBS;
    if (t->n == t->buckets && grow(t) != ERR_OK)
        return ERR_NOMEM;
    struct nats_sub *sub = malloc(sizeof *sub + sid.n);
    if (sub == NULL)
        return ERR_NOMEM;
    struct nats_sub **b = bucket_of(t, sid);
    *sub = (struct nats_sub){.next = *b, .sid_bytes = (uint16_t)sid.n};
    memcpy(sub->sid, sid.p, sid.n);
    *b = sub;
    t->n++;
    *ret_sub = sub;
    return ERR_OK;
}

enum err nats_subs_add(struct nats_subs *t, struct span sid, unsigned slices)
{
    struct nats_sub *sub = nats_subs_find(t, sid);
    if (sub == NULL) {
        enum err e = insert(t, sid, &sub);
        if (e != ERR_OK)
            return e;
    }
    sub->slices = (uint8_t)slices;
    sub->late = (uint8_t)(sub->late & ~slices);
    sub->delivered = 0;
    sub->max = 0;
    return ERR_OK;
}

static void drop(struct nats_subs *t, struct nats_sub *sub)
{
    struct nats_sub **link = bucket_of(t, sid_of(sub));
    while (*link != sub)
        link = &(*link)->next;
    *link = sub->next;
    free(sub);
    if (--t->n == 0) {
        free(t->bucket);
        *t = (struct nats_subs){0};
    }
}

void nats_subs_remove(struct nats_subs *t, struct nats_sub *sub)
{
    sub->slices = 0;
    if (!sub->on_late_list)
        drop(t, sub);
}

static void put_on_late_list(struct nats_subs *t, struct nats_sub *sub)
{
    sub->on_late_list = true;
    sub->late_next = t->unfenced;
    t->unfenced = sub;
}

void nats_subs_finish(struct nats_subs *t, struct nats_sub *sub)
{
    sub->late |= sub->slices;
    sub->slices = 0;
    if (sub->on_late_list)
        sub->again = true; /* the barrier on its way does not cover these UNSUBs */
    else
        put_on_late_list(t, sub);
}

void nats_subs_fence(struct nats_subs *t)
{
    t->fenced = t->unfenced;
    t->unfenced = NULL;
}

void nats_subs_passed_fence(struct nats_subs *t)
{
    struct nats_sub *next;
    struct nats_sub *sub = t->fenced;
    t->fenced = NULL;
    for (; sub != NULL; sub = next) {
        next = sub->late_next;
        sub->on_late_list = false;
        if (sub->again) {
            sub->again = false;
            put_on_late_list(t, sub);
            continue;
        }
        sub->late = 0;
        if (sub->slices == 0)
            drop(t, sub); /* may reset the whole table, when this was the last one */
    }
}

void nats_subs_deinit(struct nats_subs *t)
{
    for (uint32_t i = 0; i < t->buckets; i++)
        for (struct nats_sub *sub = t->bucket[i], *next; sub != NULL; sub = next) {
            next = sub->next;
            free(sub);
        }
    free(t->bucket);
    *t = (struct nats_subs){0};
}
