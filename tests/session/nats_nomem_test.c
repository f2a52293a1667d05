/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation of a session fails once, the n-th in the n-th run: it ends or goes on, and
 * nothing leaks. The sources that allocate are compiled into this program with a malloc of
 * its own, so the sweep also works under the address sanitizer.
 */
#include <stdlib.h>

#include "support/support.h"

static unsigned allocations, fail_at; /* fail_at: 0 = never */
static int live;

static void *count_in(void *p)
{
    live += p != NULL;
    return p;
}

static bool fails(void)
{
    return ++allocations == fail_at;
}

static void *sweep_malloc(size_t n)
{
    return fails() ? NULL : count_in(malloc(n));
}

static void *sweep_calloc(size_t n, size_t size)
{
    return fails() ? NULL : count_in(calloc(n, size));
}

static void *sweep_realloc(void *p, size_t n)
{
    if (fails())
        return NULL;
    return p == NULL ? count_in(malloc(n)) : realloc(p, n);
}

static void sweep_free(void *p)
{
    live -= p != NULL;
    free(p);
}

#define malloc  sweep_malloc
#define calloc  sweep_calloc
#define realloc sweep_realloc
#define free    sweep_free
#include "base/buf.c"
#include "nats/js_list.c"
#include "nats/nats_js.c"
#include "nats/nats_session.c"
#include "nats/nats_subs.c"
/* In one program with those, its own names need to be its own. */
#define CRLF_BYTES view_crlf_bytes
#include "nats/nats_js_view.c"
#undef CRLF_BYTES
#undef malloc
#undef calloc
#undef realloc
#undef free

static const struct line {
    enum nats_side side;
    struct span bytes;
} plain_script[] = {
    {SIDE_UP, SPAN_LIT("INFO {\"headers\":true,\"max_payload\":1048576,\"nonce\":\"x\"}\r\n")},
    {SIDE_APP, SPAN_LIT("CONNECT {\"headers\":true,\"name\":\"n\"}\r\nSUB foo 1\r\nSUB > q 2\r\n")},
    {SIDE_APP, SPAN_LIT("SUB $SRV.PING 3\r\nUNSUB 2 2\r\nUNSUB 3 1\r\nPING\r\nPUB foo r 5\r\nhel")},
    {SIDE_UP, SPAN_LIT("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\nMSG bh.d.a.~.~.~.x d2 1\r\nx\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.e.a.~.~.~.x e2 1\r\nx\r\nMSG bh.d.~.~.~.~.$SRV.PING 13 0\r\n\r\n")},
    {SIDE_APP, SPAN_LIT("lo\r\nSUB $SYS.> q 4\r\nPUB $JS.API.INFO i 0\r\n\r\nUNSUB 9\r\n")},
    {SIDE_UP, SPAN_LIT("PONG\r\nPONG\r\n-ERR 'Invalid \"bh.e.a.~.~.~.x\"'\r\n-ERR 'bh.x'\r\n")},
    {SIDE_UP, SPAN_LIT("HMSG bh.e.a.~.~.~.foo e1 12 14\r\nNATS/1.0\r\n\r\nh")},
    {SIDE_APP, SPAN_LIT("SUB $SYS.x 1\r\nSUB > 7\r\n")},
    {SIDE_UP, SPAN_LIT("i\r\nPING\r\n")},
    {SIDE_APP,
     SPAN_LIT("PUB $JS.API.STREAM.CREATE.S i 28\r\n{\"name\":\"S\",\"republish\":{} }\r\n")},
    {SIDE_APP, SPAN_LIT("PUB $JS.API.STREAM.LIST i 15\r\n{\"subject\":\"x\"}\r\n")},
    {SIDE_APP, SPAN_LIT("HPUB $JS.ACK.S.C.1.2.3.4.5 i 12 12\r\nNATS/1.0\r\n\r\n\r\n")},
    {SIDE_APP, SPAN_LIT("HPUB x 36 36\r\nNATS/1.0\r\nNats-Expected-Stream:S\r\n\r\n\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.2 r0 26\r\n{\"config\":{\"name\":\"a~~S\"}}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.3 r0 27\r\n{\"total\":2,\"streams\":[{} ]}\r\n")},
    {SIDE_APP, SPAN_LIT("SUB $JS.EVENT.> q 8\r\nUNSUB 8 1\r\n")},
    {SIDE_UP,
     SPAN_LIT("MSG $JS.EVENT.ADVISORY.STREAM.CREATED.a~~S v8 17\r\n{\"stream\":\"a~~S\"}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.e.a.~.~.~.i e1 15\r\n{\"stream\":\"a~~\"\r\n")},
};

