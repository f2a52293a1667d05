/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tcp and listener on real sockets: two ends in one process, one loop. Every test ends with
 * loop_deinit() == 0: nothing leaked.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault/wait.h"
#include "io/listener.h"
#include "io/tcp.h"

/* One end of a connection, and what happened to it. */
struct end {
    struct tcp t; /* first: handlers cast */
    struct buf in;
    bool is_silent; /* does not keep what it reads */
    bool connected, closed;
    unsigned ends, turns, drains, reads;
    int status;
    uint64_t bytes;
};

static void on_connected(struct tcp *t)
{
    struct end *e = (struct end *)t;
    assert_false(e->connected);
    e->connected = true;
    tcp_read(t, true);
}

static void on_read(struct tcp *t, struct span in)
{
    struct end *e = (struct end *)t;
    assert_int_equal(t->state, TCP_STATE_OPEN);
    assert_true(in.n != 0);
    e->reads++;
    e->bytes += in.n;
    if (!e->is_silent)
        assert_int_equal(buf_append(&e->in, in), ERR_OK);
}

static void on_turn(struct tcp *t)
{
    ((struct end *)t)->turns++;
}

static void on_drained(struct tcp *t)
{
    ((struct end *)t)->drains++;
}

static void on_end(struct tcp *t, int status)
{
    struct end *e = (struct end *)t;
    assert_int_equal(e->ends, 0);
    e->ends++;
    e->status = status;
}

static void on_closed(struct tcp *t)
{
    struct end *e = (struct end *)t;
    assert_false(e->closed);
    assert_int_equal(t->state, TCP_STATE_CLOSED);
    e->closed = true;
}

static const struct tcp_handler handler = {on_connected, on_read, on_turn,
                                           on_drained,   on_end,  on_closed};

/* A loop, a listener and the two ends of one connection. */
struct world {
    struct loop l;
    struct listener *listener;
    struct addr addr;
    struct end server, client;
    unsigned accepted;
    bool refuse;
};

static void on_accept(void *arg, uv_stream_t *stream)
{
    struct world *w = arg;
    if (w->refuse || w->accepted != 0) {
        listener_refuse(stream);
        return;
    }
    w->accepted++;
    assert_int_equal(tcp_accept(&w->server.t, &w->l, stream, &handler), ERR_OK);
    w->server.connected = true;
    tcp_read(&w->server.t, true);
}

static struct addr address(const char *text)
{
    struct addr a;
    const char *rule = "";
    if (addr_parse(span_str(text), 0, &a, &rule) != ERR_OK)
        fail_msg("%s: %s", text, rule);
    return a;
}

static void listen_on(struct world *w, const char *text)
{
    struct addr a = address(text);
    struct buf error = {0};
    struct listener_options o = {
        .addrs = &a, .n = 1, .option = "--test-listen", .accept = on_accept, .arg = w};
    assert_int_equal(listener_open(&w->l, &o, &w->listener, &error), ERR_OK);
    w->addr = listener_addr(w->listener);
    buf_deinit(&error);
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(loop_init(&w->l), ERR_OK);
    return w;
}

static struct world *world_connected(const char *listen)
{
    struct world *w = world_new();
    listen_on(w, listen);
    assert_int_equal(tcp_dial(&w->client.t, &w->l, &w->addr, &handler), ERR_OK);
    assert_false(w->client.connected);
    WAIT_FOR(&w->l, w->client.connected && w->accepted == 1);
    return w;
}

static void world_end(struct world *w)
{
    tcp_close(&w->client.t);
    tcp_close(&w->server.t);
    listener_close(&w->listener);
    assert_null(w->listener);
    assert_int_equal(loop_deinit(&w->l), 0);
    assert_true(w->client.closed || w->client.t.state == TCP_STATE_NEW);
    assert_true(w->server.closed || w->server.t.state == TCP_STATE_NEW);
    buf_deinit(&w->client.in);
    buf_deinit(&w->server.in);
    free(w);
}

