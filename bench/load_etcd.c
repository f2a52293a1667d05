/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load_etcd - a light etcd client: c connections, m calls in flight on each, every answer checked.
 *
 * Happy path: [fill] -> warm -> run -> drain -> [read everything back after puts] -> one JSON line.
 * Ways it ends: 0 as above; 3 with the JSON line when any answer was wrong; 1 when a connection
 * is refused or lost, or nothing happens for STALL_MS.
 *
 * One thread and one epoll: what the client costs is the same for every target and small, so that
 * the difference between targets is theirs. A call is timed from its submission to the end of its
 * stream. All frames that one turn produces leave with one send().
 */
#include "args.h"
#include "etcd_msg.h"
#include "h2.h"
#include "hist.h"
#include "proc_cpu.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    CONNS_MAX = 1024,
    INFLIGHT_MAX = 4096,
    STALL_MS = 10000,
    EXIT_WRONG = 3,
};

enum phase { PHASE_FILL, PHASE_WARM, PHASE_RUN, PHASE_DRAIN, PHASE_READ_BACK, PHASE_DONE };

struct conn;

struct call {
    struct conn *conn; /* borrows */
    enum etcd_op op;
    uint32_t key;
    uint64_t start_ns;
    uint8_t request[ETCD_FRAME_BYTES_MAX];
    size_t request_n, request_sent;
    uint8_t *body; /* owned; grows to the largest answer */
    size_t body_n, body_cap;
    bool http_ok, grpc_ok, under_way;
};

struct conn {
    struct h2 h2;
    struct call *calls; /* owned, `inflight` of them */
};

static struct {
    const char *target, *op_name;
    uint64_t conns, inflight, warm_ms, run_ms, keys, value_bytes, list_keys, fill, hold;
    uint64_t rare_every, limit, started;
    struct pids pids;
    enum etcd_op op;
    struct etcd_shape shape;
    int epoll;
    struct conn *conn;
    enum phase phase;
    uint64_t begin_ns, phase_end_ns, run_start_ns, run_end_ns, cpu_start_ns[ARGS_PIDS_MAX];
    uint64_t cpu_ns[ARGS_PIDS_MAX], self_cpu_start_ns, self_cpu_ns;
    uint32_t next_key, under_way;
    uint64_t done, wrong;
    int quiet_ms;
    const char *wrong_what;
    struct hist hist;
} load;

/* --- one call ---------------------------------------------------------------------------- */

static ssize_t read_request(nghttp2_session *s, int32_t id, uint8_t *out, size_t n, uint32_t *flags,
                            nghttp2_data_source *source, void *user)
{
    struct call *c = source->ptr;
    size_t left = c->request_n - c->request_sent;
    size_t take = left < n ? left : n;
    (void)s;
    (void)id;
    (void)user;
    memcpy(out, c->request + c->request_sent, take);
    c->request_sent += take;
    if (c->request_sent == c->request_n) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)take;
}

static void call_start(struct call *c, enum etcd_op op, uint32_t key)
{
    static const nghttp2_nv range_headers[H2_GRPC_HEADERS] = H2_GRPC("/etcdserverpb.KV/Range");
    static const nghttp2_nv put_headers[H2_GRPC_HEADERS] = H2_GRPC("/etcdserverpb.KV/Put");
    c->op = op;
    c->key = key;
    c->request_n = etcd_msg_request(c->request, op, &load.shape, key);
    c->request_sent = c->body_n = 0;
    c->http_ok = c->grpc_ok = false;
    c->under_way = true;
    load.under_way++;
    nghttp2_data_provider body = {.source.ptr = c, .read_callback = read_request};
    c->start_ns = now_ns();
    if (nghttp2_submit_request(c->conn->h2.session, NULL,
                               op == ETCD_PUT ? put_headers : range_headers, H2_GRPC_HEADERS, &body,
                               c) < 0) {
        die("nghttp2_submit_request failed");
    }
}

/* --limit: may one more begin now? All connections share it, as etcdctl's do. */
static bool is_due(uint64_t now)
{
    if (load.limit == 0 || (load.phase != PHASE_WARM && load.phase != PHASE_RUN)) {
        return true;
    }
    return load.started * 1000000000u < (now - load.begin_ns) * load.limit;
}

