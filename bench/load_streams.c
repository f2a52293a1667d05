/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_streams - a light etcd client of what stays open: watches, keep-alives; and a slow reader.
 *
 *   watch      N watches of one key, a stream each, on one connection; one Put at a time, an
 *              operation, timed until the last of them has its event
 *   keepalive  N leases, one stream; an operation is an answer. Each is asked for every TTL / 3,
 * all in one burst, which is what etcd's own client does (clientv3 lease.go looks at its leases
 * twice a second and asks for all that are due) hold       N watches, on `streams` streams, until
 * standard input ends slow       one list of everything, read through a window of
 * SLOW_WINDOW_BYTES, a piece at a time with a pause behind it
 *
 * Every event must be of that key with that value, every keep-alive's answer of a lease that waits
 * for one. Ways it ends: as load_etcd.
 */
#include "args.h"
#include "etcd_msg.h"
#include "h2.h"
#include "meter.h"
#include "proc_cpu.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum {
    N_MAX = 20000,
    STALL_MS = 10000,
    SLOW_WINDOW_BYTES = 64 * 1024 - 1,
    SLOW_PAUSE_NS = 1000000,
    LEASE_TTL_S = 6,
    TICK_MS = 10,
};

/* One gRPC call that goes on: requests wait in out, answers are cut out of in. */
struct stream {
    int32_t id;
    struct outbuf out, in;
    bool deferred, half_closed;
    uint64_t answers, created;
};

struct lease {
    int64_t id;
    uint64_t start_ns; /* 0: not asked for */
};

static struct {
    uint64_t n, streams, range;
    const char *prefix;
    struct meter meter;
    struct h2 h2;
    struct stream *stream; /* `streams` of them; the last is for unary calls */
    uint64_t waiting;      /* watches that have not had the event yet */
    char value[16];
    struct lease *lease; /* by id */
    uint64_t asked, answered;
    uint64_t body_bytes;
    bool is_holding;
} load;

static ssize_t read_out(nghttp2_session *s, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
                        nghttp2_data_source *source, void *user)
{
    struct stream *st = source->ptr;
    size_t have = st->out.end - st->out.begin;
    (void)s, (void)id, (void)user;
    if (have == 0 && !st->half_closed) {
        st->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    have = have < n ? have : n;
    if (have != 0) {
        memcpy(to, st->out.data + st->out.begin, have);
    }
    st->out.begin += have;
    if (outbuf_is_empty(&st->out) && st->half_closed) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)have;
}

static void stream_open(struct stream *st, const nghttp2_nv *headers)
{
    nghttp2_data_provider body = {.source.ptr = st, .read_callback = read_out};
    st->deferred = false;
    st->id = nghttp2_submit_request(load.h2.session, NULL, headers, H2_GRPC_HEADERS, &body, st);
    if (st->id < 0) {
        die("nghttp2_submit_request failed");
    }
}

static void stream_say(struct stream *st, const void *frame, size_t n)
{
    outbuf_put(&st->out, frame, n);
    if (st->deferred) {
        st->deferred = false;
        (void)nghttp2_session_resume_data(load.h2.session, st->id);
    }
}

/* --- what comes back --------------------------------------------------------------------- */

static void on_watch_answer(struct stream *st, const uint8_t *body, size_t n)
{
    enum etcd_watch_answer kind = ETCD_WATCH_BAD;
    const char *what = etcd_msg_check_watch(body, n, load.prefix, load.value, &kind);
    meter_check(&load.meter, what);
    if (kind == ETCD_WATCH_CREATED) {
        st->created++;
    } else if (kind == ETCD_WATCH_EVENT) {
        st->answers++;
        load.waiting--;
    }
}