static void a_connection_carries_bytes_both_ways(void **state)
{
    (void)state;
    static const char *const listens[] = {"127.0.0.1:0", "localhost:0"};
    for (size_t i = 0; i < ARRAY_LEN(listens); i++) {
        struct world *w = world_connected(listens[i]);
        assert_int_equal(tcp_write(&w->client.t, SPAN_LIT("ping")), ERR_OK);
        assert_int_equal(tcp_queued(&w->client.t), 0);
        WAIT_FOR(&w->l, w->server.bytes == 4);
        assert_int_equal(w->server.turns, 1);
        assert_int_equal(tcp_write(&w->server.t, SPAN_LIT("pong!")), ERR_OK);
        WAIT_FOR(&w->l, w->client.bytes == 5);
        assert_span_equal(buf_span(&w->server.in), SPAN_LIT("ping"));
        assert_span_equal(buf_span(&w->client.in), SPAN_LIT("pong!"));
        char text[ADDR_TEXT_BYTES], want[ADDR_TEXT_BYTES];
        assert_string_equal(tcp_peer(&w->client.t, text), addr_print(&w->addr, want));
        world_end(w);
    }
}

static void a_unix_socket_is_a_connection_like_any_other(void **state)
{
    (void)state;
    char path[64], text[80], peer[ADDR_TEXT_BYTES];
    snprintf(path, sizeof path, "/tmp/bulkhead-tcp-test-%d.sock", (int)getpid());
    snprintf(text, sizeof text, "unix:%s", path);
    struct world *w = world_connected(text);
    assert_int_equal(tcp_write(&w->client.t, SPAN_LIT("over unix")), ERR_OK);
    WAIT_FOR(&w->l, w->server.bytes == 9);
    assert_string_equal(tcp_peer(&w->server.t, peer), "unix");
    world_end(w);
    assert_int_equal(access(path, F_OK), -1); /* the file went with the listener */
}

static void bytes_that_trickle_arrive_in_order(void **state)
{
    (void)state;
    struct world *w = world_connected("127.0.0.1:0");
    for (unsigned i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(tcp_write(&w->client.t, span_of(&byte, 1)), ERR_OK);
        WAIT_FOR(&w->l, w->server.bytes == i + 1);
    }
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal(buf_span(&w->server.in).p[i], i);
    world_end(w);
}

enum { MIB = 1024 * 1024 };

/* Byte i of a long stream; its period meets no buffer size. */
static uint8_t stream_byte(uint64_t i)
{
    return (uint8_t)(i % 251);
}

static void write_stream(struct tcp *t, uint64_t *at, size_t n)
{
    uint8_t *p = malloc(n);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = stream_byte(*at + i);
    assert_int_equal(tcp_write(t, span_of(p, n)), ERR_OK);
    *at += n;
    free(p);
}

static void expect_stream(const struct end *e, uint64_t n)
{
    assert_int_equal(e->bytes, n);
    for (uint64_t i = 0; i < n; i++)
        if (buf_span(&e->in).p[i] != stream_byte(i))
            fail_msg("byte %llu of the stream is wrong", (unsigned long long)i);
}

static void a_slow_reader_is_waited_for_with_a_bounded_queue(void **state)
{
    (void)state;
    struct world *w = world_connected("127.0.0.1:0");
    tcp_read(&w->server.t, false);
    uint64_t sent = 0;
    size_t most = 0;
    while (sent < 8 * MIB || tcp_queued(&w->client.t) != 0) {
        while (sent < 8 * MIB && tcp_queued(&w->client.t) <= LIMIT_OUT_HIGH_BYTES)
            write_stream(&w->client.t, &sent, 16 * 1024);
        if (tcp_queued(&w->client.t) > most)
            most = tcp_queued(&w->client.t);
        unsigned drains = w->client.drains;
        tcp_read(&w->server.t, true);
        WAIT_FOR(&w->l, w->client.drains != drains || tcp_queued(&w->client.t) == 0);
        tcp_read(&w->server.t, false);
    }
    assert_true(most > LIMIT_OUT_HIGH_BYTES);
    assert_true(most <= LIMIT_OUT_HIGH_BYTES + 16 * 1024);
    assert_null(w->client.t.send);
    assert_int_equal(w->client.t.queue.cap, 0);
    tcp_read(&w->server.t, true);
    WAIT_FOR(&w->l, w->server.bytes == sent);
    expect_stream(&w->server, sent);
    world_end(w);
}

static void one_long_write_arrives_whole(void **state)
{
    (void)state;
    struct world *w = world_connected("127.0.0.1:0");
    uint64_t sent = 0;
    write_stream(&w->client.t, &sent, 8 * MIB);
    assert_true(tcp_queued(&w->client.t) > 0);
    write_stream(&w->client.t, &sent, 1);
    WAIT_FOR(&w->l, w->server.bytes == sent);
    expect_stream(&w->server, sent);
    assert_true(w->server.turns > 0);
    assert_true(w->server.turns <= w->server.reads);
    world_end(w);
}

