/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_nats - a light NATS client: one way at full speed, request-reply, or connections that stay.
 *
 *   event     the same, one message at a time, timed
 *   oneway    publisher ──> subscriber, two connections; counted where it is delivered
 *   request   requester ──> responder ──> requester's inbox, two connections, m in flight
 *   hold      N connections with one subscription each, until standard input ends
 *
 * Every delivery is checked: subject, sid, length, order, first and last bytes. Ways it ends: 0
 * and a JSON line; 3 and the JSON line when anything was wrong; 1 when a connection is lost, the
 * server says -ERR, or nothing happens for STALL_MS.
 *
 * One thread and one epoll for both connections; a publisher runs at most `window` bytes ahead of
 * the deliveries, so that no server has a reason to cut off a slow consumer.
 */
#include "args.h"
#include "hist.h"
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
    CONNS_MAX = 20000,
    INFLIGHT_MAX = 9999,
    PAYLOAD_BYTES_MAX = 65536,
    BATCH_BYTES = 32 * 1024, /* what client libraries gather before a write */
    STALL_MS = 10000,
    PROBE_MS = 100,
    HOLD_READ_BYTES = 4096,
    EXIT_WRONG = 3,
};

enum phase { PHASE_WARM, PHASE_RUN, PHASE_DRAIN };

static struct {
    const char *target, *answer_target, *mode, *subject, *answer_subject, *prefix;
    uint64_t bytes, inflight, warm_ms, run_ms, conns, window;
    struct pids pids;
    int epoll;
    struct nats_conn ask, answer; /* publisher or requester; subscriber or responder */
    bool ask_wants_writable, answer_wants_writable;
    enum phase phase;
    uint64_t phase_end_ns, run_start_ns, run_end_ns;
    uint64_t cpu_start_ns[ARGS_PIDS_MAX], cpu_ns[ARGS_PIDS_MAX], self_cpu_start_ns, self_cpu_ns;
    uint64_t sent, delivered, run_done, wrong;
    const char *wrong_what;
    uint64_t start_ns[INFLIGHT_MAX + 1], seq[INFLIGHT_MAX + 1]; /* request: by slot */
    char inbox[64];
    struct hist hist;
} load;

static void wrong(const char *what)
{
    load.wrong++;
    load.wrong_what = what;
}

/* --- payload: 8 bytes of sequence, filled with 'p' --------------------------------------- */

static void put_payload(struct outbuf *o, uint64_t seq)
{
    char *p = outbuf_room(o, load.bytes + 2);
    memcpy(p, &seq, 8);
    memset(p + 8, 'p', load.bytes - 8);
    p[load.bytes] = '\r';
    p[load.bytes + 1] = '\n';
    o->end += load.bytes + 2;
}

static const char *check_payload(const struct nats_msg *m, uint64_t seq)
{
    uint64_t got = 0;
    if (m->payload_n != load.bytes) {
        return "another length";
    }
    memcpy(&got, m->payload, 8);
    if (got != seq) {
        return "another sequence number: lost, repeated or out of order";
    }
    return m->payload_n > 8 && m->payload[m->payload_n - 1] != 'p' ? "another payload" : NULL;
}

static const char *check_address(const struct nats_msg *m, const char *subject, size_t n)
{
    if (m->subject_n != n || memcmp(m->subject, subject, n) != 0) {
        return "another subject";
    }
    return m->sid_n != 1 || m->sid[0] != '1' ? "another sid" : NULL;
}

/* --- one way ----------------------------------------------------------------------------- */

/* A message on the publisher's wire. */
static uint64_t message_bytes(void)
{
    return sizeof "PUB   \r\n\r\n" - 1 + strlen(load.subject) + 2 + load.bytes;
}

