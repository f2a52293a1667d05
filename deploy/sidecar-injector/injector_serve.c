/* SPDX-License-Identifier: Apache-2.0 */
/*
 * injector_serve.c - the webhook: answers, reload, life.
 *
 *   OPEN --SIGTERM--> DRAINING --drain_ms--> STOPPING --nothing in flight, STOP_MS--> CLOSED
 *     \--------------------------second signal-------------------------------------/
 *
 * OPEN: everything. DRAINING: not ready; requests are still taken, because the API server goes on
 * using the connections it has (kubernetes#127335), but each answer ends its connection. STOPPING:
 * nothing new; what is in flight is answered.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/counters.h"
#include "inject/review.h"
#include "injector.h"
#include "injector_metrics.h"
#include "io/signals.h"
#include "io/tls_context.h"

enum {
    BODY_BYTES_MAX = 8 * 1024 * 1024, /* the API server takes objects of 3 MiB, and a review may
                                         hold two */
    HEALTH_CONNECTIONS = 64,
    IDLE_MS = 90000, /* as long as Go's client keeps an idle connection */
    TICK_MS = 1000,  /* how often the files are looked at */
    STOP_TICK_MS = 10,
    LARGE_BYTES = 128 * 1024,    /* of a review whose memory is given back, at the next tick */
    KEPT_BYTES = 4 << 20,        /* what stays then */
    BURST_KEPT_BYTES = 32 << 20, /* what stays between reviews until then */
    STOP_MS = 12000              /* no request is read for longer than LIMIT_WEB_REQUEST_MS */
};

enum state { STATE_OPEN, STATE_DRAINING, STATE_STOPPING, STATE_CLOSED };

struct server {
    struct loop loop;
    const struct injector_options *options;
    struct inject_config *config; /* owned; replaced as a whole */
    struct stat config_stamp;
    struct tls_context *tls;
    struct web *webhook, *health;
    struct signals *signals;
    uv_timer_t tick, life; /* files; draining and stopping */
    uint64_t stop_at_ms;
    bool had_large; /* a review, since the last tick */
    enum state state;
    struct injector_metrics metrics;
};

/* ---- answers of the webhook ---- */

static enum err say(struct web_answer *a, int status, const char *text)
{
    a->status = status;
    return buf_printf(&a->body, "%s\n", text);
}

static bool is_json(struct span type)
{
    static const char json[] = "application/json";
    size_t n = sizeof json - 1;
    if (type.n < n || strncasecmp((const char *)type.p, json, n) != 0)
        return false;
    return type.n == n || type.p[n] == ';' || type.p[n] == ' ';
}

static void log_review(const struct review *r)
{
    const struct outcome *o = &r->outcome;
    const char *why = o->kind == OUTCOME_DENIED    ? o->message
                      : o->kind == OUTCOME_SKIPPED ? o->skipped
                                                   : "";
    if (r->status != 200)
        log_event(LOG_WARN, "a request that is no review", "why", "see the answer to the caller",
                  NULL);
    else if (o->kind == OUTCOME_DENIED)
        log_event(o->reason == REASON_SELF_CHECK ? LOG_ERROR : LOG_INFO, "pod denied", "reason",
                  outcome_reason_name(o->reason), "kubernetes_namespace", r->kubernetes_namespace,
                  "text", why, NULL);
    else
        log_event(LOG_DEBUG, "review", "result", outcome_kind_name(o->kind), "pod", r->pod,
                  "kubernetes_namespace", r->kubernetes_namespace, "namespace",
                  ns_path_name(&o->ns), "why", why, "dry_run", r->is_dry_run ? "true" : "false",
                  NULL);
}

static enum err mutate(struct server *s, const struct web_request *q, bool is_selected,
                       struct web_answer *a)
{
    uint64_t began = uv_hrtime();
    struct review *r = calloc(1, sizeof *r);
    enum err e = r == NULL ? ERR_NOMEM : review_answer(s->config, q->body, is_selected, r);
    injector_metrics_count(&s->metrics, r, e, (uv_hrtime() - began) / 1000);
    s->had_large = s->had_large || q->body.n > LARGE_BYTES;
    if (e == ERR_OK) {
        log_review(r);
        a->status = r->status;
        a->content_type = r->status == 200 ? "application/json" : NULL;
        a->body = r->body;
        r->body = (struct buf){0};
    }
    if (r != NULL)
        review_deinit(r);
    free(r);
    return e;
}

static enum err route_webhook(struct server *s, const struct web_request *q, struct web_answer *a)
{
    bool is_all = span_eq(q->path, SPAN_LIT("/mutate"));
    bool is_selected = span_eq(q->path, SPAN_LIT("/mutate/namespace"));
    a->allow = "POST";
    if (!is_all && !is_selected)
        return say(a, 404, "there is POST /mutate and POST /mutate/namespace");
    if (q->method != HTTP1_POST)
        return say(a, 405, "a review is posted");
    if (q->is_encoded)
        return say(a, 415, "a review is not compressed");
    if (!is_json(q->content_type))
        return say(a, 415, "a review is application/json");
    return mutate(s, q, is_selected, a);
}