static void pieces_go_out_in_order_however_much_the_socket_takes(void **state)
{
    (void)state;
    struct world *w = world_connected("127.0.0.1:0");
    size_t total = 8 * MIB, at = 0;
    uint8_t *p = malloc(total);
    assert_non_null(p);
    for (size_t i = 0; i < total; i++)
        p[i] = stream_byte(i);
    while (at < total) {
        struct span pieces[TCP_PIECES_MAX];
        for (size_t i = 0; i < TCP_PIECES_MAX; i++) { /* none, 9 and 16384 bytes in turn */
            size_t n = i % 3 == 0 ? 0 : i % 3 == 1 ? 9 : 16384;
            pieces[i] = span_of(p + at, n < total - at ? n : total - at);
            at += pieces[i].n;
        }
        assert_int_equal(tcp_writev(&w->client.t, pieces, TCP_PIECES_MAX), ERR_OK);
    }
    assert_true(tcp_queued(&w->client.t) > 0);
    memset(p, 0, total); /* what was not sent was copied */
    free(p);
    WAIT_FOR(&w->l, w->server.bytes == total);
    expect_stream(&w->server, total);
    world_end(w);
}

/* A plain blocking socket, for what libuv would not do. */
static int raw_connect(const struct addr *a)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(a->port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_not_equal(fd, -1);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    return fd;
}

static void raw_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

static struct world *world_with_raw_client(int *ret_fd)
{
    struct world *w = world_new();
    listen_on(w, "127.0.0.1:0");
    *ret_fd = raw_connect(&w->addr);
    WAIT_FOR(&w->l, w->accepted == 1);
    return w;
}

static void a_reset_is_reported_once_after_what_came_before(void **state)
{
    (void)state;
    int fd;
    struct world *w = world_with_raw_client(&fd);
    assert_int_equal(send(fd, "bye", 3, 0), 3);
    WAIT_FOR(&w->l, w->server.bytes == 3);
    raw_reset(fd);
    WAIT_FOR(&w->l, w->server.ends == 1);
    assert_int_equal(w->server.status, UV_ECONNRESET);
    assert_int_equal(tcp_write(&w->server.t, SPAN_LIT("to nobody")), ERR_OK);
    assert_int_equal(tcp_queued(&w->server.t), 0);
    world_end(w);
}

static void a_half_closed_peer_still_gets_its_answer(void **state)
{
    (void)state;
    int fd;
    struct world *w = world_with_raw_client(&fd);
    assert_int_equal(send(fd, "question", 8, 0), 8);
    shutdown(fd, SHUT_WR);
    WAIT_FOR(&w->l, w->server.ends == 1);
    assert_int_equal(w->server.status, 0);
    assert_span_equal(buf_span(&w->server.in), SPAN_LIT("question"));
    assert_int_equal(tcp_write(&w->server.t, SPAN_LIT("answer")), ERR_OK);
    tcp_close_when_sent(&w->server.t);
    WAIT_FOR(&w->l, w->server.closed);
    char text[16];
    assert_int_equal(recv(fd, text, sizeof text, MSG_WAITALL), 6);
    close(fd);
    world_end(w);
}

static void a_failed_write_is_reported_later_and_last_words_are_heard_first(void **state)
{
    (void)state;
    for (int reading = 0; reading < 2; reading++) {
        int fd;
        struct world *w = world_with_raw_client(&fd);
        tcp_read(&w->server.t, reading != 0);
        assert_int_equal(tcp_write(&w->server.t, SPAN_LIT("unread")), ERR_OK);
        assert_int_equal(send(fd, "last words", 10, 0), 10);
        close(fd); /* with unread input: the kernel resets */
        for (int i = 0; i < 3; i++)
            assert_int_equal(tcp_write(&w->server.t, SPAN_LIT("more")), ERR_OK);
        assert_int_equal(w->server.ends, 0); /* never from inside a call */
        WAIT_FOR(&w->l, w->server.ends == 1);
        assert_true(w->server.status < 0);
        if (reading != 0)
            assert_span_equal(buf_span(&w->server.in), SPAN_LIT("last words"));
        world_end(w);
    }
}

