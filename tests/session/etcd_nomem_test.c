/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that keep something (watches to resume, leases in flight, a prelude) with the n-th
 * allocation failing: the call ends with an error, and nothing else. */
#include "support/etcd_rig.h"

#include "support/alloc_fail.h"

static struct etcd_rig rig;

static bool ask(const struct pb_build *m)
{
    return rig_ask(&rig, m) == ERR_OK;
}

static bool reply(const struct pb_build *m)
{
    return rig_reply(&rig, m) == ERR_OK;
}

static struct pb_build created(uint64_t id)
{
    struct pb_build m = {0}, header = {0};
    pb_num(&header, 3, 10);
    pb_sub(&m, 1, &header);
    pb_num(&m, 2, id);
    pb_num(&m, 3, 1);
    return m;
}

/* Each returns whether everything went well. */
static bool watches(void)
{
    struct pb_build create = {0}, m = {0};
    bool ok = true;
    rig_open(&rig, "/etcdserverpb.Watch/Watch");
    pb_str(&create, 1, "k");
    pb_sub(&m, 1, &create);
    for (uint64_t id = 0; ok && id < 6; id++) {
        struct pb_build answer = created(id);
        ok = ask(&m) && (id > 3 || reply(&answer));
    }
    return ok && etcd_call_resume(&rig.call) && ask(&m) && etcd_call_resume(&rig.call);
}

static bool keep_alives(void)
{
    struct pb_build m = {0};
    bool ok = true;
    rig_open(&rig, "/etcdserverpb.Lease/LeaseKeepAlive");
    pb_num(&m, 1, 7);
    for (unsigned i = 0; ok && i < 20; i++)
        ok = ask(&m);
    return ok && etcd_call_resume(&rig.call);
}

static bool prelude(void)
{
    struct pb_build m = {0}, granted = {0};
    rig_open(&rig, "/v3lockpb.Lock/Lock");
    pb_str(&m, 1, "name");
    pb_num(&granted, 2, RIG_GIVEN);
    return ask(&m) && etcd_call_retry(&rig.call, 9) && reply(&granted) &&
           etcd_call_retry(&rig.call, 0);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    static bool (*const lives[])(void) = {watches, keep_alives, prelude};
    if (!alloc_fail_works)
        skip();
    for (size_t i = 0; i < ARRAY_LEN(lives); i++) {
        unsigned n = 1;
        for (bool well = false; !well; n++) {
            alloc_fail_at = n;
            well = lives[i]();
            bool has_failed = alloc_fail_at == 0;
            alloc_fail_at = 0;
            rig_close(&rig);
            /* Giving memory back may fail without harm. */
            assert_true(well || has_failed);
            well = well && !has_failed;
        }
        assert_true(n > 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_allocation_may_fail)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
