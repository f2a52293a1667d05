/* SPDX-License-Identifier: Apache-2.0 */
#include "support/support.h"

#include "nats/nats_oks.h"

enum { MODEL_MAX = 1 << 16 };

/* Law: the queue answers as a plain list of booleans would. */
static void the_queue_is_a_list(void **state)
{
    (void)state;
    static bool model[MODEL_MAX];
    size_t head = 0, tail = 0;
    struct nats_oks q = {0};
    struct rng rng = support_rng("nats_oks");
    while (tail < MODEL_MAX) {
        if (rng_below(&rng, 5) < 3) {
            bool swallow = rng_below(&rng, 3) == 0;
            assert_int_equal(nats_oks_push(&q, swallow), ERR_OK);
            model[tail++] = !swallow;
        } else {
            assert_int_equal(nats_oks_pop(&q), head == tail ? true : model[head++]);
        }
    }
    while (head < tail)
        assert_int_equal(nats_oks_pop(&q), model[head++]);
    assert_null(q.rest.data);
    nats_oks_deinit(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_queue_is_a_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
