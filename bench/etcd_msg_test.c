/* SPDX-License-Identifier: Apache-2.0 */
/* etcd_msg_test - a wrong answer must never count as a fast one. */
#include "etcd_msg.h"

#include "support/support.h"

#include <string.h>

static const struct etcd_shape shape = {.prefix = "b/", .value_bytes = 10, .list_keys = 2};

/* RangeResponse{header{revision 1} kvs{key "b/000007" value "b/000007vv"} count 1} in its frame. */
static const uint8_t right[] = "\x00\x00\x00\x00\x1e"
                               "\x0a\x02\x18\x01"
                               "\x12\x16\x0a\x08"
                               "b/000007"
                               "\x2a\x0a"
                               "b/000007vv"
                               "\x20\x01";
enum { RIGHT_BYTES = sizeof right - 1, KEY_AT = 5 + 4 + 2 + 2 };

static const char *check(const uint8_t *body, size_t n)
{
    return etcd_msg_check(body, n, ETCD_RANGE, &shape, 7);
}

static void the_right_answer_passes(void **state)
{
    (void)state;
    assert_null(check(right, RIGHT_BYTES));
}

static void every_cut_answer_is_wrong(void **state)
{
    (void)state;
    for (size_t n = 0; n < RIGHT_BYTES; n++) {
        assert_non_null(check(right, n));
    }
}

static void an_answer_for_another_key_is_wrong(void **state)
{
    (void)state;
    uint8_t body[RIGHT_BYTES];
    memcpy(body, right, sizeof body);
    body[KEY_AT + 7] = '8';
    assert_non_null(check(body, sizeof body));
}

static void an_empty_answer_is_wrong_for_a_range_and_right_for_a_put(void **state)
{
    (void)state;
    static const uint8_t header_only[] = "\x00\x00\x00\x00\x04\x0a\x02\x18\x01";
    size_t n = sizeof header_only - 1;
    assert_non_null(check(header_only, n));
    assert_non_null(etcd_msg_check(header_only, n, ETCD_LIST, &shape, 0));
    assert_null(etcd_msg_check(header_only, n, ETCD_PUT, &shape, 7));
}

static void a_request_fits_its_frame(void **state)
{
    (void)state;
    const struct etcd_shape large = {.prefix = "0123456789abcdef0123456789abcdef",
                                     .value_bytes = ETCD_VALUE_BYTES_MAX,
                                     .list_keys = 999999};
    uint8_t out[ETCD_FRAME_BYTES_MAX];
    for (int op = ETCD_RANGE; op <= ETCD_LIST; op++) {
        size_t n = etcd_msg_request(out, (enum etcd_op)op, &large, 999999);
        assert_in_range(n, 5, sizeof out);
        assert_int_equal(n - 5, (size_t)out[3] << 8 | out[4]);
    }
}

/* WatchResponse{header{revision 1} watch_id 1 events{type PUT kv{key "k" value "v"}}}. */
static void only_the_event_of_that_key_and_value_is_right(void **state)
{
    (void)state;
    static const uint8_t event[] = "\x0a\x02\x18\x01\x10\x01\x5a\x08\x12\x06\x0a\x01"
                                   "k\x2a\x01"
                                   "v";
    static const uint8_t created[] = "\x0a\x02\x18\x01\x10\x01\x18\x01";
    static const uint8_t cancelled[] = "\x0a\x02\x18\x01\x10\x01\x20\x01";
    enum etcd_watch_answer kind = ETCD_WATCH_BAD;
    assert_null(etcd_msg_check_watch(event, sizeof event - 1, "k", "v", &kind));
    assert_int_equal(kind, ETCD_WATCH_EVENT);
    assert_non_null(etcd_msg_check_watch(event, sizeof event - 1, "x", "v", &kind));
    assert_non_null(etcd_msg_check_watch(event, sizeof event - 1, "k", "x", &kind));
    assert_null(etcd_msg_check_watch(created, sizeof created - 1, "k", "v", &kind));
    assert_int_equal(kind, ETCD_WATCH_CREATED);
    assert_non_null(etcd_msg_check_watch(cancelled, sizeof cancelled - 1, "k", "v", &kind));
}

/* LeaseKeepAliveResponse{header{} ID 300 TTL 5}; one without a TTL is of a lease that is gone. */
static void a_lease_has_an_id_and_a_time_to_live(void **state)
{
    (void)state;
    static const uint8_t alive[] = "\x0a\x00\x10\xac\x02\x18\x05";
    int64_t lease = 0;
    assert_null(etcd_msg_read_lease(alive, sizeof alive - 1, &lease));
    assert_int_equal(lease, 300);
    assert_non_null(etcd_msg_read_lease(alive, sizeof alive - 3, &lease));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_right_answer_passes),
        cmocka_unit_test(every_cut_answer_is_wrong),
        cmocka_unit_test(an_answer_for_another_key_is_wrong),
        cmocka_unit_test(an_empty_answer_is_wrong_for_a_range_and_right_for_a_put),
        cmocka_unit_test(a_request_fits_its_frame),
        cmocka_unit_test(only_the_event_of_that_key_and_value_is_right),
        cmocka_unit_test(a_lease_has_an_id_and_a_time_to_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
