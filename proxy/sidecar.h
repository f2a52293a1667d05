/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar - both planes and the other listeners on one loop: what `serve` and `run` have in common.
 *
 *   OPEN --sidecar_drain--> DRAINING --idle, or drain_ms over--> CLOSED
 *     └----------------------sidecar_close----------------------> CLOSED
 *
 * Happy path: sidecar_open binds everything, sidecar_run turns the loop, a signal drains, the loop
 * runs empty, sidecar_run returns. Whoever uses it closes its own handles when it closes the
 * sidecar.
 */
#ifndef SIDECAR_H
#define SIDECAR_H

#include "config.h"
#include "io/loop.h"

enum sidecar_state { SIDECAR_OPEN, SIDECAR_DRAINING, SIDECAR_CLOSED };

struct sidecar {
    const struct config *config; /* borrowed; sidecar_reload changes it */
    struct loop loop;
    struct etcd_plane *etcd; /* NULL where off */
    struct nats_plane *nats;
    struct admin *admin, *control; /* the health listener and the admin listener */
    struct intercept *intercept;
    enum sidecar_state state;
    uv_timer_t drain; /* looks whether the planes are idle */
    uint64_t drain_end_ms, quiet_since_ms, nats_bytes;
    void (*on_closed)(void *arg); /* called in sidecar_close; may be NULL */
    void *arg;
};

/* Bind all listeners. ERR_CONFIG: error says which address and why. On failure there is nothing
 * left to close. */
/* Are the TLS files of the configuration usable? ERR_CONFIG: error says which is not. */
enum err sidecar_check_files(const struct config *config, struct buf *error) ATTR_MUST_USE;
enum err sidecar_open(struct sidecar *s, const struct config *config,
                      struct buf *error) ATTR_MUST_USE;
/* Take over what next says otherwise and needs no restart (config_reload has seen to that):
 * upstreams, credentials, limits, log, drain. The configuration of sidecar_open() stays borrowed
 * for the rest; one that was reloaded before is not any more. ERR_CONFIG: error says why, and
 * nothing has changed. */
enum err sidecar_reload(struct sidecar *s, const struct config *next,
                        struct buf *error) ATTR_MUST_USE;
/* Not ready any more, and close when it is done (design.md 7.5). native: no new connections; calls
 * finish, streams that never would are ended. classic: all goes on until no application has been
 * connected for drain_quiet_ms. Nothing happens unless OPEN. */
void sidecar_drain(struct sidecar *s);
/* End everything now. Nothing happens if CLOSED. */
void sidecar_close(struct sidecar *s);
/* Until closed. 0, or -1 if the loop did not end clean. */
int sidecar_run(struct sidecar *s);

/* "HOST:PORT" where each is bound, "" where off. */
struct sidecar_places {
    char etcd[ADDR_TEXT_BYTES], nats[ADDR_TEXT_BYTES], health[ADDR_TEXT_BYTES];
    char admin[ADDR_TEXT_BYTES], intercept[ADDR_TEXT_BYTES];
};
void sidecar_places(const struct sidecar *s, struct sidecar_places *ret_places);
/* Where a client of this machine finds an address that was bound: 0.0.0.0 becomes 127.0.0.1. */
struct addr sidecar_reachable(struct addr bound);

#endif
