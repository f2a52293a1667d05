/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_gc - remove a namespace that is over from the registry (design.md 8.5), for a person.
 *
 * An etcd plane that listens nowhere reaches the store as a sidecar would, and asks what
 * etcd/registry_gc says instead of registering anything.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cmd.h"
#include "etcd/registry_gc.h"
#include "io/etcd_plane.h"

struct gc {
    const struct config *config;
    struct loop loop;
    struct etcd_plane *plane;
    struct registry_gc session;
    uv_timer_t timer;
    bool is_over;
};

static void end(struct gc *g)
{
    if (g->is_over)
        return;
    g->is_over = true;
    etcd_plane_close(&g->plane);
    uv_close((uv_handle_t *)&g->timer, NULL);
}

static void on_time(uv_timer_t *timer)
{
    end(timer->data);
}

/* No callback closes its caller: the timer does. */
static void on_done(void *arg)
{
    struct gc *g = arg;
    uv_timer_start(&g->timer, on_time, 0, 0);
}

static int say(const struct gc *g)
{
    const struct registry_gc *s = &g->session;
    const char *name = ns_path_name(&g->config->ns);
    uint64_t n = s->keys != 0 ? s->keys : s->leases;
    if (s->state == REGISTRY_GC_DONE)
        printf("%s: %s, lease tag %06x\n", s->is_dry_run ? "would be removed" : "removed", name,
               (unsigned)s->tag);
    else if (s->state != REGISTRY_GC_KEPT)
        fprintf(stderr, "bulkhead: etcd did not answer in time; %s may have been removed or not\n",
                name);
    else if (n != 0)
        printf("kept: %s: %s (%" PRIu64 ")\n", name, s->why, n);
    else
        printf("kept: %s: %s\n", name, s->why);
    return s->state == REGISTRY_GC_DONE ? CMD_CLEAN : CMD_FAILED;
}

static enum err begin(struct gc *g, struct buf *error)
{
    const struct config *c = g->config;
    const struct etcd_plane_options options = {
        .ns = &c->ns,
        .key_root = span_str(c->key_root),
        .tls = {.ca = c->etcd_tls.ca,
                .cert = c->etcd_tls.cert,
                .key = c->etcd_tls.key,
                .server_name = c->etcd_tls.server_name},
        .user = c->etcd_user,
        .password = c->etcd_password,
        .upstream = c->etcd_upstream.a,
        .upstreams = c->etcd_upstream.n,
        .gc = &g->session,
        .on_gc = on_done,
        .gc_arg = g,
    };
    registry_gc_init(&g->session, options.key_root, &c->ns);
    g->session.is_dry_run = c->redirect.dry_run;
    return etcd_plane_open(&g->loop, &options, &g->plane, error);
}

int cmd_gc(const struct config *c)
{
    static struct gc g;
    struct buf error = {0};
    g.config = c;
    enum err e = loop_init(&g.loop);
    if (e != ERR_OK)
        return cmd_fail(e, &error);
    uv_timer_init(&g.loop.uv, &g.timer); /* cannot fail */
    g.timer.data = &g;
    e = begin(&g, &error);
    if (e == ERR_OK)
        uv_timer_start(&g.timer, on_time, c->timeout_ms, 0);
    else
        end(&g);
    while (!g.is_over)
        uv_run(&g.loop.uv, UV_RUN_ONCE);
    (void)loop_deinit(&g.loop);
    int status = e == ERR_OK ? say(&g) : cmd_fail(e, &error);
    buf_deinit(&error);
    return status;
}
