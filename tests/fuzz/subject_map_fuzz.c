/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subjects: byte 0 chooses the namespace, then lines: pattern, filter, subject, stored subject.
 * What is legal, what matches, what a subscription hears and what is stripped, against the model.
 */
#include "base/check.h"
#include "law/makers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { TEXT_BYTES_MAX = 200 }; /* the model is slow */

static struct span line(struct span *rest)
{
    const uint8_t *end = rest->n == 0 ? NULL : memchr(rest->p, '\n', rest->n);
    struct span head = end == NULL ? *rest : span_head(*rest, (size_t)(end - rest->p));
    *rest = span_skip(*rest, head.n + (end == NULL ? 0 : 1));
    return span_head(head, TEXT_BYTES_MAX);
}

static void legality(struct span s)
{
    CHECK(subject_is_literal(s) == model_subject_is_legal(s, false));
    CHECK(subject_is_valid_filter(s) == model_subject_is_legal(s, true));
}

static void matching(struct span pattern, struct span filter, struct span subject)
{
    if (!subject_pattern_is_valid(pattern) || !subject_is_valid_filter(filter) ||
        !subject_is_literal(subject))
        return;
    bool by_pattern = model_subject_matches(pattern, subject, true);
    CHECK(subject_pattern_matches(pattern, subject) == by_pattern);
    if (by_pattern && model_subject_matches(filter, subject, false))
        CHECK(subject_pattern_overlaps(pattern, filter));
    if (subject_is_literal(filter))
        CHECK(subject_pattern_overlaps(pattern, filter) ==
              model_subject_matches(pattern, filter, true));
}

static void listening(const struct model_ns *ns, struct span filter, struct span stored)
{
    if (!subject_is_valid_filter(filter) || !subject_is_literal(stored))
        return;
    struct model_name owner;
    struct span s = SPAN_NONE;
    char class = 0;
    unsigned heard = 0, slices = subject_map_sub_slices(&ns->subjects, filter);
    for (unsigned i = 0; i < ns->subjects.slices; i++) {
        struct model_bytes upstream = {0};
        model_add(&upstream, span_of(ns->subjects.slice[i].text, ns->subjects.slice[i].n));
        model_add(&upstream, filter);
        if ((slices >> i & 1) != 0 && model_subject_matches(model_span(&upstream), stored, false))
            heard++;
    }
    bool read = model_subject_read(stored, &owner, &class, &s);
    bool may = read && (model_name_equal(&owner, &ns->name) ||
                        (class == 'd' && model_name_is_above(&owner, &ns->name) &&
                         model_subject_is_legal(filter, false)));
    CHECK(heard <= (may && model_subject_matches(filter, s, false) ? 1u : 0u));
}

static void stripping(const struct model_ns *ns, struct span stored)
{
    struct model_name owner = {0};
    struct span s = SPAN_NONE, got = SPAN_NONE;
    char class = 0;
    bool read = model_subject_read(stored, &owner, &class, &s);
    bool own = read && model_name_equal(&owner, &ns->name);
    bool above = read && model_name_is_above(&owner, &ns->name);
    bool may = own || (above && class == 'd');
    CHECK(subject_map_strip(&ns->subjects, stored, &got) == may);
    CHECK(!may || span_eq(got, s));
    may = (own || above) && class == 'e';
    CHECK(subject_map_strip_reply(&ns->subjects, stored, &got) == may);
    CHECK(!may || span_eq(got, s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    static struct model_ns ns;
    model_ns_init(&ns, model_hostile_names[data[0] % ARRAY_LEN(model_hostile_names)], 1);
    struct span rest = span_of(data + 1, n - 1);
    struct span pattern = line(&rest), filter = line(&rest), subject = line(&rest);
    struct span stored = line(&rest);
    legality(pattern);
    legality(filter);
    legality(subject);
    matching(pattern, filter, subject);
    listening(&ns, filter, stored);
    stripping(&ns, stored);
    return 0;
}