static int by_id(const void *a, const void *b)
{
    const struct lease *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* etcd answers in order; its grpc-proxy does not, so any lease that waits is right. */
static void on_keepalive_answer(const uint8_t *body, size_t n)
{
    struct lease key = {0};
    const char *wrong = etcd_msg_read_lease(body, n, &key.id);
    struct lease *l = bsearch(&key, load.lease, load.n, sizeof key, by_id);
    load.answered++;
    if (wrong == NULL && (l == NULL || l->start_ns == 0)) {
        wrong = "the answer for another lease";
    }
    meter_check(&load.meter, wrong);
    if (wrong == NULL) {
        meter_done(&load.meter, 1, now_ns() - l->start_ns);
        l->start_ns = 0;
    }
}

static struct stream *unary(void)
{
    return &load.stream[load.streams];
}

static void on_answer(struct stream *st, const uint8_t *body, size_t n)
{
    if (st == unary()) {
        st->answers++;
        if (load.lease != NULL && load.asked == 0) {
            meter_check(&load.meter, etcd_msg_read_lease(body, n, &load.lease[st->answers - 1].id));
        }
    } else if (load.lease != NULL) {
        on_keepalive_answer(body, n);
    } else {
        on_watch_answer(st, body, n);
    }
}

static void cut_answers(struct stream *st)
{
    for (;;) {
        const uint8_t *p = (const uint8_t *)st->in.data + st->in.begin;
        size_t have = st->in.end - st->in.begin;
        if (have < ETCD_GRPC_HEAD_BYTES) {
            return;
        }
        size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | (size_t)p[4];
        if (p[0] != 0 || n > UINT32_MAX / 2) {
            die("%s: a gRPC message that is none", load.meter.target);
        }
        if (have < ETCD_GRPC_HEAD_BYTES + n) {
            return;
        }
        st->in.begin += ETCD_GRPC_HEAD_BYTES + n;
        on_answer(st, p + ETCD_GRPC_HEAD_BYTES, n);
    }
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
                   void *user)
{
    struct stream *st = nghttp2_session_get_stream_user_data(s, id);
    (void)flags, (void)user;
    load.body_bytes += n;
    if (st != NULL && !load.is_holding && strcmp(load.meter.mode, "slow") != 0) {
        outbuf_put(&st->in, data, n);
        cut_answers(st);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *s, int32_t id, uint32_t error, void *user)
{
    struct stream *st = nghttp2_session_get_stream_user_data(s, id);
    (void)user;
    if (st != unary() || error != 0) {
        die("%s: a stream was closed (%u)", load.meter.target, error);
    }
    st->id = 0;
    return 0;
}

/* --- turns ------------------------------------------------------------------------------- */

/* False: nothing came in that time. */
static bool turn_for(size_t read_bytes, int most_ms)
{
    struct epoll_event ev;
    h2_flush(&load.h2);
    int n = epoll_wait(load.h2.epoll, &ev, 1, most_ms);
    if (n < 0 && errno != EINTR) {
        die("epoll_wait: %s", strerror(errno));
    }
    if (n > 0 && (ev.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        (void)h2_read(&load.h2, read_bytes);
    }
    return n != 0;
}

static void turn(size_t read_bytes)
{
    if (!turn_for(read_bytes, STALL_MS)) {
        die("%s: no answer for %d ms", load.meter.target, STALL_MS);
    }
}

/* One call with one answer on the unary stream. */
static void call(const nghttp2_nv *headers, const uint8_t *frame, size_t n)
{
    struct stream *st = unary();
    st->half_closed = true;
    outbuf_put(&st->out, frame, n);
    stream_open(st, headers);
}

static void finish_call(void)
{
    uint64_t want = unary()->answers;
    while (unary()->id != 0) {
        turn(SIZE_MAX);
    }
    if (unary()->answers != want + 1) {
        die("%s: a call without an answer", load.meter.target);
    }
}

static void connect_up(int32_t window)
{
    nghttp2_session_callbacks *cb = NULL;
    load.stream = must_alloc(load.streams + 1, sizeof *load.stream);
    if (nghttp2_session_callbacks_new(&cb) != 0) {
        die("out of memory");
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    load.h2.target = load.meter.target;
    load.h2.epoll = epoll_create1(EPOLL_CLOEXEC);
    h2_open(&load.h2, cb, &load.h2, window);
}

/* --- watches ----------------------------------------------------------------------------- */

static void open_watches(void)
{
    static const nghttp2_nv headers[H2_GRPC_HEADERS] = H2_GRPC("/etcdserverpb.Watch/Watch");
    uint8_t frame[ETCD_FRAME_BYTES_MAX];
    connect_up(H2_WINDOW_BYTES);
    size_t n = etcd_msg_watch(frame, load.prefix, load.range == 1);
    for (uint64_t i = 0; i < load.streams; i++) {
        stream_open(&load.stream[i], headers);
    }
    for (uint64_t i = 0, at = 0; i < load.n; i++, at = at + 1 < load.streams ? at + 1 : 0) {
        stream_say(&load.stream[at], frame, n);
    }
    for (uint64_t created = 0; created < load.n;) {
        turn(SIZE_MAX);
        created = 0;
        for (uint64_t i = 0; i < load.streams; i++) {
            created += load.stream[i].created;
        }
    }
}

static void run_watch(void)
{
    static const nghttp2_nv headers[H2_GRPC_HEADERS] = H2_GRPC("/etcdserverpb.KV/Put");
    uint8_t frame[ETCD_FRAME_BYTES_MAX];
    open_watches();
    meter_begin(&load.meter);
    for (uint64_t put = 0; load.meter.phase != METER_DRAIN; put++) {
        (void)snprintf(load.value, sizeof load.value, "%015" PRIu64, put);
        size_t n = etcd_msg_put(frame, load.prefix, load.value);
        load.waiting = load.n;
        uint64_t start_ns = now_ns();
        call(headers, frame, n);
        while (load.waiting != 0) {
            turn(SIZE_MAX);
        }
        meter_done(&load.meter, 1, now_ns() - start_ns);
        while (unary()->id != 0) {
            turn(SIZE_MAX);
        }
        meter_step(&load.meter);
    }
}

/* What comes is taken and not looked at. */
static void run_hold(void)
{
    struct pollfd wait[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
    char byte;
    open_watches();
    load.is_holding = true;
    printf("holding\n");
    (void)fflush(stdout);
    wait[1].fd = load.h2.fd;
    while (poll(wait, 2, -1) > 0 && (wait[0].revents == 0 || read(STDIN_FILENO, &byte, 1) > 0)) {
        if (wait[1].revents != 0) {
            (void)h2_read(&load.h2, SIZE_MAX);
            h2_flush(&load.h2);
        }
    }
}

/* --- keep-alives ------------------------------------------------------------------------- */

static void ask(struct lease *l)
{
    uint8_t frame[ETCD_FRAME_BYTES_MAX];
    size_t n = etcd_msg_keepalive(frame, l->id);
    load.asked++;
    l->start_ns = now_ns();
    stream_say(&load.stream[0], frame, n);
}

static void grant_leases(void)
{
    static const nghttp2_nv grant[H2_GRPC_HEADERS] = H2_GRPC("/etcdserverpb.Lease/LeaseGrant");
    uint8_t frame[ETCD_FRAME_BYTES_MAX];
    load.lease = must_alloc(load.n, sizeof *load.lease);
    for (uint64_t i = 0; i < load.n; i++) {
        call(grant, frame, etcd_msg_grant(frame, LEASE_TTL_S));
        finish_call();
    }
    qsort(load.lease, load.n, sizeof *load.lease, by_id);
}

static void run_keepalive(void)
{
    static const nghttp2_nv headers[H2_GRPC_HEADERS] = H2_GRPC(
        "/etcdserverpb.Lease/LeaseKeepAlive");
    load.streams = 1;
    connect_up(H2_WINDOW_BYTES);
    grant_leases();
    stream_open(&load.stream[0], headers);
    meter_begin(&load.meter);
    uint64_t due_ns = now_ns();
    while (load.meter.phase != METER_DRAIN || load.answered < load.asked) {
        uint64_t now = now_ns();
        if (now >= due_ns && load.meter.phase != METER_DRAIN) {
            due_ns += LEASE_TTL_S * UINT64_C(1000000000) / 3;
            for (uint64_t i = 0; i < load.n; i++) {
                if (load.lease[i].start_ns == 0) { /* what is not answered is not asked for again */
                    ask(&load.lease[i]);
                }
            }
        }
        bool is_late = !turn_for(SIZE_MAX, load.meter.phase == METER_DRAIN ? STALL_MS : TICK_MS);
        if (is_late && load.meter.phase == METER_DRAIN) {
            die("%s: no answer for %d ms", load.meter.target, STALL_MS);
        }
        meter_step(&load.meter);
    }
}

/* --- a slow reader ----------------------------------------------------------------------- */

static void run_slow(void)
{
    static const nghttp2_nv headers[H2_GRPC_HEADERS] = H2_GRPC("/etcdserverpb.KV/Range");
    const struct timespec pause = {.tv_nsec = SLOW_PAUSE_NS};
    const struct etcd_shape shape = {.prefix = load.prefix, .list_keys = (uint32_t)load.n};
    uint8_t frame[ETCD_FRAME_BYTES_MAX];
    load.streams = 0;
    connect_up(SLOW_WINDOW_BYTES);
    load.meter.run_ms = load.meter.warm_ms = 0;
    meter_begin(&load.meter);
    meter_step(&load.meter);
    uint64_t start_ns = now_ns();
    call(headers, frame, etcd_msg_request(frame, ETCD_LIST, &shape, 0));
    while (unary()->id != 0) {
        turn(SLOW_WINDOW_BYTES);
        (void)nanosleep(&pause, NULL);
    }
    meter_done(&load.meter, load.body_bytes, now_ns() - start_ns);
    meter_end(&load.meter);
    meter_check(&load.meter, load.body_bytes < load.n * 1000 ? "a list that is too short" : NULL);
}

static void read_command_line(int argc, char **argv)
{
    struct meter *m = &load.meter;
    m->mode = "watch";
    load.prefix = "bench/watched";
    load.n = load.streams = 1;
    const struct arg table[] = {
        {.name = "--target", .text = &m->target, .help = "HOST:PORT"},
        {.name = "--mode", .text = &m->mode, .help = "watch | keepalive | hold | slow"},
        {.name = "--prefix", .text = &load.prefix, .help = "the watched key; of the listed ones"},
        {.name = "--n", .number = &load.n, .max = N_MAX, .help = "watches, leases, keys"},
        {.name = "--streams", .number = &load.streams, .max = N_MAX, .help = "hold: of watches"},
        {.name = "--range", .number = &load.range, .max = 1, .help = "1: watch all that begin so"},
        {.name = "--warm-ms", .number = &m->warm_ms, .max = 600000, .help = "not counted"},
        {.name = "--run-ms", .number = &m->run_ms, .max = 600000, .help = "counted"},
        {.name = "--cpu-pids", .pids = &m->pids, .help = "whose CPU time to read"},
        {.name = NULL},
    };
    args_read(table, argc, argv);
    if (m->target == NULL || load.n == 0 || load.streams == 0 || load.streams > load.n ||
        strlen(load.prefix) > 32) {
        die("--target is needed, the numbers must fit each other");
    }
}

int main(int argc, char **argv)
{
    read_command_line(argc, argv);
    const char *mode = load.meter.mode;
    if (strcmp(mode, "hold") == 0) {
        run_hold();
        return 0;
    }
    if (strcmp(mode, "keepalive") == 0) {
        run_keepalive();
    } else if (strcmp(mode, "slow") == 0) {
        run_slow();
    } else {
        load.streams = load.n;
        run_watch();
    }
    return meter_print(&load.meter);
}
