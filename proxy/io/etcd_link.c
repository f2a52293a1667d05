/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_link.h"

#include "base/check.h"
#include "base/log.h"
#include "io/backoff.h"

static const struct h2_client_handler client_events;
static void on_timer(uv_timer_t *timer);

#define TO(state) (1u << ETCD_LINK_##state)
static const uint8_t moves[ETCD_LINK_STATES] = {
    [ETCD_LINK_IDLE] = TO(DIALLING) | TO(BACKOFF), /* BACKOFF: no memory to dial */
    [ETCD_LINK_DIALLING] = TO(DIALLING) | TO(USABLE) | TO(BACKOFF),
    [ETCD_LINK_USABLE] = TO(IDLE) | TO(DIALLING) | TO(BACKOFF),
    [ETCD_LINK_BACKOFF] = TO(IDLE) | TO(DIALLING) | TO(BACKOFF),
};
#undef TO

/* Enter a state; timer_ms 0: it ends by itself. */
static void move(struct etcd_link *l, enum etcd_link_state to, uint64_t timer_ms)
{
    CHECK((moves[l->state] >> to & 1u) != 0);
    l->state = to;
    l->since_ms = loop_now_ms(l->hub->loop);
    if (timer_ms == 0)
        uv_timer_stop(&l->timer);
    else
        uv_timer_start(&l->timer, on_timer, timer_ms, 0);
}

static void back_off(struct etcd_link *l)
{
    l->backoff_ms = backoff_next(l->backoff_ms);
    l->tried = 0;
    move(l, ETCD_LINK_BACKOFF, l->backoff_ms);
}

static void dial(struct etcd_link *l)
{
    enum err e = h2_client_open(l->hub, &l->upstream[l->at], &client_events, l, &l->clients);
    if (e != ERR_OK) {
        back_off(l);
        return;
    }
    l->current = l->clients;
    /* tcp bounds the connect; this also bounds the wait for SETTINGS. */
    move(l, ETCD_LINK_DIALLING, UINT64_C(2) * LIMIT_DIAL_MS);
}

static void on_timer(uv_timer_t *timer)
{
    struct etcd_link *l = timer->data;
    if (l->state == ETCD_LINK_DIALLING) {
        l->current->why = "the server did not answer in time";
        h2_client_close(l->current);
    } else if (l->state == ETCD_LINK_USABLE) {
        uv_timer_start(timer, on_timer, LIMIT_UPSTREAM_LOOK_MS, 0);
        h2_client_look(l->current);
    } else if (l->state == ETCD_LINK_BACKOFF) {
        if (l->is_kept || l->handler->is_wanted(l))
            dial(l);
        else
            move(l, ETCD_LINK_IDLE, 0);
    }
}

void etcd_link_want(struct etcd_link *l)
{
    if (l->is_closing)
        return;
    if (l->state == ETCD_LINK_IDLE)
        dial(l);
    if (l->state != ETCD_LINK_BACKOFF)
        return;
    uint64_t waited = loop_now_ms(l->hub->loop) - l->since_ms;
    uint64_t left = waited < LIMIT_BACKOFF_CALLED_MS ? LIMIT_BACKOFF_CALLED_MS - waited : 0;
    if (left < uv_timer_get_due_in(&l->timer))
        uv_timer_start(&l->timer, on_timer, left, 0);
}

bool etcd_link_takes_calls(const struct etcd_link *l)
{
    const struct h2_client *c = etcd_link_client(l);
    return c != NULL && !c->conn.ending;
}

/* -- what becomes of a connection -- */
static void on_usable(struct h2_client *c)
{
    struct etcd_link *l = c->owner;
    if (c != l->current)
        return;
    l->tried = 0;
    move(l, ETCD_LINK_USABLE, LIMIT_UPSTREAM_LOOK_MS);
    log_event(LOG_INFO, "connected to etcd", "peer", c->authority, "lane", l->lane, NULL);
    l->handler->on_usable(l);
}

static void on_retired(struct h2_client *c)
{
    struct etcd_link *l = c->owner;
    if (c != l->current)
        return;
    log_event(LOG_INFO, "etcd takes no more calls on this connection", "peer", c->authority, "lane",
              l->lane, NULL);
    l->current = NULL;
    move(l, ETCD_LINK_IDLE, 0);
    l->handler->on_retired(l);
    if (l->is_kept && !l->is_closing)
        dial(l);
}

static void close_if_done(struct etcd_link *l)
{
    if (l->is_closing && l->timer_closed && l->clients == NULL)
        l->handler->on_closed(l);
}

static void next_address(struct etcd_link *l)
{
    l->at = (l->at + 1) % l->upstreams;
}

