/* SPDX-License-Identifier: Apache-2.0 */
/* run as a process: status, signals, variables and streams of the command. */
#include <fcntl.h>
#include <pty.h>

#include "fault/process.h"

#define UP "--etcd-upstream", "127.0.0.1:1", "--nats-upstream", "127.0.0.1:1"

static struct process p;

static void the_status_of_the_command_is_returned(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        int status;
    } rows[] = {{"exit 0", 0},
                {"exit 7", 7},
                {"exit 255", 255},
                {"kill -9 $$", 137},
                {"kill -TERM $$", 143}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        process_start(&p, "run", UP, "--", "sh", "-c", rows[i].script);
        assert_int_equal(process_end(&p), rows[i].status);
    }
}

static void a_command_that_cannot_start_ends_as_in_a_shell(void **state)
{
    (void)state;
    process_start(&p, "run", UP, "--", "no-such-command-anywhere");
    assert_int_equal(process_end(&p), 127);
    assert_string_equal(p.text[ERR], "bulkhead: run: cannot start no-such-command-anywhere: there "
                                     "is no such command in PATH\n");
    process_start(&p, "run", UP, "--", "/dev/null");
    assert_int_equal(process_end(&p), 126);
    assert_string_equal(p.text[ERR], "bulkhead: run: cannot start /dev/null: permission denied\n");
}

static void only_the_command_is_heard(void **state)
{
    (void)state;
    process_start(&p, "run", UP, "--", "sh", "-c", "cat; echo error >&2");
    process_say(&p, "from stdin\n");
    close(p.in);
    p.in = -1;
    assert_int_equal(process_end(&p), 0);
    assert_string_equal(p.text[OUT], "from stdin\n");
    /* What the planes warn about is heard too: nobody is upstream here. */
    assert_non_null(strstr(p.text[ERR], "error\n"));
    assert_null(strstr(p.text[ERR], "level=info"));
    assert_null(strstr(p.text[ERR], "ready "));
}

static void assert_line(const char *line)
{
    char want[256];
    snprintf(want, sizeof want, "\n%s", line);
    if (strstr(p.text[OUT], want) == NULL && strncmp(p.text[OUT], line, strlen(line)) != 0)
        fail_msg("no %s in %s", line, p.text[OUT]);
}

static void the_variables_point_at_the_sidecar(void **state)
{
    (void)state;
    static const char *const inherited[] = {"ETCD_ENDPOINTS=http://real:2379",
                                            "DYN_NAMESPACE=other", "X=y", NULL};
    process_start_with(
        &p, (const char *const[]){"run", "--namespace", "a/b", UP, "--", "env", NULL}, inherited);
    assert_int_equal(process_end(&p), 0);
    assert_line("ETCD_ENDPOINTS=http://127.0.0.1:");
    assert_line("ETCDCTL_ENDPOINTS=http://127.0.0.1:");
    assert_line("NATS_SERVER=nats://127.0.0.1:");
    assert_line("NATS_URL=nats://127.0.0.1:");
    assert_line("DYNAMO_NAMESPACE=a/b\n");
    assert_line("DYN_NAMESPACE=dynamo\n");
    assert_line("X=y\n");
    assert_null(strstr(p.text[OUT], "real"));
    assert_null(strstr(p.text[OUT], "other"));
    process_start_with(
        &p, (const char *const[]){"run", "--dyn-namespace=keep", UP, "--", "env", NULL}, inherited);
    assert_int_equal(process_end(&p), 0);
    assert_line("DYNAMO_NAMESPACE=other\n"); /* the claim of DYN_NAMESPACE */
    assert_line("DYN_NAMESPACE=other\n");
}

static void the_sidecar_listens_before_the_command_starts(void **state)
{
    (void)state;
    static const char script[] = "for u in $ETCD_ENDPOINTS $NATS_SERVER; do "
                                 "exec 5<>/dev/tcp/127.0.0.1/${u##*:} || exit 1; done";
    process_start(&p, "run", UP, "--", "bash", "-c", script);
    assert_int_equal(process_end(&p), 0);
}

