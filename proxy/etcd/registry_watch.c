/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/registry_watch.h"

#include "etcd/etcd_fields.h"
#include "etcd/registry.h"
#include "policy/key_map.h"
#include "wire/pb_write.h"

/* etcd rpc.proto WatchRequest, WatchCreateRequest, WatchResponse; kv.proto Event */
enum { REQUEST_CREATE = 1, CREATE_KEY = 1, CREATE_START = 3 };
enum { REPLY_EVENTS = 11, EVENT_TYPE = 1, EVENT_DELETE = 1, EVENT_KV = 2 };

enum err registry_watch_request(struct span root, const struct ns_path *path, int64_t from,
                                struct buf *out)
{
    struct pb_writer w = {.out = out};
    size_t before = buf_len(out);
    size_t create = pb_write_begin(&w, REQUEST_CREATE);
    size_t key = pb_write_begin(&w, CREATE_KEY);
    if (w.error == ERR_OK)
        w.error = key_map_registry_key(root, path, out);
    pb_write_end(&w, key);
    pb_write_number(&w, CREATE_START, (uint64_t)from);
    pb_write_end(&w, create);
    if (w.error != ERR_OK)
        buf_truncate(out, before);
    return w.error;
}

/* The revision in the mark; 0: there is none. */
static uint64_t mark_of(struct span event)
{
    struct span kv, value;
    uint64_t mark = 0;
    if (!pb_find_bytes(event, EVENT_KV, &kv) || !pb_find_bytes(kv, KV_VALUE, &value) ||
        !span_has_prefix(value, SPAN_LIT(REGISTRY_MARK)))
        return 0;
    struct span digits = span_skip(value, SPAN_LIT(REGISTRY_MARK).n);
    for (; digits.n != 0 && digits.p[0] >= '0' && digits.p[0] <= '9'; digits = span_skip(digits, 1))
        mark = mark * 10 + (digits.p[0] - (unsigned)'0');
    return mark;
}

enum err registry_watch_feed(struct span message, uint64_t *answered, bool *ret_again)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    bool again = false;
    while (p != end) {
        uint64_t type, mark;
        if (!pb_item_next(&p, end, &it))
            return ERR_UPSTREAM_PROTOCOL;
        if (it.number != REPLY_EVENTS || it.wire != PB_WIRE_BYTES)
            continue;
        if (!pb_find_number(it.bytes, EVENT_TYPE, &type))
            return ERR_UPSTREAM_PROTOCOL;
        mark = mark_of(it.bytes);
        again = again || type == EVENT_DELETE || (mark != 0 && mark != *answered);
        *answered = mark != 0 ? mark : *answered;
    }
    *ret_again = again;
    return ERR_OK;
}
