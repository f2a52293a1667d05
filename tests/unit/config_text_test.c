/* SPDX-License-Identifier: Apache-2.0 */
/* config: the texts for people, help and documentation, name what there is and nothing else. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "config_option.h"

static void help_fits_80_columns_and_names_every_flag_of_the_command(void **state)
{
    (void)state;
    static const enum config_command commands[] = {COMMAND_SERVE,   COMMAND_RUN,  COMMAND_CHECK,
                                                   COMMAND_HEALTH,  COMMAND_WAIT, COMMAND_DRAIN,
                                                   COMMAND_REDIRECT};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        struct buf out = {0};
        assert_int_equal(config_help(commands[i], &out), ERR_OK);
        char *text = support_string(buf_span(&out));
        buf_deinit(&out);
        for (enum option o = 0; o < OPTION_COUNT; o++) {
            char flag[80];
            snprintf(flag, sizeof flag, "\n  --%s%s", option_table[o].name,
                     option_table[o].value == NULL ? "" : " ");
            bool is_there = strstr(text, flag) != NULL || strstr(text, flag + 1) == text;
            assert_int_equal(is_there, (option_table[o].commands & (unsigned)commands[i]) != 0);
        }
        for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
            if (strcspn(line, "\n") > 80)
                fail_msg("too wide: %s", line);
        free(text);
    }
}

static char *read_document(const char *name)
{
    char path[4096];
    const char *dir = getenv("SOURCE_DIR");
    if (dir == NULL) /* started by hand */
        return NULL;
    struct buf out = {0};
    const char *why = "";
    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (config_read_file(path, &out, &why) != ERR_OK)
        fail_msg("%s: %s", path, why);
    char *text = support_string(buf_span(&out));
    buf_deinit(&out);
    return text;
}

static void the_configuration_page_has_a_row_for_every_option(void **state)
{
    (void)state;
    char *text = read_document("docs/configuration.md");
    for (enum option o = 0; o < OPTION_COUNT && text != NULL; o++) {
        const struct option_row *row = &option_table[o];
        if (row->traits & TRAIT_SWITCH)
            continue;
        char flag[80], key[80], want[512];
        snprintf(flag, sizeof flag, row->commands == 0 ? "-" : "`--%s`", row->name);
        snprintf(key, sizeof key, row->traits & TRAIT_NO_FILE ? "-" : "`%s`", row->name);
        snprintf(want, sizeof want, "| %s | %s%s%s | %s | %s%s%s | ", flag,
                 row->env == NULL ? "-" : "`", row->env == NULL ? "" : row->env,
                 row->env == NULL ? "" : "`", key, row->fallback == NULL ? "-" : "`",
                 row->fallback == NULL ? "" : row->fallback, row->fallback == NULL ? "" : "`");
        if (strstr(text, want) == NULL)
            fail_msg("docs/configuration.md has no row that begins with %s", want);
    }
    free(text);
}

static void the_man_page_names_every_flag_and_variable(void **state)
{
    (void)state;
    char *text = read_document("docs/bulkhead.1");
    for (enum option o = 0; o < OPTION_COUNT && text != NULL; o++) {
        const struct option_row *row = &option_table[o];
        char flag[128] = "\\-\\-";
        size_t n = strlen(flag);
        for (const char *p = row->name; *p != '\0'; p++) { /* roff writes - as \- */
            if (*p == '-')
                flag[n++] = '\\';
            flag[n++] = *p;
        }
        flag[n] = '\0';
        if (row->commands != 0 && strstr(text, flag) == NULL)
            fail_msg("docs/bulkhead.1 does not name --%s", row->name);
        if (row->env != NULL && strstr(text, row->env) == NULL)
            fail_msg("docs/bulkhead.1 does not name %s", row->env);
    }
    free(text);
}

static bool is_option(struct span name)
{
    for (enum option o = 0; o < OPTION_COUNT; o++)
        if (span_eq(name, span_str(option_table[o].name)))
            return true;
    return false;
}

/* Also what Kubernetes sets for a Service called bulkhead, which is left alone. */
static bool is_variable(struct span name)
{
    for (enum option o = 0; o < OPTION_COUNT; o++)
        if (option_table[o].env != NULL && span_eq(name, span_str(option_table[o].env)))
            return true;
    return span_has_prefix(name, SPAN_LIT("BULKHEAD_PORT")) ||
           span_eq(name, SPAN_LIT("BULKHEAD_SERVICE_HOST"));
}

/* Every word that begins with `prefix` and goes on in `letters`; "--view-" is the beginning of
 * several and no name. */
static void expect_known(const char *document, const char *prefix, size_t hidden,
                         const char *letters, bool (*is_known)(struct span name))
{
    char *text = read_document(document);
    unsigned found = 0;
    for (char *p = text, *to = text; p != NULL; p++) { /* roff writes - as \- */
        if (*p != '\\' || p[1] != '-')
            *to++ = *p;
        if (*p == '\0')
            break;
    }
    for (const char *p = text; p != NULL && (p = strstr(p, prefix)) != NULL;) {
        struct span word = span_of(p + hidden, strlen(prefix) - hidden);
        word.n += strspn(p + strlen(prefix), letters);
        p += hidden + word.n;
        if (p[-1] == '-' || p[-1] == '_')
            continue;
        found++;
        if (!is_known(word))
            fail_msg("%s: there is no %.*s", document, (int)word.n, (const char *)word.p);
    }
    assert_true(text == NULL || found > 40);
    free(text);
}

static void the_documents_name_no_flag_and_no_variable_that_there_is_not(void **state)
{
    (void)state;
    static const char *const documents[] = {"docs/configuration.md", "docs/bulkhead.1"};
    static const char small[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    static const char large[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        expect_known(documents[i], i == 0 ? "| `--" : "--", i == 0 ? 5 : 2, small, is_option);
        expect_known(documents[i], "BULKHEAD_", 0, large, is_variable);
    }
}

static void the_nearest_name_is_the_one_with_fewest_changes(void **state)
{
    (void)state;
    static const char *const known[] = {"serve", "run", "check", "health"};
    static const char *const words[][2] = {
        {"srve", "serve"}, {"chekc", "check"}, {"rnu", "run"}, {"helth", "health"}, {"", "run"}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        assert_string_equal(config_nearest(span_str(words[i][0]), known, ARRAY_LEN(known)),
                            words[i][1]);
    char big[1000];
    memset(big, 'x', sizeof big);
    assert_string_equal(config_nearest(span_of(big, sizeof big), known, 1), "serve");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_fits_80_columns_and_names_every_flag_of_the_command),
        cmocka_unit_test(the_configuration_page_has_a_row_for_every_option),
        cmocka_unit_test(the_man_page_names_every_flag_and_variable),
        cmocka_unit_test(the_documents_name_no_flag_and_no_variable_that_there_is_not),
        cmocka_unit_test(the_nearest_name_is_the_one_with_fewest_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