static void a_polite_close_delivers_the_queue_though_input_is_unread(void **state)
{
    (void)state;
    struct world *w = world_connected("127.0.0.1:0");
    tcp_read(&w->server.t, false);
    tcp_read(&w->client.t, false);
    uint64_t sent = 0, noise = 0;
    write_stream(&w->client.t, &noise, 1 * MIB);
    write_stream(&w->server.t, &sent, 4 * MIB);
    tcp_close_when_sent(&w->server.t);
    assert_int_equal(tcp_write(&w->server.t, SPAN_LIT("too late")), ERR_OK);
    tcp_read(&w->client.t, true);
    WAIT_FOR(&w->l, w->client.ends == 1);
    assert_int_equal(w->client.status, 0);
    expect_stream(&w->client, sent);
    assert_false(w->server.closed); /* it waits for the peer */
    tcp_close(&w->client.t);
    WAIT_FOR(&w->l, w->server.closed);
    assert_int_equal(w->server.bytes, 0);
    world_end(w);
}

static void a_polite_close_does_not_wait_for_ever(void **state)
{
    (void)state;
    int fd;
    struct world *w = world_with_raw_client(&fd);
    uint64_t sent = 0, start_ns = uv_hrtime();
    write_stream(&w->server.t, &sent, 8 * MIB); /* the peer reads none of it */
    tcp_close_when_sent(&w->server.t);
    WAIT_FOR(&w->l, w->server.closed);
    assert_true(uv_hrtime() - start_ns >= (uint64_t)(LIMIT_LINGER_MS - 100) * 1000000);
    close(fd);
    world_end(w);
}

static void a_refused_dial_ends_with_the_reason(void **state)
{
    (void)state;
    struct world *w = world_new();
    listen_on(w, "127.0.0.1:0");
    listener_close(&w->listener);
    uv_run(&w->l.uv, UV_RUN_DEFAULT);
    assert_int_equal(tcp_dial(&w->client.t, &w->l, &w->addr, &handler), ERR_OK);
    assert_int_equal(w->client.ends, 0);
    WAIT_FOR(&w->l, w->client.ends == 1);
    assert_int_equal(w->client.status, UV_ECONNREFUSED);
    assert_false(w->client.connected);
    assert_int_equal(w->client.t.state, TCP_STATE_CONNECTING);
    world_end(w);
}

