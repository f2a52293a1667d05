/* SPDX-License-Identifier: Apache-2.0 */
#include "io/h2_conn.h"

#include <stdlib.h>

#include "base/check.h"

enum {
    FRAME_BODY_BYTES = 16 * 1024, /* what nghttp2 puts into one frame */
    /* A write is made of pieces until it has as many bytes as one read; the last goes over. */
    SCRATCH_BYTES = LIMIT_READ_BYTES + 2 * (H2_FRAME_HEAD_BYTES + FRAME_BODY_BYTES),
    FIELD_HEAD_BYTES = 7,
    LEND_BYTES = 4 * 1024, /* from here on a copy costs more than one more piece of a writev() */
};

static void flush_all(struct loop_task *task);

enum err h2_hub_init(struct h2_hub *hub, struct loop *loop)
{
    *hub = (struct h2_hub){.loop = loop};
    hub->touched_end = &hub->touched;
    hub->scratch = malloc(SCRATCH_BYTES);
    return hub->scratch == NULL ? ERR_NOMEM : ERR_OK;
}

void h2_hub_deinit(struct h2_hub *hub)
{
    loop_cancel(&hub->flush);
    free(hub->scratch);
    *hub = (struct h2_hub){0};
}

/* -- sessions -- */
static nghttp2_option *new_options(const struct h2_setup *setup)
{
    nghttp2_option *o = NULL;
    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_auto_ping_ack(o, 1);
    nghttp2_option_set_max_outbound_ack(o, LIMIT_H2_OUTBOUND_ACKS);
    if (setup->options != NULL)
        setup->options(o);
    return o;
}

static nghttp2_session_callbacks *new_callbacks(const struct h2_setup *setup)
{
    nghttp2_session_callbacks *cb = NULL;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, h2_conn_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, h2_conn_on_header);
    setup->callbacks(cb);
    return cb;
}

nghttp2_session *h2_conn_new_session(struct h2_conn *c, const struct h2_setup *setup)
{
    nghttp2_session *session = NULL;
    nghttp2_option *o = new_options(setup);
    nghttp2_session_callbacks *cb = new_callbacks(setup);
    bool ok = o != NULL && cb != NULL &&
              (setup->is_server ? nghttp2_session_server_new2(&session, cb, c, o)
                                : nghttp2_session_client_new2(&session, cb, c, o)) == 0;
    if (ok && (nghttp2_submit_settings(session, 0, setup->settings, setup->settings_n) != 0 ||
               nghttp2_session_set_local_window_size(session, 0, 0, LIMIT_H2_CONN_WINDOW) != 0)) {
        nghttp2_session_del(session);
        session = NULL;
    }
    nghttp2_session_callbacks_del(cb);
    nghttp2_option_del(o);
    return session;
}

/* -- reading -- */
bool h2_conn_feed(struct h2_conn *c, struct span in, int *ret_error)
{
    c->arrived = 0;
    c->fed_end = in.p + in.n;
    ssize_t n = nghttp2_session_mem_recv(c->session, in.p, in.n);
    h2_conn_touch(c);
    if (n >= 0 && c->arrived != 0) {
        int e = nghttp2_session_consume_connection(c->session, c->arrived);
        n = e == 0 ? n : e;
    }
    if (n >= 0)
        return true;
    *ret_error = (int)n;
    h2_conn_end(c);
    return false;
}

void h2_conn_consume(struct h2_conn *c, int32_t stream_id, size_t n)
{
    if (n == 0 || c->session == NULL)
        return;
    /* Fails only for lack of memory; the stream then stalls and its peer's deadline ends it. */
    (void)nghttp2_session_consume_stream(c->session, stream_id, n);
    h2_conn_touch(c);
}

void h2_conn_end(struct h2_conn *c)
{
    c->ending = true;
    tcp_close(&c->tcp); /* also ends one that is lingering */
}

static void untouch(struct h2_conn *c)
{
    if (!c->touched)
        return;
    struct h2_conn **at = &c->hub->touched;
    while (*at != c)
        at = &(*at)->touched_next;
    *at = c->touched_next;
    if (*at == NULL)
        c->hub->touched_end = at;
    c->touched = false;
}

void h2_conn_deinit(struct h2_conn *c)
{
    untouch(c);
    nghttp2_session_del(c->session);
    c->session = NULL;
    buf_deinit(&c->block);
}

/* -- pings -- */
/* grpc-go internal/transport bdp_estimator.go: the same eight bytes every time. */
static const uint8_t measuring_ping[8] = {2, 4, 16, 16, 9, 14, 7, 7};

bool h2_conn_pinged(struct h2_conn *c, const uint8_t said[8])
{
    if (memcmp(said, measuring_ping, sizeof measuring_ping) == 0 && !c->owes_ping) {
        c->owes_ping = true;
        return true;
    }
    h2_conn_touch(c);
    return nghttp2_submit_ping(c->session, NGHTTP2_FLAG_ACK, said) == 0;
}

