/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.streams in one session of namespace a: what is asked, of whom and in which order, before a
 * read of a listed stream is answered (nats/nats_js_view.h has the drawing).
 */
#include "session/nats_transcript.h"

static const struct span listed[] = {SPAN_LIT("SHARED*"), SPAN_LIT("*-kv-events")};

#define PLAY_STREAMS(...)                                                                          \
    do {                                                                                           \
        static const struct step play_steps[] = {__VA_ARGS__};                                     \
        struct stage stage;                                                                        \
        stage_open_view(&stage, "a");                                                              \
        stage.ns.streams = listed;                                                                 \
        stage.ns.stream_patterns = ARRAY_LEN(listed);                                              \
        stage_play(&stage, play_steps, ARRAY_LEN(play_steps));                                     \
        stage_close(&stage);                                                                       \
    } while (0)

static void a_stream_of_ones_own_is_answered_and_nobody_else_is_asked(void **state)
{
    (void)state;
    PLAY_STREAMS(
        HELLO, APP("PUB $JS.API.STREAM.INFO.SHARED r.1 0\r\n\r\n"),
        UP_HEARS(
            "SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.INFO.a~~SHARED bh.r.a~~.N.0.1 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 "
           "63\r\n{\"type\":\"t\",\"config\":{\"name\":\"a~~SHARED\",\"retention\":\"limits\"}}"
           "\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.1 "
                 "60\r\n{\"type\":\"t\",\"config\":{\"name\":\"SHARED\",\"retention\":\"limits\"}}"
                 "\r\n"));
}

static void a_stream_that_nobody_has_is_answered_as_the_server_did(void **state)
{
    (void)state;
    PLAY_STREAMS(
        HELLO, APP("PUB $JS.API.STREAM.INFO.SHARED r.1 0\r\n\r\n"),
        UP_HEARS(
            "SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.INFO.a~~SHARED bh.r.a~~.N.0.1 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.2 "
                 "39\r\n{\"offset\":0,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.2 r0 "
           "59\r\n{\"type\":\"t\",\"total\":0,\"offset\":0,\"limit\":1024,\"streams\":[]}\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.1 "
                 "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
                 "\"stream not found\"}}\r\n"));
}

static void the_nearest_holder_of_all_pages_answers(void **state)
{
    (void)state;
    PLAY_STREAMS(
        HELLO, APP("PUB $JS.API.STREAM.INFO.SHARED r.1 0\r\n\r\n"),
        UP_HEARS(
            "SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.INFO.a~~SHARED bh.r.a~~.N.0.1 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.2 "
                 "39\r\n{\"offset\":0,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.2 r0 "
           "116\r\n{\"type\":\"t\",\"total\":6,\"offset\":0,\"limit\":1024,\"streams\":[\"a~b~c~~"
           "SHARED\",\"a~d~~SHARED\",\"x~~SHARED\",\"a~b~~SHARED_2\"]}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.3 "
                 "39\r\n{\"offset\":4,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.3 r0 "
           "82\r\n{\"type\":\"t\",\"total\":6,\"offset\":0,\"limit\":1024,\"streams\":[\"a~b~~"
           "SHARED\",\"~SHARED\"]}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~b~~SHARED bh.r.a~~.N.0.4 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.4 r0 "
           "65\r\n{\"type\":\"t\",\"config\":{\"name\":\"a~b~~SHARED\",\"retention\":\"limits\"}}"
           "\r\n"),
        UP_HEARS(
            "PUB bh.e.a.~.~.~.r.1 "
            "60\r\n{\"type\":\"t\",\"config\":{\"name\":\"SHARED\",\"retention\":\"limits\"}}\r\n"),
        APP("PUB $JS.API.STREAM.INFO.SHARED r.2 0\r\n\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~~SHARED bh.r.a~~.N.0.5 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.5 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~b~~SHARED bh.r.a~~.N.0.6 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.6 r0 "
           "65\r\n{\"type\":\"t\",\"config\":{\"name\":\"a~b~~SHARED\",\"retention\":\"limits\"}}"
           "\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.2 "
                 "60\r\n{\"type\":\"t\",\"config\":{\"name\":\"SHARED\",\"retention\":\"limits\"}}"
                 "\r\n"));
}

