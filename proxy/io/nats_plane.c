/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_plane.c - options in, listener, readiness, and the end of everything.
 *
 * Ready = what was learnt last: a probe at the start and after each failure, and every connection's
 * own dial. Released when the probe has stopped and the last connection is gone.
 */
#include "io/nats_plane.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "io/listener.h"
#include "io/nats_conn_private.h"
#include "io/nats_learn.h"
#include "io/nats_probe.h"
#include "limit.h"

enum { CONFIGURED_MAX = 16 }; /* servers that a configuration names */

struct nats_plane {
    struct nats_probe probe; /* first: callbacks cast */
    struct nats_conns conns;
    struct listener *listener; /* NULL once draining */
    struct addr addr;
    bool is_ready, is_closing, is_probe_stopped;
    const char *why;
};

static struct nats_plane *plane_of(struct nats_conns *conns)
{
    return (struct nats_plane *)(void *)((char *)conns - offsetof(struct nats_plane, conns));
}

/* ---- the end ---- */

static void release_if_over(struct nats_plane *p)
{
    if (!p->is_closing || !p->is_probe_stopped || p->conns.n != 0)
        return;
    buf_deinit(&p->conns.scratch[SIDE_APP]);
    buf_deinit(&p->conns.scratch[SIDE_UP]);
    tls_context_free(&p->conns.tls_up);
    tls_context_free(&p->conns.tls_app);
    nats_auth_free(&p->conns.auth);
    free(p->conns.servers); /* holds the credentials */
    free(p);
}

static void on_probe_stopped(struct nats_probe *probe)
{
    struct nats_plane *p = (struct nats_plane *)probe;
    p->is_probe_stopped = true;
    release_if_over(p);
}

static void on_released(struct nats_conns *conns)
{
    release_if_over(plane_of(conns));
}

void nats_plane_drain(struct nats_plane *p)
{
    listener_close(&p->listener);
}

bool nats_plane_is_idle(const struct nats_plane *p)
{
    return p->conns.n == 0;
}

void nats_plane_close(struct nats_plane **plane)
{
    struct nats_plane *p = *plane;
    *plane = NULL;
    if (p == NULL)
        return;
    listener_close(&p->listener);
    nats_conns_close(&p->conns);
    p->is_closing = true;
    nats_probe_stop(&p->probe); /* may release p */
}

/* ---- readiness ---- */

static void set_ready(struct nats_plane *p, bool is_ready, const char *why)
{
    if (is_ready && !p->is_ready)
        log_event(LOG_INFO, "NATS upstream answers", NULL);
    p->is_ready = is_ready;
    p->why = why;
}

static void on_probe_result(struct nats_probe *probe, bool is_good, const char *why)
{
    set_ready((struct nats_plane *)probe, is_good, why);
}

static void on_dialled(struct nats_conns *conns, bool is_good)
{
    struct nats_plane *p = plane_of(conns);
    set_ready(p, is_good, is_good ? NULL : "the NATS upstream cannot be reached");
    if (!is_good)
        nats_probe_start(&p->probe);
}

static void on_lost(struct nats_conns *conns)
{
    nats_probe_start(&plane_of(conns)->probe);
}

bool nats_plane_is_ready(const struct nats_plane *p, const char **ret_why)
{
    if (!p->is_ready)
        *ret_why = p->why;
    return p->is_ready;
}

/* ---- opening ---- */

void nats_plane_accept(struct nats_plane *p, uv_stream_t *server)
{
    if (nats_conn_open(&p->conns, server) != ERR_OK) {
        log_event(LOG_ERROR, "connection refused: out of memory", "plane", "nats", NULL);
        listener_refuse(server);
    }
}

static void on_accept(void *arg, uv_stream_t *server)
{
    nats_plane_accept(arg, server);
}

static bool copy_secret(char out[256], const char *text)
{
    size_t n = text == NULL ? 0 : strlen(text);
    if (n > 255)
        return false;
    if (n != 0)
        memcpy(out, text, n);
    out[n] = '\0';
    return true;
}

static bool is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

/* Options win over the URL; a user alone in a URL is a token (nats://token@host). */
static bool set_credentials(struct nats_ns *ns, const struct nats_plane_options *o,
                            const struct addr *up)
{
    if (is_set(o->user) || is_set(o->password) || is_set(o->token))
        return copy_secret(ns->user, o->user) && copy_secret(ns->password, o->password) &&
               copy_secret(ns->token, o->token);
    if (!is_set(up->password))
        return copy_secret(ns->token, up->user);
    return copy_secret(ns->user, up->user) && copy_secret(ns->password, up->password);
}

