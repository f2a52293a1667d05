/* SPDX-License-Identifier: Apache-2.0 */
#include "support/support.h"

#include "wire/nats_write.h"

static void lines_are_written_with_single_blanks(void **state)
{
    (void)state;
    struct buf out = {0};
    struct nats_line l = {
        .op = NATS_OP_PUB, .subject = SPAN_LIT("s"), .payload_text = SPAN_LIT("1")};
    assert_int_equal(nats_write_pub(&out, SPAN_LIT("p."), &l), ERR_OK);
    assert_int_equal(nats_write_pub_bytes(SPAN_LIT("p."), &l), buf_len(&out) - 2);
    l.op = NATS_OP_HPUB;
    l.reply = SPAN_LIT("r");
    l.header_text = SPAN_LIT("0");
    assert_int_equal(nats_write_pub(&out, SPAN_LIT("p."), &l), ERR_OK);
    l.sid = SPAN_LIT("9");
    l.op = NATS_OP_HMSG;
    assert_int_equal(nats_write_msg(&out, &l), ERR_OK);
    struct nats_sub_line sub = {SPAN_LIT("p."), SPAN_LIT("s"), SPAN_NONE, 'e', SPAN_LIT("9")};
    assert_int_equal(nats_write_sub(&out, &sub), ERR_OK);
    sub.queue = SPAN_LIT("q~");
    size_t before = buf_len(&out);
    assert_int_equal(nats_write_sub(&out, &sub), ERR_OK);
    assert_int_equal(nats_write_sub_bytes(&sub), buf_len(&out) - before - 2);
    assert_int_equal(nats_write_unsub(&out, 'd', SPAN_LIT("9"), SPAN_NONE), ERR_OK);
    before = buf_len(&out);
    assert_int_equal(nats_write_unsub(&out, 'd', SPAN_LIT("9"), SPAN_LIT("3")), ERR_OK);
    assert_int_equal(nats_write_unsub_bytes(SPAN_LIT("9"), SPAN_LIT("3")),
                     buf_len(&out) - before - 2);
    assert_int_equal(nats_write_err(&out, SPAN_LIT("No")), ERR_OK);
    assert_span_equal(buf_span(&out),
                      SPAN_LIT("PUB p.s 1\r\nHPUB p.s p.r 0 1\r\nHMSG s 9 r 0 1\r\nSUB p.s e9\r\n"
                               "SUB p.s q~ e9\r\nUNSUB d9\r\nUNSUB d9 3\r\n-ERR 'No'\r\n"));
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lines_are_written_with_single_blanks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
