/* SPDX-License-Identifier: Apache-2.0 */
/* tcp_private - what tcp.c and tcp_dial.c share. */
#ifndef IO_TCP_PRIVATE_H
#define IO_TCP_PRIVATE_H

#include "io/tcp.h"

/* NONE --init--> OPEN --uv_close--> CLOSING --close callback--> NONE. A dial goes round once for
 * each address it tries. */
enum tcp_socket { TCP_SOCKET_NONE, TCP_SOCKET_OPEN, TCP_SOCKET_CLOSING };

/* The only place where t->state changes; an undrawn move ends the process. */
void tcp_move(struct tcp *t, enum tcp_state to);
/* Make a libuv handle in t->u; TCP_SOCKET_NONE before. */
int tcp_socket_init(struct tcp *t, bool is_unix);
/* Close the libuv handle; then either on_closed or tcp_dial_next(). */
void tcp_socket_close(struct tcp *t);
/* Let libuv read or not, as it is wanted now. */
void tcp_poll(struct tcp *t);
/* Do tcp_tls_input with what was kept, from the loop. */
void tcp_input_later(struct tcp *t);
/* on_end, now. Idempotent. */
void tcp_report_end(struct tcp *t, int status);
/* tcp_write without TLS. */
enum err tcp_write_raw(struct tcp *t, struct span s) ATTR_MUST_USE;
/* The dial is over: status 0 = the socket is connected, else on_end with it, later. */
void tcp_dialled(struct tcp *t, int status);
/* Output is dropped from now on; the owner is told, after the input that is still there. */
void tcp_fail(struct tcp *t, int status);

/* ---- tcp_tls.c; t->tls is set ---- */
enum err tcp_tls_new(struct tls_context *ctx, const char *host,
                     struct tcp_tls **ret_tls) ATTR_MUST_USE;
void tcp_tls_free(struct tcp_tls **tls);
/* The socket is connected: the handshake begins. */
void tcp_tls_begin(struct tcp *t);
void tcp_tls_input(struct tcp *t, struct span cipher);
enum err tcp_tls_write(struct tcp *t, struct span plain) ATTR_MUST_USE;
/* Bytes that wait for the handshake. */
size_t tcp_tls_waiting(const struct tcp *t);
/* Should libuv read? */
bool tcp_tls_wants_input(const struct tcp *t);
/* The owner wants to read (again). */
void tcp_tls_read(struct tcp *t);
/* The peer closed: the status for on_end. */
int tcp_tls_eof(struct tcp *t);
/* Say goodbye. False: there is no TLS to say it in, and what waits cannot be sent. */
bool tcp_tls_bye(struct tcp *t);
/* t is being closed. */
void tcp_tls_stop(struct tcp *t);
const char *tcp_tls_why(const struct tcp *t);

/* ---- tcp_dial.c ---- */
/* The socket of the last attempt is gone: try the next address. */
void tcp_dial_next(struct tcp *t);
/* Forget about t; the dial's memory goes when libuv has let go of it. Safe if there is none. */
void tcp_dial_detach(struct tcp *t);

#endif
