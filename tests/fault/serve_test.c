/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve, check and health as processes. No server is needed: listening never waits for one. The
 * upstreams are ports that nobody listens on.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "fault/process.h"

#define NOBODY    "127.0.0.1:1"
#define ETCD      "--etcd-upstream", NOBODY, "--etcd-listen", "127.0.0.1:0"
#define NATS      "--nats-upstream", NOBODY, "--nats-listen", "127.0.0.1:0"
#define HEALTH    "--health-listen", "127.0.0.1:0"
#define CLASSIC   "--drain-mode", "classic"
#define NAMESPACE "--namespace", "llama-8b/version-A"

static struct process p;

/* A connection to HOST:PORT of 127.0.0.1; -1 if nobody listens. */
static int dial(const char *place)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *colon = strchr(place, ':');
    assert_non_null(colon);
    sa.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0)
        return fd;
    close(fd);
    return -1;
}

static void assert_listens(const char *key, bool does)
{
    char place[128];
    process_place(&p, key, place);
    assert_int_equal(*place != '\0', does);
    if (!does)
        return;
    int fd = dial(place);
    assert_true(fd >= 0);
    close(fd);
}

static void the_ready_line_names_bound_ports_and_sigterm_ends_with_0(void **state)
{
    (void)state;
    process_start(&p, "serve", NAMESPACE, ETCD, NATS, HEALTH);
    process_wait_for(&p, OUT, "\n");
    assert_int_equal(strncmp(p.text[OUT], "ready etcd=127.0.0.1:", 21), 0);
    assert_listens(" etcd=", true);
    assert_listens(" nats=", true);
    assert_listens(" health=", true);
    kill(p.pid, SIGTERM);
    assert_int_equal(process_end(&p), 0);
    assert_ptr_equal(strchr(p.text[OUT], '\n'), p.text[OUT] + p.n[OUT] - 1); /* one line */
}

static void without_a_command_it_serves_and_planes_without_upstream_are_off(void **state)
{
    (void)state;
    process_start(&p, NATS);
    process_wait_for(&p, OUT, "\n");
    assert_int_equal(strncmp(p.text[OUT], "ready nats=127.0.0.1:", 21), 0);
    assert_listens("etcd=", false);
    assert_listens("nats=", true);
    assert_listens("health=", false);
    kill(p.pid, SIGINT);
    assert_int_equal(process_end(&p), 0);
}

