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
/* The dial is over: status 0 = the socket is connected, else on_end with it, later. */
void tcp_dialled(struct tcp *t, int status);
/* Output is dropped from now on; the owner is told, after the input that is still there. */
void tcp_fail(struct tcp *t, int status);

/* The socket of the last attempt is gone: try the next address. */
void tcp_dial_next(struct tcp *t);
/* Forget about t; the dial's memory goes when libuv has let go of it. Safe if there is none. */
void tcp_dial_detach(struct tcp *t);

#endif
