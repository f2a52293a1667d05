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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_stored_behind_the_path),
        cmocka_unit_test(what_is_stored_elsewhere_is_not_stripped),
        cmocka_unit_test(a_stored_name_has_at_most_255_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
