/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client with echo:false and its voice, the second upstream connection on which answers of
 * JetStream's API are published: when it is dialled, what is said on it, and that neither of the
 * two outlives the other.
 */
#include "fault/nats_world.h"

#define INFO                                                                                       \
    "INFO {\"server_id\":\"X\",\"client_id\":7,\"headers\":true,\"max_payload\":1048576}\r\n"
#define MUTE   "CONNECT {\"verbose\":false,\"echo\":false}\r\n"
#define INBOX  "bh.r.a~~.X.7."
#define ANSWER "{\"success\":true}"

struct talk {
    struct world *w;
    struct end *app, *server, *voice;
    unsigned before; /* connections of the test's server before the application came */
};

/* A client that does not hear itself, and the server's end of its connection. */
static struct talk talk_begin(void)
{
    struct talk t = {.w = world_new()};
    struct addr up = fake_open(t.w, INFO);
    plane_open(t.w, 0, "a", &up, 1);
    WAIT_FOR(&t.w->l, is_ready(t.w, 0)); /* the probe has been, and is gone */
    t.before = t.w->fake_ends;
    t.app = &t.w->client[0];
    dial_plane(t.w, t.app, 0);
    say(t.app, MUTE);
    WAIT_FOR(&t.w->l, t.w->fake_ends == t.before + 1);
    t.server = &t.w->fake_end[t.before];
    hear(&t.w->l, t.server, "\"echo\":false}\r\n");
    return t;
}

static void answer_first(struct talk *t)
{
    say(t->app, "PUB $JS.API.STREAM.PURGE.S _INBOX.1 0\r\n\r\n");
    hear(&t->w->l, t->server, INBOX "1 0\r\n\r\n");
    assert_int_equal(t->w->fake_ends, t->before + 1); /* there is nothing to say yet */
    say(t->server, "MSG " INBOX "1 r0 16\r\n" ANSWER "\r\n");
    WAIT_FOR(&t->w->l, t->w->fake_ends == t->before + 2);
    t->voice = &t->w->fake_end[t->before + 1];
}

static void answers_of_the_api_are_published_by_the_voice(void **state)
{
    (void)state;
    struct talk t = talk_begin();
    answer_first(&t);
    struct loop *l = &t.w->l;
    hear(l, t.voice, "CONNECT {");
    hear(l, t.voice, "\r\nPUB bh.e.a.~.~.~._INBOX.1 16\r\n" ANSWER "\r\n");
    /* The next ones on the same connection, in order; what the application says stays on its own.
     */
    say(t.app, "PUB $JS.API.STREAM.PURGE.S _INBOX.2 0\r\n\r\nPUB $JS.API.NEW _INBOX.3 0\r\n\r\n"
               "PUB foo 2\r\nhi\r\n");
    hear(l, t.voice, "PUB bh.e.a.~.~.~._INBOX.3 ");
    hear(l, t.server, "PUB bh.e.a.~.~.~.foo 2\r\nhi\r\n");
    say(t.server, "MSG " INBOX "2 r0 16\r\n" ANSWER "\r\n");
    hear(l, t.voice, "PUB bh.e.a.~.~.~._INBOX.2 16\r\n" ANSWER "\r\n");
    say(t.voice, "PING\r\n");
    hear(l, t.voice, "PONG\r\n");
    assert_int_equal(t.w->fake_ends, t.before + 2);
    assert_int_equal(l->counters.gauge[GAUGE_NATS_CONNS], 1);
    assert_false(has(t.app, "bulkhead") || has(t.app, "PING"));
    world_end(t.w);
}

static void a_voice_that_is_lost_closes_the_application(void **state)
{
    (void)state;
    struct talk t = talk_begin();
    answer_first(&t);
    hear(&t.w->l, t.voice, ANSWER "\r\n");
    tcp_close(&t.voice->t);
    WAIT_FOR(&t.w->l, t.app->ended && t.server->ended);
    tcp_close(&t.app->t);
    tcp_close(&t.server->t);
    WAIT_FOR(&t.w->l, nats_plane_is_idle(t.w->plane[0]));
    world_end(t.w);
}

static void a_voice_that_cannot_be_had_closes_the_application(void **state)
{
    (void)state;
    static const char *const greetings[] = {"-ERR 'Maximum Connections Exceeded'\r\n",
                                            "SSH-2.0\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(greetings); i++) {
        struct talk t = talk_begin();
        t.w->greeting = greetings[i];
        answer_first(&t);
        tcp_close_when_sent(&t.voice->t);
        WAIT_FOR(&t.w->l, t.app->ended && t.server->ended);
        world_end(t.w);
    }
    struct talk t = talk_begin();
    listener_close(&t.w->fake);
    say(t.app, "PUB $JS.API.NEW _INBOX.1 0\r\n\r\n"); /* refused by us: an answer at once */
    WAIT_FOR(&t.w->l, t.app->ended && t.server->ended);
    assert_true(t.w->l.counters.n[COUNTER_NATS_DIAL_FAIL] > 0);
    world_end(t.w);
}

static void an_application_that_goes_takes_its_voice_along(void **state)
{
    (void)state;
    for (int is_greeted = 0; is_greeted < 2; is_greeted++) {
        struct talk t = talk_begin();
        if (!is_greeted)
            t.w->greeting = "";
        answer_first(&t);
        if (is_greeted)
            hear(&t.w->l, t.voice, ANSWER "\r\n");
        tcp_close(&t.app->t);
        WAIT_FOR(&t.w->l, t.voice->ended && t.server->ended);
        tcp_close(&t.voice->t);
        tcp_close(&t.server->t);
        WAIT_FOR(&t.w->l, nats_plane_is_idle(t.w->plane[0]));
        world_end(t.w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_the_api_are_published_by_the_voice),
        cmocka_unit_test(a_voice_that_is_lost_closes_the_application),
        cmocka_unit_test(a_voice_that_cannot_be_had_closes_the_application),
        cmocka_unit_test(an_application_that_goes_takes_its_voice_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
