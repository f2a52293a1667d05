/* SPDX-License-Identifier: Apache-2.0 */
/* Range, Put, DeleteRange, Alarm, Status: keys and leases both ways, bad bytes from both sides. */
#include "support/etcd_rig.h"

static struct etcd_rig rig;

static struct pb_build kv(const char *key, const char *value, uint64_t lease)
{
    struct pb_build m = {0};
    pb_str(&m, 1, key);
    pb_num(&m, 2, 10);
    pb_num(&m, 3, 1000);
    pb_num(&m, 4, 3);
    pb_str(&m, 5, value);
    if (lease != 0)
        pb_num(&m, 6, lease);
    return m;
}

static void header(struct pb_build *reply)
{
    struct pb_build m = {0};
    pb_num(&m, 1, UINT64_C(0xcafebabe00000001));
    pb_num(&m, 2, UINT64_C(0xfeedfeed00000002));
    pb_num(&m, 3, 1234);
    pb_num(&m, 4, 7);
    pb_sub(reply, 1, &m);
}

static void keys_and_range_ends_move_into_the_slice(void **state)
{
    (void)state;
    static const struct {
        struct span key, end;
        bool has_end;
        struct span want_key, want_end;
    } rows[] = {
        {SPAN_LIT("k"), SPAN_NONE, false, SPAN_LIT(RIG_P "k"), SPAN_NONE},
        {SPAN_LIT("k"), SPAN_LIT(""), true, SPAN_LIT(RIG_P "k"), SPAN_LIT("")},
        {SPAN_LIT("k"), SPAN_LIT("l"), true, SPAN_LIT(RIG_P "k"), SPAN_LIT(RIG_P "l")},
        {SPAN_LIT("k"), SPAN_LIT("\0"), true, SPAN_LIT(RIG_P "k"), SPAN_LIT(RIG_END)},
        {SPAN_LIT("\0"), SPAN_LIT("\0"), true, SPAN_LIT(RIG_P "\0"), SPAN_LIT(RIG_END)},
        {SPAN_LIT("z"), SPAN_LIT("a"), true, SPAN_LIT(RIG_P "z"), SPAN_LIT(RIG_P "a")},
        {SPAN_LIT("\xff"), SPAN_LIT("\0\0"), true, SPAN_LIT(RIG_P "\xff"), SPAN_LIT(RIG_P "\0\0")},
    };
    static const char *const methods[] = {"/etcdserverpb.KV/Range", "/etcdserverpb.KV/DeleteRange"};
    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(methods); i++) {
        size_t row = i / 2;
        struct pb_build m = {0}, want = {0};
        pb_span(&m, 1, rows[row].key);
        pb_span(&want, 1, rows[row].want_key);
        if (rows[row].has_end) {
            pb_span(&m, 2, rows[row].end);
            if (rows[row].want_end.n != 0) /* an empty one means more than none to etcd */
                pb_span(&want, 2, rows[row].want_end);
        }
        rig_open(&rig, methods[i % 2]);
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_asked(&rig, &want);
        assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK);
        rig_close(&rig);
    }
}

static void all_else_in_a_range_passes(void **state)
{
    (void)state;
    struct pb_build m = {0}, want = {0}, rest = {0};
    for (uint32_t field = 3; field <= 13; field++)
        pb_num(&rest, field,
               field == 5 || field == 6 ? 2 : field * 1000); /* an order that exists */
    pb_str(&rest, 77, "a field of the future");
    pb_str(&m, 1, "k");
    pb_raw(&m, rest.b, rest.n);
    pb_str(&want, 1, RIG_P "k");
    pb_raw(&want, rest.b, rest.n);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_asked(&rig, &want);
    rig_close(&rig);
}

static void an_order_that_does_not_exist_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t field;
        uint64_t last; /* etcd rpc.proto RangeRequest.SortOrder, SortTarget */
    } rows[] = {{5, 2}, {6, 4}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (uint64_t v = 0; v < 70; v++) {
            uint64_t number = v < 8 ? v : UINT64_MAX >> (v - 8);
            struct pb_build m = {0};
            pb_str(&m, 1, "k");
            pb_num(&m, rows[i].field, number);
            rig_open(&rig, "/etcdserverpb.KV/Range");
            assert_int_equal(rig_ask(&rig, &m), number <= rows[i].last ? ERR_OK : ERR_SORT_OPTION);
            rig_close(&rig);
        }
}

