/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_leader_watch.h"

#include "io/etcd_head.h"

enum { MESSAGE_BYTES_MAX = 0 }; /* nothing is asked for, so none is expected */

static struct leader_watch *of(struct etcd_ask *ask)
{
    return (struct leader_watch *)(void *)((char *)ask - offsetof(struct leader_watch, ask));
}

void leader_watch_end(struct leader_watch *w)
{
    etcd_ask_forget(&w->ask);
}

/* Only the head goes out: with it etcd begins to look after its leader (v3rpc/interceptor.go
 * newStreamInterceptor), and it looks at a token not before something is asked for. An empty
 * message is ignored by etcd, but ends the process of its older grpc-proxies. */
static void ask(struct leader_watch *w)
{
    etcd_ask_forget(&w->ask);
    if (etcd_ask_send(&w->ask, SPAN_LIT("/etcdserverpb.Watch/Watch")) != ERR_OK)
        etcd_ask_back_off(&w->ask);
}

void leader_watch_begin(struct leader_watch *w)
{
    if (w->ask.state != ETCD_ASK_IDLE)
        return;
    w->ask.backoff_ms = 0;
    ask(w);
}

static enum err on_message(struct etcd_ask *ask, struct span message)
{
    (void)ask, (void)message;
    return ERR_OK;
}

static void on_refused(struct etcd_ask *ask, int status, struct span text)
{
    struct leader_watch *w = of(ask);
    bool is_alone = etcd_head_says_alone(status, text);
    etcd_ask_back_off(ask);
    if (is_alone)
        w->on_alone(w);
}

static void on_failed(struct etcd_ask *ask, enum err e)
{
    (void)e;
    etcd_ask_back_off(ask);
}

/* With the connection: begun again with the next one. */
static void on_lost(struct etcd_ask *ask)
{
    (void)ask;
}

static void on_again(struct etcd_ask *again)
{
    struct leader_watch *w = of(again);
    if (etcd_link_client(w->link) != NULL)
        ask(w);
}

static void on_closed(struct etcd_ask *ask)
{
    of(ask)->on_closed(of(ask));
}

static const struct etcd_ask_handler asking = {.message_bytes = MESSAGE_BYTES_MAX,
                                               .stays_open = true,
                                               .wants_leader = true,
                                               .on_message = on_message,
                                               .on_answer = etcd_ask_back_off,
                                               .on_refused = on_refused,
                                               .on_failed = on_failed,
                                               .on_lost = on_lost,
                                               .on_again = on_again,
                                               .on_closed = on_closed};

void leader_watch_open(struct leader_watch *w)
{
    w->ask.handler = &asking;
    w->ask.link = w->link;
    w->ask.loop = w->loop;
    etcd_ask_open(&w->ask);
}

void leader_watch_close(struct leader_watch *w)
{
    etcd_ask_close(&w->ask);
}
