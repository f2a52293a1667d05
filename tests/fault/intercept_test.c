/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intercept: without rules. What is redirected, and a loop, are of tests/e2e/redirect_test.py,
 * which has a network namespace to install them in.
 */
#include "io/intercept.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "fault/end.h"
#include "fault/wait.h"
#include "io/dialled.h"

static const uint16_t ports[] = {2379, 4222};

static struct intercept *open_intercept(struct loop *l)
{
    const struct addr listen = {.kind = ADDR_TCP, .host = "127.0.0.1"};
    const struct intercept_options o = {.listen = &listen,
                                        .listens = 1,
                                        .etcd_ports = ports,
                                        .etcd_port_count = 1,
                                        .nats_ports = ports + 1,
                                        .nats_port_count = 1};
    struct buf error = {0};
    struct intercept *i = NULL;
    assert_int_equal(intercept_open(l, &o, &i, &error), ERR_OK);
    buf_deinit(&error);
    return i;
}

static void a_connection_that_was_not_redirected_is_refused(void **state)
{
    (void)state;
    struct loop l;
    struct end e = {0};
    assert_int_equal(loop_init(&l), ERR_OK);
    struct intercept *i = open_intercept(&l);
    struct addr at = intercept_addr(i);
    assert_int_not_equal(at.port, 0);
    assert_int_equal(tcp_dial(&e.t, &l, &at, &end_handler), ERR_OK);
    tcp_read(&e.t, true);
    WAIT_FOR(&l, e.ended);
    assert_int_equal(l.counters.n[COUNTER_INTERCEPT_DIRECT], 1);
    assert_int_equal(l.counters.n[COUNTER_INTERCEPT_ETCD], 0);
    intercept_close(&i);
    assert_null(i);
    assert_null(l.dialled);
    intercept_close(&i);
    tcp_close(&e.t); /* its entry has outlived the table */
    WAIT_FOR(&l, e.closed);
    buf_deinit(&e.in);
    assert_int_equal(loop_deinit(&l), 0);
}

/* ---- which connections are ours ---- */

static struct sockaddr_storage v4(const char *host, uint16_t port)
{
    struct sockaddr_storage sa = {0};
    struct sockaddr_in *in = (void *)&sa;
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    assert_int_equal(inet_pton(AF_INET, host, &in->sin_addr), 1);
    return sa;
}

static struct sockaddr_storage mapped(const char *host, uint16_t port)
{
    struct sockaddr_storage sa = {0};
    struct sockaddr_in6 *in = (void *)&sa;
    char text[64];
    snprintf(text, sizeof text, "::ffff:%s", host);
    in->sin6_family = AF_INET6;
    in->sin6_port = htons(port);
    assert_int_equal(inet_pton(AF_INET6, text, &in->sin6_addr), 1);
    return sa;
}

static void a_connection_is_ours_only_with_both_of_its_ends(void **state)
{
    (void)state;
    enum { N = 600 }; /* more than one in each bucket */
    static struct dialled *entry[N];
    static int fd[N];
    struct dialled_table *t = NULL;
    assert_int_equal(dialled_table_new(&t), ERR_OK);
    struct sockaddr_storage from = {0}, to = v4("192.0.2.9", 4222);
    for (int i = 0; i < N; i++) {
        struct sockaddr_storage any = v4("127.0.0.1", 0);
        fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(bind(fd[i], (struct sockaddr *)&any, sizeof(struct sockaddr_in)), 0);
        dialled_add(t, fd[i], (struct sockaddr *)&to, &entry[i]);
        assert_non_null(entry[i]);
    }
    for (int i = 0; i < N; i++) {
        socklen_t n = sizeof from;
        assert_int_equal(getsockname(fd[i], (struct sockaddr *)&from, &n), 0);
        uint16_t port = ntohs(((struct sockaddr_in *)&from)->sin_port);
        assert_true(dialled_has(t, &from, &to));
        struct sockaddr_storage other = v4("192.0.2.9", 2379), same = mapped("192.0.2.9", 4222);
        assert_false(dialled_has(t, &from, &other));
        assert_true(dialled_has(t, &from, &same));
        other = v4("127.0.0.2", port);
        assert_false(dialled_has(t, &other, &to));
        dialled_remove(&entry[i]);
        assert_null(entry[i]);
        assert_false(dialled_has(t, &from, &to));
        dialled_remove(&entry[i]);
        close(fd[i]);
    }
    dialled_table_free(&t);
    dialled_table_free(&t);
    dialled_add(NULL, 0, (struct sockaddr *)&to, &entry[0]);
    assert_null(entry[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_that_was_not_redirected_is_refused),
        cmocka_unit_test(a_connection_is_ours_only_with_both_of_its_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
