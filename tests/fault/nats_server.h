/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_server - the real nats-server on a free loopback port, with a directory of its own; killed
 * by its pid. The port file it writes says when it listens and where.
 */
#ifndef TESTS_FAULT_NATS_SERVER_H
#define TESTS_FAULT_NATS_SERVER_H

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/addr.h"
#include "fault/wait.h"

struct nats_server_process {
    pid_t pid;
    char dir[64], ports[160];
    struct addr addr;
};

/* True once the port file is complete. */
static inline bool nats_server_listens(struct nats_server_process *s)
{
    char text[512] = "";
    FILE *f = fopen(s->ports, "r");
    if (f == NULL)
        return false;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *url = strstr(text, "nats://");
    const char *end = url == NULL ? NULL : strchr(url, '"');
    const char *rule;
    return end != NULL &&
           addr_parse(span_of(url, (size_t)(end - url)), 0, &s->addr, &rule) == ERR_OK;
}

/* port 0: any free one. argument: one more of the server's, or NULL. */
static inline void nats_server_start(struct loop *l, struct nats_server_process *s, uint16_t port,
                                     const char *argument)
{
    char text[8];
    snprintf(text, sizeof text, "%d", port == 0 ? -1 : port);
    snprintf(s->dir, sizeof s->dir, "/tmp/bulkhead-nats-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    pid_t parent = getpid();
    s->pid = fork();
    assert_int_not_equal(s->pid, -1);
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails hard leaves nothing behind */
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDERR_FILENO);
        if (getppid() == parent)
            execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", text, "--ports_file_dir",
                   s->dir, argument, (char *)NULL);
        _exit(127);
    }
    snprintf(s->ports, sizeof s->ports, "%s/nats-server_%d.ports", s->dir, (int)s->pid);
    WAIT_FOR(l, nats_server_listens(s));
}

static inline void nats_server_kill(struct nats_server_process *s)
{
    if (s->pid == 0)
        return;
    kill(s->pid, SIGKILL);
    assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
    unlink(s->ports);
    rmdir(s->dir);
    s->pid = 0;
}

#endif
