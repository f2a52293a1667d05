/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls - the TLS of one connection: bytes in, bytes out, no socket. tcp_tls.c ties it to one.
 *
 *   ciphertext --tls_in--> tls_read --> plaintext       tls_out() is to be sent after every call
 *   ciphertext <--tls_out-- tls_write <-- plaintext
 *
 * Between calls a connection holds no buffer but ciphertext that was not read (tls_keep); the
 * output and the room for plaintext belong to the context, one for all connections.
 */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "io/tls_context.h"

struct tls;

enum tls_step {
    TLS_STEP_MORE,  /* all input is read */
    TLS_STEP_READY, /* the handshake is over; or the room is full and there may be more */
    TLS_STEP_END,   /* the peer said goodbye */
    TLS_STEP_FAILED /* tls_why() */
};

/* host: whom a client dials, for its name (SNI) and its verification. The files are looked at.
 * ERR_NOMEM. Shares ctx. */
enum err tls_new(struct tls_context *ctx, const char *host, struct tls **ret_tls) ATTR_MUST_USE;
void tls_free(struct tls **t);
bool tls_is_server(const struct tls *t);
/* Count a refused application; a client's owner counts for itself. */
void tls_refused(struct tls *t);
/* "etcd", "nats". */
const char *tls_plane(const struct tls *t);

/* The next input; borrowed until tls_keep(). */
void tls_in(struct tls *t, struct span cipher);
/* Copies what is left of the input. ERR_NOMEM: it is lost. */
enum err tls_keep(struct tls *t) ATTR_MUST_USE;
/* Is there input that tls_read has not seen, or plaintext that it has not given? */
bool tls_has_input(const struct tls *t);

enum tls_step tls_handshake(struct tls *t);
/* Plaintext, at most LIMIT_READ_BYTES, in the context's room; writable. May give both: plaintext,
 * and that it was the last. */
enum tls_step tls_read(struct tls *t, struct span *ret_plain);
/* After the handshake. Takes from *plain, at most LIMIT_READ_BYTES a call. */
enum tls_step tls_write(struct tls *t, struct span *plain);
/* Say goodbye. */
void tls_bye(struct tls *t);
/* Ciphertext to be sent, at once: the next call to any connection of the context reuses it. */
struct buf *tls_out(struct tls *t);

/* Why it failed, for logs; "" if it did not. */
const char *tls_why(const struct tls *t);
/* The connection ended before the handshake did. */
void tls_set_why(struct tls *t, const char *text);

#endif
