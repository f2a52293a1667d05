/* SPDX-License-Identifier: Apache-2.0 */
/* The laws of design.md 2.6 for the names of streams (5.5), against a writer that goes by the text.
 */
#include "law/law.h"
#include "policy/js_names.h"

static void any_stream(struct law *law, struct model_bytes *out)
{
    static const char *const pieces[] = {"a", "b", "~", "~~", "N", "KV_", "%2E", "-", "A", "a~b~~"};
    out->n = 0;
    for (uint64_t n = 1 + rng_below(&law->rng, 4); n > 0; n--)
        model_add_str(out, pieces[rng_below(&law->rng, ARRAY_LEN(pieces))]);
}

/* map(N) = { enc(segment) "~" } "~" N */
static void model_map(const struct model_ns *ns, struct span name, struct model_bytes *out)
{
    out->n = 0;
    for (unsigned i = 0; i < ns->name.segments; i++) {
        model_add_enc(out, ns->name.segment[i]);
        model_add_str(out, "~");
    }
    model_add_str(out, "~");
    model_add(out, name);
}

static void law_1_strip_undoes_map_and_map_is_the_layout(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L1 streams"); law_next(law);) {
        const struct model_ns *a = law_ns(law);
        struct model_bytes name, want;
        struct js_names m;
        struct buf stored = {0};
        struct span back = SPAN_NONE;
        any_stream(law, &name);
        model_map(a, model_span(&name), &want);
        js_names_init(&m, &a->path);
        enum err e = js_names_map(&m, model_span(&name), &stored);
        LAW_HOLDS((e == ERR_OK) == (want.n <= 255), a, a, model_span(&name), model_span(&want));
        if (e == ERR_OK) {
            LAW_HOLDS(span_eq(buf_span(&stored), model_span(&want)), a, a, buf_span(&stored),
                      model_span(&want));
            LAW_HOLDS(js_names_strip(&m, buf_span(&stored), &back), a, a, buf_span(&stored),
                      model_span(&name));
            LAW_HOLDS(span_eq(back, model_span(&name)), a, a, back, model_span(&name));
        }
        buf_deinit(&stored);
    }
}

static void law_4_two_namespaces_never_share_a_stored_name(void **state)
{
    (void)state;
    for (struct law *law = law_begin("L4 streams"); law_next(law);) {
        const struct model_ns *a = law_ns(law), *b = law_ns(law);
        struct model_bytes name, stored;
        struct js_names m;
        struct span back;
        any_stream(law, &name);
        model_map(a, model_span(&name), &stored);
        js_names_init(&m, &b->path);
        bool same = model_name_equal(&a->name, &b->name);
        LAW_HOLDS(js_names_strip(&m, model_span(&stored), &back) == same, a, b, model_span(&stored),
                  model_span(&name));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(law_1_strip_undoes_map_and_map_is_the_layout),
        cmocka_unit_test(law_4_two_namespaces_never_share_a_stored_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
