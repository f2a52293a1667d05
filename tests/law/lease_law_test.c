/* SPDX-License-Identifier: Apache-2.0 */
/* The laws of design.md 2.6 for lease ids, against arithmetic. */
#include "law/law.h"

/* An id as anybody may send it: small, huge, somebody's, or one bit away from somebody's. */
static int64_t any_id(struct law *law, uint32_t tag)
{
    static const int64_t fixed[] = {0,         1,  2,        LEASE_ALIAS_MAX, LEASE_ALIAS_MAX + 1,
                                    INT64_MAX, -1, INT64_MIN};
    uint64_t payload = rng_next(&law->rng) >> (26 + rng_below(&law->rng, 38));
    uint64_t id = (uint64_t)tag << 38 | payload;
    switch (rng_below(&law->rng, 8)) {
    case 0:
        return fixed[rng_below(&law->rng, ARRAY_LEN(fixed))];
    case 1:
        return (int64_t)rng_below(&law->rng, 1 << 20);
    case 2:
        return (int64_t)rng_next(&law->rng);
    case 3:
        return (int64_t)(id | UINT64_C(1) << 62);
    case 4:
        return (int64_t)(id ^ UINT64_C(1) << rng_below(&law->rng, 64));
    case 5:
        return (int64_t)(id & ~((UINT64_C(1) << 38) - 1));
    default:
        return (int64_t)id;
    }
}

/* Is id one that namespace `tag` may name? (0 is "no lease".) */
static bool may_name(uint32_t tag, int64_t id)
{
    struct model_lease l = model_lease_read(id);
    return !l.negative &&
           (id < INT64_C(137438953472) || (l.tag == tag && !l.alias && l.payload != 0));
}

static void law_1_strip_undoes_use_and_grant(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L1 leases"); law_next(law);) {
        uint32_t tag = law_ns(law)->tag;
        int64_t id = any_id(law, tag), stored = 0, back = 0;
        enum err e = lease_tag_grant(tag, id, &law->rng, &stored);
        assert_int_equal(e == ERR_OK, may_name(tag, id));
        if (e != ERR_OK)
            continue;
        assert_true(stored > 0);
        assert_true(lease_tag_strip(tag, stored, &back));
        assert_true(id == 0 ? back > LEASE_ALIAS_MAX : back == id);
        assert_int_equal(back, model_lease_strip(tag, stored));
        assert_int_equal(lease_tag_use(tag, back, NULL), stored); /* the name leads back to it */
    }
}

static void law_4_a_stored_lease_has_one_owner(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L4 leases"); law_next(law);) {
        const struct model_ns *a = law_ns(law), *b = law_ns(law);
        int64_t x = any_id(law, a->tag), y = any_id(law, b->tag), back;
        int64_t sx = lease_tag_use(a->tag, x, NULL), sy = lease_tag_use(b->tag, y, NULL);
        if (a != b && x != 0)
            assert_false(lease_tag_strip(b->tag, sx, &back));
        if (a != b && x != 0 && y != 0)
            assert_true(sx != sy);
        if (a == b && sx == sy && may_name(a->tag, x) && may_name(a->tag, y))
            assert_true(x == y);
    }
}

static void law_5_only_own_ids_are_stripped(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L5 leases"); law_next(law);) {
        uint32_t tag = law_ns(law)->tag;
        int64_t stored = any_id(law, rng_below(&law->rng, 2) == 0 ? tag : law_ns(law)->tag);
        int64_t back = -7, want = model_lease_strip(tag, stored);
        bool stripped = lease_tag_strip(tag, stored, &back);
        assert_int_equal(stripped, want != 0 || stored == 0);
        assert_int_equal(back, stripped ? want : -7);
    }
}

/* Every id that is not ours leads to one and the same lease, which nobody is ever granted. */
static void law_6_a_foreign_lease_is_a_missing_lease(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L6 leases"); law_next(law);) {
        const struct model_ns *a = law_ns(law), *b = law_ns(law);
        int64_t id = any_id(law, b->tag), back;
        bool foreign = false;
        int64_t stored = lease_tag_use(a->tag, id, &foreign);
        assert_int_equal(foreign, !may_name(a->tag, id));
        assert_int_equal(stored == 0, id == 0);
        if (!foreign)
            continue;
        assert_int_equal(stored, lease_tag_use(a->tag, INT64_MIN, NULL));
        struct model_lease l = model_lease_read(stored);
        assert_true(!l.negative && l.tag == a->tag && l.payload == 0);
        assert_false(lease_tag_strip(a->tag, stored, &back));
        int64_t granted = 0;
        if (lease_tag_grant(b->tag, any_id(law, b->tag), &law->rng, &granted) == ERR_OK)
            assert_true(granted != stored);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(law_1_strip_undoes_use_and_grant),
        cmocka_unit_test(law_4_a_stored_lease_has_one_owner),
        cmocka_unit_test(law_5_only_own_ids_are_stripped),
        cmocka_unit_test(law_6_a_foreign_lease_is_a_missing_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
