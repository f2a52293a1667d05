/* SPDX-License-Identifier: Apache-2.0 */
/* subject_map: subjects, filters, patterns, groups; view "own" (design.md 5.1, 5.2, 5.6). */
#include "support/support.h"

#include "policy/subject_map.h"
#include "support/alloc_fail.h"

static struct subject_map map_of(const char *text)
{
    struct ns_path path;
    static struct subject_map m;
    assert_int_equal(ns_path_parse(span_str(text), '/', &path, NULL), ERR_OK);
    assert_int_equal(subject_map_init(&m, SPAN_LIT("bh"), &path, subject_map_default_requests, 2),
                     ERR_OK);
    return m;
}

static void the_prefixes_are_the_layout(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        unsigned slices;
        const char *slice[SUBJECT_SLICES_MAX], *suffix;
    } table[] = {
        {"", 2, {"bh.e.~.~.~.~.", "bh.d.~.~.~.~."}, "~"},
        {"a", 3, {"bh.e.a.~.~.~.", "bh.d.a.~.~.~.", "bh.d.~.~.~.~."}, "~a"},
        {"a.b/C",
         4,
         {"bh.e.a%2Eb.C.~.~.", "bh.d.a%2Eb.C.~.~.", "bh.d.a%2Eb.~.~.~.", "bh.d.~.~.~.~."},
         "~a%2Eb/C"},
        {"a/b/c/d",
         6,
         {"bh.e.a.b.c.d.", "bh.d.a.b.c.d.", "bh.d.a.b.c.~.", "bh.d.a.b.~.~.", "bh.d.a.~.~.~.",
          "bh.d.~.~.~.~."},
         "~a/b/c/d"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct subject_map m = map_of(table[i].path);
        assert_int_equal(m.slices, table[i].slices);
        assert_int_equal(m.ancestors, table[i].slices - 2);
        for (unsigned k = 0; k < m.slices; k++)
            assert_span_equal(span_of(m.slice[k].text, m.slice[k].n), span_str(table[i].slice[k]));
        assert_string_equal(m.group_suffix, table[i].suffix);
        assert_span_equal(subject_map_pub_prefix(&m), span_str(table[i].slice[0]));
    }
}

static void a_bad_root_or_pattern_is_refused(void **state)
{
    (void)state;
    struct ns_path path;
    struct subject_map m;
    assert_int_equal(ns_path_parse(SPAN_NONE, '/', &path, NULL), ERR_OK);
    static const char *const roots[] = {"", "a.b", ".", "*", ">", "a b", "$SYS", "$JS"};
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        assert_int_equal(subject_map_init(&m, span_str(roots[i]), &path, NULL, 0),
                         ERR_SUBJECT_INVALID);
    assert_int_equal(
        subject_map_init(&m, SPAN_LIT("abcdefghijklmnopqrstuvwxyz0123456"), &path, NULL, 0),
        ERR_LIMIT);

    struct span bad = SPAN_LIT("a..b"), many[SUBJECT_PATTERNS_MAX + 1];
    assert_int_equal(subject_map_init(&m, SPAN_LIT("bh"), &path, &bad, 1), ERR_SUBJECT_INVALID);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = SPAN_LIT("a");
    assert_int_equal(subject_map_init(&m, SPAN_LIT("bh"), &path, many, ARRAY_LEN(many)), ERR_LIMIT);
    assert_int_equal(subject_map_init(&m, SPAN_LIT("bh"), &path, many, SUBJECT_PATTERNS_MAX),
                     ERR_OK);
    char text[SUBJECT_PATTERN_BYTES_MAX + 1];
    memset(text, 'a', sizeof text);
    struct span longest = span_of(text, sizeof text);
    assert_int_equal(subject_map_init(&m, SPAN_LIT("bh"), &path, &longest, 1), ERR_LIMIT);
}

/* IN: a span constant for a static table. */
#define IN(s)                                                                                      \
    {                                                                                              \
        (const uint8_t *)(s), sizeof(s) - 1                                                        \
    }

