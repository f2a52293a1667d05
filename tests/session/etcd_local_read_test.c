/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which calls a member of etcd answers that has lost the others, too: their answers are no sign
 * that it serves (proxy/DESIGN.md, "a member is cut off").
 */
#include "support/etcd_rig.h"

#include "etcd/etcd_family.h"

enum { RANGE = 1, PUT = 2, TXN = 4, SUCCESS = 2, FAILURE = 3 };
enum { QUORUM, LOCAL };

static const struct span prefixes[] = {{(const uint8_t *)"v1/", 3}};
static struct etcd_rig rig;
static struct etcd_family family;

static struct pb_build range(const char *key, bool is_serializable)
{
    struct pb_build m = {0};
    pb_str(&m, 1, key);
    pb_num(&m, 7, is_serializable);
    return m;
}

static struct pb_build op(uint32_t kind, const struct pb_build *what)
{
    struct pb_build m = {0};
    pb_sub(&m, kind, what);
    return m;
}

static void expect(const char *method, const struct pb_build *m, bool is_view, int want)
{
    rig_open(&rig, method);
    rig.ns.family = is_view ? &family : NULL;
    assert_int_equal(rig_ask(&rig, m), ERR_OK);
    assert_int_equal(rig.call.range != NULL, is_view);
    assert_int_equal(rig.call.is_local_read, want == LOCAL);
    rig_close(&rig);
}

static void a_serializable_read_is_answered_alone(void **state)
{
    (void)state;
    static const char *const methods[] = {"/etcdserverpb.KV/Range", "/etcdserverpb.KV/RangeStream"};
    for (unsigned i = 0; i < ARRAY_LEN(methods); i++)
        for (int view = 0; view < 2; view++) {
            const char *key = view != 0 ? "v1/a" : "k";
            struct pb_build alone = range(key, true), with_others = range(key, false);
            expect(methods[i], &alone, view != 0, LOCAL);
            expect(methods[i], &with_others, view != 0, QUORUM);
        }
}

static void a_txn_of_nothing_else_is_answered_alone(void **state)
{
    (void)state;
    struct pb_build m = {0}, alone = range("k", true), with_others = range("k", false);
    struct pb_build first = op(RANGE, &alone), second = op(RANGE, &with_others), part;
    pb_sub(&m, SUCCESS, &first);
    pb_sub(&m, FAILURE, &first);
    expect("/etcdserverpb.KV/Txn", &m, false, LOCAL);
    struct pb_build nested = op(TXN, &m);
    pb_sub(&m, FAILURE, &second);
    pb_sub(&m, FAILURE, &first); /* whichever is the last */
    expect("/etcdserverpb.KV/Txn", &m, false, QUORUM);
    m.n = 0;
    pb_sub(&m, SUCCESS, &nested); /* etcd proposes what has a Txn in it */
    expect("/etcdserverpb.KV/Txn", &m, false, QUORUM);
    m.n = 0;
    part = op(PUT, &(struct pb_build){.b = {0x0a, 1, 'k'}, .n = 3});
    pb_sub(&m, SUCCESS, &part);
    expect("/etcdserverpb.KV/Txn", &m, false, QUORUM);
}

static void what_a_member_keeps_itself_is_answered_alone(void **state)
{
    (void)state;
    struct pb_build none = {0}, put = {0}, lease = {0};
    pb_str(&put, 1, "k");
    pb_num(&lease, 1, 7);
    expect("/etcdserverpb.Maintenance/Status", &none, false, LOCAL);
    expect("/etcdserverpb.Lease/LeaseLeases", &none, false, LOCAL);
    expect("/etcdserverpb.Lease/LeaseRevoke", &lease, false, QUORUM);
    expect("/etcdserverpb.KV/Put", &put, false, QUORUM);
    expect("/etcdserverpb.KV/DeleteRange", &put, false, QUORUM);
}

static int open_family(void **state)
{
    (void)state;
    struct ns_path path;
    const uint64_t seed[] = {1, 2};
    assert_int_equal(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL), ERR_OK);
    assert_int_equal(family_init(&family, SPAN_LIT("bh/"), &path, seed), ERR_OK);
    family.prefixes = prefixes;
    family.prefix_count = ARRAY_LEN(prefixes);
    return 0;
}

static int close_family(void **state)
{
    (void)state;
    family_deinit(&family);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_serializable_read_is_answered_alone),
        cmocka_unit_test(a_txn_of_nothing_else_is_answered_alone),
        cmocka_unit_test(what_a_member_keeps_itself_is_answered_alone),
    };
    return cmocka_run_group_tests(tests, open_family, close_family);
}
