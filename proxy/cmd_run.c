/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_run - a command inside a namespace: sidecar on free ports, variables that point at it,
 * signals passed on, the command's exit status returned (design.md 2.7, 3.8).
 *
 * Happy path: bind, spawn, wait, close. The sidecar needs no drain: its only client is gone.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd.h"
#include "io/etcd_plane.h"
#include "io/nats_plane.h"
#include "io/signals.h"
#include "sidecar.h"

enum { SET_MAX = 8, SET_BYTES = ADDR_TEXT_BYTES + 32 };

struct run {
    struct sidecar sidecar;
    struct signals *signals;
    uv_process_t child;
    bool is_running;
    int status;
    char set[SET_MAX][SET_BYTES]; /* NAME=VALUE, over what the environment says */
    unsigned set_count;
};

static void set_variable(struct run *r, const char *name, const char *value)
{
    snprintf(r->set[r->set_count++], SET_BYTES, "%s=%s", name, value);
}

static void set_url(struct run *r, const char *name, const char *scheme, struct addr bound)
{
    char place[ADDR_TEXT_BYTES], url[ADDR_TEXT_BYTES + 16];
    bound = sidecar_reachable(bound);
    addr_print(&bound, place);
    snprintf(url, sizeof url, "%s%s", bound.kind == ADDR_UNIX ? "" : scheme, place);
    set_variable(r, name, url);
}

static void set_variables(struct run *r)
{
    const struct config *c = r->sidecar.config;
    if (r->sidecar.etcd != NULL) {
        const char *scheme = c->etcd_tls.listen_cert[0] != '\0' ? "https://" : "http://";
        set_url(r, "ETCD_ENDPOINTS", scheme, etcd_plane_addr(r->sidecar.etcd));
        set_url(r, "ETCDCTL_ENDPOINTS", scheme, etcd_plane_addr(r->sidecar.etcd));
        set_variable(r, "ETCDCTL_API", "3"); /* before 3.4, etcdctl speaks version 2 */
    }
    if (r->sidecar.nats != NULL) {
        const char *scheme = c->nats_tls.listen_cert[0] != '\0' ? "tls://" : "nats://";
        set_url(r, "NATS_SERVER", scheme, nats_plane_addr(r->sidecar.nats));
        set_url(r, "NATS_URL", scheme, nats_plane_addr(r->sidecar.nats));
    }
    set_variable(r, "DYNAMO_NAMESPACE", ns_path_name(&c->ns));
    if (!c->keep_dyn_namespace)
        set_variable(r, "DYN_NAMESPACE", "dynamo");
}

static bool is_set(const struct run *r, const char *entry)
{
    size_t n = strcspn(entry, "=") + 1;
    for (unsigned i = 0; i < r->set_count; i++)
        if (strncmp(r->set[i], entry, n) == 0)
            return true;
    return false;
}

/* The environment of the command: ours, with what was set. Free the array, not the strings. */
static char **make_env(struct run *r)
{
    size_t n = 0;
    while (environ[n] != NULL)
        n++;
    char **env = calloc(n + SET_MAX + 1, sizeof *env);
    if (env == NULL)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (!is_set(r, environ[i]))
            env[used++] = environ[i];
    for (unsigned i = 0; i < r->set_count; i++)
        env[used++] = r->set[i];
    return env;
}

static void on_exit_status(uv_process_t *child, int64_t status, int signal)
{
    struct run *r = child->data;
    r->is_running = false;
    r->status = signal != 0 ? CMD_SIGNALLED + signal : (int)status;
    uv_close((uv_handle_t *)child, NULL);
    sidecar_close(&r->sidecar);
}

static void on_signal(void *arg, int signal, bool by_kernel)
{
    struct run *r = arg;
    /* What the terminal sends, it sends to the command too: both are of its foreground group. */
    if (r->is_running && !by_kernel)
        uv_process_kill(&r->child, signal);
}

static int explain_spawn(int r, const char *command)
{
    bool missing = r == UV_ENOENT || r == UV_ENOTDIR;
    fprintf(stderr, "bulkhead: run: cannot start %s: %s\n", command,
            r == UV_ENOENT ? "there is no such command in PATH" : uv_strerror(r));
    return missing ? CMD_NOT_FOUND : CMD_NOT_EXECUTABLE;
}

/* Always ends in on_exit_status, or with status set and the sidecar closed. */
static void spawn(struct run *r)
{
    uv_stdio_container_t stdio[3];
    for (int fd = 0; fd < 3; fd++)
        stdio[fd] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fd};
    char **env = make_env(r);
    char **command = r->sidecar.config->command;
    const uv_process_options_t options = {
        .file = command[0],
        .args = command,
        .env = env,
        .stdio = stdio,
        .stdio_count = 3,
        .exit_cb = on_exit_status,
    };
    int error = env == NULL ? UV_ENOMEM : uv_spawn(&r->sidecar.loop.uv, &r->child, &options);
    r->child.data = r;
    free(env);
    if (error == 0) {
        r->is_running = true;
        return;
    }
    r->status = explain_spawn(error, command[0]);
    if (env != NULL)
        uv_close((uv_handle_t *)&r->child, NULL);
    sidecar_close(&r->sidecar);
}

static void on_closed(void *arg)
{
    signals_close(&((struct run *)arg)->signals);
}

int cmd_run(const struct config *c)
{
    static const int list[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};
    static struct run r;
    struct buf error = {0};
    signals_block(list, ARRAY_LEN(list));
    enum err e = sidecar_open(&r.sidecar, c, &error);
    if (e != ERR_OK) {
        r.status = cmd_fail(e, &error);
        buf_deinit(&error);
        return r.status;
    }
    buf_deinit(&error);
    r.sidecar.on_closed = on_closed;
    r.sidecar.arg = &r;
    e = signals_open(&r.sidecar.loop, list, ARRAY_LEN(list), on_signal, &r, &r.signals);
    if (e != ERR_OK) {
        r.status = cmd_fail(e, &error);
        sidecar_close(&r.sidecar);
    } else {
        struct sidecar_places at;
        sidecar_places(&r.sidecar, &at);
        log_event(LOG_DEBUG, "serving", "namespace", ns_path_name(&c->ns), "etcd", at.etcd, "nats",
                  at.nats, "health", at.health, NULL);
        set_variables(&r);
        spawn(&r);
    }
    (void)sidecar_run(&r.sidecar);
    return r.status;
}