static void publish_batch(void)
{
    char line[256];
    int n = snprintf(line, sizeof line, "PUB %s %" PRIu64 "\r\n", load.subject, load.bytes);
    uint64_t message = message_bytes();
    uint64_t ahead = (load.sent - load.delivered) * message;
    for (uint64_t used = 0; used < BATCH_BYTES && ahead < load.window; used += message) {
        outbuf_put(&load.ask.out, line, (size_t)n);
        put_payload(&load.ask.out, load.sent++);
        ahead += message;
    }
}

static void take_deliveries(void)
{
    struct nats_msg m;
    size_t subject_n = strlen(load.answer_subject);
    while (nats_conn_next(&load.answer, &m)) {
        const char *what = check_address(&m, load.answer_subject, subject_n);
        what = what == NULL ? check_payload(&m, load.delivered) : what;
        if (what != NULL) {
            wrong(what);
        }
        load.delivered++;
        load.run_done += load.phase == PHASE_RUN;
    }
}

/* --- request and reply ------------------------------------------------------------------- */

/* The slot is the last 4 digits of the inbox; the responder only copies what it was sent. */
static void request(unsigned slot)
{
    char line[320];
    int n = snprintf(line, sizeof line, "PUB %s %s.%04u %" PRIu64 "\r\n", load.subject, load.inbox,
                     slot, load.bytes);
    load.seq[slot] = load.sent++;
    outbuf_put(&load.ask.out, line, (size_t)n);
    put_payload(&load.ask.out, load.seq[slot]);
    load.start_ns[slot] = now_ns();
}

static void answer_requests(void)
{
    struct nats_msg m;
    char line[320];
    size_t subject_n = strlen(load.answer_subject);
    while (nats_conn_next(&load.answer, &m)) {
        const char *what = check_address(&m, load.answer_subject, subject_n);
        if (what != NULL || m.reply_n == 0) {
            wrong(what != NULL ? what : "a request without a reply subject");
            continue;
        }
        int n = snprintf(line, sizeof line, "PUB %.*s %zu\r\n", (int)m.reply_n, m.reply,
                         m.payload_n);
        outbuf_put(&load.answer.out, line, (size_t)n);
        outbuf_put(&load.answer.out, m.payload, m.payload_n);
        outbuf_put(&load.answer.out, "\r\n", 2);
    }
}

/* One event at a time: the next one goes out when this one has arrived. */
static void send_event(void)
{
    char line[320];
    int n = snprintf(line, sizeof line, "PUB %s %" PRIu64 "\r\n", load.subject, load.bytes);
    outbuf_put(&load.ask.out, line, (size_t)n);
    put_payload(&load.ask.out, load.sent++);
    load.start_ns[0] = now_ns();
}

static void turn_event(void)
{
    struct nats_msg m;
    size_t subject_n = strlen(load.answer_subject);
    while (nats_conn_next(&load.answer, &m)) {
        uint64_t now = now_ns();
        const char *what = check_address(&m, load.answer_subject, subject_n);
        what = what == NULL ? check_payload(&m, load.delivered) : what;
        if (what != NULL) {
            wrong(what);
        }
        load.delivered++;
        if (load.phase == PHASE_RUN) {
            load.run_done++;
            hist_add(&load.hist, now - load.start_ns[0]);
        }
    }
    if (load.phase != PHASE_DRAIN && load.delivered == load.sent) {
        send_event();
    }
    nats_conn_write(&load.ask);
}

static unsigned slot_of(const struct nats_msg *m)
{
    unsigned slot = 0;
    size_t inbox_n = strlen(load.inbox);
    if (m->subject_n != inbox_n + 5 || memcmp(m->subject, load.inbox, inbox_n) != 0) {
        return INFLIGHT_MAX + 1;
    }
    for (size_t i = inbox_n + 1; i < m->subject_n; i++) {
        slot = slot * 10 + (unsigned)(m->subject[i] - '0');
    }
    return slot;
}

