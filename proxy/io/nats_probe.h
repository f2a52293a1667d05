/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_probe - does a NATS server answer? Dials, waits for the first bytes of its INFO, closes;
 * again with backoff until one does. Where TLS is wanted it must stand, and the server must answer
 * a PING in it: only then has it accepted our certificate. Private to the NATS plane, embedded in
 * it.
 */
#ifndef IO_NATS_PROBE_H
#define IO_NATS_PROBE_H

#include "io/nats_conn.h"
#include "io/tcp.h"

struct nats_probe {
    struct tcp t;
    struct nats_conns *all; /* shares: loop and servers */
    /* After each round: a server answered; or none of them did, and why the last one (static). */
    void (*on_result)(struct nats_probe *p, bool is_good, const char *why);
    void (*on_stopped)(struct nats_probe *p); /* after nats_probe_stop, once */
    struct deadline *timer;
    unsigned server, tried, backoff_ms, matched;
    uint8_t state; /* enum probe_state, nats_probe.c */
    bool is_good, is_stopping;
    bool is_secured; /* TLS stands */
    const char *why;
};

/* all, on_result and on_stopped are set, the rest is zeroed. Begin now; nothing happens while one
 * is under way or waits. */
void nats_probe_start(struct nats_probe *p);
/* End; on_stopped follows, from the loop or at once if there is nothing to close. */
void nats_probe_stop(struct nats_probe *p);

#endif