static enum err config_error(struct buf *error, const char *what, const struct addr *a)
{
    char text[ADDR_TEXT_BYTES] = "";
    if (a != NULL)
        addr_print(a, text);
    enum err e = buf_printf(error, "%s%s%s", text, a == NULL ? "" : ": ", what);
    return e == ERR_OK ? ERR_CONFIG : e;
}

/* The listener as applications may dial it; they store it in URLs. */
static void set_shown_address(struct nats_ns *ns, const struct addr *a)
{
    const char *host = a->kind == ADDR_UNIX ? "127.0.0.1" : a->host;
    if (strcmp(host, "0.0.0.0") == 0)
        host = "127.0.0.1";
    else if (strcmp(host, "::") == 0)
        host = "::1";
    snprintf(ns->host, sizeof ns->host, strchr(host, ':') == NULL ? "%s" : "[%s]", host);
    ns->port = a->port;
}

/* What can be wrong with one; set_server() then cannot fail. */
static enum err check_servers(const struct nats_plane_options *o, struct buf *error)
{
    struct nats_ns ns;
    for (unsigned i = 0; i < o->upstreams; i++) {
        const struct addr *up = &o->upstream[i];
        if (up->scheme == ADDR_HTTP || up->scheme == ADDR_HTTPS)
            return config_error(error, "a NATS upstream is nats://HOST:PORT or tls://HOST:PORT",
                                up);
        if (!set_credentials(&ns, o, up))
            return config_error(error, "user, password or token is longer than 255 bytes", up);
    }
    return ERR_OK;
}

/* The first one has the map already. */
static void set_server(struct nats_plane *p, const struct nats_plane_options *o, unsigned i)
{
    struct nats_server *server = &p->conns.servers[i];
    const struct nats_server *first = &p->conns.servers[0];
    struct nats_ns *ns = &server->ns;
    server->addr = &o->upstream[i];
    server->all = &p->conns;
    ns->learn = nats_learn;
    ns->learner = server;
    ns->tls_up = server->addr->scheme == ADDR_TLS || o->tls_first;
    ns->tls_up_first = o->tls_first;
    ns->control_line = o->control_line;
    ns->tls_app = o->tls.listen_cert != NULL && *o->tls.listen_cert != '\0';
    if (i != 0)
        ns->map = first->ns.map;
    js_names_init(&ns->names, o->ns);
    if (ns->map.sees_below) {
        ns->streams = o->streams;
        ns->stream_patterns = o->stream_patterns;
    }
    ns->counters = &p->conns.loop->counters;
    (void)set_credentials(ns, o, server->addr); /* check_servers() has tried */
    if (p->addr.kind != 0 || p->addr.port != 0)
        set_shown_address(ns, &p->addr);
}

static enum err init_servers(struct nats_plane *p, const struct nats_plane_options *o,
                             struct buf *error)
{
    /* As many as a new configuration may name; an index has eight bits. */
    unsigned configured = o->upstreams > CONFIGURED_MAX ? o->upstreams : CONFIGURED_MAX;
    unsigned room = configured + LIMIT_NATS_LEARNT;
    if (room > UINT8_MAX)
        room = UINT8_MAX;
    struct nats_server *servers = calloc(room, sizeof *servers);
    if (servers == NULL)
        return ERR_NOMEM;
    p->conns.servers = servers;
    p->conns.server_room = room;
    struct subject_map *map = &servers[0].ns.map;
    enum err e = subject_map_init(map, o->subject_root, o->ns, o->requests, o->request_patterns);
    if (e == ERR_OK)
        e = (o->is_subtree ? subject_map_see_below
                           : subject_map_hear_deliveries)(map, o->events, o->event_patterns);
    if (e != ERR_OK)
        return e == ERR_NOMEM ? e
                              : config_error(error,
                                             "the NATS subject root is not one token, or a pattern "
                                             "of view-requests or view-events is no pattern",
                                             NULL);
    e = check_servers(o, error);
    for (unsigned i = 0; e == ERR_OK && i < o->upstreams; i++)
        set_server(p, o, i);
    p->conns.server_count = o->upstreams;
    return e;
}

/* What is wrong with the files is said now; where nothing asks for TLS, OpenSSL is not loaded
 * before a server does. */