/* The next call of the phase, if there is one and it is due. Filling and reading back visit every
 * key once. */
static void call_next(struct call *c)
{
    bool once = load.phase == PHASE_FILL || load.phase == PHASE_READ_BACK;
    if (load.phase == PHASE_DRAIN || load.phase == PHASE_DONE ||
        (once && load.next_key >= load.keys) || !is_due(now_ns())) {
        return;
    }
    load.started++;
    uint32_t key = load.next_key++;
    if (!once && load.next_key >= load.keys) {
        load.next_key = 0;
    }
    call_start(c, load.phase == PHASE_FILL ? ETCD_PUT : once ? ETCD_RANGE : load.op, key);
}

static void call_end(struct call *c, uint32_t stream_error)
{
    uint64_t end_ns = now_ns();
    const char *wrong = stream_error != 0 ? "the stream was reset"
                        : !c->http_ok     ? ":status is not 200"
                        : !c->grpc_ok
                            ? "grpc-status is not 0"
                            : etcd_msg_check(c->body, c->body_n, c->op, &load.shape, c->key);
    if (wrong != NULL) {
        load.wrong++;
        load.wrong_what = wrong;
    }
    c->under_way = false;
    load.under_way--;
    if (load.phase == PHASE_RUN) {
        load.done++;
        hist_add(&load.hist, end_ns - c->start_ns);
    }
}

/* --- nghttp2 ----------------------------------------------------------------------------- */

/* NOLINTNEXTLINE(readability-function-size): the signature is nghttp2's */
static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    struct call *c = nghttp2_session_get_stream_user_data(s, frame->hd.stream_id);
    (void)flags;
    (void)user;
    if (c == NULL) {
        return 0;
    }
    if (name_n == 7 && memcmp(name, ":status", 7) == 0) {
        c->http_ok = value_n == 3 && memcmp(value, "200", 3) == 0;
    } else if (name_n == 11 && memcmp(name, "grpc-status", 11) == 0) {
        c->grpc_ok = value_n == 1 && value[0] == '0';
    }
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *data, size_t n,
                   void *user)
{
    struct call *c = nghttp2_session_get_stream_user_data(s, id);
    (void)flags;
    (void)user;
    if (c == NULL) {
        return 0;
    }
    if (c->body_cap - c->body_n < n) {
        c->body_cap = 2 * (c->body_n + n);
        uint8_t *body = realloc(c->body, c->body_cap);
        if (body == NULL) {
            die("out of memory");
        }
        c->body = body;
    }
    memcpy(c->body + c->body_n, data, n);
    c->body_n += n;
    return 0;
}

static int on_stream_close(nghttp2_session *s, int32_t id, uint32_t error, void *user)
{
    struct call *c = nghttp2_session_get_stream_user_data(s, id);
    (void)user;
    if (c != NULL) {
        call_end(c, error);
        call_next(c);
    }
    return 0;
}

static void conn_open(struct conn *c)
{
    nghttp2_session_callbacks *cb = NULL;
    c->calls = must_alloc(load.inflight, sizeof *c->calls);
    for (uint64_t i = 0; i < load.inflight; i++) {
        c->calls[i].conn = c;
    }
    if (nghttp2_session_callbacks_new(&cb) != 0) {
        die("out of memory");
    }
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    c->h2.target = load.target;
    c->h2.epoll = load.epoll;
    h2_open(&c->h2, cb, c, H2_WINDOW_BYTES);
}

/* --- phases ------------------------------------------------------------------------------ */

static void start_all_calls(void)
{
    uint64_t first = load.started;
    for (uint64_t n = 0; n < load.conns; n++) {
        uint64_t i = (first + n) % load.conns;
        for (uint64_t k = 0; k < load.inflight; k++) {
            if (!load.conn[i].calls[k].under_way) {
                call_next(&load.conn[i].calls[k]);
            }
        }
        h2_flush(&load.conn[i].h2);
    }
}

static void run_begin(uint64_t now)
{
    for (unsigned i = 0; i < load.pids.n; i++) {
        load.cpu_start_ns[i] = proc_cpu_ns(load.pids.pid[i]);
    }
    load.self_cpu_start_ns = proc_cpu_ns(getpid());
    load.run_start_ns = now;
    load.phase_end_ns = now + load.run_ms * 1000000u;
    load.phase = PHASE_RUN;
}