static void a_holder_that_went_is_forgotten_and_the_next_one_found(void **state)
{
    (void)state;
    PLAY_STREAMS(
        HELLO, APP("PUB $JS.API.STREAM.INFO.SHARED r.1 0\r\n\r\n"),
        UP_HEARS(
            "SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.INFO.a~~SHARED bh.r.a~~.N.0.1 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.2 "
                 "39\r\n{\"offset\":0,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.2 r0 "
           "86\r\n{\"type\":\"t\",\"total\":2,\"offset\":0,\"limit\":1024,\"streams\":[\"a~b~~"
           "SHARED\",\"a~d~~SHARED\"]}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~b~~SHARED bh.r.a~~.N.0.3 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.3 r0 "
           "65\r\n{\"type\":\"t\",\"config\":{\"name\":\"a~b~~SHARED\",\"retention\":\"limits\"}}"
           "\r\n"),
        UP_HEARS(
            "PUB bh.e.a.~.~.~.r.1 "
            "60\r\n{\"type\":\"t\",\"config\":{\"name\":\"SHARED\",\"retention\":\"limits\"}}\r\n"),
        APP("PUB $JS.API.STREAM.INFO.SHARED r.2 0\r\n\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~~SHARED bh.r.a~~.N.0.4 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.4 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~b~~SHARED bh.r.a~~.N.0.5 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.5 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.6 "
                 "39\r\n{\"offset\":0,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.6 r0 "
           "72\r\n{\"type\":\"t\",\"total\":1,\"offset\":0,\"limit\":1024,\"streams\":[\"a~d~~"
           "SHARED\"]}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~d~~SHARED bh.r.a~~.N.0.7 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.7 r0 "
           "65\r\n{\"type\":\"t\",\"config\":{\"name\":\"a~d~~SHARED\",\"retention\":\"limits\"}}"
           "\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.2 "
                 "60\r\n{\"type\":\"t\",\"config\":{\"name\":\"SHARED\",\"retention\":\"limits\"}}"
                 "\r\n"));
}

static void a_consumer_is_made_in_the_readers_name_where_it_takes_nothing_away(void **state)
{
    (void)state;
    PLAY_STREAMS(
        HELLO,
        APP("PUB $JS.API.CONSUMER.DURABLE.CREATE.SHARED.D r.1 "
            "78\r\n{\"stream_name\":\"SHARED\",\"config\":{\"durable_name\":\"D\",\"ack_policy\":"
            "\"explicit\"}}\r\n"),
        UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.CONSUMER.DURABLE.CREATE.a~~SHARED.D "
                 "bh.r.a~~.N.0.1 "
                 "81\r\n{\"stream_name\":\"a~~SHARED\",\"config\":{\"durable_name\":\"D\",\"ack_"
                 "policy\":\"explicit\"}}\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.2 "
                 "39\r\n{\"offset\":0,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.2 r0 "
           "72\r\n{\"type\":\"t\",\"total\":1,\"offset\":0,\"limit\":1024,\"streams\":[\"a~b~~"
           "SHARED\"]}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~b~~SHARED bh.r.a~~.N.0.3 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.3 r0 "
           "65\r\n{\"type\":\"t\",\"config\":{\"name\":\"a~b~~SHARED\",\"retention\":\"limits\"}}"
           "\r\n"),
        UP_HEARS("PUB $JS.API.CONSUMER.DURABLE.CREATE.a~b~~SHARED.~~a~~D bh.r.a~~.N.0.4 "
                 "88\r\n{\"stream_name\":\"a~b~~SHARED\",\"config\":{\"durable_name\":\"~~a~~D\","
                 "\"ack_policy\":\"explicit\"}}\r\n"),
        UP("MSG bh.r.a~~.N.0.4 r0 "
           "115\r\n{\"type\":\"t\",\"stream_name\":\"a~b~~SHARED\",\"name\":\"~~a~~D\",\"config\":{"
           "\"durable_name\":\"~~a~~D\",\"ack_policy\":\"explicit\"}}\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.1 "
                 "100\r\n{\"type\":\"t\",\"stream_name\":\"SHARED\",\"name\":\"D\",\"config\":{"
                 "\"durable_name\":\"D\",\"ack_policy\":\"explicit\"}}\r\n"),
        APP("PUB $JS.API.CONSUMER.MSG.NEXT.SHARED.D i.1 1\r\n1\r\n"),
        UP_HEARS("PUB $JS.API.CONSUMER.MSG.NEXT.a~b~~SHARED.~~a~~D bh.e.a.~.~.~.i.1 1\r\n1\r\n"),
        UP("MSG bh.e.a.b.~.~.s.1 e9 $JS.ACK.a~b~~SHARED.~~a~~D.1.1.1.1.0 2\r\nhi\r\n"),
        APP_HEARS("MSG s.1 9 $JS.ACK.SHARED.D.1.1.1.1.0 2\r\nhi\r\n"));
}

