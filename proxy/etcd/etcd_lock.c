/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_lock - v3lock and v3election: names, keys and leases; own only in every view.
 *
 * The server makes its keys of a name, "/" and the lease's id in hexadecimal, and works on them as
 * a client of itself, so a mapped name keeps everything in the slice. Unlock.key and LeaderKey.key
 * are keys as they are stored: the server deletes or overwrites what they say.
 *
 * An absent name is an empty one, which is legal: the prefix alone. An empty key stays empty, and
 * etcd refuses it in its own words. Without a lease the server would grant one without our tag:
 * see etcd_prelude.c.
 *
 * Field numbers: etcd v3lock.proto, v3election.proto (the same in 3.4 .. 3.7).
 */
#include "etcd/etcd_pass.h"
#include "wire/pb_write.h"

/* pb_frame.note[] of messages with a name, and of requests with a LeaderKey. */
enum { NOTE_HAS_NAME, NOTE_HAS_LEADER, NOTE_LEADER_HAS_NAME };

static enum err map_name(void *ctx, struct pb_frame *f, struct span value, struct buf *out)
{
    const struct etcd_pass *pass = ctx;
    f->note[NOTE_HAS_NAME] = 1;
    return key_map_key(&pass->call->ns->keys, value, out);
}

static enum err need_name(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    const struct etcd_pass *pass = ctx;
    const struct key_map *keys = &pass->call->ns->keys;
    (void)up;
    if (f->note[NOTE_HAS_NAME] != 0)
        return ERR_OK;
    struct pb_writer w = {.out = out};
    pb_write_bytes(&w, 1, span_of(keys->prefix, keys->n));
    return w.error;
}

static enum err map_stored_key(void *ctx, struct pb_frame *f, struct span value, struct buf *out)
{
    const struct etcd_pass *pass = ctx;
    (void)f;
    return value.n == 0 ? ERR_OK : key_map_key(&pass->call->ns->keys, value, out);
}

/* LockRequest and CampaignRequest: the last lease counts. */
static enum err leased_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    struct etcd_pass *pass = ctx;
    pass->wants_lease = pass->lease_asked == 0;
    return need_name(ctx, f, up, out);
}

static const struct pb_field leased_fields[] = {
    [1] = {.action = PB_MAP, .map = map_name},
    [2] = {.action = PB_NUMBER, .number = etcd_use_lease},
};
const struct pb_message etcd_leased_request = {leased_fields, ARRAY_LEN(leased_fields), NULL,
                                               leased_end, false};

static const struct pb_field leader_request_fields[] = {
    [1] = {.action = PB_MAP, .map = map_name},
};
const struct pb_message etcd_leader_request = {
    leader_request_fields, ARRAY_LEN(leader_request_fields), NULL, need_name, false};

static const struct pb_field unlock_request_fields[] = {
    [1] = {.action = PB_MAP, .map = map_stored_key},
};
const struct pb_message etcd_unlock_request = {unlock_request_fields,
                                               ARRAY_LEN(unlock_request_fields), NULL, NULL, false};

/* LeaderKey, in a request. Several are one to a decoder: each gets what it lacks. */
static enum err leader_begin(void *ctx, struct pb_frame *f, struct pb_frame *up)
{
    (void)ctx;
    (void)f;
    up->note[NOTE_HAS_LEADER] = 1;
    return ERR_OK;
}

static enum err leader_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    /* Only the first may be given one, or it would replace the name of one before. */
    bool needs = f->note[NOTE_HAS_NAME] == 0 && up->note[NOTE_LEADER_HAS_NAME] == 0;
    up->note[NOTE_LEADER_HAS_NAME] = 1;
    return needs ? need_name(ctx, f, up, out) : ERR_OK;
}

/* ProclaimRequest and ResignRequest: without a LeaderKey etcd refuses them before it needs a lease.
 */
static enum err held_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    struct etcd_pass *pass = ctx;
    (void)up;
    (void)out;
    pass->wants_lease = f->note[NOTE_HAS_LEADER] != 0 && pass->lease_asked == 0;
    return ERR_OK;
}

static const struct pb_field leader_key_request_fields[] = {
    [1] = {.action = PB_MAP, .map = map_name},
    [2] = {.action = PB_MAP, .map = map_stored_key},
    [4] = {.action = PB_NUMBER, .number = etcd_use_lease},
};
static const struct pb_message leader_key_request = {leader_key_request_fields,
                                                     ARRAY_LEN(leader_key_request_fields),
                                                     leader_begin, leader_end, false};
static const struct pb_field held_fields[] = {
    [1] = {.action = PB_MESSAGE, .sub = &leader_key_request},
};
const struct pb_message etcd_held_request = {held_fields, ARRAY_LEN(held_fields), NULL, held_end,
                                             false};

/* -- replies: a key, name or lease that is not ours is no reply -- */
static const struct pb_field lock_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_STRIP, .strip = etcd_strip_key},
};
const struct pb_message etcd_lock_response = {lock_response_fields, ARRAY_LEN(lock_response_fields),
                                              NULL, NULL, false};

static const struct pb_field leader_key_response_fields[] = {
    [1] = {.action = PB_STRIP, .strip = etcd_strip_key},
    [2] = {.action = PB_STRIP, .strip = etcd_strip_key},
    [4] = {.action = PB_NUMBER, .number = etcd_strip_lease},
};
static const struct pb_message leader_key_response = {
    leader_key_response_fields, ARRAY_LEN(leader_key_response_fields), NULL, NULL, false};
static const struct pb_field campaign_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_MESSAGE, .sub = &leader_key_response},
};
const struct pb_message etcd_campaign_response = {
    campaign_response_fields, ARRAY_LEN(campaign_response_fields), NULL, NULL, false};

static const struct pb_field leader_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_MESSAGE, .sub = &etcd_key_value},
};
const struct pb_message etcd_leader_response = {
    leader_response_fields, ARRAY_LEN(leader_response_fields), NULL, NULL, false};