static void answer_webhook(void *arg, const struct web_request *q, struct web_answer *ret_answer)
{
    if (route_webhook(arg, q, ret_answer) == ERR_OK)
        return;
    buf_truncate(&ret_answer->body, 0);
    ret_answer->status = 500;
    ret_answer->content_type = NULL;
    log_event(LOG_ERROR, "out of memory", NULL);
}

/* ---- answers of the health listener ---- */

static enum err metrics(struct server *s, struct web_answer *a)
{
    s->metrics.certificate_not_after = tls_context_not_after(s->tls);
    s->metrics.webhook = *web_stats(s->webhook);
    s->metrics.tls_failures = s->metrics.tls.n[COUNTER_BAD_ETCD_TLS];
    a->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return injector_metrics_write(&s->metrics, &a->body);
}

static enum err route_health(struct server *s, const struct web_request *q, struct web_answer *a)
{
    if (q->method != HTTP1_GET && q->method != HTTP1_HEAD)
        return say(a, 405, "only GET and HEAD are answered here");
    if (span_eq(q->path, SPAN_LIT("/livez")))
        return say(a, 200, "ok");
    if (span_eq(q->path, SPAN_LIT("/readyz")))
        return s->state == STATE_OPEN ? say(a, 200, "ready") : say(a, 503, "draining");
    if (span_eq(q->path, SPAN_LIT("/metrics")))
        return metrics(s, a);
    return say(a, 404, "there is /livez, /readyz and /metrics");
}

static void answer_health(void *arg, const struct web_request *q, struct web_answer *ret_answer)
{
    if (route_health(arg, q, ret_answer) != ERR_OK)
        ret_answer->status = 500;
}

/* ---- files that change ---- */

static bool has_changed(struct server *s)
{
    struct stat now;
    if (stat(s->options->config, &now) != 0)
        return false; /* between two `..data`: looked at again */
    bool same = now.st_dev == s->config_stamp.st_dev && now.st_ino == s->config_stamp.st_ino &&
                now.st_size == s->config_stamp.st_size &&
                now.st_mtim.tv_sec == s->config_stamp.st_mtim.tv_sec &&
                now.st_mtim.tv_nsec == s->config_stamp.st_mtim.tv_nsec;
    s->config_stamp = now;
    return !same;
}

static void reload(struct server *s)
{
    struct inject_config *next = NULL;
    struct buf error = {0};
    enum err e = injector_load_config(s->options->config, &next, &error);
    s->metrics.last_reload_failed = e != ERR_OK;
    if (e == ERR_OK) {
        injector_free_config(&s->config);
        s->config = next;
        s->metrics.reloads++;
        log_event(LOG_INFO, "the configuration has changed and is used from now on", "hash",
                  s->config->hash, NULL);
    } else {
        s->metrics.reload_failures++;
        if (buf_append_byte(&error, '\0') == ERR_OK)
            log_event(LOG_ERROR,
                      "the configuration has changed but cannot be used; the last good one stays",
                      "why", (const char *)buf_span(&error).p, NULL);
    }
    buf_deinit(&error);
}

static void on_tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    if (has_changed(s))
        reload(s);
    s->metrics.certificate_not_after = tls_context_not_after(s->tls);
    if (s->had_large) {
        s->had_large = false;
        malloc_trim(KEPT_BYTES);
    }
}

/* ---- life ---- */

static void close_all(struct server *s)
{
    if (s->state == STATE_CLOSED)
        return;
    s->state = STATE_CLOSED;
    web_close(&s->webhook);
    web_close(&s->health);
    signals_close(&s->signals);
    uv_close((uv_handle_t *)&s->tick, NULL);
    uv_close((uv_handle_t *)&s->life, NULL);
}

static void on_stopping(uv_timer_t *timer)
{
    struct server *s = timer->data;
    if (web_busy(s->webhook) == 0 || loop_now_ms(&s->loop) >= s->stop_at_ms)
        close_all(s);
}

static void stop(struct server *s)
{
    s->state = STATE_STOPPING;
    s->stop_at_ms = loop_now_ms(&s->loop) + STOP_MS;
    web_stop(s->webhook);
    uv_timer_start(&s->life, on_stopping, STOP_TICK_MS, STOP_TICK_MS);
}

static void on_drained(uv_timer_t *timer)
{
    stop(timer->data);
}

static void on_signal(void *arg, int signal, bool by_kernel)
{
    struct server *s = arg;
    (void)by_kernel;
    if (signal == SIGHUP) {
        reload(s);
    } else if (s->state == STATE_OPEN) {
        log_event(LOG_INFO, "draining; a second signal stops at once", NULL);
        s->state = STATE_DRAINING;
        web_drain(s->webhook);
        uv_timer_start(&s->life, on_drained, s->options->drain_ms, 0);
    } else {
        close_all(s);
    }
}

