/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_app - an etcd client for tests, on nghttp2 and the loop under test; a real etcd to talk to;
 * and raw connections, to send and to play upstream.
 */
#ifndef TESTS_FAULT_ETCD_APP_H
#define TESTS_FAULT_ETCD_APP_H

#include <ftw.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault/port.h"
#include "fault/wait.h"
#include "io/listener.h"
#include "io/tcp.h"
#include "support/pb_build.h"

/* Told when the test's own code begins (+1) and ends (-1) to run inside the loop: in a program that
 * makes allocations fail, the test's are not meant. */
static void (*app_own)(int by);

static inline void app_is_own(int by)
{
    if (app_own != NULL)
        app_own(by);
}

static inline struct addr etcd_app_addr(const char *host, unsigned port)
{
    char text[80];
    struct addr a;
    const char *rule = "";
    snprintf(text, sizeof text, "%s:%u", host, port);
    if (addr_parse(span_str(text), 1, &a, &rule) != ERR_OK)
        fail_msg("%s: %s", text, rule);
    return a;
}

/* -- a real etcd -- */
struct etcd_server {
    pid_t pid;
    unsigned port, peer_port;
    char dir[64];
};

static inline bool etcd_answers(const struct etcd_server *e)
{
    static const char ask[] = "GET /health HTTP/1.0\r\n\r\n";
    char got[512] = "";
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)e->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n = 0;
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0 &&
        write(fd, ask, sizeof ask - 1) == (ssize_t)(sizeof ask - 1))
        for (ssize_t r; n < sizeof got - 1 && (r = read(fd, got + n, sizeof got - 1 - n)) > 0;)
            n += (size_t)r;
    close(fd);
    return strstr(got, "\"true\"") != NULL;
}

/* Debian's program, or the one that E2E_ETCD or E2E_ETCDCTL names. */
static inline const char *etcd_program(const char *variable, const char *name)
{
    const char *other = getenv(variable);
    return other != NULL ? other : name;
}

