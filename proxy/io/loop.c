/* SPDX-License-Identifier: Apache-2.0 */
#include "io/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/check.h"

static void ring_init(struct loop_task *head)
{
    head->next = head->prev = head;
}

static bool ring_is_empty(const struct loop_task *head)
{
    return head->next == head;
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle; /* being active is all it does */
}

void loop_later(struct loop *l, struct loop_task *t, void (*run)(struct loop_task *t))
{
    if (t->next != NULL)
        return;
    t->run = run;
    if (ring_is_empty(&l->tasks))
        CHECK(uv_idle_start(&l->no_sleep, on_idle) == 0);
    t->next = &l->tasks;
    t->prev = l->tasks.prev;
    t->prev->next = t;
    l->tasks.prev = t;
}

void loop_cancel(struct loop_task *t)
{
    if (t->next == NULL)
        return;
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->next = t->prev = NULL;
}

/* Only what is queued now: tasks that queue tasks must not keep the loop from its sockets. */
static void on_turn_end(uv_check_t *handle)
{
    struct loop *l = handle->data;
    if (ring_is_empty(&l->tasks)) {
        uv_idle_stop(&l->no_sleep);
        return;
    }
    struct loop_task now = l->tasks;
    now.next->prev = now.prev->next = &now;
    ring_init(&l->tasks);
    uv_idle_stop(&l->no_sleep);
    while (!ring_is_empty(&now)) {
        struct loop_task *t = now.next;
        loop_cancel(t);
        t->run(t);
    }
}

static void own_handles_init(struct loop *l)
{
    CHECK(uv_check_init(&l->uv, &l->turn_end) == 0);
    CHECK(uv_idle_init(&l->uv, &l->no_sleep) == 0);
    l->turn_end.data = l;
    CHECK(uv_check_start(&l->turn_end, on_turn_end) == 0);
    uv_unref((uv_handle_t *)&l->turn_end);
}

enum err loop_init(struct loop *l)
{
    *l = (struct loop){.max_connections = LIMIT_CONNECTIONS};
    ring_init(&l->tasks);
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        return ERR_IO;
    l->rng = (struct rng){seed};
    l->read_buffer = malloc(LIMIT_READ_BYTES);
    if (l->read_buffer == NULL)
        return ERR_NOMEM;
    int r = uv_loop_init(&l->uv);
    if (r != 0) {
        free(l->read_buffer);
        l->read_buffer = NULL;
        return r == UV_ENOMEM ? ERR_NOMEM : ERR_IO;
    }
    signal(SIGPIPE, SIG_IGN);
    own_handles_init(l);
    return ERR_OK;
}

int loop_deinit(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&l->turn_end, NULL);
    uv_close((uv_handle_t *)&l->no_sleep, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    int r = uv_loop_close(&l->uv);
    free(l->read_buffer);
    l->read_buffer = NULL;
    return r;
}
