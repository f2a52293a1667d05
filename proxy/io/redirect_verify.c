/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redirect_verify.c - plain sockets, one connection after the other.
 *
 * Happy path: listen, connect, accept, token out, token in. Ways it ends: the connection is refused
 * or reset, it reaches somebody else (no token), nothing happens in time. An address without a
 * route is left out, and said so.
 */
#include "io/redirect_verify.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/original_dst.h"

/* A SYN that is lost is sent again after 1 s and after 3: a busy node's init container must not
 * fail for the first one. */
enum { VERIFY_MS = 5000, TOKEN_BYTES = 16 };

struct target {
    int family;
    const char *host;
};

/* The first of each family is where the rules lead. */
static const struct target targets[] = {
    {AF_INET, "127.0.0.1"},
    {AF_INET, "192.0.2.1"}, /* RFC 5737 */
    {AF_INET6, "::1"},
    {AF_INET6, "2001:db8::1"}, /* RFC 3849 */
};

struct verify {
    const struct redirect_rules *rules;
    struct buf *text;
    int listener[2]; /* IPv4, IPv6; -1 = this machine does not have it */
    enum redirect_verdict verdict;
};

static socklen_t make_address(const struct target *t, uint16_t port, struct sockaddr_storage *to)
{
    *to = (struct sockaddr_storage){.ss_family = (sa_family_t)t->family};
    struct sockaddr_in *v4 = (void *)to;
    struct sockaddr_in6 *v6 = (void *)to;
    bool is_v4 = t->family == AF_INET;
    (void)inet_pton(t->family, t->host, is_v4 ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr);
    v4->sin_port = htons(port); /* sin6_port is the same bytes */
    return is_v4 ? sizeof *v4 : sizeof *v6;
}

static int make_socket(int family)
{
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* 0, or the errno; EADDRNOTAVAIL and EAFNOSUPPORT: there is no such family here. */
static int open_listener(struct verify *v, const struct target *t, int *ret_fd)
{
    struct sockaddr_storage at;
    socklen_t n = make_address(t, v->rules->to_port, &at);
    int one = 1, fd = make_socket(t->family);
    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, n) != 0 || listen(fd, 8) != 0) {
        int why = errno;
        close(fd);
        return why;
    }
    *ret_fd = fd;
    return 0;
}

static enum err open_listeners(struct verify *v)
{
    for (unsigned i = 0; i < 2; i++) {
        int why = open_listener(v, &targets[(size_t)2 * i], &v->listener[i]);
        if (why == 0 || (i == 1 && (why == EADDRNOTAVAIL || why == EAFNOSUPPORT)))
            continue;
        if (why == EADDRINUSE) {
            v->verdict = REDIRECT_IN_USE;
            return buf_printf(v->text, "port %u is in use", v->rules->to_port);
        }
        enum err e = buf_printf(v->text, "cannot listen on port %u: %s", v->rules->to_port,
                                strerror(why));
        return e == ERR_OK ? ERR_IO : e;
    }
    return ERR_OK;
}

/* Wait until fd has input. */
static bool wait_input(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, VERIFY_MS) == 1 && (p.revents & POLLIN) != 0;
}

/* The connection on its way from client must arrive at listener. NULL, or what is wrong. */
static const char *expect_token(int listener, int client, const struct sockaddr_storage *want)
{
    uint8_t token[TOKEN_BYTES], got[TOKEN_BYTES];
    struct sockaddr_storage to = {0};
    struct pollfd p[2] = {{.fd = listener, .events = POLLIN}, {.fd = client, .events = POLLIN}};
    int left = poll(p, 2, VERIFY_MS);
    if (left <= 0)
        return "nothing answers";
    if ((p[0].revents & POLLIN) == 0)
        return (p[1].revents & (POLLERR | POLLHUP)) != 0 ? "refused, not redirected"
                                                         : "it reached somebody else";
    int server = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (server < 0)
        return "the connection was lost";
    const char *why = NULL;
    if (getrandom(token, sizeof token, 0) != sizeof token ||
        write(server, token, sizeof token) != sizeof token || !wait_input(client) ||
        read(client, got, sizeof got) != sizeof got || memcmp(token, got, sizeof got) != 0)
        why = "another connection arrived";
    else if (!original_dst(server, &to) || to.ss_family != want->ss_family ||
             ((struct sockaddr_in *)&to)->sin_port != ((const struct sockaddr_in *)want)->sin_port)
        why = "it arrives, but the kernel does not know where it was meant to go";
    close(server);
    return why;
}

/* NULL, or what is wrong; *ret_has_route is false if there is none, and then nothing is wrong. */
static const char *try_target(int listener, const struct target *t, uint16_t port,
                              bool *ret_has_route)
{
    struct sockaddr_storage to;
    socklen_t n = make_address(t, port, &to);
    int client = make_socket(t->family);
    if (client < 0)
        return strerror(errno);
    const char *why = NULL;
    *ret_has_route = true;
    if (connect(client, (struct sockaddr *)&to, n) != 0 && errno != EINPROGRESS) {
        *ret_has_route = errno != ENETUNREACH && errno != EHOSTUNREACH && errno != EADDRNOTAVAIL;
        why = *ret_has_route ? strerror(errno) : NULL;
    } else {
        why = expect_token(listener, client, &to);
    }
    close(client);
    return why;
}

/* Every port of one address. */
static enum err try_address(struct verify *v, const struct target *t)
{
    const struct redirect_ports lists[] = {v->rules->etcd, v->rules->nats};
    int listener = v->listener[t->family == AF_INET6];
    bool has_route = true;
    if (listener < 0)
        return ERR_OK;
    for (unsigned i = 0; i < ARRAY_LEN(lists); i++)
        for (unsigned j = 0; j < lists[i].n && has_route; j++) {
            const char *why = try_target(listener, t, lists[i].p[j], &has_route);
            if (why == NULL)
                continue;
            v->verdict = REDIRECT_NOT_PROVEN;
            buf_deinit(v->text);
            return buf_printf(v->text, "a connection to %s port %u: %s", t->host, lists[i].p[j],
                              why);
        }
    return buf_printf(v->text, "%s%s%s", buf_len(v->text) == 0 ? "" : ", ", t->host,
                      has_route ? "" : " (no route, not tried)");
}

enum err redirect_verify(const struct redirect_rules *r, enum redirect_verdict *ret_verdict,
                         struct buf *ret_text)
{
    struct verify v = {.rules = r, .text = ret_text, .listener = {-1, -1}};
    enum err e = open_listeners(&v);
    for (unsigned i = 0; i < ARRAY_LEN(targets); i++)
        if (e == ERR_OK && v.verdict == REDIRECT_PROVEN)
            e = try_address(&v, &targets[i]);
    for (unsigned i = 0; i < 2; i++)
        if (v.listener[i] >= 0)
            close(v.listener[i]);
    if (e == ERR_OK)
        *ret_verdict = v.verdict;
    return e;
}
