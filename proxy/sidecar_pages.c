/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar_pages.h"

#include "io/etcd_plane.h"
#include "io/nats_plane.h"
#include "sidecar.h"

static enum err drain(void *arg, const struct web_request *request, struct web_answer *r)
{
    struct sidecar *s = arg;
    (void)request;
    r->status = 202;
    if (s->state == SIDECAR_OPEN)
        log_event(LOG_INFO, "draining; the admin listener was asked to", NULL);
    sidecar_drain(s);
    return buf_printf(&r->body, "draining\n");
}

static enum err connections(void *arg, const struct web_request *request, struct web_answer *r)
{
    const struct sidecar *s = arg;
    (void)request;
    enum err e = s->etcd == NULL ? ERR_OK : etcd_plane_list_connections(s->etcd, &r->body);
    return e != ERR_OK || s->nats == NULL ? e : nats_plane_list_connections(s->nats, &r->body);
}

static enum err watches(void *arg, const struct web_request *request, struct web_answer *r)
{
    const struct sidecar *s = arg;
    (void)request;
    return s->etcd == NULL ? ERR_OK : etcd_plane_list_watches(s->etcd, &r->body);
}

/* Secrets are masked in it. */
static enum err show_config(void *arg, const struct web_request *request, struct web_answer *r)
{
    const struct sidecar *s = arg;
    (void)request;
    return buf_append(&r->body, buf_span(&s->config->effective));
}

static enum err show_level(void *arg, const struct web_request *request, struct web_answer *r)
{
    (void)arg, (void)request;
    return buf_printf(&r->body, "%s\n", log_level_name());
}

static enum err set_level(void *arg, const struct web_request *request, struct web_answer *r)
{
    const struct sidecar *s = arg;
    char word[8];
    enum log_level level;
    struct span query = request->query, key = SPAN_LIT("level=");
    span_text(span_has_prefix(query, key) ? span_skip(query, key.n) : SPAN_NONE, word, sizeof word);
    if (!log_level_parse(word, &level)) {
        r->status = 400;
        return buf_printf(&r->body, "say which: /loglevel?level=error, warn, info or debug\n");
    }
    log_set(level, s->config->log_format);
    log_event(LOG_WARN, "the log level was set at the admin listener", "to", word, NULL);
    return show_level(arg, request, r);
}

static const struct admin_page pages[] = {
    {.path = "/connections", .get = connections},
    {.path = "/watches", .get = watches},
    {.path = "/config", .get = show_config},
    {.path = "/loglevel", .get = show_level, .post = set_level},
    {.path = "/drain", .post = drain},
};

const struct admin_page *sidecar_pages(unsigned *ret_n)
{
    *ret_n = ARRAY_LEN(pages);
    return pages;
}