/* Something is about to be sent anyway. */
static bool answer_measuring_ping(struct h2_conn *c)
{
    uint64_t now = loop_now_ms(c->hub->loop);
    if (!c->owes_ping || now - c->ping_answered_ms < LIMIT_PING_ACK_MS)
        return true;
    c->owes_ping = false;
    c->ping_answered_ms = now;
    return nghttp2_submit_ping(c->session, NGHTTP2_FLAG_ACK, measuring_ping) == 0;
}

/* -- writing: once a turn -- */
void h2_conn_touch(struct h2_conn *c)
{
    if (c->touched || c->ending)
        return;
    c->touched = true;
    c->touched_next = NULL;
    *c->hub->touched_end = c;
    c->hub->touched_end = &c->touched_next;
    loop_later(c->hub->loop, &c->hub->flush, flush_all);
}

static size_t out_bytes(const struct h2_hub *hub)
{
    return hub->scratch_n + hub->lent_bytes;
}

static void out_forget(struct h2_hub *hub)
{
    hub->scratch_n = hub->lent_n = hub->lent_bytes = 0;
}

/* Scratch memory and lent pieces in turn. */
static bool out_send(struct h2_conn *c)
{
    struct h2_hub *hub = c->hub;
    struct span pieces[2 * H2_LENT_MAX + 1];
    size_t n = 0, from = 0;
    for (size_t i = 0; i < hub->lent_n; i++) {
        pieces[n++] = span_of(hub->scratch + from, hub->lent[i].at - from);
        pieces[n++] = hub->lent[i].bytes;
        from = hub->lent[i].at;
    }
    pieces[n++] = span_of(hub->scratch + from, hub->scratch_n - from);
    count(&hub->loop->counters, c->tx, out_bytes(hub));
    out_forget(hub);
    return tcp_writev(&c->tcp, pieces, n) == ERR_OK;
}

/* UNTESTED: nghttp2 sends resets before DATA, so a stream that closes in a flush has lent nothing
 * yet; the rule must not hang on that order. */
void h2_conn_settle(struct h2_conn *c)
{
    if (c->hub->lent_n != 0 && !out_send(c))
        h2_conn_end(c);
}

/* Append to the scratch memory, sending what is there when it would not fit. */
static bool scratch_append(struct h2_conn *c, const uint8_t *p, size_t n)
{
    struct h2_hub *hub = c->hub;
    while (n != 0) {
        CHECK(p != NULL);
        size_t room = SCRATCH_BYTES - hub->scratch_n;
        size_t part = n < room ? n : room;
        memcpy(hub->scratch + hub->scratch_n, p, part);
        hub->scratch_n += part;
        p += part;
        n -= part;
        if (n != 0 && !out_send(c))
            return false;
    }
    return true;
}

/* The first n bytes of b go out as they lie. */
static bool lend(struct h2_conn *c, struct buf *b, size_t n)
{
    struct h2_hub *hub = c->hub;
    if (hub->lent_n == H2_LENT_MAX && !out_send(c))
        return false;
    hub->lent[hub->lent_n].at = hub->scratch_n;
    hub->lent[hub->lent_n].bytes = span_head(buf_span(b), n);
    hub->lent_n++;
    hub->lent_bytes += n;
    return true;
}

/* Fill the scratch memory from the session. False: broken. *ret_more: there may be more. */
static bool fill(struct h2_conn *c, bool *ret_more)
{
    *ret_more = true;
    while (out_bytes(c->hub) < LIMIT_READ_BYTES) {
        const uint8_t *p = NULL;
        size_t before = out_bytes(c->hub);
        ssize_t n = nghttp2_session_mem_send(c->session, &p);
        if (n < 0)
            return false;
        if (n == 0 && out_bytes(c->hub) == before) {
            *ret_more = false;
            return true;
        }
        if (!scratch_append(c, p, (size_t)n))
            return false;
    }
    return true;
}

static void flush(struct h2_conn *c)
{
    if (c->session == NULL || c->ending)
        return;
    struct h2_hub *hub = c->hub;
    bool more = true;
    size_t high = LIMIT_OUT_HIGH_BYTES;
    if (nghttp2_session_want_write(c->session) && !answer_measuring_ping(c)) {
        h2_conn_end(c);
        return;
    }
    while (more && tcp_queued(&c->tcp) <= high) {
        bool ok = fill(c, &more);
        /* What the socket does not take of a lent piece is copied. The rest of such a body lies
         * well where it is until the socket has room again. */
        high = hub->lent_n != 0 ? 0 : LIMIT_OUT_HIGH_BYTES;
        if (ok && out_bytes(hub) != 0)
            ok = out_send(c);
        out_forget(hub);
        if (!ok) {
            h2_conn_end(c);
            return;
        }
    }
    if (!nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session) &&
        !c->ending) {
        c->ending = true;
        tcp_close_when_sent(&c->tcp);
    }
}

