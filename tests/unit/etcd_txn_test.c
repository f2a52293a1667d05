/* SPDX-License-Identifier: Apache-2.0 */
/* Txn: mapping at every depth, etcd's checks in etcd's order, the refusal of design.md 4.3. */
#include "support/etcd_rig.h"

enum { COMPARE = 1, SUCCESS = 2, FAILURE = 3 };
enum { RANGE = 1, PUT = 2, DELETE = 3, TXN = 4 };

static struct etcd_rig rig;

static struct pb_build op(uint32_t kind, const char *key)
{
    struct pb_build body = {0}, m = {0};
    if (key != NULL)
        pb_str(&body, 1, key);
    pb_sub(&m, kind, &body);
    return m;
}

static struct pb_build op_of(uint32_t kind, const struct pb_build *body)
{
    struct pb_build m = {0};
    pb_sub(&m, kind, body);
    return m;
}

static struct pb_build compare(const char *key, const char *end, int64_t lease)
{
    struct pb_build m = {0};
    pb_num(&m, 1, 0);
    pb_num(&m, 2, lease == 0 ? 1 : 4);
    pb_str(&m, 3, key);
    if (lease != 0)
        pb_num(&m, 8, (uint64_t)lease);
    if (end != NULL)
        pb_str(&m, 64, end);
    return m;
}

/* A fresh call; the request's error. */
static enum err ask(const struct pb_build *m)
{
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.KV/Txn");
    return rig_ask(&rig, m);
}

/* The same Txn as an application writes it (prefix "") and as it is stored. */
static struct pb_build sample(bool mapped, unsigned depth)
{
    const char *k = mapped ? RIG_P "k" : "k", *z = mapped ? RIG_P "z" : "z";
    struct pb_build m = {0}, part, put = {0};
    part = compare(k, z, 0);
    pb_sub(&m, COMPARE, &part);
    part = compare(k, NULL, mapped ? (int64_t)RIG_ALIAS(5) : 5);
    pb_sub(&m, COMPARE, &part);
    part = compare(k, NULL, (int64_t)(mapped ? RIG_NOWHERE : RIG_OTHER));
    pb_sub(&m, COMPARE, &part);
    pb_str(&put, 1, k);
    pb_str(&put, 2, "value");
    pb_num(&put, 3, mapped ? RIG_ALIAS(6) : 6);
    part = op_of(PUT, &put);
    pb_sub(&m, SUCCESS, &part);
    part = op(RANGE, k);
    pb_sub(&m, SUCCESS, &part);
    part = op(DELETE, z);
    pb_sub(&m, FAILURE, &part);
    if (depth != 0) {
        struct pb_build inner = sample(mapped, depth - 1);
        part = op_of(TXN, &inner);
        pb_sub(&m, depth % 2 == 0 ? SUCCESS : FAILURE, &part);
    }
    pb_str(&m, 99, "future");
    return m;
}

static void every_key_and_lease_is_mapped_at_every_depth(void **state)
{
    (void)state;
    for (unsigned depth = 0; depth < 8; depth++) {
        struct pb_build m = sample(false, depth), want = sample(true, depth);
        assert_int_equal(ask(&m), ERR_OK);
        assert_asked(&rig, &want);
    }
}

static void an_empty_key_is_refused_at_every_depth(void **state)
{
    (void)state;
    for (unsigned depth = 0; depth < 10; depth++)
        for (uint32_t kind = 0; kind <= DELETE; kind++) {
            struct pb_build m = {0}, good = op(PUT, "k"), bad;
            if (kind == 0) {
                bad = compare("", NULL, 0);
                pb_sub(&m, COMPARE, &bad);
            } else {
                bad = op(kind, kind == PUT ? "" : NULL);
                pb_sub(&m, SUCCESS, &good);
                pb_sub(&m, kind == PUT ? SUCCESS : FAILURE, &bad);
            }
            for (unsigned d = 0; d < depth; d++) {
                struct pb_build outer = {0}, part = op_of(TXN, &m);
                pb_sub(&outer, SUCCESS, &good);
                pb_sub(&outer, FAILURE, &part);
                m = outer;
            }
            assert_int_equal(ask(&m), ERR_KEY_EMPTY);
            assert_int_equal(buf_len(&rig.call.to_up), 0);
        }
}

