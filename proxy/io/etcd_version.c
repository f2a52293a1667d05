/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_version.h"

#include <string.h>

#include "io/etcd_head.h"
#include "wire/pb_wire.h"

/* One member's numbers and a few alarms. StatusResponse.version: etcd rpc.proto. */
enum { REPLY_BYTES_MAX = 64 * 1024, STATUS_VERSION = 2 };

static const struct h2_up_handler up_events;

static struct etcd_version *of(struct h2_up_stream *up)
{
    return (struct etcd_version *)(void *)((char *)up - offsetof(struct etcd_version, up));
}

void etcd_version_deinit(struct etcd_version *v)
{
    h2_client_cancel(&v->up);
    buf_deinit(&v->request);
    grpc_reader_deinit(&v->reader);
}

void etcd_version_ask(struct etcd_version *v)
{
    static const uint8_t empty_message[GRPC_HEAD_BYTES];
    struct h2_client *client = etcd_link_client(v->link);
    if (client == NULL || client->conn.ending || v->up.client != NULL ||
        !etcd_auth_allows(v->auth, ETCD_LANE_UNARY))
        return;
    etcd_version_deinit(v);
    v->reader = (struct grpc_reader){.max_bytes = REPLY_BYTES_MAX};
    if (buf_append(&v->request, span_of(empty_message, sizeof empty_message)) != ERR_OK)
        return;
    v->up.handler = &up_events;
    v->up.body = (struct h2_body){.bytes = &v->request, .ended = true};
    nghttp2_nv nv[ETCD_HEAD_OWN_FIELDS] = {
        h2_nv(SPAN_LIT(":method"), SPAN_LIT("POST"), 0),
        h2_nv(SPAN_LIT(":scheme"), h2_client_scheme(client), 0),
        h2_nv(SPAN_LIT(":path"), SPAN_LIT("/etcdserverpb.Maintenance/Status"), 0),
        h2_nv(SPAN_LIT(":authority"), span_str(client->authority), 0),
        h2_nv(SPAN_LIT("te"), SPAN_LIT("trailers"), 0),
        h2_nv(SPAN_LIT("content-type"), SPAN_LIT("application/grpc"), 0),
        h2_nv(SPAN_LIT("user-agent"), SPAN_LIT("bulkhead/" BULKHEAD_VERSION), 0),
    };
    const size_t fixed = 7;
    size_t n = fixed + etcd_auth_field(v->auth, nv + fixed);
    if (h2_client_request(client, &v->up, nv, n) != ERR_OK)
        etcd_version_deinit(v); /* the next connection asks again */
}

/* What a JSON string may hold as it is: the bytes come from upstream. */
static bool is_version(struct span text)
{
    if (text.n == 0 || text.n >= ETCD_VERSION_BYTES || text.p[0] < '0' || text.p[0] > '9')
        return false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && c != '.' && c != '-' && c != '+')
            return false;
    }
    return true;
}

static void learn(struct etcd_version *v, struct span message)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    while (p != end && pb_item_next(&p, end, &it))
        if (it.number == STATUS_VERSION && it.wire == PB_WIRE_BYTES && is_version(it.bytes)) {
            memcpy(v->text, it.bytes.p, it.bytes.n);
            v->text[it.bytes.n] = '\0';
        }
}

void etcd_version_of_cluster(const struct etcd_version *v, char ret[ETCD_VERSION_BYTES])
{
    const char *minor = strchr(v->text, '.');
    size_t n = 0;
    if (minor != NULL)
        n = (size_t)(minor - v->text) + 1 + strspn(minor + 1, "0123456789");
    memcpy(ret, v->text, n);
    ret[n] = '\0';
    if (n != 0 && n + sizeof ".0" <= ETCD_VERSION_BYTES)
        memcpy(ret + n, ".0", sizeof ".0");
}

/* -- its reply -- */
static void on_data(struct h2_up_stream *up, struct span in)
{
    struct etcd_version *v = of(up);
    struct span message;
    enum err e = ERR_OK;
    h2_client_consume(up, in.n);
    while (grpc_reader_next(&v->reader, &in, &message, &e))
        learn(v, message);
    if (e != ERR_OK)
        h2_client_cancel(up);
}

static void on_head(struct h2_up_stream *up, struct span fields, bool ended)
{
    struct etcd_version *v = of(up);
    if (ended) /* a refusal: it may be the token's end */
        (void)etcd_auth_is_stale(v->auth, v->auth->number, etcd_head_find_status(fields),
                                 h2_field_find(fields, SPAN_LIT("grpc-message")));
}

static void on_trailers(struct h2_up_stream *up, struct span fields)
{
    (void)up, (void)fields;
}

static void on_sent(struct h2_up_stream *up)
{
    (void)up;
}

static void on_closed(struct h2_up_stream *up, uint32_t code)
{
    (void)up, (void)code;
}

static void on_lost(struct h2_up_stream *up, bool sent)
{
    (void)up, (void)sent;
}

static const struct h2_up_handler up_events = {.on_head = on_head,
                                               .on_data = on_data,
                                               .on_trailers = on_trailers,
                                               .on_sent = on_sent,
                                               .on_closed = on_closed,
                                               .on_lost = on_lost};
