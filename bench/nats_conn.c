/* SPDX-License-Identifier: Apache-2.0 */
#include "nats_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MS = 10000 };

static const char hello[] = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\","
                            "\"version\":\"1\",\"name\":\"bench\",\"protocol\":1,\"headers\":true,"
                            "\"no_responders\":true}\r\n";

/* Readable, or writable if something waits to be written. */
static void wait_ready(struct nats_conn *c)
{
    short events = outbuf_is_empty(&c->out) ? POLLIN : POLLIN | POLLOUT;
    struct pollfd p = {.fd = c->fd, .events = events};
    if (poll(&p, 1, ANSWER_MS) <= 0) {
        die("NATS: no answer for %d ms", ANSWER_MS);
    }
}

void nats_conn_barrier(struct nats_conn *c)
{
    uint64_t want = c->pongs + 1;
    struct nats_msg m;
    outbuf_put(&c->out, "PING\r\n", 6);
    while (c->pongs < want) {
        nats_conn_write(c);
        wait_ready(c);
        nats_conn_read(c);
        if (nats_conn_next(c, &m)) {
            die("NATS: a message where none was expected");
        }
    }
}

void nats_conn_open(struct nats_conn *c, const char *target, size_t in_cap)
{
    memset(c, 0, sizeof *c);
    c->in_cap = in_cap;
    c->in = must_alloc(1, in_cap);
    c->fd = net_dial(target);
    if (c->fd < 0) {
        die("%s: %s", target, strerror(errno));
    }
    outbuf_put(&c->out, hello, sizeof hello - 1);
    nats_conn_barrier(c);
}

void nats_conn_close(struct nats_conn *c)
{
    (void)close(c->fd);
    free(c->in);
    free(c->out.data);
    memset(c, 0, sizeof *c);
}

void nats_conn_sub(struct nats_conn *c, const char *subject, const char *sid)
{
    char line[256];
    int n = snprintf(line, sizeof line, "SUB %s %s\r\n", subject, sid);
    if (n < 0 || (size_t)n >= sizeof line) {
        die("subject too long");
    }
    outbuf_put(&c->out, line, (size_t)n);
}

void nats_conn_read(struct nats_conn *c)
{
    if (c->in_begin > 0) {
        memmove(c->in, c->in + c->in_begin, c->in_end - c->in_begin);
        c->in_end -= c->in_begin;
        c->in_begin = 0;
    }
    if (c->in_end == c->in_cap) {
        die("NATS: a message larger than the buffer");
    }
    ssize_t n = recv(c->fd, c->in + c->in_end, c->in_cap - c->in_end, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        die("NATS: connection %s", n == 0 ? "closed by the other side" : strerror(errno));
    }
    c->in_end += (size_t)n;
}

void nats_conn_write(struct nats_conn *c)
{
    if (!outbuf_write(&c->out, c->fd)) {
        die("NATS: lost while writing: %s", strerror(errno));
    }
}

/* MSG <subject> <sid> [reply] <bytes>; `line` without CRLF. false: does not parse. */
static bool parse_msg(const char *line, size_t n, struct nats_msg *m)
{
    const char *word[4];
    size_t word_n[4];
    unsigned words = 0;
    const char *end = line + n;
    for (const char *p = line + 4; p <= end && words < 4; words++) {
        const char *space = memchr(p, ' ', (size_t)(end - p));
        word[words] = p;
        word_n[words] = (size_t)((space == NULL ? end : space) - p);
        p += word_n[words] + 1;
    }
    if (words < 3) {
        return false;
    }
    m->subject = word[0];
    m->subject_n = word_n[0];
    m->sid = word[1];
    m->sid_n = word_n[1];
    m->reply = word[2];
    m->reply_n = words == 4 ? word_n[2] : 0;
    m->payload_n = 0;
    for (size_t i = 0; i < word_n[words - 1]; i++) {
        char digit = word[words - 1][i];
        if (digit < '0' || digit > '9' || m->payload_n > NATS_CONN_READ_BYTES) {
            return false;
        }
        m->payload_n = m->payload_n * 10 + (size_t)(digit - '0');
    }
    return true;
}

static void control_line(struct nats_conn *c, const char *line, size_t n)
{
    if (n == 4 && memcmp(line, "PING", 4) == 0) {
        outbuf_put(&c->out, "PONG\r\n", 6);
        nats_conn_write(c);
    } else if (n == 4 && memcmp(line, "PONG", 4) == 0) {
        c->pongs++;
    } else if (!(n >= 4 && memcmp(line, "INFO", 4) == 0) &&
               !(n == 3 && memcmp(line, "+OK", 3) == 0)) {
        die("NATS: the server says: %.*s", (int)n, line);
    }
}

bool nats_conn_next(struct nats_conn *c, struct nats_msg *ret)
{
    for (;;) {
        char *line = c->in + c->in_begin;
        size_t have = c->in_end - c->in_begin;
        char *newline = memchr(line, '\n', have);
        if (newline == NULL) {
            return false;
        }
        if (newline == line || newline[-1] != '\r') {
            die("NATS: a line without CRLF");
        }
        size_t line_n = (size_t)(newline - line) - 1;
        if (line_n < 4 || memcmp(line, "MSG ", 4) != 0) {
            control_line(c, line, line_n);
            c->in_begin += line_n + 2;
            continue;
        }
        struct nats_msg m;
        if (!parse_msg(line, line_n, &m)) {
            die("NATS: does not parse: %.*s", (int)line_n, line);
        }
        if (have < line_n + 2 + m.payload_n + 2) {
            return false;
        }
        m.payload = newline + 1;
        if (memcmp(m.payload + m.payload_n, "\r\n", 2) != 0) {
            die("NATS: a payload that does not end where it should");
        }
        c->in_begin += line_n + 2 + m.payload_n + 2;
        *ret = m;
        return true;
    }
}
