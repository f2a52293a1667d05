/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_plane.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"
#include "io/etcd_http1.h"
#include "io/etcd_stream.h"

static void on_timer(uv_timer_t *timer);
static void close_if_done(struct etcd_plane *p);

/* -- calls that wait -- */
static void set_timer(struct etcd_plane *p, uint64_t at_ms)
{
    uint64_t now = loop_now_ms(p->loop);
    if (p->drain != ETCD_PLANE_SERVING && p->drain != ETCD_PLANE_DRAINED &&
        (at_ms == 0 || p->drain_at_ms < at_ms))
        at_ms = p->drain_at_ms;
    if (at_ms == 0)
        uv_timer_stop(&p->timer);
    else
        uv_timer_start(&p->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}

void etcd_plane_wait(struct etcd_plane *p, enum etcd_lane lane, uint64_t at_ms)
{
    etcd_link_want(&p->links[lane]);
    if (!p->ns.has_tag)
        etcd_link_want(&p->links[ETCD_LANE_UNARY]);
    if (at_ms == 0)
        return;
    uint64_t due = uv_timer_get_due_in(&p->timer);
    bool earlier = !uv_is_active((uv_handle_t *)&p->timer) || at_ms < loop_now_ms(p->loop) + due;
    if (earlier)
        set_timer(p, at_ms);
}

/* -- links and the registry -- */
void etcd_plane_distrust(struct etcd_plane *p, const struct addr *member)
{
    const struct addr at = *member; /* its owner may go */
    for (unsigned lane = 0; lane < ETCD_LANES; lane++)
        etcd_link_distrust(&p->links[lane], &at);
}

static void set_usable(struct etcd_plane *p, bool usable)
{
    if (p->ns.upstream_usable == usable)
        return;
    p->ns.upstream_usable = usable;
    for (struct h2_server *s = p->servers; s != NULL; s = s->next)
        for (struct h2_app_stream *a = s->streams; a != NULL; a = a->next)
            etcd_stream_push_health(etcd_stream_of_app(a));
}

static bool is_link_wanted(const struct etcd_link *l)
{
    const struct etcd_plane *p = l->owner;
    for (const struct etcd_stream *s = p->waiting; s != NULL; s = s->next)
        if (l == &p->links[s->call.route->lane])
            return true;
    return false;
}

/* Only where there is another member to go to. */
static void watch_leader(struct etcd_plane *p)
{
    if (p->options.upstreams == 1)
        leader_watch_end(&p->leader);
    else if (etcd_link_client(&p->links[ETCD_LANE_STREAM]) != NULL)
        leader_watch_begin(&p->leader);
}

static void on_link_usable(struct etcd_link *l)
{
    struct etcd_plane *p = l->owner;
    if (l == &p->links[ETCD_LANE_UNARY]) {
        set_usable(p, true);
        etcd_auth_on_link(&p->auth, ETCD_LANE_UNARY);
        etcd_enroll_start(&p->enroll);
        if (p->ns.has_tag) /* else the registry comes first */
            etcd_version_ask(&p->version);
        /* What one address serves the other lane may have too. */
        if (is_link_wanted(&p->links[ETCD_LANE_STREAM]))
            etcd_link_want(&p->links[ETCD_LANE_STREAM]);
    } else {
        etcd_auth_on_link(&p->auth, ETCD_LANE_STREAM);
        watch_leader(p);
    }
    etcd_stream_pump(p);
}

static void on_link_retired(struct etcd_link *l)
{
    struct etcd_plane *p = l->owner;
    if (l == &p->links[ETCD_LANE_STREAM])
        leader_watch_end(&p->leader);
}

static void on_link_down(struct etcd_link *l)
{
    struct etcd_plane *p = l->owner;
    bool unary = l == &p->links[ETCD_LANE_UNARY];
    if (unary)
        set_usable(p, false);
    else
        leader_watch_end(&p->leader);
    /* Without the registry, or a token, every call waits for the unary lane. */
    bool all = unary && (!p->ns.has_tag || !etcd_auth_allows(&p->auth, ETCD_LANE_STREAM));
    enum etcd_lane lane = !unary ? ETCD_LANE_STREAM : all ? ETCD_LANES : ETCD_LANE_UNARY;
    etcd_stream_fail_waiting(p, lane, ERR_NO_UPSTREAM);
}

static void on_link_closed(struct etcd_link *l)
{
    close_if_done(l->owner);
}

static const struct etcd_link_handler link_events = {.on_usable = on_link_usable,
                                                     .on_down = on_link_down,
                                                     .on_retired = on_link_retired,
                                                     .is_wanted = is_link_wanted,
                                                     .on_closed = on_link_closed};

static void on_authenticated(struct etcd_auth *a)
{
    struct etcd_plane *p = a->owner;
    if (p->enroll.state == ETCD_ENROLL_IDLE) /* else it is done, or its back-off ends */
        etcd_enroll_start(&p->enroll);
    if (p->ns.has_tag && p->version.text[0] == '\0')
        etcd_version_ask(&p->version);
    etcd_stream_pump(p);
}

static void on_auth_failed(struct etcd_auth *a)
{
    etcd_stream_fail_waiting(a->owner, a->has_token ? ETCD_LANE_STREAM : ETCD_LANES,
                             a->error == ERR_CREDENTIALS ? ERR_CREDENTIALS : ERR_NO_UPSTREAM);
}

static void on_auth_closed(struct etcd_auth *a)
{
    close_if_done(a->owner);
}

static void on_enrolled(struct etcd_enroll *e)
{
    struct etcd_plane *p = e->owner;
    if (e->gc != NULL) {
        p->options.on_gc(p->options.gc_arg);
        return;
    }
    etcd_stream_pump(p);
    etcd_version_ask(&p->version);
}

static void on_enroll_failed(struct etcd_enroll *e)
{
    etcd_stream_fail_waiting(e->owner, ETCD_LANES,
                             etcd_enroll_is_refused(e->error) ? e->error : ERR_NO_UPSTREAM);
}

static void leave_member_of(struct etcd_plane *p, enum etcd_lane lane)
{
    const struct h2_client *client = etcd_link_client(&p->links[lane]);
    if (client != NULL)
        etcd_plane_distrust(p, &client->addr);
}

static void on_unary_alone(struct etcd_enroll *e)
{
    leave_member_of(e->owner, ETCD_LANE_UNARY);
}

static void on_stream_alone(struct leader_watch *w)
{
    leave_member_of(w->owner, ETCD_LANE_STREAM);
}

static void on_enroll_closed(struct etcd_enroll *e)
{
    close_if_done(e->owner);
}

static void on_leader_closed(struct leader_watch *w)
{
    close_if_done(w->owner);
}

/* -- applications -- */
static void on_released(struct h2_server *server)
{
    close_if_done(server->owner);
}

static enum err on_http1(struct h2_server *server, const struct http1_request *r, struct buf *out)
{
    return etcd_http1_answer(server->owner, r, out);
}

static const struct h2_server_handler server_events = {.on_request = etcd_stream_on_request,
                                                       .on_data = etcd_stream_on_data,
                                                       .on_ended = etcd_stream_on_ended,
                                                       .on_sent = etcd_stream_on_sent,
                                                       .on_closed = etcd_stream_on_closed,
                                                       .on_http1 = on_http1,
                                                       .on_released = on_released};

void etcd_plane_accept(struct etcd_plane *p, uv_stream_t *pending)
{
    if (h2_server_accept(&p->hub, pending, &server_events, p, &p->servers) != ERR_OK) {
        listener_refuse(pending);
        return;
    }
    p->open_parts++;
    struct h2_conn *c = &p->servers->conn;
    if (p->tls_app != NULL && tcp_start_tls(&c->tcp, p->tls_app, NULL) != ERR_OK)
        h2_conn_end(c);
}

static void on_accept(void *arg, uv_stream_t *pending)
{
    etcd_plane_accept(arg, pending);
}

/* -- drain -- */
/* Watches, keep-alives and the like never end by themselves: nobody waits for their end. */
static void end_endless_streams(struct etcd_plane *p)
{
    for (struct h2_server *s = p->servers; s != NULL; s = s->next)
        for (struct h2_app_stream *a = s->streams; a != NULL; a = a->next) {
            struct etcd_stream *e = etcd_stream_of_app(a);
            const struct etcd_route *r = e->call.route;
            if (r != NULL && (r->lane == ETCD_LANE_STREAM || r->stays_open))
                etcd_stream_finish(e, ERR_DRAINING, NULL);
        }
}

static void drain_step(struct etcd_plane *p)
{
    if (p->drain != ETCD_PLANE_GOAWAY_SOON)
        return;
    p->drain = ETCD_PLANE_DRAINED;
    for (struct h2_server *s = p->servers; s != NULL; s = s->next)
        h2_server_goaway(s);
    end_endless_streams(p);
}

static void on_timer(uv_timer_t *timer)
{
    struct etcd_plane *p = timer->data;
    if (loop_now_ms(p->loop) >= p->drain_at_ms)
        drain_step(p);
    set_timer(p, etcd_stream_expire(p));
}

void etcd_plane_drain(struct etcd_plane *p)
{
    if (p->drain != ETCD_PLANE_SERVING || p->is_closing)
        return;
    listener_close(&p->listener);
    p->drain = ETCD_PLANE_GOAWAY_SOON;
    p->drain_at_ms = loop_now_ms(p->loop) + LIMIT_GOAWAY_MS;
    for (struct h2_server *s = p->servers; s != NULL; s = s->next)
        h2_server_goaway_soon(s);
    set_timer(p, etcd_stream_expire(p));
}

bool etcd_plane_is_idle(const struct etcd_plane *p)
{
    for (const struct h2_server *s = p->servers; s != NULL; s = s->next)
        if (s->streams != NULL || s->state == H2_SERVER_HTTP1)
            return false;
    return true;
}

/* -- what others see -- */
struct addr etcd_plane_addr(const struct etcd_plane *p)
{
    return p->addr;
}

bool etcd_plane_is_ready(const struct etcd_plane *p, const char **ret_why)
{
    const char *why = NULL;
    if (p->drain != ETCD_PLANE_SERVING)
        why = "the sidecar is stopping";
    else if (!p->ns.upstream_usable)
        why = "no etcd upstream answers";
    else if (!etcd_auth_allows(&p->auth, ETCD_LANE_UNARY))
        why = p->auth.error == ERR_CREDENTIALS
                  ? "etcd refuses the sidecar's user or password (etcd-user, etcd-password)"
                  : "etcd has not authenticated the sidecar yet";
    else if (!p->ns.has_tag)
        why = etcd_enroll_is_refused(p->enroll.error) ? err_info(p->enroll.error)->text
                                                      : "the namespace is not registered yet";
    if (why != NULL)
        *ret_why = why;
    return why == NULL;
}

/* -- life -- */
static enum err check_upstreams(const struct etcd_plane_options *o, struct buf *ret_error)
{
    if (o->upstreams != 0)
        return ERR_OK;
    enum err e = buf_printf(ret_error, "the etcd plane needs an --etcd-upstream");
    return e == ERR_OK ? ERR_CONFIG : e;
}

static void release(struct etcd_plane *p)
{
    tls_context_free(&p->tls_up);
    tls_context_free(&p->tls_app);
    family_deinit(&p->family);
    free(p);
}

/* What follows from there being a user. */
static void set_user(struct etcd_plane *p)
{
    enum etcd_markers markers = p->options.rules.markers;
    bool has_user = p->options.user != NULL && p->options.user[0] != '\0';
    p->ns.has_user = has_user;
    p->ns.marks_leases = markers == ETCD_MARKERS_AUTO ? has_user : markers == ETCD_MARKERS_ON;
}

static enum err init_ns(struct etcd_plane *p)
{
    p->ns.counters = &p->loop->counters;
    etcd_routes_init(&p->routes, &p->options.rules);
    p->loop->counters.gauge[GAUGE_ETCD_TRUSTED] = p->options.rules.is_trusted;
    if (p->options.rules.is_trusted)
        log_event(LOG_WARN,
                  "profile trusted: applications administer the shared etcd, and can reach other "
                  "namespaces",
                  NULL);
    p->ns.rng = (struct rng){rng_next(&p->loop->rng)};
    set_user(p);
    enum err e = key_map_init(&p->ns.keys, p->options.key_root, p->options.ns);
    if (e == ERR_OK)
        e = key_map_init_markers(&p->ns.markers, p->options.key_root, p->options.ns);
    if (e != ERR_OK || !p->options.is_subtree)
        return e;
    const uint64_t seed[] = {rng_next(&p->loop->rng), rng_next(&p->loop->rng)};
    e = family_init(&p->family, p->options.key_root, p->options.ns, seed);
    if (e != ERR_OK)
        return e;
    p->family.prefixes = p->options.view_keys;
    p->family.prefix_count = p->options.view_key_prefixes;
    p->ns.family = &p->family;
    return ERR_OK;
}

static enum err init_tls_up(struct etcd_plane *p, const struct etcd_plane_options *options,
                            struct buf *ret_error)
{
    const struct tls_options o = {.plane = "etcd", .names = options->tls, .is_http2 = true};
    bool is_wanted = false;
    for (unsigned i = 0; i < options->upstreams; i++)
        is_wanted = is_wanted || options->upstream[i].scheme == ADDR_HTTPS;
    return is_wanted && p->tls_up == NULL ? tls_context_new(&o, &p->tls_up, ret_error) : ERR_OK;
}

/* What is wrong with the files is said now; without TLS OpenSSL is not even loaded. */
static enum err init_tls(struct etcd_plane *p, struct buf *ret_error)
{
    struct tls_options o = {.plane = "etcd", .names = p->options.tls, .is_http2 = true};
    enum err e = init_tls_up(p, &p->options, ret_error);
    if (e != ERR_OK || o.names.listen_cert == NULL || *o.names.listen_cert == '\0')
        return e;
    o.is_server = true;
    o.counters = &p->loop->counters;
    o.refused = COUNTER_BAD_ETCD_TLS;
    return tls_context_new(&o, &p->tls_app, ret_error);
}

static enum err open_listener(struct etcd_plane *p, struct buf *ret_error)
{
    const struct listener_options options = {.addrs = p->options.listen,
                                             .n = p->options.listens,
                                             .option = "--etcd-listen",
                                             .accept = on_accept,
                                             .arg = p};
    enum err e = listener_open(p->loop, &options, &p->listener, ret_error);
    if (e != ERR_OK)
        return e;
    char text[ADDR_TEXT_BYTES];
    p->addr = listener_addr(p->listener);
    (void)snprintf(p->ns.client_url, sizeof p->ns.client_url, "%s%s",
                   p->addr.kind == ADDR_UNIX ? ""
                   : p->tls_app != NULL      ? "https://"
                                             : "http://",
                   addr_print(&p->addr, text));
    return ERR_OK;
}

static void open_link(struct etcd_plane *p, enum etcd_lane lane)
{
    struct etcd_link *l = &p->links[lane];
    l->handler = &link_events;
    l->hub = &p->hub;
    l->owner = p;
    l->upstream = p->options.upstream;
    l->upstreams = p->options.upstreams;
    l->is_kept = lane == ETCD_LANE_UNARY;
    l->lane = lane == ETCD_LANE_UNARY ? "unary" : "stream";
    etcd_link_open(l);
    p->open_parts++;
}

static void open_parts(struct etcd_plane *p)
{
    CHECK(uv_timer_init(&p->loop->uv, &p->timer) == 0);
    p->timer.data = p;
    p->open_parts++;
    p->auth.loop = p->loop;
    p->auth.user = p->options.user;
    p->auth.password = p->options.password;
    p->auth.owner = p;
    p->auth.link = &p->links[ETCD_LANE_UNARY];
    p->auth.on_done = on_authenticated;
    p->auth.on_failed = on_auth_failed;
    p->auth.on_closed = on_auth_closed;
    etcd_auth_open(&p->auth);
    p->open_parts++;
    p->enroll.loop = p->loop;
    p->enroll.auth = &p->auth;
    p->enroll.root = p->options.key_root;
    p->enroll.path = p->options.ns;
    p->enroll.ns = &p->ns;
    p->enroll.patterns = p->options.patterns;
    p->enroll.gc = p->options.gc;
    p->enroll.owner = p;
    p->enroll.link = &p->links[ETCD_LANE_UNARY];
    p->enroll.on_done = on_enrolled;
    p->enroll.on_failed = on_enroll_failed;
    p->enroll.on_alone = on_unary_alone;
    p->enroll.on_closed = on_enroll_closed;
    etcd_enroll_open(&p->enroll);
    p->open_parts++;
    p->leader = (struct leader_watch){.owner = p,
                                      .link = &p->links[ETCD_LANE_STREAM],
                                      .loop = p->loop,
                                      .on_alone = on_stream_alone,
                                      .on_closed = on_leader_closed};
    leader_watch_open(&p->leader);
    p->open_parts++;
    p->version.link = &p->links[ETCD_LANE_UNARY];
    p->version.auth = &p->auth;
    open_link(p, ETCD_LANE_UNARY);
    open_link(p, ETCD_LANE_STREAM);
}

enum err etcd_plane_open(struct loop *l, const struct etcd_plane_options *options,
                         struct etcd_plane **ret_plane, struct buf *ret_error)
{
    enum err e = check_upstreams(options, ret_error);
    if (e != ERR_OK)
        return e;
    struct etcd_plane *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    p->options = *options;
    p->loop = l;
    p->waiting_end = &p->waiting;
    e = h2_hub_init(&p->hub, l);
    if (e == ERR_OK)
        e = init_ns(p);
    if (e == ERR_OK)
        e = init_tls(p, ret_error);
    if (e == ERR_OK && p->options.gc == NULL)
        e = open_listener(p, ret_error);
    if (e != ERR_OK) {
        h2_hub_deinit(&p->hub);
        release(p);
        return e;
    }
    p->hub.tls_up = p->tls_up;
    open_parts(p);
    *ret_plane = p;
    return ERR_OK;
}

static bool is_other(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) != 0;
}