static enum err init_tls(struct nats_plane *p, const struct nats_plane_options *o,
                         struct buf *error)
{
    p->conns.tls = (struct tls_options){.plane = "nats", .names = o->tls};
    bool is_wanted = false;
    for (unsigned i = 0; i < o->upstreams; i++)
        is_wanted = is_wanted || p->conns.servers[i].ns.tls_up;
    enum err e = is_wanted ? tls_context_new(&p->conns.tls, &p->conns.tls_up, error) : ERR_OK;
    if (e != ERR_OK || !p->conns.servers[0].ns.tls_app)
        return e;
    const struct tls_options app = {.is_server = true,
                                    .plane = "nats",
                                    .names = o->tls,
                                    .counters = &p->conns.loop->counters,
                                    .refused = COUNTER_BAD_NATS_TLS};
    return tls_context_new(&app, &p->conns.tls_app, error);
}

static enum err open_listener(struct nats_plane *p, const struct nats_plane_options *o,
                              struct buf *error)
{
    const struct listener_options options = {.addrs = o->listen,
                                             .n = o->listens,
                                             .option = "--nats-listen",
                                             .accept = on_accept,
                                             .arg = p};
    enum err e = listener_open(p->conns.loop, &options, &p->listener, error);
    if (e != ERR_OK)
        return e;
    p->addr = listener_addr(p->listener);
    for (unsigned i = 0; i < p->conns.server_count; i++)
        set_shown_address(&p->conns.servers[i].ns, &p->addr);
    return ERR_OK;
}

enum err nats_plane_open(struct loop *l, const struct nats_plane_options *o,
                         struct nats_plane **ret_plane, struct buf *ret_error)
{
    CHECK(o->upstreams >= 1 && o->upstreams <= UINT8_MAX);
    struct nats_plane *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    p->conns.loop = l;
    p->conns.on_dialled = on_dialled;
    p->conns.on_lost = on_lost;
    p->conns.on_released = on_released;
    p->probe.all = &p->conns;
    p->probe.on_result = on_probe_result;
    p->probe.on_stopped = on_probe_stopped;
    p->why = "the NATS upstream has not answered yet";
    enum err e = init_servers(p, o, ret_error);
    if (e == ERR_OK)
        e = nats_auth_new(&o->files, &p->conns.auth, ret_error);
    if (e == ERR_OK)
        nats_conns_take_auth(&p->conns);
    if (e == ERR_OK)
        e = init_tls(p, o, ret_error);
    if (e == ERR_OK)
        e = open_listener(p, o, ret_error);
    if (e != ERR_OK) {
        nats_plane_close(&p);
        return e;
    }
    nats_probe_start(&p->probe);
    *ret_plane = p;
    return ERR_OK;
}

enum err nats_plane_can_reload(const struct nats_plane_options *o, struct buf *ret_error)
{
    return o->upstreams > CONFIGURED_MAX
               ? config_error(ret_error, "there are too many NATS servers", NULL)
               : check_servers(o, ret_error);
}

void nats_plane_reload(struct nats_plane *p, const struct nats_plane_options *o)
{
    for (unsigned i = 0; i < o->upstreams; i++)
        set_server(p, o, i);
    p->conns.server_count = o->upstreams; /* who was learnt is learnt again */
    p->conns.good = 0;
    p->conns.reloads++;
    nats_conns_take_auth(&p->conns);
    nats_probe_start(&p->probe);
}

struct addr nats_plane_addr(const struct nats_plane *p)
{
    return p->addr;
}

enum err nats_plane_list_connections(const struct nats_plane *p, struct buf *out)
{
    static const char *const states[STATE_COUNT] = {[STATE_DIALLING] = "dialling",
                                                    [STATE_GREETING] = "greeting",
                                                    [STATE_OPEN] = "open",
                                                    [STATE_CLOSING] = "closing"};
    unsigned lines = 0, left = 0;
    enum err e = ERR_OK;
    for (const struct nats_conn *c = p->conns.first; c != NULL && e == ERR_OK; c = c->next) {
        char peer[ADDR_TEXT_BYTES], upstream[ADDR_TEXT_BYTES];
        if (c->is_voice)
            continue;
        if (lines++ >= LIMIT_PAGE_LINES) {
            left++;
            continue;
        }
        /* The socket's other end: the list of servers may be another one since. */
        bool is_there = c->state == STATE_GREETING || c->state == STATE_OPEN;
        e = buf_printf(out, "plane=nats side=app peer=%s upstream=%s state=%s\n",
                       tcp_peer(&c->side[SIDE_APP], peer),
                       is_there ? tcp_peer(&c->side[SIDE_UP], upstream) : "-", states[c->state]);
    }
    return e != ERR_OK || left == 0 ? e : buf_printf(out, "and %u more\n", left);
}
