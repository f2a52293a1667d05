/* SPDX-License-Identifier: Apache-2.0 */
#include "io/intercept.h"

#include <stdlib.h>

#include "base/log.h"
#include "io/dialled.h"
#include "io/etcd_plane.h"
#include "io/listener.h"
#include "io/nats_plane.h"
#include "io/original_dst.h"
#include "io/sockaddr.h"

struct intercept {
    struct loop *loop;
    struct listener *listener;
    struct intercept_options options;
};

enum verdict { TO_ETCD, TO_NATS, IS_DIRECT, IS_LOOP, IS_OFF, IS_NOBODYS };

static const struct {
    enum counter counter;
    const char *msg, *fix; /* NULL: taken */
} verdicts[] = {
    [TO_ETCD] = {COUNTER_INTERCEPT_ETCD, NULL, NULL},
    [TO_NATS] = {COUNTER_INTERCEPT_NATS, NULL, NULL},
    [IS_DIRECT] = {COUNTER_INTERCEPT_DIRECT,
                   "refused on the intercept listener: it was not redirected",
                   "applications dial the stores, or --etcd-listen and --nats-listen"},
    [IS_LOOP] = {COUNTER_INTERCEPT_LOOP,
                 "refused on the intercept listener: the sidecar's own connection came back",
                 "run the sidecar as the user that `bulkhead redirect --sidecar-uid` exempts"},
    [IS_OFF] = {COUNTER_INTERCEPT_OFF, "refused on the intercept listener: the plane is off",
                "give the sidecar --etcd-upstream or --nats-upstream"},
    [IS_NOBODYS] = {COUNTER_INTERCEPT_PORT,
                    "refused on the intercept listener: the port is no store's",
                    "name it in --etcd-ports or --nats-ports, of `redirect` and `serve` alike"},
};

static bool has_port(const uint16_t *ports, unsigned n, uint16_t port)
{
    for (unsigned i = 0; i < n; i++)
        if (ports[i] == port)
            return true;
    return false;
}

/* *ret_to: where it was meant to go; family 0 if it was not redirected. */
static enum verdict judge(const struct intercept *i, int fd, struct sockaddr_storage *ret_to)
{
    const struct intercept_options *o = &i->options;
    struct sockaddr_storage from = {0};
    struct addr to;
    socklen_t n = sizeof from;
    if (!original_dst(fd, ret_to) || !sockaddr_to_addr((struct sockaddr *)ret_to, &to))
        return IS_DIRECT;
    if (getpeername(fd, (struct sockaddr *)&from, &n) == 0 &&
        dialled_has(i->loop->dialled, &from, ret_to))
        return IS_LOOP;
    if (has_port(o->etcd_ports, o->etcd_port_count, to.port))
        return o->etcd != NULL ? TO_ETCD : IS_OFF;
    if (has_port(o->nats_ports, o->nats_port_count, to.port))
        return o->nats != NULL ? TO_NATS : IS_OFF;
    return IS_NOBODYS;
}

static void log_refusal(enum verdict v, const struct sockaddr_storage *sa)
{
    struct addr to;
    char text[ADDR_TEXT_BYTES] = "";
    if (sockaddr_to_addr((const struct sockaddr *)sa, &to))
        addr_print(&to, text);
    log_event(LOG_WARN, verdicts[v].msg, "meant_for", text, "fix", verdicts[v].fix, NULL);
}

static void on_accept(void *arg, uv_stream_t *pending)
{
    struct intercept *i = arg;
    struct sockaddr_storage to = {0};
    enum verdict v = judge(i, listener_pending_fd(pending), &to);
    count(&i->loop->counters, verdicts[v].counter, 1);
    if (v == TO_ETCD) {
        etcd_plane_accept(i->options.etcd, pending);
    } else if (v == TO_NATS) {
        nats_plane_accept(i->options.nats, pending);
    } else {
        log_refusal(v, &to);
        listener_refuse(pending);
    }
}

enum err intercept_open(struct loop *l, const struct intercept_options *o,
                        struct intercept **ret_intercept, struct buf *ret_error)
{
    struct intercept *i = calloc(1, sizeof *i);
    if (i == NULL)
        return ERR_NOMEM;
    *i = (struct intercept){.loop = l, .options = *o};
    const struct listener_options listen = {.addrs = o->listen,
                                            .n = o->listens,
                                            .option = "--intercept-listen",
                                            .accept = on_accept,
                                            .arg = i};
    enum err e = dialled_table_new(&l->dialled);
    if (e == ERR_OK)
        e = listener_open(l, &listen, &i->listener, ret_error);
    if (e != ERR_OK) {
        dialled_table_free(&l->dialled);
        free(i);
        return e;
    }
    *ret_intercept = i;
    return ERR_OK;
}

struct addr intercept_addr(const struct intercept *i)
{
    return listener_addr(i->listener);
}

void intercept_close(struct intercept **intercept)
{
    struct intercept *i = *intercept;
    *intercept = NULL;
    if (i == NULL)
        return;
    listener_close(&i->listener); /* calls accept no more */
    dialled_table_free(&i->loop->dialled);
    free(i);
}
