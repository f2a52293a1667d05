/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_reviews - a light client of an admission webhook: HTTP/1.1 over TLS, connections kept alive.
 *
 *   steady   open loop: `rate` reviews a second, each at its time whatever became of the others;
 *            an operation is timed from the moment it was due to the last byte of its answer
 *   serial   one after the other
 *   hold     `connections` ask once each, then they stay, idle, until standard input ends
 *
 * Requests go to the connections in turn; one that is still busy is passed over, and when all are
 * busy a request waits, while its clock runs. The handshakes are done before WARM.
 *
 * Every request has a uid of its own: the last UID_DIGITS of the uid that --review and --answer
 * have in common, counted up. Every answer must be the answer file's bytes with that uid; whether
 * these say the right thing is the caller's to judge, once. Ways it ends: as load_nats.
 */
#include "args.h"
#include "meter.h"
#include "net.h"
#include "proc_cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 10000,
    UID_DIGITS = 12,
    FILE_BYTES_MAX = 16 << 20,
    HEAD_BYTES_MAX = 1024,
    STALL_MS = 10000,
    EVENTS = 64,
};

/* A file in which a uid stands once. */
struct document {
    char *bytes; /* owned */
    size_t n, digits_at;
};

struct conn {
    int fd;
    SSL *ssl;             /* owned */
    bool is_busy;         /* a request is being written or its answer read */
    size_t written, read; /* of the request; of the answer, head included */
    size_t head_n;        /* with its empty line; 0: not whole yet */
    uint64_t number, due_ns;
    char *answer; /* owned: HEAD_BYTES_MAX and the answer */
    uint32_t events;
};

static struct {
    const char *review_file, *answer_file, *uid, *ca, *path;
    uint64_t rate, connections;
    struct meter meter;
    struct document review, answer; /* review: with its head */
    SSL_CTX *tls;
    int epoll;
    struct conn *conn;
    size_t turn; /* whose turn it is */
    uint64_t begun, ended, first_due_ns;
} load;

/* ---- documents ---- */

static struct document read_document(const char *name, size_t room_before)
{
    struct document d = {0};
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        die("%s: %s", name, strerror(errno));
    }
    d.bytes = must_alloc(FILE_BYTES_MAX, 1);
    d.n = room_before;
    for (ssize_t n = 1; n > 0; d.n += (size_t)n) {
        n = read(fd, d.bytes + d.n, FILE_BYTES_MAX - d.n);
        if (n < 0 || d.n + (size_t)n == FILE_BYTES_MAX) {
            die("%s: %s", name, n < 0 ? strerror(errno) : "too large");
        }
    }
    (void)close(fd);
    size_t uid_n = strlen(load.uid);
    char *at = memmem(d.bytes + room_before, d.n - room_before, load.uid, uid_n);
    if (uid_n < UID_DIGITS || at == NULL) {
        die("%s: there is no uid '%s'", name, load.uid);
    }
    d.digits_at = (size_t)(at - d.bytes) + uid_n - UID_DIGITS;
    return d;
}

/* The head goes in front of the review, which was read with room for it. */
static void make_request(void)
{
    char head[HEAD_BYTES_MAX];
    load.review = read_document(load.review_file, HEAD_BYTES_MAX);
    int n = snprintf(head, sizeof head,
                     "POST %s?timeout=5s HTTP/1.1\r\nHost: %s\r\n"
                     "User-Agent: kube-apiserver-admission\r\nContent-Length: %zu\r\n"
                     "Accept: application/json, */*\r\nContent-Type: application/json\r\n"
                     "Accept-Encoding: gzip\r\n\r\n",
                     load.path, load.meter.target, load.review.n - HEAD_BYTES_MAX);
    if (n < 0 || (size_t)n >= sizeof head) {
        die("--path is too long");
    }
    size_t gap = HEAD_BYTES_MAX - (size_t)n;
    memmove(load.review.bytes, load.review.bytes + gap, load.review.n - gap);
    memcpy(load.review.bytes, head, (size_t)n);
    load.review.n -= gap;
    load.review.digits_at -= gap;
}

static void write_digits(char *to, uint64_t number)
{
    for (size_t i = UID_DIGITS; i > 0; i--, number /= 10) {
        to[i - 1] = (char)('0' + number % 10);
    }
}

/* ---- one connection ---- */

static void lost(const struct conn *c, const char *what)
{
    unsigned long e = ERR_peek_error();
    die("%s: %s: connection %td: %s", load.meter.target, what, c - load.conn,
        e == 0 ? "closed" : ERR_reason_error_string(e));
}

static void watch(struct conn *c, uint32_t events, int how)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    if (how == EPOLL_CTL_MOD && c->events == events) {
        return;
    }
    c->events = events;
    if (epoll_ctl(load.epoll, how, c->fd, &ev) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}

