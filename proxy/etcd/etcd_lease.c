/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_lease - LeaseGrant, LeaseRevoke, LeaseKeepAlive, LeaseTimeToLive, LeaseLeases.
 *
 * Ownership is in the id (policy/lease_tag.h). A foreign id goes upstream as the lease that never
 * exists, and where the reply repeats the id, the application reads the one it wrote.
 */
#include <stdlib.h>

#include "base/check.h"
#include "etcd/etcd_pass.h"
#include "etcd/view_range.h"
#include "limit.h"
#include "wire/pb_write.h"

/* Of LeaseGrantRequest and LeaseStatus: an ID was there. */
enum { NOTE_HAS_ID };

static enum err grant_id(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    struct etcd_pass *pass = ctx;
    struct etcd_ns *ns = pass->call->ns;
    int64_t stored;
    f->note[NOTE_HAS_ID] = 1;
    pass->lease_asked = (int64_t)v;
    enum err e = lease_tag_grant(ns->tag, (int64_t)v, &ns->rng, &stored);
    if (e == ERR_OK)
        *ret_v = (uint64_t)stored;
    return e;
}

static enum err grant_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    uint64_t stored;
    (void)up;
    if (f->note[NOTE_HAS_ID] != 0)
        return ERR_OK;
    enum err e = grant_id(ctx, f, 0, &stored);
    if (e != ERR_OK)
        return e;
    struct pb_writer w = {.out = out};
    pb_write_number(&w, 2, stored);
    return w.error;
}

static const struct pb_field lease_grant_request_fields[] = {
    [2] = {.action = PB_NUMBER, .number = grant_id},
};
const struct pb_message etcd_lease_grant_request = {
    lease_grant_request_fields, ARRAY_LEN(lease_grant_request_fields), NULL, grant_end, false};

/* Not droppable: a lease granted to us that is not ours is no reply. */
static const struct pb_field lease_grant_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_NUMBER, .number = etcd_strip_lease},
};
const struct pb_message etcd_lease_grant_response = {
    lease_grant_response_fields, ARRAY_LEN(lease_grant_response_fields), NULL, NULL, false};

static const struct pb_field use_id_fields[] = {
    [1] = {.action = PB_NUMBER, .number = etcd_use_lease},
};
const struct pb_message etcd_lease_revoke_request = {use_id_fields, ARRAY_LEN(use_id_fields), NULL,
                                                     NULL, false};
const struct pb_message etcd_lease_keep_alive_request = {use_id_fields, ARRAY_LEN(use_id_fields),
                                                         NULL, NULL, false};
const struct pb_message etcd_lease_time_to_live_request = {use_id_fields, ARRAY_LEN(use_id_fields),
                                                           NULL, NULL, false};

static enum err echo_id(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    const struct etcd_pass *pass = ctx;
    (void)f;
    (void)v;
    *ret_v = (uint64_t)pass->lease_asked;
    return ERR_OK;
}

static const struct pb_field lease_keep_alive_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_NUMBER, .number = echo_id},
};
const struct pb_message etcd_lease_keep_alive_response = {
    lease_keep_alive_response_fields, ARRAY_LEN(lease_keep_alive_response_fields), NULL, NULL,
    false};

/* The lease's own marker is nobody's key. */
static enum err attached_key(void *ctx, struct pb_frame *f, struct span value,
                             struct span *ret_rest)
{
    const struct etcd_pass *pass = ctx;
    const struct key_map *markers = &pass->call->ns->markers;
    bool is_marker = markers->n != 0 && key_map_strip(markers, value, ret_rest);
    return is_marker ? ERR_FOREIGN : etcd_strip_key(ctx, f, value, ret_rest);
}

static const struct pb_field lease_time_to_live_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_NUMBER, .number = echo_id},
    [5] = {.action = PB_STRIP, .droppable = true, .strip = attached_key},
};
const struct pb_message etcd_lease_time_to_live_response = {
    lease_time_to_live_response_fields, ARRAY_LEN(lease_time_to_live_response_fields), NULL, NULL,
    false};

