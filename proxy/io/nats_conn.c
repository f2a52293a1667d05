/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_conn.c
 *
 *   DIALLING --connected--> GREETING --INFO, TLS if it is wanted--> OPEN --end--> CLOSING --> freed
 *    ^  \--refused: next     |                                       (error, loss)
 *    |__/  none left: CLOSING \--silent for LIMIT_DIAL_MS, not NATS, no TLS: CLOSING
 *
 * TLS (design.md 5.4): the server's INFO, and ours to the application, go out in plaintext and say
 * that everything after them is TLS. Where the server is told to shake hands first, tcp's dial does
 * it.
 *
 * Happy path: accept, dial, session, feed and flush in both directions, the application closes,
 * what it said last goes up, both sockets close. Ways it ends: either side closes or resets, either
 * side sends what is not NATS, no server can be reached, no memory, the plane closes.
 *
 * Back-pressure: a side is read only while the other side's output is at most LIMIT_OUT_HIGH_BYTES.
 * What a session could not take of a read is kept here, at most one read. A side whose own output
 * grows although the other one says nothing (answers to its own mistakes) is read up to
 * LIMIT_OUT_OWN_BYTES; the mark is higher so that a client that writes before it reads cannot block
 * itself.
 */
#include "io/nats_conn_private.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/log.h"

static const enum counter rx[SIDES] = {COUNTER_NATS_RX_APP, COUNTER_NATS_RX_UP};
static const enum counter tx[SIDES] = {COUNTER_NATS_TX_APP, COUNTER_NATS_TX_UP};

/* ---- states ---- */

#define TO(state) (1u << STATE_##state)
static const uint8_t moves[STATE_COUNT] = {
    [STATE_DIALLING] = TO(GREETING) | TO(CLOSING),
    [STATE_GREETING] = TO(OPEN) | TO(CLOSING),
    [STATE_OPEN] = TO(CLOSING),
};
#undef TO

static void move(struct nats_conn *c, enum nats_conn_state to)
{
    CHECK((moves[c->state] >> to & 1u) != 0);
    c->state = (uint8_t)to;
    deadline_cancel(&c->greeting);
    if (to != STATE_CLOSING)
        return;
    nats_voice_cut(c);
    nats_session_free(&c->session);
    buf_deinit(&c->kept[SIDE_APP]);
    buf_deinit(&c->kept[SIDE_UP]);
}

static struct nats_conn *conn_of(struct tcp *t, enum nats_side side)
{
    return (struct nats_conn *)(void *)((char *)t - offsetof(struct nats_conn, side) -
                                        side * sizeof *t);
}

static enum nats_side other(enum nats_side side)
{
    return side == SIDE_APP ? SIDE_UP : SIDE_APP;
}

static const struct nats_server *server_of(const struct nats_conn *c)
{
    return &c->all->servers[c->server];
}

static void log_conn(enum log_level level, const char *msg, const struct nats_conn *c,
                     const char *reason)
{
    char app[ADDR_TEXT_BYTES], up[ADDR_TEXT_BYTES];
    if (log_is_on(level))
        log_event(level, msg, "plane", "nats", "reason", reason, "upstream",
                  addr_print(server_of(c)->addr, up), "app",
                  tcp_peer(&(c->voice_of != NULL ? c->voice_of : c)->side[SIDE_APP], app), NULL);
}

/* ---- TLS ---- */

struct tls_context *nats_conns_tls(struct nats_conns *all)
{
    struct buf error = {0};
    if (all->tls_up != NULL)
        return all->tls_up;
    enum err e = tls_context_new(&all->tls, &all->tls_up, &error);
    if (e != ERR_OK) {
        if (buf_append_byte(&error, '\0') != ERR_OK)
            e = ERR_NOMEM;
        log_event(LOG_ERROR, "no TLS with NATS servers", "reason",
                  e == ERR_NOMEM ? err_info(e)->text : (const char *)buf_span(&error).p, NULL);
    }
    buf_deinit(&error);
    return all->tls_up;
}

enum err nats_conns_dial_tls(struct nats_conns *all, const struct nats_server *server,
                             struct tls_context **ret_tls)
{
    *ret_tls = server->ns.tls_up_first ? nats_conns_tls(all) : NULL;
    return server->ns.tls_up_first && *ret_tls == NULL ? ERR_CONFIG : ERR_OK;
}

