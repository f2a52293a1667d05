/* SPDX-License-Identifier: Apache-2.0 */
/* config_reload: what another file may change in a process that runs on, and what it may not. */
#include "support/support.h"

#include "config.h"

static struct config first, second, third;
static const char *file;

static enum err read_file(const char *path, struct buf *out, const char **ret_why)
{
    (void)path, (void)ret_why;
    return buf_append(out, span_str(file));
}

static void start(const char *text)
{
    static char *argv[] = {(char *)(uintptr_t) "--config", (char *)(uintptr_t) "FILE"};
    static char *env[] = {(char *)(uintptr_t) "BULKHEAD_DRAIN_MS=700", NULL};
    const struct config_input in = {.command = COMMAND_SERVE,
                                    .argc = ARRAY_LEN(argv),
                                    .argv = argv,
                                    .env = env,
                                    .read_file = read_file};
    file = text;
    assert_int_equal(config_load(&first, &in), ERR_OK);
}

static enum err reload(const char *text)
{
    file = text;
    config_deinit(&second);
    return config_reload(&first, &second);
}

#define BASE "\"etcd-upstream\": \"e:1\", \"namespace\": \"a\""

static void what_needs_no_restart_is_taken(void **state)
{
    (void)state;
    start("{" BASE ", \"etcd-user\": \"u\", \"etcd-password\": \"p\"}");
    assert_int_equal(reload(file), ERR_OK);
    assert_int_equal(
        reload(
            "{\"etcd-upstream\": [\"f:1\", \"g:2\"], \"namespace\": \"a\", \"etcd-user\": \"v\", "
            "\"etcd-password\": \"q\", \"max-connections\": 9, \"log-level\": \"debug\", "
            "\"log-format\": \"json\", \"drain-quiet-ms\": 5, \"drain-ms\": 1}"),
        ERR_OK);
    assert_int_equal(second.etcd_upstream.n, 2);
    assert_string_equal(second.etcd_upstream.a[1].host, "g");
    assert_string_equal(second.etcd_user, "v");
    assert_string_equal(second.etcd_password, "q");
    assert_int_equal(second.max_connections, 9);
    assert_int_equal(second.log_level, LOG_DEBUG);
    assert_int_equal(second.drain_ms, 700); /* the variable wins over each file */
    /* And from there: compared with what is in force. */
    file = "{" BASE "}";
    assert_int_equal(config_reload(&second, &third), ERR_OK);
    assert_int_equal(third.max_connections, 8192);
    assert_string_equal(third.etcd_user, "");
    config_deinit(&first);
    config_deinit(&second);
    config_deinit(&third);
}

static void what_needs_a_restart_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *file, *error;
    } rows[] = {
        {"{\"etcd-upstream\": \"e:1\"}", "namespace: another value needs a restart"},
        {"{" BASE ", \"view\": \"own\"}", "view: another value needs a restart"},
        {"{" BASE ", \"view-keys\": [\"a\"]}", "view-keys: another value needs a restart"},
        {"{" BASE ", \"health-listen\": \":1\"}", "health-listen: another value needs a restart"},
        {"{" BASE ", \"etcd-ca\": \"/ca\"}", "etcd-ca: another value needs a restart"},
        {"{" BASE ", \"profile\": \"trusted\"}", "profile: another value needs a restart"},
        {"{" BASE ", \"nats-upstream\": \"n:1\"}",
         "nats-upstream: to switch the plane on or off needs a restart"},
        {"{\"nats-upstream\": \"n:1\", \"namespace\": \"a\"}",
         "etcd-upstream: to switch the plane on or off needs a restart"},
        {"{", NULL},
        {"{" BASE ", \"log-level\": \"loud\"}",
         "FILE: \"log-level\" \"loud\": the level is error, warn, info or debug"},
    };
    start("{" BASE "}");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (reload(rows[i].file) != ERR_CONFIG)
            fail_msg("row %zu was taken", i);
        if (rows[i].error != NULL)
            assert_string_equal(second.error, rows[i].error);
    }
    config_deinit(&first);
    config_deinit(&second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_needs_no_restart_is_taken),
        cmocka_unit_test(what_needs_a_restart_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