static void run_end(uint64_t now)
{
    load.run_end_ns = now;
    for (unsigned i = 0; i < load.pids.n; i++) {
        load.cpu_ns[i] = proc_cpu_ns(load.pids.pid[i]) - load.cpu_start_ns[i];
    }
    load.self_cpu_ns = proc_cpu_ns(getpid()) - load.self_cpu_start_ns;
    load.phase = PHASE_DRAIN;
}

static void phase_enter_warm(void)
{
    load.phase = load.warm_ms + load.run_ms == 0 ? PHASE_DRAIN : PHASE_WARM;
    load.phase_end_ns = now_ns() + load.warm_ms * 1000000u;
    load.next_key = 0;
    load.started = 0;
    load.begin_ns = now_ns();
    start_all_calls();
}

/* Moves on when the phase's time or work is over; false: it is not. */
static bool phase_step(void)
{
    uint64_t now = now_ns();
    enum phase before = load.phase;
    if (load.phase == PHASE_FILL && load.under_way == 0) {
        phase_enter_warm();
    } else if (load.phase == PHASE_WARM && now >= load.phase_end_ns) {
        run_begin(now);
    } else if (load.phase == PHASE_RUN && now >= load.phase_end_ns) {
        run_end(now);
    } else if (load.phase == PHASE_DRAIN && load.under_way == 0) {
        load.phase = load.op == ETCD_PUT ? PHASE_READ_BACK : PHASE_DONE;
        load.next_key = 0;
        start_all_calls();
    } else if (load.phase == PHASE_READ_BACK && load.under_way == 0) {
        load.phase = PHASE_DONE;
    }
    return load.phase != before;
}

static void turn(int timeout_ms)
{
    struct epoll_event ev[64];
    bool is_idle = load.limit != 0 && load.under_way == 0;
    int n = epoll_wait(load.epoll, ev, 64, load.limit != 0 ? 1 : timeout_ms);
    load.quiet_ms = n == 0 && !is_idle ? load.quiet_ms + 1 : 0;
    bool has_stalled = load.limit != 0 ? load.quiet_ms > timeout_ms : n == 0;
    if (has_stalled || (n < 0 && errno != EINTR)) {
        die("%s: no answer for %d ms", load.target, timeout_ms);
    }
    for (int i = 0; i < n; i++) {
        struct conn *c = ev[i].data.ptr;
        if ((ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
            (void)h2_read(&c->h2, SIZE_MAX);
        }
        h2_flush(&c->h2);
    }
    if (load.limit != 0) {
        start_all_calls();
    }
}

static void print_result(void)
{
    double seconds = (double)(load.run_end_ns - load.run_start_ns) / 1e9;
    double done = load.done == 0 ? 1 : (double)load.done;
    printf("{\"op\": \"%s\", \"conns\": %" PRIu64 ", \"inflight\": %" PRIu64 ", \"ops\": %" PRIu64
           ", \"seconds\": %.4f, \"rate\": %.1f, \"p50_us\": %.2f, \"p90_us\": %.2f, "
           "\"p99_us\": %.2f, \"max_us\": %.1f, \"wrong\": %" PRIu64 ", \"client_cpu_us\": %.3f, "
           "\"cpu_us\": [",
           load.op_name, load.conns, load.inflight, load.done, seconds,
           seconds > 0 ? (double)load.done / seconds : 0, hist_quantile_ns(&load.hist, 0.5) / 1e3,
           hist_quantile_ns(&load.hist, 0.9) / 1e3, hist_quantile_ns(&load.hist, 0.99) / 1e3,
           (double)load.hist.max_ns / 1e3, load.wrong, (double)load.self_cpu_ns / 1e3 / done);
    for (unsigned i = 0; i < load.pids.n; i++) {
        printf("%s%.3f", i == 0 ? "" : ", ", (double)load.cpu_ns[i] / 1e3 / done);
    }
    printf("]}\n");
    if (load.wrong > 0) {
        (void)fprintf(stderr, "%s: %" PRIu64 " wrong answers, the last: %s\n", load.target,
                      load.wrong, load.wrong_what);
    }
}

/* After the work: stay connected until standard input ends, for measurements of idle memory. */
static void hold(void)
{
    char c;
    printf("holding\n");
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0) {
    }
}

