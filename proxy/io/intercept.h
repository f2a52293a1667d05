/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intercept - the listener where redirected connections arrive (design.md 6, tier d).
 *
 *   application ── connect(10.0.0.5:4222) ──> the kernel's rules ──> [intercept] ──> NATS plane
 *                                             original destination ──┘   4222: NATS, 2379: etcd
 *
 * The port that the application meant chooses the plane; then the connection is like any other of
 * that plane. The address that it meant is never dialled: the plane dials its upstreams.
 *
 * Refused, counted and logged with what mends it: a connection that was not redirected, one to a
 * port that is nobody's or of a plane that is off, and one of the sidecar's own (a loop).
 */
#ifndef IO_INTERCEPT_H
#define IO_INTERCEPT_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"

struct etcd_plane;
struct nats_plane;
struct intercept;

struct intercept_options {
    const struct addr *listen; /* borrowed for the call */
    unsigned listens;
    const uint16_t *etcd_ports, *nats_ports; /* borrowed for the listener's life */
    unsigned etcd_port_count, nats_port_count;
    struct etcd_plane *etcd; /* share; NULL: off */
    struct nats_plane *nats;
};

/* From here on the loop remembers what it dials. ERR_CONFIG: *ret_error says what and how to mend
 * it; ERR_NOMEM. */
enum err intercept_open(struct loop *l, const struct intercept_options *options,
                        struct intercept **ret_intercept, struct buf *ret_error) ATTR_MUST_USE;
struct addr intercept_addr(const struct intercept *i);
/* Before the planes: it hands connections to them. Nulls *i; nothing happens to NULL. */
void intercept_close(struct intercept **i);

#endif
