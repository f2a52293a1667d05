/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_js - a light JetStream client on one connection.
 *
 *   publish   messages with a reply, `inflight` unanswered; an operation ends with its PubAck
 *   pull      batches of `batch` messages from a stream of FILL messages, one batch at a time; an
 *             operation is a message. At the stream's end a new consumer begins again
 *
 * Every PubAck must name the stream as the application calls it and count on; every pulled message
 * must be the next one. Ways it ends: as load_nats.
 */
#include "args.h"
#include "meter.h"
#include "nats_conn.h"
#include "proc_cpu.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    INFLIGHT_MAX = 999,
    BATCH_MAX = 1000,
    FILL = 20000,
    PAYLOAD_BYTES = 128,
    STALL_MS = 10000,
    NAME_BYTES_MAX = 64,
    SUBJECT_BYTES_MAX = 128,
};

static struct {
    const char *prefix;        /* of every subject: the stored form, without a sidecar */
    const char *stream_prefix; /* of the stream's name, likewise */
    const char *name;
    char stream[NAME_BYTES_MAX + 1];     /* stream_prefix name */
    char subject[SUBJECT_BYTES_MAX + 1]; /* prefix "js." name */
    uint64_t inflight, batch;
    struct meter meter;
    struct nats_conn conn;
    char inbox[SUBJECT_BYTES_MAX + 1];
    size_t inbox_n;
    uint64_t sent, acked;
    uint64_t start_ns[INFLIGHT_MAX + 1];
    uint64_t consumers, next_seq, in_batch;
} load;

static bool next_message(struct nats_msg *ret)
{
    struct pollfd p = {.fd = load.conn.fd, .events = POLLIN};
    while (!nats_conn_next(&load.conn, ret)) {
        nats_conn_write(&load.conn);
        p.events = outbuf_is_empty(&load.conn.out) ? POLLIN : POLLIN | POLLOUT;
        if (poll(&p, 1, STALL_MS) <= 0) {
            die("%s: nothing for %d ms", load.meter.target, STALL_MS);
        }
        nats_conn_read(&load.conn);
    }
    return true;
}

static bool contains(const struct nats_msg *m, const char *text)
{
    return memmem(m->payload, m->payload_n, text, strlen(text)) != NULL;
}

/* A request to the API; its answer must hold `want`. */
static void api(const char *subject, const char *body, const char *want)
{
    char line[512];
    struct nats_msg m;
    int n = snprintf(line, sizeof line, "PUB $JS.API.%s %s.api %zu\r\n%s\r\n", subject, load.inbox,
                     strlen(body), body);
    outbuf_put(&load.conn.out, line, (size_t)n);
    (void)next_message(&m);
    if (!contains(&m, want)) {
        die("%s: %s: %.*s", load.meter.target, subject, (int)m.payload_n, m.payload);
    }
}

static void publish(uint64_t slot)
{
    char line[384], payload[PAYLOAD_BYTES + 2];
    int n = snprintf(line, sizeof line, "PUB %s %s.%03" PRIu64 " %d\r\n", load.subject, load.inbox,
                     slot, PAYLOAD_BYTES);
    memset(payload, 'p', PAYLOAD_BYTES);
    load.sent++;
    memcpy(payload, &load.sent, sizeof load.sent);
    payload[PAYLOAD_BYTES] = '\r';
    payload[PAYLOAD_BYTES + 1] = '\n';
    outbuf_put(&load.conn.out, line, (size_t)n);
    outbuf_put(&load.conn.out, payload, sizeof payload);
    load.start_ns[slot] = now_ns();
}

/* {"stream":"NAME", "seq":N}: the server answers a connection's publishes in their order. */
static const char *check_ack(const struct nats_msg *m)
{
    char want[128];
    int n = snprintf(want, sizeof want, "{\"stream\":\"%s\",\"seq\":%" PRIu64 "}", load.stream,
                     load.acked + 1);
    char got[128];
    size_t got_n = 0;
    for (size_t i = 0; i < m->payload_n && got_n < sizeof got; i++) {
        if (m->payload[i] != ' ') {
            got[got_n++] = m->payload[i];
        }
    }
    return got_n != (size_t)n || memcmp(got, want, got_n) != 0 ? "another PubAck" : NULL;
}

static uint64_t slot_of(const struct nats_msg *m)
{
    uint64_t slot = 0;
    if (m->subject_n != load.inbox_n + 4 || memcmp(m->subject, load.inbox, load.inbox_n) != 0) {
        return INFLIGHT_MAX + 1;
    }
    for (size_t i = load.inbox_n + 1; i < m->subject_n; i++) {
        slot = slot * 10 + (uint64_t)(m->subject[i] - '0');
    }
    return slot;
}

static void take_ack(bool go_on)
{
    struct nats_msg m;
    (void)next_message(&m);
    uint64_t slot = slot_of(&m), now = now_ns();
    if (slot >= load.inflight) {
        die("%s: an answer to another inbox", load.meter.target);
    }
    meter_check(&load.meter, check_ack(&m));
    load.acked++;
    meter_done(&load.meter, 1, now - load.start_ns[slot]);
    if (go_on) {
        publish(slot);
    }
}

static void run_publish(void)
{
    meter_begin(&load.meter);
    for (uint64_t slot = 0; slot < load.inflight; slot++) {
        publish(slot);
    }
    while (load.meter.phase != METER_DRAIN || load.acked < load.sent) {
        take_ack(load.meter.phase != METER_DRAIN);
        meter_step(&load.meter);
    }
}

