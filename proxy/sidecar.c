/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar.h"

#include <stdio.h>

#include "io/admin.h"
#include "io/etcd_plane.h"
#include "io/intercept.h"
#include "io/nats_plane.h"
#include "policy/pattern_hash.h"
#include "sidecar_pages.h"

/* ---- opening ---- */

static bool etcd_is_ready(const void *arg, const char **ret_why)
{
    return etcd_plane_is_ready(arg, ret_why);
}

static bool nats_is_ready(const void *arg, const char **ret_why)
{
    return nats_plane_is_ready(arg, ret_why);
}

static struct tls_names tls_names(const struct config_tls *t)
{
    return (struct tls_names){.ca = t->ca,
                              .cert = t->cert,
                              .key = t->key,
                              .server_name = t->server_name,
                              .listen_cert = t->listen_cert,
                              .listen_key = t->listen_key,
                              .listen_ca = t->listen_ca};
}

/* Make the context that a plane would make, and throw it away. */
static enum err try_tls(const char *plane, const struct config_tls *t, bool is_server,
                        struct buf *error)
{
    const struct tls_options o = {.is_server = is_server, .plane = plane, .names = tls_names(t)};
    struct tls_context *context = NULL;
    enum err e = tls_context_new(&o, &context, error);
    tls_context_free(&context);
    return e;
}

static enum err try_plane(const char *plane, const struct config_addrs *up,
                          const struct config_tls *t, struct buf *error)
{
    bool is_spoken = false;
    for (unsigned i = 0; i < up->n; i++)
        is_spoken = is_spoken || up->a[i].scheme == ADDR_HTTPS || up->a[i].scheme == ADDR_TLS;
    enum err e = is_spoken ? try_tls(plane, t, false, error) : ERR_OK;
    if (e == ERR_OK && up->n != 0 && t->listen_cert[0] != '\0')
        e = try_tls(plane, t, true, error);
    return e;
}

static struct nats_auth_files nats_files(const struct config *c)
{
    return (struct nats_auth_files){
        .password = c->nats_password_file, .token = c->nats_token_file, .creds = c->nats_creds};
}

enum err sidecar_check_files(const struct config *c, struct buf *error)
{
    enum err e = try_plane("etcd", &c->etcd_upstream, &c->etcd_tls, error);
    if (e == ERR_OK)
        e = try_plane("nats", &c->nats_upstream, &c->nats_tls, error);
    struct nats_auth *auth = NULL;
    const struct nats_auth_files files = nats_files(c);
    if (e == ERR_OK && c->nats_upstream.n != 0)
        e = nats_auth_new(&files, &auth, error);
    nats_auth_free(&auth);
    return e;
}

static struct etcd_plane_options etcd_options(const struct config *c)
{
    return (struct etcd_plane_options){
        .ns = &c->ns,
        .key_root = span_str(c->key_root),
        .tls = tls_names(&c->etcd_tls),
        .rules = c->etcd_rules,
        .is_subtree = c->etcd_view == VIEW_SUBTREE,
        .view_keys = c->view_keys,
        .view_key_prefixes = c->view_key_prefixes,
        .patterns = c->nats_upstream.n == 0 ? 0
                                            : pattern_hash(c->requests.item, c->requests.n,
                                                           c->events.item, c->events.n),
        .user = c->etcd_user,
        .password = c->etcd_password,
        .upstream = c->etcd_upstream.a,
        .upstreams = c->etcd_upstream.n,
        .listen = c->etcd_listen.a,
        .listens = c->etcd_listen.n,
    };
}

static enum err open_etcd(struct sidecar *s, struct buf *error)
{
    const struct etcd_plane_options options = etcd_options(s->config);
    return options.upstreams == 0 ? ERR_OK : etcd_plane_open(&s->loop, &options, &s->etcd, error);
}

static struct nats_plane_options nats_options(const struct config *c)
{
    return (struct nats_plane_options){
        .ns = &c->ns,
        .subject_root = span_str(c->subject_root),
        .requests = c->requests.item,
        .request_patterns = c->requests.n,
        .is_subtree = c->nats_view == VIEW_SUBTREE,
        .events = c->events.item,
        .event_patterns = c->events.n,
        .streams = c->streams.item,
        .stream_patterns = c->streams.n,
        .user = c->nats_user,
        .password = c->nats_password,
        .token = c->nats_token,
        .files = nats_files(c),
        .tls = tls_names(&c->nats_tls),
        .tls_first = c->nats_tls_first,
        .control_line = c->nats_control_line,
        .upstream = c->nats_upstream.a,
        .upstreams = c->nats_upstream.n,
        .listen = c->nats_listen.a,
        .listens = c->nats_listen.n,
    };
}