/* Start (or start again, with its data and ports) and wait until it has a leader. */
static inline void etcd_server_start(struct etcd_server *e)
{
    if (e->port == 0) {
        snprintf(e->dir, sizeof e->dir, "/tmp/bulkhead-test-XXXXXX");
        assert_non_null(mkdtemp(e->dir));
        e->port = held_port();
        e->peer_port = held_port();
    }
    char client[64], peer[64], cluster[80];
    snprintf(client, sizeof client, "http://127.0.0.1:%u", e->port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%u", e->peer_port);
    snprintf(cluster, sizeof cluster, "t=%s", peer);
    const char *program = etcd_program("E2E_ETCD", "etcd");
    e->pid = fork();
    assert_true(e->pid >= 0);
    if (e->pid == 0) {
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(127);
        execlp(program, program, "--name", "t", "--data-dir", e->dir, "--listen-client-urls",
               client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
               "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster, "--logger",
               "zap", "--log-level", "error", (char *)NULL);
        _exit(127);
    }
    uint64_t end = uv_hrtime() + (uint64_t)WAIT_MS * 1000000;
    while (!etcd_answers(e)) {
        if (waitpid(e->pid, NULL, WNOHANG) == e->pid || uv_hrtime() > end)
            fail_msg("etcd does not start");
        usleep(20000); /* it says nothing when it is ready */
    }
}

static inline void etcd_server_signal(struct etcd_server *e, int sig)
{
    kill(e->pid, sig);
    if (sig != SIGKILL)
        return;
    waitpid(e->pid, NULL, 0);
    e->pid = 0;
}

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void etcd_server_end(struct etcd_server *e)
{
    if (e->pid != 0)
        etcd_server_signal(e, SIGKILL);
    if (e->dir[0] != '\0')
        nftw(e->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    *e = (struct etcd_server){0};
}

/* -- a client -- */
struct app {
    struct tcp tcp; /* first */
    nghttp2_session *session;
    bool connected, ended, closed, goaway;
    unsigned pings; /* answered */
};

struct app_call {
    struct app *app;
    int32_t id;
    struct buf out; /* to be sent */
    bool out_ended, deferred;
    struct buf in; /* received DATA */
    bool head;     /* response HEADERS have come */
    bool closed;
    uint32_t code;
    unsigned http_status;
    int grpc_status; /* -1: not yet */
    char message[200];
    char content_type[40];
};

static inline void app_flush(struct app *a)
{
    const uint8_t *p;
    ssize_t n;
    while (a->session != NULL && !a->ended && (n = nghttp2_session_mem_send(a->session, &p)) > 0)
        assert_int_equal(tcp_write(&a->tcp, span_of(p, (size_t)n)), ERR_OK);
}

static inline void app_on_connected(struct tcp *t)
{
    app_is_own(1);
    struct app *a = (struct app *)t;
    a->connected = true;
    tcp_read(t, true);
    app_flush(a);
    app_is_own(-1);
}

static inline void app_on_read(struct tcp *t, struct span in)
{
    app_is_own(1);
    struct app *a = (struct app *)t;
    if (nghttp2_session_mem_recv(a->session, in.p, in.n) < 0)
        a->ended = true;
    app_flush(a);
    app_is_own(-1);
}

static inline void app_on_drained(struct tcp *t)
{
    app_is_own(1);
    app_flush((struct app *)t);
    app_is_own(-1);
}

static inline void app_on_end(struct tcp *t, int status)
{
    (void)status;
    ((struct app *)t)->ended = true;
    tcp_close(t);
}

static inline void app_on_closed(struct tcp *t)
{
    app_is_own(1);
    struct app *a = (struct app *)t;
    a->closed = a->ended = true;
    nghttp2_session_del(a->session);
    a->session = NULL;
    app_is_own(-1);
}

static const struct tcp_handler app_tcp = {.on_connected = app_on_connected,
                                           .on_read = app_on_read,
                                           .on_drained = app_on_drained,
                                           .on_end = app_on_end,
                                           .on_closed = app_on_closed};

static inline int app_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                const uint8_t *name, size_t name_n, const uint8_t *value,
                                size_t value_n, uint8_t flags, void *arg)
{
    (void)flags, (void)arg;
    struct app_call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct span n = span_of(name, name_n);
    if (c == NULL)
        return 0;
    if (span_eq(n, SPAN_LIT(":status")))
        c->http_status = (unsigned)strtoul((const char *)value, NULL, 10);
    else if (span_eq(n, SPAN_LIT("grpc-status")))
        c->grpc_status = (int)strtol((const char *)value, NULL, 10);
    else if (span_eq(n, SPAN_LIT("grpc-message")))
        snprintf(c->message, sizeof c->message, "%.*s", (int)value_n, (const char *)value);
    else if (span_eq(n, SPAN_LIT("content-type")))
        snprintf(c->content_type, sizeof c->content_type, "%.*s", (int)value_n,
                 (const char *)value);
    return 0;
}

static inline int app_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct app *a = arg;
    struct app_call *c = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_HEADERS && c != NULL)
        c->head = true;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        a->goaway = true;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
        a->pings++;
    return 0;
}

static inline int app_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
                              size_t n, void *arg)
{
    (void)flags, (void)arg;
    struct app_call *c = nghttp2_session_get_stream_user_data(session, id);
    if (c != NULL)
        assert_int_equal(buf_append(&c->in, span_of(p, n)), ERR_OK);
    return 0;
}

static inline int app_on_stream_close(nghttp2_session *session, int32_t id, uint32_t code,
                                      void *arg)
{
    (void)arg;
    struct app_call *c = nghttp2_session_get_stream_user_data(session, id);
    if (c != NULL) {
        c->closed = true;
        c->code = code;
    }
    return 0;
}