static void an_empty_key_is_refused_by_its_last_occurrence(void **state)
{
    (void)state;
    static const char *const methods[] = {"/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put",
                                          "/etcdserverpb.KV/DeleteRange"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        struct pb_build none = {0}, empty = {0}, twice = {0}, good = {0};
        pb_str(&empty, 1, "");
        pb_str(&empty, 2, "x");
        pb_str(&twice, 1, "k");
        pb_str(&twice, 1, "");
        pb_str(&good, 1, "");
        pb_str(&good, 1, "k");
        const struct pb_build *bad[] = {&none, &empty, &twice};
        for (size_t b = 0; b < ARRAY_LEN(bad); b++) {
            rig_open(&rig, methods[i]);
            assert_int_equal(rig_ask(&rig, bad[b]), ERR_KEY_EMPTY);
            assert_int_equal(buf_len(&rig.call.to_up), 0);
            assert_string_equal(etcd_call_message(&rig.call, ERR_KEY_EMPTY),
                                "etcdserver: key is not provided");
            rig_close(&rig);
        }
        rig_open(&rig, methods[i]);
        assert_int_equal(rig_ask(&rig, &good), ERR_OK);
        rig_close(&rig);
    }
}

static void a_put_uses_its_lease(void **state)
{
    (void)state;
    static const struct {
        uint64_t lease, want;
        unsigned foreign;
    } rows[] = {
        {0, 0, 0},
        {7, RIG_ALIAS(7), 0},
        {(UINT64_C(1) << 37) - 1, RIG_ALIAS((UINT64_C(1) << 37) - 1), 0},
        {RIG_GIVEN, RIG_GIVEN, 0},
        {RIG_OTHER, RIG_NOWHERE, 1},
        {RIG_ALIAS(7), RIG_NOWHERE, 1}, /* the store's form is nothing an application knows */
        {UINT64_MAX, RIG_NOWHERE, 1},
        {UINT64_C(1) << 63, RIG_NOWHERE, 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pb_build m = {0}, want = {0};
        pb_str(&m, 1, "k");
        pb_str(&m, 2, "v");
        pb_num(&m, 3, rows[i].lease);
        pb_num(&m, 4, 1);
        pb_str(&want, 1, RIG_P "k");
        pb_str(&want, 2, "v");
        pb_num(&want, 3, rows[i].want);
        pb_num(&want, 4, 1);
        rig_open(&rig, "/etcdserverpb.KV/Put");
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_asked(&rig, &want);
        assert_int_equal(rig.counters.n[COUNTER_FOREIGN_LEASE], rows[i].foreign);
        rig_close(&rig);
    }
}

static void replies_are_stripped_and_foreign_pairs_dropped(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        uint32_t field; /* of the KeyValue in the reply */
    } rows[] = {{"/etcdserverpb.KV/Range", 2},
                {"/etcdserverpb.KV/Put", 2},
                {"/etcdserverpb.KV/DeleteRange", 3}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pb_build m = {0}, want = {0}, nothing = {0};
        struct pb_build in[] = {kv(RIG_P "k", "v", 0),
                                kv("bh/d/a/c.k", "secret", 0),
                                kv("bh/d/a/b/c.k", "secret", 0),
                                kv(RIG_P "k2", "v2", RIG_ALIAS(9)),
                                kv("k", "raw", 0),
                                kv(RIG_P, "empty logical key", RIG_GIVEN),
                                kv("bh/d/a/b", "shorter than the prefix", 0)};
        struct pb_build out[] = {kv("k", "v", 0), kv("k2", "v2", 9),
                                 kv("", "empty logical key", RIG_GIVEN)};
        pb_str(&nothing, 5, "a pair without a key");
        header(&m);
        for (size_t k = 0; k < ARRAY_LEN(in); k++)
            pb_sub(&m, rows[i].field, &in[k]);
        pb_sub(&m, rows[i].field, &nothing);
        pb_num(&m, 14, 9);
        header(&want);
        for (size_t k = 0; k < ARRAY_LEN(out); k++)
            pb_sub(&want, rows[i].field, &out[k]);
        pb_num(&want, 14, 9);
        rig_open(&rig, rows[i].method);
        assert_int_equal(rig_reply(&rig, &m), ERR_OK);
        assert_replied(&rig, &want);
        assert_int_equal(rig.counters.n[COUNTER_FOREIGN_KEY], 5);
        assert_int_equal(etcd_call_end_up(&rig.call), ERR_OK);
        rig_close(&rig);
    }
}

static void a_foreign_lease_on_an_own_key_is_not_shown(void **state)
{
    (void)state;
    static const uint64_t foreign[] = {RIG_OTHER, 5, UINT64_MAX, RIG_NOWHERE};
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        struct pb_build m = {0}, want = {0};
        struct pb_build in = kv(RIG_P "k", "v", foreign[i]), out = kv("k", "v", 0);
        pb_sub(&m, 2, &in);
        pb_sub(&want, 2, &out);
        rig_open(&rig, "/etcdserverpb.KV/Range");
        assert_int_equal(rig_reply(&rig, &m), ERR_OK);
        assert_replied(&rig, &want);
        assert_int_equal(rig.counters.n[COUNTER_FOREIGN_LEASE], 1);
        rig_close(&rig);
    }
}