/* Handshakes wait for each other: nothing is measured yet. */
static void handshake(struct conn *c)
{
    for (int n = SSL_connect(c->ssl); n != 1; n = SSL_connect(c->ssl)) {
        int e = SSL_get_error(c->ssl, n);
        struct pollfd p = {.fd = c->fd, .events = e == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
        if ((e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) || poll(&p, 1, STALL_MS) <= 0) {
            lost(c, "handshake");
        }
    }
}

static void conn_open(struct conn *c)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    c->fd = net_dial(load.meter.target);
    if (c->fd < 0) {
        die("%s: %s", load.meter.target, strerror(errno));
    }
    c->ssl = SSL_new(load.tls);
    c->answer = must_alloc(HEAD_BYTES_MAX + load.answer.n, 1);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
        SSL_set_tlsext_host_name(c->ssl, "localhost") != 1 ||
        SSL_set1_host(c->ssl, "localhost") != 1 ||
        SSL_set_alpn_protos(c->ssl, alpn, sizeof alpn - 1) != 0) {
        lost(c, "set-up");
    }
    handshake(c);
    watch(c, EPOLLIN, EPOLL_CTL_ADD);
}

static void conn_write(struct conn *c)
{
    static char *mine; /* the request with this connection's uid */
    mine = mine == NULL ? must_alloc(load.review.n, 1) : mine;
    memcpy(mine, load.review.bytes, load.review.n);
    write_digits(mine + load.review.digits_at, c->number);
    while (c->written < load.review.n) {
        int n = SSL_write(c->ssl, mine + c->written, (int)(load.review.n - c->written));
        if (n > 0) {
            c->written += (size_t)n;
        } else if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE) {
            break;
        } else {
            lost(c, "write");
        }
    }
    watch(c, c->written < load.review.n ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

static void conn_ask(struct conn *c, uint64_t due_ns)
{
    c->is_busy = true;
    c->written = c->read = c->head_n = 0;
    c->number = ++load.begun;
    c->due_ns = due_ns;
    conn_write(c);
}

/* Why the answer, whose length is right, is wrong; NULL: it is not. */
static const char *check_answer(struct conn *c)
{
    static const char first[] = "HTTP/1.1 200 ";
    char digits[UID_DIGITS];
    const char *body = c->answer + c->head_n;
    size_t at = load.answer.digits_at, after = at + UID_DIGITS;
    write_digits(digits, c->number);
    if (memcmp(c->answer, first, sizeof first - 1) != 0) {
        return "another status";
    }
    if (memcmp(body + at, digits, UID_DIGITS) != 0) {
        return "another uid";
    }
    if (memcmp(body, load.answer.bytes, at) != 0 ||
        memcmp(body + after, load.answer.bytes + after, load.answer.n - after) != 0) {
        return "another answer";
    }
    return NULL;
}

static void find_head(struct conn *c)
{
    static const char field[] = "\r\nContent-Length: ";
    const char *end = memmem(c->answer, c->read, "\r\n\r\n", 4);
    if (end == NULL) {
        return;
    }
    c->head_n = (size_t)(end - c->answer) + 4;
    const char *length = memmem(c->answer, c->head_n, field, sizeof field - 1);
    if (length == NULL ||
        strtoull(length + sizeof field - 1, NULL, 10) != (unsigned long long)load.answer.n) {
        die("%s: an answer of another length: %.*s\n%.*s", load.meter.target, (int)c->head_n,
            c->answer, (int)(c->read - c->head_n), c->answer + c->head_n);
    }
}

static void take(struct conn *c)
{
    for (;;) {
        size_t whole = !c->is_busy      ? 1
                       : c->head_n != 0 ? c->head_n + load.answer.n
                                        : HEAD_BYTES_MAX;
        int n = SSL_read(c->ssl, c->answer + c->read, (int)(whole - c->read));
        if (n <= 0 && SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ) {
            return; /* also: a session ticket, which is no answer */
        }
        if (n <= 0) {
            lost(c, "read");
        }
        if (!c->is_busy) {
            die("%s: more than an answer", load.meter.target);
        }
        c->read += (size_t)n;
        if (c->head_n == 0) {
            find_head(c);
        }
        if (c->head_n == 0 && c->read >= HEAD_BYTES_MAX) {
            die("%s: a head without an end", load.meter.target);
        }
        if (c->head_n != 0 && c->read == c->head_n + load.answer.n) {
            c->is_busy = false;
            load.ended++;
            meter_done(&load.meter, 1, now_ns() - c->due_ns);
            meter_check(&load.meter, check_answer(c));
            c->read = 0;
        }
    }
}

/* ---- the loop ---- */

/* Until something was read or written, or until_ns. */
static void turn(uint64_t until_ns)
{
    struct epoll_event ev[EVENTS];
    uint64_t now = now_ns(), left = until_ns > now ? until_ns - now : 0;
    struct timespec wait = {.tv_sec = (time_t)(left / 1000000000u),
                            .tv_nsec = (long)(left % 1000000000u)};
    int n = epoll_pwait2(load.epoll, ev, EVENTS, &wait, NULL);
    for (int i = 0; i < n; i++) {
        struct conn *c = ev[i].data.ptr;
        if ((ev[i].events & EPOLLOUT) != 0) {
            conn_write(c);
        }
        if ((ev[i].events & ~(uint32_t)EPOLLOUT) != 0) {
            take(c);
        }
    }
}

static struct conn *next_free(void)
{
    for (uint64_t i = 0; i < load.connections; i++) {
        struct conn *c = &load.conn[load.turn++ % load.connections];
        if (!c->is_busy) {
            return c;
        }
    }
    return NULL;
}

/* Nothing of what was begun may take longer. */
static void finish(void)
{
    uint64_t give_up_ns = now_ns() + STALL_MS * UINT64_C(1000000);
    while (load.ended < load.begun) {
        turn(give_up_ns);
        if (now_ns() > give_up_ns) {
            die("%s: nothing for %d ms", load.meter.target, STALL_MS);
        }
    }
}

static void run_steady(void)
{
    uint64_t step_ns = 1000000000u / load.rate, due_ns = now_ns() + step_ns;
    meter_begin(&load.meter);
    while (load.meter.phase != METER_DRAIN) {
        struct conn *c = NULL;
        if (now_ns() >= due_ns) {
            c = next_free();
        }
        if (c != NULL) {
            conn_ask(c, due_ns);
            due_ns += step_ns;
        } else {
            turn(now_ns() < due_ns ? due_ns : now_ns() + 1000000u);
        }
        if (now_ns() > due_ns + STALL_MS * UINT64_C(1000000)) {
            die("%s: too slow for %" PRIu64 " a second", load.meter.target, load.rate);
        }
        meter_step(&load.meter);
    }
    finish();
}

static void run_serial(void)
{
    meter_begin(&load.meter);
    while (load.meter.phase != METER_DRAIN) {
        conn_ask(next_free(), now_ns());
        finish();
        meter_step(&load.meter);
    }
}

static void run_hold(void)
{
    char byte;
    for (uint64_t i = 0; i < load.connections; i++) {
        conn_ask(&load.conn[i], now_ns());
        finish();
    }
    printf("holding\n");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    for (uint64_t i = 0; i < load.connections; i++) {
        take(&load.conn[i]); /* dies of one that was closed meanwhile */
    }
}

static void open_all(void)
{
    load.tls = SSL_CTX_new(TLS_client_method());
    if (load.tls == NULL || SSL_CTX_load_verify_locations(load.tls, load.ca, NULL) != 1) {
        die("%s: not a PEM file of certificates", load.ca);
    }
    SSL_CTX_set_verify(load.tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(load.tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.conn = must_alloc(load.connections, sizeof *load.conn);
    for (uint64_t i = 0; i < load.connections; i++) {
        conn_open(&load.conn[i]);
    }
    (void)prctl(PR_SET_TIMERSLACK, 1ul); /* or a request is begun 50 us after it was due */
}

static void read_command_line(int argc, char **argv)
{
    struct meter *m = &load.meter;
    m->mode = "steady";
    load.path = "/mutate";
    load.rate = 200;
    load.connections = 8;
    const struct arg table[] = {
        {.name = "--target", .text = &m->target, .help = "HOST:PORT; its certificate: localhost"},
        {.name = "--ca", .text = &load.ca, .help = "PEM file of the authority"},
        {.name = "--review", .text = &load.review_file, .help = "file: what is sent"},
        {.name = "--answer", .text = &load.answer_file, .help = "file: what must come"},
        {.name = "--uid", .text = &load.uid, .help = "the uid in both, its end is counted up"},
        {.name = "--path", .text = &load.path, .help = "of the webhook"},
        {.name = "--mode", .text = &m->mode, .help = "steady | serial | hold"},
        {.name = "--rate", .number = &load.rate, .max = 1000000, .help = "reviews a second"},
        {.name = "--connections", .number = &load.connections, .max = CONNECTIONS_MAX, .help = ""},
        {.name = "--warm-ms", .number = &m->warm_ms, .max = 600000, .help = "not counted"},
        {.name = "--run-ms", .number = &m->run_ms, .max = 600000, .help = "counted"},
        {.name = "--cpu-pids", .pids = &m->pids, .help = "whose CPU time to read"},
        {.name = NULL},
    };
    args_read(table, argc, argv);
    if (m->target == NULL || load.ca == NULL || load.review_file == NULL ||
        load.answer_file == NULL || load.uid == NULL || load.rate == 0 || load.connections == 0) {
        die("--target, --ca, --review, --answer and --uid are needed");
    }
}

int main(int argc, char **argv)
{
    read_command_line(argc, argv);
    make_request();
    load.answer = read_document(load.answer_file, 0);
    open_all();
    if (strcmp(load.meter.mode, "hold") == 0) {
        run_hold();
        return 0;
    }
    if (strcmp(load.meter.mode, "serial") == 0) {
        run_serial();
    } else {
        run_steady();
    }
    return meter_print(&load.meter);
}