static void take_answers(void)
{
    struct nats_msg m;
    while (nats_conn_next(&load.ask, &m)) {
        uint64_t now = now_ns();
        unsigned slot = slot_of(&m);
        if (slot >= load.inflight) {
            wrong("an answer to another inbox");
            continue;
        }
        const char *what = check_payload(&m, load.seq[slot]);
        if (what != NULL) {
            wrong(what);
        }
        load.delivered++;
        if (load.phase == PHASE_RUN) {
            load.run_done++;
            hist_add(&load.hist, now - load.start_ns[slot]);
        }
        if (load.phase != PHASE_DRAIN) {
            request(slot);
        }
    }
}

/* --- the loop ---------------------------------------------------------------------------- */

static void watch(struct nats_conn *c, bool *wants, bool writable)
{
    if (*wants == writable) {
        return;
    }
    struct epoll_event ev = {.events = EPOLLIN | (writable ? EPOLLOUT : 0u), .data.ptr = c};
    (void)epoll_ctl(load.epoll, EPOLL_CTL_MOD, c->fd, &ev);
    *wants = writable;
}

static void turn_oneway(void)
{
    if (load.phase != PHASE_DRAIN && outbuf_is_empty(&load.ask.out)) {
        publish_batch();
    }
    nats_conn_write(&load.ask);
    take_deliveries();
    bool more = load.phase != PHASE_DRAIN &&
                (load.sent - load.delivered) * message_bytes() < load.window / 2;
    watch(&load.ask, &load.ask_wants_writable, more || !outbuf_is_empty(&load.ask.out));
}

static void turn_request(void)
{
    take_answers();
    nats_conn_write(&load.ask);
    answer_requests();
    nats_conn_write(&load.answer);
    watch(&load.ask, &load.ask_wants_writable, !outbuf_is_empty(&load.ask.out));
    watch(&load.answer, &load.answer_wants_writable, !outbuf_is_empty(&load.answer.out));
}

static void poll_connections(int timeout_ms)
{
    struct epoll_event ev[4];
    int n = epoll_wait(load.epoll, ev, 4, timeout_ms);
    if (n == 0 || (n < 0 && errno != EINTR)) {
        die("%s: nothing for %d ms; %" PRIu64 " sent, %" PRIu64 " delivered", load.target,
            timeout_ms, load.sent, load.delivered);
    }
    for (int i = 0; i < n; i++) {
        if ((ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            nats_conn_read(ev[i].data.ptr);
        }
    }
}

static void phase_step(void)
{
    uint64_t now = now_ns();
    if (load.phase == PHASE_DRAIN || now < load.phase_end_ns) {
        return;
    }
    bool begins = load.phase == PHASE_WARM;
    for (unsigned i = 0; i < load.pids.n; i++) {
        uint64_t cpu = proc_cpu_ns(load.pids.pid[i]);
        load.cpu_ns[i] = cpu - load.cpu_start_ns[i];
        load.cpu_start_ns[i] = cpu;
    }
    uint64_t self = proc_cpu_ns(getpid());
    load.self_cpu_ns = self - load.self_cpu_start_ns;
    load.self_cpu_start_ns = self;
    if (begins) {
        load.run_start_ns = now_ns();
        load.phase_end_ns = load.run_start_ns + load.run_ms * 1000000u;
        load.phase = PHASE_RUN;
    } else {
        load.run_end_ns = now;
        load.phase = PHASE_DRAIN;
    }
}

static void run(void (*turn)(void))
{
    load.phase = PHASE_WARM;
    load.phase_end_ns = now_ns() + load.warm_ms * 1000000u;
    while (load.phase != PHASE_DRAIN || load.delivered < load.sent) {
        turn();
        phase_step();
        if (load.phase == PHASE_DRAIN && load.delivered == load.sent) {
            break;
        }
        poll_connections(STALL_MS);
    }
}

static void open_both(const char *ask_sub, const char *answer_sub)
{
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    nats_conn_open(&load.ask, load.target, NATS_CONN_READ_BYTES);
    nats_conn_open(&load.answer, load.answer_target, NATS_CONN_READ_BYTES);
    nats_conn_sub(&load.answer, answer_sub, "1");
    nats_conn_barrier(&load.answer);
    if (ask_sub != NULL) {
        nats_conn_sub(&load.ask, ask_sub, "1");
        nats_conn_barrier(&load.ask);
    }
    struct nats_conn *both[] = {&load.ask, &load.answer};
    for (int i = 0; i < 2; i++) {
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = both[i]};
        if (epoll_ctl(load.epoll, EPOLL_CTL_ADD, both[i]->fd, &ev) != 0) {
            die("epoll_ctl: %s", strerror(errno));
        }
    }
}

