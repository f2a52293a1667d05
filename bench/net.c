/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

void *must_alloc(size_t n, size_t size)
{
    void *p = calloc(n == 0 ? 1 : n, size);
    if (p == NULL) {
        die("out of memory");
    }
    return p;
}

static int dial_one(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    const int on = 1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0 &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
        fcntl(fd, F_SETFL, O_NONBLOCK) == 0) {
        return fd;
    }
    int saved = errno;
    (void)close(fd);
    errno = saved;
    return -1;
}

int net_dial(const char *host_port)
{
    const char *colon = strrchr(host_port, ':');
    char host[128];
    if (colon == NULL || (size_t)(colon - host_port) >= sizeof host) {
        errno = EINVAL;
        return -1;
    }
    size_t n = (size_t)(colon - host_port);
    bool bracketed = n >= 2 && host_port[0] == '[' && host_port[n - 1] == ']';
    (void)snprintf(host, sizeof host, "%.*s", (int)(bracketed ? n - 2 : n),
                   bracketed ? host_port + 1 : host_port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, colon + 1, &hints, &list) != 0) {
        errno = EINVAL;
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        fd = dial_one(a);
    }
    freeaddrinfo(list);
    return fd;
}

char *outbuf_room(struct outbuf *o, size_t n)
{
    if (o->begin == o->end) {
        o->begin = o->end = 0;
    }
    if (o->cap - o->end < n && o->begin > 0) {
        memmove(o->data, o->data + o->begin, o->end - o->begin);
        o->end -= o->begin;
        o->begin = 0;
    }
    if (o->cap - o->end < n) {
        size_t cap = o->cap * 2 > o->end + n ? o->cap * 2 : o->end + n;
        char *data = realloc(o->data, cap);
        if (data == NULL) {
            die("out of memory");
        }
        o->data = data;
        o->cap = cap;
    }
    return o->data + o->end;
}

void outbuf_put(struct outbuf *o, const void *data, size_t n)
{
    memcpy(outbuf_room(o, n), data, n);
    o->end += n;
}

bool outbuf_write(struct outbuf *o, int fd)
{
    while (o->begin < o->end) {
        ssize_t n = send(fd, o->data + o->begin, o->end - o->begin, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN;
        }
        o->begin += (size_t)n;
        break;
    }
    return true;
}

bool outbuf_is_empty(const struct outbuf *o)
{
    return o->begin == o->end;
}
