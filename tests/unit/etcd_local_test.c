/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that the sidecar answers itself. */
#include "support/etcd_rig.h"

static struct etcd_rig rig;

/* One request to a local route; the error of the call. */
static enum err ask(const char *method, const struct pb_build *m)
{
    rig_open(&rig, method);
    rig.ns.cluster_id = 11;
    rig.ns.member_id = 22;
    rig.ns.revision = 33;
    rig.ns.raft_term = 44;
    enum err e = rig_ask(&rig, m);
    return e == ERR_OK ? etcd_call_end_app(&rig.call) : e;
}

static void the_member_list_is_the_sidecar(void **state)
{
    (void)state;
    struct pb_build m = {0}, want = {0}, part = {0};
    assert_int_equal(ask("/etcdserverpb.Cluster/MemberList", &m), ERR_OK);
    pb_num(&part, 1, 11);
    pb_num(&part, 2, 22);
    pb_num(&part, 4, 44);
    pb_sub(&want, 1, &part);
    part.n = 0;
    pb_num(&part, 1, 22);
    pb_str(&part, 2, "bulkhead");
    pb_str(&part, 4, "http://127.0.0.1:2379");
    pb_sub(&want, 2, &part);
    assert_replied(&rig, &want);
    assert_int_equal(buf_len(&rig.call.to_up), 0);
    rig_close(&rig);
}

static void a_member_has_an_id_even_before_etcd_was_seen(void **state)
{
    (void)state;
    struct pb_build m = {0};
    rig_open(&rig, "/etcdserverpb.Cluster/MemberList");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK);
    assert_int_equal(pb_find(pb_find(rig_replied(&rig, 0), 2, 0).s, 1, 0).v, 1);
    rig_close(&rig);
}

static void authentication_is_not_enabled(void **state)
{
    (void)state;
    struct pb_build m = {0};
    pb_str(&m, 1, "root");
    pb_str(&m, 2, "secret");
    assert_int_equal(ask("/etcdserverpb.Auth/Authenticate", &m), ERR_AUTH_DISABLED);
    assert_int_equal(err_info(ERR_AUTH_DISABLED)->grpc_status, 9);
    assert_string_equal(etcd_call_message(&rig.call, ERR_AUTH_DISABLED),
                        "etcdserver: authentication is not enabled");
    rig_close(&rig);
    m.n = 0;
    assert_int_equal(ask("/etcdserverpb.Auth/AuthStatus", &m), ERR_OK);
    struct span reply = rig_replied(&rig, 0);
    assert_int_equal(pb_find(reply, 2, 0).field, 0); /* enabled = false is not written */
    assert_int_equal(pb_find(reply, 3, 0).v, 1);     /* authRevision of a store that never had it */
    assert_int_equal(pb_find(pb_find(reply, 1, 0).s, 3, 0).v, 33);
    rig_close(&rig);
}

static void health_is_that_of_the_upstream(void **state)
{
    (void)state;
    struct pb_build m = {0}, named = {0};
    pb_str(&named, 1, "other");
    for (int usable = 0; usable < 2; usable++) {
        rig_open(&rig, "/grpc.health.v1.Health/Check");
        rig.ns.upstream_usable = usable == 1;
        rig.ns.has_tag = false; /* health does not wait for the registry */
        assert_int_equal(rig_ask(&rig, &m), ERR_OK);
        assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK);
        assert_int_equal(pb_find(rig_replied(&rig, 0), 1, 0).v, usable == 1 ? 1 : 2);
        rig_close(&rig);
    }
    assert_int_equal(ask("/grpc.health.v1.Health/Check", &named), ERR_HEALTH_SERVICE);
    assert_int_equal(err_info(ERR_HEALTH_SERVICE)->grpc_status, 5);
    rig_close(&rig);
    named.n = 0;
    pb_raw(&named, "\x0a\x05x", 3);
    assert_int_equal(ask("/grpc.health.v1.Health/Check", &named), ERR_PB_MALFORMED);
    rig_close(&rig);
}

