/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject_json_patch_test - the applier with which the injector proves its own patches, and the
 * documents that it reads: the traps of JSON patches, one row each. What the API server's applier
 * takes without a word (a path without a slash, an index with a leading zero, "add" without a
 * value) is an error here, so that a patch with it never leaves.
 */
#include <stdio.h>
#include <stdlib.h>

#include "inject/json_patch.h"
#include "support/support.h"

#define OP(op, path)         "{\"op\":\"" op "\",\"path\":\"" path "\"}"
#define OPV(op, path, value) "{\"op\":\"" op "\",\"path\":\"" path "\",\"value\":" value "}"
#define POD                  "{\"metadata\":{\"labels\":{\"a/b~c\":\"1\"}},\"spec\":{\"list\":[1,2]}}"

struct row {
    const char *what, *document, *patch;
    const char *result; /* NULL: refused */
};

static const struct row rows[] = {
    {"nothing to do", "{\"a\":1}", "", "{\"a\":1}"},
    {"a member is added", "{}", OPV("add", "/a", "[1]"), "{\"a\":[1]}"},
    {"added over one that is there, it is erased", "{\"a\":{\"b\":1}}", OPV("add", "/a", "{}"),
     "{\"a\":{}}"},
    {"the parent is missing", "{}", OPV("add", "/metadata/annotations/x", "1"), NULL},
    {"the parent is null", "{\"env\":null}", OPV("add", "/env/0", "1"), NULL},
    {"the parent's parent is missing", POD, OPV("add", "/spec/initContainers/0", "1"), NULL},
    {"a list's end", POD, OPV("add", "/spec/list/-", "3"),
     "{\"metadata\":{\"labels\":{\"a/b~c\":\"1\"}},\"spec\":{\"list\":[1,2,3]}}"},
    {"behind a list's end", "[1]", OPV("add", "/1", "2"), "[1,2]"},
    {"beyond a list's end", "[1]", OPV("add", "/2", "2"), NULL},
    {"before the first", "[1]", OPV("add", "/-1", "2"), NULL},
    {"a leading zero", "[1,2]", OPV("replace", "/01", "3"), NULL},
    {"two of them", "[1,2]", OPV("replace", "/00", "3"), NULL},
    {"no number", "[1,2]", OPV("replace", "/x", "3"), NULL},
    {"nothing for a number", "[1,2]", OPV("replace", "/", "3"), NULL},
    {"a number past all lists", "[1,2]", OPV("add", "/18446744073709551616", "3"), NULL},
    {"- is a place to add only", "[1,2]", OPV("replace", "/-", "3"), NULL},
    {"nor to remove", "[1,2]", OP("remove", "/-"), NULL},
    {"insertions shift what comes after", "[1,2]", OPV("add", "/0", "0") "," OP("remove", "/2"),
     "[0,1]"},
    {"no slash in front", "{\"spec\":{}}", OPV("add", "spec/hostname", "\"h\""), NULL},
    {"the whole document", "{}", OPV("replace", "", "1"), NULL},
    {"escapes", POD, OPV("replace", "/metadata/labels/a~1b~0c", "\"2\""),
     "{\"metadata\":{\"labels\":{\"a/b~c\":\"2\"}},\"spec\":{\"list\":[1,2]}}"},
    {"~01 is ~1, not a slash", "{\"~1\":0,\"/\":0}", OPV("replace", "/~01", "1"),
     "{\"~1\":1,\"/\":0}"},
    {"a slash that is not escaped", POD, OPV("replace", "/metadata/labels/a/b~0c", "\"2\""), NULL},
    {"an escape that is none", "{\"~2\":0}", OPV("replace", "/~2", "1"), NULL},
    {"an escape that is cut", "{\"~\":0}", OPV("replace", "/~", "1"), NULL},
    {"the empty name", "{\"\":0}", OPV("replace", "/", "1"), "{\"\":1}"},
    {"replacing what is not there", "{}", OPV("replace", "/a", "1"), NULL},
    {"removing what is not there", "{}", OP("remove", "/a"), NULL},
    {"adding below a text", "{\"a\":\"t\"}", OPV("add", "/a/b", "1"), NULL},
    {"add without a value", "{}", OP("add", "/a"), NULL},
    {"test is none of ours", "{\"a\":1}", OPV("test", "/a", "1"), NULL},
    {"move is none", "{\"a\":1}", "{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}", NULL},
    {"copy is none", "{\"a\":1}", "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/b\"}", NULL},
    {"an unknown one", "{}", OPV("ADD", "/a", "1"), NULL},
    {"no path", "{}", "{\"op\":\"add\",\"value\":1}", NULL},
    {"a path that is a number", "{}", "{\"op\":\"add\",\"path\":1,\"value\":1}", NULL},
    {"an operation that is a text", "{}", "\"add\"", NULL},
    {"half a surrogate pair is U+FFFD, as in the API server", "{\"a\":\"\\ud83dx\"}",
     OPV("add", "/b", "1"), "{\"a\":\"\xef\xbf\xbdx\",\"b\":1}"},
    {"numbers stay as they were written", "{\"a\":1e400,\"b\":12345678901234567890,\"c\":-0.10}",
     OPV("add", "/d", "1.0"), "{\"a\":1e400,\"b\":12345678901234567890,\"c\":-0.10,\"d\":1.0}"},
};

