/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.c - which path gets which answer. Connections, requests and their limits are web's.
 */
#include "io/admin.h"

#include <stdlib.h>

#include "base/log.h"
#include "io/metrics.h"
#include "io/web.h"

struct admin {
    struct loop *loop;
    struct web *web;
    bool is_draining;
    struct admin_check checks[ADMIN_CHECKS_MAX];
    unsigned check_count;
    const char *namespace_name;
    const struct admin_page *pages; /* NULL: a health listener */
    unsigned page_count;
    void *arg;
};

/* ---- answers ---- */

static bool all_ready(const struct admin *a, struct metrics_plane *planes, const char **why)
{
    bool ready = !a->is_draining;
    for (unsigned i = 0; i < a->check_count; i++) {
        why[i] = "draining";
        planes[i].name = a->checks[i].plane;
        planes[i].is_ready = !a->is_draining && a->checks[i].is_ready(a->checks[i].arg, &why[i]);
        ready = ready && planes[i].is_ready;
    }
    return ready;
}

static enum err readyz(const struct admin *a, struct web_answer *r)
{
    struct metrics_plane planes[ADMIN_CHECKS_MAX];
    const char *why[ADMIN_CHECKS_MAX];
    bool ready = all_ready(a, planes, why);
    r->status = ready ? 200 : 503;
    enum err e = buf_printf(&r->body, ready            ? "ready\n"
                                      : a->is_draining ? "draining\n"
                                                       : "not ready\n");
    for (unsigned i = 0; i < a->check_count && e == ERR_OK; i++)
        e = buf_printf(&r->body, "%s: %s\n", planes[i].name, planes[i].is_ready ? "ready" : why[i]);
    return e;
}

static enum err metrics(const struct admin *a, struct web_answer *r)
{
    struct metrics_plane planes[ADMIN_CHECKS_MAX];
    const char *why[ADMIN_CHECKS_MAX];
    (void)all_ready(a, planes, why);
    struct metrics_process process;
    metrics_read_process(&process);
    const struct metrics_view view = {
        .counters = &a->loop->counters,
        .process = &process,
        .planes = planes,
        .plane_count = a->check_count,
        .namespace_name = a->namespace_name,
    };
    r->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return metrics_write(&view, &r->body);
}

static enum err no_page(const struct admin *a, struct web_answer *r)
{
    enum err e = buf_printf(&r->body, "there is");
    r->status = 404;
    for (unsigned i = 0; i < a->page_count && e == ERR_OK; i++) {
        const struct admin_page *page = &a->pages[i];
        const char *methods = page->post == NULL  ? "GET"
                              : page->get == NULL ? "POST"
                                                  : "GET and POST";
        e = buf_printf(&r->body, "%s %s %s", i == 0 ? "" : ",", methods, page->path);
    }
    return e == ERR_OK ? buf_append_byte(&r->body, '\n') : e;
}

static enum err route_admin(const struct admin *a, const struct web_request *request,
                            struct web_answer *r)
{
    const struct admin_page *page = NULL;
    for (unsigned i = 0; i < a->page_count && page == NULL; i++)
        if (span_eq(request->path, span_str(a->pages[i].path)))
            page = &a->pages[i];
    if (page == NULL)
        return no_page(a, r);
    bool gets = request->method == HTTP1_GET || request->method == HTTP1_HEAD;
    bool posts = request->method == HTTP1_POST;
    admin_answer_fn page_answer = gets ? page->get : posts ? page->post : NULL;
    if (page_answer != NULL) {
        r->status = 200;
        return page_answer(a->arg, request, r);
    }
    r->status = 405;
    r->allow = page->post == NULL ? "GET, HEAD" : page->get == NULL ? "POST" : "GET, HEAD, POST";
    return buf_printf(&r->body, "only %s is answered here\n", r->allow);
}

/* What request gets. */
static enum err route(const struct admin *a, const struct web_request *request,
                      struct web_answer *r)
{
    if (a->pages != NULL)
        return route_admin(a, request, r);
    r->status = 200;
    if (request->method != HTTP1_GET && request->method != HTTP1_HEAD) {
        r->status = 405;
        return buf_printf(&r->body, "only GET and HEAD are answered here\n");
    }
    if (span_eq(request->path, SPAN_LIT("/readyz")))
        return readyz(a, r);
    if (span_eq(request->path, SPAN_LIT("/metrics")))
        return metrics(a, r);
    if (span_eq(request->path, SPAN_LIT("/livez")) || span_eq(request->path, SPAN_LIT("/startupz")))
        return buf_printf(&r->body, "ok\n");
    r->status = 404;
    return buf_printf(&r->body, "there is /livez, /readyz, /startupz and /metrics\n");
}

static void answer(void *arg, const struct web_request *q, struct web_answer *ret_answer)
{
    if (route(arg, q, ret_answer) == ERR_OK)
        return;
    buf_truncate(&ret_answer->body, 0);
    *ret_answer = (struct web_answer){.status = 500, .body = ret_answer->body};
    log_event(LOG_ERROR, "out of memory", NULL);
}

/* ---- its life ---- */

enum err admin_open(struct loop *l, const struct admin_options *o, struct admin **ret_admin,
                    struct buf *ret_error)
{
    struct admin *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ERR_NOMEM;
    *a = (struct admin){.loop = l,
                        .check_count = o->check_count,
                        .namespace_name = o->namespace_name,
                        .pages = o->pages,
                        .page_count = o->page_count,
                        .arg = o->arg};
    for (unsigned i = 0; i < o->check_count; i++)
        a->checks[i] = o->checks[i];
    const struct web_options web = {
        .listen = o->listen,
        .listens = o->listens,
        .option = o->option,
        .max_connections = LIMIT_HEALTH_CONNECTIONS,
        .idle_ms = LIMIT_HEALTH_IDLE_MS,
        .answer = answer,
        .arg = a,
    };
    enum err e = web_open(l, &web, &a->web, ret_error);
    if (e != ERR_OK)
        admin_close(&a);
    else
        *ret_admin = a;
    return e;
}

struct addr admin_addr(const struct admin *a)
{
    return web_addr(a->web);
}

void admin_drain(struct admin *a)
{
    a->is_draining = true;
}

void admin_close(struct admin **admin)
{
    struct admin *a = *admin;
    *admin = NULL;
    if (a == NULL)
        return;
    web_close(&a->web); /* and answer is not called any more */
    free(a);
}