static enum err open_nats(struct sidecar *s, struct buf *error)
{
    const struct nats_plane_options options = nats_options(s->config);
    return options.upstreams == 0 ? ERR_OK : nats_plane_open(&s->loop, &options, &s->nats, error);
}

static enum err open_admin(struct sidecar *s, struct buf *error)
{
    if (s->config->health_listen.n == 0)
        return ERR_OK;
    struct admin_options options = {
        .listen = s->config->health_listen.a,
        .listens = s->config->health_listen.n,
        .namespace_name = ns_path_name(&s->config->ns),
        .option = "--health-listen",
    };
    if (s->etcd != NULL)
        options.checks[options.check_count++] = (struct admin_check){"etcd", etcd_is_ready,
                                                                     s->etcd};
    if (s->nats != NULL)
        options.checks[options.check_count++] = (struct admin_check){"nats", nats_is_ready,
                                                                     s->nats};
    return admin_open(&s->loop, &options, &s->admin, error);
}

static enum err open_control(struct sidecar *s, struct buf *error)
{
    struct admin_options options = {
        .listen = s->config->admin_listen.a,
        .listens = s->config->admin_listen.n,
        .option = "--admin-listen",
        .arg = s,
    };
    options.pages = sidecar_pages(&options.page_count);
    return options.listens == 0 ? ERR_OK : admin_open(&s->loop, &options, &s->control, error);
}

static enum err open_intercept(struct sidecar *s, struct buf *error)
{
    const struct config *c = s->config;
    const struct intercept_options options = {
        .listen = c->intercept_listen.a,
        .listens = c->intercept_listen.n,
        .etcd_ports = c->etcd_ports.p,
        .etcd_port_count = c->etcd_ports.n,
        .nats_ports = c->nats_ports.p,
        .nats_port_count = c->nats_ports.n,
        .etcd = s->etcd,
        .nats = s->nats,
    };
    return options.listens == 0 ? ERR_OK : intercept_open(&s->loop, &options, &s->intercept, error);
}

enum err sidecar_open(struct sidecar *s, const struct config *config, struct buf *error)
{
    *s = (struct sidecar){.config = config};
    enum err e = loop_init(&s->loop);
    if (e != ERR_OK)
        return e;
    s->loop.max_connections = config->max_connections;
    uv_timer_init(&s->loop.uv, &s->drain); /* cannot fail */
    s->drain.data = s;
    e = open_etcd(s, error);
    if (e == ERR_OK)
        e = open_nats(s, error);
    if (e == ERR_OK)
        e = open_intercept(s, error);
    if (e == ERR_OK)
        e = open_control(s, error);
    if (e == ERR_OK)
        e = open_admin(s, error);
    if (e != ERR_OK) {
        sidecar_close(s);
        (void)sidecar_run(s);
    }
    return e;
}

/* ---- another configuration ---- */

enum err sidecar_reload(struct sidecar *s, const struct config *next, struct buf *error)
{
    const struct etcd_plane_options etcd = etcd_options(next);
    const struct nats_plane_options nats = nats_options(next);
    enum err e = s->nats == NULL ? ERR_OK : nats_plane_can_reload(&nats, error);
    if (e == ERR_OK && s->etcd != NULL)
        e = etcd_plane_reload(s->etcd, &etcd, error);
    if (e != ERR_OK)
        return e;
    if (s->nats != NULL)
        nats_plane_reload(s->nats, &nats);
    s->loop.max_connections = next->max_connections;
    log_set(next->log_level, next->log_format);
    s->config = next;
    return ERR_OK;
}

/* ---- closing ---- */

void sidecar_close(struct sidecar *s)
{
    if (s->state == SIDECAR_CLOSED)
        return;
    s->state = SIDECAR_CLOSED;
    uv_close((uv_handle_t *)&s->drain, NULL);
    admin_close(&s->admin);
    admin_close(&s->control);
    intercept_close(&s->intercept);
    nats_plane_close(&s->nats);
    etcd_plane_close(&s->etcd);
    if (s->on_closed != NULL)
        s->on_closed(s->arg);
}

