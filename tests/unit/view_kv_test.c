/* SPDX-License-Identifier: Apache-2.0 */
/* view_kv, key_view: whose a stored pair is, and what of its lease a parent is shown. */
#include "support/etcd_rig.h"

#include "etcd/view_kv.h"

enum { KEY = 1, CREATE = 2, MOD = 3, VALUE = 5, LEASE = 6, DESCENDANT = 7, FIELD = 2 };

static struct key_view view; /* of a/b */
static struct counters counters;
static struct etcd_ns ns = {.tag = RIG_TAG, .has_tag = true, .counters = &counters};

static int open_view(void **state)
{
    (void)state;
    struct ns_path path;
    assert_int_equal(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL), ERR_OK);
    assert_int_equal(key_view_init(&view, SPAN_LIT("bh/"), &path), ERR_OK);
    return 0;
}

static void a_pair_that_is_not_one_is_not_read(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        struct span bytes;
    } bad[] = {
        {"no key", SPAN_LIT("\x28\x01")},
        {"an empty key", SPAN_LIT("\x0a\x00")},
        {"two keys", SPAN_LIT("\x0a\x01k\x0a\x01l")},
        {"two values", SPAN_LIT("\x0a\x01k\x2a\x01v\x2a\x01w")},
        {"two leases", SPAN_LIT("\x0a\x01k\x30\x01\x30\x02")},
        {"a key that is a number", SPAN_LIT("\x08\x01")},
        {"a lease that is bytes", SPAN_LIT("\x0a\x01k\x32\x01v")},
        {"cut off", SPAN_LIT("\x0a\x02k")},
    };
    struct view_kv kv;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (view_kv_read(bad[i].bytes, &kv))
            fail_msg("taken: %s", bad[i].why);
}

static void a_pair_is_stripped_of_its_own_namespace_only(void **state)
{
    (void)state;
    static const struct {
        const char *stored, *path, *key; /* key NULL: not this namespace's */
    } table[] = {
        {"bh/d/a/b.k", "", "k"},         {"bh/d/a/b/c.k", "/c", "k"},
        {"bh/d/a/b/c.k.l", "/c", "k.l"}, {"bh/d/a/b/c.k", "", NULL},
        {"bh/d/a/b.k", "/c", NULL},      {"bh/d/a/b/cc.k", "/c", NULL},
        {"bh/d/a/b/c/d.k", "/c", NULL},  {"bh/d/a/bb.k", "", NULL},
        {"bh/d/a.k", "", NULL},          {"bh/d/a/b0k", "", NULL},
        {"bh/d/a/b/ck", "/c", NULL},     {"bh/d/a/b", "", NULL},
        {"bh/m/n/a/b.", "", NULL},       {"x", "", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct view_kv kv = {.key = span_str(table[i].stored)};
        bool is_its = view_kv_strip(&view, span_str(table[i].path), &kv);
        assert_int_equal(is_its, table[i].key != NULL);
        assert_span_equal(kv.key, span_str(is_its ? table[i].key : table[i].stored));
    }
}

/* Below a/b: { "/" enc(segment) } of at most two segments more. */
static void a_path_that_is_no_namespace_is_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"", "/c", "/c/d"};
    static const char *const bad[] = {"c",  "/",   "//c",  "/c/",  "/c/d/e", "/%2b",
                                      "/%", "/%4", "/%41", "/c d", "/c\x80", "x/c"};
    static const char *const entries[] = {"bh/m/n/a/b",    "bh/m/n/a/b.",  "bh/m/n/a/b/c",
                                          "bh/m/n/a/c/d.", "bh/m/n/a/bc.", "bh/d/a/b/c."};
    struct span path;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(key_view_path_is_valid(&view, span_str(good[i]), NULL));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (key_view_path_is_valid(&view, span_str(bad[i]), NULL))
            fail_msg("taken: %s", bad[i]);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++)
        if (key_view_registry_split(&view, span_str(entries[i]), &path))
            fail_msg("taken: %s", entries[i]);
    assert_true(key_view_registry_split(&view, SPAN_LIT("bh/m/n/a/b/c."), &path));
    assert_span_equal(path, SPAN_LIT("/c"));
}

static void own_leases_are_the_applications_and_others_as_they_are(void **state)
{
    (void)state;
    static const struct {
        uint32_t whose;
        uint64_t stored, shown; /* shown 0: not at all */
        unsigned foreign;
    } table[] = {
        {FAMILY_OWN, 0, 0, 0},
        {FAMILY_OWN, RIG_ALIAS(9), 9, 0},
        {FAMILY_OWN, RIG_GIVEN, RIG_GIVEN, 0},
        {FAMILY_OWN, RIG_OTHER, 0, 1}, /* foreign = missing */
        {DESCENDANT, RIG_OTHER, RIG_OTHER, 0},
        {DESCENDANT, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(table) * 2; i++) {
        bool keys_only = i % 2 != 0;
        uint64_t stored = table[i / 2].stored, shown = table[i / 2].shown;
        struct pb_build m = {0};
        pb_str(&m, KEY, "bh/d/a/b.k");
        pb_num(&m, CREATE, 5);
        pb_num(&m, MOD, 6);
        pb_str(&m, VALUE, "value");
        if (stored != 0)
            pb_num(&m, LEASE, stored);
        pb_str(&m, 9, "of the future");
        struct view_kv kv;
        struct buf out = {0};
        assert_true(view_kv_read(pb_built(&m), &kv));
        assert_true(view_kv_strip(&view, SPAN_NONE, &kv));
        kv.number = table[i / 2].whose;
        counters.n[COUNTER_FOREIGN_LEASE] = 0;
        assert_int_equal(view_kv_write(&ns, &kv, keys_only, FIELD, &out), ERR_OK);
        assert_int_equal(counters.n[COUNTER_FOREIGN_LEASE], table[i / 2].foreign);
        struct pb_got pair = pb_find(buf_span(&out), FIELD, 0);
        assert_span_equal(pb_find(pair.s, KEY, 0).s, SPAN_LIT("k"));
        assert_int_equal(pb_find(pair.s, CREATE, 0).v, 5);
        assert_int_equal(pb_find(pair.s, MOD, 0).v, 6);
        assert_int_equal(pb_find(pair.s, VALUE, 0).field, keys_only ? 0 : VALUE);
        assert_int_equal(pb_find(pair.s, LEASE, 0).v, shown);
        assert_int_equal(pb_find(pair.s, LEASE, 0).field, shown != 0 ? LEASE : 0);
        assert_int_equal(pb_find(pair.s, LEASE, 1).field, 0);
        assert_span_equal(pb_find(pair.s, 9, 0).s, SPAN_LIT("of the future"));
        buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_that_is_not_one_is_not_read),
        cmocka_unit_test(a_pair_is_stripped_of_its_own_namespace_only),
        cmocka_unit_test(a_path_that_is_no_namespace_is_refused),
        cmocka_unit_test(own_leases_are_the_applications_and_others_as_they_are),
    };
    return cmocka_run_group_tests(tests, open_view, NULL);
}
