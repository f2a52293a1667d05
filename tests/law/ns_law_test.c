/* SPDX-License-Identifier: Apache-2.0 */
/* Names of namespaces and their encoding, against a reader that applies rule after rule. */
#include "law/law.h"

/* Names near the edge of every rule. */
static void any_name(struct law *law, struct model_bytes *out)
{
    static const char *const pieces[] = {"a",        "b",        ".",  "/", "default", "default/",
                                         "default.", "..",       "//", "-", "_",       "A",
                                         "%",        "\xc3\xa9", "~",  " "};
    out->n = 0;
    unsigned n = (unsigned)rng_below(&law->rng, 9);
    for (unsigned i = 0; i < n; i++) {
        uint64_t dice = rng_below(&law->rng, 32);
        if (dice == 0) {
            uint8_t byte = (uint8_t)rng_next(&law->rng);
            model_add(out, span_of(&byte, 1));
        } else if (dice == 1) { /* about as long as a segment may be */
            for (uint64_t k = 61 + rng_below(&law->rng, 4); k > 0; k--)
                model_add_str(out, "x");
        } else {
            model_add_str(out, pieces[rng_below(&law->rng, dice < 20 ? 5 : ARRAY_LEN(pieces))]);
        }
    }
}

static bool same_name(const struct ns_path *path, const struct model_name *name)
{
    if (path->segments != name->segments)
        return false;
    for (unsigned i = 0; i < name->segments; i++)
        if (!span_eq(ns_path_segment(path, i), span_str(name->segment[i])))
            return false;
    return true;
}

static void names_are_read_by_the_rules_and_by_nothing_else(void **state)
{
    (void)state;
    uint64_t legal = 0;
    for (struct law *law = law_begin("names"); law_next(law);) {
        struct model_bytes text;
        struct model_name want;
        struct ns_path got, again;
        struct ns_path_error error = {SIZE_MAX, NULL};
        char sep = rng_below(&law->rng, 2) == 0 ? '/' : '.';
        any_name(law, &text);
        bool is_legal = model_name_parse(model_span(&text), sep, &want);
        enum err e = ns_path_parse(model_span(&text), sep, &got, &error);
        LAW_HOLDS((e == ERR_OK) == is_legal, law_ns(law), law_ns(law), model_span(&text),
                  SPAN_NONE);
        if (e != ERR_OK) {
            assert_true(error.position < text.n && error.rule != NULL);
            continue;
        }
        legal++;
        LAW_HOLDS(same_name(&got, &want), law_ns(law), law_ns(law), model_span(&text), SPAN_NONE);
        /* What people are shown reads back as the same namespace. */
        assert_int_equal(ns_path_parse(span_str(ns_path_name(&got)), '/', &again, NULL), ERR_OK);
        assert_true(ns_path_equal(&got, &again));
    }
    print_message("%llu legal\n", (unsigned long long)legal);
}

static bool continues(struct span start, const char *rest)
{
    struct model_bytes text = {0};
    struct model_name name;
    model_add(&text, start);
    model_add_str(&text, rest);
    return model_name_parse(model_span(&text), '/', &name);
}

/* The position of an error is that of the first byte that breaks a rule: what stands before it is,
 * or can be continued to, a legal name. (Too deep: what stands before the separator is.) */
static void an_error_points_at_the_first_bad_byte(void **state)
{
    (void)state;
    for (struct law *law = law_begin("positions"); law_next(law);) {
        struct model_bytes text;
        struct ns_path path;
        struct ns_path_error error;
        any_name(law, &text);
        if (ns_path_parse(model_span(&text), '/', &path, &error) == ERR_OK)
            continue;
        struct span before = span_head(model_span(&text), error.position);
        struct span shorter = span_head(before, before.n == 0 ? 0 : before.n - 1);
        /* A segment that is full and ends in '.' cannot be mended by another byte. */
        bool full = before.n >= 63 && before.p[before.n - 1] == '.' &&
                    memchr(before.p + before.n - 63, '/', 63) == NULL;
        LAW_HOLDS(full || continues(before, "") || continues(before, "x") || continues(shorter, ""),
                  law_ns(law), law_ns(law), model_span(&text), before);
        /* With the reported byte no continuation is legal any more. */
        struct span with = span_head(model_span(&text), error.position + 1);
        bool at_the_end = strstr(error.rule, "end") != NULL || strstr(error.rule, "again") != NULL;
        LAW_HOLDS(at_the_end || (!continues(with, "") && !continues(with, "x")), law_ns(law),
                  law_ns(law), model_span(&text), with);
    }
}

static void law_4_encodings_are_injective_and_read_back(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L4 encoding"); law_next(law);) {
        struct model_bytes x = {0}, want = {0};
        size_t n = (size_t)rng_below(&law->rng, 6);
        static const uint8_t few[] = "aA0-_.%2E~/\xff";
        while (x.n < n)
            x.p[x.n++] = few[rng_below(&law->rng, sizeof few - 1)];
        x.p[x.n] = '\0';
        model_add_enc(&want, (const char *)x.p);
        char out[NS_ENC_SEGMENT_BYTES_MAX], back[NS_SEGMENT_BYTES_MAX], model_back[64];
        struct span encoded = span_of(out, ns_enc_segment(model_span(&x), out));
        LAW_HOLDS(span_eq(encoded, model_span(&want)), law_ns(law), law_ns(law), encoded,
                  model_span(&x));
        /* Read back exactly where legal; raw bytes read as if they were an encoding likewise. */
        size_t m = 0;
        bool ok = ns_enc_decode(encoded, back, &m) == ERR_OK;
        LAW_HOLDS(ok == ns_path_segment_is_valid(model_span(&x)), law_ns(law), law_ns(law), encoded,
                  model_span(&x));
        LAW_HOLDS(!ok || span_eq(span_of(back, m), model_span(&x)), law_ns(law), law_ns(law),
                  encoded, model_span(&x));
        ok = ns_enc_decode(model_span(&x), back, &m) == ERR_OK;
        LAW_HOLDS(ok == model_read_enc(model_span(&x), model_back), law_ns(law), law_ns(law),
                  encoded, model_span(&x));
    }
}

static void ancestors_are_the_heads_of_a_path(void **state)
{
    (void)state;
    for (struct law *law = law_begin("ancestors"); law_next(law);) {
        const struct model_ns *a = law_ns(law), *b = law_ns(law);
        assert_int_equal(ns_path_equal(&a->path, &b->path), model_name_equal(&a->name, &b->name));
        assert_int_equal(ns_path_is_ancestor(&a->path, &b->path),
                         model_name_is_above(&a->name, &b->name));
        unsigned n = (unsigned)rng_below(&law->rng, b->path.segments + 1u);
        struct ns_path head = ns_path_head(&b->path, n);
        assert_int_equal(ns_path_is_ancestor(&head, &b->path), n < b->path.segments);
        assert_int_equal(ns_path_equal(&head, &b->path), n == b->path.segments);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_by_the_rules_and_by_nothing_else),
        cmocka_unit_test(an_error_points_at_the_first_bad_byte),
        cmocka_unit_test(law_4_encodings_are_injective_and_read_back),
        cmocka_unit_test(ancestors_are_the_heads_of_a_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
