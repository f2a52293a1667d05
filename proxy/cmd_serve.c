/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_serve - the sidecar as a process of its own: ready line, signals, service manager. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd.h"
#include "io/signals.h"
#include "reload.h"
#include "sidecar.h"

struct serve {
    struct sidecar sidecar;
    struct signals *signals;
    struct reload reload;
    bool is_signalled;
};

int cmd_fail(enum err e, const struct buf *text)
{
    const char *what = err_info(e)->text;
    int n = (int)buf_len(text);
    fprintf(stderr, "bulkhead: %.*s\n", n != 0 ? n : (int)strlen(what),
            n != 0 ? (const char *)buf_span(text).p : what);
    return e == ERR_CONFIG ? CMD_USAGE : CMD_FAILED;
}

/* Each application connection may need one more upstream. Not in `run`: the command would inherit
 * it, and programs that use select() break above 1024. */
static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_event(LOG_WARN, "the limit of open files cannot be raised", "error", strerror(errno),
                  NULL);
}

static void write_all(int fd, const char *text, size_t n, const char *what)
{
    while (n != 0) {
        ssize_t done = write(fd, text, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            log_event(LOG_WARN, "nobody could be told that the sidecar is ready", "where", what,
                      "error", strerror(errno), NULL);
            return;
        }
        text += done;
        n -= (size_t)done;
    }
}

static void put_place(struct buf *line, const char *name, const char *place)
{
    if (*place != '\0' && buf_printf(line, " %s=%s", name, place) != ERR_OK)
        log_event(LOG_ERROR, "out of memory", NULL);
}

/* systemd.exec(5), sd_notify(3): one datagram to the socket that NOTIFY_SOCKET names; a leading @
 * stands for the NUL of an abstract name. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof sa.sun_path)
        return;
    size_t n = strlen(path);
    memcpy(sa.sun_path, path, n);
    if (path[0] == '@')
        sa.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa, size) < 0)
        log_event(LOG_WARN, "the service manager cannot be notified", "error", strerror(errno),
                  NULL);
    close(fd);
}

static void tell_ready(const struct serve *s)
{
    const struct config *c = s->sidecar.config;
    struct sidecar_places at;
    struct buf line = {0};
    sidecar_places(&s->sidecar, &at);
    if (buf_printf(&line, "ready") != ERR_OK)
        log_event(LOG_ERROR, "out of memory", NULL);
    put_place(&line, "etcd", at.etcd);
    put_place(&line, "nats", at.nats);
    put_place(&line, "health", at.health);
    put_place(&line, "admin", at.admin);
    put_place(&line, "intercept", at.intercept);
    if (buf_append_byte(&line, '\n') == ERR_OK)
        write_all(STDOUT_FILENO, (const char *)buf_span(&line).p, buf_len(&line), "stdout");
    buf_deinit(&line);
    if (c->ready_fd >= 0) {
        write_all(c->ready_fd, "\n", 1, "--ready-fd");
        if (c->ready_fd > STDERR_FILENO)
            close(c->ready_fd);
    }
    notify("READY=1\n");
    log_event(LOG_INFO, "serving", "namespace", ns_path_name(&c->ns), "version", BULKHEAD_VERSION,
              "etcd", at.etcd, "nats", at.nats, "health", at.health, "admin", at.admin, "intercept",
              at.intercept, NULL);
}

static void on_signal(void *arg, int signal, bool by_kernel)
{
    struct serve *s = arg;
    (void)by_kernel;
    if (signal == SIGHUP) {
        reload_now(&s->reload, "SIGHUP");
        return;
    }
    /* What was asked for at the admin listener before, a preStop hook say, is not the first signal.
     */
    bool is_first = !s->is_signalled;
    s->is_signalled = true;
    if (is_first && s->sidecar.state == SIDECAR_DRAINING) {
        log_event(LOG_INFO, "draining already; a second signal stops at once", NULL);
        notify("STOPPING=1\n");
    } else if (s->sidecar.state == SIDECAR_OPEN) {
        log_event(LOG_INFO, "draining; a second signal stops at once", "signal",
                  signal == SIGINT ? "SIGINT" : "SIGTERM", NULL);
        notify("STOPPING=1\n");
        sidecar_drain(&s->sidecar);
    } else {
        sidecar_close(&s->sidecar);
    }
}

static void on_closed(void *arg)
{
    struct serve *s = arg;
    signals_close(&s->signals);
    reload_close(&s->reload);
}

int cmd_serve(const struct config *c)
{
    static const int list[] = {SIGTERM, SIGINT, SIGHUP};
    static struct serve s;
    struct buf error = {0};
    enum err e = ERR_OK;
    if (c->ready_fd >= 0 && fcntl(c->ready_fd, F_GETFD) < 0) {
        fprintf(stderr, "bulkhead: --ready-fd %d: this is not an open file descriptor\n",
                c->ready_fd);
        return CMD_USAGE;
    }
    raise_fd_limit();
    signals_block(list, ARRAY_LEN(list));
    e = sidecar_open(&s.sidecar, c, &error);
    if (e != ERR_OK) {
        int status = cmd_fail(e, &error);
        buf_deinit(&error);
        return status;
    }
    buf_deinit(&error);
    s.sidecar.on_closed = on_closed;
    s.sidecar.arg = &s;
    e = signals_open(&s.sidecar.loop, list, ARRAY_LEN(list), on_signal, &s, &s.signals);
    reload_open(&s.reload, &s.sidecar);
    if (e == ERR_OK)
        tell_ready(&s);
    else
        sidecar_close(&s.sidecar);
    int status = sidecar_run(&s.sidecar);
    if (e != ERR_OK)
        return cmd_fail(e, &error);
    log_event(LOG_INFO, "stopped", NULL);
    return status == 0 ? CMD_CLEAN : CMD_FAILED;
}
