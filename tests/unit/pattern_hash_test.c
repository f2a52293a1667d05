/* SPDX-License-Identifier: Apache-2.0 */
/* Same patterns, same hash; anything else, another one. */
#include "support/support.h"

#include "policy/pattern_hash.h"

#define LIST(...) .n = ARRAY_LEN(((const char *[]){__VA_ARGS__})), .item = {__VA_ARGS__}

struct list {
    unsigned n;
    const char *item[4];
};

static uint64_t hash(const struct list *requests, const struct list *events)
{
    struct span r[4], e[4];
    for (unsigned i = 0; i < requests->n; i++)
        r[i] = span_str(requests->item[i]);
    for (unsigned i = 0; i < events->n; i++)
        e[i] = span_str(events->item[i]);
    return pattern_hash(r, requests->n, e, events->n);
}

static void lists_are_the_same_in_any_order_and_however_often(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct list requests, events;
        bool same;
    } rows[] = {
        {"as it is", {LIST("$SRV.>", "*.*-<hex>")}, {LIST("_INBOX.>", "namespace.>")}, true},
        {"order", {LIST("*.*-<hex>", "$SRV.>")}, {LIST("namespace.>", "_INBOX.>")}, true},
        {"twice", {LIST("$SRV.>", "*.*-<hex>", "$SRV.>")}, {LIST("_INBOX.>", "namespace.>")}, true},
        {"one less", {LIST("$SRV.>")}, {LIST("_INBOX.>", "namespace.>")}, false},
        {"one more", {LIST("$SRV.>", "*.*-<hex>")}, {LIST("_INBOX.>", "namespace.>", "x")}, false},
        {"case", {LIST("$SRV.>", "*.*-<hex>")}, {LIST("_inbox.>", "namespace.>")}, false},
        {"lists swapped", {LIST("_INBOX.>", "namespace.>")}, {LIST("$SRV.>", "*.*-<hex>")}, false},
        {"one in the other list",
         {LIST("$SRV.>")},
         {LIST("_INBOX.>", "namespace.>", "*.*-<hex>")},
         false},
        {"joined", {LIST("$SRV.>*.*-<hex>")}, {LIST("_INBOX.>", "namespace.>")}, false},
        {"none", {0}, {0}, false},
    };
    uint64_t first = hash(&rows[0].requests, &rows[0].events);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((hash(&rows[i].requests, &rows[i].events) == first) != rows[i].same)
            fail_msg("%s", rows[i].what);
}

/* It is stored: another value in another version would be a mismatch of every sidecar. */
static void its_values_are_for_ever(void **state)
{
    (void)state;
    static const struct list none, requests = {LIST("$SRV.>", "*.*-<hex>")},
                                   events = {LIST("_INBOX.>", "namespace.>")};
    assert_int_equal(hash(&none, &none), 1);
    assert_int_equal(hash(&requests, &events), UINT64_C(0x399ca77ee837cab4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_the_same_in_any_order_and_however_often),
        cmocka_unit_test(its_values_are_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
