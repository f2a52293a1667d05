/* SPDX-License-Identifier: Apache-2.0 */
/* The laws of design.md 2.6 for subjects, against the model that splits by tokens. */
#include "law/law.h"

static struct span prefix_of(const struct subject_prefix *p)
{
    return span_of(p->text, p->n);
}

/* How many of the upstream subscriptions for `filter` in a hear the stored subject? */
static unsigned heard_by(const struct model_ns *a, struct span filter, struct span stored)
{
    unsigned slices = subject_map_sub_slices(&a->subjects, filter), heard = 0;
    for (unsigned i = 0; i < a->subjects.slices; i++) {
        if ((slices >> i & 1) == 0)
            continue;
        struct model_bytes upstream = {0};
        model_add(&upstream, prefix_of(&a->subjects.slice[i]));
        model_add(&upstream, filter);
        heard += model_subject_matches(model_span(&upstream), stored, false) ? 1 : 0;
    }
    return heard;
}

static void law_1_strip_undoes_map_and_map_is_the_layout(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L1 subjects"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes s, stored = {0}, want;
        struct span back = SPAN_NONE;
        model_any_subject(&law->rng, false, &s);
        model_add(&stored, subject_map_pub_prefix(&a->subjects));
        model_add(&stored, model_span(&s));
        model_subject_write(&a->name, "e", model_span(&s), &want);
        LAW_HOLDS(span_eq(model_span(&stored), model_span(&want)), a, a, model_span(&stored),
                  model_span(&want));
        LAW_HOLDS(subject_map_strip(&a->subjects, model_span(&stored), &back), a, a,
                  model_span(&stored), model_span(&s));
        LAW_HOLDS(span_eq(back, model_span(&s)), a, a, back, model_span(&s));
        LAW_HOLDS(subject_map_strip_reply(&a->subjects, model_span(&stored), &back), a, a,
                  model_span(&stored), model_span(&s));
        LAW_HOLDS(span_eq(back, model_span(&s)), a, a, back, model_span(&s));
    }
}

/*
 * A subscription hears its own namespace's events and requests, an ancestor's requests only if it
 * is literal, nothing else; what it may hear it hears once, under the name the application knows.
 */
static void law_2_a_subscription_hears_what_it_may_and_hears_it_once(void **state)
{
    (void)state;
    uint64_t total = 0;
    for (struct law *law = law_begin("L2 subjects"); law_next(law);) {
        const struct model_ns *a = law_ns(law), *b = law_ns(law);
        if (rng_below(&law->rng, 2) == 0)
            b = a;
        struct model_bytes s, filter, stored;
        model_any_subject(&law->rng, false, &s);
        if (rng_below(&law->rng, 4) == 0)
            model_any_subject(&law->rng, true, &filter);
        else
            model_filter_near(&law->rng, model_span(&s), &filter);
        bool down = rng_below(&law->rng, 2) == 0;
        model_subject_write(&b->name, down ? "d" : "e", model_span(&s), &stored);

        unsigned heard = heard_by(a, model_span(&filter), model_span(&stored));
        bool literal = model_subject_is_legal(model_span(&filter), false);
        bool above = model_name_is_above(&b->name, &a->name);
        bool may = (b == a || (above && down && literal)) &&
                   model_subject_matches(model_span(&filter), model_span(&s), false);
        /* Only requests are ever published to "d"; other things there need not be heard. */
        bool must = may && (!down || model_is_request(model_span(&s)));
        LAW_HOLDS(heard <= (may ? 1u : 0u), a, b, model_span(&filter), model_span(&stored));
        LAW_HOLDS(heard >= (must ? 1u : 0u), a, b, model_span(&filter), model_span(&stored));
        struct span back = SPAN_NONE;
        LAW_HOLDS(heard == 0 || (subject_map_strip(&a->subjects, model_span(&stored), &back) &&
                                 span_eq(back, model_span(&s))),
                  a, b, model_span(&filter), model_span(&stored));
        total += heard;
    }
    print_message("%llu heard\n", (unsigned long long)total);
}

static void law_3_mapping_keeps_order(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L3 subjects"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes x, y, sx = {0}, sy = {0};
        model_any_subject(&law->rng, true, &x);
        model_any_subject(&law->rng, true, &y);
        model_add(&sx, subject_map_pub_prefix(&a->subjects));
        model_add(&sx, model_span(&x));
        model_add(&sy, subject_map_pub_prefix(&a->subjects));
        model_add(&sy, model_span(&y));
        int want = span_cmp(model_span(&x), model_span(&y));
        int got = span_cmp(model_span(&sx), model_span(&sy));
        LAW_HOLDS((got > 0) - (got < 0) == (want > 0) - (want < 0), a, a, model_span(&x),
                  model_span(&y));
    }
}

