/* SPDX-License-Identifier: Apache-2.0 */
/* addr: every form a person may write, and the text that each mistake gets. */
#include "support/support.h"

#include <stdio.h>

#include "base/addr.h"

static const struct {
    const char *text;
    uint16_t default_port;
    struct addr want;
    const char *printed;
} goods[] = {
    {"127.0.0.1:2379", 0, {.host = "127.0.0.1", .port = 2379}, "127.0.0.1:2379"},
    {"127.0.0.1:0", 0, {.host = "127.0.0.1", .port = 0}, "127.0.0.1:0"},
    {"127.0.0.1:65535", 0, {.host = "127.0.0.1", .port = 65535}, "127.0.0.1:65535"},
    {":9090", 0, {.host = "0.0.0.0", .port = 9090}, "0.0.0.0:9090"},
    {"[::1]:2379", 0, {.host = "::1", .port = 2379}, "[::1]:2379"},
    {"[::]:0", 0, {.host = "::", .port = 0}, "[::]:0"},
    {"[fe80::1%eth0]:1", 0, {.host = "fe80::1%eth0", .port = 1}, "[fe80::1%eth0]:1"},
    {"localhost:4222", 0, {.host = "localhost", .port = 4222}, "localhost:4222"},
    {"etcd.svc.local.", 2379, {.host = "etcd.svc.local.", .port = 2379}, "etcd.svc.local.:2379"},
    {"my_etcd-0", 2379, {.host = "my_etcd-0", .port = 2379}, "my_etcd-0:2379"},
    {"[::1]", 2379, {.host = "::1", .port = 2379}, "[::1]:2379"},
    {"http://e:1", 2379, {.host = "e", .port = 1, .scheme = ADDR_HTTP}, "e:1"},
    {"HTTPS://e/", 2379, {.host = "e", .port = 2379, .scheme = ADDR_HTTPS}, "e:2379"},
    {"nats://n", 4222, {.host = "n", .port = 4222, .scheme = ADDR_NATS}, "n:4222"},
    {"tls://n:1", 4222, {.host = "n", .port = 1, .scheme = ADDR_TLS}, "n:1"},
    {"nats://u:p@n",
     4222,
     {.host = "n", .port = 4222, .scheme = ADDR_NATS, .user = "u", .password = "p"},
     "n:4222"},
    {"nats://tok@n",
     4222,
     {.host = "n", .port = 4222, .scheme = ADDR_NATS, .user = "tok"},
     "n:4222"},
    {"nats://u:p@q:%40%2f@[::1]:5",
     4222,
     {.host = "::1", .port = 5, .scheme = ADDR_NATS, .user = "u", .password = "p@q:@/"},
     "[::1]:5"},
    {"unix:/run/x", 0, {.kind = ADDR_UNIX, .path = "/run/x"}, "unix:/run/x"},
    {"unix:x.sock", 2379, {.kind = ADDR_UNIX, .path = "x.sock"}, "unix:x.sock"},
    {"unix:///run/x", 2379, {.kind = ADDR_UNIX, .path = "/run/x"}, "unix:/run/x"},
};

static void every_good_form_is_parsed_and_printed(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(goods); i++) {
        struct addr a = {.port = 1};
        const char *rule = NULL;
        if (addr_parse(span_str(goods[i].text), goods[i].default_port, &a, &rule) != ERR_OK)
            fail_msg("%s: %s", goods[i].text, rule);
        assert_int_equal(a.kind, goods[i].want.kind);
        assert_int_equal(a.scheme, goods[i].want.scheme);
        assert_int_equal(a.port, goods[i].want.port);
        assert_string_equal(a.host, goods[i].want.host);
        assert_string_equal(a.path, goods[i].want.path);
        assert_string_equal(a.user, goods[i].want.user);
        assert_string_equal(a.password, goods[i].want.password);
        char text[ADDR_TEXT_BYTES];
        assert_string_equal(addr_print(&a, text), goods[i].printed);
    }
}

