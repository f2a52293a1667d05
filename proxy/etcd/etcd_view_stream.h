/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_view_stream - private to etcd_call_fill.c and etcd_call_watch.c: what watches of several
 * namespaces on one stream wait for.
 */
#ifndef ETCD_ETCD_VIEW_STREAM_H
#define ETCD_ETCD_VIEW_STREAM_H

#include "etcd/etcd_pass.h"
#include "etcd/view_watch.h"

/* At which revision a table is filled: etcd_call_fill.c. */
enum view_fill { FILL_BEFORE, FILL_NOW, FILL_BEFORE_AGAIN, FILL_AT_START, FILL_OPENED };

struct view_stream {
    /*
     *   NONE ── a start ──> FILLS ── filled: the create goes upstream ────────────> NONE
     *     │                   │ it is in the future
     *     │                   v
     *     └──── now ──────> ASKED ── created ──> OPENED ── filled: it is shown ──────^
     *                         └───── refused ────────────────────────────────────────┘
     */
    enum { CREATE_NONE, CREATE_FILLS, CREATE_ASKED, CREATE_OPENED } create;
    struct view_watch *filling;   /* FILLS; owned */
    struct view_watch *opened;    /* OPENED; shares: it is one of etcd_watches */
    int64_t opened_id, opened_at; /* at: the revision that `created` says */
    struct buf created;           /* OPENED: upstream's message; owned */
    struct view_gather gather;
    enum view_fill fill;
    unsigned tries;
    struct buf later_app; /* owned; requests behind a create, as they came */
    struct view_reply reply;
    struct buf later_up; /* owned; replies behind what waits for a read, as they came */
    enum { SIDE_NONE, SIDE_FILL, SIDE_FETCH } side;
    struct grpc_reader from_side;
    struct buf answer; /* owned; the frame that came */
};

/* The read of keys was answered with this status. */
enum err etcd_view_end_fill(struct etcd_call *c, int grpc_status) ATTR_MUST_USE;
/* What waited goes on, as far as it can. */
enum err etcd_view_go_on(struct etcd_call *c) ATTR_MUST_USE;

#endif
