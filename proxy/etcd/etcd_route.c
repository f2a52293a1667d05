/* SPDX-License-Identifier: Apache-2.0 */
/*
 * etcd_route - every method of etcd 3.4 to 3.7 and what happens to it (design.md 4.3).
 *
 * In the order of route_cmp(), by length and then by bytes, which makes a lookup six comparisons of
 * lengths; a test checks the order. A row that names no lane takes the unary one.
 */
#include "etcd/etcd_pass.h"

/* One row a method. clang-format would break them. */
/* clang-format off */
#define PATH(text)  .path = {(const uint8_t *)("" text), sizeof(text) - 1}
#define DENY(text)  {PATH(text), .policy = ETCD_DENY}

static const struct etcd_route routes[] = {
    {PATH("/v3lockpb.Lock/Lock"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_leased_request, .response = &etcd_lock_response, .kind = ETCD_KIND_LEASED},
    {PATH("/etcdserverpb.KV/Put"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_put_request, .response = &etcd_put_response},
    {PATH("/etcdserverpb.KV/Txn"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_txn_request, .response = &etcd_txn_response, .kind = ETCD_KIND_TXN},
    {PATH("/v3lockpb.Lock/Unlock"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_unlock_request},
    {PATH("/etcdserverpb.KV/Range"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_range_request, .response = &etcd_range_response, .kind = ETCD_KIND_RANGE},
    DENY("/etcdserverpb.KV/Compact"),
    {PATH("/etcdserverpb.Watch/Watch"), .policy = ETCD_REWRITE, .lane = ETCD_LANE_STREAM,
     .client_streams = true, .server_streams = true, .needs_tag = true,
     .request = &etcd_watch_request, .response = &etcd_watch_response, .resumes = true,
     .kind = ETCD_KIND_WATCH},
    DENY("/etcdserverpb.Auth/RoleAdd"),
    DENY("/etcdserverpb.Auth/RoleGet"),
    DENY("/etcdserverpb.Auth/UserAdd"),
    DENY("/etcdserverpb.Auth/UserGet"),
    DENY("/etcdserverpb.Auth/RoleList"),
    DENY("/etcdserverpb.Auth/UserList"),
    {PATH("/etcdserverpb.KV/DeleteRange"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_delete_range_request, .response = &etcd_delete_range_response},
    {PATH("/etcdserverpb.KV/RangeStream"), .policy = ETCD_REWRITE, .server_streams = true,
     .needs_tag = true, .request = &etcd_range_request, .response = &etcd_range_stream_response,
     .kind = ETCD_KIND_RANGE_STREAM},
    {PATH("/grpc.health.v1.Health/Check"), .policy = ETCD_LOCAL, .kind = ETCD_KIND_HEALTH_CHECK},
    {PATH("/grpc.health.v1.Health/Watch"), .policy = ETCD_LOCAL, .server_streams = true,
     .stays_open = true, .kind = ETCD_KIND_HEALTH_WATCH},
    DENY("/etcdserverpb.Auth/AuthEnable"),
    {PATH("/etcdserverpb.Auth/AuthStatus"), .policy = ETCD_LOCAL, .needs_tag = true,
     .kind = ETCD_KIND_AUTH_STATUS},
    DENY("/etcdserverpb.Auth/RoleDelete"),
    DENY("/etcdserverpb.Auth/UserDelete"),
    {PATH("/v3electionpb.Election/Leader"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_leader_request, .response = &etcd_leader_response},
    {PATH("/v3electionpb.Election/Resign"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_held_request, .kind = ETCD_KIND_HELD},
    DENY("/etcdserverpb.Auth/AuthDisable"),
    {PATH("/etcdserverpb.Lease/LeaseGrant"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_lease_grant_request, .response = &etcd_lease_grant_response,
     .kind = ETCD_KIND_LEASE_GRANT},
    DENY("/etcdserverpb.Maintenance/Hash"),
    {PATH("/v3electionpb.Election/Observe"), .policy = ETCD_REWRITE, .lane = ETCD_LANE_STREAM,
     .server_streams = true, .needs_tag = true, .resumes = true,
     .request = &etcd_leader_request, .response = &etcd_leader_response,
     .kind = ETCD_KIND_OBSERVE},
    {PATH("/etcdserverpb.Auth/Authenticate"), .policy = ETCD_LOCAL, .kind = ETCD_KIND_AUTHENTICATE},
    DENY("/etcdserverpb.Cluster/MemberAdd"),
    {PATH("/etcdserverpb.Lease/LeaseLeases"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = NULL, .response = &etcd_lease_leases_response, .kind = ETCD_KIND_LEASE_LEASES},
    {PATH("/etcdserverpb.Lease/LeaseRevoke"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_lease_revoke_request, .response = NULL},
    {PATH("/etcdserverpb.Maintenance/Alarm"), .policy = ETCD_FORWARD,
     .request = &etcd_alarm_request},
    {PATH("/v3electionpb.Election/Campaign"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_leased_request, .response = &etcd_campaign_response,
     .kind = ETCD_KIND_LEASED},
    {PATH("/v3electionpb.Election/Proclaim"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_held_request, .kind = ETCD_KIND_HELD},
    DENY("/etcdserverpb.Auth/UserGrantRole"),
    {PATH("/etcdserverpb.Cluster/MemberList"), .policy = ETCD_LOCAL, .needs_tag = true,
     .kind = ETCD_KIND_MEMBER_LIST},
    DENY("/etcdserverpb.Maintenance/HashKV"),
    {PATH("/etcdserverpb.Maintenance/Status"), .policy = ETCD_FORWARD, .kind = ETCD_KIND_STATUS},
    DENY("/etcdserverpb.Auth/UserRevokeRole"),
    DENY("/etcdserverpb.Cluster/MemberRemove"),
    DENY("/etcdserverpb.Cluster/MemberUpdate"),
    {PATH("/etcdserverpb.Lease/LeaseKeepAlive"), .policy = ETCD_REWRITE, .lane = ETCD_LANE_STREAM,
     .client_streams = true, .server_streams = true, .needs_tag = true,
     .request = &etcd_lease_keep_alive_request, .response = &etcd_lease_keep_alive_response,
     .resumes = true, .kind = ETCD_KIND_LEASE_KEEP_ALIVE},
    {PATH("/etcdserverpb.Maintenance/Snapshot"), .policy = ETCD_DENY, .server_streams = true},
    DENY("/etcdserverpb.Cluster/MemberPromote"),
    {PATH("/etcdserverpb.Lease/LeaseTimeToLive"), .policy = ETCD_REWRITE, .needs_tag = true,
     .request = &etcd_lease_time_to_live_request, .response = &etcd_lease_time_to_live_response,
     .kind = ETCD_KIND_LEASE_TIME_TO_LIVE},
    DENY("/etcdserverpb.Maintenance/Downgrade"),
    DENY("/etcdserverpb.Maintenance/Defragment"),
    DENY("/etcdserverpb.Maintenance/MoveLeader"),
    DENY("/etcdserverpb.Auth/UserChangePassword"),
    DENY("/etcdserverpb.Auth/RoleGrantPermission"),
    DENY("/etcdserverpb.Auth/RoleRevokePermission"),
};
/* clang-format on */

static int route_cmp(struct span a, struct span b)
{
    if (a.n != b.n)
        return a.n < b.n ? -1 : 1;
    return memcmp(a.p, b.p, a.n);
}

static const struct etcd_route *find(const struct etcd_route *table, size_t n, struct span path)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int r = path.n == 0 ? -1 : route_cmp(path, table[middle].path);
        if (r == 0)
            return &table[middle];
        if (r < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct etcd_route *etcd_route_find(struct span path)
{
    return find(routes, ARRAY_LEN(routes), path);
}

const struct etcd_route *etcd_routes_find(const struct etcd_routes *r, struct span path)
{
    return find(r->route, r->n, path);
}

/* As if the sidecar were not there. */
static void forward(struct etcd_route *route)
{
    *route = (struct etcd_route){.path = route->path,
                                 .policy = ETCD_FORWARD,
                                 .lane = route->lane,
                                 .client_streams = route->client_streams,
                                 .server_streams = route->server_streams};
}

static void apply(const struct etcd_rules *rules, struct etcd_route *route)
{
    bool is_compact = span_eq(route->path, SPAN_LIT("/etcdserverpb.KV/Compact"));
    bool is_auth = route->kind == ETCD_KIND_AUTHENTICATE || route->kind == ETCD_KIND_AUTH_STATUS;
    bool is_served = route->policy != ETCD_DENY && route->policy != ETCD_LOCAL;
    if (is_compact && rules->compact == ETCD_COMPACT_IGNORE) {
        route->policy = ETCD_LOCAL;
        route->needs_tag = true;
        route->kind = ETCD_KIND_COMPACT;
    } else if (route->kind == ETCD_KIND_STATUS && rules->mask_status) {
        route->response = &etcd_masked_status_response;
    } else if ((is_compact && rules->compact == ETCD_COMPACT_FORWARD) ||
               (is_auth && rules->client_credentials) ||
               (rules->is_trusted && (!is_served || route->request == &etcd_alarm_request))) {
        forward(route);
    }
}

void etcd_routes_init(struct etcd_routes *r, const struct etcd_rules *rules)
{
    _Static_assert(ARRAY_LEN(routes) <= ETCD_ROUTES_MAX, "the table fits");
    r->n = ARRAY_LEN(routes);
    memcpy(r->route, routes, sizeof routes);
    for (size_t i = 0; i < r->n; i++)
        apply(rules, &r->route[i]);
}

const struct etcd_route *etcd_route_table(size_t *ret_n)
{
    *ret_n = ARRAY_LEN(routes);
    return routes;
}

enum err etcd_route_refusal(const struct etcd_route *route, const char **ret_message)
{
    if (route == NULL) {
        *ret_message = "bulkhead: unknown method";
        return ERR_UNIMPLEMENTED;
    }
    switch (route->policy) {
    case ETCD_DENY:
        *ret_message = err_info(ERR_DENIED)->grpc_message;
        return ERR_DENIED;
    case ETCD_REWRITE:
    case ETCD_FORWARD:
    case ETCD_LOCAL:
        break;
    }
    *ret_message = "";
    return ERR_OK;
}