static void law_4_two_namespaces_share_no_subject_and_no_group(void **state)
{
    (void)state;
    static const char *const groups[] = {"q", "q~", "q~a", "q~a/b", "q~~",
                                         "~", "a",  "~a",  "q/a",   "/b"};
    struct buf ga = {0}, gb = {0};
    for (struct law *law = law_begin("L4 subjects"); law_next(law);) {
        const struct model_ns *a = law_ns(law), *b = law_ns(law);
        struct model_bytes x, sx = {0};
        model_any_subject(&law->rng, false, &x);
        model_add(&sx, subject_map_pub_prefix(&a->subjects));
        model_add(&sx, model_span(&x));
        /* What a publishes is b's event only if b is a; as a request it is nobody's else. */
        struct span back;
        bool stripped = subject_map_strip(&b->subjects, model_span(&sx), &back);
        LAW_HOLDS(stripped == (a == b), a, b, model_span(&sx), model_span(&x));

        struct span qa = span_str(groups[rng_below(&law->rng, ARRAY_LEN(groups))]);
        struct span qb = span_str(groups[rng_below(&law->rng, ARRAY_LEN(groups))]);
        buf_truncate(&ga, 0);
        buf_truncate(&gb, 0);
        assert_int_equal(subject_map_group(&a->subjects, 0, qa, &ga), ERR_OK);
        assert_int_equal(subject_map_group(&b->subjects, 0, qb, &gb), ERR_OK);
        LAW_HOLDS(span_eq(buf_span(&ga), buf_span(&gb)) == (a == b && span_eq(qa, qb)), a, b,
                  buf_span(&ga), buf_span(&gb));
    }
    buf_deinit(&ga);
    buf_deinit(&gb);
}