static void dials_that_cannot_begin_end_with_a_reason_too(void **state)
{
    (void)state;
    struct addr bad[] = {
        {.kind = ADDR_TCP, .port = 1, .host = "bad..name"},
        {.kind = ADDR_UNIX, .path = "/nonexistent/bulkhead.sock"},
        {.kind = ADDR_TCP, .port = 1, .host = "255.255.255.255"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct world *w = world_new();
        assert_int_equal(tcp_dial(&w->client.t, &w->l, &bad[i], &handler), ERR_OK);
        assert_int_equal(w->client.ends, 0);
        WAIT_FOR(&w->l, w->client.ends == 1);
        assert_true(w->client.status < 0);
        world_end(w);
    }
}

static void all_addresses_of_a_name_are_tried(void **state)
{
    (void)state;
    struct world *w = world_new();
    listen_on(w, "127.0.0.1:0"); /* not on ::1, which "localhost" may mean first */
    struct addr a = w->addr;
    snprintf(a.host, sizeof a.host, "localhost");
    assert_int_equal(tcp_dial(&w->client.t, &w->l, &a, &handler), ERR_OK);
    assert_int_equal(tcp_write(&w->client.t, SPAN_LIT("early")), ERR_OK);
    WAIT_FOR(&w->l, w->client.connected && w->server.bytes == 5);
    world_end(w);
}

/* A listening socket whose queue is full: connection requests get no answer. */
struct deaf {
    int fd[8];
    struct addr addr;
};

static void deaf_init(struct deaf *d)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof sa;
    d->fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(d->fd[0], (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(d->fd[0], 0), 0);
    assert_int_equal(getsockname(d->fd[0], (struct sockaddr *)&sa, &n), 0);
    for (size_t i = 1; i < ARRAY_LEN(d->fd); i++) {
        d->fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int r = connect(d->fd[i], (struct sockaddr *)&sa, sizeof sa);
        assert_true(r == 0 || errno == EINPROGRESS);
    }
    d->addr = (struct addr){.kind = ADDR_TCP, .port = ntohs(sa.sin_port), .host = "127.0.0.1"};
}

static void deaf_deinit(struct deaf *d)
{
    for (size_t i = 0; i < ARRAY_LEN(d->fd); i++)
        close(d->fd[i]);
}

static void a_dial_that_nobody_answers_ends_in_time(void **state)
{
    (void)state;
    struct deaf deaf;
    deaf_init(&deaf);
    struct world *w = world_new();
    uint64_t start_ns = uv_hrtime();
    assert_int_equal(tcp_dial(&w->client.t, &w->l, &deaf.addr, &handler), ERR_OK);
    WAIT_FOR(&w->l, w->client.ends == 1);
    assert_int_equal(w->client.status, UV_ETIMEDOUT);
    uint64_t took_ms = (uv_hrtime() - start_ns) / 1000000;
    assert_true(took_ms + 100 >= LIMIT_DIAL_MS); /* and WAIT_FOR is the other bound */
    world_end(w);
    deaf_deinit(&deaf);
}

static void closing_works_in_every_state(void **state)
{
    (void)state;
    struct deaf deaf;
    deaf_init(&deaf);
    struct addr name = deaf.addr;
    snprintf(name.host, sizeof name.host, "localhost");
    for (int polite = 0; polite < 2; polite++)
        for (int step = 0; step < 7; step++) {
            struct world *w = step < 4 ? world_new() : world_connected("127.0.0.1:0");
            uint64_t sent = 0;
            if (step == 1 || step == 2) /* connecting; resolving */
                assert_int_equal(
                    tcp_dial(&w->client.t, &w->l, step == 1 ? &deaf.addr : &name, &handler),
                    ERR_OK);
            if (step == 3) /* resolved or about to be */
                assert_int_equal(tcp_dial(&w->client.t, &w->l, &name, &handler), ERR_OK);
            if (step == 3)
                uv_run(&w->l.uv, UV_RUN_NOWAIT);
            if (step == 5) /* with a queue */
                write_stream(&w->client.t, &sent, 8 * MIB);
            if (step == 6) { /* after the end */
                tcp_close(&w->server.t);
                WAIT_FOR(&w->l, w->client.ends == 1);
            }
            if (polite)
                tcp_close_when_sent(&w->client.t);
            tcp_close(&w->client.t);
            tcp_close_when_sent(&w->client.t);
            tcp_close(&w->client.t);
            tcp_read(&w->client.t, true);
            assert_int_equal(tcp_write(&w->client.t, SPAN_LIT("x")), ERR_OK);
            assert_false(w->client.closed);
            if (step != 0)
                WAIT_FOR(&w->l, w->client.closed);
            tcp_close(&w->client.t);
            world_end(w);
        }
    deaf_deinit(&deaf);
}

static void an_idle_connection_is_small(void **state)
{
    (void)state;
    print_message("sizeof(struct tcp) = %zu bytes\n", sizeof(struct tcp));
    assert_true(sizeof(struct tcp) <= 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_carries_bytes_both_ways),
        cmocka_unit_test(a_unix_socket_is_a_connection_like_any_other),
        cmocka_unit_test(bytes_that_trickle_arrive_in_order),
        cmocka_unit_test(a_slow_reader_is_waited_for_with_a_bounded_queue),
        cmocka_unit_test(one_long_write_arrives_whole),
        cmocka_unit_test(pieces_go_out_in_order_however_much_the_socket_takes),
        cmocka_unit_test(a_reset_is_reported_once_after_what_came_before),
        cmocka_unit_test(a_half_closed_peer_still_gets_its_answer),
        cmocka_unit_test(a_failed_write_is_reported_later_and_last_words_are_heard_first),
        cmocka_unit_test(a_polite_close_delivers_the_queue_though_input_is_unread),
        cmocka_unit_test(a_polite_close_does_not_wait_for_ever),
        cmocka_unit_test(a_refused_dial_ends_with_the_reason),
        cmocka_unit_test(dials_that_cannot_begin_end_with_a_reason_too),
        cmocka_unit_test(all_addresses_of_a_name_are_tried),
        cmocka_unit_test(a_dial_that_nobody_answers_ends_in_time),
        cmocka_unit_test(closing_works_in_every_state),
        cmocka_unit_test(an_idle_connection_is_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
