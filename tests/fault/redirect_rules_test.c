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
    /* The table alone, to be compared with what is there: without what deletes. */
    assert_int_equal(redirect_rules_write_table(r, &out), ERR_OK);
    text = support_string(buf_span(&out));
    assert_string_equal(text, strstr(want, "table inet bulkhead {"));
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
    "    tcp dport { 2379, 4222, 12379 } counter redirect to :15379\n"                             \
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
                    "    tcp dport { 2379, 4222, 12379 } counter reject with tcp reset\n"
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
           "    ip daddr 10.0.0.0/8 tcp dport { 2379, 4222, 12379 } counter reject with tcp reset\n"
           "    ip6 daddr fd00::1 tcp dport { 2379, 4222, 12379 } counter reject with tcp reset\n"
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
    assert_non_null(strstr(text, "tcp dport 4222 counter redirect to :15379"));
    free(text);
    buf_deinit(&out);
}

#define LISTED                                                                                     \
    "table inet bulkhead {\n\tchain to_sidecar {\n\t\ttype nat hook output priority -110; policy " \
    "accept;\n\t\tmeta skuid { 7077, 1000680000 } return\n\t\ttcp dport { 2379, 4222, 12379 } "    \
    "counter redirect to :15379\n\t}\n"

static void what_is_listed_is_told_from_what_was_changed(void **state)
{
    static const struct {
        const char *what, *listed;
        bool same;
    } rows[] = {
        {"as nft lists it", LISTED "}\n", true},
        {"with empty lines", "\n" LISTED "\n\n}\n\n", true},
        {"nothing", "", false},
        {"a part of it", LISTED, false},
        {"a chain more", LISTED "\n\tchain x {\n\t}\n}\n", false},
        {"a table more", LISTED "}\ntable inet x {\n}\n", false},
        {"asleep",
         "table inet bulkhead {\n\tflags dormant\n"
         "chain to_sidecar {",
         false},
        {"a port less",
         "table inet bulkhead {\n\tchain to_sidecar {\n\t\ttype nat hook output priority -110; "
         "policy accept;\n\t\tmeta skuid { 7077, 1000680000 } return\n\t\ttcp dport { 2379, 4222 "
         "} counter redirect to :15379\n\t}\n}\n",
         false},
        {"numbers that a blank makes of one",
         "table inet bulkhead {\n\tchain to_sidecar {\n\t\ttype nat hook output priority -110; "
         "policy accept;\n\t\tmeta skuid { 7077, 1000680000 } return\n\t\ttcp dport { 2379, 4222, "
         "1 2379 } counter redirect to :15379\n\t}\n}\n",
         false},
    };
    struct buf out = {0};
    (void)state;
    assert_int_equal(redirect_rules_write_table(&plain, &out), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (redirect_rules_are_same(span_str(rows[i].listed), buf_span(&out)) != rows[i].same)
            fail_msg("%s", rows[i].what);
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
        cmocka_unit_test(what_is_listed_is_told_from_what_was_changed),
        cmocka_unit_test(only_the_listed_users_are_exempt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
