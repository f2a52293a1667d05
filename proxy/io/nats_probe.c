/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_probe.c
 *
 *   IDLE --start--> DIALLING --connected--> GREETING --INFO--> ENDING --closed--> IDLE (good)
 *           ^           \--refused-----------> ENDING <--silent, other bytes--/
 *           |                                   |
 *           \-- next server, or --time-- WAITING --/   (not good)
 *
 * Each server once, then a wait that doubles. stop works in every state and leads to STOPPED.
 */
#include "io/nats_probe.h"

#include "base/check.h"
#include "base/log.h"
#include "io/deadline.h"

enum probe_state {
    STATE_IDLE,
    STATE_DIALLING,
    STATE_GREETING,
    STATE_ENDING,
    STATE_WAITING,
    STATE_STOPPED,
    STATE_COUNT
};

#define TO(state) (1u << STATE_##state)
static const uint8_t moves[STATE_COUNT] = {
    [STATE_IDLE] = TO(DIALLING) | TO(STOPPED),
    [STATE_DIALLING] = TO(GREETING) | TO(ENDING) | TO(WAITING), /* WAITING: no memory to dial */
    [STATE_GREETING] = TO(ENDING),
    [STATE_ENDING] = TO(IDLE) | TO(DIALLING) | TO(WAITING) | TO(STOPPED),
    [STATE_WAITING] = TO(DIALLING) | TO(IDLE) | TO(STOPPED),
};
#undef TO

static const char greeting[] = "INFO ";

static void move(struct nats_probe *p, enum probe_state to)
{
    CHECK((moves[p->state] >> to & 1u) != 0);
    p->state = (uint8_t)to;
    deadline_cancel(&p->timer);
}

static void end_attempt(struct nats_probe *p, const char *why)
{
    p->is_good = why == NULL;
    p->why = why;
    move(p, STATE_ENDING);
    tcp_close(&p->t);
}

static void on_silent(void *arg)
{
    end_attempt(arg, "the NATS upstream does not answer");
}

static const struct nats_server *server_of(const struct nats_probe *p)
{
    return &p->all->servers[p->server];
}

static void probe_connected(struct tcp *t)
{
    struct nats_probe *p = (struct nats_probe *)t;
    if (p->state == STATE_GREETING) {
        p->is_secured = true;
        tcp_read(t, true);
        if (tcp_write(t, SPAN_LIT("PING\r\n")) != ERR_OK)
            end_attempt(p, "out of memory");
        return;
    }
    move(p, STATE_GREETING);
    tcp_read(t, true);
    if (deadline_set(p->all->loop, LIMIT_DIAL_MS, on_silent, p, &p->timer) != ERR_OK)
        end_attempt(p, "out of memory");
}

static void start_tls(struct nats_probe *p)
{
    struct tls_context *tls = nats_conns_tls(p->all);
    tcp_read(&p->t, false);
    if (tls == NULL || tcp_start_tls(&p->t, tls, server_of(p)->addr->host) != ERR_OK)
        end_attempt(p, "TLS with the NATS upstream cannot be begun");
}

static void probe_read(struct tcp *t, struct span in)
{
    struct nats_probe *p = (struct nats_probe *)t;
    if (p->is_secured) {
        end_attempt(p, NULL);
        return;
    }
    for (size_t i = 0; i < in.n && p->matched < sizeof greeting - 1; i++, p->matched++)
        if (in.p[i] != (uint8_t)greeting[p->matched]) {
            end_attempt(p, "the NATS upstream speaks another protocol");
            return;
        }
    if (p->matched != sizeof greeting - 1)
        return;
    const struct nats_ns *ns = &server_of(p)->ns;
    if (!ns->tls_up || ns->tls_up_first)
        end_attempt(p, NULL);
    else if (memchr(in.p, '\n', in.n) != NULL)
        start_tls(p);
}

static void probe_ended(struct tcp *t, int status)
{
    char up[ADDR_TEXT_BYTES];
    struct nats_probe *p = (struct nats_probe *)t;
    log_event(LOG_INFO, "NATS server does not answer yet", "upstream",
              addr_print(server_of(p)->addr, up), "reason",
              status == 0 ? "closed by the server" : tcp_why(t, status), NULL);
    if (p->state == STATE_DIALLING)
        count(&p->all->loop->counters, COUNTER_NATS_DIAL_FAIL, 1);
    end_attempt(p, status == UV_EPROTO ? "TLS with the NATS upstream failed"
                                       : "the NATS upstream cannot be reached");
}

static void probe_drained(struct tcp *t)
{
    (void)t; /* it never writes */
}

static void attempt(struct nats_probe *p);

static void on_wait_over(void *arg)
{
    attempt(arg);
}

/* A round without success. The wait is between half and all of the backoff, so that the sidecars of
 * a restarted server do not come back in step. */
static void wait(struct nats_probe *p)
{
    struct loop *l = p->all->loop;
    p->tried = 0;
    p->backoff_ms = p->backoff_ms == 0 ? LIMIT_BACKOFF_MIN_MS : 2 * p->backoff_ms;
    if (p->backoff_ms > LIMIT_BACKOFF_MAX_MS)
        p->backoff_ms = LIMIT_BACKOFF_MAX_MS;
    unsigned half = p->backoff_ms / 2;
    move(p, STATE_WAITING);
    if (deadline_set(l, half + (unsigned)rng_below(&l->rng, half), on_wait_over, p, &p->timer) !=
        ERR_OK)
        move(p, STATE_IDLE); /* the next lost or failed connection starts it again */
    p->on_result(p, false, p->why);
}

static void probe_closed(struct tcp *t)
{
    struct nats_probe *p = (struct nats_probe *)t;
    if (p->is_stopping) {
        move(p, STATE_STOPPED);
        p->on_stopped(p);
    } else if (p->is_good) {
        p->backoff_ms = 0;
        p->all->good = p->server % p->all->server_count; /* there may be fewer since */
        move(p, STATE_IDLE);
        p->on_result(p, true, NULL);
    } else if (p->tried < p->all->server_count) {
        attempt(p);
    } else {
        wait(p);
    }
}

static const struct tcp_handler handler = {.on_connected = probe_connected,
                                           .on_read = probe_read,
                                           .on_drained = probe_drained,
                                           .on_end = probe_ended,
                                           .on_closed = probe_closed};

static void attempt(struct nats_probe *p)
{
    struct nats_conns *all = p->all;
    p->server = (all->good + p->tried) % all->server_count;
    p->tried++;
    p->matched = 0;
    p->is_secured = false;
    p->t = (struct tcp){0};
    move(p, STATE_DIALLING);
    struct tls_context *tls;
    enum err e = nats_conns_dial_tls(all, server_of(p), &tls);
    if (e == ERR_OK)
        e = tcp_dial_tls(&p->t, all->loop, server_of(p)->addr, tls, &handler);
    if (e != ERR_OK) {
        p->why = e == ERR_CONFIG ? "TLS with the NATS upstream cannot be begun" : "out of memory";
        wait(p);
    }
}

void nats_probe_start(struct nats_probe *p)
{
    if (p->state != STATE_IDLE || p->is_stopping)
        return;
    p->tried = 0;
    attempt(p);
}

void nats_probe_stop(struct nats_probe *p)
{
    p->is_stopping = true;
    if (p->state == STATE_DIALLING || p->state == STATE_GREETING) {
        end_attempt(p, "stopped");
    } else if (p->state == STATE_IDLE || p->state == STATE_WAITING) {
        move(p, STATE_STOPPED);
        p->on_stopped(p);
    }
}