/* The next message within PROBE_MS, its sequence number; false: none. */
static bool hear_probe(struct nats_conn *to, uint64_t *ret_seq)
{
    struct nats_msg m;
    uint64_t give_up_ns = now_ns() + PROBE_MS * 1000000ull;
    while (!nats_conn_next(to, &m)) {
        struct pollfd p = {.fd = to->fd, .events = POLLIN};
        if (now_ns() >= give_up_ns || poll(&p, 1, PROBE_MS) <= 0) {
            return false;
        }
        nats_conn_read(to);
    }
    memcpy(ret_seq, m.payload, m.payload_n < 8 ? 0 : 8);
    return true;
}

/* A leaf node tells its hub about a subscription a moment after it has answered the PING: publish
 * until the last probe comes through. Direct and through one process it is the first. */
static void wait_for_interest(struct nats_conn *from, struct nats_conn *to, const char *subject)
{
    char line[320];
    int n = snprintf(line, sizeof line, "PUB %s %" PRIu64 "\r\n", subject, load.bytes);
    uint64_t give_up_ns = now_ns() + STALL_MS * 1000000ull;
    uint64_t sent = 0, heard = 0;
    while (sent == 0 || heard < sent) {
        uint64_t seq = 0;
        if (sent == 0 || !hear_probe(to, &seq)) {
            outbuf_put(&from->out, line, (size_t)n);
            put_payload(&from->out, ++sent);
            nats_conn_write(from);
        }
        heard = seq > heard ? seq : heard;
        if (now_ns() > give_up_ns) {
            die("%s: nothing arrives on %s", load.target, subject);
        }
    }
}

static void run_oneway(void (*turn)(void))
{
    open_both(NULL, load.answer_subject);
    wait_for_interest(&load.ask, &load.answer, load.subject);
    run(turn);
}

static void run_request(void)
{
    char wildcard[72], probe[72];
    (void)snprintf(load.inbox, sizeof load.inbox, "%s_INBOX.%d", load.prefix, getpid());
    (void)snprintf(wildcard, sizeof wildcard, "%s.*", load.inbox);
    open_both(wildcard, load.answer_subject);
    (void)snprintf(probe, sizeof probe, "%s.0000", load.inbox);
    wait_for_interest(&load.ask, &load.answer, load.subject);
    wait_for_interest(&load.answer, &load.ask, probe);
    for (unsigned slot = 0; slot < load.inflight; slot++) {
        request(slot);
    }
    run(turn_request);
}

static void run_hold(void)
{
    struct nats_conn *c = must_alloc(load.conns, sizeof *c);
    char subject[64];
    char byte;
    for (uint64_t i = 0; i < load.conns; i++) {
        nats_conn_open(&c[i], load.target, HOLD_READ_BYTES);
        (void)snprintf(subject, sizeof subject, "_INBOX.%d.%" PRIu64 ".*", getpid(), i);
        nats_conn_sub(&c[i], subject, "1");
        nats_conn_barrier(&c[i]);
    }
    printf("holding\n");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    for (uint64_t i = 0; i < load.conns; i++) {
        nats_conn_close(&c[i]);
    }
    free(c);
}