/* A read of a descendant's stream, whose holder then goes; then it is an own one. */
static const struct line view_script[] = {
    {SIDE_UP, SPAN_LIT("INFO {\"headers\":true,\"max_payload\":1048576}\r\n")},
    {SIDE_APP, SPAN_LIT("CONNECT {\"headers\":true}\r\n")},
    {SIDE_APP, SPAN_LIT("PUB $JS.API.STREAM.INFO.SHARED i 0\r\n\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.1 r0 28\r\n{\"error\":{\"err_code\":10059}}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.2 r0 "
                       "51\r\n{\"total\":3,\"streams\":[\"a~d~~SHARED\",\"a~b~~SHARED\"]}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.3 r0 27\r\n{\"total\":3,\"streams\":[\"x\"]}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.4 r0 33\r\n{\"config\":{\"name\":\"a~b~~SHARED\"}}\r\n")},
    {SIDE_APP, SPAN_LIT("PUB $JS.API.CONSUMER.CREATE.SHARED i "
                        "36\r\n{\"stream_name\":\"SHARED\",\"config\":{}}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.5 r0 28\r\n{\"error\":{\"err_code\":10059}}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.6 r0 33\r\n{\"config\":{\"retention\":\"limits\"}}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.7 r0 "
                       "49\r\n{\"stream_name\":\"a~b~~SHARED\",\"name\":\"~~a~~0-0-7\"}\r\n")},
    {SIDE_APP, SPAN_LIT("PUB $JS.API.DIRECT.GET.SHARED.x i 0\r\n\r\n")},
    {SIDE_APP, SPAN_LIT("PUB $JS.API.STREAM.INFO.SHARED i 0\r\n\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.8 r0 28\r\n{\"error\":{\"err_code\":10059}}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.9 r0 28\r\n{\"error\":{\"err_code\":10059}}\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.10 r0 24\r\n{\"total\":0,\"streams\":[]}\r\n")},
    {SIDE_APP, SPAN_LIT("PUB $JS.API.DIRECT.GET.SHARED.x i 0\r\n\r\n")},
    {SIDE_UP, SPAN_LIT("MSG bh.r.a~~.0.0.11 r0 31\r\n{\"config\":{\"name\":\"a~~SHARED\"}}\r\n")},
};

/* ERR_OK: the whole script was played. */
static enum err play(const struct nats_ns *ns, const struct line *script, size_t n, unsigned cut)
{
    struct nats_session *s = NULL;
    enum err e = nats_session_new(ns, &s);
    for (size_t i = 0; i < n && e == ERR_OK; i++)
        for (struct span rest = script[i].bytes; rest.n != 0 && e == ERR_OK;) {
            size_t used = 0;
            e = nats_session_feed(s, script[i].side, span_head(rest, cut), &used);
            rest = span_skip(rest, used);
            assert_true(s != NULL && nats_session_is_closing(s) == (e != ERR_OK));
            for (int side = 0; side < SIDES; side++) {
                struct buf *out = nats_session_out(s, (enum nats_side)side);
                buf_consume(out, buf_len(out));
                buf_trim(out);
            }
        }
    nats_session_free(&s);
    return e;
}

static void sweep(const struct nats_ns *ns, const struct line *script, size_t n)
{
    static const unsigned cuts[] = {1, 7, 10000};
    for (size_t c = 0; c < ARRAY_LEN(cuts); c++) {
        unsigned runs = 0;
        enum err e;
        do {
            allocations = 0;
            fail_at = ++runs;
            e = play(ns, script, n, cuts[c]);
            assert_true(e == ERR_OK || e == ERR_NOMEM);
            assert_int_equal(live, 0);
        } while (e != ERR_OK || fail_at <= allocations);
        print_message("pieces of %u bytes: %u allocations, each failed once\n", cuts[c], runs - 1);
    }
}

static void open_ns(struct nats_ns *ns, struct counters *counters)
{
    *ns = (struct nats_ns){.host = "h", .port = 1, .user = "u", .counters = counters};
    struct ns_path path;
    assert_int_equal(ns_path_parse(SPAN_LIT("a"), '/', &path, NULL), ERR_OK);
    js_names_init(&ns->names, &path);
    assert_int_equal(subject_map_init(&ns->map, SPAN_LIT("bh"), &path, subject_map_default_requests,
                                      ARRAY_LEN(subject_map_default_requests)),
                     ERR_OK);
}

static void the_nth_allocation_fails(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct nats_ns ns;
    open_ns(&ns, &counters);
    sweep(&ns, plain_script, ARRAY_LEN(plain_script));
}

static void the_nth_allocation_of_a_descendants_stream_fails(void **state)
{
    (void)state;
    static const struct span listed[] = {SPAN_LIT("SHARED")};
    struct counters counters = {0};
    struct nats_ns ns;
    open_ns(&ns, &counters);
    assert_int_equal(subject_map_see_below(&ns.map, subject_map_default_events,
                                           ARRAY_LEN(subject_map_default_events)),
                     ERR_OK);
    ns.streams = listed;
    ns.stream_patterns = ARRAY_LEN(listed);
    sweep(&ns, view_script, ARRAY_LEN(view_script));
    assert_true(counters.n[COUNTER_VIEW_STREAM_READS] != 0); /* the script goes where it should */
    assert_true(counters.n[COUNTER_HIDDEN_STREAM] != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_allocation_fails),
        cmocka_unit_test(the_nth_allocation_of_a_descendants_stream_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
