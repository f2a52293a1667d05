/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_watch - Watch: the created range out, the events' keys back.
 *
 * Watch ids, revisions, created, canceled, fragments pass as they are (design.md 4.6).
 */
#include "etcd/etcd_pass.h"
#include "wire/pb_write.h"

/* pb_frame.note[] of WatchCreateRequest, beside NOTE_HAS_KEY. */
enum { NOTE_HAS_ID = 1 };

/* An empty key means "\0" to a watch (v3rpc/watch.go recvLoop): the first key of the slice. */
static enum err watch_create_end(void *ctx, struct pb_frame *f, struct pb_frame *up,
                                 struct buf *out)
{
    const struct etcd_pass *pass = ctx;
    struct pb_writer w = {.out = out};
    (void)up;
    if (f->note[NOTE_HAS_ID] == 0) {
        int64_t id = etcd_watches_choose_id(pass->call->watches);
        if (id != 0)
            pb_write_number(&w, 7, (uint64_t)id);
    }
    if (f->note[NOTE_HAS_KEY] != 0)
        return w.error;
    const struct key_map *keys = &pass->call->ns->keys;
    uint8_t key[KEY_PREFIX_BYTES_MAX + 1];
    memcpy(key, keys->prefix, keys->n);
    key[keys->n] = 0;
    pb_write_bytes(&w, 1, span_of(key, keys->n + 1));
    return w.error;
}

static enum err note_watch_id(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    f->note[NOTE_HAS_ID] = v != 0;
    *ret_v = v;
    return ERR_OK;
}

static const struct pb_field watch_create_fields[] = {
    [1] = {.action = PB_MAP, .map = etcd_map_key},
    [2] = {.action = PB_MAP, .droppable = true, .map = etcd_map_range_end},
    [7] = {.action = PB_NUMBER, .number = note_watch_id},
};
static const struct pb_message watch_create = {watch_create_fields, ARRAY_LEN(watch_create_fields),
                                               NULL, watch_create_end, false};

static const struct pb_field watch_request_fields[] = {
    [1] = {.action = PB_MESSAGE, .sub = &watch_create},
    [2] = {.action = PB_KEEP}, /* cancel_request */
    [3] = {.action = PB_KEEP}, /* progress_request */
};
/* Closed: etcd ignores kinds of requests it does not know, and so do we. */
const struct pb_message etcd_watch_request = {watch_request_fields, ARRAY_LEN(watch_request_fields),
                                              NULL, NULL, true};

static enum err event_begin(void *ctx, struct pb_frame *f, struct pb_frame *up)
{
    struct etcd_pass *pass = ctx;
    (void)f;
    (void)up;
    pass->events++;
    return ERR_OK;
}

/* An event without a pair proves nothing about its slice. */
static enum err event_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    struct etcd_pass *pass = ctx;
    (void)up;
    (void)out;
    if (f->note[NOTE_HAS_KEY] == 0)
        return ERR_FOREIGN;
    if (pass->events <= pass->watch.skip) /* shown before the upstream was lost */
        return ERR_FOREIGN;
    pass->events_kept++;
    return ERR_OK;
}

static const struct pb_field event_fields[] = {
    [2] = {.action = PB_MESSAGE, .sub = &etcd_key_value}, /* kv */
    [3] = {.action = PB_MESSAGE, .sub = &etcd_key_value}, /* prev_kv */
};
static const struct pb_message event = {event_fields, ARRAY_LEN(event_fields), event_begin,
                                        event_end, false};

static enum err note_must_send(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    struct etcd_pass *pass = ctx;
    (void)f;
    if (v != 0)
        pass->must_send = true;
    *ret_v = v;
    return ERR_OK;
}

/* Clients glue fragments until one says that it is the last: on a stream that has any, every
 * response is sent. */
static enum err note_fragment(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    struct etcd_pass *pass = ctx;
    if (v != 0)
        pass->call->has_fragments = true;
    return note_must_send(ctx, f, v, ret_v);
}

/* A watch that etcd does not create again ends: the application knows it by its id. */
static enum err show_id(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    const struct etcd_pass *pass = ctx;
    (void)f;
    *ret_v = pass->watch.is_recreate_error ? (uint64_t)pass->watch.shown_id : v;
    return ERR_OK;
}

static enum err show_created(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    const struct etcd_pass *pass = ctx;
    return note_must_send(ctx, f, pass->watch.is_recreate_error ? 0 : v, ret_v);
}

static const struct pb_field watch_response_fields[] = {
    [1] = ETCD_HEADER_FIELD,
    [2] = {.action = PB_NUMBER, .number = show_id},
    [3] = {.action = PB_NUMBER, .number = show_created},
    [4] = {.action = PB_NUMBER, .number = note_must_send}, /* canceled */
    [5] = {.action = PB_NUMBER, .number = note_must_send}, /* compact_revision */
    [7] = {.action = PB_NUMBER, .number = note_fragment},
    [11] = {.action = PB_MESSAGE, .droppable = true, .sub = &event},
};
const struct pb_message etcd_watch_response = {watch_response_fields,
                                               ARRAY_LEN(watch_response_fields), NULL, NULL, false};