static void print_result(void)
{
    double seconds = (double)(load.run_end_ns - load.run_start_ns) / 1e9;
    double done = load.run_done == 0 ? 1 : (double)load.run_done;
    printf("{\"op\": \"%s\", \"bytes\": %" PRIu64 ", \"inflight\": %" PRIu64 ", \"ops\": %" PRIu64
           ", \"seconds\": %.4f, \"rate\": %.1f, \"p50_us\": %.2f, \"p90_us\": %.2f, "
           "\"p99_us\": %.2f, \"max_us\": %.1f, \"wrong\": %" PRIu64 ", \"client_cpu_us\": %.3f, "
           "\"cpu_us\": [",
           load.mode, load.bytes, load.inflight, load.run_done, seconds,
           (double)load.run_done / seconds, hist_quantile_ns(&load.hist, 0.5) / 1e3,
           hist_quantile_ns(&load.hist, 0.9) / 1e3, hist_quantile_ns(&load.hist, 0.99) / 1e3,
           (double)load.hist.max_ns / 1e3, load.wrong, (double)load.self_cpu_ns / 1e3 / done);
    for (unsigned i = 0; i < load.pids.n; i++) {
        printf("%s%.4f", i == 0 ? "" : ", ", (double)load.cpu_ns[i] / 1e3 / done);
    }
    printf("]}\n");
    if (load.wrong > 0) {
        (void)fprintf(stderr, "%s: %" PRIu64 " wrong, the last: %s\n", load.target, load.wrong,
                      load.wrong_what);
    }
}

static void read_command_line(int argc, char **argv)
{
    static char stored[256];
    load.mode = "oneway";
    load.prefix = "";
    load.subject = "bench.subject";
    load.bytes = 128;
    load.inflight = load.conns = 1;
    load.window = 4u << 20;
    const struct arg table[] = {
        {.name = "--target", .text = &load.target, .help = "HOST:PORT of publisher or requester"},
        {.name = "--answer-target", .text = &load.answer_target, .help = "of the other; the same"},
        {.name = "--mode", .text = &load.mode, .help = "oneway | event | request | hold"},
        {.name = "--subject", .text = &load.subject, .help = "published to"},
        {.name = "--prefix", .text = &load.prefix, .help = "before subject and inbox"},
        {.name = "--bytes",
         .number = &load.bytes,
         .max = PAYLOAD_BYTES_MAX,
         .help = "payload, >= 8"},
        {.name = "--inflight", .number = &load.inflight, .max = INFLIGHT_MAX, .help = "requests"},
        {.name = "--conns", .number = &load.conns, .max = CONNS_MAX, .help = "to hold"},
        {.name = "--window", .number = &load.window, .max = 64u << 20, .help = "bytes ahead"},
        {.name = "--warm-ms", .number = &load.warm_ms, .max = 600000, .help = "not counted"},
        {.name = "--run-ms", .number = &load.run_ms, .max = 600000, .help = "counted"},
        {.name = "--cpu-pids", .pids = &load.pids, .help = "whose CPU time to read"},
        {.name = NULL},
    };
    args_read(table, argc, argv);
    load.answer_target = load.answer_target == NULL ? load.target : load.answer_target;
    if (load.target == NULL || load.bytes < 8 || load.inflight == 0 || load.window == 0 ||
        strlen(load.subject) > 150 || strlen(load.prefix) > 32) {
        die("--target is needed, --bytes at least 8");
    }
    (void)snprintf(stored, sizeof stored, "%s%s", load.prefix, load.subject);
    load.subject = load.answer_subject = stored;
}

int main(int argc, char **argv)
{
    read_command_line(argc, argv);
    hist_init(&load.hist);
    if (strcmp(load.mode, "hold") == 0) {
        run_hold();
        return 0;
    }
    if (strcmp(load.mode, "request") == 0) {
        run_request();
    } else {
        run_oneway(strcmp(load.mode, "event") == 0 ? turn_event : turn_oneway);
    }
    print_result();
    return load.wrong > 0 ? EXIT_WRONG : 0;
}
