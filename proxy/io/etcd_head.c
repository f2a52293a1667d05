/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_head.h"

#include <stdio.h>

#include "base/check.h"
#include "wire/grpc_status.h"

/* -- the application's request -- */
static bool is_credential(struct span name)
{
    return span_eq(name, SPAN_LIT("token")) || span_eq(name, SPAN_LIT("authorization"));
}

/* Fields that do not go upstream as they are; pseudo fields are dropped by their colon. */
static bool is_dropped(struct span name)
{
    static const struct span dropped[] = {
        {(const uint8_t *)"te", 2},
        {(const uint8_t *)"host", 4},
        {(const uint8_t *)"content-type", 12},
        {(const uint8_t *)"grpc-timeout", 12},
        {(const uint8_t *)"grpc-encoding", 13},
        {(const uint8_t *)"content-length", 14},
        {(const uint8_t *)"accept-encoding", 15},
        {(const uint8_t *)"grpc-accept-encoding", 20},
    };
    if (name.n == 0 || name.p[0] == ':')
        return true;
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++)
        if (span_eq(name, dropped[i]))
            return true;
    return is_credential(name) || span_has_prefix(name, SPAN_LIT("grpcgateway-"));
}

/* False: not a timeout. */
static bool read_timeout(struct etcd_stream *s, struct span value)
{
    uint64_t ms;
    if (value.n >= sizeof s->timeout || !grpc_timeout_parse(value, &ms))
        return false;
    memcpy(s->timeout, value.p, value.n);
    s->timeout[value.n] = '\0';
    s->deadline_ms = loop_now_ms(s->plane->loop) + ms;
    return true;
}

/* "application/grpc", or that and "+proto" or ";…". */
static bool is_grpc(struct span type)
{
    const struct span want = SPAN_LIT("application/grpc");
    return span_has_prefix(type, want) &&
           (type.n == want.n || type.p[want.n] == '+' || type.p[want.n] == ';');
}

static void refuse(struct etcd_head *h, int http_status, int grpc_status, const char *fmt,
                   struct span value)
{
    h->http_status = http_status;
    h->grpc_status = grpc_status;
    value = span_head(value, 64);
    char shown[65] = "";
    if (value.n != 0)
        memcpy(shown, value.p, value.n);
    (void)snprintf(h->why, sizeof h->why, "%s: \"%s\"", fmt, shown);
}

enum err etcd_head_read(struct etcd_stream *s, struct span fields, struct etcd_head *ret_head)
{
    struct etcd_head h = {0};
    struct span method = SPAN_NONE, type = SPAN_NONE;
    struct h2_field f;
    while (h2_field_next(&fields, &f)) {
        if (!is_dropped(f.name) ||
            (is_credential(f.name) && s->plane->options.rules.client_credentials)) {
            enum err e = h2_field_add(&s->head, &f);
            if (e != ERR_OK)
                return e;
        } else if (span_eq(f.name, SPAN_LIT(":path"))) {
            h.path = f.value;
        } else if (span_eq(f.name, SPAN_LIT(":method"))) {
            method = f.value;
        } else if (span_eq(f.name, SPAN_LIT("content-type"))) {
            type = f.value;
        } else if (span_eq(f.name, SPAN_LIT("grpc-timeout"))) {
            if (!read_timeout(s, f.value))
                refuse(&h, 400, 13, "malformed grpc-timeout", f.value);
        } else if (span_eq(f.name, SPAN_LIT("grpc-encoding"))) {
            h.encoding = f.value;
            h.is_compressed = !span_eq(f.value, SPAN_LIT("identity")) && f.value.n != 0;
        }
    }
    h.is_head = span_eq(method, SPAN_LIT("HEAD"));
    if (h.http_status != 0)
        h.route = NULL;
    else if (!is_grpc(type) && (h.is_head || span_eq(method, SPAN_LIT("GET"))))
        h.is_plain = true;
    else if (!is_grpc(type))
        refuse(&h, 415, 3, "invalid gRPC request content-type", type);
    else if (!span_eq(method, SPAN_LIT("POST")))
        refuse(&h, 405, 13, "gRPC calls are POST, not", method);
    else
        h.route = etcd_routes_find(&s->plane->routes, h.path);
    *ret_head = h;
    return ERR_OK;
}

void etcd_head_unknown(struct span path, char *text, size_t size)
{
    const char *p = (const char *)path.p;
    size_t at = path.n;
    while (at > 1 && p[at - 1] != '/')
        at--;
    if (path.n < 2 || p[0] != '/' || at < 2) {
        (void)snprintf(text, size, "malformed method name: \"%.*s\"", (int)span_head(path, 100).n,
                       p);
        return;
    }
    size_t n = 0;
    const struct etcd_route *route = etcd_route_table(&n);
    struct span service = span_of(path.p, at); /* "/etcdserverpb.KV/" */
    bool known = false;
    for (size_t i = 0; i < n && !known; i++)
        known = span_has_prefix(route[i].path, service);
    struct span method = span_head(span_skip(path, at), 60);
    struct span name = span_head(span_of(path.p + 1, at - 2), 60);
    if (known)
        (void)snprintf(text, size, "unknown method %.*s for service %.*s", (int)method.n, method.p,
                       (int)name.n, name.p);
    else
        (void)snprintf(text, size, "unknown service %.*s", (int)name.n, name.p);
}

