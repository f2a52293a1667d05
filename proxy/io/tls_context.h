/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_context - whom we trust and who we are, for all TLS connections of one kind: to etcd, to
 * NATS, or of the applications on one listener.
 *
 * The files are looked at again for every new connection (three stat() calls, which also see the
 * `..data` link of a Kubernetes volume turn): certificates change without a restart. Files that
 * cannot be used, or a certificate that does not fit its key because only one of them was replaced
 * yet, leave the last good ones in place, with a log line. Connections that stand keep theirs.
 *
 * Laws: TLS 1.2 or later. A server's chain and name are always verified: its DNS names or IP
 * addresses (subject alternative names; the common name counts for nothing). Sessions are never
 * resumed, so that every connection is verified against the files of today.
 */
#ifndef IO_TLS_CONTEXT_H
#define IO_TLS_CONTEXT_H

#include "base/buf.h"
#include "base/counters.h"

struct tls_context;

/* What the configuration says for one plane; "" or NULL = not set. Borrowed for the plane's life.
 */
struct tls_names {
    const char *ca, *cert, *key, *server_name; /* upstream */
    const char *listen_cert, *listen_key;      /* of the listener; both or none */
    const char *listen_ca; /* who signs the certificates that its peers must then show */
};

struct tls_options {
    bool is_server;
    const char *plane; /* "etcd", "nats": begins the names of its options; static */
    /* Clients: without ca the system's certificates, without server_name the host that is dialled;
     * cert and key both or none. Servers: listen_cert and listen_key; with listen_ca peers without
     * a certificate of these authorities are refused, whatever their name. */
    struct tls_names names;
    bool is_http2; /* ALPN h2 */
    bool is_http1; /* server: ALPN http/1.1 and nothing else */
    /* Server: the names of its options where they are not made of plane; NULL: they are. */
    const char *cert_option, *key_option;
    struct counters *counters; /* shares; server */
    enum counter refused;      /* server: counts handshakes that failed */
};

/* Loads OpenSSL and the files. ERR_CONFIG: *ret_error names the option, the file, what is wrong and
 * what mends it (appended). ERR_NOMEM. */
enum err tls_context_new(const struct tls_options *options, struct tls_context **ret_context,
                         struct buf *ret_error) ATTR_MUST_USE;
/* The end of our certificate's validity, in seconds since the epoch, of the files as they are now;
 * 0: there is none. */
int64_t tls_context_not_after(struct tls_context *c);
/* Nulls *c; connections keep what they need of it. Nothing happens to NULL. */
void tls_context_free(struct tls_context **c);

#endif
