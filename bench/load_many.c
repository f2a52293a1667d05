/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_many - a light NATS client with many subscriptions.
 *
 *   fanout   one publisher ──> N subscribers, each its own connection; counted where delivered
 *   subs     N SUB lines on one connection and a PING: one operation, timed to its PONG
 *   hold     the same, then it stays until standard input ends
 *
 * Every delivery is checked: subject, sid, length, sequence number. Ways it ends: as load_nats.
 */
#include "args.h"
#include "meter.h"
#include "nats_conn.h"
#include "proc_cpu.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    SUBSCRIBERS_MAX = 1000,
    SUBS_MAX = 1000000,
    PAYLOAD_BYTES = 128,
    AHEAD_MESSAGES = 2000, /* of the slowest subscriber: far below what a server cuts off */
    BATCH_MESSAGES = 64,
    STALL_MS = 10000,
    PROBE_MS = 100,
    HOLD_READ_BYTES = 64 * 1024,
};

static const char subject[] = "bench.many";

static struct {
    const char *answer_target;
    uint64_t n;
    struct meter meter;
    int epoll;
    struct nats_conn from, *to;
    uint64_t *heard; /* by subscriber: messages */
    uint64_t sent;
    bool wants_writable;
} load;

static uint64_t slowest(void)
{
    uint64_t least = load.heard[0];
    for (uint64_t i = 1; i < load.n; i++) {
        least = load.heard[i] < least ? load.heard[i] : least;
    }
    return least;
}

static void publish(uint64_t messages)
{
    char line[64];
    int n = snprintf(line, sizeof line, "PUB %s %d\r\n", subject, PAYLOAD_BYTES);
    for (; messages > 0; messages--) {
        char payload[PAYLOAD_BYTES + 2];
        memset(payload, 'p', PAYLOAD_BYTES);
        memcpy(payload, &load.sent, sizeof load.sent);
        payload[PAYLOAD_BYTES] = '\r';
        payload[PAYLOAD_BYTES + 1] = '\n';
        load.sent++;
        outbuf_put(&load.from.out, line, (size_t)n);
        outbuf_put(&load.from.out, payload, sizeof payload);
    }
}

static const char *check(const struct nats_msg *m, uint64_t want)
{
    uint64_t got = 0;
    if (m->subject_n != sizeof subject - 1 || memcmp(m->subject, subject, m->subject_n) != 0) {
        return "another subject";
    }
    if (m->sid_n != 1 || m->sid[0] != '1' || m->payload_n != PAYLOAD_BYTES) {
        return "another sid or length";
    }
    memcpy(&got, m->payload, sizeof got);
    return got != want ? "another sequence number: lost, repeated or out of order" : NULL;
}

static void take(uint64_t i)
{
    struct nats_msg m;
    nats_conn_read(&load.to[i]);
    while (nats_conn_next(&load.to[i], &m)) {
        meter_check(&load.meter, check(&m, load.heard[i]));
        load.heard[i]++;
        meter_done(&load.meter, 1, 0);
    }
}

static bool may_publish(void)
{
    return load.meter.phase != METER_DRAIN && outbuf_is_empty(&load.from.out) &&
           load.sent - slowest() <= AHEAD_MESSAGES - BATCH_MESSAGES;
}

/* The publisher is `n` among the connections. */
static void watch_publisher(int how)
{
    bool wants = may_publish() || !outbuf_is_empty(&load.from.out);
    struct epoll_event ev = {.events = EPOLLIN | (wants ? EPOLLOUT : 0u), .data.u64 = load.n};
    if ((how == EPOLL_CTL_ADD || wants != load.wants_writable) &&
        epoll_ctl(load.epoll, how, load.from.fd, &ev) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
    load.wants_writable = wants;
}

static void fanout_turn(void)
{
    struct epoll_event ev[64];
    struct nats_msg m;
    if (may_publish()) {
        publish(BATCH_MESSAGES);
    }
    nats_conn_write(&load.from);
    watch_publisher(EPOLL_CTL_MOD);
    int n = epoll_wait(load.epoll, ev, 64, STALL_MS);
    if (n == 0) {
        die("%s: nothing for %d ms", load.meter.target, STALL_MS);
    }
    for (int i = 0; i < n; i++) {
        if (ev[i].data.u64 < load.n) {
            take(ev[i].data.u64);
        } else if ((ev[i].events & EPOLLIN) != 0) {
            nats_conn_read(&load.from);
            meter_check(&load.meter, nats_conn_next(&load.from, &m) ? "for the publisher" : NULL);
        }
    }
}

static void subscribe_all(void)
{
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.to = must_alloc(load.n, sizeof *load.to);
    load.heard = must_alloc(load.n, sizeof *load.heard);
    for (uint64_t i = 0; i < load.n; i++) {
        nats_conn_open(&load.to[i], load.answer_target, NATS_CONN_READ_BYTES);
        nats_conn_sub(&load.to[i], subject, "1");
        nats_conn_barrier(&load.to[i]);
        struct epoll_event ev = {.events = EPOLLIN, .data.u64 = i};
        if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, load.to[i].fd, &ev) != 0) {
            die("epoll_ctl: %s", strerror(errno));
        }
    }
}

