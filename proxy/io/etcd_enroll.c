/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_enroll.h"

#include <time.h>

#include "base/log.h"
#include "io/etcd_head.h"

enum { REPLY_BYTES_MAX = 64 * 1024 }; /* one key and its entry */

static const struct etcd_ask_handler asking;

static struct etcd_enroll *of(struct etcd_ask *ask)
{
    return (struct etcd_enroll *)(void *)((char *)ask - offsetof(struct etcd_enroll, ask));
}

/* The last step is over; it changes nothing for anybody. */
static void end(struct etcd_enroll *e)
{
    etcd_ask_forget(&e->ask);
    e->ask.backoff_ms = 0;
    e->state = ETCD_ENROLL_DONE;
}

static void say_compared(struct etcd_enroll *e)
{
    bool differ = e->registry.patterns_differ;
    e->loop->counters.gauge[GAUGE_PATTERNS_MISMATCH] = differ;
    if (differ)
        log_event(LOG_WARN,
                  "view-requests or view-events differ from those of this installation's first "
                  "sidecar: namespaces may not hear each other",
                  "namespace", ns_path_name(e->path), NULL);
}

static void on_entry_gone(struct entry_watch *w)
{
    struct etcd_enroll *e = w->owner;
    log_event(LOG_WARN, "somebody removes this namespace from the registry; it is registered again",
              "namespace", ns_path_name(e->path), NULL);
    etcd_enroll_start(e);
}

/* The plane looks for another member; where there is none, the watch begins again some time. */
static void on_alone(struct entry_watch *w)
{
    struct etcd_enroll *e = w->owner;
    e->state = ETCD_ENROLL_BACKOFF;
    etcd_ask_back_off(&e->ask);
    e->on_alone(e);
}

/* Without it the entry is only looked after at the next connection. */
static void watch_entry(struct etcd_enroll *e)
{
    e->watch.owner = e;
    e->watch.on_again = on_entry_gone;
    e->watch.on_alone = on_alone;
    if (entry_watch_begin(&e->watch, e->link, e->auth, &e->registry) != ERR_OK)
        log_event(LOG_WARN, "the namespace's entry is not watched", "namespace",
                  ns_path_name(e->path), NULL);
}

static void fail(struct etcd_enroll *e, enum err error, struct span detail)
{
    char text[160];
    span_text(detail, text, sizeof text);
    if (e->registry.state == REGISTRY_COMPARE) {
        log_event(LOG_WARN, "the view's patterns cannot be compared with other sidecars'", "reason",
                  err_info(error)->text, "etcd", text, NULL);
        end(e);
        watch_entry(e);
        return;
    }
    log_event(etcd_enroll_is_refused(error) ? LOG_ERROR : LOG_WARN,
              "the namespace cannot be registered", "namespace", ns_path_name(e->path), "reason",
              err_info(error)->text, "etcd", text, NULL);
    e->state = ETCD_ENROLL_BACKOFF;
    e->error = error;
    etcd_ask_back_off(&e->ask);
    if (!e->ns->has_tag)
        e->on_failed(e);
}

/* -- one request -- */
static enum err ask(struct etcd_enroll *e)
{
    struct span method;
    enum err error = etcd_ask_begin(&e->ask);
    if (error == ERR_OK)
        error = e->gc != NULL ? registry_gc_next(e->gc, &e->ask.request, &method)
                              : registry_next(&e->registry, &e->ask.request, &method);
    return error == ERR_OK ? etcd_ask_send(&e->ask, method) : error;
}

static void go_on_gc(struct etcd_enroll *e)
{
    if (e->gc->state >= REGISTRY_GC_DONE) {
        end(e);
        e->on_done(e);
        return;
    }
    if (e->gc->state == REGISTRY_GC_WAIT) {
        etcd_ask_wait(&e->ask, LIMIT_GC_WAIT_MS);
        return;
    }
    enum err error = ask(e);
    if (error != ERR_OK)
        fail(e, error, SPAN_NONE);
}

