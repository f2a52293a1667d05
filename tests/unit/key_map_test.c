/* SPDX-License-Identifier: Apache-2.0 */
/* key_map: keys and range ends in and out of the slice (design.md 4.1, 4.2). */
#include "support/support.h"

#include "policy/key_map.h"
#include "support/alloc_fail.h"

static struct ns_path path_of(const char *text)
{
    struct ns_path path;
    assert_int_equal(ns_path_parse(span_str(text), '/', &path, NULL), ERR_OK);
    return path;
}

static struct key_map map_of(const char *root, const char *text)
{
    struct ns_path path = path_of(text);
    struct key_map m;
    assert_int_equal(key_map_init(&m, span_str(root), &path), ERR_OK);
    return m;
}

static void the_prefix_is_the_layout(void **state)
{
    (void)state;
    static const struct {
        const char *root, *path, *prefix;
    } table[] = {
        {"bh/", "", "bh/d."},
        {"bh/", "a", "bh/d/a."},
        {"bh/", "a/b", "bh/d/a/b."},
        {"bh/", "a.b/c", "bh/d/a%2Eb/c."},
        {"", "a", "d/a."},
        {"x", "a/b/c/d", "xd/a/b/c/d."},
        {"bh/", "llama-8b/version-A", "bh/d/llama-8b/version-A."},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct key_map m = map_of(table[i].root, table[i].path);
        assert_span_equal(span_of(m.prefix, m.n), span_str(table[i].prefix));
    }
}

static void a_root_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char root[KEY_ROOT_BYTES_MAX + 1];
    memset(root, 'r', sizeof root);
    struct ns_path path = path_of("a");
    struct key_map m;
    assert_int_equal(key_map_init(&m, span_of(root, sizeof root), &path), ERR_LIMIT);
    assert_int_equal(key_map_init(&m, span_of(root, sizeof root - 1), &path), ERR_OK);
}

static void the_longest_path_fits(void **state)
{
    (void)state;
    char root[KEY_ROOT_BYTES_MAX], text[NS_PATH_BYTES_MAX + 1];
    memset(root, 'r', sizeof root);
    memset(text, '.', sizeof text);
    text[NS_PATH_BYTES_MAX] = '\0';
    for (size_t i = 0; i < NS_PATH_BYTES_MAX; i += 50) {
        text[i] = text[i + 48] = 'a';
        text[i + 49] = i + 50 == NS_PATH_BYTES_MAX ? 'a' : '/';
    }
    struct ns_path path = path_of(text);
    struct key_map m;
    struct buf out = {0};
    assert_int_equal(key_map_init(&m, span_of(root, sizeof root), &path), ERR_OK);
    assert_true(m.n <= sizeof m.prefix);
    assert_int_equal(key_map_registry_key(span_of(root, sizeof root), &path, &out), ERR_OK);
    assert_int_equal(buf_len(&out), m.n + 2);
    buf_deinit(&out);
}

static void keys_get_the_prefix_and_lose_it(void **state)
{
    (void)state;
    struct key_map m = map_of("bh/", "a/b");
    static const struct span keys[] = {
        {(const uint8_t *)"k", 1},        {(const uint8_t *)"\0", 1},
        {(const uint8_t *)"\xff\xff", 2}, {(const uint8_t *)"bh/d/a/b.k", 10},
        {(const uint8_t *)"/../x", 5},    {(const uint8_t *)"", 0},
    };
    struct buf out = {0};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct span back;
        buf_truncate(&out, 0);
        assert_int_equal(key_map_key(&m, keys[i], &out), ERR_OK);
        assert_span_equal(span_head(buf_span(&out), m.n), SPAN_LIT("bh/d/a/b."));
        assert_true(key_map_strip(&m, buf_span(&out), &back));
        assert_span_equal(back, keys[i]);
    }
    buf_deinit(&out);
}

static void range_ends_stay_in_the_slice(void **state)
{
    (void)state;
    struct key_map m = map_of("bh/", "a");
    static const struct {
        struct span end;
        const char *mapped;
    } table[] = {
        {{(const uint8_t *)"", 0}, ""},
        {{(const uint8_t *)"\0", 1}, "bh/d/a/"},
        {{(const uint8_t *)"k", 1}, "bh/d/a.k"},
        {{(const uint8_t *)"\xff", 1}, "bh/d/a.\xff"},
    };
    struct buf out = {0};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        buf_truncate(&out, 0);
        assert_int_equal(key_map_end(&m, table[i].end, &out), ERR_OK);
        assert_span_equal(buf_span(&out), span_str(table[i].mapped));
    }
    buf_truncate(&out, 0);
    assert_int_equal(key_map_end(&m, SPAN_LIT("\0x"), &out), ERR_OK);
    assert_span_equal(buf_span(&out), SPAN_LIT("bh/d/a.\0x"));
    buf_deinit(&out);
}

