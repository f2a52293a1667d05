/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_entry_watch.h"

#include "etcd/registry_watch.h"
#include "io/etcd_head.h"

enum { MESSAGE_BYTES_MAX = 64 * 1024 }; /* one key and its entry */

static struct entry_watch *of(struct h2_up_stream *up)
{
    return (struct entry_watch *)(void *)((char *)up - offsetof(struct entry_watch, up));
}

void entry_watch_end(struct entry_watch *w)
{
    h2_client_cancel(&w->up);
    buf_deinit(&w->request);
    grpc_reader_deinit(&w->reader);
    w->reader = (struct grpc_reader){.max_bytes = MESSAGE_BYTES_MAX};
}

static void on_data(struct h2_up_stream *up, struct span in)
{
    struct entry_watch *w = of(up);
    struct span message;
    enum err e = ERR_OK;
    bool again = false;
    h2_client_consume(up, in.n);
    while (!again && grpc_reader_next(&w->reader, &in, &message, &e) && e == ERR_OK)
        e = registry_watch_feed(message, &w->answered, &again);
    if (e != ERR_OK || again)
        entry_watch_end(w);
    if (again)
        w->on_again(w);
}

static void on_head(struct h2_up_stream *up, struct span fields, bool ended)
{
    (void)fields;
    if (ended)
        entry_watch_end(of(up));
}

static void on_trailers(struct h2_up_stream *up, struct span fields)
{
    (void)fields;
    entry_watch_end(of(up));
}

static void on_sent(struct h2_up_stream *up)
{
    (void)up;
}

static void on_closed(struct h2_up_stream *up, uint32_t code)
{
    (void)up;
    (void)code;
}

static void on_lost(struct h2_up_stream *up, bool sent)
{
    (void)up;
    (void)sent;
}

static const struct h2_up_handler up_events = {.on_head = on_head,
                                               .on_data = on_data,
                                               .on_trailers = on_trailers,
                                               .on_sent = on_sent,
                                               .on_closed = on_closed,
                                               .on_lost = on_lost};

enum err entry_watch_begin(struct entry_watch *w, struct h2_client *client, struct etcd_auth *auth,
                           const struct registry *r)
{
    static const uint8_t head[GRPC_HEAD_BYTES];
    entry_watch_end(w);
    enum err e = buf_append(&w->request, span_of(head, sizeof head));
    if (e == ERR_OK)
        e = registry_watch_request(r->root, r->path, r->written + 1, &w->request);
    if (e != ERR_OK)
        return e;
    grpc_frame_head(w->request.data + w->request.head,
                    (uint32_t)(buf_len(&w->request) - sizeof head));
    w->up.handler = &up_events;
    w->up.body = (struct h2_body){.bytes = &w->request};
    nghttp2_nv nv[ETCD_HEAD_OWN_FIELDS] = {
        h2_nv(SPAN_LIT(":method"), SPAN_LIT("POST"), 0),
        h2_nv(SPAN_LIT(":scheme"), h2_client_scheme(client), 0),
        h2_nv(SPAN_LIT(":path"), SPAN_LIT("/etcdserverpb.Watch/Watch"), 0),
        h2_nv(SPAN_LIT(":authority"), span_str(client->authority), 0),
        h2_nv(SPAN_LIT("te"), SPAN_LIT("trailers"), 0),
        h2_nv(SPAN_LIT("content-type"), SPAN_LIT("application/grpc"), 0),
        h2_nv(SPAN_LIT("user-agent"), SPAN_LIT("bulkhead/" BULKHEAD_VERSION), 0),
    };
    const size_t fixed = 7;
    return h2_client_request(client, &w->up, nv, fixed + etcd_auth_field(auth, nv + fixed));
}