/* The document with the patch, to be freed; NULL: refused. */
static char *apply(const char *document, const char *patch_text)
{
    struct json_tree t = {0};
    struct json_node *patch = NULL;
    struct buf out = {0};
    const char *why = "";
    char *text = NULL;
    assert_int_equal(json_tree_parse(&t, span_str(document)), ERR_OK);
    assert_int_equal(json_tree_parse_value(&t, span_str(patch_text), &patch), ERR_OK);
    if (json_patch_apply(&t, patch, &why) == ERR_OK) {
        assert_int_equal(json_tree_write(t.root, &out), ERR_OK);
        text = support_string(buf_span(&out));
    } else {
        assert_int_not_equal(strlen(why), 0);
    }
    buf_deinit(&out);
    json_tree_deinit(&t);
    return text;
}

static void each_trap_is_an_error_or_means_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf list = {0};
        assert_int_equal(buf_printf(&list, "[%s]%c", rows[i].patch, '\0'), ERR_OK);
        char *got = apply(rows[i].document, (const char *)buf_span(&list).p);
        if ((got == NULL) != (rows[i].result == NULL) ||
            (got != NULL && strcmp(got, rows[i].result) != 0))
            fail_msg("%s: %s", rows[i].what, got == NULL ? "refused" : got);
        free(got);
        buf_deinit(&list);
    }
}

static void a_patch_is_a_list(void **state)
{
    (void)state;
    assert_null(apply("{}", OPV("add", "/a", "1")));
    assert_null(apply("{}", "null"));
}

static void pointers_escape_what_they_must(void **state)
{
    (void)state;
    struct buf path = {0};
    assert_int_equal(json_pointer_append(&path, SPAN_LIT("a~1/b")), ERR_OK);
    assert_int_equal(json_pointer_append(&path, SPAN_LIT("")), ERR_OK);
    assert_span_equal(buf_span(&path), SPAN_LIT("/a~01~1b/"));
    buf_deinit(&path);
}

/* ---- what is read ---- */

static void documents_that_are_none_are_refused(void **state)
{
    static const struct {
        const char *what;
        struct span text;
    } bad[] = {
        {"nothing", SPAN_LIT("")},
        {"a byte order mark", SPAN_LIT("\xef\xbb\xbf{}")},
        {"a NUL behind it", SPAN_LIT("{}\0")},
        {"two documents", SPAN_LIT("{}{}")},
        {"a comma too many", SPAN_LIT("[1,]")},
        {"a name twice", SPAN_LIT("{\"a\":1,\"a\":1}")},
        {"a name twice, once escaped", SPAN_LIT("{\"a\":1,\"\\u0061\":1}")},
        {"bytes that are no UTF-8", SPAN_LIT("\"\xe9\"")},
        {"UTF-8 that is longer than it must be", SPAN_LIT("\"\xc0\xaf\"")},
        {"a surrogate in UTF-8", SPAN_LIT("\"\xed\xa0\x80\"")},
        {"a line end within a text", SPAN_LIT("\"a\nb\"")},
        {"a leading zero", SPAN_LIT("01")},
        {"a plus", SPAN_LIT("+1")},
        {"not a number", SPAN_LIT("NaN")},
        {"an apostrophe", SPAN_LIT("{'a':1}")},
        {"a comment", SPAN_LIT("{}//x")},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct json_tree t = {0};
        if (json_tree_parse(&t, bad[i].text) != ERR_SYNTAX)
            fail_msg("%s was taken", bad[i].what);
        assert_non_null(t.error);
        json_tree_deinit(&t);
    }
}

