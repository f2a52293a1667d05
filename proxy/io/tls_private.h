/* SPDX-License-Identifier: Apache-2.0 */
/* tls_private - what tls.c, tls_context.c and tls_why.c share. */
#ifndef IO_TLS_PRIVATE_H
#define IO_TLS_PRIVATE_H

#include <sys/stat.h>

#include "io/tls.h"
#include "io/tls_lib.h"

enum tls_file { TLS_FILE_CA, TLS_FILE_CERT, TLS_FILE_KEY, TLS_FILES };
enum { TLS_OPTION_BYTES = 48, TLS_WHY_BYTES = 512 };

struct tls_context {
    unsigned refs;             /* the owner, and every connection */
    const struct tls_lib *lib; /* shares */
    struct tls_options options;
    SSL_CTX *ssl;                 /* owned; made of the files as of stamp */
    struct stat stamp[TLS_FILES]; /* zeroed: not there */
    BIO_METHOD *bio;              /* owned */
    struct buf out;               /* ciphertext of the call that is being made */
    uint8_t *plain;               /* LIMIT_READ_BYTES */
};

struct tls {
    struct tls_context *ctx; /* shares */
    SSL *ssl;                /* owned */
    struct span in;          /* borrowed from the caller */
    struct buf kept;         /* comes before in */
    bool is_ready;           /* the handshake is over */
    char *why;               /* owned; NULL = nothing failed */
    char name[];             /* client: whom the server must be */
};

static inline bool tls_is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

/* The context's SSL_CTX, made anew if the files have changed. */
SSL_CTX *tls_context_current(struct tls_context *c);
const char *tls_context_path(const struct tls_context *c, enum tls_file file);
/* "--etcd-ca", "--nats-listen-key". */
const char *tls_context_option(const struct tls_context *c, enum tls_file file,
                               char text[TLS_OPTION_BYTES]);
/* tls.c: the BIO that reads tls->in and writes ctx->out. */
BIO_METHOD *tls_bio_method(const struct tls_lib *lib);
/* tls_why.c: what the last call's error means and what mends it. */
void tls_explain(const struct tls *t, char text[TLS_WHY_BYTES]);

#endif
