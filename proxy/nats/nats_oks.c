/* SPDX-License-Identifier: Apache-2.0 */
/* nats_oks - a run-length queue: head in place, the runs behind it in a buf. */
#include "nats/nats_oks.h"

static struct nats_oks_run last_run(const struct nats_oks *q)
{
    struct nats_oks_run run = q->head;
    if (q->rest.data != NULL && buf_len(&q->rest) != 0)
        memcpy(&run, q->rest.data + q->rest.tail - sizeof run, sizeof run);
    return run;
}

static void set_last_run(struct nats_oks *q, struct nats_oks_run run)
{
    if (buf_len(&q->rest) == 0)
        q->head = run;
    else
        memcpy(q->rest.data + q->rest.tail - sizeof run, &run, sizeof run);
}

enum err nats_oks_push(struct nats_oks *q, bool swallow)
{
    struct nats_oks_run run = last_run(q);
    uint32_t *count = swallow ? &run.swallow : &run.pass;
    if (*count == UINT32_MAX || (!swallow && run.swallow != 0)) {
        run = (struct nats_oks_run){.pass = !swallow, .swallow = swallow};
        return buf_append(&q->rest, span_of(&run, sizeof run));
    }
    ++*count;
    set_last_run(q, run);
    return ERR_OK;
}

bool nats_oks_pop(struct nats_oks *q)
{
    bool head_is_done = q->head.pass == 0 && q->head.swallow == 0;
    if (head_is_done && q->rest.data != NULL && buf_len(&q->rest) != 0) {
        memcpy(&q->head, q->rest.data + q->rest.head, sizeof q->head);
        buf_consume(&q->rest, sizeof q->head);
        buf_trim(&q->rest);
    }
    if (q->head.pass != 0) {
        q->head.pass--;
        return true;
    }
    if (q->head.swallow == 0)
        return true;
    q->head.swallow--;
    return false;
}

void nats_oks_deinit(struct nats_oks *q)
{
    buf_deinit(&q->rest);
}
