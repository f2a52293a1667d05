/* SPDX-License-Identifier: Apache-2.0 */
/* err: every row of the table can be shown to somebody. */
#include "support/support.h"

#include <ctype.h>

#include "base/err.h"

enum { GRPC_STATUS_MAX = 16 }; /* UNAUTHENTICATED, the last one of the gRPC specification */

static void every_error_has_a_name_a_text_and_a_legal_grpc_status(void **state)
{
    (void)state;
    for (int e = 0; e < ERR_COUNT; e++) {
        const struct err_info *info = err_info((enum err)e);
        assert_non_null(info->name);
        assert_true(strlen(info->text) > 0);
        assert_non_null(info->grpc_message);
        assert_in_range(info->grpc_status, 0, GRPC_STATUS_MAX);
        assert_in_range(info->fault, FAULT_APP, FAULT_US);
    }
}

static void names_are_unique_and_fit_a_metric_label(void **state)
{
    (void)state;
    for (int e = 0; e < ERR_COUNT; e++) {
        const char *name = err_info((enum err)e)->name;
        for (const char *c = name; *c != '\0'; c++)
            assert_true(isupper((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_');
        for (int other = 0; other < e; other++)
            assert_string_not_equal(name, err_info((enum err)other)->name);
    }
}

static void a_grpc_status_and_its_message_come_together(void **state)
{
    (void)state;
    for (int e = 0; e < ERR_COUNT; e++) {
        const struct err_info *info = err_info((enum err)e);
        assert_int_equal(info->grpc_status != 0, strlen(info->grpc_message) > 0);
    }
}

static void nats_texts_fit_between_their_quotes(void **state)
{
    (void)state;
    for (int e = 0; e < ERR_COUNT; e++) {
        const char *text = err_info((enum err)e)->nats_text;
        assert_true(text == NULL || strlen(text) > 0);
        for (const char *c = text; c != NULL && *c != '\0'; c++)
            assert_true(*c != '\'' && *c >= ' ' && *c < 0x7f);
    }
}

static void texts_that_clients_compare_are_etcds_own(void **state)
{
    (void)state;
    /* etcd api/v3rpc/rpctypes/error.go */
    static const struct {
        enum err e;
        int status;
        const char *message;
    } table[] = {
        {ERR_KEY_EMPTY, 3, "etcdserver: key is not provided"},
        {ERR_TOO_MANY_OPS, 3, "etcdserver: too many operations in txn request"},
        {ERR_DENIED, 7, "etcdserver: permission denied"},
        {ERR_LIMIT, 8, "etcdserver: too many requests"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        assert_int_equal(err_info(table[i].e)->grpc_status, table[i].status);
        assert_string_equal(err_info(table[i].e)->grpc_message, table[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_a_name_a_text_and_a_legal_grpc_status),
        cmocka_unit_test(names_are_unique_and_fit_a_metric_label),
        cmocka_unit_test(a_grpc_status_and_its_message_come_together),
        cmocka_unit_test(nats_texts_fit_between_their_quotes),
        cmocka_unit_test(texts_that_clients_compare_are_etcds_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
