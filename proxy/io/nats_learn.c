/* SPDX-License-Identifier: Apache-2.0 */
/* nats_learn - a JSON array of addresses into free places of the list of servers. */
#include "io/nats_learn.h"

#include <strings.h>

#include "base/log.h"
#include "limit.h"
#include "wire/json_splice.h"
#include "wire/json_text.h"

static bool is_known(const struct nats_conns *all, const struct addr *a)
{
    for (unsigned i = 0; i < all->server_count; i++) {
        const struct addr *b = all->servers[i].addr;
        if (b->kind == ADDR_TCP && a->port == b->port && strcasecmp(a->host, b->host) == 0)
            return true;
    }
    return false;
}

static void add(const struct nats_server *from, struct addr *a)
{
    struct nats_conns *all = from->all;
    char text[ADDR_TEXT_BYTES];
    if (all->server_count == all->server_room || a->kind != ADDR_TCP || is_known(all, a))
        return;
    struct nats_server *s = &all->servers[all->server_count];
    *s = *from;
    s->learnt = *a;
    s->addr = &s->learnt;
    s->ns.learner = s;
    all->server_count++;
    log_event(LOG_INFO, "a NATS server named another one of its cluster", "upstream",
              addr_print(s->addr, text), NULL);
}

void nats_learn(void *learner, struct span urls)
{
    const struct nats_server *from = learner;
    struct json_items w;
    struct span item;
    bool more = true;
    if (json_items_begin(&w, urls) != ERR_OK)
        return;
    while (json_items_next(&w, &item, &more) == ERR_OK && more) {
        struct buf text = {0};
        struct addr a;
        const char *rule;
        if (json_is_string(item) && json_text_decode(item, &text) == ERR_OK &&
            addr_parse(buf_span(&text), LIMIT_NATS_PORT, &a, &rule) == ERR_OK)
            add(from, &a);
        buf_deinit(&text);
    }
}
