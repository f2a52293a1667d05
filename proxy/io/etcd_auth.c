/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_auth.h"

#include "base/log.h"
#include "etcd/authenticate.h"

static const struct etcd_ask_handler asking;

static struct etcd_auth *of(struct etcd_ask *ask)
{
    return (struct etcd_auth *)(void *)((char *)ask - offsetof(struct etcd_auth, ask));
}

static void fail(struct etcd_auth *a, enum err error, struct span detail)
{
    char text[160];
    span_text(detail, text, sizeof text);
    if (error == ERR_CREDENTIALS)
        log_event(LOG_ERROR,
                  "etcd refuses the sidecar's user or password: see --etcd-user and "
                  "BULKHEAD_ETCD_PASSWORD",
                  "user", a->user, "etcd", text, NULL);
    else
        log_event(LOG_WARN, "etcd gives the sidecar no token", "user", a->user, "reason",
                  err_info(error)->text, "etcd", text, NULL);
    etcd_ask_back_off(&a->ask);
    a->error = error;
    a->on_failed(a);
}

/* -- the request -- */
static enum err ask(struct etcd_auth *a)
{
    enum err e = etcd_ask_begin(&a->ask);
    if (e == ERR_OK)
        e = authenticate_write(span_str(a->user), span_str(a->password), &a->ask.request);
    return e == ERR_OK ? etcd_ask_send(&a->ask, SPAN_LIT(AUTHENTICATE_METHOD)) : e;
}

bool etcd_auth_allows(const struct etcd_auth *a, enum etcd_lane lane)
{
    if (!etcd_auth_is_on(a))
        return true;
    if (!a->has_token || lane == ETCD_LANE_UNARY)
        return a->has_token;
    return a->is_fresh && loop_now_ms(a->loop) - a->got_ms < LIMIT_ETCD_TOKEN_FRESH_MS;
}

void etcd_auth_want(struct etcd_auth *a, enum etcd_lane lane)
{
    struct h2_client *client = etcd_link_client(a->link);
    if (client == NULL || client->conn.ending || a->ask.state != ETCD_ASK_IDLE ||
        etcd_auth_allows(a, lane))
        return;
    if (ask(a) != ERR_OK)
        etcd_ask_back_off(&a->ask); /* no memory, or no stream ids: the next try comes by itself */
}

/* -- its reply -- */
static void got(struct etcd_auth *a)
{
    etcd_ask_forget(&a->ask);
    a->ask.backoff_ms = 0;
    a->error = ERR_OK;
    a->has_token = a->is_fresh = true;
    a->got_ms = loop_now_ms(a->loop);
    a->number++;
    a->on_done(a);
}

static enum err on_message(struct etcd_ask *ask, struct span message)
{
    struct etcd_auth *a = of(ask);
    struct span token;
    enum err e = authenticate_read(message, &token);
    buf_consume(&a->token, buf_len(&a->token));
    return e == ERR_OK ? buf_append(&a->token, token) : e;
}

static void on_answer(struct etcd_ask *ask)
{
    log_event(LOG_INFO, "authenticated to etcd", "user", of(ask)->user, NULL);
    got(of(ask));
}

static void on_refused(struct etcd_ask *ask, int status, struct span text)
{
    struct etcd_auth *a = of(ask);
    switch (authenticate_refusal(status, text)) {
    case AUTHENTICATE_REFUSED:
        a->has_token = false;
        fail(a, ERR_CREDENTIALS, text);
        return;
    case AUTHENTICATE_LATER:
        fail(a, ERR_NO_UPSTREAM, text);
        return;
    case AUTHENTICATE_OFF:
        break;
    }
    if (a->number == 0 || buf_len(&a->token) != 0)
        log_event(LOG_WARN, "this etcd asks nobody for user and password: --etcd-user is not used",
                  NULL);
    buf_deinit(&a->token);
    got(a);
}

static void on_failed(struct etcd_ask *ask, enum err e)
{
    struct etcd_auth *a = of(ask);
    bool is_late = e == ERR_DEADLINE;
    a->has_token = a->has_token && is_late; /* else it may have been half replaced */
    fail(a, is_late || e == ERR_NOMEM ? e : ERR_UPSTREAM_PROTOCOL, SPAN_NONE);
}

static void on_lost(struct etcd_ask *ask)
{
    /* At once, if its connection had been retired; else the link comes back, and asks. */
    etcd_auth_want(of(ask), ETCD_LANE_STREAM);
}

/* -- the token -- */
void etcd_auth_on_link(struct etcd_auth *a, enum etcd_lane lane)
{
    if ((a->seen >> lane & 1u) != 0)
        a->is_fresh = false;
    a->seen |= 1u << lane;
    etcd_auth_want(a, ETCD_LANE_UNARY);
}

bool etcd_auth_is_stale(struct etcd_auth *a, unsigned number, int status, struct span text)
{
    if (!etcd_auth_is_on(a) || !authenticate_is_stale(status, text, buf_len(&a->token) != 0))
        return false;
    etcd_auth_forget(a, number);
    return true;
}

void etcd_auth_begin_anew(struct etcd_auth *a)
{
    etcd_ask_forget(&a->ask); /* also ends a wait */
    a->ask.backoff_ms = 0;
    a->has_token = a->is_fresh = false;
    a->error = ERR_OK;
    etcd_auth_want(a, ETCD_LANE_UNARY);
}

bool etcd_auth_is_old(const struct etcd_auth *a, unsigned number)
{
    return etcd_auth_is_on(a) &&
           (number != a->number || loop_now_ms(a->loop) - a->got_ms >= LIMIT_ETCD_TOKEN_NEW_MS);
}

void etcd_auth_forget(struct etcd_auth *a, unsigned number)
{
    if (number == a->number)
        a->has_token = false;
}

size_t etcd_auth_field(const struct etcd_auth *a, nghttp2_nv *nv)
{
    if (!a->has_token || buf_len(&a->token) == 0)
        return 0;
    /* Indexed: each call says it again, and it is too long to be guessed (RFC 7541 7.1.3). */
    nv[0] = h2_nv(SPAN_LIT("token"), buf_span(&a->token), 0);
    return 1;
}

/* -- life -- */
static void on_again(struct etcd_ask *ask)
{
    etcd_auth_want(of(ask), ETCD_LANE_STREAM);
}

static void on_closed(struct etcd_ask *ask)
{
    of(ask)->on_closed(of(ask));
}

static const struct etcd_ask_handler asking = {.message_bytes = LIMIT_ETCD_TOKEN_BYTES + 1024,
                                               .on_message = on_message,
                                               .on_answer = on_answer,
                                               .on_refused = on_refused,
                                               .on_failed = on_failed,
                                               .on_lost = on_lost,
                                               .on_again = on_again,
                                               .on_closed = on_closed};

void etcd_auth_open(struct etcd_auth *a)
{
    a->ask.handler = &asking;
    a->ask.link = a->link;
    a->ask.loop = a->loop;
    etcd_ask_open(&a->ask);
}

void etcd_auth_close(struct etcd_auth *a)
{
    etcd_ask_close(&a->ask);
    buf_deinit(&a->token);
    a->has_token = false;
}
