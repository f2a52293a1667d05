/* SPDX-License-Identifier: Apache-2.0 */
/* Large payloads, slow peers, own lines while a payload passes, and what an idle session holds. */
#include "session/nats_transcript.h"

#include <stdlib.h>

#include "limit.h"
#include "nats/nats_state.h"

enum { MIB = 1024 * 1024 };

static void open_after_hello(struct stage *t)
{
    static const struct step hello[] = {HELLO};
    struct rng rng = {1};
    stage_open(t, "a");
    assert_int_equal(nats_session_new(&t->ns, &t->session), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(hello); i++)
        stage_step(t, &hello[i], 0, &rng);
}

/* Feed all of in from side, taking output only when the session waits for it; the most it held. */
static size_t feed_slowly(struct stage *t, enum nats_side side, struct span in)
{
    enum nats_side to = side == SIDE_APP ? SIDE_UP : SIDE_APP;
    size_t most = 0;
    while (in.n != 0) {
        size_t used = 0;
        struct span piece = span_head(in, LIMIT_READ_BYTES);
        assert_int_equal(nats_session_feed(t->session, side, piece, &used), ERR_OK);
        in = span_skip(in, used);
        size_t held = buf_len(nats_session_out(t->session, to));
        most = held > most ? held : most;
        if (used < piece.n) {
            assert_false(nats_session_wants_read(t->session, side));
            stage_listen(t);
            assert_true(nats_session_wants_read(t->session, side));
        }
    }
    stage_listen(t);
    return most;
}

static void pass_a_mebibyte(enum nats_side side, struct span line_in, struct span line_out)
{
    enum nats_side to = side == SIDE_APP ? SIDE_UP : SIDE_APP;
    struct stage t;
    open_after_hello(&t);
    uint8_t *payload = malloc(MIB + 2);
    assert_non_null(payload);
    for (size_t i = 0; i < MIB; i++)
        payload[i] = (uint8_t)(i * 7);
    memcpy(payload + MIB, "\r\n", 2);
    (void)feed_slowly(&t, side, line_in);
    size_t most = feed_slowly(&t, side, span_of(payload, MIB + 2));
    print_message("1 MiB passed, at most %zu bytes were held\n", most);
    assert_true(most <= LIMIT_OUT_HIGH_BYTES);
    struct span heard = buf_span(&t.heard[to]);
    assert_span_equal(span_head(heard, line_out.n), line_out);
    assert_int_equal(heard.n, line_out.n + MIB + 2);
    assert_memory_equal(heard.p + line_out.n, payload, MIB + 2);
    free(payload);
    stage_close(&t);
}

static void a_mebibyte_passes_with_small_buffers(void **state)
{
    (void)state;
    pass_a_mebibyte(SIDE_APP, SPAN_LIT("PUB foo 1048576\r\n"),
                    SPAN_LIT("PUB bh.e.a.~.~.~.foo 1048576\r\n"));
    pass_a_mebibyte(SIDE_UP, SPAN_LIT("MSG bh.e.a.~.~.~.foo e1 1048576\r\n"),
                    SPAN_LIT("MSG foo 1 1048576\r\n"));
}

static void many_small_messages_stop_at_the_high_mark(void **state)
{
    (void)state;
    struct stage t;
    open_after_hello(&t);
    struct buf in = {0};
    for (int i = 0; i < 20000; i++)
        assert_int_equal(buf_append(&in, SPAN_LIT("PUB foo 16\r\n0123456789abcdef\r\n")), ERR_OK);
    size_t most = feed_slowly(&t, SIDE_APP, buf_span(&in));
    assert_true(most < LIMIT_OUT_HIGH_BYTES + LIMIT_READ_BYTES);
    size_t line = strlen("PUB bh.e.a.~.~.~.foo 16\r\n0123456789abcdef\r\n");
    assert_int_equal(buf_len(&t.heard[SIDE_UP]), 20000 * line);
    buf_deinit(&in);
    stage_close(&t);
}

