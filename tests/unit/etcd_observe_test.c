/* SPDX-License-Identifier: Apache-2.0 */
/* Election.Observe over losses of the upstream: who was shown last is not shown again. */
#include "support/etcd_rig.h"

#define OBSERVE "/v3electionpb.Election/Observe"

static struct etcd_rig rig;

static struct pb_build leader(const char *key, uint64_t mod)
{
    struct pb_build m = {0}, kv = {0}, header = {0};
    pb_num(&header, 3, 100 + mod);
    pb_sub(&m, 1, &header);
    pb_str(&kv, 1, key);
    pb_num(&kv, 2, 3);
    pb_num(&kv, 3, mod);
    pb_str(&kv, 5, "value");
    pb_sub(&m, 2, &kv);
    return m;
}

static void show(const char *key, uint64_t mod, bool is_shown)
{
    struct pb_build reply = leader(key, mod);
    buf_consume(&rig.call.to_app, buf_len(&rig.call.to_app));
    assert_int_equal(rig_reply(&rig, &reply), ERR_OK);
    assert_int_equal(buf_len(&rig.call.to_app) != 0, is_shown);
}

static void lose(void)
{
    struct pb_build want = {0};
    assert_true(rig.call.route->resumes);
    assert_true(etcd_call_resume(&rig.call));
    pb_str(&want, 1, RIG_P "n");
    pb_str(&want, 9, "future");
    assert_asked(&rig, &want);
    buf_consume(&rig.call.to_up, buf_len(&rig.call.to_up));
}

static void a_leader_is_shown_once_over_any_number_of_losses(void **state)
{
    (void)state;
    struct pb_build m = {0}, nobody = {0};
    rig_open(&rig, OBSERVE);
    pb_str(&m, 1, "n");
    pb_str(&m, 9, "future");
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    lose(); /* before anything was shown */
    show(RIG_P "n/1", 7, true);
    lose();
    show(RIG_P "n/1", 7, false);
    show(RIG_P "n/1", 7, true); /* etcd's own business: it was there before, too */
    lose();
    lose();
    show(RIG_P "n/1", 7, false);
    show(RIG_P "n/1", 8, true);
    lose();
    show(RIG_P "n/1", 9, true); /* it has changed meanwhile */
    lose();
    show(RIG_P "n/2", 9, true); /* another one, written in the same transaction */
    lose();
    assert_int_equal(rig_reply(&rig, &nobody), ERR_OK);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_is_shown_once_over_any_number_of_losses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