/* window: of each stream; 0 = HTTP/2's 64 KiB. */
static inline void app_open(struct app *a, struct loop *l, const struct addr *addr, uint32_t window)
{
    nghttp2_session_callbacks *cb;
    *a = (struct app){0};
    assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
    nghttp2_session_callbacks_set_on_header_callback(cb, app_on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, app_on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, app_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, app_on_stream_close);
    assert_int_equal(nghttp2_session_client_new(&a->session, cb, a), 0);
    nghttp2_session_callbacks_del(cb);
    nghttp2_settings_entry s = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    assert_int_equal(nghttp2_submit_settings(a->session, 0, &s, window == 0 ? 0 : 1), 0);
    if (window != 0)
        assert_int_equal(nghttp2_session_set_local_window_size(a->session, 0, 0, (int32_t)window),
                         0);
    assert_int_equal(tcp_dial(&a->tcp, l, addr, &app_tcp), ERR_OK);
}

static inline ssize_t app_pull(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
                               uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    (void)session, (void)id, (void)arg;
    struct app_call *c = source->ptr;
    size_t n = buf_len(&c->out) < max ? buf_len(&c->out) : max;
    if (n == 0 && !c->out_ended) {
        c->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n != 0)
        memcpy(to, buf_span(&c->out).p, n);
    buf_consume(&c->out, n);
    if (buf_len(&c->out) == 0 && c->out_ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

struct app_field {
    const char *name, *value;
};

/* Open a call; send with app_send(). fields replace or add to what every call has. */
static inline void app_call_with(struct app *a, struct app_call *c, const char *path,
                                 const struct app_field *fields, size_t n)
{
    struct app_field all[16] = {{":method", "POST"},   {":scheme", "http"},
                                {":path", path},       {":authority", "localhost"},
                                {"te", "trailers"},    {"content-type", "application/grpc"},
                                {"user-agent", "test"}};
    size_t have = 7;
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (at < have && strcmp(all[at].name, fields[i].name) != 0)
            at++;
        assert_true(at < 16);
        all[at] = fields[i];
        have = at == have ? have + 1 : have;
    }
    nghttp2_nv nv[16];
    for (size_t i = 0; i < have; i++)
        nv[i] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)all[i].name,
                             .value = (uint8_t *)(uintptr_t)all[i].value,
                             .namelen = strlen(all[i].name),
                             .valuelen = strlen(all[i].value)};
    *c = (struct app_call){.app = a, .grpc_status = -1};
    nghttp2_data_provider body = {.source.ptr = c, .read_callback = app_pull};
    c->id = nghttp2_submit_request(a->session, NULL, nv, have, &body, c);
    assert_true(c->id > 0);
}

static inline void app_send(struct app_call *c, struct span bytes, bool end)
{
    assert_int_equal(buf_append(&c->out, bytes), ERR_OK);
    c->out_ended = end;
    if (c->deferred) {
        c->deferred = false;
        assert_int_equal(nghttp2_session_resume_data(c->app->session, c->id), 0);
    }
    if (c->app->connected)
        app_flush(c->app);
}

static inline void app_message(struct app_call *c, struct span message, bool end)
{
    uint8_t head[5] = {0, (uint8_t)(message.n >> 24), (uint8_t)(message.n >> 16),
                       (uint8_t)(message.n >> 8), (uint8_t)message.n};
    assert_int_equal(buf_append(&c->out, span_of(head, sizeof head)), ERR_OK);
    app_send(c, message, end);
}

static inline void app_call_open(struct app *a, struct app_call *c, const char *path)
{
    app_call_with(a, c, path, NULL, 0);
}

static inline void app_unary(struct app *a, struct app_call *c, const char *path,
                             struct span message)
{
    app_call_open(a, c, path);
    app_message(c, message, true);
}

static inline void app_call_end(struct app_call *c)
{
    if (c->app != NULL && c->app->session != NULL && !c->closed)
        nghttp2_session_set_stream_user_data(c->app->session, c->id, NULL);
    buf_deinit(&c->out);
    buf_deinit(&c->in);
}

/* The nth whole message received; {NULL, 0} if there are fewer. */
static inline struct span app_reply(const struct app_call *c, unsigned nth)
{
    struct span in = buf_span(&c->in);
    while (in.p != NULL && in.n >= 5) {
        size_t n = (size_t)in.p[1] << 24 | (size_t)in.p[2] << 16 | (size_t)in.p[3] << 8 | in.p[4];
        if (in.n - 5 < n)
            break;
        if (nth-- == 0)
            return span_of(in.p + 5, n);
        in = span_skip(in, 5 + n);
    }
    return SPAN_NONE;
}

