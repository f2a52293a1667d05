/* SPDX-License-Identifier: Apache-2.0 */
/*
 * law - how a law test runs: so many random cases, and on the first broken one what it was about.
 *
 *   LAW_CASES=1000000 LAW_SEED=42 build/dev/bin/law_key_law_test
 */
#ifndef TESTS_LAW_LAW_H
#define TESTS_LAW_LAW_H

#include "support/support.h"

#include "law/makers.h"

enum { LAW_CASES_FALLBACK = 100000 };

/* Namespaces are made anew after so many cases. */
enum { LAW_CASES_PER_NAMES = 2000 };

struct law {
    struct rng rng;
    uint64_t cases, done;
    struct model_ns names[MODEL_NAMES];
};

static inline struct law *law_begin(const char *title)
{
    static struct law law;
    law = (struct law){.rng = support_rng(title), .cases = support_cases(LAW_CASES_FALLBACK)};
    return &law;
}

/* True as long as there is another case to try. */
static inline bool law_next(struct law *law)
{
    if (law->done == law->cases) {
        print_message("%llu cases\n", (unsigned long long)law->done);
        return false;
    }
    if (law->done % LAW_CASES_PER_NAMES == 0)
        model_names_init(&law->rng, law->names);
    law->done++;
    return true;
}

static inline const struct model_ns *law_ns(struct law *law)
{
    return model_any(&law->rng, law->names);
}

/* Holds cond; if it is broken, shows the namespaces and bytes of the case. */
#define LAW_HOLDS(cond, a, b, x, y)                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            law_broken(#cond, (a), (b), (x), (y));                                                 \
    } while (0)

static inline void law_show(const char *what, struct span s)
{
    print_error("%s = \"", what);
    for (size_t i = 0; i < s.n; i++)
        print_error(s.p[i] > ' ' && s.p[i] < 0x7f ? "%c" : "\\x%02x", s.p[i]);
    print_error("\"\n");
}

static inline void law_broken(const char *cond, const struct model_ns *a, const struct model_ns *b,
                              struct span x, struct span y)
{
    print_error("a = %s, b = %s\n", ns_path_name(&a->path), ns_path_name(&b->path));
    law_show("x", x);
    law_show("y", y);
    fail_msg("broken: %s", cond);
}

#endif