void nats_conns_take_auth(struct nats_conns *all)
{
    for (unsigned i = 0; i < all->server_count; i++)
        nats_auth_give(all->auth, &all->servers[i].ns);
}

/* ---- ends ---- */

static bool is_gone(const struct tcp *t)
{
    return t->state == TCP_STATE_NEW || t->state == TCP_STATE_CLOSED;
}

static void release(struct nats_conn *c)
{
    struct nats_conns *all = c->all;
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    all->n--;
    all->loop->connections--;
    gauge_add(&all->loop->counters, GAUGE_NATS_CONNS, c->is_voice ? 0 : -1);
    free(c);
    all->on_released(all);
}

void nats_conn_abandon(struct nats_conn *c)
{
    if (c->state == STATE_CLOSING)
        return;
    move(c, STATE_CLOSING);
    tcp_close(&c->side[SIDE_APP]);
    tcp_close(&c->side[SIDE_UP]);
}

void nats_conns_close(struct nats_conns *all)
{
    for (struct nats_conn *c = all->first; c != NULL; c = c->next) {
        if (c->state != STATE_CLOSING)
            move(c, STATE_CLOSING);
        tcp_close(&c->side[SIDE_APP]);
        tcp_close(&c->side[SIDE_UP]);
    }
}

/* ---- bytes ---- */

static void lend_scratch(struct nats_conn *c)
{
    for (enum nats_side side = 0; side < SIDES; side++) {
        struct buf *out = nats_session_out(c->session, side);
        if (out->data == NULL) {
            *out = c->all->scratch[side];
            c->all->scratch[side] = (struct buf){0};
        }
    }
}

static void take_scratch_back(struct nats_conn *c)
{
    for (enum nats_side side = 0; side < SIDES; side++) {
        struct buf *out = nats_session_out(c->session, side);
        struct buf *scratch = &c->all->scratch[side];
        buf_deinit(scratch);
        *scratch = *out; /* flushed: empty */
        *out = (struct buf){0};
        if (scratch->cap > 2 * LIMIT_OUT_HIGH_BYTES + LIMIT_READ_BYTES)
            buf_deinit(scratch);
    }
}

/* What the session wrote, to the sockets. */
static enum err flush(struct nats_conn *c)
{
    enum err e = ERR_OK;
    for (enum nats_side side = 0; side < SIDES; side++) {
        struct buf *out = nats_session_out(c->session, side);
        size_t n = buf_len(out);
        if (n == 0)
            continue;
        count(&c->all->loop->counters, tx[side], n);
        bool is_heard = side == SIDE_UP || !c->is_voice;
        if (is_heard && tcp_write(&c->side[side], buf_span(out)) != ERR_OK)
            e = ERR_NOMEM;
        buf_consume(out, n);
    }
    enum err spoken = nats_voice_speak(c);
    return e == ERR_OK ? spoken : e;
}

static bool has_room(const struct nats_conn *c, enum nats_side side)
{
    return tcp_queued(&c->side[other(side)]) <= LIMIT_OUT_HIGH_BYTES &&
           tcp_queued(&c->side[side]) <= LIMIT_OUT_OWN_BYTES &&
           (c->voice == NULL || tcp_queued(&c->voice->side[SIDE_UP]) <= LIMIT_OUT_HIGH_BYTES);
}

enum err nats_conn_feed(struct nats_conn *c, enum nats_side side, struct span *in)
{
    enum err e;
    lend_scratch(c);
    do {
        size_t used = 0;
        e = nats_session_feed(c->session, side, *in, &used);
        *in = span_skip(*in, used);
        enum err flushed = flush(c);
        if (e == ERR_OK)
            e = flushed;
        if (used == 0)
            break;
    } while (e == ERR_OK && in->n != 0 && !nats_session_is_closing(c->session) &&
             has_room(c, side));
    take_scratch_back(c);
    return e;
}

static void update_reading(struct nats_conn *c)
{
    for (enum nats_side side = 0; side < SIDES; side++)
        tcp_read(&c->side[side], buf_len(&c->kept[side]) == 0 && has_room(c, side) &&
                                     nats_session_wants_read(c->session, side));
}

