/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"

#include "io/file_watch.h"

/* The one in use, if it is not that of the start, and the next one: the planes borrow from it. */
static struct config places[2];

static void refuse(struct reload *r, const char *why)
{
    count(&r->sidecar->loop.counters, COUNTER_RELOAD_REFUSED, 1);
    log_event(LOG_ERROR, "the new configuration is not taken, the old one stays", "reason", why,
              NULL);
}

static enum err take(struct reload *r, struct config *next)
{
    struct buf error = {0};
    enum err e = sidecar_reload(r->sidecar, next, &error);
    struct span text = buf_span(&error);
    if (e == ERR_CONFIG)
        span_text(text, next->error, sizeof next->error);
    buf_deinit(&error);
    return e;
}

void reload_now(struct reload *r, const char *by)
{
    struct config *next = &places[r->at];
    if (r->sidecar->state != SIDECAR_OPEN)
        return;
    if (r->sidecar->config->file == NULL) {
        log_event(LOG_WARN, "there is no --config file to load again", "by", by, NULL);
        return;
    }
    config_deinit(next);
    enum err e = config_reload(r->sidecar->config, next);
    if (e == ERR_OK)
        e = take(r, next);
    if (e != ERR_OK) {
        refuse(r, e == ERR_CONFIG ? next->error : err_info(e)->text);
        return;
    }
    r->at ^= 1;
    count(&r->sidecar->loop.counters, COUNTER_RELOADED, 1);
    log_event(LOG_INFO, "the new configuration is taken", "by", by, NULL);
}

static void on_changed(void *arg)
{
    reload_now(arg, "the file has changed");
}

void reload_open(struct reload *r, struct sidecar *sidecar)
{
    *r = (struct reload){.sidecar = sidecar};
    const char *file = sidecar->config->file;
    if (file != NULL && file_watch_open(&sidecar->loop, file, on_changed, r, &r->watch) != ERR_OK)
        log_event(LOG_WARN, "the configuration file is not watched; SIGHUP loads it again", "file",
                  file, NULL);
}

void reload_close(struct reload *r)
{
    file_watch_close(&r->watch);
}
