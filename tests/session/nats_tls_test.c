/* SPDX-License-Identifier: Apache-2.0 */
/* What an INFO says about TLS, and what the session asks of io. */
#include "session/nats_transcript.h"

#define REQUIRED "INFO {\"tls_required\":true,\"max_payload\":1}\r\n"

/* What the session takes of one read. */
static size_t feed(struct stage *t, enum nats_side side, const char *text, enum err expected)
{
    size_t used = 0;
    assert_int_equal(nats_session_feed(t->session, side, span_str(text), &used), expected);
    stage_listen(t);
    return used;
}

static void open_session(struct stage *t, bool up, bool first, bool app)
{
    stage_open(t, "a");
    t->ns.tls_up = up;
    t->ns.tls_up_first = first;
    t->ns.tls_app = app;
    assert_int_equal(nats_session_new(&t->ns, &t->session), ERR_OK);
}

static void assert_heard(struct stage *t, enum nats_side side, const char *text)
{
    struct span heard = buf_span(&t->heard[side]);
    assert_int_equal(heard.n, strlen(text));
    assert_memory_equal(heard.p, text, heard.n);
    buf_consume(&t->heard[side], heard.n);
}

static void a_server_that_requires_tls_gets_it_before_anybody_speaks(void **state)
{
    (void)state;
    struct stage t;
    open_session(&t, false, false, false);
    assert_int_equal(feed(&t, SIDE_UP, REQUIRED "PING\r\n", ERR_OK), strlen(REQUIRED));
    assert_heard(&t, SIDE_APP, "INFO {\"max_payload\":1,\"host\":\"127.0.0.1\",\"port\":4222}\r\n");
    assert_true(nats_session_wants_tls(t.session, SIDE_UP));
    assert_false(nats_session_wants_tls(t.session, SIDE_APP));
    assert_false(nats_session_wants_read(t.session, SIDE_UP));
    assert_false(nats_session_wants_read(t.session, SIDE_APP));
    nats_session_secured(t.session, SIDE_UP);
    assert_false(nats_session_wants_tls(t.session, SIDE_UP));
    assert_true(nats_session_wants_read(t.session, SIDE_APP));
    feed(&t, SIDE_UP, "PING\r\n", ERR_OK);
    assert_heard(&t, SIDE_APP, "PING\r\n");
    feed(&t, SIDE_UP, REQUIRED, ERR_OK); /* an asynchronous one: nothing to begin again */
    assert_false(nats_session_wants_tls(t.session, SIDE_UP));
    stage_close(&t);
}

static void tls_that_we_want_is_begun_where_the_server_offers_it(void **state)
{
    (void)state;
    struct stage t;
    open_session(&t, true, false, false);
    feed(&t, SIDE_UP, "INFO {\"tls_available\":true}\r\n", ERR_OK);
    assert_true(nats_session_wants_tls(t.session, SIDE_UP));
    stage_close(&t);

    open_session(&t, true, false, false);
    feed(&t, SIDE_UP, "INFO {}\r\n", ERR_NATS_NO_TLS);
    assert_heard(&t, SIDE_APP, "-ERR 'bulkhead: the NATS server does not offer TLS'\r\n");
    assert_false(nats_session_wants_tls(t.session, SIDE_UP));
    stage_close(&t);
}

static void tls_that_stands_already_is_not_begun_again(void **state)
{
    (void)state;
    struct stage t;
    open_session(&t, true, true, false);
    feed(&t, SIDE_UP, REQUIRED, ERR_OK);
    assert_false(nats_session_wants_tls(t.session, SIDE_UP));
    assert_true(nats_session_wants_read(t.session, SIDE_APP));
    stage_close(&t);
}

static void applications_of_a_tls_listener_are_told_so(void **state)
{
    (void)state;
    struct stage t;
    open_session(&t, false, false, true);
    feed(&t, SIDE_UP, "INFO {\"tls_required\":false,\"max_payload\":1}\r\n", ERR_OK);
    assert_heard(&t, SIDE_APP,
                 "INFO {\"max_payload\":1,\"tls_required\":true,\"host\":\"127.0.0.1\","
                 "\"port\":4222}\r\n");
    assert_true(nats_session_wants_tls(t.session, SIDE_APP));
    nats_session_secured(t.session, SIDE_APP);
    assert_true(nats_session_wants_read(t.session, SIDE_APP));
    nats_session_lost(t.session, SIDE_UP, ERR_NATS_TLS);
    stage_listen(&t);
    assert_heard(&t, SIDE_APP, "-ERR 'bulkhead: TLS with the NATS server failed'\r\n");
    stage_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_requires_tls_gets_it_before_anybody_speaks),
        cmocka_unit_test(tls_that_we_want_is_begun_where_the_server_offers_it),
        cmocka_unit_test(tls_that_stands_already_is_not_begun_again),
        cmocka_unit_test(applications_of_a_tls_listener_are_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
