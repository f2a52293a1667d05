/* SPDX-License-Identifier: Apache-2.0 */
/* lease_tag: who owns a lease is written in its id (design.md 4.4). */
#include "support/support.h"

#include "policy/lease_tag.h"

#define TAG            0x123456
#define OTHER          0x123457
#define OWN(payload)   ((int64_t)(UINT64_C(0x123456) << 38 | (payload)))
#define ALIAS(payload) ((int64_t)(UINT64_C(1) << 62 | UINT64_C(0x123456) << 38 | (payload)))
#define NEVER          ALIAS(0)

static void the_hash_is_a_known_24_bit_number(void **state)
{
    (void)state;
    /* FNV-1a 32 of "" is 811c9dc5, of "a" e40c292c (published vectors), folded to 24 bits. */
    assert_int_equal(lease_tag_hash(SPAN_NONE), 0x81 ^ 0x1c9dc5);
    assert_int_equal(lease_tag_hash(SPAN_LIT("a")), 0xe4 ^ 0x0c292c);
    assert_true(lease_tag_hash(SPAN_LIT("llama-8b/version-A")) < LEASE_TAG_COUNT);
}

static void a_small_id_is_an_alias_both_ways(void **state)
{
    (void)state;
    static const int64_t ids[] = {1, 2, 7587, LEASE_ALIAS_MAX};
    struct rng rng = {1};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        int64_t stored = 0, back = 0;
        bool foreign = true;
        assert_int_equal(lease_tag_grant(TAG, ids[i], &rng, &stored), ERR_OK);
        assert_int_equal(stored, ALIAS((uint64_t)ids[i]));
        assert_int_equal(lease_tag_use(TAG, ids[i], &foreign), stored);
        assert_false(foreign);
        assert_true(lease_tag_strip(TAG, stored, &back));
        assert_int_equal(back, ids[i]);
        assert_false(lease_tag_strip(OTHER, stored, &back));
    }
}

static void a_random_id_is_ours_positive_and_never_small(void **state)
{
    (void)state;
    static const uint32_t tags[] = {0, 1, TAG, LEASE_TAG_COUNT - 1};
    struct rng rng = {1};
    for (size_t i = 0; i < 4 * 1000; i++) {
        uint32_t tag = tags[i % 4];
        int64_t stored = 0, back = 0;
        assert_int_equal(lease_tag_grant(tag, 0, &rng, &stored), ERR_OK);
        assert_true(stored > LEASE_ALIAS_MAX);
        assert_true(lease_tag_strip(tag, stored, &back));
        assert_int_equal(back, stored);
        assert_int_equal(lease_tag_use(tag, stored, NULL), stored);
        assert_false(lease_tag_strip(tag ^ 1, stored, &back));
    }
}

static void asking_again_for_a_random_id_gives_another_one(void **state)
{
    (void)state;
    struct rng rng = {1};
    int64_t first = 0, second = 0;
    assert_int_equal(lease_tag_grant(TAG, 0, &rng, &first), ERR_OK);
    assert_int_equal(lease_tag_grant(TAG, 0, &rng, &second), ERR_OK);
    assert_int_not_equal(first, second);
}

static void foreign_ids_are_refused_by_grant_and_missing_elsewhere(void **state)
{
    (void)state;
    static const int64_t foreign[] = {
        -1,
        INT64_MIN,
        INT64_MAX,
        LEASE_ALIAS_MAX + 1,
        OWN(0),
        ALIAS(0),
        ALIAS(5),
        ALIAS(UINT64_C(1) << 37),
        NEVER,
        INT64_C(1) << 62,
        (int64_t)OTHER << 38 | 9,
        (int64_t)OTHER << 38,
        (int64_t)(UINT64_C(1) << 63 | UINT64_C(0x123456) << 38 | 9),
    };
    struct rng rng = {1};
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        int64_t stored = 42;
        bool is_foreign = false;
        assert_int_equal(lease_tag_grant(TAG, foreign[i], &rng, &stored), ERR_LEASE_FOREIGN_ID);
        assert_int_equal(stored, 42);
        assert_int_equal(lease_tag_use(TAG, foreign[i], &is_foreign), NEVER);
        assert_true(is_foreign);
    }
}

static void an_id_of_our_own_may_be_chosen(void **state)
{
    (void)state;
    struct rng rng = {1};
    int64_t stored = 0;
    assert_int_equal(lease_tag_grant(TAG, OWN(1), &rng, &stored), ERR_OK);
    assert_int_equal(stored, OWN(1));
    assert_int_equal(lease_tag_use(TAG, OWN(1), NULL), OWN(1));
}

static void no_lease_stays_no_lease(void **state)
{
    (void)state;
    bool foreign = true;
    int64_t back = 1;
    assert_int_equal(lease_tag_use(TAG, 0, &foreign), 0);
    assert_false(foreign);
    assert_true(lease_tag_strip(TAG, 0, &back));
    assert_int_equal(back, 0);
}

static void the_lease_that_never_exists_is_a_lease_for_every_tag(void **state)
{
    (void)state;
    static const uint32_t tags[] = {0, TAG, LEASE_TAG_COUNT - 1};
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        int64_t back, never = lease_tag_use(tags[i], -1, NULL);
        assert_true(never > 0);
        assert_false(lease_tag_strip(tags[i], never, &back));
    }
}

static void stored_ids_of_others_are_not_stripped(void **state)
{
    (void)state;
    static const int64_t foreign[] = {
        -1,
        1,
        5,
        LEASE_ALIAS_MAX,
        OWN(0),
        NEVER,
        ALIAS(UINT64_C(1) << 37),
        INT64_MAX,
        INT64_MIN,
        (int64_t)(UINT64_C(1) << 63 | UINT64_C(0x123456) << 38 | 9),
        (int64_t)(UINT64_C(3) << 62 | UINT64_C(0x123456) << 38 | 9),
        (int64_t)OTHER << 38 | 9,
    };
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        int64_t back = 42;
        assert_false(lease_tag_strip(TAG, foreign[i], &back));
        assert_int_equal(back, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_a_known_24_bit_number),
        cmocka_unit_test(a_small_id_is_an_alias_both_ways),
        cmocka_unit_test(a_random_id_is_ours_positive_and_never_small),
        cmocka_unit_test(asking_again_for_a_random_id_gives_another_one),
        cmocka_unit_test(foreign_ids_are_refused_by_grant_and_missing_elsewhere),
        cmocka_unit_test(an_id_of_our_own_may_be_chosen),
        cmocka_unit_test(no_lease_stays_no_lease),
        cmocka_unit_test(the_lease_that_never_exists_is_a_lease_for_every_tag),
        cmocka_unit_test(stored_ids_of_others_are_not_stripped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
