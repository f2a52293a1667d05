/* SPDX-License-Identifier: Apache-2.0 */
#include "io/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fault/wait.h"

struct world {
    struct loop l;
    struct listener *listener;
    struct buf error;
    unsigned offered;
};

/* These tests only count what they are offered. */
static void on_accept(void *arg, uv_stream_t *server)
{
    struct world *w = arg;
    w->offered++;
    listener_refuse(server);
}

static struct addr address(const char *text)
{
    struct addr a;
    const char *rule = "";
    if (addr_parse(span_str(text), 0, &a, &rule) != ERR_OK)
        fail_msg("%s: %s", text, rule);
    return a;
}

static enum err open_on(struct world *w, const struct addr *addrs, unsigned n)
{
    struct listener_options o = {
        .addrs = addrs, .n = n, .option = "--test-listen", .accept = on_accept, .arg = w};
    return listener_open(&w->l, &o, &w->listener, &w->error);
}

static void setup_world(struct world *w)
{
    *w = (struct world){0};
    assert_int_equal(loop_init(&w->l), ERR_OK);
}

static void world_end(struct world *w)
{
    listener_close(&w->listener);
    buf_deinit(&w->error);
    assert_int_equal(loop_deinit(&w->l), 0);
}

static bool error_has(const struct world *w, const char *text)
{
    struct span e = buf_span(&w->error);
    return e.n != 0 && memmem(e.p, e.n, text, strlen(text)) != NULL;
}

static int raw_connect(const char *host, uint16_t port)
{
    struct sockaddr_storage sa = {0};
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&sa) != 0)
        assert_int_equal(uv_ip6_addr(host, port, (struct sockaddr_in6 *)&sa), 0);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t n = sa.ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                          : sizeof(struct sockaddr_in6);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, n) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof sa) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

static void addresses_with_port_0_share_one_port(void **state)
{
    (void)state;
    struct world w;
    setup_world(&w);
    const struct addr addrs[] = {address("127.0.0.1:0"), address("[::1]:0"),
                                 address("127.0.0.2:0")};
    assert_int_equal(open_on(&w, addrs, 3), ERR_OK);
    struct addr a = listener_addr(w.listener);
    assert_string_equal(a.host, "127.0.0.1");
    assert_int_not_equal(a.port, 0);
    int four = raw_connect("127.0.0.1", a.port), other = raw_connect("127.0.0.2", a.port);
    int six = has_ipv6() ? raw_connect("::1", a.port) : -1;
    assert_int_not_equal(four, -1);
    assert_int_not_equal(other, -1);
    assert_true(six != -1 || !has_ipv6());
    unsigned want = six == -1 ? 2 : 3;
    WAIT_FOR(&w.l, w.offered == want);
    close(four);
    close(other);
    if (six != -1)
        close(six);
    world_end(&w);
}

static void an_address_in_use_is_named_with_the_option_that_mends_it(void **state)
{
    (void)state;
    struct world w, second;
    setup_world(&w);
    setup_world(&second);
    struct addr a = address("127.0.0.1:0");
    assert_int_equal(open_on(&w, &a, 1), ERR_OK);
    const struct addr both[] = {address("127.0.0.1:0"), listener_addr(w.listener)};
    assert_int_equal(open_on(&second, both, 2), ERR_CONFIG);
    assert_null(second.listener);
    char text[ADDR_TEXT_BYTES];
    assert_true(error_has(&second, addr_print(&both[1], text)));
    assert_true(error_has(&second, "is in use"));
    assert_true(error_has(&second, "--test-listen"));
    world_end(&second);
    world_end(&w);
}

static void a_port_is_free_again_right_after_the_listener_closed(void **state)
{
    (void)state;
    struct world w;
    setup_world(&w);
    struct addr a = address("127.0.0.1:0");
    assert_int_equal(open_on(&w, &a, 1), ERR_OK);
    a = listener_addr(w.listener);
    int fd = raw_connect("127.0.0.1", a.port); /* leaves TIME_WAIT behind */
    WAIT_FOR(&w.l, w.offered == 1);
    close(fd);
    listener_close(&w.listener);
    uv_run(&w.l.uv, UV_RUN_DEFAULT);
    assert_int_equal(open_on(&w, &a, 1), ERR_OK);
    world_end(&w);
}

