/* SPDX-License-Identifier: Apache-2.0 */
/* inject_config_test - the injector's configuration: what is wrong is said, patterns grant what
 * they say. */
#include <stdio.h>
#include <stdlib.h>

#include "inject/claim.h"
#include "inject/inject_config.h"
#include "support/support.h"

#define MINIMAL "\"image\":\"i\",\"etcd-upstream\":[\"e\"]"

static void what_is_wrong_is_said(void **state)
{
    static const char *const rows[][2] = {
        {"", "empty"},
        {"[]", "not a JSON object"},
        {"{", "line 1: this is not JSON"},
        {"{}x", "something follows"},
        {"{}", "\"image\" is missing"},
        {"{\"image\":\"i\"}", "where the stores are"},
        {"{" MINIMAL ",\"imag\":\"x\"}", "unknown key \"imag\"; the nearest is \"image\""},
        {"{" MINIMAL ",\"image\":\"x\"}", "stands twice"},
        {"{" MINIMAL ",\"native\":\"yes\"}", "neither true nor false"},
        {"{" MINIMAL ",\"uid\":-1}", "whole number"},
        {"{" MINIMAL ",\"uid\":1.5}", "whole number"},
        {"{" MINIMAL ",\"tier\":\"all\"}", "none of loopback|environment|hosts|redirect"},
        {"{" MINIMAL ",\"tier\":\"loop\"}", "none of"},
        {"{" MINIMAL ",\"enforce\":true}", "needs \"tier\""},
        {"{" MINIMAL ",\"tier\":\"redirect\",\"uid\":0}", "exempts"},
        {"{" MINIMAL ",\"health-port\":2379}", "two ports are both 2379"},
        {"{" MINIMAL ",\"etcd-ports\":[\"x\"]}", "no port"},
        {"{" MINIMAL ",\"host-names\":[\"e\"]}", "dial itself"},
        {"{\"image\":\"i\",\"etcd-upstream\":[\"http://u:p@e\"]}", "Secret"},
        {"{" MINIMAL ",\"resources\":{\"requests\":{\"cpu\":\"1\"}}}", "requests.memory"},
        {"{" MINIMAL ",\"log-level\":\"loud\"}", "log-level"},
        {"{" MINIMAL ",\"environment\":[{\"name\":\"a b\",\"value\":\"x\"}]}", "no name"},
        {"{" MINIMAL ",\"environment\":[{\"name\":\"A\",\"value\":\"x\",\"when\":\"never\"}]}",
         "neither always nor present"},
        {"{" MINIMAL ",\"sidecar-volumes\":[{}]}", "no name"},
        {"{" MINIMAL ",\"policy\":[{}]}", "needs kubernetes-namespaces"},
        {"{" MINIMAL ",\"policy\":[{\"kubernetes-namespaces\":[\"a\"],\"claims\":[\"a//b\"]}]}",
         "no pattern"},
        {"{" MINIMAL ",\"policy\":[{\"kubernetes-namespaces\":[\"a\"],\"claim\":[\"a\"]}]}",
         "a rule has"},
        {"{" MINIMAL ",\"policy\":[{\"kubernetes-namespaces\":[\"a\"],\"claims\":[\"a\"],\"etcd-"
         "view\":\"all\"}]}",
         "policy[0].etcd-view"},
        {"{" MINIMAL ",\"policy\":[{\"kubernetes-namespaces\":[\"a\"],\"claims\":[\"a\"],\"nats-"
         "view\":true}]}",
         "policy[0].nats-view"},
        {"{" MINIMAL ",\"namespace-separator\":\"-\"}", "neither"},
        {"{" MINIMAL ",\"binary\":\"a\\u0000b\"}", "NUL"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct inject_config *c = calloc(1, sizeof *c);
        assert_int_equal(inject_config_parse(c, span_str(rows[i][0])), ERR_CONFIG);
        if (strstr(c->error, rows[i][1]) == NULL)
            fail_msg("%s: %s", rows[i][0], c->error);
        inject_config_deinit(c);
        free(c);
    }
}

static void patterns_grant_what_they_say(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool grants;
    } rows[] = {
        {"*", "default", true},
        {"*", "a/b", true},
        {"default", "default", true},
        {"default", "a", false},
        {"a", "a", true},
        {"a", "a/b/c", true},
        {"a", "ab", false},
        {"a", "default", false},
        {"a/b", "a", false},
        {"a/b", "a/b", true},
        {"a*", "ab/c", true},
        {"a*", "b", false},
        {"*/b", "x/b/y", true},
        {"*/b", "x", false},
        {"default/a", "a/x", true},
        {"{kubernetes-namespace}", "k", true},
        {"{kubernetes-namespace}-*", "k-x", true},
        {"{kubernetes-namespace}-*", "k", false},
        {"{kubernetes-namespace}-*", "kx", false},
        {"m/{kubernetes-namespace}", "m/k", true},
        {"default/{kubernetes-namespace}", "k/x", true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ns_path path;
        assert_true(claim_pattern_is_valid(rows[i].pattern));
        assert_int_equal(ns_path_parse(span_str(rows[i].path), '/', &path, NULL), ERR_OK);
        if (claim_pattern_matches(rows[i].pattern, SPAN_LIT("k"), &path) != rows[i].grants)
            fail_msg("%s %s", rows[i].pattern, rows[i].path);
    }
    static const char *const wrong[] = {"",          "/",   "a/", "/a", "a//b",
                                        "a/b/c/d/e", "a*b", ".a", "**"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (claim_pattern_is_valid(wrong[i]))
            fail_msg("\"%s\" is a pattern", wrong[i]);
}

static void the_kubernetes_namespace_default_is_no_word_for_the_root(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool grants;
    } rows[] = {
        {"{kubernetes-namespace}", "default", false},
        {"{kubernetes-namespace}/*", "default", false},
        {"{kubernetes-namespace}/*", "k/x", false},
        {"{kubernetes-namespace}/k", "k", false},
        {"{kubernetes-namespace}-*", "default-x", true},
        {"m/{kubernetes-namespace}", "m/default", true},
        {"default/{kubernetes-namespace}/*", "k/x", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ns_path path;
        assert_int_equal(ns_path_parse(span_str(rows[i].path), '/', &path, NULL), ERR_OK);
        if (claim_pattern_matches(rows[i].pattern, SPAN_LIT("default"), &path) != rows[i].grants)
            fail_msg("%s %s", rows[i].pattern, rows[i].path);
    }
}

static void quantities(void **state)
{
    static const char *const good[] = {"1", "0.5", "100m", "64Mi", "1Gi", "2k"};
    static const char *const bad[] = {"", "0", "0m", "-1", "1 Gi", "1.", "m", "1e", "1.1.1", "Mi"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(inject_quantity_is_valid(span_str(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (inject_quantity_is_valid(span_str(bad[i])))
            fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(patterns_grant_what_they_say),
        cmocka_unit_test(the_kubernetes_namespace_default_is_no_word_for_the_root),
        cmocka_unit_test(quantities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