/* A shell that waits for signals. `wait` wakes up for one whenever it comes; `read` sleeps on if it
 * comes just before. */
#define WAIT_FOR_A_SIGNAL "sleep 60 >/dev/null 2>&1 & echo up; while :; do wait $!; done"

static void signals_are_passed_on(void **state)
{
    (void)state;
    static const struct {
        int signal;
        const char *name;
    } rows[] = {{SIGTERM, "TERM"}, {SIGINT, "INT"},   {SIGHUP, "HUP"},
                {SIGUSR1, "USR1"}, {SIGUSR2, "USR2"}, {SIGQUIT, "QUIT"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char script[256];
        snprintf(script, sizeof script, "trap 'echo got; kill $!; exit 42' %s; %s", rows[i].name,
                 WAIT_FOR_A_SIGNAL);
        process_start(&p, "run", UP, "--", "sh", "-c", script);
        process_wait_for(&p, OUT, "up\n");
        kill(p.pid, rows[i].signal);
        assert_int_equal(process_end(&p), 42);
        assert_string_equal(p.text[OUT], "up\ngot\n");
    }
}

static void the_command_starts_with_no_signal_blocked_or_ignored(void **state)
{
    (void)state;
    process_start(&p, "run", UP, "--", "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status");
    assert_int_equal(process_end(&p), 0);
    assert_string_equal(p.text[OUT], "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

/* Ctrl-C reaches the whole foreground group: it must not be passed on besides. SIGUSR1 sent after
 * it is passed on after it, so that the second SIGINT would have been seen by then. */
static void ctrl_c_reaches_the_command_once(void **state)
{
    (void)state;
    static const char script[] =
        "trap 'echo int' INT; trap 'echo usr; kill $!; exit 3' USR1; " WAIT_FOR_A_SIGNAL;
    int master;
    memset(&p, 0, sizeof p);
    p.pid = forkpty(&master, NULL, NULL, NULL);
    if (p.pid < 0)
        skip(); /* a chroot without /dev/pts */
    if (p.pid == 0)
        process_exec(
            (const char *const[]){"run", UP, "--log-level=error", "--", "bash", "-c", script, NULL},
            NULL);
    p.in = -1;
    p.fd[OUT] = master;
    p.fd[ERR] = -1;
    process_wait_for(&p, OUT, "up\r\n");
    assert_int_equal(write(master, "\x03", 1), 1);
    process_wait_for(&p, OUT, "int\r\n");
    kill(p.pid, SIGUSR1);
    assert_int_equal(process_end(&p), 3);
    assert_null(strstr(strstr(p.text[OUT], "int\r\n") + 3, "int"));
}

static void an_address_in_use_ends_with_2_and_nothing_is_run(void **state)
{
    (void)state;
    static struct process first;
    char place[128];
    process_start(&first, "serve", "--nats-upstream=127.0.0.1:1", "--nats-listen=127.0.0.1:0");
    process_wait_for(&first, OUT, "\n");
    process_place(&first, "nats=", place);
    process_start(&p, "run", "--nats-upstream=127.0.0.1:1", "--nats-listen", place, "--", "echo",
                  "run");
    assert_int_equal(process_end(&p), 2);
    assert_string_equal(p.text[OUT], "");
    kill(first.pid, SIGTERM);
    assert_int_equal(process_end(&first), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_of_the_command_is_returned),
        cmocka_unit_test(a_command_that_cannot_start_ends_as_in_a_shell),
        cmocka_unit_test(only_the_command_is_heard),
        cmocka_unit_test(the_variables_point_at_the_sidecar),
        cmocka_unit_test(the_sidecar_listens_before_the_command_starts),
        cmocka_unit_test(signals_are_passed_on),
        cmocka_unit_test(the_command_starts_with_no_signal_blocked_or_ignored),
        cmocka_unit_test(ctrl_c_reaches_the_command_once),
        cmocka_unit_test(an_address_in_use_ends_with_2_and_nothing_is_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
