/* SPDX-License-Identifier: Apache-2.0 */
/* end - one end of a connection that speaks text: a client, or an upstream of the test's own. */
#ifndef TESTS_FAULT_END_H
#define TESTS_FAULT_END_H

#include "base/buf.h"
#include "fault/wait.h"
#include "io/tcp.h"

struct end {
    struct tcp t; /* first: handlers cast */
    struct buf in;
    uint64_t bytes;
    bool is_silent, connected, ended, closed;
};

static inline void end_connected(struct tcp *t)
{
    ((struct end *)t)->connected = true;
    tcp_read(t, true);
}

static inline void end_read(struct tcp *t, struct span in)
{
    struct end *e = (struct end *)t;
    e->bytes += in.n;
    if (!e->is_silent)
        assert_int_equal(buf_append(&e->in, in), ERR_OK);
}

static inline void end_drained(struct tcp *t)
{
    (void)t;
}

static inline void end_ended(struct tcp *t, int status)
{
    (void)status;
    ((struct end *)t)->ended = true;
}

static inline void end_closed(struct tcp *t)
{
    ((struct end *)t)->closed = true;
}

static const struct tcp_handler end_handler = {.on_connected = end_connected,
                                               .on_read = end_read,
                                               .on_drained = end_drained,
                                               .on_end = end_ended,
                                               .on_closed = end_closed};

static inline void say(struct end *e, const char *text)
{
    assert_int_equal(tcp_write(&e->t, span_str(text)), ERR_OK);
}

static inline bool has(const struct end *e, const char *text)
{
    struct span in = buf_span(&e->in);
    return in.n != 0 && memmem(in.p, in.n, text, strlen(text)) != NULL;
}

/* Waits for text and drops everything up to its end. */
static inline void hear(struct loop *l, struct end *e, const char *text)
{
    WAIT_FOR(l, has(e, text));
    struct span in = buf_span(&e->in);
    const uint8_t *at = memmem(in.p, in.n, text, strlen(text));
    buf_consume(&e->in, (size_t)(at - in.p) + strlen(text));
}

#endif
