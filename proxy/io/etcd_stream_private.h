/* SPDX-License-Identifier: Apache-2.0 */
/* etcd_stream_private - between etcd_stream.c and etcd_stream_up.c. */
#ifndef IO_ETCD_STREAM_PRIVATE_H
#define IO_ETCD_STREAM_PRIVATE_H

#include "io/etcd_stream.h"

extern const struct h2_up_handler etcd_stream_up_events;

/* The only way from state to state; the queue of those that wait follows it. */
void etcd_stream_move(struct etcd_stream *s, enum etcd_stream_state to);
/* The application's stream cannot even be told: end it with a reset. */
void etcd_stream_give_up(struct etcd_stream *s);
/* The whole answer is in to_app: send it with a head of ours; a stream that stays open stays so. */
void etcd_stream_answer(struct etcd_stream *s);
/* The call may need a read of its own: ask for it, unless that is under way. */
void etcd_stream_side(struct etcd_stream *s);
void etcd_stream_side_end(struct etcd_stream *s);
/* The unary lane is usable: those that wait for it. */
void etcd_stream_side_pump(struct etcd_plane *p);
/* Those whose time has come; then as etcd_stream_expire(), first included. */
uint64_t etcd_stream_side_expire(struct etcd_plane *p, uint64_t first);
/* The call may have written requests by itself, or have let go of the application's. */
void etcd_stream_flush(struct etcd_stream *s);
/* What was held up can move on. */
void etcd_stream_give_windows(struct etcd_stream *s);
/* Take stock of what the call's messages hold. False: all calls together hold too much. */
bool etcd_stream_weigh(struct etcd_stream *s);
/* Send it upstream, or have it wait. */
void etcd_stream_begin_up(struct etcd_stream *s);
void etcd_stream_wait_up(struct etcd_stream *s);
/* It has waited: upstream gets what is left of its time. */
void etcd_stream_shorten_timeout(struct etcd_stream *s);
/* The call ends by its deadline, or is cancelled: is that the member's fault? */
void etcd_stream_judge_deadline(struct etcd_stream *s);
/* Watches were refused because of the token (call.is_token_stale), or one was created too late
 * (call.begins_again): open the stream again. */
void etcd_stream_watch_again(struct etcd_stream *s);
/* The tag is known now: go through what has come so far. */
void etcd_stream_catch_up(struct etcd_stream *s);

#endif
