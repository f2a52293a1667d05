/* SPDX-License-Identifier: Apache-2.0 */
/* The laws of design.md 2.6 for etcd keys, against the model that reads a stored key's characters.
 */
#include "law/law.h"

static struct buf out_a, out_b; /* reused: a law is about bytes, not about allocation */

static struct span mapped(struct buf *out, const struct model_ns *ns, struct span key)
{
    buf_truncate(out, 0);
    assert_int_equal(key_map_key(&ns->keys, key, out), ERR_OK);
    return buf_span(out);
}

static struct span mapped_end(struct buf *out, const struct model_ns *ns, struct span end)
{
    buf_truncate(out, 0);
    assert_int_equal(key_map_end(&ns->keys, end, out), ERR_OK);
    return buf_span(out);
}

static void law_1_strip_undoes_map_and_map_is_the_layout(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L1 keys"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes key, want;
        model_any_key(&law->rng, &key);
        model_key_write(&a->name, model_span(&key), &want);
        struct span stored = mapped(&out_a, a, model_span(&key)), back = SPAN_NONE;
        LAW_HOLDS(span_eq(stored, model_span(&want)), a, a, model_span(&key), stored);
        LAW_HOLDS(key_map_strip(&a->keys, stored, &back), a, a, model_span(&key), stored);
        LAW_HOLDS(span_eq(back, model_span(&key)), a, a, model_span(&key), back);
    }
}

/* A range mapped for a holds exactly a's keys that the range as a wrote it holds. */
static void law_2_a_mapped_range_holds_only_keys_of_the_slice(void **state)
{
    (void)state;
    uint64_t inside = 0;
    for (struct law *law = law_begin("L2 keys"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes from, end, stored;
        model_any_key(&law->rng, &from);
        model_any_key(&law->rng, &end);
        if (rng_below(&law->rng, 3) == 0)
            model_set(&end, SPAN_LIT("\0"));
        if (span_cmp(model_span(&from), model_span(&end)) > 0 && rng_below(&law->rng, 4) != 0) {
            struct model_bytes swapped = from;
            from = end;
            end = swapped;
        }
        do
            model_any_stored_key(&law->rng, law->names, a, &stored);
        while (stored.n == 0); /* etcd holds no empty key */

        struct span low = mapped(&out_a, a, model_span(&from));
        struct span high = mapped_end(&out_b, a, model_span(&end));
        bool got = model_in_range(model_span(&stored), low, high);
        struct model_name owner;
        struct span key;
        bool want = model_key_read(model_span(&stored), &owner, &key) &&
                    model_name_equal(&owner, &a->name) &&
                    model_in_range(key, model_span(&from), model_span(&end));
        LAW_HOLDS(got == want, a, a, model_span(&stored), model_span(&end));
        inside += got ? 1 : 0;
    }
    print_message("%llu inside\n", (unsigned long long)inside);
}

static void law_3_mapping_keeps_order(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L3 keys"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes x, y;
        model_any_key(&law->rng, &x);
        model_any_key(&law->rng, &y);
        int want = span_cmp(model_span(&x), model_span(&y));
        int got = span_cmp(mapped(&out_a, a, model_span(&x)), mapped(&out_b, a, model_span(&y)));
        LAW_HOLDS((got > 0) - (got < 0) == (want > 0) - (want < 0), a, a, model_span(&x),
                  model_span(&y));
        /* And so do range ends, with "\0" above everything. */
        if (y.n == 0)
            continue;
        bool top = y.n == 1 && y.p[0] == 0;
        got = span_cmp(buf_span(&out_a), mapped_end(&out_b, a, model_span(&y)));
        LAW_HOLDS((got < 0) == (top || want < 0), a, a, model_span(&x), model_span(&y));
    }
}

static void law_4_two_namespaces_share_no_stored_key(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L4 keys"); law_next(law);) {
        const struct model_ns *a = law_ns(law), *b = law_ns(law);
        struct model_bytes x, y;
        model_any_key(&law->rng, &x);
        model_any_key(&law->rng, &y);
        struct span sx = mapped(&out_a, a, model_span(&x)), sy = mapped(&out_b, b, model_span(&y));
        bool same = a == b && span_eq(model_span(&x), model_span(&y));
        LAW_HOLDS(span_eq(sx, sy) == same, a, b, sx, sy);
        struct span back;
        LAW_HOLDS(key_map_strip(&b->keys, sx, &back) == (a == b), a, b, sx, model_span(&x));
        struct model_name owner;
        LAW_HOLDS(model_key_read(sx, &owner, &back) && model_name_equal(&owner, &a->name), a, b, sx,
                  back);
    }
}

static void law_5_only_verified_bytes_are_stripped(void **state)
{
    (void)state;
    uint64_t own = 0;
    for (struct law *law = law_begin("L5 keys"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes stored;
        model_any_stored_key(&law->rng, law->names, a, &stored);
        struct model_name owner;
        struct span want = SPAN_NONE, got = SPAN_LIT("unwritten");
        bool is_own = model_key_read(model_span(&stored), &owner, &want) &&
                      model_name_equal(&owner, &a->name);
        bool stripped = key_map_strip(&a->keys, model_span(&stored), &got);
        LAW_HOLDS(stripped == is_own, a, a, model_span(&stored), got);
        LAW_HOLDS(span_eq(got, is_own ? want : SPAN_LIT("unwritten")), a, a, model_span(&stored),
                  got);
        own += is_own ? 1 : 0;
    }
    print_message("%llu own\n", (unsigned long long)own);
}

/* What a range shows is the same whether or not the store also holds foreign things. */
static void law_6_a_range_shows_what_a_private_store_would(void **state)
{
    (void)state;
    enum { KEYS = 16 };
    for (struct law *law = law_begin("L6 keys"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes from, end, stored, key;
        model_any_key(&law->rng, &from);
        model_any_key(&law->rng, &end);
        struct span low = mapped(&out_a, a, model_span(&from));
        struct span high = mapped_end(&out_b, a, model_span(&end));
        unsigned shared_shows = 0, private_shows = 0;
        for (unsigned i = 0; i < KEYS; i++) {
            const struct model_ns *owner = i % 4 == 0 ? a : law_ns(law);
            model_any_key(&law->rng, &key);
            if (key.n == 0)
                continue;
            model_key_write(&owner->name, model_span(&key), &stored);
            struct span shown = SPAN_NONE;
            bool seen = model_in_range(model_span(&stored), low, high) &&
                        key_map_strip(&a->keys, model_span(&stored), &shown);
            shared_shows += seen ? 1 : 0;
            LAW_HOLDS(!seen || span_eq(shown, model_span(&key)), a, owner, shown, model_span(&key));
            private_shows += owner == a &&
                             model_in_range(model_span(&key), model_span(&from), model_span(&end));
        }
        LAW_HOLDS(shared_shows == private_shows, a, a, model_span(&from), model_span(&end));
        for (unsigned i = 1; i < KEYS && law_next(law);) /* each key was a case */
            i++;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(law_1_strip_undoes_map_and_map_is_the_layout),
        cmocka_unit_test(law_2_a_mapped_range_holds_only_keys_of_the_slice),
        cmocka_unit_test(law_3_mapping_keeps_order),
        cmocka_unit_test(law_4_two_namespaces_share_no_stored_key),
        cmocka_unit_test(law_5_only_verified_bytes_are_stripped),
        cmocka_unit_test(law_6_a_range_shows_what_a_private_store_would),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&out_a);
    buf_deinit(&out_b);
    return failed;
}