/*
 * Calls of etcd end by themselves or do not end; NATS connections never do, a client holds its own
 * for life. So NATS is done when nothing has moved on it for a while.
 */
static bool is_idle(struct sidecar *s)
{
    uint64_t now_ms = loop_now_ms(&s->loop);
    const uint64_t *n = s->loop.counters.n;
    uint64_t bytes = n[COUNTER_NATS_RX_APP] + n[COUNTER_NATS_RX_UP];
    if (bytes != s->nats_bytes) {
        s->nats_bytes = bytes;
        s->quiet_since_ms = now_ms;
    }
    bool nats_idle = s->nats == NULL || nats_plane_is_idle(s->nats) ||
                     now_ms - s->quiet_since_ms >= LIMIT_DRAIN_QUIET_MS;
    return nats_idle && (s->etcd == NULL || etcd_plane_is_idle(s->etcd));
}

/* classic: the application has had the same signal and may need its stores to the end, to revoke a
 * lease, say, over a connection that it has or makes. An open connection means that it is alive,
 * however quiet it is meanwhile. */
static bool is_left(struct sidecar *s)
{
    uint64_t now_ms = loop_now_ms(&s->loop);
    if (s->loop.connections != 0) {
        s->quiet_since_ms = now_ms;
        return false;
    }
    return now_ms - s->quiet_since_ms >= s->config->drain_quiet_ms;
}

static void on_drain_tick(uv_timer_t *timer)
{
    struct sidecar *s = timer->data;
    bool idle = s->config->drain_is_classic ? is_left(s) : is_idle(s);
    if (!idle && loop_now_ms(&s->loop) < s->drain_end_ms)
        return;
    if (!idle)
        log_event(LOG_WARN,
                  s->config->drain_is_classic
                      ? "stopping with applications connected: the drain time is over"
                      : "stopping with calls in flight: the drain time is over",
                  NULL);
    sidecar_close(s);
}

void sidecar_drain(struct sidecar *s)
{
    if (s->state != SIDECAR_OPEN)
        return;
    s->state = SIDECAR_DRAINING;
    s->quiet_since_ms = loop_now_ms(&s->loop);
    s->drain_end_ms = s->quiet_since_ms + s->config->drain_ms;
    if (s->admin != NULL)
        admin_drain(s->admin);
    if (!s->config->drain_is_classic) {
        intercept_close(&s->intercept);
        if (s->nats != NULL)
            nats_plane_drain(s->nats);
        if (s->etcd != NULL)
            etcd_plane_drain(s->etcd);
    }
    uv_timer_start(&s->drain, on_drain_tick, 0, LIMIT_DRAIN_TICK_MS);
}

int sidecar_run(struct sidecar *s)
{
    while (s->state != SIDECAR_CLOSED)
        uv_run(&s->loop.uv, UV_RUN_ONCE);
    int left = loop_deinit(&s->loop);
    if (left != 0)
        log_event(LOG_ERROR, "the loop did not end clean", "error", uv_strerror(left), NULL);
    return left == 0 ? 0 : -1;
}

/* ---- where it is ---- */

void sidecar_places(const struct sidecar *s, struct sidecar_places *ret_places)
{
    *ret_places = (struct sidecar_places){0};
    struct addr a;
    if (s->etcd != NULL) {
        a = etcd_plane_addr(s->etcd);
        addr_print(&a, ret_places->etcd);
    }
    if (s->nats != NULL) {
        a = nats_plane_addr(s->nats);
        addr_print(&a, ret_places->nats);
    }
    if (s->admin != NULL) {
        a = admin_addr(s->admin);
        addr_print(&a, ret_places->health);
    }
    if (s->control != NULL) {
        a = admin_addr(s->control);
        addr_print(&a, ret_places->admin);
    }
    if (s->intercept != NULL) {
        a = intercept_addr(s->intercept);
        addr_print(&a, ret_places->intercept);
    }
}

struct addr sidecar_reachable(struct addr bound)
{
    if (strcmp(bound.host, "0.0.0.0") == 0)
        snprintf(bound.host, sizeof bound.host, "127.0.0.1");
    else if (strcmp(bound.host, "::") == 0)
        snprintf(bound.host, sizeof bound.host, "::1");
    return bound;
}
