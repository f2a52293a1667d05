/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net - the little a load client needs of sockets: dial, write all, read what is there.
 */
#ifndef NET_H
#define NET_H

#include <stdbool.h>
#include <stddef.h>

/* Dials HOST:PORT (numeric, or localhost), sets TCP_NODELAY, then O_NONBLOCK. The descriptor, or
 * -1 with errno set. */
int net_dial(const char *host_port);

/* Bytes that wait for a socket to take them. Zeroed memory is an empty one. */
struct outbuf {
    char *data; /* owned */
    size_t begin, end, cap;
};

/* Room for n more bytes at the end; the caller advances `end`. Dies when memory is out. */
char *outbuf_room(struct outbuf *o, size_t n);
void outbuf_put(struct outbuf *o, const void *data, size_t n);
/* Writes once. false: the connection is lost. What was not taken stays. */
bool outbuf_write(struct outbuf *o, int fd);
bool outbuf_is_empty(const struct outbuf *o);

/* One line of explanation on stderr, exit status 1. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Never returns NULL: dies. */
void *must_alloc(size_t n, size_t size);

#endif