/* Every other namespace's leases are in the list: left out, and nothing to count. */
static enum err list_id(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    const struct etcd_pass *pass = ctx;
    int64_t id;
    if (!lease_tag_strip(pass->call->ns->tag, (int64_t)v, &id) || id == 0)
        return ERR_FOREIGN;
    f->note[NOTE_HAS_ID] = 1;
    *ret_v = (uint64_t)id;
    return ERR_OK;
}

static enum err lease_status_end(void *ctx, struct pb_frame *f, struct pb_frame *up,
                                 struct buf *out)
{
    (void)ctx;
    (void)up;
    (void)out;
    return f->note[NOTE_HAS_ID] != 0 ? ERR_OK : ERR_FOREIGN;
}

static const struct pb_field lease_status_fields[] = {
    [1] = {.action = PB_NUMBER, .number = list_id},
};
static const struct pb_message lease_status = {lease_status_fields, ARRAY_LEN(lease_status_fields),
                                               NULL, lease_status_end, false};

static const struct pb_field lease_leases_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_MESSAGE, .droppable = true, .sub = &lease_status},
};
const struct pb_message etcd_lease_leases_response = {
    lease_leases_response_fields, ARRAY_LEN(lease_leases_response_fields), NULL, NULL, false};

/* Made of markers: their ids are the application's already. */
static const struct pb_field marked_leases_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
};
const struct pb_message etcd_marked_leases_response = {
    marked_leases_response_fields, ARRAY_LEN(marked_leases_response_fields), NULL, NULL, false};

/* A ring; grows to LIMIT_KEEPALIVES_QUEUED. */
struct etcd_lease_queue {
    unsigned first, n, cap;
    int64_t id[];
};

enum { QUEUE_FIRST_IDS = 8 };

static enum err queue_grow(struct etcd_lease_queue **q)
{
    struct etcd_lease_queue *old = *q;
    unsigned cap = old == NULL ? QUEUE_FIRST_IDS : 2 * old->cap;
    struct etcd_lease_queue *new = malloc(sizeof *new + cap * sizeof new->id[0]);
    if (new == NULL)
        return ERR_NOMEM;
    *new = (struct etcd_lease_queue){.cap = cap};
    int64_t id;
    while (old != NULL && etcd_lease_queue_pop(old, &id))
        new->id[new->n++] = id;
    free(old);
    *q = new;
    return ERR_OK;
}

enum err etcd_lease_queue_push(struct etcd_lease_queue **q, int64_t id)
{
    if (*q != NULL && (*q)->n == LIMIT_KEEPALIVES_QUEUED)
        return ERR_LIMIT;
    if (*q == NULL || (*q)->n == (*q)->cap) {
        enum err e = queue_grow(q);
        if (e != ERR_OK)
            return e;
    }
    CHECK((*q)->cap != 0);
    (*q)->id[((*q)->first + (*q)->n++) % (*q)->cap] = id;
    return ERR_OK;
}

bool etcd_lease_queue_peek(const struct etcd_lease_queue *q, unsigned nth, int64_t *ret_id)
{
    if (q == NULL || nth >= q->n)
        return false;
    *ret_id = q->id[(q->first + nth) % q->cap];
    return true;
}

bool etcd_lease_queue_pop(struct etcd_lease_queue *q, int64_t *ret_id)
{
    if (q == NULL || q->n == 0)
        return false;
    *ret_id = q->id[q->first];
    q->first = (q->first + 1) % q->cap;
    q->n--;
    return true;
}

bool etcd_call_is_behind(const struct etcd_call *c)
{
    return (c->leases != NULL && c->leases->n >= LIMIT_KEEPALIVES_IN_FLIGHT) ||
           etcd_call_has_later(c);
}

size_t etcd_call_queue_bytes(const struct etcd_call *c)
{
    size_t leases = c->leases == NULL
                        ? 0
                        : sizeof *c->leases + c->leases->cap * sizeof c->leases->id[0];
    return leases + etcd_watches_bytes(c->watches) + view_range_bytes(c->range) +
           etcd_view_bytes(c) + c->observed.request.cap + c->observed.key.cap;
}

void etcd_lease_queue_free(struct etcd_lease_queue **q)
{
    free(*q);
    *q = NULL;
}
