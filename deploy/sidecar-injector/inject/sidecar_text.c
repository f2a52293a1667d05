/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar_text.c - JSON, part by part. A struct text carries the first failure, so that a container
 * reads as one piece.
 */
#include "inject/sidecar_text.h"

#include <stdarg.h>
#include <stdio.h>

#include "wire/json_text.h"

struct text {
    struct buf *out;
    enum err err;
};

static void put(struct text *t, const char *fmt, ...) ATTR_PRINTF(2, 3);
static void put(struct text *t, const char *fmt, ...)
{
    char part[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(part, sizeof part, fmt, args);
    va_end(args);
    if (t->err == ERR_OK)
        t->err = n < 0 || (size_t)n >= sizeof part ? ERR_LIMIT
                                                   : buf_append(t->out, span_of(part, (size_t)n));
}

static void put_string(struct text *t, struct span s)
{
    if (t->err == ERR_OK)
        t->err = json_text_append(t->out, s);
}

static void put_raw(struct text *t, const char *json)
{
    if (t->err == ERR_OK)
        t->err = buf_append(t->out, span_str(json));
}

/* Another argument: flag and the items with commas between them. */
static void put_arg(struct text *t, const char *flag, const struct inject_list *items)
{
    struct buf arg = {0};
    if (t->err == ERR_OK)
        t->err = buf_printf(&arg, "%s", flag);
    for (unsigned i = 0; i < items->n && t->err == ERR_OK; i++)
        t->err = buf_printf(&arg, "%s%s", i == 0 ? "=" : ",", items->item[i]);
    put(t, ",");
    put_string(t, buf_span(&arg));
    buf_deinit(&arg);
}

static void put_resources(struct text *t, const struct options *o)
{
    put(t, ",\"resources\":{\"requests\":{\"cpu\":");
    put_string(t, o->cpu_request);
    put(t, ",\"memory\":");
    put_string(t, o->memory_request);
    put(t, "},\"limits\":{\"cpu\":");
    put_string(t, o->cpu_limit);
    put(t, ",\"memory\":");
    put_string(t, o->memory_limit);
    put(t, "}}");
}

/* uid 0: the platform chooses. capability: kept, or NULL. */
static void put_security(struct text *t, unsigned uid, unsigned gid, const char *capability)
{
    put(t, ",\"securityContext\":{\"runAsNonRoot\":true,");
    if (uid != 0)
        put(t, "\"runAsUser\":%u,\"runAsGroup\":%u,", uid, gid);
    put(t, "\"allowPrivilegeEscalation\":false,\"privileged\":false,\"capabilities\":{\"drop\":["
           "\"ALL\"]");
    if (capability != NULL)
        put(t, ",\"add\":[\"%s\"]", capability);
    put(t, "},\"readOnlyRootFilesystem\":true,\"seccompProfile\":{\"type\":\"RuntimeDefault\"}}");
}

static void put_image(struct text *t, const struct inject_config *c, const char *name)
{
    put(t, "{\"name\":\"%s\",\"image\":", name);
    put_string(t, span_str(c->image));
    put(t, ",\"imagePullPolicy\":");
    put_string(t, span_str(c->image_pull_policy));
}

static void put_mounts(struct text *t, const char *more)
{
    put(t, ",\"volumeMounts\":[{\"name\":\"" SIDECAR_VOLUME_NAME
           "\",\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\",\"readOnly\":true}");
    if (more != NULL && strcmp(more, "[]") != 0) {
        put(t, ",");
        put_raw(t, more + 1); /* its closing bracket is ours */
    } else {
        put(t, "]");
    }
}

static void put_upstreams(struct text *t, const struct inject_config *c)
{
    if (c->etcd_upstream.n != 0) {
        put_arg(t, "--etcd-upstream", &c->etcd_upstream);
        put(t, ",\"--etcd-listen=127.0.0.1:%u,[::1]:%u\"", c->etcd_port, c->etcd_port);
    }
    if (c->nats_upstream.n != 0) {
        put_arg(t, "--nats-upstream", &c->nats_upstream);
        put(t, ",\"--nats-listen=127.0.0.1:%u,[::1]:%u\"", c->nats_port, c->nats_port);
    }
}

/* Ports that are redirected, of the planes that are on. */
static void put_ports(struct text *t, const struct inject_config *c)
{
    put(t, ",\"--intercept-listen=127.0.0.1:%u,[::1]:%u\"", c->intercept_port, c->intercept_port);
    if (c->etcd_upstream.n != 0)
        put_arg(t, "--etcd-ports", &c->etcd_ports);
    if (c->nats_upstream.n != 0)
        put_arg(t, "--nats-ports", &c->nats_ports);
}

/* Classic: until the application is done, but 5 s less than the pod has. */
static void put_drain(struct text *t, const struct sidecar_order *s)
{
    uint64_t grace = s->grace_s > 10 ? s->grace_s - 5 : (s->grace_s + 1) / 2;
    if (!s->options->native)
        put(t, ",\"--drain-mode=classic\",\"--drain-ms=%u\"",
            (unsigned)(grace > 3600 ? 3600 : grace) * 1000);
}

static const char *view_name(bool sees_subtree)
{
    return sees_subtree ? "subtree" : "own";
}

/* One word where it is true of both planes. */
static void put_views(struct text *t, struct inject_views sees)
{
    if (sees.etcd == sees.nats)
        put(t, ",\"--view=%s\"", view_name(sees.etcd));
    else
        put(t, ",\"--etcd-view=%s\",\"--nats-view=%s\"", view_name(sees.etcd),
            view_name(sees.nats));
}

static void put_args(struct text *t, const struct sidecar_order *s)
{
    const struct inject_config *c = s->config;
    put(t, ",\"args\":[\"serve\",");
    char ns[NS_PATH_BYTES_MAX + 16];
    snprintf(ns, sizeof ns, "--namespace=%s", ns_path_name(s->ns));
    put_string(t, span_str(ns));
    put_views(t, s->sees);
    put_upstreams(t, c);
    put(t, ",\"--health-listen=:%u\",\"--log-format=%s\",", c->health_port, c->sidecar_log_format);
    char level[64];
    snprintf(level, sizeof level, "--log-level=%.*s", (int)s->options->log_level.n,
             (const char *)s->options->log_level.p);
    put_string(t, span_str(level));
    put_drain(t, s);
    if (s->options->tier == TIER_REDIRECT)
        put_ports(t, c);
    for (unsigned i = 0; i < c->sidecar_args.n; i++) {
        put(t, ",");
        put_string(t, span_str(c->sidecar_args.item[i]));
    }
    put(t, "]");
}

static void put_probe(struct text *t, const char *name, const char *path, unsigned period_s,
                      unsigned failures, unsigned port)
{
    put(t,
        ",\"%s\":{\"httpGet\":{\"path\":\"%s\",\"port\":%u},\"periodSeconds\":%u,"
        "\"timeoutSeconds\":"
        "3,\"failureThreshold\":%u}",
        name, path, port, period_s, failures);
}

/* Ready when it listens: a store that is away must not take a serving pod out of its Service. */
static void put_probes(struct text *t, unsigned port)
{
    put_probe(t, "startupProbe", "/startupz", 1, 120, port);
    put_probe(t, "readinessProbe", "/startupz", 10, 3, port);
    put_probe(t, "livenessProbe", "/livez", 10, 6, port);
}

enum err sidecar_write(const struct sidecar_order *s, struct buf *out)
{
    const struct inject_config *c = s->config;
    struct text t = {out, ERR_OK};
    put_image(&t, c, SIDECAR_NAME);
    put_args(&t, s);
    if (strcmp(c->sidecar_env, "[]") != 0) {
        put(&t, ",\"env\":");
        put_raw(&t, c->sidecar_env);
    }
    put(&t, ",\"ports\":[{\"name\":\"bulkhead-http\",\"containerPort\":%u,\"protocol\":\"TCP\"}]",
        c->health_port);
    put_probes(&t, c->health_port);
    put_resources(&t, s->options);
    put_security(&t, c->uid, c->gid, NULL);
    put(&t, ",\"terminationMessagePolicy\":\"FallbackToLogsOnError\"");
    put_mounts(&t, c->sidecar_mounts);
    if (s->options->native) {
        put(&t, ",\"restartPolicy\":\"Always\"}");
        return t.err;
    }
    put(&t, ",\"lifecycle\":{\"postStart\":{\"exec\":{\"command\":[");
    put_string(&t, span_str(c->binary));
    put(&t, ",\"wait\",\"--health-listen=127.0.0.1:%u\"]}}}}", c->health_port);
    return t.err;
}

enum err sidecar_write_redirect(const struct sidecar_order *s, struct buf *out)
{
    const struct inject_config *c = s->config;
    struct text t = {out, ERR_OK};
    put_image(&t, c, SIDECAR_REDIRECT_NAME);
    put(&t, ",\"args\":[\"redirect\",\"--sidecar-uid=%u\"", c->uid);
    put_ports(&t, c);
    if (s->options->enforce)
        put(&t, ",\"--enforce\"");
    for (unsigned i = 0; i < c->redirect_args.n; i++) {
        put(&t, ",");
        put_string(&t, span_str(c->redirect_args.item[i]));
    }
    put(&t, "]");
    put_resources(&t, s->options);
    put_security(&t, c->redirect_uid, c->redirect_uid, "NET_ADMIN");
    put(&t, ",\"terminationMessagePolicy\":\"FallbackToLogsOnError\"");
    put_mounts(&t, NULL);
    put(&t, "}");
    return t.err;
}

enum err sidecar_write_volume(struct buf *out)
{
    return buf_printf(out, "{\"name\":\"" SIDECAR_VOLUME_NAME
                           "\",\"emptyDir\":{\"medium\":\"Memory\",\"sizeLimit\":\"1Mi\"}}");
}

const char *sidecar_views(struct inject_views sees, char text[SIDECAR_VIEWS_BYTES])
{
    const char *etcd = view_name(sees.etcd), *nats = view_name(sees.nats);
    if (sees.etcd == sees.nats)
        (void)snprintf(text, SIDECAR_VIEWS_BYTES, "\"view\":\"%s\"", etcd);
    else
        (void)snprintf(text, SIDECAR_VIEWS_BYTES, "\"etcd-view\":\"%s\",\"nats-view\":\"%s\"", etcd,
                       nats);
    return text;
}

enum err sidecar_write_status(const struct sidecar_order *s, struct buf *out)
{
    char text[512], views[SIDECAR_VIEWS_BYTES];
    int n = snprintf(text, sizeof text,
                     "{\"version\":\"%s\",\"namespace\":\"%s\",%s,\"tier\":\"%s\","
                     "\"native\":%s,\"config\":\"%s\"}",
                     BULKHEAD_VERSION, ns_path_name(s->ns), sidecar_views(s->sees, views),
                     inject_tier_name(s->options->tier), s->options->native ? "true" : "false",
                     s->config->hash);
    return json_text_append(out, span_of(text, (size_t)n));
}