static enum err open_tls(struct server *s, struct buf *error)
{
    const struct tls_options tls = {
        .is_server = true,
        .plane = "webhook",
        .names = {.listen_cert = s->options->tls_cert, .listen_key = s->options->tls_key},
        .is_http1 = true,
        .cert_option = "--tls-cert",
        .key_option = "--tls-key",
        .counters = &s->metrics.tls, /* of our own: any of them will do */
        .refused = COUNTER_BAD_ETCD_TLS,
    };
    return tls_context_new(&tls, &s->tls, error);
}

static enum err open_webs(struct server *s, struct buf *error)
{
    struct web_options webhook = {
        .listen = s->options->listen,
        .listens = s->options->listens,
        .option = "--listen",
        .tls = s->tls,
        .body_max = BODY_BYTES_MAX,
        .max_connections = s->options->max_connections,
        .answer = answer_webhook,
        .arg = s,
        .idle_ms = IDLE_MS,
    };
    struct web_options health = {
        .listen = s->options->health_listen,
        .listens = s->options->health_listens,
        .option = "--health-listen",
        .max_connections = HEALTH_CONNECTIONS,
        .answer = answer_health,
        .arg = s,
        .idle_ms = LIMIT_HEALTH_IDLE_MS,
    };
    enum err e = web_open(&s->loop, &webhook, &s->webhook, error);
    return e == ERR_OK ? web_open(&s->loop, &health, &s->health, error) : e;
}

static void tell_ready(const struct server *s)
{
    char webhook[ADDR_TEXT_BYTES], health[ADDR_TEXT_BYTES];
    struct addr w = web_addr(s->webhook), h = web_addr(s->health);
    printf("ready webhook=%s health=%s\n", addr_print(&w, webhook), addr_print(&h, health));
    fflush(stdout);
    log_event(LOG_INFO, "serving", "version", BULKHEAD_VERSION, "webhook", webhook, "health",
              health, "image", s->config->image, "policy", s->config->has_policy ? "yes" : "no",
              NULL);
    if (!s->config->has_policy)
        log_event(LOG_WARN,
                  "there is no policy: every Kubernetes namespace may claim any namespace", NULL);
}

static enum err open_all(struct server *s, struct buf *error)
{
    static const int list[] = {SIGTERM, SIGINT, SIGHUP};
    signals_block(list, ARRAY_LEN(list)); /* before there are threads */
    enum err e = injector_load_config(s->options->config, &s->config, error);
    (void)has_changed(s);
    if (e == ERR_OK)
        e = open_tls(s, error);
    if (e == ERR_OK)
        e = open_webs(s, error);
    if (e == ERR_OK)
        e = signals_open(&s->loop, list, ARRAY_LEN(list), on_signal, s, &s->signals);
    return e;
}

/* A review's trees are some ten times its size and live for its milliseconds. That memory stays
 * with the process, or each review would ask the kernel for its pages anew: a quarter of the time
 * of one of 20 KiB, more than half of that of 1 MiB. What large ones took is given back when they
 * are over. */
static void keep_memory(void)
{
    mallopt(M_TRIM_THRESHOLD, BURST_KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
}

int injector_serve(const struct injector_options *o)
{
    static struct server s;
    struct buf error = {0};
    s.options = o;
    keep_memory();
    enum err e = loop_init(&s.loop);
    if (e != ERR_OK) {
        fprintf(stderr, "bulkhead-injector: %s\n", err_info(e)->text);
        return INJECTOR_FAILED;
    }
    uv_timer_init(&s.loop.uv, &s.tick);
    uv_timer_init(&s.loop.uv, &s.life);
    s.tick.data = s.life.data = &s;
    e = open_all(&s, &error);
    if (e == ERR_OK) {
        uv_timer_start(&s.tick, on_tick, TICK_MS, TICK_MS);
        tell_ready(&s);
        uv_run(&s.loop.uv, UV_RUN_DEFAULT);
    } else {
        int n = (int)buf_len(&error);
        fprintf(stderr, "bulkhead-injector: %.*s\n", n != 0 ? n : 20,
                n != 0 ? (const char *)buf_span(&error).p : err_info(e)->text);
    }
    close_all(&s);
    int left = loop_deinit(&s.loop);
    tls_context_free(&s.tls);
    injector_free_config(&s.config);
    buf_deinit(&error);
    if (e != ERR_OK)
        return e == ERR_CONFIG ? INJECTOR_USAGE : INJECTOR_FAILED;
    if (left != 0) {
        log_event(LOG_ERROR, "something was not closed", "error", uv_strerror(left), NULL);
        return INJECTOR_FAILED;
    }
    log_event(LOG_INFO, "stopped", NULL);
    return INJECTOR_CLEAN;
}
