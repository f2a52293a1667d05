/* SPDX-License-Identifier: Apache-2.0 */
/* coalesce on a real connection: when it gathers, and that nothing stays behind. */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "fault/end.h"
#include "io/coalesce.h"
#include "io/listener.h"

enum { FLOOD = 1000000 }; /* events at once: a flood however long the last window was */

struct reader {
    struct end end; /* first: handlers cast */
    struct coalesce c;
    bool woken_early; /* for a few bytes, while it gathered */
};

static void on_read(struct tcp *t, struct span in)
{
    struct reader *r = (struct reader *)t;
    r->woken_early = r->woken_early || (r->c.gathering != NULL && in.n < LIMIT_COALESCE_BYTES);
    r->end.bytes += in.n;
}

static const struct tcp_handler handler = {.on_connected = end_connected,
                                           .on_read = on_read,
                                           .on_drained = end_drained,
                                           .on_end = end_ended,
                                           .on_closed = end_closed};

struct world {
    struct loop l;
    struct listener *listener;
    struct reader reader;
    struct end writer;
};

static void on_accept(void *arg, uv_stream_t *stream)
{
    struct world *w = arg;
    assert_int_equal(tcp_accept(&w->reader.end.t, &w->l, stream, &handler), ERR_OK);
    end_connected(&w->reader.end.t);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    assert_int_equal(loop_init(&w->l), ERR_OK);
    struct addr any, addr;
    const char *rule = "";
    struct buf error = {0};
    assert_int_equal(addr_parse(SPAN_LIT("127.0.0.1:0"), 0, &any, &rule), ERR_OK);
    struct listener_options o = {
        .addrs = &any, .n = 1, .option = "--test-listen", .accept = on_accept, .arg = w};
    assert_int_equal(listener_open(&w->l, &o, &w->listener, &error), ERR_OK);
    addr = listener_addr(w->listener);
    assert_int_equal(tcp_dial(&w->writer.t, &w->l, &addr, &end_handler), ERR_OK);
    WAIT_FOR(&w->l, w->writer.connected && w->reader.end.connected);
    buf_deinit(&error);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    coalesce_end(&w->reader.c);
    coalesce_end(&w->reader.c);
    tcp_close(&w->reader.end.t);
    tcp_close(&w->writer.t);
    listener_close(&w->listener);
    WAIT_FOR(&w->l, w->reader.end.closed && w->writer.closed);
    assert_int_equal(loop_deinit(&w->l), 0);
    free(w);
    return 0;
}

static int wakes_from(const struct world *w)
{
    uv_os_fd_t fd;
    int bytes = 0;
    socklen_t n = sizeof bytes;
    assert_int_equal(uv_fileno(&w->reader.end.t.u.handle, &fd), 0);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &n), 0);
    return bytes;
}

/* Two whole windows of unwanted events. */
static void flood(struct world *w)
{
    struct coalesce *c = &w->reader.c;
    coalesce_read(c, &w->reader.end.t, FLOOD);
    uint64_t end_ms = loop_now_ms(&w->l) + LIMIT_COALESCE_WINDOW_MS;
    WAIT_FOR(&w->l, loop_now_ms(&w->l) >= end_ms);
    coalesce_read(c, &w->reader.end.t, FLOOD);
    assert_non_null(c->gathering);
    assert_int_equal(wakes_from(w), LIMIT_COALESCE_BYTES);
}

static void send_bytes(struct world *w, size_t n)
{
    static const uint8_t bytes[2 * LIMIT_COALESCE_BYTES];
    assert_int_equal(tcp_write(&w->writer.t, span_of(bytes, n)), ERR_OK);
}

static void few_events_are_read_as_they_come(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t end_ms = loop_now_ms(&w->l) + LIMIT_COALESCE_WINDOW_MS;
        coalesce_read(&w->reader.c, &w->reader.end.t, LIMIT_COALESCE_EVENTS_PER_MS);
        WAIT_FOR(&w->l, loop_now_ms(&w->l) >= end_ms);
        assert_null(w->reader.c.gathering);
        assert_int_equal(wakes_from(w), 1);
    }
}

static void in_a_flood_a_few_bytes_wait_and_then_come(void **state)
{
    struct world *w = *state;
    flood(w);
    send_bytes(w, 100);
    WAIT_FOR(&w->l, w->reader.end.bytes == 100);
    assert_false(w->reader.woken_early);
    assert_null(w->reader.c.gathering);
    assert_int_equal(wakes_from(w), 1);
}

static void many_bytes_and_an_end_come_in_a_flood_too(void **state)
{
    struct world *w = *state;
    flood(w);
    send_bytes(w, 2 * LIMIT_COALESCE_BYTES);
    WAIT_FOR(&w->l, w->reader.end.bytes == 2 * LIMIT_COALESCE_BYTES);
    flood(w);
    tcp_close(&w->writer.t);
    WAIT_FOR(&w->l, w->reader.end.ended);
}

/* What is wanted is no flood, and does not end one: the time that was set stands. */
static void wanted_events_do_not_begin_to_gather(void **state)
{
    struct world *w = *state;
    flood(w);
    WAIT_FOR(&w->l, w->reader.c.gathering == NULL);
    coalesce_read(&w->reader.c, &w->reader.end.t, 0);
    assert_null(w->reader.c.gathering);
    assert_int_equal(wakes_from(w), 1);
}

static void a_flood_that_has_ended_is_forgotten(void **state)
{
    struct world *w = *state;
    flood(w);
    w->reader.c.since_ms -= 2 * (uint64_t)FLOOD / LIMIT_COALESCE_EVENTS_PER_MS;
    WAIT_FOR(&w->l, w->reader.c.gathering == NULL);
    coalesce_read(&w->reader.c, &w->reader.end.t, 1);
    assert_null(w->reader.c.gathering);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(few_events_are_read_as_they_come),
        TEST(in_a_flood_a_few_bytes_wait_and_then_come),
        TEST(many_bytes_and_an_end_come_in_a_flood_too),
        TEST(wanted_events_do_not_begin_to_gather),
        TEST(a_flood_that_has_ended_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
