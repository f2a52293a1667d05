/* SPDX-License-Identifier: Apache-2.0 */
/*
 * js_event - the server's advisories and metrics, own names only (design.md 5.5):
 *
 *   $JS.EVENT.ADVISORY.<what>.<stream>[.<consumer>]        $JS.EVENT.METRIC.<what>.…
 *
 * The server says them of every namespace on one subject, so a subscription with a wildcard in the
 * stream's place hears everybody's and each is judged here. What is shown is in a table by subject;
 * whatever does not parse, names another stream than its subject, or has no row, is not shown.
 * Source: nats-server 2.9.10 .. 2.15.2, jetstream_events.go.
 */
#ifndef NATS_JS_EVENT_H
#define NATS_JS_EVENT_H

#include "nats/nats_session.h"

/* Appends what is subscribed to at the server for a valid filter. Always below "$JS.EVENT.".
 * False: the filter hears none, and nothing was appended. ERR_NOMEM. */
bool js_event_filter(const struct nats_ns *ns, struct span filter, struct buf *out,
                     enum err *ret_error);

/* Appends subject and body as the application may see them. ERR_FOREIGN: not to be shown;
 * ERR_NOMEM. On errors what was appended means nothing. */
enum err js_event_strip(const struct nats_ns *ns, struct span subject, struct span body,
                        struct buf *ret_subject, struct buf *ret_body) ATTR_MUST_USE;

#endif