/* Flushing one session may touch another: bytes taken give a window back on the other side. */
static void flush_all(struct loop_task *task)
{
    struct h2_hub *hub = (struct h2_hub *)(void *)((char *)task - offsetof(struct h2_hub, flush));
    while (hub->touched != NULL) {
        struct h2_conn *c = hub->touched;
        hub->touched = c->touched_next;
        if (hub->touched == NULL)
            hub->touched_end = &hub->touched;
        c->touched = false;
        flush(c);
    }
}

/* -- header blocks -- */
enum err h2_field_add(struct buf *block, const struct h2_field *f)
{
    CHECK(f->name.n <= UINT16_MAX && f->value.n <= UINT32_MAX);
    enum err e = buf_reserve(block, FIELD_HEAD_BYTES + f->name.n + f->value.n);
    if (e != ERR_OK)
        return e;
    uint16_t name_n = (uint16_t)f->name.n;
    uint32_t value_n = (uint32_t)f->value.n;
    uint8_t *to = block->data + block->tail;
    *to = f->flags;
    memcpy(to + 1, &name_n, sizeof name_n);
    memcpy(to + 3, &value_n, sizeof value_n);
    memcpy(to + FIELD_HEAD_BYTES, f->name.p, name_n);
    if (value_n != 0)
        memcpy(to + FIELD_HEAD_BYTES + name_n, f->value.p, value_n);
    block->tail += FIELD_HEAD_BYTES + (size_t)name_n + value_n;
    return ERR_OK;
}

bool h2_field_next(struct span *block, struct h2_field *ret_field)
{
    if (block->n == 0)
        return false;
    uint16_t name_n;
    uint32_t value_n;
    memcpy(&name_n, block->p + 1, sizeof name_n);
    memcpy(&value_n, block->p + 3, sizeof value_n);
    ret_field->flags = *block->p;
    ret_field->name = span_of(block->p + FIELD_HEAD_BYTES, name_n);
    ret_field->value = span_of(block->p + FIELD_HEAD_BYTES + name_n, value_n);
    *block = span_skip(*block, FIELD_HEAD_BYTES + (size_t)name_n + value_n);
    return true;
}

struct span h2_field_find(struct span block, struct span name)
{
    struct h2_field f;
    while (h2_field_next(&block, &f))
        if (span_eq(f.name, name))
            return f.value;
    return SPAN_NONE;
}

nghttp2_nv h2_nv(struct span name, struct span value, uint8_t flags)
{
    /* nghttp2 takes non-const pointers and only reads: it copies at submit. */
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.p,
                        .value = (uint8_t *)(uintptr_t)value.p,
                        .namelen = name.n,
                        .valuelen = value.n,
                        .flags = flags & NGHTTP2_NV_FLAG_NO_INDEX};
}

int h2_conn_on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    (void)session, (void)frame;
    struct h2_conn *c = arg;
    buf_consume(&c->block, buf_len(&c->block));
    c->block_fields = 0;
    c->block_over = false;
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): the signature is nghttp2's */
int h2_conn_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                      size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *arg)
{
    (void)session, (void)frame;
    struct h2_conn *c = arg;
    struct h2_field f = {.name = span_of(name, name_n), .value = span_of(value, value_n), flags};
    if (c->block_over)
        return 0;
    c->block_over = c->block_fields == H2_FIELDS_MAX ||
                    buf_len(&c->block) + name_n + value_n > LIMIT_HEADER_LIST_BYTES ||
                    h2_field_add(&c->block, &f) != ERR_OK;
    c->block_fields++;
    return 0;
}

/* -- bodies -- */
ssize_t h2_body_pull(struct h2_body *b, size_t max, uint32_t *flags)
{
    size_t n = buf_len(b->bytes);
    if (n == 0 && !b->ended) {
        b->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n <= max && b->ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    n = n < max ? n : max;
    if (n != 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)n;
}

int h2_body_move(struct h2_conn *c, struct h2_body *b, const uint8_t *frame_head, size_t n)
{
    /* nghttp2 would go on through a whole window: stop where flush() looks at the socket's queue.
     */
    if (out_bytes(c->hub) >= LIMIT_READ_BYTES || tcp_queued(&c->tcp) > LIMIT_OUT_HIGH_BYTES)
        return NGHTTP2_ERR_WOULDBLOCK;
    bool lends = n >= LEND_BYTES && c->tcp.tls == NULL; /* TLS copies in any case */
    if (!scratch_append(c, frame_head, H2_FRAME_HEAD_BYTES) ||
        !(lends ? lend(c, b->bytes, n) : scratch_append(c, buf_span(b->bytes).p, n)))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    buf_consume(b->bytes, n);
    /* Its owner may release what is empty. */
    bool is_settled = buf_len(b->bytes) != 0 || c->hub->lent_n == 0 || out_send(c);
    return is_settled ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

void h2_body_resume(struct h2_conn *c, int32_t stream_id, struct h2_body *b)
{
    if (!b->deferred || c->session == NULL)
        return;
    b->deferred = false;
    /* Fails only if the stream is gone, and then its on_stream_close says so. */
    (void)nghttp2_session_resume_data(c->session, stream_id);
    h2_conn_touch(c);
}
