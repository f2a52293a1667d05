/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process - start the program that was built next to this test, read what it says, signal it.
 *
 * Nothing sleeps: a test waits for text, or for the end. A process that says nothing for PROCESS_MS
 * fails the test.
 */
#ifndef TESTS_FAULT_PROCESS_H
#define TESTS_FAULT_PROCESS_H

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/attr.h"
#include "support/support.h"

enum { PROCESS_MS = 60000, PROCESS_TEXT_BYTES = 64 * 1024, PROCESS_WORDS_MAX = 24 };

struct process {
    pid_t pid;
    int in;    /* its standard input; -1 = closed */
    int fd[2]; /* its standard output and standard error; -1 = at the end */
    char text[2][PROCESS_TEXT_BYTES];
    size_t n[2];
};

enum { OUT, ERR };

static inline const char *process_program(void)
{
    static char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 16);
    assert_true(n > 0);
    path[n] = '\0';
    memcpy(strrchr(path, '/'), "/bulkhead", sizeof "/bulkhead"); /* room for it was kept */
    return path;
}

/* In the child: becomes the program. words and set end with NULL; set: NAME=VALUE, put into an
 * environment that is else empty but for a PATH whose folders everybody may enter: where one may
 * not, a command that is nowhere is "not permitted". */
_Noreturn static inline void process_exec(const char *const *words, const char *const *set)
{
    char *argv[PROCESS_WORDS_MAX + 2] = {NULL}, *env[PROCESS_WORDS_MAX + 2] = {NULL};
    char program[4096], path[] = "PATH=/usr/bin:/bin";
    snprintf(program, sizeof program, "%s", process_program());
    argv[0] = program;
    for (size_t i = 0; i < PROCESS_WORDS_MAX && words[i] != NULL; i++)
        argv[i + 1] = strdup(words[i]);
    env[0] = path;
    for (size_t i = 0; set != NULL && i < PROCESS_WORDS_MAX && set[i] != NULL; i++)
        env[i + 1] = strdup(set[i]);
    execve(program, argv, env);
    _exit(99);
}

static inline void process_start_with(struct process *p, const char *const *words,
                                      const char *const *set)
{
    int in[2], out[2], err[2];
    memset(p, 0, sizeof *p);
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(err), 0);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        const int all[] = {in[0], in[1], out[0], out[1], err[0], err[1]};
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
            close(all[i]);
        process_exec(words, set);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    p->in = in[1];
    p->fd[OUT] = out[0];
    p->fd[ERR] = err[0];
}

#define process_start(p, ...)                                                                      \
    process_start_with((p), (const char *const[]){__VA_ARGS__, NULL}, NULL)

/* Reads what there is from either stream. False if both have ended. */
static inline bool process_read(struct process *p)
{
    struct pollfd polls[2] = {{p->fd[OUT], POLLIN, 0}, {p->fd[ERR], POLLIN, 0}};
    if (p->fd[OUT] < 0 && p->fd[ERR] < 0)
        return false;
    if (poll(polls, 2, PROCESS_MS) <= 0)
        fail_msg("nothing happens any more; it said: %s%s", p->text[OUT], p->text[ERR]);
    for (int i = 0; i < 2; i++) {
        if (polls[i].revents == 0)
            continue;
        size_t room = PROCESS_TEXT_BYTES - 1 - p->n[i];
        ssize_t n = read(p->fd[i], p->text[i] + p->n[i], room);
        if (n <= 0) {
            close(p->fd[i]);
            p->fd[i] = -1;
        } else {
            p->n[i] += (size_t)n;
        }
    }
    return true;
}

static inline void process_wait_for(struct process *p, int stream, const char *text)
{
    while (strstr(p->text[stream], text) == NULL)
        if (!process_read(p))
            fail_msg("ended without \"%s\"; it said: %s%s", text, p->text[OUT], p->text[ERR]);
}

static inline void process_say(struct process *p, const char *text)
{
    assert_int_equal(write(p->in, text, strlen(text)), strlen(text));
}

/* Reads to the end; the exit status as a shell sees it. */
static inline int process_end(struct process *p)
{
    int status;
    while (process_read(p))
        ;
    if (p->in >= 0)
        close(p->in);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The word after `key` in the ready line, or "". */
static inline const char *process_place(const struct process *p, const char *key, char place[128])
{
    const char *at = strstr(p->text[OUT], key);
    place[0] = '\0';
    if (at != NULL)
        snprintf(place, 128, "%.*s", (int)strcspn(at + strlen(key), " \n"), at + strlen(key));
    return place;
}

#endif