/* -- the request upstream -- */
static size_t write_request(const struct etcd_stream *s, const struct h2_client *client,
                            struct span method, const char *timeout, nghttp2_nv *nv)
{
    size_t n = h2_client_grpc_fields(client, method, nv);
    nv[n++] = h2_nv(SPAN_LIT("grpc-accept-encoding"), SPAN_LIT("identity"), 0);
    /* Every value of a timeout is another one: it would only push better entries out of the table.
     */
    if (timeout[0] != '\0')
        nv[n++] = h2_nv(SPAN_LIT("grpc-timeout"), span_str(timeout), NGHTTP2_NV_FLAG_NO_INDEX);
    n += etcd_auth_field(&s->plane->auth, nv + n);
    CHECK(n <= ETCD_HEAD_OWN_FIELDS);
    struct span block = buf_span(&s->head);
    struct h2_field f;
    while (n < H2_FIELDS_MAX + ETCD_HEAD_OWN_FIELDS && h2_field_next(&block, &f))
        nv[n++] = h2_nv(f.name, f.value, f.flags);
    return n;
}

size_t etcd_head_request(const struct etcd_stream *s, const struct h2_client *client,
                         nghttp2_nv *nv)
{
    return write_request(s, client, etcd_call_method(&s->call), s->timeout, nv);
}

size_t etcd_head_side(const struct etcd_stream *s, const struct h2_client *client,
                      struct span method, nghttp2_nv *nv)
{
    return write_request(s, client, method, "", nv);
}

/* -- responses -- */
static enum err add(struct buf *block, struct span name, struct span value)
{
    return h2_field_add(block, &(struct h2_field){.name = name, .value = value});
}

enum err etcd_head_ok(struct buf *block)
{
    enum err e = add(block, SPAN_LIT(":status"), SPAN_LIT("200"));
    return e != ERR_OK ? e : add(block, SPAN_LIT("content-type"), SPAN_LIT("application/grpc"));
}

enum err etcd_head_status(struct buf *block, int status, const char *message)
{
    char number[12];
    int n = snprintf(number, sizeof number, "%d", status);
    enum err e = add(block, SPAN_LIT("grpc-status"), span_of(number, (size_t)n));
    struct buf text = {0};
    if (e == ERR_OK && message[0] != '\0')
        e = grpc_message_encode(span_str(message), &text);
    if (e == ERR_OK && buf_len(&text) != 0)
        e = add(block, SPAN_LIT("grpc-message"), buf_span(&text));
    buf_deinit(&text);
    return e;
}

enum err etcd_head_refusal(const struct etcd_head *head, struct buf *out)
{
    char number[12];
    int n = snprintf(number, sizeof number, "%d", head->http_status);
    enum err e = add(out, SPAN_LIT(":status"), span_of(number, (size_t)n));
    if (e == ERR_OK)
        e = add(out, SPAN_LIT("content-type"), SPAN_LIT("application/grpc"));
    return e != ERR_OK ? e : etcd_head_status(out, head->grpc_status, head->why);
}

enum err etcd_head_plain(const struct http1_response *r, struct buf *out)
{
    char status[12], length[24];
    int status_n = snprintf(status, sizeof status, "%d", r->status);
    int length_n = snprintf(length, sizeof length, "%zu", r->body.n);
    const char *type = r->content_type != NULL ? r->content_type : "text/plain; charset=utf-8";
    enum err e = add(out, SPAN_LIT(":status"), span_of(status, (size_t)status_n));
    if (e == ERR_OK)
        e = add(out, SPAN_LIT("content-type"), span_str(type));
    if (e == ERR_OK)
        e = add(out, SPAN_LIT("content-length"), span_of(length, (size_t)length_n));
    return e != ERR_OK ? e : add(out, SPAN_LIT("cache-control"), SPAN_LIT("no-store"));
}

enum err etcd_head_response(struct span *fields, struct buf *filtered)
{
    const struct span name = SPAN_LIT("grpc-accept-encoding");
    if (h2_field_find(*fields, name).p == NULL)
        return ERR_OK;
    struct h2_field f;
    for (struct span rest = *fields; h2_field_next(&rest, &f);) {
        enum err e = span_eq(f.name, name) ? ERR_OK : h2_field_add(filtered, &f);
        if (e != ERR_OK)
            return e;
    }
    *fields = buf_span(filtered);
    return ERR_OK;
}

int etcd_head_find_status(struct span fields)
{
    int status;
    struct span text = h2_field_find(fields, SPAN_LIT("grpc-status"));
    return text.p != NULL && grpc_status_parse(text, &status) ? status : -1;
}

bool etcd_head_says_alone(int status, struct span message)
{
    return status == GRPC_UNAVAILABLE &&
           (span_eq(message, SPAN_LIT("etcdserver: no leader")) ||
            span_has_prefix(message, SPAN_LIT("etcdserver: request timed out")));
}
