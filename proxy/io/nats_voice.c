/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_voice - a second upstream connection, for an application that does not want to hear itself.
 *
 *   application <--> c <----> server      requests, answers of JetStream's API, all else
 *                     \-> v --> server      those answers, published in the application's names
 *
 * With echo:false the server keeps from a connection what that connection publishes, and answers of
 * the API are published by us: so they are published by another one. It is dialled with the first
 * of them, to c's server and nowhere else (where a new configuration has come since, the index says
 * another one, perhaps: then c ends, and its client comes again), subscribes to nothing, and is a
 * nats_conn without an application: TLS, credentials and time limits are those of every other one.
 * Neither lives without the other: an answer that is lost would be a client's timeout.
 */
#include <stdlib.h>

#include "io/nats_conn_private.h"

static enum err open_voice(struct nats_conn *c)
{
    struct nats_conns *all = c->all;
    if (c->reloads != all->reloads)
        return ERR_UPSTREAM_LOST;
    struct nats_conn *v = calloc(1, sizeof *v);
    if (v == NULL)
        return ERR_NOMEM;
    v->is_voice = true;
    v->server = c->server;
    v->tried = 1;
    v->dialled_ns = uv_hrtime();
    struct tls_context *tls;
    const struct nats_server *server = &all->servers[c->server];
    enum err e = nats_conns_dial_tls(all, server, &tls);
    if (e == ERR_OK)
        e = tcp_dial_tls(&v->side[SIDE_UP], all->loop, server->addr, tls, &nats_conn_up_handler);
    if (e != ERR_OK) {
        free(v);
        return ERR_NOMEM;
    }
    nats_conn_link(v, all);
    v->voice_of = c;
    c->voice = v;
    return ERR_OK;
}

enum err nats_voice_speak(struct nats_conn *c)
{
    struct buf *aside = nats_session_aside(c->session);
    if (aside == NULL || buf_len(aside) == 0)
        return ERR_OK;
    enum err e = c->voice == NULL ? open_voice(c) : ERR_OK;
    if (e != ERR_OK || c->voice->state != STATE_OPEN)
        return e;
    count(&c->all->loop->counters, COUNTER_NATS_TX_UP, buf_len(aside));
    e = tcp_write(&c->voice->side[SIDE_UP], buf_span(aside));
    buf_deinit(aside);
    return e;
}

bool nats_voice_begin(struct nats_conn *v)
{
    struct span hello = SPAN_LIT("CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,"
                                 "\"name\":\"bulkhead\"}\r\n");
    struct nats_conn *c = v->voice_of;
    enum err e = nats_conn_feed(v, SIDE_APP, &hello);
    if (!nats_conn_goes_on(v, SIDE_APP, e))
        return false;
    if (c == NULL)
        return true;
    if (!nats_conn_goes_on(c, SIDE_UP, nats_voice_speak(c)))
        return false; /* and v with it */
    nats_conn_resume(c);
    return v->state == STATE_OPEN;
}

void nats_voice_cut(struct nats_conn *c)
{
    struct nats_conn *voice = c->voice, *of = c->voice_of;
    c->voice = c->voice_of = NULL;
    if (voice != NULL) {
        voice->voice_of = NULL;
        if (voice->state == STATE_OPEN)
            nats_conn_part(voice);
        else if (voice->state != STATE_CLOSING)
            nats_conn_abandon(voice);
    }
    if (of == NULL)
        return;
    of->voice = NULL;
    if (of->state != STATE_CLOSING)
        nats_conn_lost(of, SIDE_UP, ERR_UPSTREAM_LOST);
}
