/* SPDX-License-Identifier: Apache-2.0 */
/* hist_test - quantiles against sorting, over the whole range of values. */
#include "hist.h"

#include "support/support.h"

#include <math.h>
#include <stdlib.h>

enum { VALUES = 20000 };

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void a_quantile_is_within_a_fifth_of_a_percent_of_the_sorted_value(void **state)
{
    (void)state;
    static struct hist h;
    static uint64_t v[VALUES];
    uint64_t x = 88172645463325252u;
    hist_init(&h);
    for (int i = 0; i < VALUES; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        v[i] = (x >> 8) >> (x % 56); /* spread over all magnitudes */
        if (v[i] >> HIST_MAX_BITS != 0) {
            v[i] >>= 20;
        }
        hist_add(&h, v[i]);
    }
    qsort(v, VALUES, sizeof v[0], by_size);
    const double q[] = {0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof q / sizeof q[0]; i++) {
        double want = (double)v[(size_t)(q[i] * VALUES + 0.5) - 1];
        double got = hist_quantile_ns(&h, q[i]);
        assert_true(fabs(got - want) <= want / HIST_SUB + 1);
    }
}

static void an_empty_histogram_answers_zero(void **state)
{
    (void)state;
    static struct hist h;
    hist_init(&h);
    assert_true(hist_quantile_ns(&h, 0.5) < 1);
}

static void a_value_beyond_the_range_counts_as_the_last_step(void **state)
{
    (void)state;
    static struct hist h;
    hist_init(&h);
    hist_add(&h, UINT64_MAX);
    assert_true(hist_quantile_ns(&h, 0.5) >= (double)((uint64_t)1 << (HIST_MAX_BITS - 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quantile_is_within_a_fifth_of_a_percent_of_the_sorted_value),
        cmocka_unit_test(an_empty_histogram_answers_zero),
        cmocka_unit_test(a_value_beyond_the_range_counts_as_the_last_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
