/* SPDX-License-Identifier: Apache-2.0 */
/* config: what a pod needs besides the planes: redirected connections, rules, how the sidecar ends.
 */
#include "support/support.h"

#include "support/config_rig.h"

static const struct mistake bads[] = {
    {{.argv = {UP, "--intercept-listen", "10.0.0.1:15379"}},
     "--intercept-listen \"10.0.0.1:15379\": only this pod may reach it; write 127.0.0.1:PORT or "
     "[::1]:PORT"},
    {{.argv = {UP, "--intercept-listen", "unix:/x"}},
     "--intercept-listen \"unix:/x\": redirected connections do not arrive on a unix socket; write "
     "127.0.0.1:PORT"},
    {{.argv = {UP, "--intercept-listen", "127.0.0.1:1,[::1]:2"}},
     "--intercept-listen \"[::1]:2\": all addresses have one port, the one that the rules name"},
    {{.argv = {UP, "--intercept-listen", "nats://127.0.0.1:1"}},
     "--intercept-listen \"nats://127.0.0.1:1\": an address to listen on has no scheme and no "
     "user"},
    {{.argv = {UP, "--intercept-listen", "127.0.0.1:2379"}},
     "--intercept-listen \"127.0.0.1:2379\": the port is itself redirected; choose another"},
    {{.argv = {"--etcd-upstream", "127.0.0.1:9", "--intercept-listen", "127.0.0.1:9"}},
     "--etcd-upstream \"127.0.0.1:9\": the sidecar itself listens there; choose another port with "
     "--intercept-listen"},
    {{.argv = {UP, "--etcd-ports", "2379,0"}},
     "--etcd-ports \"0\": a whole number from 1 to 65535 is possible"},
    {{.argv = {UP, "--etcd-ports", "1,1"}}, "--etcd-ports \"1\": the port stands there twice"},
    {{.argv = {UP, "--nats-ports", "4222,2379"}},
     "--nats-ports \"2379\": the port is one of etcd-ports too; a port is etcd's or NATS's"},
    {{.command = COMMAND_REDIRECT, .argv = {"--sidecar-uid", "0"}},
     "--sidecar-uid \"0\": a whole number from 1 to 4294967294 is possible"},
    {{.command = COMMAND_REDIRECT, .argv = {"--exempt-uids", "1337,4294967295"}},
     "--exempt-uids \"4294967295\": a whole number from 1 to 4294967294 is possible"},
    {{.command = COMMAND_REDIRECT, .argv = {"--exempt-uids", "1,2,3,4,5,6,7,8,9"}},
     "--exempt-uids \"9\": there are more than 8 users"},
    {{.command = COMMAND_REDIRECT, .argv = {"--enforce-to", "10.0.0.0/33"}},
     "--enforce-to \"10.0.0.0/33\": this is no address or network; write 10.0.0.5, 10.0.0.0/8 or "
     "fd00::/8"},
    {{.command = COMMAND_REDIRECT, .argv = {"--enforce-to", "::ffff:10.0.0.0/104"}},
     "--enforce-to \"::ffff:10.0.0.0/104\": packets to it are IPv4's; write it without the "
     "::ffff:"},
    {{.command = COMMAND_REDIRECT, .argv = {"--enforce-to", "::ffff:a00:5"}},
     "--enforce-to \"::ffff:a00:5\": packets to it are IPv4's; write it without the ::ffff:"},
    {{.command = COMMAND_REDIRECT, .argv = {"--enforce-to", "10.0.0.1 drop"}},
     "--enforce-to \"10.0.0.1 drop\": this is no address or network; write 10.0.0.5, 10.0.0.0/8 or "
     "fd00::/8"},
    {{.command = COMMAND_REDIRECT, .argv = {"--verify", "--remove"}},
     "--verify, --dry-run and --remove exclude each other"},
    {{.command = COMMAND_REDIRECT, .argv = {"--intercept-listen", "127.0.0.1:0"}},
     "intercept-listen names no port to redirect to; write 127.0.0.1:15379"},
    {{.command = COMMAND_REDIRECT, .argv = {"--enforce=1"}}, "--enforce takes no value"},
    {{.argv = {UP, "--enforce"}},
     "--enforce is not a flag of `bulkhead serve` but of `bulkhead redirect`"},
    {{.argv = {UP, "--drain-mode", "fast"}},
     "--drain-mode \"fast\": the mode is native or classic"},
    {{.command = COMMAND_DRAIN, .argv = {NULL}},
     "which sidecar? name its admin listener with --admin-listen ADDR or BULKHEAD_ADMIN_LISTEN"},
    {{.command = COMMAND_WAIT, .argv = {"--timeout-ms", "3600001"}},
     "--timeout-ms \"3600001\": a whole number from 0 to 3600000 is possible"},
};

static void every_mistake_has_a_text_that_says_what_where_and_what_would_be_right(void **state)
{
    (void)state;
    expect_mistakes(bads, ARRAY_LEN(bads));
}

static void a_classic_sidecar_has_longer_to_drain_unless_told_otherwise(void **state)
{
    (void)state;
    struct load classic = {.argv = {UP, "--drain-mode", "classic"}};
    assert_int_equal(load(&classic), ERR_OK);
    assert_true(config.drain_is_classic);
    assert_int_equal(config.drain_ms, 25000);
    assert_int_equal(config.drain_quiet_ms, 2000);
    classic = (struct load){.argv = {UP, "--drain-mode", "classic", "--drain-ms", "7"}};
    assert_int_equal(load(&classic), ERR_OK);
    assert_int_equal(config.drain_ms, 7);
}

static void redirect_needs_nothing_but_takes_users_ports_and_networks(void **state)
{
    (void)state;
    struct load redirect = {.command = COMMAND_REDIRECT, .argv = {NULL}};
    assert_int_equal(load(&redirect), ERR_OK);
    assert_int_equal(config.intercept_listen.n, 2);
    assert_int_equal(config.intercept_listen.a[1].port, 15379);
    assert_int_equal(config.redirect.uid_count, 1);
    assert_int_equal(config.redirect.uids[0], 7077);
    assert_int_equal(config.redirect.enforce_ports.n, 4);
    assert_false(config.redirect.enforce);
    redirect = (struct load){
        .command = COMMAND_REDIRECT,
        .argv = {"--enforce", "--dry-run", "--etcd-ports=1,2", "--enforce-to=10.0.0.0/8,fd00::1"},
        .env = {"BULKHEAD_EXEMPT_UIDS=1337,1000680000"},
        .file = "{\"sidecar-uid\": 1000670000}"};
    redirect.env[1] = "BULKHEAD_CONFIG=FILE";
    assert_int_equal(load(&redirect), ERR_OK);
    assert_true(config.redirect.enforce && config.redirect.dry_run);
    assert_int_equal(config.redirect.uid_count, 3);
    assert_int_equal(config.redirect.uids[0], 1000670000);
    assert_int_equal(config.redirect.uids[2], 1000680000);
    assert_int_equal(config.etcd_ports.n, 2);
    assert_string_equal(config.redirect.nets[1], "fd00::1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_has_a_text_that_says_what_where_and_what_would_be_right),
        cmocka_unit_test(a_classic_sidecar_has_longer_to_drain_unless_told_otherwise),
        cmocka_unit_test(redirect_needs_nothing_but_takes_users_ports_and_networks),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    config_deinit(&config);
    return failed;
}
