/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr - where to listen and whom to dial, as people write it (design.md 3.8, 4.7).
 *
 *   listen     host:port   [v6]:port   :port   unix:PATH            port 0 = any free one
 *   upstream   the same with or without a scheme: http https (etcd), nats tls (NATS);
 *              nats://user:password@host, nats://token@host; the port may be left out
 *
 * ":port" is "0.0.0.0:port". A token arrives as a user without a password. %XX in the user and the
 * password is decoded. What a caller has no use for (a scheme on a listen address, a user for etcd,
 * port 0 for an upstream) is the caller's to refuse.
 */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/span.h"

enum {
    ADDR_HOST_BYTES_MAX = 253,
    ADDR_PATH_BYTES_MAX = 107,
    ADDR_SECRET_BYTES_MAX = 255,
    ADDR_TEXT_BYTES = 320
};
enum addr_kind { ADDR_TCP, ADDR_UNIX };
enum addr_scheme { ADDR_NO_SCHEME, ADDR_HTTP, ADDR_HTTPS, ADDR_NATS, ADDR_TLS };

struct addr {
    enum addr_kind kind;
    enum addr_scheme scheme;
    uint16_t port;                        /* host byte order; ADDR_TCP only */
    char host[ADDR_HOST_BYTES_MAX + 1];   /* name or literal, without brackets; ADDR_TCP only */
    char path[ADDR_PATH_BYTES_MAX + 1];   /* ADDR_UNIX only */
    char user[ADDR_SECRET_BYTES_MAX + 1]; /* from the URL; "" if none */
    char password[ADDR_SECRET_BYTES_MAX + 1];
};

/* Parse text. default_port is taken where an upstream names none; 0 = a port is demanded.
 * ERR_CONFIG with *ret_rule = what is wrong and what would be right (static text). */
enum err addr_parse(struct span text, uint16_t default_port, struct addr *ret_addr,
                    const char **ret_rule) ATTR_MUST_USE;
/* "127.0.0.1:2379", "[::1]:2379", "unix:/run/x"; never the secrets. Writes to text, returns it. */
const char *addr_print(const struct addr *a, char text[ADDR_TEXT_BYTES]);

#endif