void nats_conn_part(struct nats_conn *c)
{
    move(c, STATE_CLOSING);
    tcp_close_when_sent(&c->side[SIDE_APP]);
    tcp_close_when_sent(&c->side[SIDE_UP]);
}

void nats_conn_lost(struct nats_conn *c, enum nats_side side, enum err e)
{
    nats_session_lost(c->session, side, e);
    if (flush(c) != ERR_OK) {
        nats_conn_abandon(c);
        return;
    }
    move(c, STATE_CLOSING);
    tcp_close(&c->side[side]);
    tcp_close_when_sent(&c->side[other(side)]);
}

/* is_broken: it answered, but nobody can work with it. */
static void not_good(struct nats_conn *c, bool is_broken)
{
    struct nats_conns *all = c->all;
    if (c->state == STATE_GREETING || is_broken) {
        all->good = (c->server + 1) % all->server_count;
        all->on_dialled(all, false);
    } else {
        all->on_lost(all);
    }
}

static void log_bad_bytes(const struct nats_conn *c, enum nats_side side, enum err e)
{
    const char *reason = err_info(e)->text;
    if (side == SIDE_APP && c->spoke_tls)
        log_conn(LOG_WARN, "application connection ended: it speaks TLS to the plaintext port", c,
                 "use nats:// without TLS there, or give the sidecar --nats-listen-cert");
    else if (side == SIDE_APP)
        log_conn(LOG_WARN, "application connection ended: it does not speak NATS as it should", c,
                 reason);
    else if (c->state == STATE_GREETING)
        log_conn(LOG_ERROR, "upstream does not speak NATS; check --nats-upstream", c, reason);
    else
        log_conn(LOG_ERROR, "upstream sent bytes that do not parse", c, reason);
}

bool nats_conn_goes_on(struct nats_conn *c, enum nats_side side, enum err e)
{
    if (e == ERR_NOMEM) {
        log_conn(LOG_ERROR, "connection ended: out of memory", c, err_info(e)->text);
        nats_conn_abandon(c);
        return false;
    }
    if (e == ERR_UPSTREAM_LOST) {
        log_conn(LOG_INFO, "connection ended: its answers need a second one to its server", c,
                 "the configuration was loaded again since");
        nats_conn_abandon(c);
        return false;
    }
    if (e == ERR_OK && !nats_session_is_closing(c->session))
        return true;
    if (e != ERR_OK)
        log_bad_bytes(c, side, e);
    if (side == SIDE_UP)
        not_good(c, false);
    nats_conn_part(c);
    return false;
}

/* False: c has ended. */
static bool greeted(struct nats_conn *c)
{
    struct nats_conns *all = c->all;
    move(c, STATE_OPEN);
    count_latency(&all->loop->counters, LATENCY_NATS, (uv_hrtime() - c->dialled_ns) / 1000);
    all->good = c->server;
    all->on_dialled(all, true);
    return !c->is_voice || nats_voice_begin(c);
}

/* What was kept goes on when there is room, or when the other side's words made the session want
 * it. False if c ended. */
static bool feed_kept(struct nats_conn *c)
{
    bool moved;
    do {
        moved = false;
        for (enum nats_side side = 0; side < SIDES; side++) {
            struct buf *kept = &c->kept[side];
            struct span in = buf_span(kept);
            if (in.n == 0 || !has_room(c, side) || !nats_session_wants_read(c->session, side))
                continue;
            enum err e = nats_conn_feed(c, side, &in);
            if (!nats_conn_goes_on(c, side, e))
                return false;
            moved = moved || in.n != buf_len(kept);
            buf_consume(kept, buf_len(kept) - in.n);
            if (in.n == 0)
                buf_deinit(kept);
        }
    } while (moved);
    return true;
}

void nats_conn_resume(struct nats_conn *c)
{
    if (feed_kept(c))
        update_reading(c);
}

/* The session wants TLS behind what it has said so far. rest: input that it did not take. False: c
 * has ended. */
