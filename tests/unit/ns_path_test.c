/* SPDX-License-Identifier: Apache-2.0 */
/* ns_path: what is a namespace, what is none, and what a person is told (design.md 2.1, 2.2). */
#include "support/support.h"

#include "policy/ns_path.h"

/* SPAN_LIT for a static table. */
#define IN(s)                                                                                      \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }
#define S63 "abcdefghijklmnopqrstuvwxyz0123456789-_.ABCDEFGHIJKLMNOPQRSTUVWX"
#define S50 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define S49 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static struct ns_path parsed(const char *text, char sep)
{
    struct ns_path path;
    struct ns_path_error error = {0, ""};
    if (ns_path_parse(span_str(text), sep, &path, &error) != ERR_OK)
        fail_msg("%s: byte %zu: %s", text, error.position, error.rule);
    return path;
}

static void legal_names_have_one_canonical_form(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        char sep;
        unsigned segments;
        const char *text, *name;
    } table[] = {
        {"", '/', 0, "", "default"},
        {"default", '/', 0, "", "default"},
        {"default", '.', 0, "", "default"},
        {"a", '/', 1, "a", "a"},
        {"default/x", '/', 1, "x", "x"},
        {"default.x", '.', 1, "x", "x"},
        {"a/default", '/', 2, "a/default", "a/default"},
        {"a/default/b", '/', 3, "a/default/b", "a/default/b"},
        {"default/a/default", '/', 2, "a/default", "a/default"},
        {"defaults", '/', 1, "defaults", "defaults"},
        {"default-x/y", '/', 2, "default-x/y", "default-x/y"},
        {"default.x", '/', 1, "default.x", "default.x"},
        {"Default", '/', 1, "Default", "Default"},
        {"llama-8b/version-A", '/', 2, "llama-8b/version-A", "llama-8b/version-A"},
        {"a.b", '/', 1, "a.b", "a.b"},
        {"a..b", '/', 1, "a..b", "a..b"},
        {"a.b.c.d", '.', 4, "a/b/c/d", "a/b/c/d"},
        {"a/b/c/d", '/', 4, "a/b/c/d", "a/b/c/d"},
        {"_", '/', 1, "_", "_"},
        {"-", '/', 1, "-", "-"},
        {"0/A/z", '/', 3, "0/A/z", "0/A/z"},
        {S63, '/', 1, S63, S63},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct ns_path path = parsed(table[i].input, table[i].sep);
        assert_int_equal(path.segments, table[i].segments);
        assert_string_equal(path.text, table[i].text);
        assert_string_equal(ns_path_name(&path), table[i].name);
    }
}

static void a_path_of_200_bytes_is_legal_also_behind_default(void **state)
{
    (void)state;
    static const char *const inputs[] = {S50 "/" S49 "/" S50 "/"
                                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                             "aaaaaaaaaaaaaaaaa",
                                         "default/" S50 "/" S49 "/" S50 "/"
                                         "aaaaaaaaaaaaaaaaaaaaaa"
                                         "aaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        struct ns_path path = parsed(inputs[i], '/');
        assert_int_equal(strlen(path.text), NS_PATH_BYTES_MAX);
        assert_int_equal(path.segments, 4);
        assert_int_equal(path.start[3] + path.length[3], NS_PATH_BYTES_MAX);
    }
}

