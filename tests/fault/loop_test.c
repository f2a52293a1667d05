/* SPDX-License-Identifier: Apache-2.0 */
#include "io/loop.h"

#include "fault/wait.h"
#include "io/deadline.h"

/* Tasks that write down when they ran. */
static char trace[32];
static size_t trace_n;

struct step {
    struct loop_task task; /* first: run() casts */
    struct loop *l;
    char name;
    struct step *cancels, *queues;
};

static void run_step(struct loop_task *t)
{
    struct step *s = (struct step *)t;
    assert_null(t->next);
    trace[trace_n++] = s->name;
    if (s->cancels != NULL)
        loop_cancel(&s->cancels->task);
    if (s->queues != NULL)
        loop_later(s->l, &s->queues->task, run_step);
}

static void expect_trace(const char *want)
{
    trace[trace_n] = '\0';
    assert_string_equal(trace, want);
    trace_n = 0;
}

static void tasks_run_in_order_once_at_the_end_of_the_turn(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l), ERR_OK);
    struct step a = {.l = &l, .name = 'a'}, b = {.l = &l, .name = 'b'}, c = {.l = &l, .name = 'c'};
    loop_later(&l, &b.task, run_step);
    loop_later(&l, &a.task, run_step);
    loop_later(&l, &b.task, run_step);
    loop_later(&l, &c.task, run_step);
    expect_trace("");
    uv_run(&l.uv, UV_RUN_NOWAIT);
    expect_trace("bac");
    uv_run(&l.uv, UV_RUN_NOWAIT);
    expect_trace("");
    assert_int_equal(loop_deinit(&l), 0);
}

static void a_task_may_cancel_a_later_one_and_queue_itself_for_the_next_turn(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l), ERR_OK);
    struct step a = {.l = &l, .name = 'a'}, b = {.l = &l, .name = 'b'}, c = {.l = &l, .name = 'c'};
    a.cancels = &b;
    a.queues = &a;
    loop_later(&l, &a.task, run_step);
    loop_later(&l, &b.task, run_step);
    loop_later(&l, &c.task, run_step);
    uv_run(&l.uv, UV_RUN_NOWAIT);
    expect_trace("ac");
    a.queues = NULL;
    uv_run(&l.uv, UV_RUN_ONCE); /* does not sleep: a is queued */
    expect_trace("a");
    loop_later(&l, &a.task, run_step);
    loop_cancel(&a.task);
    loop_cancel(&a.task);
    assert_int_equal(loop_deinit(&l), 0);
    expect_trace("");
}

static void add_one(void *arg)
{
    (*(unsigned *)arg)++;
}

static void a_deadline_comes_once_or_never(void **state)
{
    (void)state;
    struct loop l;
    assert_int_equal(loop_init(&l), ERR_OK);
    unsigned first = 0, second = 0, never = 0;
    struct deadline *slot = NULL, *other = NULL;
    assert_int_equal(deadline_set(&l, 100000, add_one, &never, &slot), ERR_OK);
    assert_int_equal(deadline_set(&l, 1, add_one, &first, &slot), ERR_OK);
    assert_int_equal(deadline_set(&l, 2, add_one, &second, &other), ERR_OK);
    WAIT_FOR(&l, second == 1);
    assert_int_equal(first, 1);
    assert_null(slot);
    assert_null(other);
    assert_int_equal(deadline_set(&l, 100000, add_one, &never, &slot), ERR_OK);
    deadline_cancel(&slot);
    deadline_cancel(&slot);
    assert_null(slot);
    assert_int_equal(loop_deinit(&l), 0);
    assert_int_equal(never, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_in_order_once_at_the_end_of_the_turn),
        cmocka_unit_test(a_task_may_cancel_a_later_one_and_queue_itself_for_the_next_turn),
        cmocka_unit_test(a_deadline_comes_once_or_never),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
