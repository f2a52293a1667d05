/* SPDX-License-Identifier: Apache-2.0 */
#include "io/signals.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

struct signals {
    uv_poll_t poll;
    int fd;
    signals_fn fn;
    void *arg;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct signals *s = poll->data;
    struct signalfd_siginfo info;
    (void)status;
    (void)events;
    while (!uv_is_closing((uv_handle_t *)poll) && read(s->fd, &info, sizeof info) == sizeof info)
        s->fn(s->arg, (int)info.ssi_signo, info.ssi_code == SI_KERNEL);
}

static sigset_t set_of(const int *list, unsigned n)
{
    sigset_t set;
    sigemptyset(&set);
    for (unsigned i = 0; i < n; i++)
        sigaddset(&set, list[i]);
    return set;
}

void signals_block(const int *list, unsigned n)
{
    const sigset_t set = set_of(list, n);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

enum err signals_open(struct loop *l, const int *list, unsigned n, signals_fn fn, void *arg,
                      struct signals **ret_signals)
{
    struct signals *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ERR_NOMEM;
    s->fn = fn;
    s->arg = arg;
    const sigset_t set = set_of(list, n);
    s->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (s->fd < 0)
        goto fail;
    if (uv_poll_init(&l->uv, &s->poll, s->fd) != 0)
        goto fail;
    s->poll.data = s;
    signals_block(list, n);
    uv_poll_start(&s->poll, UV_READABLE, on_readable);
    *ret_signals = s;
    return ERR_OK;
fail:
    if (s->fd >= 0)
        close(s->fd);
    free(s);
    return ERR_IO;
}

static void on_closed(uv_handle_t *handle)
{
    struct signals *s = handle->data;
    close(s->fd);
    free(s);
}

void signals_close(struct signals **signals)
{
    struct signals *s = *signals;
    *signals = NULL;
    if (s == NULL)
        return;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, on_closed);
}