static void a_bad_name_is_refused_with_position_and_rule(void **state)
{
    (void)state;
    static const struct {
        struct span input;
        char sep;
        size_t position;
        const char *rule; /* a part of it */
    } table[] = {
        {IN("llama//b"), '/', 6, "empty segment"},
        {IN("/"), '/', 0, "empty segment"},
        {IN("/a"), '/', 0, "empty segment"},
        {IN("a/"), '/', 1, "empty segment"},
        {IN("a/b/"), '/', 3, "empty segment"},
        {IN("a/b/c/d/"), '/', 7, "empty segment"},
        {IN("//"), '/', 0, "empty segment"},
        {IN("default/"), '/', 7, "empty segment"},
        {IN("default//a"), '/', 8, "empty segment"},
        {IN("default/default"), '/', 8, "again"},
        {IN("default/default/a"), '/', 8, "again"},
        {IN("default.default"), '.', 8, "again"},
        {IN(".."), '/', 0, "start with '.'"},
        {IN("."), '/', 0, "start with '.'"},
        {IN("a/../b"), '/', 2, "start with '.'"},
        {IN(".a"), '/', 0, "start with '.'"},
        {IN("x/.a"), '/', 2, "start with '.'"},
        {IN("a."), '/', 1, "end with '.'"},
        {IN("ab./c"), '/', 2, "end with '.'"},
        {IN("a."), '.', 1, "empty segment"},
        {IN(".a"), '.', 0, "empty segment"},
        {IN("a..b"), '.', 2, "empty segment"},
        {IN("a/b"), '.', 1, "'.' is the separator"},
        {IN("caf\xc3\xa9"), '/', 3, "illegal byte"},
        {IN("a\0b"), '/', 1, "illegal byte"},
        {IN("a\0"), '/', 1, "illegal byte"},
        {IN("a b"), '/', 1, "illegal byte"},
        {IN("a/b~"), '/', 3, "illegal byte"},
        {IN("a%2Fb"), '/', 1, "illegal byte"},
        {IN("*"), '/', 0, "illegal byte"},
        {IN("a/>"), '/', 2, "illegal byte"},
        {IN("a\n"), '/', 1, "illegal byte"},
        {IN("\\"), '/', 0, "illegal byte"},
        {IN("a/b/c/d/e"), '/', 8, "too deep"},
        {IN("default/a/b/c/d/e"), '/', 16, "too deep"},
        {IN(S63 "x"), '/', 63, "segment too long"},
        {IN("a/" S63 "x/b"), '/', 65, "segment too long"},
        {IN(S50 "/" S49 "/" S50 "/" S49), '/', 200, "path too long"},
        {IN("default/" S50 "/" S49 "/" S50 "/" S49), '/', 208, "path too long"},
        {IN(S63 "/" S63 "/" S63 "/" S63), '/', 200, "path too long"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct ns_path path = {.segments = 99};
        struct ns_path_error error = {0, NULL};
        enum err e = ns_path_parse(table[i].input, table[i].sep, &path, &error);
        if (e != ERR_NS_INVALID || error.position != table[i].position ||
            strstr(error.rule, table[i].rule) == NULL)
            fail_msg("row %zu: %s, byte %zu: %s", i, err_info(e)->name, error.position, error.rule);
        assert_int_equal(path.segments, 99); /* written on success only */
        assert_int_equal(ns_path_parse(table[i].input, table[i].sep, &path, NULL), ERR_NS_INVALID);
    }
}

static void every_byte_outside_the_alphabet_is_refused_where_it_stands(void **state)
{
    (void)state;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";
    for (unsigned c = 0; c < 256; c++) {
        uint8_t text[3] = {'a', (uint8_t)c, 'b'};
        struct ns_path path;
        struct ns_path_error error;
        bool want = c != 0 && strchr(alphabet, (int)c) != NULL;
        bool got = ns_path_parse(span_of(text, 3), '/', &path, &error) == ERR_OK;
        assert_int_equal(got, want);
        if (!got)
            assert_int_equal(error.position, 1);
    }
}

static void the_error_text_shows_input_position_and_rule(void **state)
{
    (void)state;
    char text[512];
    struct ns_path path;
    struct ns_path_error error;

    assert_int_equal(ns_path_parse(SPAN_LIT("llama//b"), '/', &path, &error), ERR_NS_INVALID);
    assert_string_equal(
        ns_path_explain(SPAN_LIT("llama//b"), &error, text, sizeof text),
        "namespace \"llama//b\": at byte 6: empty segment; write names between single "
        "separators, none at the start or the end");

    static const uint8_t odd[] = {'a', 0, '"', '\\', 0xc3, ' ', '\n'};
    assert_int_equal(ns_path_parse(span_of(odd, sizeof odd), '/', &path, &error), ERR_NS_INVALID);
    assert_string_equal(
        ns_path_explain(span_of(odd, sizeof odd), &error, text, sizeof text),
        "namespace \"a\\x00\\x22\\x5c\\xc3 \\x0a\": at byte 1: illegal byte; a segment "
        "holds only A-Z a-z 0-9 . _ -");
}

static void the_error_text_is_cut_to_the_room_there_is(void **state)
{
    (void)state;
    uint8_t big[100000];
    memset(big, 0xff, sizeof big);
    struct ns_path_error error = {77, "a rule"};
    char text[2000];
    ns_path_explain(span_of(big, sizeof big), &error, text, sizeof text);
    assert_non_null(strstr(text, "...\": at byte 77: a rule"));

    for (size_t size = 1; size < 64; size++) {
        memset(text, 'X', sizeof text);
        assert_ptr_equal(ns_path_explain(SPAN_LIT("a//b"), &error, text, size), text);
        assert_int_equal(text[size], 'X');
        assert_true(strlen(text) < size);
    }
    text[0] = 'X';
    ns_path_explain(SPAN_LIT("a//b"), &error, text, 0);
    assert_int_equal(text[0], 'X');
}

static void segments_and_heads_are_parts_of_the_path(void **state)
{
    (void)state;
    struct ns_path path = parsed("default/a/bc/d.e", '/');
    assert_span_equal(ns_path_segment(&path, 0), SPAN_LIT("a"));
    assert_span_equal(ns_path_segment(&path, 1), SPAN_LIT("bc"));
    assert_span_equal(ns_path_segment(&path, 2), SPAN_LIT("d.e"));
    static const char *const heads[] = {"", "a", "a/bc", "a/bc/d.e"};
    for (unsigned i = 0; i < ARRAY_LEN(heads); i++) {
        struct ns_path head = ns_path_head(&path, i), want = parsed(heads[i], '/');
        assert_string_equal(head.text, heads[i]);
        assert_true(ns_path_equal(&head, &want));
    }
}

static void only_a_proper_head_is_an_ancestor(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool above, equal;
    } table[] = {
        {"", "", false, true},
        {"", "a", true, false},
        {"", "a/b/c/d", true, false},
        {"a", "", false, false},
        {"a", "a", false, true},
        {"a", "a/b", true, false},
        {"a", "ab", false, false},
        {"a", "ab/c", false, false},
        {"ab", "a/b", false, false},
        {"a/b", "a/b/c", true, false},
        {"a/b", "a/bc", false, false},
        {"a/b", "a", false, false},
        {"a", "A/b", false, false},
        {"a/b", "a.b", false, false},
        {"default", "a", true, false},
        {"default/a", "a", false, true},
        {"a/default", "a", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct ns_path a = parsed(table[i].a, '/'), b = parsed(table[i].b, '/');
        assert_int_equal(ns_path_is_ancestor(&a, &b), table[i].above);
        assert_int_equal(ns_path_equal(&a, &b), table[i].equal);
        assert_int_equal(ns_path_equal(&b, &a), table[i].equal);
    }
}

static void a_segment_alone_follows_the_same_rules(void **state)
{
    (void)state;
    assert_true(ns_path_segment_is_valid(SPAN_LIT("a.b")));
    assert_true(ns_path_segment_is_valid(SPAN_LIT(S63)));
    assert_false(ns_path_segment_is_valid(SPAN_NONE));
    assert_false(ns_path_segment_is_valid(SPAN_LIT(S63 "x")));
    assert_false(ns_path_segment_is_valid(SPAN_LIT(".a")));
    assert_false(ns_path_segment_is_valid(SPAN_LIT("a.")));
    assert_false(ns_path_segment_is_valid(SPAN_LIT("a/b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legal_names_have_one_canonical_form),
        cmocka_unit_test(a_path_of_200_bytes_is_legal_also_behind_default),
        cmocka_unit_test(a_bad_name_is_refused_with_position_and_rule),
        cmocka_unit_test(every_byte_outside_the_alphabet_is_refused_where_it_stands),
        cmocka_unit_test(the_error_text_shows_input_position_and_rule),
        cmocka_unit_test(the_error_text_is_cut_to_the_room_there_is),
        cmocka_unit_test(segments_and_heads_are_parts_of_the_path),
        cmocka_unit_test(only_a_proper_head_is_an_ancestor),
        cmocka_unit_test(a_segment_alone_follows_the_same_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