static void law_5_only_verified_bytes_are_stripped(void **state)
{
    (void)state;
    uint64_t own = 0;
    for (struct law *law = law_begin("L5 subjects"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes stored;
        struct model_name owner = {0};
        struct span want = SPAN_NONE, got = SPAN_LIT("unwritten");
        char class = 0;
        model_any_stored_subject(&law->rng, law->names, a, &stored);
        bool read = model_subject_read(model_span(&stored), &owner, &class, &want);
        bool mine = read && model_name_equal(&owner, &a->name);
        bool above = read && model_name_is_above(&owner, &a->name);

        bool may = mine || (above && class == 'd');
        bool stripped = subject_map_strip(&a->subjects, model_span(&stored), &got);
        LAW_HOLDS(stripped == may, a, a, model_span(&stored), got);
        LAW_HOLDS(span_eq(got, may ? want : SPAN_LIT("unwritten")), a, a, model_span(&stored), got);

        got = SPAN_LIT("unwritten");
        may = (mine || above) && class == 'e';
        stripped = subject_map_strip_reply(&a->subjects, model_span(&stored), &got);
        LAW_HOLDS(stripped == may, a, a, model_span(&stored), got);
        LAW_HOLDS(span_eq(got, may ? want : SPAN_LIT("unwritten")), a, a, model_span(&stored), got);
        own += may ? 1 : 0;
    }
    print_message("%llu own or above\n", (unsigned long long)own);
}

/* What b does is silent in a, unless b is a or above it: as if b were not there (design.md 5.2). */
static void law_6_a_foreign_publisher_is_a_missing_publisher(void **state)
{
    (void)state;
    static const char *const everything[] = {">",     "*.>",           "*",   "*.*",
                                             "*.*.*", "*.*.*.*.*.*.>", "bh.>"};
    for (struct law *law = law_begin("L6 subjects"); law_next(law);) {
        const struct model_ns *a = law_ns(law), *b = law_ns(law);
        struct model_bytes s, stored;
        model_any_subject(&law->rng, false, &s);
        bool down = rng_below(&law->rng, 2) == 0;
        model_subject_write(&b->name, down ? "d" : "e", model_span(&s), &stored);
        struct span filter = span_str(everything[rng_below(&law->rng, ARRAY_LEN(everything))]);
        if (a != b) {
            LAW_HOLDS(heard_by(a, filter, model_span(&stored)) == 0, a, b, filter,
                      model_span(&stored));
            /* Naming the stored subject itself leads nowhere either: it is mapped once more. */
            LAW_HOLDS(heard_by(a, model_span(&stored), model_span(&stored)) == 0, a, b, filter,
                      model_span(&stored));
        }
    }
}

/* ---- view subtree ---- */

static struct subject_map view_of(const struct model_ns *a)
{
    struct subject_map m = a->subjects;
    assert_int_equal(subject_map_see_below(&m, subject_map_default_events,
                                           ARRAY_LEN(subject_map_default_events)),
                     ERR_OK);
    return m;
}

/* The default of view.events, token by token: "_INBOX.>" and "namespace.>" hold the whole filter.
 */
static bool is_in_view(struct span filter)
{
    struct model_tokens t = model_split(filter);
    return t.n > 1 &&
           (model_token_is(t.token[0], "_INBOX") || model_token_is(t.token[0], "namespace"));
}

static void any_view_subject(struct law *law, bool wild, struct model_bytes *out)
{
    static const char *const heads[] = {"_INBOX.", "namespace.", "", "", "*.", "$SRV."};
    struct model_bytes tail;
    *out = (struct model_bytes){0};
    model_add_str(out, heads[rng_below(&law->rng, wild ? ARRAY_LEN(heads) : 3)]);
    model_any_subject(&law->rng, wild, &tail);
    model_add(out, model_span(&tail));
}

static unsigned heard_in_view(const struct subject_map *m, struct span filter, struct span stored)
{
    unsigned slices = subject_map_sub_slices(m, filter), heard = 0;
    for (unsigned i = 0; i < SUBJECT_SLICES_MAX; i++) {
        if ((slices >> i & 1) == 0)
            continue;
        struct model_bytes upstream = {0};
        model_add(&upstream, prefix_of(subject_map_sub_prefix(m, slices, i)));
        model_add(&upstream, filter);
        heard += model_subject_matches(model_span(&upstream), stored, false) ? 1 : 0;
    }
    return heard;
}

/* Events from below if the filter lies in view.events; requests from above if it is literal. */
static void a_view_hears_what_comes_from_below_and_nothing_else(void **state)
{
    (void)state;
    uint64_t below = 0;
    for (struct law *law = law_begin("L2 view"); law_next(law);) {
        const struct model_ns *a = law_ns(law), *b = law_ns(law);
        struct subject_map m = view_of(a);
        struct model_bytes s, filter, stored;
        any_view_subject(law, false, &s);
        if (rng_below(&law->rng, 4) == 0)
            any_view_subject(law, true, &filter);
        else
            model_filter_near(&law->rng, model_span(&s), &filter);
        bool down = rng_below(&law->rng, 2) == 0;
        model_subject_write(&b->name, down ? "d" : "e", model_span(&s), &stored);
        struct span f = model_span(&filter);

        bool literal = model_subject_is_legal(f, false);
        bool is_request = literal && model_is_request(f);
        bool sees = model_name_is_above(&a->name, &b->name) && !down && is_in_view(f) &&
                    !is_request;
        bool asked = model_name_is_above(&b->name, &a->name) && down && literal;
        bool may = (a == b || sees || asked) && model_subject_matches(f, model_span(&s), false);
        bool must = may && (!down || model_is_request(model_span(&s)));
        unsigned heard = heard_in_view(&m, f, model_span(&stored));
        LAW_HOLDS(heard <= (may ? 1u : 0u), a, b, f, model_span(&stored));
        LAW_HOLDS(heard >= (must ? 1u : 0u), a, b, f, model_span(&stored));
        struct span back = SPAN_NONE;
        LAW_HOLDS(heard == 0 || (subject_map_strip(&m, model_span(&stored), &back) &&
                                 span_eq(back, model_span(&s))),
                  a, b, f, model_span(&stored));
        /* At most 1, 2, and 2 + depth upstream subscriptions (issue 7). */
        unsigned n = (unsigned)__builtin_popcount(subject_map_sub_slices(&m, f) &
                                                  ((1u << SUBJECT_SLICES_MAX) - 1));
        LAW_HOLDS(n <= (is_request ? 2u + m.ancestors : 2u), a, b, f, f);
        below += sees && heard ? 1 : 0;
    }
    print_message("%llu from below\n", (unsigned long long)below);
    assert_true(below != 0);
}

static void a_view_strips_only_what_it_has_verified(void **state)
{
    (void)state;
    uint64_t below = 0;
    for (struct law *law = law_begin("L5 view"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct subject_map m = view_of(a);
        struct model_bytes stored;
        struct model_name owner = {0};
        struct span want = SPAN_NONE, got = SPAN_LIT("unwritten");
        char class = 0;
        model_any_stored_subject(&law->rng, law->names, a, &stored);
        /* What push consumers deliver is laid out as own events are. */
        bool delivery = a->name.segments < NS_SEGMENTS_MAX &&
                        span_has_prefix(model_span(&stored), SPAN_LIT("bh.j."));
        struct model_bytes asked = stored;
        asked.p[3] = delivery ? 'e' : asked.p[3];
        bool read = model_subject_read(model_span(&asked), &owner, &class, &want);
        bool mine = read && model_name_equal(&owner, &a->name);
        bool above = read && model_name_is_above(&owner, &a->name);
        bool under = read && model_name_is_above(&a->name, &owner);

        bool may = ((mine || (under && !delivery)) && (class == 'e' || class == 'd')) ||
                   (above && class == 'd');
        bool stripped = subject_map_strip(&m, model_span(&stored), &got);
        LAW_HOLDS(stripped == may, a, a, model_span(&stored), got);
        LAW_HOLDS(span_eq(got, may ? want : SPAN_LIT("unwritten")), a, a, model_span(&stored), got);

        got = SPAN_LIT("unwritten");
        may = (mine || above || under) && class == 'e' && !delivery;
        stripped = subject_map_strip_reply(&m, model_span(&stored), &got);
        LAW_HOLDS(stripped == may, a, a, model_span(&stored), got);
        LAW_HOLDS(span_eq(got, may ? want : SPAN_LIT("unwritten")), a, a, model_span(&stored), got);
        below += under ? 1 : 0;
    }
    print_message("%llu below\n", (unsigned long long)below);
    assert_true(below != 0);
}

/* covers: never when a subject of the filter is outside the pattern; and always when the pattern
 * cannot be left, token by token. */
static void a_pattern_covers_a_filter_or_a_witness_says_no(void **state)
{
    (void)state;
    static const char *const patterns[] = {"_INBOX.>", "namespace.>", "a.*",       "a.*.>", "*.b",
                                           "**.b",     "a*.>",        "*-<hex>.b", ">",     "a.b"};
    uint64_t covered = 0;
    for (struct law *law = law_begin("covers"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct span p = span_str(patterns[rng_below(&law->rng, ARRAY_LEN(patterns))]);
        struct model_bytes s, filter;
        any_view_subject(law, false, &s);
        model_filter_near(&law->rng, model_span(&s), &filter);
        struct span f = model_span(&filter);
        bool covers = subject_pattern_covers(p, f);
        bool both = model_subject_matches(f, model_span(&s), false);
        LAW_HOLDS(!covers || !both || model_subject_matches(p, model_span(&s), true), a, a, p, f);
        bool literal = model_subject_is_legal(f, false);
        LAW_HOLDS(!literal || covers == model_subject_matches(p, f, true), a, a, p, f);
        LAW_HOLDS(!is_in_view(f) || subject_pattern_covers(SPAN_LIT("_INBOX.>"), f) !=
                                        subject_pattern_covers(SPAN_LIT("namespace.>"), f),
                  a, a, p, f);
        covered += covers ? 1 : 0;
    }
    print_message("%llu covered\n", (unsigned long long)covered);
}

/* The glob of a pattern's token, and the overlap of pattern and filter: exact in both directions.
 */
static void any_pattern(struct law *law, struct model_bytes *out)
{
    static const char *const tokens[] = {"a",
                                         "b",
                                         "*",
                                         "*b",
                                         "a*",
                                         "**",
                                         "a*b",
                                         "x-<hex>",
                                         "*-<hex>",
                                         "<hex>",
                                         "<hex>*",
                                         "$SRV",
                                         "x-0123456789abcdef"};
    out->n = 0;
    unsigned n = 1 + (unsigned)rng_below(&law->rng, 4);
    for (unsigned i = 0; i < n; i++) {
        if (i != 0)
            model_add_str(out, ".");
        bool rest = i + 1 == n && rng_below(&law->rng, 4) == 0;
        model_add_str(out, rest ? ">" : tokens[rng_below(&law->rng, ARRAY_LEN(tokens))]);
    }
}

/* A subject that both could match, if any subject can. */
static bool witness_of(struct span pattern, struct span filter, struct model_bytes *out)
{
    struct model_tokens p = model_split(pattern), f = model_split(filter);
    bool p_rest = model_token_is(p.token[p.n - 1], ">"),
         f_rest = model_token_is(f.token[f.n - 1], ">");
    out->n = 0;
    for (unsigned i = 0; i < p.n || i < f.n; i++) {
        struct span pt = i < p.n ? p.token[i] : SPAN_LIT(">"),
                    ft = i < f.n ? f.token[i] : SPAN_LIT(">");
        if ((i >= p.n && !p_rest) || (i >= f.n && !f_rest))
            return false;
        if (i != 0)
            model_add_str(out, ".");
        if (!model_token_is(ft, "*") && !model_token_is(ft, ">")) {
            model_add(out, ft);
            continue;
        }
        size_t before = out->n;
        for (size_t k = 0; k < pt.n; k++) { /* the shortest text the pattern's token takes */
            if (pt.p[k] == '<') {
                model_add_str(out, "01234567");
                k += 4;
            } else if (pt.p[k] != '*' && pt.p[k] != '>') {
                model_add(out, span_of(pt.p + k, 1));
            }
        }
        if (out->n == before)
            model_add_str(out, "w");
    }
    return true;
}

static void patterns_match_and_overlap_exactly(void **state)
{
    (void)state;
    uint64_t matched = 0, overlapped = 0;
    for (struct law *law = law_begin("patterns"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes pattern, subject, filter, witness;
        any_pattern(law, &pattern);
        model_any_subject(&law->rng, false, &subject);
        model_any_subject(&law->rng, true, &filter);
        struct span p = model_span(&pattern), s = model_span(&subject), f = model_span(&filter);
        LAW_HOLDS(subject_pattern_is_valid(p), a, a, p, s);
        bool matches = model_subject_matches(p, s, true);
        LAW_HOLDS(subject_pattern_matches(p, s) == matches, a, a, p, s);
        bool meet = witness_of(p, f, &witness) &&
                    model_subject_matches(p, model_span(&witness), true) &&
                    model_subject_matches(f, model_span(&witness), false);
        LAW_HOLDS(subject_pattern_overlaps(p, f) == meet, a, a, p, f);
        /* Not the witness's fault: any common subject at all is enough. */
        LAW_HOLDS(meet || !matches || !model_subject_matches(f, s, false), a, a, p, f);
        matched += matches ? 1 : 0;
        overlapped += meet ? 1 : 0;
    }
    print_message("%llu matched, %llu overlapped\n", (unsigned long long)matched,
                  (unsigned long long)overlapped);
}

static void subjects_are_legal_by_the_servers_rules(void **state)
{
    (void)state;
    static const char bytes[] = "aab..*> \t\r\n\f";
    for (struct law *law = law_begin("legal subjects"); law_next(law);) {
        struct model_bytes s = {0};
        size_t n = (size_t)rng_below(&law->rng, 8);
        while (s.n < n) /* the last of them is NUL */
            s.p[s.n++] = (uint8_t)
                bytes[rng_below(&law->rng, rng_below(&law->rng, 4) == 0 ? sizeof bytes : 7)];
        struct span x = model_span(&s);
        const struct model_ns *a = law_ns(law);
        LAW_HOLDS(subject_is_literal(x) == model_subject_is_legal(x, false), a, a, x, x);
        LAW_HOLDS(subject_is_valid_filter(x) == model_subject_is_legal(x, true), a, a, x, x);
        LAW_HOLDS(subject_is_valid(x) || !subject_is_valid_filter(x), a, a, x, x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(law_1_strip_undoes_map_and_map_is_the_layout),
        cmocka_unit_test(law_2_a_subscription_hears_what_it_may_and_hears_it_once),
        cmocka_unit_test(law_3_mapping_keeps_order),
        cmocka_unit_test(law_4_two_namespaces_share_no_subject_and_no_group),
        cmocka_unit_test(law_5_only_verified_bytes_are_stripped),
        cmocka_unit_test(law_6_a_foreign_publisher_is_a_missing_publisher),
        cmocka_unit_test(a_view_hears_what_comes_from_below_and_nothing_else),
        cmocka_unit_test(a_view_strips_only_what_it_has_verified),
        cmocka_unit_test(a_pattern_covers_a_filter_or_a_witness_says_no),
        cmocka_unit_test(patterns_match_and_overlap_exactly),
        cmocka_unit_test(subjects_are_legal_by_the_servers_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