static void go_on(struct etcd_enroll *e)
{
    bool is_settled = e->registry.state >= REGISTRY_COMPARE;
    if (is_settled && !e->is_told) {
        e->is_told = true;
        e->error = ERR_OK;
        log_event(LOG_INFO, "namespace registered", "namespace", ns_path_name(e->path), NULL);
        e->on_done(e);
    }
    if (e->registry.state == REGISTRY_DONE) {
        end(e);
        if (e->patterns != 0)
            say_compared(e);
        watch_entry(e);
        return;
    }
    enum err error = ask(e);
    if (error != ERR_OK)
        fail(e, error, SPAN_NONE);
}

void etcd_enroll_start(struct etcd_enroll *e)
{
    if (e->state == ETCD_ENROLL_ASKING || (e->gc != NULL && e->state == ETCD_ENROLL_DONE))
        return;
    entry_watch_end(&e->watch);
    if (!etcd_auth_allows(e->auth, ETCD_LANE_UNARY)) {
        e->state = ETCD_ENROLL_IDLE; /* begun again when there is a token */
        etcd_auth_want(e->auth, ETCD_LANE_UNARY);
        return;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint32_t beyond = e->registry.tag;
    registry_init(&e->registry, e->root, e->path, now_ms);
    if (e->error == ERR_REGISTRY_TAGS) /* go on behind those that were taken */
        e->registry.tag = beyond;
    e->registry.patterns = e->patterns;
    if (e->ns->has_tag) /* leases that have it are alive */
        e->registry.tag = e->ns->tag;
    e->state = ETCD_ENROLL_ASKING;
    if (e->gc == NULL) {
        go_on(e);
        return;
    }
    registry_gc_again(e->gc);
    go_on_gc(e);
}

/* -- its reply -- */
static enum err on_message(struct etcd_ask *ask, struct span message)
{
    struct etcd_enroll *e = of(ask);
    enum err error = e->gc != NULL ? registry_gc_feed(e->gc, message)
                                   : registry_feed(&e->registry, message, e->ns);
    bool is_told = error == ERR_NOMEM || etcd_enroll_is_refused(error);
    return error == ERR_OK || is_told ? error : ERR_UPSTREAM_PROTOCOL;
}

static void on_answer(struct etcd_ask *ask)
{
    struct etcd_enroll *e = of(ask);
    if (e->gc != NULL)
        go_on_gc(e);
    else
        go_on(e);
}

static void on_refused(struct etcd_ask *ask, int status, struct span text)
{
    struct etcd_enroll *e = of(ask);
    bool is_alone = etcd_head_says_alone(status, text);
    fail(e, ERR_NO_UPSTREAM, text);
    if (is_alone)
        e->on_alone(e);
}

static void on_failed(struct etcd_ask *ask, enum err error)
{
    fail(of(ask), error, SPAN_NONE);
    if (error == ERR_DEADLINE)
        of(ask)->on_alone(of(ask));
}

static void on_lost(struct etcd_ask *ask)
{
    struct etcd_enroll *e = of(ask);
    e->state = ETCD_ENROLL_IDLE;
    if (etcd_link_takes_calls(e->link)) /* it was on one that had been retired */
        etcd_enroll_start(e);           /* else the link comes back and starts it */
}

/* -- life -- */
static void on_again(struct etcd_ask *ask)
{
    struct etcd_enroll *e = of(ask);
    if (e->state == ETCD_ENROLL_ASKING) { /* gc has waited */
        registry_gc_waited(e->gc);
        go_on_gc(e);
        return;
    }
    e->state = ETCD_ENROLL_IDLE;
    if (etcd_link_client(e->link) != NULL)
        etcd_enroll_start(e);
}

static void on_closed(struct etcd_ask *ask)
{
    of(ask)->on_closed(of(ask));
}

static const struct etcd_ask_handler asking = {.message_bytes = REPLY_BYTES_MAX,
                                               .on_message = on_message,
                                               .on_answer = on_answer,
                                               .on_refused = on_refused,
                                               .on_failed = on_failed,
                                               .on_lost = on_lost,
                                               .on_again = on_again,
                                               .on_closed = on_closed};

void etcd_enroll_open(struct etcd_enroll *e)
{
    e->ask.handler = &asking;
    e->ask.link = e->link;
    e->ask.auth = e->auth;
    e->ask.loop = e->loop;
    etcd_ask_open(&e->ask);
}

void etcd_enroll_close(struct etcd_enroll *e)
{
    entry_watch_end(&e->watch);
    etcd_ask_close(&e->ask);
}
