/* SPDX-License-Identifier: Apache-2.0 */
/* config: what a sidecar sees of its descendants, design.md 2.5: the view of each plane, the lists.
 */
#include "support/config_rig.h"

static const struct mistake bads[] = {
    {{.argv = {UP, "--view", "all"}}, "--view \"all\": the view is own or subtree"},
    {{.argv = {UP, "--nats-view", "all"}}, "--nats-view \"all\": the view is own or subtree"},
    {{.argv = {UP, "--view-streams", "a.b"}}, "--view-streams \"a.b\": a stream's name has no dot"},
    {{.argv = {UP, "--view-events", "a..b"}},
     "--view-events \"a..b\": this is not a pattern of NATS subjects"},
    {{.argv = {UP, "--config=FILE"}, .file = "{\"view-keys\": [\"\"]}"},
     "FILE: \"view-keys\" \"\": every key has this prefix, those of locks and queues too; name "
     "what is to be shown"},
    {{.argv = {UP, "--view-requests", "a..b"}},
     "--view-requests \"a..b\": this is not a pattern of NATS subjects"},
    {{.argv = {UP}, .env = {"BULKHEAD_ETCD_VIEW=all"}},
     "BULKHEAD_ETCD_VIEW \"all\": the view is own or subtree"},
};

static void every_mistake_has_a_text_that_says_what_where_and_what_would_be_right(void **state)
{
    (void)state;
    expect_mistakes(bads, ARRAY_LEN(bads));
}

/* The option of a plane wins wherever it stands: it says more than the one of both. */
static const struct {
    struct load load;
    enum config_view etcd, nats;
} views[] = {
    {{.argv = {UP}}, VIEW_SUBTREE, VIEW_SUBTREE},
    {{.argv = {UP, "--view", "own"}}, VIEW_OWN, VIEW_OWN},
    {{.argv = {UP, "--etcd-view", "own"}}, VIEW_OWN, VIEW_SUBTREE},
    {{.argv = {UP, "--nats-view", "own"}}, VIEW_SUBTREE, VIEW_OWN},
    {{.argv = {UP, "--nats-view", "subtree", "--view", "own"}}, VIEW_OWN, VIEW_SUBTREE},
    {{.argv = {UP, "--etcd-view", "own", "--nats-view", "own"}}, VIEW_OWN, VIEW_OWN},
    {{.argv = {UP, "--view", "own"}, .env = {"BULKHEAD_ETCD_VIEW=subtree"}},
     VIEW_SUBTREE,
     VIEW_OWN},
    {{.argv = {UP, "--view", "subtree", "--config", "FILE"}, .file = "{\"nats-view\": \"own\"}"},
     VIEW_SUBTREE,
     VIEW_OWN},
    {{.argv = {UP, "--config", "FILE"},
      .env = {"BULKHEAD_NATS_VIEW=own"},
      .file = "{\"nats-view\": \"subtree\", \"view\": \"own\", \"etcd-view\": \"subtree\"}"},
     VIEW_SUBTREE,
     VIEW_OWN},
};

static void each_plane_has_the_view_of_both_or_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(views); i++) {
        assert_int_equal(load(&views[i].load), ERR_OK);
        if (config.etcd_view != views[i].etcd || config.nats_view != views[i].nats)
            fail_msg("row %zu: etcd %d, NATS %d", i, (int)config.etcd_view, (int)config.nats_view);
    }
}

static void lists_of_the_view_stay_where_they_are(void **state)
{
    (void)state;
    assert_int_equal(
        load(&(struct load){.argv = {UP, "--view-requests", "a.>,b", "--view-keys", "x/,y/,z"}}),
        ERR_OK);
    assert_int_equal(config.requests.n, 2);
    assert_span_equal(config.requests.item[0], SPAN_LIT("a.>"));
    assert_span_equal(config.requests.item[1], SPAN_LIT("b"));
    assert_int_equal(config.view_key_prefixes, 3);
    assert_span_equal(config.view_keys[0], SPAN_LIT("x/"));
    assert_span_equal(config.view_keys[2], SPAN_LIT("z"));
    assert_int_equal(load(&(struct load){.command = COMMAND_CHECK, .argv = {UP, "--key", "k"}}),
                     ERR_OK);
    assert_span_equal(config.key, SPAN_LIT("k"));
    assert_int_equal(config.view_key_prefixes, 7);
    assert_span_equal(config.view_keys[1], SPAN_LIT("models"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_has_a_text_that_says_what_where_and_what_would_be_right),
        cmocka_unit_test(each_plane_has_the_view_of_both_or_its_own),
        cmocka_unit_test(lists_of_the_view_stay_where_they_are),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    config_deinit(&config);
    return failed;
}