static void a_consumer_of_a_work_queue_is_refused(void **state)
{
    (void)state;
    PLAY_STREAMS(
        HELLO,
        APP("PUB $JS.API.CONSUMER.CREATE.SHARED r.1 "
            "55\r\n{\"stream_name\":\"SHARED\",\"config\":{\"ack_policy\":\"none\"}}\r\n"),
        UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.CONSUMER.CREATE.a~~SHARED bh.r.a~~.N.0.1 "
                 "58\r\n{\"stream_name\":\"a~~SHARED\",\"config\":{\"ack_policy\":\"none\"}}\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.2 "
                 "39\r\n{\"offset\":0,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.2 r0 "
           "72\r\n{\"type\":\"t\",\"total\":1,\"offset\":0,\"limit\":1024,\"streams\":[\"a~b~~"
           "SHARED\"]}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~b~~SHARED bh.r.a~~.N.0.3 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.3 r0 "
           "68\r\n{\"type\":\"t\",\"config\":{\"name\":\"a~b~~SHARED\",\"retention\":\"workqueue\"}"
           "}\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.1 "
                 "189\r\n{\"type\":\"io.nats.jetstream.api.v1.consumer_create_response\",\"error\":"
                 "{\"code\":403,\"err_code\":10075,\"description\":\"bulkhead: a consumer would "
                 "take messages away from this stream's namespace\"}}\r\n"));
}

static void a_direct_get_finds_its_way_once(void **state)
{
    (void)state;
    PLAY_STREAMS(
        HELLO, APP("PUB $JS.API.DIRECT.GET.SHARED.s.1 i.1 0\r\n\r\n"),
        UP_HEARS(
            "SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.INFO.a~~SHARED bh.r.a~~.N.0.1 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.2 "
                 "39\r\n{\"offset\":0,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.2 r0 "
           "72\r\n{\"type\":\"t\",\"total\":1,\"offset\":0,\"limit\":1024,\"streams\":[\"a~b~~"
           "SHARED\"]}\r\n"),
        UP_HEARS("PUB $JS.API.DIRECT.GET.a~b~~SHARED.bh.e.a.b.~.~.s.1 bh.e.a.~.~.~.i.1 0\r\n\r\n"),
        APP("PUB $JS.API.DIRECT.GET.SHARED.s.1 i.2 0\r\n\r\n"),
        UP_HEARS("PUB $JS.API.DIRECT.GET.a~b~~SHARED.bh.e.a.b.~.~.s.1 bh.e.a.~.~.~.i.2 0\r\n\r\n"));
}

static void nothing_but_reads_goes_elsewhere(void **state)
{
    (void)state;
    PLAY_STREAMS(
        HELLO, APP("PUB $JS.API.STREAM.PURGE.SHARED r.1 0\r\n\r\n"),
        UP_HEARS(
            "SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.PURGE.a~~SHARED bh.r.a~~.N.0.1 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.1 "
                 "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
                 "\"stream not found\"}}\r\n"),
        APP("PUB $JS.API.STREAM.INFO.OTHER r.2 0\r\n\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~~OTHER bh.r.a~~.N.0.2 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.2 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.2 "
                 "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
                 "\"stream not found\"}}\r\n"));
}

static void an_answer_that_is_none_ends_the_search(void **state)
{
    (void)state;
    PLAY_STREAMS(
        HELLO, APP("PUB $JS.API.STREAM.INFO.SHARED r.1 0\r\n\r\n"),
        UP_HEARS(
            "SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.INFO.a~~SHARED bh.r.a~~.N.0.1 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.2 "
                 "39\r\n{\"offset\":0,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.2 r0 25\r\n{\"streams\":7,\"total\":\"x\"}\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.1 "
                 "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
                 "\"stream not found\"}}\r\n"),
        APP("PUB $JS.API.STREAM.INFO.SHARED r.2 0\r\n\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.INFO.a~~SHARED bh.r.a~~.N.0.3 0\r\n\r\n"),
        UP("MSG bh.r.a~~.N.0.3 r0 "
           "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
           "\"stream not found\"}}\r\n"),
        UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.4 "
                 "39\r\n{\"offset\":0,\"subject\":\"bh.*.a.*.*.*.>\"}\r\n"),
        UP("MSG bh.r.a~~.N.0.4 r0 8\r\nnot json\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r.2 "
                 "83\r\n{\"type\":\"t\",\"error\":{\"code\":404,\"err_code\":10059,\"description\":"
                 "\"stream not found\"}}\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_of_ones_own_is_answered_and_nobody_else_is_asked),
        cmocka_unit_test(a_stream_that_nobody_has_is_answered_as_the_server_did),
        cmocka_unit_test(the_nearest_holder_of_all_pages_answers),
        cmocka_unit_test(a_holder_that_went_is_forgotten_and_the_next_one_found),
        cmocka_unit_test(a_consumer_is_made_in_the_readers_name_where_it_takes_nothing_away),
        cmocka_unit_test(a_consumer_of_a_work_queue_is_refused),
        cmocka_unit_test(a_direct_get_finds_its_way_once),
        cmocka_unit_test(nothing_but_reads_goes_elsewhere),
        cmocka_unit_test(an_answer_that_is_none_ends_the_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