static void an_operation_given_twice_is_judged_by_each(void **state)
{
    (void)state;
    /* A decoder that takes the last member of the union would write to the bare prefix. */
    struct pb_build m = {0}, both = op(PUT, "k"), empty = op(PUT, "");
    pb_raw(&both, empty.b, empty.n);
    pb_sub(&m, SUCCESS, &both);
    assert_int_equal(ask(&m), ERR_KEY_EMPTY);
}

static void an_operation_without_content_is_refused_as_etcd_does(void **state)
{
    (void)state;
    struct pb_build m = {0}, empty = {0}, future = {0};
    pb_str(&future, 5, "an operation of the future with a key");
    const struct pb_build *rows[] = {&empty, &future};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        m.n = 0;
        pb_sub(&m, SUCCESS, rows[i]);
        assert_int_equal(ask(&m), ERR_TXN_OP_UNSET);
        assert_string_equal(etcd_call_message(&rig.call, ERR_TXN_OP_UNSET),
                            "etcdserver: key not found");
        assert_int_equal(err_info(ERR_TXN_OP_UNSET)->grpc_status, 3);
    }
}

static void an_unknown_member_beside_a_known_one_does_not_pass(void **state)
{
    (void)state;
    struct pb_build m = {0}, want = {0}, mixed = op(RANGE, "k"), clean = op(RANGE, RIG_P "k");
    pb_str(&mixed, 5, "raw key");
    pb_sub(&m, SUCCESS, &mixed);
    pb_sub(&want, SUCCESS, &clean);
    assert_int_equal(ask(&m), ERR_OK);
    assert_asked(&rig, &want);
}

static struct pb_build wide(unsigned compares, unsigned success, unsigned failure)
{
    struct pb_build m = {0}, c = compare("k", NULL, 0), o = op(RANGE, "k");
    for (unsigned i = 0; i < compares; i++)
        pb_sub(&m, COMPARE, &c);
    for (unsigned i = 0; i < success; i++)
        pb_sub(&m, SUCCESS, &o);
    for (unsigned i = 0; i < failure; i++)
        pb_sub(&m, FAILURE, &o);
    return m;
}

static void operations_are_bounded_along_each_path(void **state)
{
    (void)state;
    static const struct {
        unsigned outer, inner; /* operations besides the nested Txn */
        enum err want;
    } rows[] = {
        {0, 127, ERR_OK},           {0, 128, ERR_TOO_MANY_OPS}, {63, 64, ERR_OK},
        {64, 64, ERR_TOO_MANY_OPS}, {127, 0, ERR_OK},           {128, 0, ERR_TOO_MANY_OPS},
    };
    struct pb_build m = wide(128, 128, 128);
    assert_int_equal(ask(&m), ERR_OK);
    m = wide(129, 0, 0);
    assert_int_equal(ask(&m), ERR_TOO_MANY_OPS);
    m = wide(0, 129, 0);
    assert_int_equal(ask(&m), ERR_TOO_MANY_OPS);
    m = wide(0, 0, 129);
    assert_int_equal(ask(&m), ERR_TOO_MANY_OPS);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pb_build inner = wide(0, rows[i].inner, 0), part = op_of(TXN, &inner);
        m = wide(0, rows[i].outer, 0);
        pb_sub(&m, SUCCESS, &part);
        assert_int_equal(ask(&m), rows[i].want);
        /* Two of them side by side are as long as one. */
        if (rows[i].outer != 0) {
            m = wide(0, rows[i].outer - 1, 0);
            pb_sub(&m, SUCCESS, &part);
            pb_sub(&m, SUCCESS, &part);
            assert_int_equal(ask(&m), rows[i].want);
        }
    }
}

static void depth_is_bounded_like_operations(void **state)
{
    (void)state;
    for (unsigned levels = 127; levels < 400; levels += levels < 132 ? 1 : 67) {
        struct pb_build m = {0};
        for (unsigned i = 0; i < levels; i++) {
            struct pb_build outer = {0}, part = op_of(TXN, &m);
            pb_sub(&outer, SUCCESS, &part);
            m = outer;
        }
        assert_int_equal(ask(&m), levels <= 128 ? ERR_OK : ERR_TOO_MANY_OPS);
    }
}

static void too_many_operations_come_before_an_empty_key(void **state)
{
    (void)state;
    struct pb_build m = wide(0, 128, 0), bad = op(PUT, "");
    pb_sub(&m, SUCCESS, &bad);
    assert_int_equal(ask(&m), ERR_TOO_MANY_OPS);
}