static void an_error_waits_for_the_end_of_a_payload(void **state)
{
    (void)state;
    PLAY("a", HELLO, UP("MSG bh.e.a.~.~.~.foo e1 4\r\nab"), APP_HEARS("MSG foo 1 4\r\nab"),
         APP("SUB $SYS.x 1\r\nSUB $SYS.y 2\r\n"), APP_HEARS(""), UP("cd\r"), UP("\n"),
         APP_HEARS("cd\r\n-ERR 'Permissions Violation for Subscription to \"$SYS.x\"'\r\n"
                   "-ERR 'Permissions Violation for Subscription to \"$SYS.y\"'\r\n"));
    /* A payload that is dropped does not hold it up. */
    PLAY("a", HELLO, UP("MSG foreign e1 4\r\nab"), APP("SUB $SYS.y 2\r\n"),
         APP_HEARS("-ERR 'Permissions Violation for Subscription to \"$SYS.y\"'\r\n"), UP("cd\r\n"),
         APP_HEARS(""));
}

static void an_own_unsub_waits_for_the_end_of_a_payload(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("SUB > 1\r\nUNSUB 1 1\r\nPUB foo 4\r\nab"),
         UP_HEARS("SUB bh.e.a.~.~.~.> e1\r\nSUB bh.d.a.~.~.~.> d1\r\nSUB $JS.EVENT.*.*.*.> "
                  "v1\r\nUNSUB e1 1\r\nUNSUB d1 1\r\n"
                  "PUB bh.e.a.~.~.~.foo 4\r\nab"),
         UP("MSG bh.e.a.~.~.~.x e1 0\r\n\r\n"), APP_HEARS("MSG x 1 0\r\n\r\n"), UP_HEARS(""),
         APP("cd\r\n"), UP_HEARS("cd\r\nUNSUB e1\r\nUNSUB d1\r\nUNSUB v1\r\nPING\r\n"));
}

static void an_application_that_never_reads_its_errors_has_to_wait(void **state)
{
    (void)state;
    struct stage t;
    open_after_hello(&t);
    size_t used = 1, fed = 0;
    while (used != 0 && fed < 16u * MIB) {
        struct span line = SPAN_LIT("SUB $SYS 1\r\nSUB $SYS 1\r\n");
        assert_int_equal(nats_session_feed(t.session, SIDE_APP, line, &used), ERR_OK);
        fed += used;
    }
    assert_int_equal(used, 0);
    assert_false(nats_session_wants_read(t.session, SIDE_APP));
    assert_true(buf_len(nats_session_out(t.session, SIDE_APP)) <
                LIMIT_OUT_OWN_BYTES + LIMIT_READ_BYTES);
    stage_listen(&t);
    assert_true(nats_session_wants_read(t.session, SIDE_APP));
    stage_close(&t);
}

static void an_idle_session_holds_no_buffers(void **state)
{
    (void)state;
    struct stage t;
    open_after_hello(&t);
    assert_int_equal(stage_say(&t, SIDE_APP, SPAN_LIT("SUB foo 1\r\nPU")), ERR_OK);
    assert_int_equal(stage_say(&t, SIDE_APP, SPAN_LIT("B foo 0\r\n\r\n")), ERR_OK);
    assert_int_equal(stage_say(&t, SIDE_APP, SPAN_LIT("SUB > 1\r\nUNSUB 1\r\n")), ERR_OK);
    print_message("an idle session takes %zu bytes\n", sizeof *t.session);
    assert_true(sizeof *t.session < 1024);
    for (int side = 0; side < SIDES; side++) {
        assert_null(t.session->out[side].data);
        assert_null(t.session->later[side].data);
        assert_null(t.session->flow[side].reader.partial.data);
    }
    assert_null(t.session->oks.rest.data);
    assert_null(t.session->subs.bucket);
    stage_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mebibyte_passes_with_small_buffers),
        cmocka_unit_test(many_small_messages_stop_at_the_high_mark),
        cmocka_unit_test(an_error_waits_for_the_end_of_a_payload),
        cmocka_unit_test(an_own_unsub_waits_for_the_end_of_a_payload),
        cmocka_unit_test(an_application_that_never_reads_its_errors_has_to_wait),
        cmocka_unit_test(an_idle_session_holds_no_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