/* The first message comes through to one when the server knows of its subscription; a leaf node
 * tells its hub a moment later. Sequence numbers begin where all hear. */
static void wait_for_interest(void)
{
    uint64_t give_up_ns = now_ns() + STALL_MS * 1000000ull;
    struct nats_msg m;
    for (bool all = false; !all;) {
        uint64_t heard = 0;
        publish(1);
        nats_conn_write(&load.from);
        for (uint64_t i = 0; i < load.n; i++) {
            struct pollfd p = {.fd = load.to[i].fd, .events = POLLIN};
            if (poll(&p, 1, PROBE_MS) > 0) {
                nats_conn_read(&load.to[i]);
            }
            while (nats_conn_next(&load.to[i], &m)) {
                memcpy(&load.heard[i], m.payload, sizeof load.heard[i]);
                load.heard[i]++;
            }
            heard += load.heard[i] == load.sent;
        }
        all = heard == load.n;
        if (now_ns() > give_up_ns) {
            die("%s: nothing arrives", load.meter.target);
        }
    }
}

static void run_fanout(void)
{
    nats_conn_open(&load.from, load.meter.target, NATS_CONN_READ_BYTES);
    subscribe_all();
    wait_for_interest();
    watch_publisher(EPOLL_CTL_ADD);
    meter_begin(&load.meter);
    while (load.meter.phase != METER_DRAIN || slowest() < load.sent) {
        fanout_turn();
        meter_step(&load.meter);
    }
}

/* N subscriptions, of subjects as an application has them, and the answer that says they stand. */
static void subscribe_many(struct nats_conn *c)
{
    char name[64], sid[24];
    for (uint64_t i = 0; i < load.n; i++) {
        (void)snprintf(name, sizeof name, "bench.many.%06" PRIu64 ".state", i);
        (void)snprintf(sid, sizeof sid, "%" PRIu64, i + 1);
        nats_conn_sub(c, name, sid);
    }
    nats_conn_barrier(c);
}

static void run_subs(void)
{
    load.meter.run_ms = load.meter.warm_ms = 0;
    meter_begin(&load.meter);
    nats_conn_open(&load.from, load.meter.target, HOLD_READ_BYTES);
    meter_step(&load.meter);
    uint64_t start_ns = now_ns();
    subscribe_many(&load.from);
    meter_done(&load.meter, 1, now_ns() - start_ns);
    meter_end(&load.meter);
    nats_conn_close(&load.from);
}

static void run_hold(void)
{
    char byte;
    nats_conn_open(&load.from, load.meter.target, HOLD_READ_BYTES);
    subscribe_many(&load.from);
    printf("holding\n");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    nats_conn_close(&load.from);
}

static void read_command_line(int argc, char **argv)
{
    struct meter *m = &load.meter;
    m->mode = "fanout";
    load.n = 100;
    const struct arg table[] = {
        {.name = "--target", .text = &m->target, .help = "HOST:PORT of the publisher"},
        {.name = "--answer-target", .text = &load.answer_target, .help = "of the subscribers"},
        {.name = "--mode", .text = &m->mode, .help = "fanout | subs | hold"},
        {.name = "--n", .number = &load.n, .max = SUBS_MAX, .help = "subscribers, or SUB lines"},
        {.name = "--warm-ms", .number = &m->warm_ms, .max = 600000, .help = "not counted"},
        {.name = "--run-ms", .number = &m->run_ms, .max = 600000, .help = "counted"},
        {.name = "--cpu-pids", .pids = &m->pids, .help = "whose CPU time to read"},
        {.name = NULL},
    };
    args_read(table, argc, argv);
    load.answer_target = load.answer_target == NULL ? m->target : load.answer_target;
    if (m->target == NULL || load.n == 0 ||
        (strcmp(m->mode, "fanout") == 0 && load.n > SUBSCRIBERS_MAX)) {
        die("--target is needed, --n at least 1");
    }
}

int main(int argc, char **argv)
{
    read_command_line(argc, argv);
    if (strcmp(load.meter.mode, "hold") == 0) {
        run_hold();
        return 0;
    }
    if (strcmp(load.meter.mode, "subs") == 0) {
        run_subs();
    } else {
        run_fanout();
    }
    return meter_print(&load.meter);
}