static bool start_tls(struct nats_conn *c, struct span rest)
{
    struct nats_conns *all = c->all;
    enum err e = ERR_OK;
    if (nats_session_wants_tls(c->session, SIDE_APP)) {
        e = tcp_start_tls(&c->side[SIDE_APP], all->tls_app, NULL);
        nats_session_secured(c->session, SIDE_APP); /* tcp keeps the order from here on */
    }
    if (e == ERR_OK && nats_session_wants_tls(c->session, SIDE_UP)) {
        struct tls_context *tls = rest.n == 0 ? nats_conns_tls(all) : NULL;
        if (tls == NULL) {
            log_conn(LOG_ERROR, "TLS with the NATS server failed", c,
                     rest.n == 0 ? "" : "bytes in plaintext behind an INFO that asks for TLS");
            not_good(c, true);
            nats_conn_lost(c, SIDE_UP, ERR_NATS_TLS);
            return false;
        }
        deadline_cancel(&c->greeting); /* tcp has its own from here on */
        e = tcp_start_tls(&c->side[SIDE_UP], tls, server_of(c)->addr->host);
    }
    return e == ERR_OK || nats_conn_goes_on(c, SIDE_UP, e);
}

static void on_read(struct nats_conn *c, enum nats_side side, struct span in)
{
    count(&c->all->loop->counters, rx[side], in.n);
    if (side == SIDE_APP && !c->has_spoken) {
        c->has_spoken = true;
        c->spoke_tls = in.p[0] == 0x16; /* RFC 8446 5.1: a handshake record */
    }
    enum err e = nats_conn_feed(c, side, &in);
    if (!nats_conn_goes_on(c, side, e) || !start_tls(c, in))
        return;
    if (in.n != 0 && buf_append(&c->kept[side], in) != ERR_OK) {
        nats_conn_goes_on(c, side, ERR_NOMEM);
        return;
    }
    if (c->state == STATE_GREETING && nats_session_wants_read(c->session, SIDE_APP) && !greeted(c))
        return;
    nats_conn_resume(c);
}

static void on_drained(struct nats_conn *c)
{
    nats_conn_resume(c->is_voice && c->voice_of != NULL ? c->voice_of : c);
}

/* ---- the upstream ---- */

static void dial(struct nats_conn *c)
{
    struct nats_conns *all = c->all;
    if (c->tried >= all->server_count) { /* there may be fewer since */
        log_conn(LOG_WARN, "connection closed: no NATS server can be reached", c, "all were tried");
        nats_conn_abandon(c);
        all->on_dialled(all, false);
        return;
    }
    if (c->tried != 0)
        c->server = (uint8_t)((c->server + 1u) % all->server_count);
    c->tried++;
    c->side[SIDE_UP] = (struct tcp){0};
    c->dialled_ns = uv_hrtime();
    c->reloads = all->reloads;
    struct tls_context *tls;
    enum err e = nats_conns_dial_tls(all, server_of(c), &tls);
    if (e == ERR_OK)
        e = tcp_dial_tls(&c->side[SIDE_UP], all->loop, server_of(c)->addr, tls,
                         &nats_conn_up_handler);
    if (e == ERR_CONFIG)
        nats_conn_abandon(c);
    else if (e != ERR_OK)
        nats_conn_goes_on(c, SIDE_UP, e);
}

static void on_silent(void *arg)
{
    struct nats_conn *c = arg;
    log_conn(LOG_ERROR, "upstream does not speak NATS; check --nats-upstream", c,
             "connected, but no INFO came");
    not_good(c, false);
    nats_conn_lost(c, SIDE_UP, ERR_UPSTREAM_PROTOCOL);
}

static void up_connected(struct tcp *t)
{
    struct nats_conn *c = conn_of(t, SIDE_UP);
    struct nats_conns *all = c->all;
    if (c->state == STATE_GREETING) { /* TLS stands */
        nats_session_secured(c->session, SIDE_UP);
        if (greeted(c))
            update_reading(c);
        return;
    }
    count(&all->loop->counters, COUNTER_NATS_CONNS_UP, 1);
    move(c, STATE_GREETING);
    if (nats_session_new(&server_of(c)->ns, &c->session) != ERR_OK ||
        deadline_set(all->loop, LIMIT_DIAL_MS, on_silent, c, &c->greeting) != ERR_OK) {
        log_conn(LOG_ERROR, "connection ended: out of memory", c, "");
        nats_conn_abandon(c);
        return;
    }
    if (c->is_voice)
        nats_session_be_voice(c->session);
    update_reading(c);
}