enum err etcd_plane_reload(struct etcd_plane *p, const struct etcd_plane_options *options,
                           struct buf *ret_error)
{
    enum err e = init_tls_up(p, options, ret_error);
    if (e != ERR_OK)
        return e;
    bool is_other_user = is_other(p->auth.user, options->user) ||
                         is_other(p->auth.password, options->password);
    p->hub.tls_up = p->tls_up;
    p->options.upstream = options->upstream;
    p->options.upstreams = options->upstreams;
    p->options.user = options->user;
    p->options.password = options->password;
    set_user(p);
    p->auth.user = options->user; /* the old text may go */
    p->auth.password = options->password;
    if (is_other_user)
        etcd_auth_begin_anew(&p->auth);
    for (unsigned lane = 0; lane < ETCD_LANES; lane++)
        etcd_link_readdress(&p->links[lane], options->upstream, options->upstreams);
    watch_leader(p);
    return ERR_OK;
}

/* One part more is closed; with the last one the plane goes. */
static void close_if_done(struct etcd_plane *p)
{
    CHECK(p->open_parts > 0);
    if (--p->open_parts != 0)
        return;
    etcd_stream_free_spare(p);
    h2_hub_deinit(&p->hub);
    release(p);
}

static void on_timer_closed(uv_handle_t *handle)
{
    close_if_done(handle->data);
}

void etcd_plane_close(struct etcd_plane **plane)
{
    struct etcd_plane *p = *plane;
    *plane = NULL;
    if (p == NULL)
        return;
    p->is_closing = true;
    listener_close(&p->listener);
    for (struct h2_server *s = p->servers; s != NULL; s = s->next)
        h2_conn_end(&s->conn);
    etcd_auth_close(&p->auth);
    etcd_enroll_close(&p->enroll);
    leader_watch_close(&p->leader);
    etcd_version_deinit(&p->version);
    etcd_link_close(&p->links[ETCD_LANE_UNARY]);
    etcd_link_close(&p->links[ETCD_LANE_STREAM]);
    uv_close((uv_handle_t *)&p->timer, on_timer_closed);
}
