/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_entry_watch.h"

#include "etcd/registry_watch.h"
#include "io/etcd_head.h"

enum { MESSAGE_BYTES_MAX = 64 * 1024 }; /* one key and its entry */

static struct entry_watch *of(struct etcd_ask *ask)
{
    return (struct entry_watch *)(void *)((char *)ask - offsetof(struct entry_watch, ask));
}

void entry_watch_end(struct entry_watch *w)
{
    etcd_ask_forget(&w->ask);
}

static enum err on_message(struct etcd_ask *ask, struct span message)
{
    struct entry_watch *w = of(ask);
    bool again = false;
    enum err e = registry_watch_feed(message, &w->answered, &again);
    if (e != ERR_OK || !again)
        return e;
    entry_watch_end(w);
    w->on_again(w);
    return ERR_OK;
}

static void on_refused(struct etcd_ask *ask, int status, struct span text)
{
    struct entry_watch *w = of(ask);
    if (etcd_head_says_alone(status, text))
        w->on_alone(w);
}

static void on_failed(struct etcd_ask *ask, enum err e)
{
    (void)ask, (void)e;
}

static void on_end(struct etcd_ask *ask)
{
    (void)ask;
}

static const struct etcd_ask_handler asking = {.message_bytes = MESSAGE_BYTES_MAX,
                                               .stays_open = true,
                                               .wants_leader = true,
                                               .on_message = on_message,
                                               .on_answer = on_end,
                                               .on_refused = on_refused,
                                               .on_failed = on_failed,
                                               .on_lost = on_end};

enum err entry_watch_begin(struct entry_watch *w, struct etcd_link *link, struct etcd_auth *auth,
                           const struct registry *r)
{
    w->ask.handler = &asking;
    w->ask.link = link;
    w->ask.auth = auth;
    enum err e = etcd_ask_begin(&w->ask);
    if (e == ERR_OK)
        e = registry_watch_request(r->root, r->path, r->written + 1, &w->ask.request);
    return e == ERR_OK ? etcd_ask_send(&w->ask, SPAN_LIT("/etcdserverpb.Watch/Watch")) : e;
}