static void fill(void)
{
    for (uint64_t slot = 0; slot < load.inflight; slot++) {
        publish(slot);
    }
    while (load.acked < load.sent) {
        take_ack(load.sent < FILL);
    }
}

static void new_consumer(void)
{
    char subject[192], body[384];
    load.consumers++;
    (void)snprintf(subject, sizeof subject, "CONSUMER.DURABLE.CREATE.%s.c%" PRIu64, load.stream,
                   load.consumers);
    (void)snprintf(body, sizeof body,
                   "{\"stream_name\":\"%s\",\"config\":{\"durable_name\":\"c%" PRIu64
                   "\",\"deliver_policy\":\"all\",\"ack_policy\":\"none\",\"mem_storage\":true}}",
                   load.stream, load.consumers);
    api(subject, body, "\"num_pending\"");
    load.next_seq = 1;
}

static const char *check_pulled(const struct nats_msg *m)
{
    uint64_t got = 0;
    size_t n = strlen(load.subject);
    if (m->subject_n != n || memcmp(m->subject, load.subject, n) != 0 || m->reply_n < 8 ||
        memcmp(m->reply, "$JS.ACK.", 8) != 0 || m->payload_n != PAYLOAD_BYTES) {
        return "another message than was stored";
    }
    memcpy(&got, m->payload, sizeof got);
    return got != load.next_seq ? "another sequence number" : NULL;
}

static void pull_batch(void)
{
    char line[384];
    struct nats_msg m;
    uint64_t start_ns = now_ns();
    int n = snprintf(line, sizeof line,
                     "PUB $JS.API.CONSUMER.MSG.NEXT.%s.c%" PRIu64 " %s.m %d\r\n{\"batch\":%3" PRIu64
                     "}\r\n",
                     load.stream, load.consumers, load.inbox, 13, load.batch);
    outbuf_put(&load.conn.out, line, (size_t)n);
    for (uint64_t i = 0; i < load.batch; i++) {
        (void)next_message(&m);
        meter_check(&load.meter, check_pulled(&m));
        load.next_seq++;
    }
    meter_done(&load.meter, load.batch, now_ns() - start_ns);
}

static void run_pull(void)
{
    fill();
    new_consumer();
    meter_begin(&load.meter);
    while (load.meter.phase != METER_DRAIN) {
        if (load.next_seq + load.batch > FILL) {
            new_consumer();
        }
        pull_batch();
        meter_step(&load.meter);
    }
}

/* A stream of this run's own; what an earlier round left of it goes first. */
static void new_stream(void)
{
    char subject[128], body[384];
    (void)snprintf(subject, sizeof subject, "STREAM.DELETE.%s", load.stream);
    api(subject, "", "stream_delete_response");
    (void)snprintf(subject, sizeof subject, "STREAM.CREATE.%s", load.stream);
    (void)snprintf(body, sizeof body,
                   "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"storage\":\"memory\"}", load.stream,
                   load.subject);
    api(subject, body, "\"config\"");
}

static void read_command_line(int argc, char **argv)
{
    struct meter *m = &load.meter;
    m->mode = "publish";
    load.name = "BENCH";
    load.prefix = load.stream_prefix = "";
    load.inflight = 64;
    load.batch = 100;
    const struct arg table[] = {
        {.name = "--target", .text = &m->target, .help = "HOST:PORT"},
        {.name = "--mode", .text = &m->mode, .help = "publish | pull"},
        {.name = "--stream", .text = &load.name, .help = "made anew"},
        {.name = "--prefix", .text = &load.prefix, .help = "of subjects, as they are stored"},
        {.name = "--stream-prefix", .text = &load.stream_prefix, .help = "of the stream's name"},
        {.name = "--inflight", .number = &load.inflight, .max = INFLIGHT_MAX, .help = "publishes"},
        {.name = "--batch", .number = &load.batch, .max = BATCH_MAX - 1, .help = "of one pull"},
        {.name = "--warm-ms", .number = &m->warm_ms, .max = 600000, .help = "not counted"},
        {.name = "--run-ms", .number = &m->run_ms, .max = 600000, .help = "counted"},
        {.name = "--cpu-pids", .pids = &m->pids, .help = "whose CPU time to read"},
        {.name = NULL},
    };
    args_read(table, argc, argv);
    if (m->target == NULL || load.inflight == 0 || load.batch == 0) {
        die("--target is needed, --inflight and --batch at least 1");
    }
    if (strlen(load.name) + strlen(load.stream_prefix) > NAME_BYTES_MAX ||
        strlen(load.name) + strlen(load.prefix) + sizeof "js." > SUBJECT_BYTES_MAX / 2) {
        die("--stream or a prefix is too long");
    }
    (void)snprintf(load.stream, sizeof load.stream, "%s%s", load.stream_prefix, load.name);
    (void)snprintf(load.subject, sizeof load.subject, "%sjs.%s", load.prefix, load.name);
}

int main(int argc, char **argv)
{
    char wildcard[SUBJECT_BYTES_MAX + 3];
    read_command_line(argc, argv);
    nats_conn_open(&load.conn, load.meter.target, NATS_CONN_READ_BYTES);
    load.inbox_n = (size_t)snprintf(load.inbox, sizeof load.inbox, "%s_INBOX.%d", load.prefix,
                                    getpid());
    (void)snprintf(wildcard, sizeof wildcard, "%s.*", load.inbox);
    nats_conn_sub(&load.conn, wildcard, "1");
    nats_conn_barrier(&load.conn);
    new_stream();
    if (strcmp(load.meter.mode, "pull") == 0) {
        run_pull();
    } else {
        run_publish();
    }
    return meter_print(&load.meter);
}