static struct pb_build range_at(uint64_t revision)
{
    struct pb_build body = {0};
    pb_str(&body, 1, "k");
    pb_num(&body, 4, revision);
    return op_of(RANGE, &body);
}

static void a_txn_that_writes_may_not_read_at_a_revision(void **state)
{
    (void)state;
    static const uint64_t revisions[] = {1, 5, UINT64_MAX};
    static const uint32_t writes[] = {PUT, DELETE};
    for (size_t i = 0; i < ARRAY_LEN(revisions) * ARRAY_LEN(writes); i++) {
        struct pb_build read = range_at(revisions[i / 2]), write = op(writes[i % 2], "k");
        struct pb_build m = {0}, nested = {0}, part;
        pb_sub(&m, SUCCESS, &read);
        assert_int_equal(ask(&m), ERR_OK); /* only reads */
        pb_sub(&m, FAILURE, &write);
        assert_int_equal(ask(&m), ERR_TXN_REVISION);
        m.n = 0;
        pb_sub(&nested, SUCCESS, &read);
        part = op_of(TXN, &nested);
        pb_sub(&m, SUCCESS, &write);
        pb_sub(&m, SUCCESS, &part);
        assert_int_equal(ask(&m), ERR_TXN_REVISION); /* the read is below */
        m.n = nested.n = 0;
        pb_sub(&nested, SUCCESS, &write);
        part = op_of(TXN, &nested);
        pb_sub(&m, FAILURE, &part);
        pb_sub(&m, SUCCESS, &read);
        assert_int_equal(ask(&m), ERR_TXN_REVISION); /* the write is below */
    }
    struct pb_build m = {0}, read = range_at(0), write = op(PUT, "k");
    pb_sub(&m, SUCCESS, &read);
    pb_sub(&m, SUCCESS, &write);
    assert_int_equal(ask(&m), ERR_OK);
}

static struct pb_build reply(bool stored, unsigned depth)
{
    struct pb_build kv = {0}, range = {0}, put = {0}, delete = {0}, m = {0}, part, other = {0};
    pb_str(&kv, 1, stored ? RIG_P "k" : "k");
    pb_str(&kv, 5, "value");
    pb_num(&kv, 6, stored ? RIG_ALIAS(3) : 3);
    pb_str(&other, 1, "bh/d/x.k");
    pb_str(&other, 5, "secret");
    pb_sub(&range, 2, &kv);
    if (stored)
        pb_sub(&range, 2, &other);
    pb_num(&range, 4, 1);
    pb_sub(&put, 2, &kv);
    pb_sub(&delete, 3, &kv);
    if (stored)
        pb_sub(&delete, 3, &other);
    pb_num(&m, 2, 1);
    part = op_of(RANGE, &range);
    pb_sub(&m, 3, &part);
    part = op_of(PUT, &put);
    pb_sub(&m, 3, &part);
    if (depth != 0) {
        struct pb_build inner = reply(stored, depth - 1);
        part = op_of(TXN, &inner);
        pb_sub(&m, 3, &part);
    }
    part = op_of(DELETE, &delete);
    pb_sub(&m, 3, &part);
    return m;
}

static void replies_are_stripped_at_every_depth(void **state)
{
    (void)state;
    for (unsigned depth = 0; depth < 8; depth++) {
        struct pb_build m = reply(true, depth), want = reply(false, depth);
        rig_close(&rig);
        rig_open(&rig, "/etcdserverpb.KV/Txn");
        assert_int_equal(rig_reply(&rig, &m), ERR_OK);
        assert_replied(&rig, &want);
        assert_int_equal(rig.counters.n[COUNTER_FOREIGN_KEY], 2 * (depth + 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_and_lease_is_mapped_at_every_depth),
        cmocka_unit_test(an_empty_key_is_refused_at_every_depth),
        cmocka_unit_test(an_operation_given_twice_is_judged_by_each),
        cmocka_unit_test(an_operation_without_content_is_refused_as_etcd_does),
        cmocka_unit_test(an_unknown_member_beside_a_known_one_does_not_pass),
        cmocka_unit_test(operations_are_bounded_along_each_path),
        cmocka_unit_test(depth_is_bounded_like_operations),
        cmocka_unit_test(too_many_operations_come_before_an_empty_key),
        cmocka_unit_test(a_txn_that_writes_may_not_read_at_a_revision),
        cmocka_unit_test(replies_are_stripped_at_every_depth),
    };
    rig_open(&rig, "/etcdserverpb.KV/Txn");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_close(&rig);
    return failed;
}
