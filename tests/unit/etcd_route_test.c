/* SPDX-License-Identifier: Apache-2.0 */
/* The route table: complete, sorted, and with the policies of design.md 4.3. */
#include "support/support.h"

#include <string.h>

#include "etcd/etcd_call.h"

static const struct etcd_route *find(const char *path)
{
    return etcd_route_find(span_str(path));
}

static void every_route_is_found_by_its_own_path(void **state)
{
    (void)state;
    size_t n;
    const struct etcd_route *table = etcd_route_table(&n);
    assert_true(n != 0);
    for (size_t i = 0; i < n; i++)
        assert_ptr_equal(etcd_route_find(table[i].path), &table[i]);
}

static void the_table_is_sorted_by_length_then_bytes(void **state)
{
    (void)state;
    size_t n;
    const struct etcd_route *table = etcd_route_table(&n);
    for (size_t i = 1; i < n; i++) {
        assert_true(table[i - 1].path.n <= table[i].path.n);
        if (table[i - 1].path.n == table[i].path.n)
            assert_true(span_cmp(table[i - 1].path, table[i].path) < 0);
    }
}

static void what_is_not_in_the_table_is_unknown(void **state)
{
    (void)state;
    static const char *const unknown[] = {
        "",
        "/",
        "/etcdserverpb.KV/range",
        "/etcdserverpb.KV/Rang",
        "/etcdserverpb.KV/Range/",
        "etcdserverpb.KV/Range",
        "/etcdserverpb.KV/Range2",
        "/etcdserverpb.Lease/Grant",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/etcdserverpb.Maintenance/DoItAll",
    };
    const char *text;
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_null(find(unknown[i]));
    assert_null(etcd_route_find(SPAN_NONE));
    assert_int_equal(etcd_route_refusal(NULL, &text), ERR_UNIMPLEMENTED);
    assert_true(*text != '\0');
}

static void each_method_has_the_policy_of_design_4_3(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum etcd_policy policy;
    } rows[] = {
        {"/etcdserverpb.KV/Range", ETCD_REWRITE},
        {"/etcdserverpb.KV/Put", ETCD_REWRITE},
        {"/etcdserverpb.KV/DeleteRange", ETCD_REWRITE},
        {"/etcdserverpb.KV/Txn", ETCD_REWRITE},
        {"/etcdserverpb.KV/Compact", ETCD_DENY},
        {"/etcdserverpb.KV/RangeStream", ETCD_REWRITE},
        {"/etcdserverpb.Watch/Watch", ETCD_REWRITE},
        {"/etcdserverpb.Lease/LeaseGrant", ETCD_REWRITE},
        {"/etcdserverpb.Lease/LeaseRevoke", ETCD_REWRITE},
        {"/etcdserverpb.Lease/LeaseKeepAlive", ETCD_REWRITE},
        {"/etcdserverpb.Lease/LeaseTimeToLive", ETCD_REWRITE},
        {"/etcdserverpb.Lease/LeaseLeases", ETCD_REWRITE},
        {"/etcdserverpb.Cluster/MemberList", ETCD_LOCAL},
        {"/etcdserverpb.Cluster/MemberAdd", ETCD_DENY},
        {"/etcdserverpb.Cluster/MemberRemove", ETCD_DENY},
        {"/etcdserverpb.Cluster/MemberUpdate", ETCD_DENY},
        {"/etcdserverpb.Cluster/MemberPromote", ETCD_DENY},
        {"/etcdserverpb.Maintenance/Status", ETCD_FORWARD},
        {"/etcdserverpb.Maintenance/Alarm", ETCD_FORWARD},
        {"/etcdserverpb.Maintenance/Defragment", ETCD_DENY},
        {"/etcdserverpb.Maintenance/Hash", ETCD_DENY},
        {"/etcdserverpb.Maintenance/HashKV", ETCD_DENY},
        {"/etcdserverpb.Maintenance/Snapshot", ETCD_DENY},
        {"/etcdserverpb.Maintenance/MoveLeader", ETCD_DENY},
        {"/etcdserverpb.Maintenance/Downgrade", ETCD_DENY},
        {"/etcdserverpb.Auth/Authenticate", ETCD_LOCAL},
        {"/etcdserverpb.Auth/AuthStatus", ETCD_LOCAL},
        {"/etcdserverpb.Auth/AuthEnable", ETCD_DENY},
        {"/etcdserverpb.Auth/AuthDisable", ETCD_DENY},
        {"/etcdserverpb.Auth/UserAdd", ETCD_DENY},
        {"/etcdserverpb.Auth/UserGet", ETCD_DENY},
        {"/etcdserverpb.Auth/UserList", ETCD_DENY},
        {"/etcdserverpb.Auth/UserDelete", ETCD_DENY},
        {"/etcdserverpb.Auth/UserChangePassword", ETCD_DENY},
        {"/etcdserverpb.Auth/UserGrantRole", ETCD_DENY},
        {"/etcdserverpb.Auth/UserRevokeRole", ETCD_DENY},
        {"/etcdserverpb.Auth/RoleAdd", ETCD_DENY},
        {"/etcdserverpb.Auth/RoleGet", ETCD_DENY},
        {"/etcdserverpb.Auth/RoleList", ETCD_DENY},
        {"/etcdserverpb.Auth/RoleDelete", ETCD_DENY},
        {"/etcdserverpb.Auth/RoleGrantPermission", ETCD_DENY},
        {"/etcdserverpb.Auth/RoleRevokePermission", ETCD_DENY},
        {"/v3lockpb.Lock/Lock", ETCD_REWRITE},
        {"/v3lockpb.Lock/Unlock", ETCD_REWRITE},
        {"/v3electionpb.Election/Campaign", ETCD_REWRITE},
        {"/v3electionpb.Election/Proclaim", ETCD_REWRITE},
        {"/v3electionpb.Election/Leader", ETCD_REWRITE},
        {"/v3electionpb.Election/Observe", ETCD_REWRITE},
        {"/v3electionpb.Election/Resign", ETCD_REWRITE},
        {"/grpc.health.v1.Health/Check", ETCD_LOCAL},
        {"/grpc.health.v1.Health/Watch", ETCD_LOCAL},
    };
    size_t n;
    etcd_route_table(&n);
    assert_int_equal(n, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct etcd_route *route = find(rows[i].path);
        const char *text;
        assert_non_null(route);
        assert_int_equal(route->policy, rows[i].policy);
        enum err e = etcd_route_refusal(route, &text);
        assert_int_equal(e, rows[i].policy == ETCD_DENY ? ERR_DENIED : ERR_OK);
        /* Whatever is rewritten strips leases, which takes the tag. */
        assert_true(route->policy != ETCD_REWRITE || route->needs_tag);
        assert_true(route->policy != ETCD_REWRITE || route->request != NULL ||
                    route->response != NULL);
    }
}