static void stored_keys_of_others_are_not_stripped(void **state)
{
    (void)state;
    struct key_map m = map_of("bh/", "a");
    static const char *const foreign[] = {
        "",          "b",        "bh/",        "bh/d",        "bh/d.k",     "bh/d/a",    "bh/d/a/k",
        "bh/d/ab.k", "bh/d/A.k", "bh/d/a-b.k", "bh/d/a0.k",   "bh/d/a/b.k", "bh/m/n/a.", "bh/m/v",
        "Bh/d/a.k",  "k",        "d/a.k",      "bh/d/a%2E.k", "bh//d/a.k",
    };
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        struct span back = SPAN_LIT("unwritten");
        if (key_map_strip(&m, span_str(foreign[i]), &back))
            fail_msg("%s was stripped", foreign[i]);
        assert_span_equal(back, SPAN_LIT("unwritten"));
    }
    struct span back;
    assert_false(key_map_strip(&m, SPAN_NONE, &back));
}

static void mapping_appends_and_leaves_what_was_there(void **state)
{
    (void)state;
    struct key_map m = map_of("bh/", "");
    struct buf out = {0};
    assert_int_equal(buf_append(&out, SPAN_LIT("before:")), ERR_OK);
    assert_int_equal(key_map_key(&m, SPAN_LIT("k"), &out), ERR_OK);
    assert_int_equal(key_map_end(&m, SPAN_LIT("l"), &out), ERR_OK);
    assert_span_equal(buf_span(&out), SPAN_LIT("before:bh/d.kbh/d.l"));
    buf_deinit(&out);
}

static void registry_keys_are_the_layout(void **state)
{
    (void)state;
    struct ns_path root = path_of(""), path = path_of("a.b/c");
    struct buf out = {0};
    assert_int_equal(key_map_registry_key(SPAN_LIT("bh/"), &root, &out), ERR_OK);
    assert_int_equal(buf_append_byte(&out, ' '), ERR_OK);
    assert_int_equal(key_map_registry_key(SPAN_LIT("bh/"), &path, &out), ERR_OK);
    assert_int_equal(buf_append_byte(&out, ' '), ERR_OK);
    assert_int_equal(key_map_tag_key(SPAN_LIT("bh/"), 0xab01f, &out), ERR_OK);
    assert_int_equal(buf_append_byte(&out, ' '), ERR_OK);
    assert_int_equal(key_map_version_key(SPAN_LIT("bh/"), &out), ERR_OK);
    assert_int_equal(buf_append_byte(&out, ' '), ERR_OK);
    assert_int_equal(key_map_patterns_key(SPAN_LIT("bh/"), &out), ERR_OK);
    assert_span_equal(buf_span(&out),
                      SPAN_LIT("bh/m/n. bh/m/n/a%2Eb/c. bh/m/t/0ab01f bh/m/v bh/m/view"));
    buf_deinit(&out);
}

static void a_failed_allocation_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    if (!alloc_fail_works)
        skip();
    struct ns_path path = path_of("a");
    struct key_map m = map_of("bh/", "a");
    struct buf out = {0};
    support_fill(&out);
    size_t before = buf_len(&out);
    for (unsigned i = 0; i < 6; i++) {
        enum err e = ERR_OK;
        alloc_fail_at = 1;
        switch (i) {
        case 0:
            e = key_map_key(&m, SPAN_LIT("k"), &out);
            break;
        case 1:
            e = key_map_end(&m, SPAN_LIT("k"), &out);
            break;
        case 2:
            e = key_map_end(&m, SPAN_LIT("\0"), &out);
            break;
        case 3:
            e = key_map_registry_key(SPAN_LIT("bh/"), &path, &out);
            break;
        case 4:
            e = key_map_tag_key(SPAN_LIT("bh/"), 1, &out);
            break;
        default:
            e = key_map_version_key(SPAN_LIT("bh/"), &out);
            break;
        }
        assert_int_equal(alloc_fail_at, 0); /* it was reached */
        assert_int_equal(e, ERR_NOMEM);
        assert_int_equal(buf_len(&out), before);
    }
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prefix_is_the_layout),
        cmocka_unit_test(a_root_that_is_too_long_is_refused),
        cmocka_unit_test(the_longest_path_fits),
        cmocka_unit_test(keys_get_the_prefix_and_lose_it),
        cmocka_unit_test(range_ends_stay_in_the_slice),
        cmocka_unit_test(stored_keys_of_others_are_not_stripped),
        cmocka_unit_test(mapping_appends_and_leaves_what_was_there),
        cmocka_unit_test(registry_keys_are_the_layout),
        cmocka_unit_test(a_failed_allocation_leaves_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