static void up_ended(struct tcp *t, int status)
{
    struct nats_conn *c = conn_of(t, SIDE_UP);
    const char *reason = status == 0 ? "closed by the server" : tcp_why(t, status);
    if (c->state == STATE_GREETING && status == 0)
        reason = "closed by the server without a word; if its TLS says handshake_first, give the "
                 "sidecar --nats-tls first";
    if (c->state == STATE_DIALLING) {
        count(&c->all->loop->counters, COUNTER_NATS_DIAL_FAIL, 1);
        log_conn(LOG_WARN, "NATS server cannot be reached", c, reason);
        if (c->is_voice)
            move(c, STATE_CLOSING); /* another server would not do */
        tcp_close(t);               /* up_closed dials the next one */
        return;
    }
    bool is_tls = status == UV_EPROTO || (status == UV_ETIMEDOUT && c->state == STATE_GREETING);
    if (is_tls)
        log_conn(LOG_ERROR, "TLS with the NATS server failed", c, reason);
    else
        log_conn(LOG_WARN, "upstream lost; the application's connection is closed", c, reason);
    not_good(c, is_tls);
    nats_conn_lost(c, SIDE_UP, is_tls ? ERR_NATS_TLS : ERR_UPSTREAM_LOST);
}

static void closed(struct nats_conn *c)
{
    if (is_gone(&c->side[SIDE_APP]) && is_gone(&c->side[SIDE_UP]))
        release(c);
}

static void up_closed(struct tcp *t)
{
    struct nats_conn *c = conn_of(t, SIDE_UP);
    if (c->state == STATE_DIALLING)
        dial(c);
    else
        closed(c);
}

static void up_read(struct tcp *t, struct span in)
{
    on_read(conn_of(t, SIDE_UP), SIDE_UP, in);
}

static void up_drained(struct tcp *t)
{
    on_drained(conn_of(t, SIDE_UP));
}

const struct tcp_handler nats_conn_up_handler = {.on_connected = up_connected,
                                                 .on_read = up_read,
                                                 .on_drained = up_drained,
                                                 .on_end = up_ended,
                                                 .on_closed = up_closed};

/* ---- the application ---- */

static void app_read(struct tcp *t, struct span in)
{
    on_read(conn_of(t, SIDE_APP), SIDE_APP, in);
}

static void app_drained(struct tcp *t)
{
    on_drained(conn_of(t, SIDE_APP));
}

/* It is read, and written to, only when there is a session. */
static void app_ended(struct tcp *t, int status)
{
    struct nats_conn *c = conn_of(t, SIDE_APP);
    log_conn(LOG_DEBUG, "application closed its connection", c,
             status == 0 ? "" : uv_strerror(status));
    nats_conn_lost(c, SIDE_APP, ERR_IO);
}

static void app_closed(struct tcp *t)
{
    closed(conn_of(t, SIDE_APP));
}

static const struct tcp_handler app_handler = {
    .on_read = app_read, .on_drained = app_drained, .on_end = app_ended, .on_closed = app_closed};

void nats_conn_link(struct nats_conn *c, struct nats_conns *all)
{
    c->all = all;
    c->next = all->first;
    c->link = &all->first;
    if (c->next != NULL)
        c->next->link = &c->next;
    all->first = c;
    all->n++;
    all->loop->connections++;
}

enum err nats_conn_open(struct nats_conns *all, uv_stream_t *server)
{
    struct nats_conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ERR_NOMEM;
    if (nats_auth_refresh(all->auth))
        nats_conns_take_auth(all);
    c->server = (uint8_t)all->good;
    nats_conn_link(c, all);
    gauge_add(&all->loop->counters, GAUGE_NATS_CONNS, 1);
    if (tcp_accept(&c->side[SIDE_APP], all->loop, server, &app_handler) != ERR_OK) {
        nats_conn_abandon(c); /* gone before it was taken; app_closed follows */
        return ERR_OK;
    }
    count(&all->loop->counters, COUNTER_NATS_CONNS, 1);
    dial(c);
    return ERR_OK;
}
