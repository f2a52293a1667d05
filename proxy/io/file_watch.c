/* SPDX-License-Identifier: Apache-2.0 */
#include "io/file_watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "limit.h"

struct file_watch {
    uv_fs_event_t event;
    uv_timer_t quiet; /* runs while the folder is not */
    const char *path;
    struct stat seen; /* zeroed: it was not there */
    void (*on_changed)(void *arg);
    void *arg;
    unsigned open; /* handles */
};

static struct stat look(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st : (struct stat){0};
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void on_quiet(uv_timer_t *timer)
{
    struct file_watch *w = timer->data;
    struct stat now = look(w->path);
    if (is_same(&now, &w->seen))
        return;
    w->seen = now;
    w->on_changed(w->arg);
}

static void on_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct file_watch *w = event->data;
    (void)name, (void)events, (void)status;
    uv_timer_start(&w->quiet, on_quiet, LIMIT_FILE_QUIET_MS, 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct file_watch *w = handle->data;
    if (--w->open == 0)
        free(w);
}

void file_watch_close(struct file_watch **watch)
{
    struct file_watch *w = *watch;
    *watch = NULL;
    if (w == NULL)
        return;
    uv_close((uv_handle_t *)&w->event, on_closed);
    uv_close((uv_handle_t *)&w->quiet, on_closed);
}

/* The folder that the file is in. */
static int start(struct file_watch *w)
{
    const char *slash = strrchr(w->path, '/');
    size_t n = slash == NULL ? 1 : slash == w->path ? 1 : (size_t)(slash - w->path);
    char *folder = strndup(slash == NULL ? "." : w->path, n);
    if (folder == NULL)
        return UV_ENOMEM;
    int e = uv_fs_event_start(&w->event, on_event, folder, 0);
    free(folder);
    return e;
}

enum err file_watch_open(struct loop *l, const char *path, void (*on_changed)(void *arg), void *arg,
                         struct file_watch **ret_watch)
{
    struct file_watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ERR_NOMEM;
    *w = (struct file_watch){.path = path, .on_changed = on_changed, .arg = arg, .open = 2};
    uv_fs_event_init(&l->uv, &w->event); /* neither can fail */
    uv_timer_init(&l->uv, &w->quiet);
    w->event.data = w->quiet.data = w;
    w->seen = look(path);
    int e = start(w);
    if (e != 0) {
        file_watch_close(&w);
        return e == UV_ENOMEM ? ERR_NOMEM : ERR_IO;
    }
    *ret_watch = w;
    return ERR_OK;
}