static void an_ipv6_address_this_machine_lacks_is_left_out_if_there_is_another(void **state)
{
    (void)state;
    struct world w;
    setup_world(&w);
    const struct addr addrs[] = {address("[2001:db8::1]:0"), address("127.0.0.1:0")};
    assert_int_equal(open_on(&w, addrs, 1), ERR_CONFIG);
    assert_true(error_has(&w, "[2001:db8::1]:0 is no address of this machine"));
    assert_int_equal(open_on(&w, addrs, 2), ERR_OK);
    assert_string_equal(listener_addr(w.listener).host, "127.0.0.1");
    world_end(&w);
}

static void addresses_that_cannot_be_bound_say_why(void **state)
{
    (void)state;
    static const struct {
        const char *addr, *want;
    } cases[] = {
        {"192.0.2.1:0", "is no address of this machine"},
        {"unix:/nonexistent/dir/x.sock", "not allowed to listen on unix:/nonexistent/dir/x.sock"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct world w;
        setup_world(&w);
        struct addr a = address(cases[i].addr);
        assert_int_equal(open_on(&w, &a, 1), ERR_CONFIG);
        assert_true(error_has(&w, cases[i].want));
        world_end(&w);
    }
}

static void over_the_limit_connections_are_closed_at_once_and_counted(void **state)
{
    (void)state;
    enum { EXTRA = 50 };
    struct world w;
    setup_world(&w);
    struct addr a = address("127.0.0.1:0");
    assert_int_equal(open_on(&w, &a, 1), ERR_OK);
    w.l.connections = w.l.max_connections = 7;
    int fd[EXTRA];
    for (int i = 0; i < EXTRA; i++)
        fd[i] = raw_connect("127.0.0.1", listener_addr(w.listener).port);
    WAIT_FOR(&w.l, w.l.counters.n[COUNTER_REFUSED_CONNS] == EXTRA);
    assert_int_equal(w.offered, 0);
    for (int i = 0; i < EXTRA; i++) {
        char byte;
        WAIT_FOR(&w.l, recv(fd[i], &byte, 1, MSG_DONTWAIT) == 0);
        close(fd[i]);
    }
    w.l.connections = 6; /* one left: room again */
    int last = raw_connect("127.0.0.1", listener_addr(w.listener).port);
    WAIT_FOR(&w.l, w.offered == 1);
    close(last);
    world_end(&w);
}

static void closing_while_a_refused_connection_waits_leaks_nothing(void **state)
{
    (void)state;
    struct world w;
    setup_world(&w);
    struct addr a = address("127.0.0.1:0");
    assert_int_equal(open_on(&w, &a, 1), ERR_OK);
    int fd[3];
    for (int i = 0; i < 3; i++)
        fd[i] = raw_connect("127.0.0.1", listener_addr(w.listener).port);
    while (w.offered == 0)
        uv_run(&w.l.uv, UV_RUN_NOWAIT);
    listener_close(&w.listener);
    for (int i = 0; i < 3; i++)
        close(fd[i]);
    world_end(&w);
}

static void a_dead_unix_socket_is_replaced_and_a_live_one_is_not(void **state)
{
    (void)state;
    char path[64], text[80];
    snprintf(path, sizeof path, "/tmp/bulkhead-listener-test-%d.sock", (int)getpid());
    snprintf(text, sizeof text, "unix:%s", path);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    memcpy(sa.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    assert_int_equal(listen(fd, 1), 0);

    struct world w;
    setup_world(&w);
    struct addr a = address(text);
    assert_int_equal(open_on(&w, &a, 1), ERR_CONFIG);
    assert_true(error_has(&w, "is in use"));
    assert_int_equal(access(path, F_OK), 0);
    close(fd); /* as after a kill: the file stays */
    assert_int_equal(open_on(&w, &a, 1), ERR_OK);
    assert_string_equal(listener_addr(w.listener).path, path);
    world_end(&w);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_with_port_0_share_one_port),
        cmocka_unit_test(an_address_in_use_is_named_with_the_option_that_mends_it),
        cmocka_unit_test(a_port_is_free_again_right_after_the_listener_closed),
        cmocka_unit_test(an_ipv6_address_this_machine_lacks_is_left_out_if_there_is_another),
        cmocka_unit_test(addresses_that_cannot_be_bound_say_why),
        cmocka_unit_test(over_the_limit_connections_are_closed_at_once_and_counted),
        cmocka_unit_test(closing_while_a_refused_connection_waits_leaks_nothing),
        cmocka_unit_test(a_dead_unix_socket_is_replaced_and_a_live_one_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