static bool is_same(const struct addr *a, const struct addr *b)
{
    return a->kind == b->kind && a->port == b->port && strcmp(a->host, b->host) == 0 &&
           strcmp(a->path, b->path) == 0;
}

/* Leave the connection that is used now. A kept link's calls finish where they are; the other's are
 * streams, which go on elsewhere. */
static void leave(struct etcd_link *l, struct h2_client *c)
{
    if (l->is_kept)
        h2_client_retire(c);
    else
        h2_client_close(c); /* lost() goes on */
}

void etcd_link_readdress(struct etcd_link *l, const struct addr *upstream, unsigned n)
{
    struct h2_client *c = l->current;
    l->upstream = upstream;
    l->upstreams = n;
    l->at = l->tried = l->left_soon = 0;
    l->backoff_ms = 0;
    for (unsigned i = 0; c != NULL && i < n; i++)
        if (is_same(&c->addr, &upstream[i]))
            return;
    if (c == NULL || c->conn.ending || l->is_closing)
        return;
    log_event(LOG_INFO, "etcd's addresses have changed", "left", c->authority, "lane", l->lane,
              NULL);
    if (l->state == ETCD_LINK_USABLE)
        leave(l, c);
    else
        h2_client_close(c);
}

/* So long a member is used before it may be left. */
static uint64_t patience_ms(const struct etcd_link *l)
{
    uint64_t ms = LIMIT_UPSTREAM_DISTRUST_MS;
    for (unsigned n = l->left_soon; n >= l->upstreams && ms < LIMIT_UPSTREAM_DISTRUST_MAX_MS;
         n -= l->upstreams)
        ms *= 2;
    return ms;
}

void etcd_link_distrust(struct etcd_link *l, const struct addr *member)
{
    struct h2_client *c = etcd_link_client(l);
    uint64_t used_ms = loop_now_ms(l->hub->loop) - l->since_ms, enough_ms = patience_ms(l);
    if (c == NULL || c->conn.ending || l->is_closing || l->upstreams == 1 ||
        !is_same(&c->addr, member) || used_ms < enough_ms)
        return;
    /* Who has a complaint makes it again within the longest back-off. */
    l->left_soon = used_ms < enough_ms + LIMIT_BACKOFF_MAX_MS ? l->left_soon + 1 : 0;
    log_event(LOG_WARN, "this member of etcd cannot reach the others; the next address", "peer",
              c->authority, "lane", l->lane, NULL);
    if (l->is_kept)
        next_address(l);
    leave(l, c);
}

static void lost(struct etcd_link *l)
{
    next_address(l);
    bool soon = loop_now_ms(l->hub->loop) - l->since_ms < LIMIT_BACKOFF_MAX_MS;
    if (!soon)
        l->backoff_ms = 0;
    if (soon || !l->is_kept)
        back_off(l);
    else
        dial(l);
    l->handler->on_down(l);
}

static void dial_failed(struct etcd_link *l)
{
    count(&l->hub->loop->counters, COUNTER_ETCD_DIAL_FAIL, 1);
    next_address(l);
    if (++l->tried < l->upstreams) {
        dial(l);
        return;
    }
    back_off(l);
    l->handler->on_down(l);
}

static void on_gone(struct h2_client *c, bool was_usable, const char *why)
{
    struct etcd_link *l = c->owner;
    bool is_current = c == l->current;
    if (is_current)
        l->current = NULL;
    if (l->is_closing) {
        close_if_done(l);
        return;
    }
    if (!is_current)
        return;
    log_event(LOG_WARN, was_usable ? "connection to etcd lost" : "etcd cannot be reached", "peer",
              c->authority, "lane", l->lane, "reason", why, NULL);
    if (was_usable)
        lost(l);
    else
        dial_failed(l);
}

static const struct h2_client_handler client_events = {
    .on_usable = on_usable, .on_retired = on_retired, .on_gone = on_gone};

/* -- life -- */
void etcd_link_open(struct etcd_link *l)
{
    CHECK(uv_timer_init(&l->hub->loop->uv, &l->timer) == 0);
    l->timer.data = l;
    /* Sidecars of one installation do not all begin with the first address. */
    l->at = (unsigned)rng_below(&l->hub->loop->rng, l->upstreams);
    if (l->is_kept)
        dial(l);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct etcd_link *l = handle->data;
    l->timer_closed = true;
    close_if_done(l);
}

void etcd_link_close(struct etcd_link *l)
{
    l->is_closing = true;
    uv_close((uv_handle_t *)&l->timer, on_timer_closed);
    for (struct h2_client *c = l->clients; c != NULL; c = c->next)
        h2_client_close(c);
}
