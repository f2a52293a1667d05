/* SPDX-License-Identifier: Apache-2.0 */
#include "support/support.h"

#include <stdio.h>

#include "limit.h"
#include "nats/nats_subs.h"

static struct span sid(char text[16], unsigned i)
{
    int n = snprintf(text, 16, "%u", i);
    return span_of(text, (size_t)n);
}

static void many_are_found_and_removed(void **state)
{
    (void)state;
    struct nats_subs t = {0};
    char text[16];
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(nats_subs_add(&t, sid(text, i), 3), ERR_OK);
    for (unsigned i = 0; i < 5000; i += 2)
        nats_subs_remove(&t, nats_subs_find(&t, sid(text, i)));
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(nats_subs_find(&t, sid(text, i)) != NULL, i % 2);
    for (unsigned i = 1; i < 5000; i += 2)
        nats_subs_remove(&t, nats_subs_find(&t, sid(text, i)));
    assert_null(t.bucket);
}

static void there_is_a_limit(void **state)
{
    (void)state;
    struct nats_subs t = {0};
    char text[16];
    for (unsigned i = 0; i < LIMIT_NATS_MULTI_SUBS; i++)
        assert_int_equal(nats_subs_add(&t, sid(text, i), 3), ERR_OK);
    assert_int_equal(nats_subs_add(&t, SPAN_LIT("x"), 3), ERR_NATS_SUBS);
    assert_int_equal(nats_subs_add(&t, SPAN_LIT("1"), 3), ERR_OK);
    nats_subs_deinit(&t);
}

static void a_finished_one_stays_until_its_barrier(void **state)
{
    (void)state;
    struct nats_subs t = {0};
    assert_int_equal(nats_subs_add(&t, SPAN_LIT("1"), 3), ERR_OK);
    nats_subs_finish(&t, nats_subs_find(&t, SPAN_LIT("1")));
    assert_int_equal(nats_subs_find(&t, SPAN_LIT("1"))->late, 3);
    nats_subs_fence(&t);
    nats_subs_passed_fence(&t);
    assert_null(t.bucket);
}

static void one_that_lives_again_survives_its_barrier(void **state)
{
    (void)state;
    struct nats_subs t = {0};
    assert_int_equal(nats_subs_add(&t, SPAN_LIT("1"), 3), ERR_OK);
    struct nats_sub *sub = nats_subs_find(&t, SPAN_LIT("1"));
    nats_subs_finish(&t, sub);
    nats_subs_fence(&t);
    assert_int_equal(nats_subs_add(&t, SPAN_LIT("1"), 1), ERR_OK);
    assert_int_equal(sub->slices, 1);
    assert_int_equal(sub->late, 2);
    nats_subs_passed_fence(&t);
    assert_int_equal(sub->late, 0);
    assert_int_equal(sub->slices, 1);
    nats_subs_remove(&t, sub);
    assert_null(t.bucket);
}

static void one_that_finishes_twice_waits_for_two_barriers(void **state)
{
    (void)state;
    struct nats_subs t = {0};
    assert_int_equal(nats_subs_add(&t, SPAN_LIT("1"), 3), ERR_OK);
    struct nats_sub *sub = nats_subs_find(&t, SPAN_LIT("1"));
    nats_subs_finish(&t, sub);
    nats_subs_fence(&t);
    assert_int_equal(nats_subs_add(&t, SPAN_LIT("1"), 3), ERR_OK);
    nats_subs_finish(&t, sub);
    nats_subs_passed_fence(&t);
    assert_int_equal(sub->late, 3);
    assert_ptr_equal(t.unfenced, sub);
    nats_subs_fence(&t);
    nats_subs_passed_fence(&t);
    assert_null(t.bucket);
    /* Removed while it waits: the barrier frees it. */
    assert_int_equal(nats_subs_add(&t, SPAN_LIT("1"), 3), ERR_OK);
    sub = nats_subs_find(&t, SPAN_LIT("1"));
    nats_subs_finish(&t, sub);
    assert_int_equal(nats_subs_add(&t, SPAN_LIT("1"), 3), ERR_OK);
    nats_subs_remove(&t, sub);
    nats_subs_fence(&t);
    nats_subs_passed_fence(&t);
    assert_null(t.bucket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_are_found_and_removed),
        cmocka_unit_test(there_is_a_limit),
        cmocka_unit_test(a_finished_one_stays_until_its_barrier),
        cmocka_unit_test(one_that_lives_again_survives_its_barrier),
        cmocka_unit_test(one_that_finishes_twice_waits_for_two_barriers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
