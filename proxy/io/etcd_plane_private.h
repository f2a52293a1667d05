/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_plane_private - what the files of the etcd plane share.
 *
 *   etcd_plane.c ── owns ──> listener, h2_server…          applications
 *        │  ├────── owns ──> etcd_link[2] ──> h2_client    upstream
 *        │  ├────── owns ──> etcd_auth                     who we are, a token
 *        │  ├────── owns ──> etcd_enroll                   the registry, once
 *        │  ├────── owns ──> leader_watch                  the stream lane's member
 *        │  └────── owns ──> etcd_version                  upstream's, for /version
 *        └── etcd_stream… : one call each, between one h2_app_stream and one h2_up_stream
 */
#ifndef IO_ETCD_PLANE_PRIVATE_H
#define IO_ETCD_PLANE_PRIVATE_H

#include "etcd/etcd_call.h"
#include "etcd/etcd_family.h"
#include "etcd/registry.h"
#include "io/etcd_enroll.h"
#include "io/etcd_leader_watch.h"
#include "io/etcd_link.h"
#include "io/etcd_plane.h"
#include "io/etcd_version.h"
#include "io/h2_server.h"
#include "io/listener.h"

struct etcd_stream;

struct etcd_plane {
    struct etcd_plane_options options; /* what it points to is borrowed */
    struct loop *loop;                 /* shares */
    struct h2_hub hub;
    struct etcd_ns ns;
    struct etcd_family family; /* view subtree: ns.family is it */
    struct etcd_routes routes;
    struct listener *listener; /* owned */
    struct addr addr;
    struct tls_context *tls_up;  /* owned; for https:// upstreams; NULL: there are none */
    struct tls_context *tls_app; /* owned; of the listener; NULL: plaintext */
    struct h2_server *servers;
    struct etcd_link links[ETCD_LANES];
    struct etcd_auth auth;
    struct etcd_enroll enroll;
    struct leader_watch leader;
    struct etcd_version version;
    /* Calls that wait for upstream, oldest first. */
    struct etcd_stream *waiting, **waiting_end;
    unsigned waiting_n, resuming_n;   /* resuming_n of them have begun and go on (design.md 4.6) */
    struct etcd_stream *side_waiting; /* those whose own reads wait for the unary lane */
    struct etcd_stream *spare;        /* finished calls, to be used again */
    unsigned spare_n;
    size_t held_bytes; /* memory of all calls' messages */
    uv_timer_t timer;  /* the next deadline of a call that waits, or the next step of the drain */
    enum { ETCD_PLANE_SERVING, ETCD_PLANE_GOAWAY_SOON, ETCD_PLANE_DRAINED } drain;
    uint64_t drain_at_ms; /* the next step of the drain */
    bool is_closing;
    unsigned open_parts; /* servers, links, auth, enroll, leader and the timer: freed at 0 */
};

/* The member at this address cannot reach the others: neither lane uses it now. */
void etcd_plane_distrust(struct etcd_plane *p, const struct addr *member);
/* A call begins to wait until at_ms (0 = no deadline of its own): ask for the connection. */
void etcd_plane_wait(struct etcd_plane *p, enum etcd_lane lane, uint64_t at_ms);

#endif