static void the_first_header_is_remembered(void **state)
{
    (void)state;
    struct pb_build m = {0};
    header(&m);
    rig_open(&rig, "/etcdserverpb.KV/Put");
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_true(rig.ns.cluster_id == UINT64_C(0xcafebabe00000001));
    assert_true(rig.ns.member_id == UINT64_C(0xfeedfeed00000002));
    assert_int_equal(rig.ns.revision, 1234);
    assert_int_equal(rig.ns.raft_term, 7);
    rig_close(&rig);
}

static void alarms_may_be_read_only(void **state)
{
    (void)state;
    struct pb_build get = {0}, activate = {0};
    pb_num(&get, 1, 0);
    pb_num(&get, 2, 5);
    pb_num(&activate, 1, 1);
    rig_open(&rig, "/etcdserverpb.Maintenance/Alarm");
    assert_int_equal(rig_ask(&rig, &get), ERR_OK);
    assert_asked(&rig, &get);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.Maintenance/Alarm");
    assert_int_equal(rig_ask(&rig, &activate), ERR_DENIED);
    assert_int_equal(buf_len(&rig.call.to_up), 0);
    rig_close(&rig);
}

static void status_is_forwarded_as_it_is(void **state)
{
    (void)state;
    struct pb_build m = {0};
    pb_str(&m, 2, "3.5.16");
    pb_num(&m, 3, 20480);
    rig_open(&rig, "/etcdserverpb.Maintenance/Status");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_asked(&rig, &m);
    assert_replied(&rig, &m);
    rig_close(&rig);
}

static void bad_bytes_from_upstream_are_upstreams_fault(void **state)
{
    (void)state;
    struct pb_build cut = {0}, wrong = {0};
    pb_raw(&cut, "\x12\x05\x0a\x01", 4);
    pb_num(&wrong, 2, 1);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(rig_reply(&rig, &cut), ERR_UPSTREAM_PROTOCOL);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(rig_reply(&rig, &wrong), ERR_UPSTREAM_PROTOCOL);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    uint8_t compressed[] = {1, 0, 0, 0, 0}, half[] = {0, 0, 0};
    assert_int_equal(etcd_call_feed_up(&rig.call, span_of(compressed, 5)), ERR_UPSTREAM_PROTOCOL);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(etcd_call_feed_up(&rig.call, span_of(half, 3)), ERR_OK);
    assert_int_equal(etcd_call_end_up(&rig.call), ERR_UPSTREAM_PROTOCOL);
    rig_close(&rig);
}

static void bad_requests_end_the_call_with_their_status(void **state)
{
    (void)state;
    struct pb_build good = {0}, cut = {0};
    pb_str(&good, 1, "k");
    pb_raw(&cut, "\x0a\x05k", 3);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(rig_ask(&rig, &cut), ERR_PB_MALFORMED);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(rig_ask(&rig, &good), ERR_OK);
    assert_int_equal(rig_ask(&rig, &good), ERR_GRPC_REQUEST);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_GRPC_REQUEST);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(etcd_call_feed_app(&rig.call, SPAN_LIT("\0\0\0\0\5ab")), ERR_OK);
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_GRPC_FRAME);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(etcd_call_feed_app(&rig.call, SPAN_LIT("\1\0\0\0\5ab")), ERR_GRPC_COMPRESSED);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.KV/Range");
    assert_int_equal(etcd_call_feed_app(&rig.call, SPAN_LIT("\0\0\x20\0\1")),
                     ERR_REQUEST_TOO_LARGE);
    assert_string_equal(etcd_call_message(&rig.call, ERR_REQUEST_TOO_LARGE),
                        "grpc: received message larger than max (2097153 vs. 2097152)");
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_range_ends_move_into_the_slice),
        cmocka_unit_test(all_else_in_a_range_passes),
        cmocka_unit_test(an_order_that_does_not_exist_is_refused),
        cmocka_unit_test(an_empty_key_is_refused_by_its_last_occurrence),
        cmocka_unit_test(a_put_uses_its_lease),
        cmocka_unit_test(replies_are_stripped_and_foreign_pairs_dropped),
        cmocka_unit_test(a_foreign_lease_on_an_own_key_is_not_shown),
        cmocka_unit_test(the_first_header_is_remembered),
        cmocka_unit_test(alarms_may_be_read_only),
        cmocka_unit_test(status_is_forwarded_as_it_is),
        cmocka_unit_test(bad_bytes_from_upstream_are_upstreams_fault),
        cmocka_unit_test(bad_requests_end_the_call_with_their_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