static void subjects_are_what_the_server_takes(void **state)
{
    (void)state;
    static const struct {
        struct span s;
        bool valid, literal, filter;
    } table[] = {
        {IN("a"), true, true, true},        {IN("a.b.c"), true, true, true},
        {IN("_INBOX.x"), true, true, true}, {IN("caf\xc3\xa9.\xff"), true, true, true},
        {IN(""), false, false, false},      {IN("."), false, false, false},
        {IN(".a"), false, false, false},    {IN("a."), false, false, false},
        {IN("a..b"), false, false, false},  {IN("a b"), false, false, false},
        {IN("a\tb"), false, false, false},  {IN("a\r"), false, false, false},
        {IN("\na"), false, false, false},   {IN("a\f"), false, false, false},
        {IN("a\0b"), false, false, false},  {IN("*"), true, false, true},
        {IN(">"), true, false, true},       {IN("a.*"), true, false, true},
        {IN("*.a"), true, false, true},     {IN("a.>"), true, false, true},
        {IN("*.*.>"), true, false, true},   {IN(">.a"), true, false, false},
        {IN("a.>.b"), true, false, false},  {IN("a*"), true, true, true},
        {IN("*a"), true, true, true},       {IN("a.**.b"), true, true, true},
        {IN(">a.b>"), true, true, true},    {IN("a.>>"), true, true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (subject_is_valid(table[i].s) != table[i].valid ||
            subject_is_literal(table[i].s) != table[i].literal ||
            subject_is_valid_filter(table[i].s) != table[i].filter)
            fail_msg("row %zu", i);
    }
    assert_false(subject_is_valid(SPAN_NONE));
    assert_false(subject_is_literal(SPAN_NONE));
}

static void only_the_system_subjects_are_sys(void **state)
{
    (void)state;
    static const char *const sys[] = {"$SYS", "$SYS.>", "$SYS.REQ.USER.INFO", "$SYS.*", "$SYS."};
    static const char *const not [] = {"",    "$SY",   "$SYSx",  "$sys", ">",
                                       "*.>", "*.REQ", "a.$SYS", "$JS"};
    for (size_t i = 0; i < ARRAY_LEN(sys); i++)
        assert_true(subject_is_sys(span_str(sys[i])));
    for (size_t i = 0; i < ARRAY_LEN(not ); i++)
        assert_false(subject_is_sys(span_str(not [i])));
}

static void patterns_may_hold_stars_inside_and_hex(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a",     "*",           ">",     "a.>",   "*.*-<hex>",         "$SRV.>",
        "OBJ_*", "*-kv-events", "a*b*c", "<hex>", "<hex>-<hex>-<hex>", "*<hex>*"};
    static const char *const bad[] = {
        "",     ".",     "a..b", ">.a", "a b", "a>",  "<hex",
        "hex>", "<HEX>", "<a>",  "a<b", "<>",  "a*>", "<hex><hex><hex><hex>"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!subject_pattern_is_valid(span_str(good[i])))
            fail_msg("%s is refused", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (subject_pattern_is_valid(span_str(bad[i])))
            fail_msg("%s is taken", bad[i]);

    char text[80];
    memset(text, 'x', sizeof text);
    assert_true(subject_pattern_is_valid(span_of(text, sizeof text))); /* plain: no limit of 63 */
    text[0] = '*';
    assert_false(subject_pattern_is_valid(span_of(text, 64)));
    assert_true(subject_pattern_is_valid(span_of(text, 63)));
}

static void patterns_match_literal_subjects(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *subject;
        bool matches;
    } table[] = {
        {"a", "a", true},
        {"a", "b", false},
        {"a", "a.b", false},
        {"a.b", "a", false},
        {"*", "a", true},
        {"*", "a.b", false},
        {">", "a", true},
        {">", "a.b.c", true},
        {"a.>", "a", false},
        {"a.>", "a.b", true},
        {"a.>", "ab.c", false},
        {"a.*.c", "a.x.c", true},
        {"a.*.c", "a.x.y.c", false},
        {"$SRV.>", "$SRV.PING", true},
        {"$SRV.>", "$SRV", false},
        {"$SRV.>", "$SRVX.PING", false},
        {"*.*-<hex>", "dynamo_backend.generate-694d9a2bc1f0e4d7", true},
        {"*.*-<hex>", "dynamo_backend.generate-694d9a2b", true},
        {"*.*-<hex>", "dynamo_backend.generate-694d9a2", false},
        {"*.*-<hex>", "dynamo_backend.generate-694d9a2bc1f0e4d70", false},
        {"*.*-<hex>", "dynamo_backend.generate-694D9A2B", false},
        {"*.*-<hex>", "dynamo_backend.generate_694d9a2b", false},
        {"*.*-<hex>", "dynamo_backend.a-b-c-0123456789abcdef", true},
        {"*.*-<hex>", "dynamo_backend.-01234567", true},
        {"*.*-<hex>", "x.dynamo_backend.generate-694d9a2b", false},
        {"*.*-<hex>", "generate-694d9a2b", false},
        {"OBJ_*", "OBJ_", true},
        {"OBJ_*", "OBJ_x", true},
        {"OBJ_*", "OBJ", false},
        {"OBJ_*", "OBJ_x.y", false},
        {"*-kv-events", "a-kv-events", true},
        {"*-kv-events", "a-kv-events2", false},
        {"a*b*c", "abc", true},
        {"a*b*c", "aXbYc", true},
        {"a*b*c", "aXcYb", false},
        {"**", "a", true},
        {"<hex>a", "0123456789abcdefa", true},
        {"<hex>a", "01234567a", true},
        {"<hex>a", "0123456a", false},
        {"<hex><hex>", "0123456789abcdef", true},
        {"<hex><hex>", "0123456789abcde", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct span p = span_str(table[i].pattern), s = span_str(table[i].subject);
        if (subject_pattern_matches(p, s) != table[i].matches)
            fail_msg("%s %s", table[i].pattern, table[i].subject);
        /* A literal subject is also a filter that meets exactly itself. */
        if (subject_pattern_overlaps(p, s) != table[i].matches)
            fail_msg("overlaps: %s %s", table[i].pattern, table[i].subject);
    }
}

static void patterns_overlap_filters_token_by_token(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *filter;
        bool overlaps;
    } table[] = {
        {"a", ">", true},
        {"a", "*", true},
        {"a", "*.>", false},
        {"a.b", "*.>", true},
        {"a.>", "a", false},
        {"a.>", "a.>", true},
        {"a.>", "*.*", true},
        {"a.>", "*", false},
        {"a.>", "b.>", false},
        {"a.>", "*.b.c.d", true},
        {">", "*", true},
        {"*.*-<hex>", ">", true},
        {"*.*-<hex>", "*.*", true},
        {"*.*-<hex>", "*.*.*", false},
        {"*.*-<hex>", "*", false},
        {"*.*-<hex>", "a.>", true},
        {"*.*-<hex>", "*.events", false},
        {"*.*-<hex>", "*.generate-694d9a2bc1f0e4d7", true},
        {"*.*-<hex>", "a.*.>", false},
        {"a.*.c", "*.b.*", true},
        {"a.*.c", "*.b.d", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (subject_pattern_overlaps(span_str(table[i].pattern), span_str(table[i].filter)) !=
            table[i].overlaps)
            fail_msg("%s %s", table[i].pattern, table[i].filter);
}

static void a_subscription_listens_where_its_subjects_are_published(void **state)
{
    (void)state;
    static const struct {
        const char *path, *filter;
        unsigned slices;
    } table[] = {
        {"a/b", "kv_events", 0x1},
        {"a/b", "_INBOX.x.y", 0x1},
        {"a/b", "_INBOX.x.*", 0x1},
        {"a/b", ">", 0x3},
        {"a/b", "*.>", 0x3},
        {"a/b", "*.*", 0x3},
        {"a/b", "$SRV.PING", 0xf},
        {"a/b", "$SRV.>", 0x3},
        {"a/b", "ns_c.generate-0123456789abcdef", 0xf},
        {"a/b", "*.generate-0123456789abcdef", 0x3},
        {"a/b/c/d", "$SRV.PING", 0x3f},
        {"", "$SRV.PING", 0x3},
        {"", "a", 0x1},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct subject_map m = map_of(table[i].path);
        if (subject_map_sub_slices(&m, span_str(table[i].filter)) != table[i].slices)
            fail_msg("%s %s", table[i].path, table[i].filter);
    }
}

static void without_patterns_nothing_is_a_request(void **state)
{
    (void)state;
    struct ns_path path;
    struct subject_map m;
    assert_int_equal(ns_path_parse(SPAN_LIT("a"), '/', &path, NULL), ERR_OK);
    assert_int_equal(subject_map_init(&m, SPAN_LIT("bh"), &path, NULL, 0), ERR_OK);
    assert_int_equal(subject_map_sub_slices(&m, SPAN_LIT(">")), 1);
    assert_int_equal(subject_map_sub_slices(&m, SPAN_LIT("$SRV.PING")), 1);
}

static void groups_carry_the_path_on_events_only(void **state)
{
    (void)state;
    struct subject_map m = map_of("a/b"), root = map_of("");
    struct buf out = {0};
    assert_int_equal(subject_map_group(&m, 0, SPAN_LIT("q"), &out), ERR_OK);
    assert_int_equal(buf_append_byte(&out, ' '), ERR_OK);
    assert_int_equal(subject_map_group(&m, 1, SPAN_LIT("q"), &out), ERR_OK);
    assert_int_equal(buf_append_byte(&out, ' '), ERR_OK);
    assert_int_equal(subject_map_group(&m, 3, SPAN_LIT("q"), &out), ERR_OK);
    assert_int_equal(buf_append_byte(&out, ' '), ERR_OK);
    assert_int_equal(subject_map_group(&root, 0, SPAN_LIT("q"), &out), ERR_OK);
    assert_span_equal(buf_span(&out), SPAN_LIT("q~a/b q q q~"));
    buf_deinit(&out);
}

static void only_subjects_of_the_slices_are_stripped(void **state)
{
    (void)state;
    struct subject_map m = map_of("a/b");
    static const struct {
        const char *stored, *subject, *reply; /* NULL: foreign */
    } table[] = {
        {"bh.e.a.b.~.~.x.y", "x.y", "x.y"},
        {"bh.d.a.b.~.~.x", "x", NULL},
        {"bh.d.a.~.~.~.x", "x", NULL},
        {"bh.d.~.~.~.~.x", "x", NULL},
        {"bh.e.a.~.~.~.x", NULL, "x"},
        {"bh.e.~.~.~.~.x", NULL, "x"},
        {"bh.e.a.b.~.~.", NULL, NULL},
        {"bh.e.a.b.~.~", NULL, NULL},
        {"bh.e.a.c.~.~.x", NULL, NULL},
        {"bh.e.a.b.c.~.x", NULL, NULL},
        {"bh.d.a.b.c.~.x", NULL, NULL},
        {"bh.e.ab.~.~.~.x", NULL, NULL},
        {"bh.j.a.b.~.~.x", NULL, NULL},
        {"bH.e.a.b.~.~.x", NULL, NULL},
        {"_INBOX.x", NULL, NULL},
        {"$SYS.REQ", NULL, NULL},
        {"", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct span s = SPAN_LIT("unwritten"), r = SPAN_LIT("unwritten");
        bool got_s = subject_map_strip(&m, span_str(table[i].stored), &s);
        bool got_r = subject_map_strip_reply(&m, span_str(table[i].stored), &r);
        assert_int_equal(got_s, table[i].subject != NULL);
        assert_int_equal(got_r, table[i].reply != NULL);
        assert_span_equal(s, span_str(got_s ? table[i].subject : "unwritten"));
        assert_span_equal(r, span_str(got_r ? table[i].reply : "unwritten"));
    }
}

static void a_failed_allocation_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    if (!alloc_fail_works)
        skip();
    struct subject_map m = map_of("a/b");
    struct buf out = {0};
    support_fill(&out);
    size_t before = buf_len(&out);
    for (unsigned slice = 0; slice < 2; slice++) {
        alloc_fail_at = 1;
        assert_int_equal(subject_map_group(&m, slice, SPAN_LIT("q"), &out), ERR_NOMEM);
        assert_int_equal(buf_len(&out), before);
    }
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prefixes_are_the_layout),
        cmocka_unit_test(a_bad_root_or_pattern_is_refused),
        cmocka_unit_test(subjects_are_what_the_server_takes),
        cmocka_unit_test(only_the_system_subjects_are_sys),
        cmocka_unit_test(patterns_may_hold_stars_inside_and_hex),
        cmocka_unit_test(patterns_match_literal_subjects),
        cmocka_unit_test(patterns_overlap_filters_token_by_token),
        cmocka_unit_test(a_subscription_listens_where_its_subjects_are_published),
        cmocka_unit_test(without_patterns_nothing_is_a_request),
        cmocka_unit_test(groups_carry_the_path_on_events_only),
        cmocka_unit_test(only_subjects_of_the_slices_are_stripped),
        cmocka_unit_test(a_failed_allocation_leaves_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