static const struct {
    struct span text;
    uint16_t default_port;
    const char *rule_holds;
} bads[] = {
    {SPAN_LIT(""), 0, "no host"},
    {SPAN_LIT(":2379"), 2379, "no host"},
    {SPAN_LIT("http://"), 2379, "no host"},
    {SPAN_LIT("http://:2379"), 2379, "no host"},
    {SPAN_LIT("localhost"), 0, "no port"},
    {SPAN_LIT("[::1]"), 0, "no port"},
    {SPAN_LIT("localhost:"), 0, "0 to 65535"},
    {SPAN_LIT("localhost:70000"), 0, "0 to 65535"},
    {SPAN_LIT("localhost:65536"), 0, "0 to 65535"},
    {SPAN_LIT("localhost:000001"), 0, "0 to 65535"},
    {SPAN_LIT("localhost:-1"), 0, "0 to 65535"},
    {SPAN_LIT("localhost:+1"), 0, "0 to 65535"},
    {SPAN_LIT("localhost:http"), 0, "0 to 65535"},
    {SPAN_LIT("localhost: 1"), 0, "0 to 65535"},
    {SPAN_LIT("::1:2379"), 0, "brackets"},
    {SPAN_LIT("[::1:2379"), 0, "not closed"},
    {SPAN_LIT("[::1]2379"), 0, "only :PORT"},
    {SPAN_LIT("[127.0.0.1]:1"), 0, "not an IPv6 address"},
    {SPAN_LIT("[]:1"), 0, "not an IPv6 address"},
    {SPAN_LIT("[::1\0]:1"), 0, "not an IPv6 address"},
    {SPAN_LIT("127.0.0.300:1"), 0, "not an IPv4 address"},
    {SPAN_LIT("127.1:1"), 0, "not an IPv4 address"},
    {SPAN_LIT("a..b:1"), 0, "empty label"},
    {SPAN_LIT(".b:1"), 0, "empty label"},
    {SPAN_LIT("a b:1"), 0, "other than letters"},
    {SPAN_LIT("a\0b:1"), 0, "other than letters"},
    {SPAN_LIT("\xc3\xa4:1"), 0, "other than letters"},
    {SPAN_LIT("ws://n:1"), 4222, "scheme"},
    {SPAN_LIT("http://e:1/path"), 2379, "leave out the path"},
    {SPAN_LIT("e:1/"), 2379, "leave out the path"},
    {SPAN_LIT("nats://n?x=1"), 4222, "leave out the path"},
    {SPAN_LIT("nats://@n"), 4222, "no user"},
    {SPAN_LIT("nats://:p@n"), 4222, "no user"},
    {SPAN_LIT("nats://u:%4@n"), 4222, "two hexadecimal"},
    {SPAN_LIT("nats://u:%zz@n"), 4222, "two hexadecimal"},
    {SPAN_LIT("nats://u:%00@n"), 4222, "NUL"},
    {SPAN_LIT("unix:"), 0, "no path"},
    {SPAN_LIT("unix://"), 0, "no path"},
    {SPAN_LIT("unix:a\0b"), 0, "NUL"},
};

static void every_mistake_names_its_rule_and_leaves_the_result_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bads); i++) {
        struct addr a = {.port = 77};
        const char *rule = "";
        const char *text = (const char *)bads[i].text.p;
        if (addr_parse(bads[i].text, bads[i].default_port, &a, &rule) != ERR_CONFIG)
            fail_msg("%s was taken", text);
        if (strstr(rule, bads[i].rule_holds) == NULL)
            fail_msg("%s: %s", text, rule);
        assert_int_equal(a.port, 77);
    }
}

static void lengths_end_where_the_fields_end(void **state)
{
    (void)state;
    const char *rule = NULL;
    struct addr a;
    char text[512];
    for (int n = 100; n < 400; n++) {
        snprintf(text, sizeof text, "unix:%0*d", n, 0);
        assert_int_equal(addr_parse(span_str(text), 0, &a, &rule),
                         n <= ADDR_PATH_BYTES_MAX ? ERR_OK : ERR_CONFIG);
        snprintf(text, sizeof text, "nats://%0*d@h", n, 0);
        assert_int_equal(addr_parse(span_str(text), 1, &a, &rule),
                         n <= ADDR_SECRET_BYTES_MAX ? ERR_OK : ERR_CONFIG);
    }
    for (size_t n = 1; n < 400; n++) {
        for (size_t i = 0; i < n; i++)
            text[i] = i % 50 == 49 && i + 1 < n ? '.' : 'a';
        enum err want = n <= ADDR_HOST_BYTES_MAX ? ERR_OK : ERR_CONFIG;
        assert_int_equal(addr_parse(span_of(text, n), 1, &a, &rule), want);
    }
    memset(text, 'a', 64);
    assert_int_equal(addr_parse(span_of(text, 63), 1, &a, &rule), ERR_OK);
    assert_int_equal(addr_parse(span_of(text, 64), 1, &a, &rule), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_good_form_is_parsed_and_printed),
        cmocka_unit_test(every_mistake_names_its_rule_and_leaves_the_result_alone),
        cmocka_unit_test(lengths_end_where_the_fields_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