static void a_health_watch_tells_each_change_once(void **state)
{
    (void)state;
    struct pb_build m = {0};
    assert_int_equal(ask("/grpc.health.v1.Health/Watch", &m), ERR_OK);
    assert_int_equal(etcd_call_push_health(&rig.call), ERR_OK);
    rig.ns.upstream_usable = false;
    assert_int_equal(etcd_call_push_health(&rig.call), ERR_OK);
    assert_int_equal(etcd_call_push_health(&rig.call), ERR_OK);
    rig.ns.upstream_usable = true;
    assert_int_equal(etcd_call_push_health(&rig.call), ERR_OK);
    assert_span_equal(buf_span(&rig.call.to_app),
                      SPAN_LIT("\0\0\0\0\2\x08\1\0\0\0\0\2\x08\2\0\0\0\0\2\x08\1"));
    rig_close(&rig);
    struct pb_build named = {0};
    pb_str(&named, 1, "other");
    assert_int_equal(ask("/grpc.health.v1.Health/Watch", &named), ERR_OK);
    rig.ns.upstream_usable = false;
    assert_int_equal(etcd_call_push_health(&rig.call), ERR_OK);
    assert_span_equal(buf_span(&rig.call.to_app), SPAN_LIT("\0\0\0\0\2\x08\3"));
    rig_close(&rig);
}

static void a_local_call_needs_exactly_one_request(void **state)
{
    (void)state;
    struct pb_build m = {0};
    rig_open(&rig, "/etcdserverpb.Cluster/MemberList");
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_GRPC_REQUEST);
    rig_close(&rig);
    rig_open(&rig, "/etcdserverpb.Cluster/MemberList");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_int_equal(rig_ask(&rig, &m), ERR_GRPC_REQUEST);
    rig_close(&rig);
}

static void an_ignored_compaction_is_told_as_done(void **state)
{
    (void)state;
    struct etcd_routes routes;
    struct pb_build m = {0}, want = {0}, header = {0};
    etcd_routes_init(&routes, &(struct etcd_rules){.compact = ETCD_COMPACT_IGNORE});
    rig_open(&rig, "/etcdserverpb.Cluster/MemberList");
    rig.ns.member_id = 22;
    rig.ns.revision = 33;
    etcd_call_deinit(&rig.call);
    etcd_call_init(&rig.call, &rig.ns,
                   etcd_routes_find(&routes, SPAN_LIT("/etcdserverpb.KV/Compact")));
    pb_num(&m, 1, 12);
    pb_num(&header, 2, 22);
    pb_num(&header, 3, 33);
    pb_sub(&want, 1, &header);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_int_equal(etcd_call_end_app(&rig.call), ERR_OK);
    assert_replied(&rig, &want);
    assert_int_equal(buf_len(&rig.call.to_up), 0);
    rig_close(&rig);
}

static void a_masked_status_shows_a_member_alone(void **state)
{
    (void)state;
    struct etcd_routes routes;
    struct pb_build m = {0}, want = {0}, header = {0};
    etcd_routes_init(&routes, &(struct etcd_rules){.mask_status = true});
    rig_open(&rig, "/etcdserverpb.Maintenance/Status");
    etcd_call_deinit(&rig.call);
    etcd_call_init(&rig.call, &rig.ns,
                   etcd_routes_find(&routes, SPAN_LIT("/etcdserverpb.Maintenance/Status")));
    pb_num(&header, 2, UINT64_MAX);
    pb_sub(&m, 1, &header);
    pb_str(&m, 2, "3.6.14");
    want = m;
    for (uint32_t i = 3; i <= 13; i++) {
        bool is_text = i == 8 || i == 11 || i == 13, is_shown = i == 6 || i == 10 || i == 11;
        if (is_text)
            pb_str(&m, i, "text");
        else
            pb_num(&m, i, 5);
        if (is_text && is_shown)
            pb_str(&want, i, "text");
        else if (!is_text)
            pb_num(&want, i, i == 4 ? UINT64_MAX : is_shown ? 5 : i == 3 ? 1 : 0);
    }
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_replied(&rig, &want);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_member_list_is_the_sidecar),
        cmocka_unit_test(a_member_has_an_id_even_before_etcd_was_seen),
        cmocka_unit_test(authentication_is_not_enabled),
        cmocka_unit_test(health_is_that_of_the_upstream),
        cmocka_unit_test(a_health_watch_tells_each_change_once),
        cmocka_unit_test(a_local_call_needs_exactly_one_request),
        cmocka_unit_test(an_ignored_compaction_is_told_as_done),
        cmocka_unit_test(a_masked_status_shows_a_member_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