static void readiness_goes_to_the_fd_and_to_the_service_manager(void **state)
{
    (void)state;
    int ready[2], manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    char fd[16], notify[160], text[64] = "", byte;
    /* an abstract name: no file to leave behind */
    int n = snprintf(sa.sun_path + 1, sizeof sa.sun_path - 1, "bulkhead-test-%d", (int)getpid());
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    assert_int_equal(bind(manager, (struct sockaddr *)&sa, size), 0);
    assert_int_equal(pipe(ready), 0);
    snprintf(fd, sizeof fd, "%d", ready[1]);
    snprintf(notify, sizeof notify, "NOTIFY_SOCKET=@%s", sa.sun_path + 1);
    process_start_with(&p, (const char *const[]){"serve", NATS, "--ready-fd", fd, NULL},
                       (const char *const[]){notify, NULL});
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* one byte, and the fd was closed */
    assert_true(recv(manager, text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, "READY=1\n");
    kill(p.pid, SIGTERM);
    assert_int_equal(process_end(&p), 0);
    memset(text, 0, sizeof text);
    assert_true(recv(manager, text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, "STOPPING=1\n");
    close(ready[0]);
    close(manager);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A client that holds a classic drain up: it is connected. */
static int hold_up(void)
{
    char place[128];
    int fd = dial(process_place(&p, "etcd=", place));
    assert_true(fd >= 0);
    /* The answer to the first request says that the connection was accepted. */
    static const char request[] = "GET /version HTTP/1.1\r\nHost: a\r\n\r\nGET /vers";
    char answer[512];
    assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
    assert_true(read(fd, answer, sizeof answer) > 0);
    return fd;
}

/* A name is looked up by a thread: the signal must not find it and end the process. */
static void a_sidecar_whose_upstream_is_a_name_drains_too(void **state)
{
    (void)state;
    process_start(&p, "serve", "--etcd-upstream", "localhost:1", "--etcd-listen", "127.0.0.1:0");
    process_wait_for(&p, ERR, "etcd cannot be reached");
    kill(p.pid, SIGTERM);
    assert_int_equal(process_end(&p), 0);
    assert_non_null(strstr(p.text[ERR], "draining"));
}

static void a_second_signal_stops_at_once(void **state)
{
    (void)state;
    process_start(&p, "serve", ETCD, CLASSIC, "--drain-ms", "60000");
    process_wait_for(&p, OUT, "\n");
    int fd = hold_up();
    int64_t start_ms = now_ms();
    kill(p.pid, SIGTERM);
    process_wait_for(&p, ERR, "draining");
    kill(p.pid, SIGTERM);
    assert_int_equal(process_end(&p), 0);
    assert_true(now_ms() - start_ms < 30000);
    close(fd);
}

static void the_drain_is_bounded(void **state)
{
    (void)state;
    process_start(&p, "serve", ETCD, CLASSIC, "--drain-ms", "100");
    process_wait_for(&p, OUT, "\n");
    int fd = hold_up();
    kill(p.pid, SIGTERM);
    process_wait_for(&p, ERR, "stopping with applications connected: the drain time is over");
    assert_int_equal(process_end(&p), 0);
    close(fd);
}

/* native: whoever is connected then has had its time. */
static void a_connection_alone_does_not_hold_a_native_sidecar(void **state)
{
    (void)state;
    process_start(&p, "serve", ETCD, NATS, "--drain-ms", "60000");
    process_wait_for(&p, OUT, "\n");
    int fd = hold_up();
    int64_t start_ms = now_ms();
    kill(p.pid, SIGTERM);
    assert_int_equal(process_end(&p), 0);
    assert_true(now_ms() - start_ms < 30000);
    close(fd);
}

/* classic: who comes while it drains is served, and it ends when nobody has been there for a while.
 */
static void a_classic_sidecar_takes_new_connections_until_it_is_left(void **state)
{
    (void)state;
    process_start(&p, "serve", ETCD, CLASSIC, "--drain-ms", "60000", "--drain-quiet-ms", "100");
    process_wait_for(&p, OUT, "\n");
    int first = hold_up();
    kill(p.pid, SIGTERM);
    process_wait_for(&p, ERR, "draining");
    int second = hold_up();
    close(first);
    int third = hold_up();
    close(second);
    close(third);
    assert_int_equal(process_end(&p), 0);
    assert_null(strstr(p.text[ERR], "the drain time is over"));
}

/* A preStop hook asks first and the kubelet signals then: that is no second signal. */
static void the_admin_listener_drains_and_does_not_count_as_a_signal(void **state)
{
    (void)state;
    static struct process asker;
    char place[128];
    process_start(&p, "serve", ETCD, HEALTH, CLASSIC, "--drain-ms", "60000", "--admin-listen",
                  "127.0.0.1:0");
    process_wait_for(&p, OUT, "\n");
    int fd = hold_up();
    process_start(&asker, "drain", "--admin-listen", process_place(&p, "admin=", place));
    assert_int_equal(process_end(&asker), 0);
    assert_string_equal(asker.text[OUT], "draining\n");
    process_wait_for(&p, ERR, "the admin listener was asked to");
    kill(p.pid, SIGTERM);
    process_wait_for(&p, ERR, "draining already");
    process_start(&asker, "health", "--health-listen", process_place(&p, "health=", place));
    assert_int_equal(process_end(&asker), 1);
    assert_non_null(strstr(asker.text[OUT], "draining"));
    kill(p.pid, SIGTERM);
    assert_int_equal(process_end(&p), 0);
    close(fd);
    process_start(&asker, "drain", "--admin-listen", place);
    assert_int_equal(process_end(&asker), 1);
}

/* Bound, not listening: whoever dials is refused, and no other test can take the port. */
static int reserve(const char *place)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    to.sin_port = htons((uint16_t)strtoul(strrchr(place, ':') + 1, NULL, 10));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void wait_ends_when_the_sidecar_listens_or_the_time_is_over(void **state)
{
    (void)state;
    static struct process waiter;
    char place[128];
    process_start(&p, "serve", ETCD, HEALTH);
    process_wait_for(&p, OUT, "\n");
    process_place(&p, "health=", place);
    process_start(&waiter, "wait", "--health-listen", place);
    assert_int_equal(process_end(&waiter), 0);
    /* There are no stores. */
    process_start(&waiter, "wait", "--stores", "--timeout-ms", "2000", "--health-listen", place);
    assert_int_equal(process_end(&waiter), 1);
    assert_non_null(strstr(waiter.text[OUT], "not ready"));
    kill(p.pid, SIGTERM);
    assert_int_equal(process_end(&p), 0);
    /* Nobody yet; then somebody. */
    int fd = reserve(place);
    process_start(&waiter, "wait", "--timeout-ms", "2000", "--health-listen", place);
    assert_int_equal(process_end(&waiter), 1);
    assert_non_null(strstr(waiter.text[ERR], "connection refused"));
    close(fd);
    process_start(&waiter, "wait", "--health-listen", place);
    process_start(&p, "serve", ETCD, "--health-listen", place);
    assert_int_equal(process_end(&waiter), 0);
    kill(p.pid, SIGTERM);
    assert_int_equal(process_end(&p), 0);
}

static void sighup_is_logged_and_serving_goes_on(void **state)
{
    (void)state;
    process_start(&p, "serve", NATS);
    process_wait_for(&p, OUT, "\n");
    kill(p.pid, SIGHUP);
    process_wait_for(&p, ERR, "there is no --config file to load again");
    assert_listens("nats=", true);
    kill(p.pid, SIGTERM);
    assert_int_equal(process_end(&p), 0);
}

static void an_address_in_use_ends_with_2_and_names_the_option(void **state)
{
    (void)state;
    static const char *const planes[][3] = {{"etcd=", "--etcd-upstream", "--etcd-listen"},
                                            {"nats=", "--nats-upstream", "--nats-listen"},
                                            {"health=", "--nats-upstream", "--health-listen"}};
    static struct process first;
    char place[128], want[256];
    process_start(&first, "serve", ETCD, NATS, HEALTH);
    process_wait_for(&first, OUT, "\n");
    for (size_t i = 0; i < ARRAY_LEN(planes); i++) {
        process_place(&first, planes[i][0], place);
        process_start(&p, "serve", planes[i][1], NOBODY, planes[i][2], place,
                      i == 2 ? "--nats-listen" : "--view", i == 2 ? "127.0.0.1:0" : "own");
        assert_int_equal(process_end(&p), 2);
        snprintf(want, sizeof want,
                 "bulkhead: %s is in use: stop what listens there, or choose another address with "
                 "%s\n",
                 place, planes[i][2]);
        assert_non_null(strstr(p.text[ERR], want));
        assert_string_equal(p.text[OUT], "");
    }
    kill(first.pid, SIGTERM);
    assert_int_equal(process_end(&first), 0);
}

static void usage_errors_end_with_2_and_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *words[4], *error;
    } rows[] = {
        {{"srve"},
         "bulkhead: unknown command \"srve\"; the nearest is serve (see `bulkhead --help`)\n"},
        {{"serve", "--namespace", "llama//b"},
         "bulkhead: --namespace \"llama//b\": at byte 6: empty segment; write names between single "
         "separators, none at the start or the end\n"},
        {{"serve", "--ready-fd=77", "--nats-upstream=n", "--nats-listen=127.0.0.1:0"},
         "bulkhead: --ready-fd 77: this is not an open file descriptor\n"},
        {{"--config", "/nonexistent"},
         "bulkhead: --config \"/nonexistent\": No such file or directory\n"},
        {{"--config", "/dev"}, "bulkhead: --config \"/dev\": this is not a regular file\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        process_start_with(&p,
                           (const char *const[]){rows[i].words[0], rows[i].words[1],
                                                 rows[i].words[2], rows[i].words[3], NULL},
                           NULL);
        assert_int_equal(process_end(&p), 2);
        assert_string_equal(p.text[ERR], rows[i].error);
        assert_string_equal(p.text[OUT], "");
    }
}

static void health_asks_and_says_what_is_missing(void **state)
{
    (void)state;
    static struct process sidecar;
    char place[128];
    process_start(&sidecar, "serve", ETCD, NATS, HEALTH);
    process_wait_for(&sidecar, OUT, "\n");
    process_place(&sidecar, "health=", place);
    process_start(&p, "health", "--health-listen", place);
    assert_int_equal(process_end(&p), 1); /* nobody is upstream */
    assert_int_equal(strncmp(p.text[OUT], "not ready\netcd: ", 16), 0);
    process_start(&p, "health", "--live", "--health-listen", place);
    assert_int_equal(process_end(&p), 0);
    assert_string_equal(p.text[OUT], "ok\n");
    process_place(&sidecar, "nats=", place);
    process_start(&p, "health", "--health-listen", place);
    assert_int_equal(process_end(&p), 1);
    kill(sidecar.pid, SIGTERM);
    assert_int_equal(process_end(&sidecar), 0);
    process_start(&p, "health", "--health-listen", place);
    assert_int_equal(process_end(&p), 1);
    assert_non_null(strstr(p.text[ERR], "bulkhead: no answer from 127.0.0.1:"));
}

static void check_explains_and_starts_nothing(void **state)
{
    (void)state;
    process_start(&p, "check", NAMESPACE, "--etcd-upstream", "e", "--nats-upstream", "n");
    assert_int_equal(process_end(&p), 0);
    assert_non_null(strstr(p.text[OUT], "namespace = llama-8b/version-A (flag)\n"));
    assert_non_null(strstr(p.text[OUT], "is stored as \"bh/d/llama-8b/version-A.models/x\"\n"));
    assert_non_null(
        strstr(p.text[OUT], "is published as \"bh.e.llama-8b.version-A.~.~.events.x\"\n"));
    process_start(&p, "check", NAMESPACE);
    assert_int_equal(process_end(&p), 2);
}

static void help_and_version_end_with_0(void **state)
{
    (void)state;
    static const char *const words[][2] = {{"--help"},          {"-h"},        {"--version"},
                                           {"serve", "--help"}, {"run", "-h"}, {"check", "--help"},
                                           {"health", "-V"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        process_start_with(&p, (const char *const[]){words[i][0], words[i][1], NULL}, NULL);
        assert_int_equal(process_end(&p), 0);
        assert_true(p.n[OUT] > 10 && p.n[ERR] == 0);
    }
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ready_line_names_bound_ports_and_sigterm_ends_with_0),
        cmocka_unit_test(without_a_command_it_serves_and_planes_without_upstream_are_off),
        cmocka_unit_test(readiness_goes_to_the_fd_and_to_the_service_manager),
        cmocka_unit_test(a_sidecar_whose_upstream_is_a_name_drains_too),
        cmocka_unit_test(a_second_signal_stops_at_once),
        cmocka_unit_test(the_drain_is_bounded),
        cmocka_unit_test(a_connection_alone_does_not_hold_a_native_sidecar),
        cmocka_unit_test(a_classic_sidecar_takes_new_connections_until_it_is_left),
        cmocka_unit_test(the_admin_listener_drains_and_does_not_count_as_a_signal),
        cmocka_unit_test(wait_ends_when_the_sidecar_listens_or_the_time_is_over),
        cmocka_unit_test(sighup_is_logged_and_serving_goes_on),
        cmocka_unit_test(an_address_in_use_ends_with_2_and_names_the_option),
        cmocka_unit_test(usage_errors_end_with_2_and_one_line),
        cmocka_unit_test(health_asks_and_says_what_is_missing),
        cmocka_unit_test(check_explains_and_starts_nothing),
        cmocka_unit_test(help_and_version_end_with_0),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
