/* SPDX-License-Identifier: Apache-2.0 */
/* redirect_rules: the text of the rules; what the kernel makes of it is tests/e2e/redirect_test.py.
 */
#include "io/redirect_rules.h"

#include <stdlib.h>

#include "support/support.h"

static const uint16_t etcd[] = {2379, 12379}, nats[] = {4222}, more[] = {2380, 4222, 8222};
static const uint32_t uids[] = {7077, 1000680000};
static const char nets[][64] = {"10.0.0.0/8", "fd00::1"};

static const struct redirect_rules plain = {
    .etcd = {etcd, 2}, .nats = {nats, 1}, .to_port = 15379, .uids = uids, .uid_count = 2};

static void expect(const struct redirect_rules *r, const char *want)
{
    struct buf out = {0};
    assert_int_equal(redirect_rules_write(r, &out), ERR_OK);
    char *text = support_string(buf_span(&out));
    assert_string_equal(text, want);
    free(text);
    buf_deinit(&out);
    /* The first one in a pod differs in its beginning alone: nothing is deleted. */
    static const char begin[] = "create table inet bulkhead\n";
    assert_int_equal(redirect_rules_write_first(r, &out), ERR_OK);
    text = support_string(buf_span(&out));
    assert_int_equal(strncmp(text, begin, sizeof begin - 1), 0);
    assert_string_equal(text + sizeof begin - 1, strstr(want, "table inet bulkhead {"));
    free(text);
    buf_deinit(&out);
}

#define HEAD                                                                                       \
    "add table inet bulkhead\n"                                                                    \
    "delete table inet bulkhead\n"                                                                 \
    "table inet bulkhead {\n"                                                                      \
    "  chain to_sidecar {\n"                                                                       \
    "    type nat hook output priority -110; policy accept;\n"                                     \
    "    meta skuid { 7077, 1000680000 } return\n"                                                 \
    "    tcp dport { 2379, 12379, 4222 } counter redirect to :15379\n"                             \
    "  }\n"

static void the_sidecar_passes_and_every_port_is_redirected(void **state)
{
    (void)state;
    expect(&plain, HEAD "}\n");
}

static void what_is_redirected_is_enforced_behind_nat_and_the_rest_before(void **state)
{
    (void)state;
    struct redirect_rules r = plain;
    r.enforce = true;
    r.more = (struct redirect_ports){more, 3};
    expect(&r, HEAD "  chain enforce_before {\n"
                    "    type filter hook output priority -120; policy accept;\n"
                    "    meta skuid { 7077, 1000680000 } return\n"
                    "    oifname \"lo\" return\n"
                    "    tcp dport { 2380, 8222 } counter reject with tcp reset\n"
                    "  }\n"
                    "  chain enforce {\n"
                    "    type filter hook output priority 0; policy accept;\n"
                    "    meta skuid { 7077, 1000680000 } return\n"
                    "    oifname \"lo\" return\n"
                    "    tcp dport { 2379, 12379, 4222 } counter reject with tcp reset\n"
                    "  }\n"
                    "}\n");
}

static void networks_have_a_rule_each(void **state)
{
    (void)state;
    struct redirect_rules r = plain;
    r.enforce = true;
    r.nets = nets;
    r.net_count = 2;
    expect(&r, HEAD
           "  chain enforce {\n"
           "    type filter hook output priority 0; policy accept;\n"
           "    meta skuid { 7077, 1000680000 } return\n"
           "    oifname \"lo\" return\n"
           "    ip daddr 10.0.0.0/8 tcp dport { 2379, 12379, 4222 } counter reject with tcp reset\n"
           "    ip6 daddr fd00::1 tcp dport { 2379, 12379, 4222 } counter reject with tcp reset\n"
           "  }\n"
           "}\n");
}

static void one_plane_alone_can_be_redirected(void **state)
{
    (void)state;
    struct redirect_rules r = plain;
    struct buf out = {0};
    r.etcd.n = 0;
    assert_int_equal(redirect_rules_write(&r, &out), ERR_OK);
    char *text = support_string(buf_span(&out));
    assert_non_null(strstr(text, "tcp dport { 4222 } counter redirect to :15379"));
    free(text);
    buf_deinit(&out);
}

static void only_the_listed_users_are_exempt(void **state)
{
    (void)state;
    assert_true(redirect_rules_exempt(&plain, 7077));
    assert_true(redirect_rules_exempt(&plain, 1000680000));
    assert_false(redirect_rules_exempt(&plain, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sidecar_passes_and_every_port_is_redirected),
        cmocka_unit_test(what_is_redirected_is_enforced_behind_nat_and_the_rest_before),
        cmocka_unit_test(networks_have_a_rule_each),
        cmocka_unit_test(one_plane_alone_can_be_redirected),
        cmocka_unit_test(only_the_listed_users_are_exempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