static void streams_take_the_stream_lane(void **state)
{
    (void)state;
    assert_int_equal(find("/etcdserverpb.Watch/Watch")->lane, ETCD_LANE_STREAM);
    assert_int_equal(find("/etcdserverpb.Lease/LeaseKeepAlive")->lane, ETCD_LANE_STREAM);
    assert_int_equal(find("/etcdserverpb.KV/Range")->lane, ETCD_LANE_UNARY);
    assert_true(find("/grpc.health.v1.Health/Watch")->stays_open);
}

/* -- the configuration (design.md 4.3) -- */
static struct etcd_routes routes;

static const struct etcd_route *with(struct etcd_rules rules, const char *path)
{
    etcd_routes_init(&routes, &rules);
    return etcd_routes_find(&routes, span_str(path));
}

static void without_a_configuration_the_routes_are_the_table(void **state)
{
    (void)state;
    size_t n;
    const struct etcd_route *table = etcd_route_table(&n);
    etcd_routes_init(&routes, &(struct etcd_rules){0});
    assert_int_equal(routes.n, n);
    for (size_t i = 0; i < n; i++) {
        const struct etcd_route *r = etcd_routes_find(&routes, table[i].path);
        assert_memory_equal(r, &table[i], sizeof *r);
    }
    assert_null(etcd_routes_find(&routes, SPAN_LIT("/etcdserverpb.KV/Nothing")));
}

static void compact_is_denied_ignored_or_forwarded(void **state)
{
    (void)state;
    static const enum etcd_policy want[] = {[ETCD_COMPACT_DENY] = ETCD_DENY,
                                            [ETCD_COMPACT_IGNORE] = ETCD_LOCAL,
                                            [ETCD_COMPACT_FORWARD] = ETCD_FORWARD};
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        struct etcd_rules rules = {.compact = (enum etcd_compact)i};
        assert_int_equal(with(rules, "/etcdserverpb.KV/Compact")->policy, want[i]);
    }
    struct etcd_rules both = {.compact = ETCD_COMPACT_IGNORE, .is_trusted = true};
    assert_int_equal(with(both, "/etcdserverpb.KV/Compact")->policy, ETCD_LOCAL);
}

static void a_trusted_application_reaches_everything_and_is_still_mapped(void **state)
{
    (void)state;
    size_t n;
    const struct etcd_route *table = etcd_route_table(&n);
    for (size_t i = 0; i < n; i++) {
        const struct etcd_route *r = with((struct etcd_rules){.is_trusted = true},
                                          (const char *)table[i].path.p);
        bool is_mapped = table[i].policy == ETCD_REWRITE;
        assert_int_equal(r->policy, is_mapped ? ETCD_REWRITE : ETCD_FORWARD);
        assert_ptr_equal(r->request, is_mapped ? table[i].request : NULL);
        assert_int_equal(r->server_streams, table[i].server_streams);
        assert_false(r->stays_open);
    }
}

static void credentials_of_the_client_are_etcds_to_judge(void **state)
{
    (void)state;
    struct etcd_rules rules = {.client_credentials = true};
    assert_int_equal(with(rules, "/etcdserverpb.Auth/Authenticate")->policy, ETCD_FORWARD);
    assert_int_equal(with(rules, "/etcdserverpb.Auth/AuthStatus")->policy, ETCD_FORWARD);
    assert_int_equal(with(rules, "/etcdserverpb.Auth/AuthEnable")->policy, ETCD_DENY);
    assert_int_equal(with(rules, "/etcdserverpb.Cluster/MemberList")->policy, ETCD_LOCAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_found_by_its_own_path),
        cmocka_unit_test(the_table_is_sorted_by_length_then_bytes),
        cmocka_unit_test(what_is_not_in_the_table_is_unknown),
        cmocka_unit_test(each_method_has_the_policy_of_design_4_3),
        cmocka_unit_test(streams_take_the_stream_lane),
        cmocka_unit_test(without_a_configuration_the_routes_are_the_table),
        cmocka_unit_test(compact_is_denied_ignored_or_forwarded),
        cmocka_unit_test(a_trusted_application_reaches_everything_and_is_still_mapped),
        cmocka_unit_test(credentials_of_the_client_are_etcds_to_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