/* -- raw bytes -- */
struct raw {
    struct tcp tcp; /* first */
    struct buf in, out;
    bool connected, ended, closed, close_after;
};

static inline void raw_send(struct raw *r)
{
    assert_int_equal(tcp_write(&r->tcp, buf_span(&r->out)), ERR_OK);
    buf_deinit(&r->out);
    if (r->close_after)
        tcp_close_when_sent(&r->tcp);
}

static inline void raw_on_connected(struct tcp *t)
{
    struct raw *r = (struct raw *)t;
    r->connected = true;
    tcp_read(t, true);
    raw_send(r);
}

static inline void raw_on_read(struct tcp *t, struct span in)
{
    assert_int_equal(buf_append(&((struct raw *)t)->in, in), ERR_OK);
}

static inline void raw_on_drained(struct tcp *t)
{
    (void)t;
}

static inline void raw_on_end(struct tcp *t, int status)
{
    (void)status;
    ((struct raw *)t)->ended = true;
    tcp_close(t);
}

static inline void raw_on_closed(struct tcp *t)
{
    ((struct raw *)t)->closed = true;
    ((struct raw *)t)->ended = true;
}

static const struct tcp_handler raw_tcp = {.on_connected = raw_on_connected,
                                           .on_read = raw_on_read,
                                           .on_drained = raw_on_drained,
                                           .on_end = raw_on_end,
                                           .on_closed = raw_on_closed};

static inline void raw_open(struct raw *r, struct loop *l, const struct addr *addr,
                            struct span bytes)
{
    *r = (struct raw){0};
    assert_int_equal(buf_append(&r->out, bytes), ERR_OK);
    assert_int_equal(tcp_dial(&r->tcp, l, addr, &raw_tcp), ERR_OK);
}

static inline void raw_end(struct raw *r)
{
    buf_deinit(&r->in);
    buf_deinit(&r->out);
}

static inline bool raw_has(const struct raw *r, const char *text)
{
    struct span in = buf_span(&r->in);
    return in.p != NULL && memmem(in.p, in.n, text, strlen(text)) != NULL;
}

/* An upstream that says what it is told, to everybody, and perhaps closes. */
struct fake {
    struct listener *listener;
    struct loop *l;
    struct span says;
    bool closes;
    struct raw *conn[64];
    unsigned n;
};

static inline void fake_on_accept(void *arg, uv_stream_t *server)
{
    struct fake *f = arg;
    struct raw *r = calloc(1, sizeof *r);
    assert_non_null(r);
    assert_true(f->n < 64);
    f->conn[f->n++] = r;
    assert_int_equal(tcp_accept(&r->tcp, f->l, server, &raw_tcp), ERR_OK);
    r->close_after = f->closes;
    assert_int_equal(buf_append(&r->out, f->says), ERR_OK);
    raw_on_connected(&r->tcp);
}

static inline struct addr fake_open(struct fake *f, struct loop *l, struct span says, bool closes)
{
    struct buf error = {0};
    struct addr any = etcd_app_addr("127.0.0.1", 0);
    *f = (struct fake){.l = l, .says = says, .closes = closes};
    struct listener_options o = {.addrs = &any,
                                 .n = 1,
                                 .option = "--test",
                                 .is_unlimited = true,
                                 .accept = fake_on_accept,
                                 .arg = f};
    assert_int_equal(listener_open(l, &o, &f->listener, &error), ERR_OK);
    return listener_addr(f->listener);
}

/* Before loop_deinit(); the memory with fake_free() after it. */
static inline void fake_close(struct fake *f)
{
    listener_close(&f->listener);
    for (unsigned i = 0; i < f->n; i++)
        tcp_close(&f->conn[i]->tcp);
}

static inline void fake_free(struct fake *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        raw_end(f->conn[i]);
        free(f->conn[i]);
    }
}

#endif
