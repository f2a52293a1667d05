/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ready_time - from fork to the line that says "ready", many times.
 *
 *   usage: bench_ready_time RUNS TEXT COMMAND ARG…
 *
 * Starts COMMAND with its standard output and error on one pipe, stops the clock at the first read
 * that completes TEXT, ends the process (SIGTERM, then SIGKILL after END_MS), and does it again.
 * Prints {"runs": n, "median_us": …, "min_us": …, "max_us": …}. Exit status 1 when a run does not
 * become ready within READY_MS.
 */
#include "net.h"
#include "proc_cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RUNS_MAX = 1000,
    READY_MS = 10000,
    END_MS = 10000,
    OUTPUT_BYTES_MAX = 64 * 1024,
};

static pid_t start(char **command, int *ret_fd)
{
    int fd[2];
    if (pipe2(fd, O_CLOEXEC) != 0) {
        die("pipe: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid < 0) {
        die("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)dup2(fd[1], STDOUT_FILENO);
        (void)dup2(fd[1], STDERR_FILENO);
        (void)execvp(command[0], command);
        _exit(127);
    }
    (void)close(fd[1]);
    *ret_fd = fd[0];
    return pid;
}

/* The output up to and with TEXT has arrived; false: it ended or took too long. */
static int wait_for(int fd, const char *text, uint64_t end_ns)
{
    static char output[OUTPUT_BYTES_MAX + 1];
    size_t n = 0;
    while (n < OUTPUT_BYTES_MAX && now_ns() < end_ns) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, READY_MS) <= 0) {
            return 0;
        }
        ssize_t got = read(fd, output + n, OUTPUT_BYTES_MAX - n);
        if (got <= 0) {
            return 0;
        }
        n += (size_t)got;
        output[n] = '\0';
        if (strstr(output, text) != NULL) {
            return 1;
        }
    }
    return 0;
}

static void stop(pid_t pid, int fd)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    (void)kill(pid, SIGTERM);
    if (pidfd < 0 || poll(&p, 1, END_MS) <= 0) {
        (void)kill(pid, SIGKILL);
    }
    (void)waitpid(pid, NULL, 0);
    (void)close(pidfd);
    (void)close(fd);
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

int main(int argc, char **argv)
{
    static uint64_t took[RUNS_MAX];
    long runs = argc > 3 ? strtol(argv[1], NULL, 10) : 0;
    if (runs < 1 || runs > RUNS_MAX) {
        die("usage: bench_ready_time RUNS TEXT COMMAND ARG…");
    }
    for (long i = 0; i < runs; i++) {
        int fd = -1;
        uint64_t start_ns = now_ns();
        pid_t pid = start(argv + 3, &fd);
        int ready = wait_for(fd, argv[2], start_ns + (uint64_t)READY_MS * 1000000u);
        took[i] = now_ns() - start_ns;
        stop(pid, fd);
        if (!ready) {
            die("%s: did not say '%s'", argv[3], argv[2]);
        }
    }
    qsort(took, (size_t)runs, sizeof took[0], by_size);
    uint64_t median_ns = took[runs / 2];
    printf("{\"runs\": %ld, \"median_us\": %.1f, \"min_us\": %.1f, \"max_us\": %.1f}\n", runs,
           (double)median_ns / 1e3, (double)took[0] / 1e3, (double)took[runs - 1] / 1e3);
    return 0;
}