static void documents_are_as_deep_as_the_limit(void **state)
{
    (void)state;
    char text[2 * (JSON_TREE_DEPTH_MAX + 1)];
    for (size_t n = JSON_TREE_DEPTH_MAX; n <= JSON_TREE_DEPTH_MAX + 1; n++) {
        struct json_tree t = {0};
        memset(text, '[', n);
        memset(text + n, ']', n);
        assert_int_equal(json_tree_parse(&t, span_of(text, 2 * n)),
                         n == JSON_TREE_DEPTH_MAX ? ERR_OK : ERR_SYNTAX);
        json_tree_deinit(&t);
    }
}

/* {"n00":0,"n01":0,…} of forty members, the one at `at` named as the one at `as`. */
static void write_members(char *text, size_t size, bool backwards, int at, int as)
{
    size_t n = (size_t)snprintf(text, size, "{");
    for (int i = 0; i < 40; i++) {
        int name = i == at ? as : i;
        n += (size_t)snprintf(text + n, size - n, "%s\"n%02d\":0", i == 0 ? "" : ",",
                              backwards ? 39 - name : name);
    }
    (void)snprintf(text + n, size - n, "}");
}

static void a_name_that_stands_twice_among_many_is_found(void **state)
{
    char text[1024];
    (void)state;
    for (int i = 0; i < 40 * 40 * 2; i++) {
        struct json_tree t = {0};
        int at = i % 40, as = i / 40 % 40;
        write_members(text, sizeof text, i >= 40 * 40, at, as);
        enum err e = json_tree_parse(&t, span_str(text));
        if (e != (at == as ? ERR_OK : ERR_SYNTAX))
            fail_msg("%s: %d", text, e);
        json_tree_deinit(&t);
    }
}

static void a_clone_is_the_same_and_a_change_of_one_is_none_of_the_other(void **state)
{
    static const char text[] = "{\"a\":[1,{\"b\\n\":\"c\\t\"},[]],\"d\":null,\"e\":{},\"f\":true}";
    struct json_tree t = {0}, copy = {0};
    struct buf before = {0}, after = {0};
    (void)state;
    assert_int_equal(json_tree_parse(&t, span_str(text)), ERR_OK);
    copy.root = json_tree_clone(&copy, t.root);
    assert_non_null(copy.root);
    assert_true(json_equal(t.root, copy.root));
    assert_int_equal(json_tree_write(t.root, &before), ERR_OK);
    struct json_node *list = json_member(copy.root, SPAN_LIT("a"));
    json_tree_replace(json_at(list, 0), json_at(list, 2));
    json_tree_remove(list, json_at(list, 1));
    json_tree_remove(copy.root, json_member(copy.root, SPAN_LIT("d")));
    assert_false(json_equal(t.root, copy.root));
    assert_int_equal(json_tree_write(t.root, &after), ERR_OK);
    assert_span_equal(buf_span(&after), buf_span(&before));
    buf_deinit(&before);
    buf_deinit(&after);
    json_tree_deinit(&copy);
    json_tree_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_trap_is_an_error_or_means_what_it_says),
        cmocka_unit_test(a_patch_is_a_list),
        cmocka_unit_test(pointers_escape_what_they_must),
        cmocka_unit_test(documents_that_are_none_are_refused),
        cmocka_unit_test(documents_are_as_deep_as_the_limit),
        cmocka_unit_test(a_name_that_stands_twice_among_many_is_found),
        cmocka_unit_test(a_clone_is_the_same_and_a_change_of_one_is_none_of_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