static size_t longer(const char *a, const char *b)
{
    size_t n = a == NULL ? 0 : strlen(a), m = b == NULL ? 0 : strlen(b);
    return n > m ? n : m;
}

static void read_command_line(int argc, char **argv)
{
    load.op_name = "range";
    load.shape.prefix = "bench/";
    const struct arg table[] = {
        {.name = "--target", .text = &load.target, .help = "HOST:PORT"},
        {.name = "--op", .text = &load.op_name, .help = "range | put | list"},
        {.name = "--prefix", .text = &load.shape.prefix, .help = "of every key, at most 32 bytes"},
        {.name = "--suffix", .text = &load.shape.suffix, .help = "of every key, likewise"},
        {.name = "--rare", .text = &load.shape.rare, .help = "another suffix, of some keys"},
        {.name = "--rare-every", .number = &load.rare_every, .max = 999999, .help = "every Nth"},
        {.name = "--conns", .number = &load.conns, .max = CONNS_MAX, .help = "connections"},
        {.name = "--inflight", .number = &load.inflight, .max = INFLIGHT_MAX, .help = "calls each"},
        {.name = "--warm-ms", .number = &load.warm_ms, .max = 600000, .help = "not counted"},
        {.name = "--run-ms", .number = &load.run_ms, .max = 600000, .help = "counted"},
        {.name = "--keys", .number = &load.keys, .max = 999999, .help = "visited in turn"},
        {.name = "--value-bytes",
         .number = &load.value_bytes,
         .max = ETCD_VALUE_BYTES_MAX,
         .help = ""},
        {.name = "--list-keys", .number = &load.list_keys, .max = 999999, .help = "of one list"},
        {.name = "--limit", .number = &load.limit, .max = 999999, .help = "calls a second"},
        {.name = "--fill", .number = &load.fill, .max = 1, .help = "1: put every key first"},
        {.name = "--hold", .number = &load.hold, .max = 1, .help = "1: stay until stdin ends"},
        {.name = "--cpu-pids", .pids = &load.pids, .help = "whose CPU time to read"},
        {.name = NULL},
    };
    load.conns = load.inflight = 1;
    load.keys = 1000;
    load.value_bytes = 100;
    load.list_keys = 1000;
    load.rare_every = 100;
    args_read(table, argc, argv);
    load.op = strcmp(load.op_name, "put") == 0    ? ETCD_PUT
              : strcmp(load.op_name, "list") == 0 ? ETCD_LIST
                                                  : ETCD_RANGE;
    load.shape.value_bytes = (uint32_t)load.value_bytes;
    load.shape.list_keys = (uint32_t)load.list_keys;
    load.shape.rare_every = (uint32_t)load.rare_every;
    size_t prefix_n = strlen(load.shape.prefix);
    size_t suffix_n = longer(load.shape.suffix, load.shape.rare);
    if (load.target == NULL || load.conns == 0 || load.inflight == 0 || load.keys == 0 ||
        load.rare_every == 0 || prefix_n == 0 || prefix_n > 32 || suffix_n > 256 ||
        load.value_bytes < prefix_n + suffix_n + 12 ||
        (load.op == ETCD_LIST && load.list_keys > load.keys)) {
        die("--target is needed, the numbers must fit each other");
    }
}

int main(int argc, char **argv)
{
    read_command_line(argc, argv);
    hist_init(&load.hist);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.conn = must_alloc(load.conns, sizeof *load.conn);
    for (uint64_t i = 0; i < load.conns; i++) {
        conn_open(&load.conn[i]);
    }
    load.phase = PHASE_FILL;
    load.next_key = load.fill == 1 ? 0 : (uint32_t)load.keys;
    start_all_calls();
    while (load.phase != PHASE_DONE) {
        if (!phase_step()) {
            turn(STALL_MS);
        }
    }
    print_result();
    if (load.hold == 1) {
        hold();
    }
    return load.wrong > 0 ? EXIT_WRONG : 0;
}
