/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_http1.h"

#include <stdio.h>

#include "io/etcd_plane_private.h"

static const char not_found[] =
    "This is a bulkhead sidecar: it serves etcd's gRPC API (HTTP/2) and, over HTTP/1.1, /health, "
    "/livez, /readyz and /version. The JSON gateway (/v3/...) is not served by this version.\n";

static struct http1_response health(bool ready, const char *why, char *text, size_t size)
{
    int n = ready ? snprintf(text, size, "{\"health\":\"true\",\"reason\":\"\"}")
                  : snprintf(text, size, "{\"health\":\"false\",\"reason\":\"%s\"}", why);
    return (struct http1_response){.status = ready ? 200 : 503,
                                   .content_type = "application/json",
                                   .body = span_of(text, (size_t)n)};
}

static struct http1_response version(const struct etcd_version *v, char *text, size_t size)
{
    char cluster[ETCD_VERSION_BYTES];
    etcd_version_of_cluster(v, cluster);
    int n = snprintf(text, size,
                     "{\"etcdserver\":\"%s\",\"etcdcluster\":\"%s\",\"bulkhead\":"
                     "\"" BULKHEAD_VERSION "\"}",
                     v->text[0] != '\0' ? v->text : "unknown",
                     cluster[0] != '\0' ? cluster : "unknown");
    return (struct http1_response){
        .status = 200, .content_type = "application/json", .body = span_of(text, (size_t)n)};
}

static struct http1_response plain(int status, const char *text)
{
    return (struct http1_response){.status = status, .body = span_str(text)};
}

struct http1_response etcd_http1_find(const struct etcd_plane *p, enum http1_method method,
                                      struct span path, char *text)
{
    const char *why = "";
    bool ready = etcd_plane_is_ready(p, &why);
    struct http1_response answer;
    if (method != HTTP1_GET && method != HTTP1_HEAD)
        answer = plain(span_has_prefix(path, SPAN_LIT("/v3")) ? 404 : 405, not_found);
    else if (span_eq(path, SPAN_LIT("/health")))
        answer = health(ready, why, text, ETCD_HTTP1_TEXT_BYTES);
    else if (span_eq(path, SPAN_LIT("/livez")))
        answer = plain(200, "ok\n");
    else if (span_eq(path, SPAN_LIT("/readyz")))
        answer = plain(ready ? 200 : 503, ready ? "ok\n" : why);
    else if (span_eq(path, SPAN_LIT("/version")))
        answer = version(&p->version, text, ETCD_HTTP1_TEXT_BYTES);
    else
        answer = plain(404, not_found);
    answer.head_only = method == HTTP1_HEAD;
    return answer;
}

enum err etcd_http1_answer(const struct etcd_plane *p, const struct http1_request *r,
                           struct buf *out)
{
    char text[ETCD_HTTP1_TEXT_BYTES];
    struct http1_response answer = etcd_http1_find(p, r->method, r->path, text);
    answer.keep_alive = r->keep_alive;
    return http1_write(out, &answer);
}
