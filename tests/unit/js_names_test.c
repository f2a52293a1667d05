/* SPDX-License-Identifier: Apache-2.0 */
/* The table of design.md 5.5, and the length that a stored name may have. */
#include "support/support.h"

#include "base/attr.h"
#include "policy/js_names.h"

static struct js_names of(const char *path)
{
    struct ns_path ns;
    struct js_names m;
    assert_int_equal(ns_path_parse(span_str(path), '/', &ns, NULL), ERR_OK);
    js_names_init(&m, &ns);
    return m;
}

static void names_are_stored_behind_the_path(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name, *stored;
    } rows[] = {
        {"default", "N", "~N"},
        {"a", "N", "a~~N"},
        {"a/b", "ORDERS", "a~b~~ORDERS"},
        {"a/b.c", "KV_x", "a~b%2Ec~~KV_x"},
        {"a", "~N", "a~~~N"},
        {"a/b/c/d", "b~~N", "a~b~c~d~~b~~N"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct js_names m = of(rows[i].path);
        struct buf out = {0};
        struct span name;
        assert_int_equal(js_names_map(&m, span_str(rows[i].name), &out), ERR_OK);
        assert_span_equal(buf_span(&out), span_str(rows[i].stored));
        assert_true(js_names_strip(&m, buf_span(&out), &name));
        assert_span_equal(name, span_str(rows[i].name));
        buf_deinit(&out);
    }
}

static void what_is_stored_elsewhere_is_not_stripped(void **state)
{
    (void)state;
    struct js_names m = of("a");
    static const char *const foreign[] = {"",   "a",      "a~",   "a~~",  "N",
                                          "~N", "a~b~~N", "b~~N", "A~~N", "aa~~N"};
    struct span name;
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        assert_false(js_names_strip(&m, span_str(foreign[i]), &name));
    m = of("default");
    assert_false(js_names_strip(&m, SPAN_LIT("a~~N"), &name));
    assert_false(js_names_strip(&m, SPAN_LIT("~"), &name));
}

static void a_stored_name_has_at_most_255_bytes(void **state)
{
    (void)state;
    static const char x[256] = {[0 ... 255] = 'x'};
    struct js_names m = of("a/b");
    struct buf out = {0};
    assert_int_equal(js_names_room(&m), 255 - 5);
    assert_int_equal(js_names_map(&m, span_of(x, 250), &out), ERR_OK);
    assert_int_equal(buf_len(&out), 255);
    assert_int_equal(js_names_map(&m, span_of(x, 251), &out), ERR_LIMIT);
    assert_int_equal(buf_len(&out), 255);
    buf_deinit(&out);
    /* A path may be longer than that by itself: then no name fits. */
    char path[NS_PATH_BYTES_MAX + 1] = {0};
    for (size_t i = 0; i < 191; i++)
        path[i] = "./a"[i % 64 == 63 ? 1 : i % 64 == 0 || i % 64 == 62 ? 2 : 0];
    m = of(path);
    assert_int_equal(js_names_room(&m), 0);
    assert_int_equal(js_names_map(&m, SPAN_LIT("x"), &out), ERR_LIMIT);
}

static void a_descendants_names_are_stripped_and_their_owner_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *reader, *stored, *name, *owner; /* name NULL: no descendant's */
    } rows[] = {
        {"a", "a~b~~N", "N", "a/b"},
        {"a", "a~b~c~~N", "N", "a/b/c"},
        {"a", "a~b%2Ec~~N", "N", "a/b.c"},
        {"a", "a~b~~c~~N", "c~~N", "a/b"},
        {"default", "a~b~c~d~~N", "N", "a/b/c/d"},
        {"default", "a~~N", "N", "a"},
        {"a", "a~~N", NULL, NULL}, /* the own one */
        {"default", "~N", NULL, NULL},
        {"a", "ab~c~~N", NULL, NULL},
        {"a/b", "a~c~~N", NULL, NULL},
        {"a/b", "a~~N", NULL, NULL}, /* an ancestor's */
        {"a", "a~b~~", NULL, NULL},
        {"a", "a~b~N", NULL, NULL},
        {"a", "a~b.c~~N", NULL, NULL}, /* not as it is written */
        {"a", "a~%62~~N", NULL, NULL},
        {"a", "", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct js_names m = of(rows[i].reader);
        struct span name = SPAN_NONE, stored = span_str(rows[i].stored);
        struct ns_path owner;
        bool is_below = js_names_strip_below(&m, stored, &name);
        if (is_below != (rows[i].name != NULL))
            fail_msg("%s in %s", rows[i].stored, rows[i].reader);
        if (!is_below)
            continue;
        assert_span_equal(name, span_str(rows[i].name));
        assert_true(js_names_owner(span_head(stored, stored.n - name.n), &owner));
        assert_string_equal(owner.text, rows[i].owner);
    }
}

static void a_prefix_is_somebodys_as_it_is_written_or_nobodys(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *owner;
    } rows[] = {
        {"~", ""},      {"a~~", "a"},     {"a~b~~", "a/b"}, {"a~b%2Ec~~", "a/b.c"},
        {"", NULL},     {"a", NULL},      {"a~", NULL},     {"~~", NULL},
        {"a~~~", NULL}, {"a~~b~~", NULL}, {"a%62~~", NULL}, {"a~b~c~d~e~~", NULL},
        {"~a~~", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct ns_path owner;
        bool known = js_names_owner(span_str(rows[i].prefix), &owner);
        if (known != (rows[i].owner != NULL))
            fail_msg("\"%s\"", rows[i].prefix);
        if (known)
            assert_string_equal(owner.text, rows[i].owner);
    }
}

static void a_readers_consumer_carries_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *reader, *name, *stored;
    } rows[] = {
        {"a/b", "C", "~~a~b~~C"},
        {"a", "~~C", "~~a~~~~C"},
        {"default", "C", "~~~C"},
    };
    struct span name;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
            struct js_names m = of(rows[i].reader);
            struct buf out = {0};
            assert_int_equal(js_names_map_consumer(&m, span_str(rows[i].name), &out), ERR_OK);
            assert_span_equal(buf_span(&out), span_str(rows[i].stored));
            buf_deinit(&out);
            /* Nobody strips another reader's. */
            bool strips = js_names_strip_consumer(&m, span_str(rows[k].stored), &name);
            assert_int_equal(strips, i == k);
            if (strips)
                assert_span_equal(name, span_str(rows[i].name));
        }
    struct js_names m = of("a");
    assert_false(js_names_strip_consumer(&m, SPAN_LIT("C"), &name));
    assert_false(js_names_strip_consumer(&m, SPAN_LIT("~~a~~"), &name));
    static const char x[256] = {[0 ... 255] = 'x'};
    struct buf out = {0};
    assert_int_equal(js_names_map_consumer(&m, span_of(x, 256), &out), ERR_LIMIT);
    assert_int_equal(buf_len(&out), 0);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_stored_behind_the_path),
        cmocka_unit_test(what_is_stored_elsewhere_is_not_stripped),
        cmocka_unit_test(a_stored_name_has_at_most_255_bytes),
        cmocka_unit_test(a_descendants_names_are_stripped_and_their_owner_is_known),
        cmocka_unit_test(a_prefix_is_somebodys_as_it_is_written_or_nobodys),
        cmocka_unit_test(a_readers_consumer_carries_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
