/* SPDX-License-Identifier: Apache-2.0 */
#include "io/deadline.h"

#include <stdlib.h>

#include "base/check.h"

struct deadline {
    uv_timer_t timer; /* first: its handle is the struct */
    struct deadline **slot;
    deadline_fn run;
    void *arg;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void deadline_cancel(struct deadline **slot)
{
    if (*slot == NULL)
        return;
    uv_close((uv_handle_t *)&(*slot)->timer, on_closed);
    *slot = NULL;
}

static void on_time(uv_timer_t *timer)
{
    struct deadline *d = timer->data;
    deadline_fn run = d->run;
    void *arg = d->arg;
    deadline_cancel(d->slot);
    run(arg);
}

enum err deadline_set(struct loop *l, unsigned after_ms, deadline_fn run, void *arg,
                      struct deadline **slot)
{
    struct deadline *d = malloc(sizeof *d);
    if (d == NULL)
        return ERR_NOMEM;
    deadline_cancel(slot);
    *d = (struct deadline){.slot = slot, .run = run, .arg = arg};
    CHECK(uv_timer_init(&l->uv, &d->timer) == 0);
    d->timer.data = d;
    CHECK(uv_timer_start(&d->timer, on_time, after_ms, 0) == 0);
    *slot = d;
    return ERR_OK;
}
