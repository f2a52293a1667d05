/* SPDX-License-Identifier: Apache-2.0 */
/* The registry against a store of a few keys that decodes the requests on its own. */
#include "support/support.h"

#include <stdio.h>

#include "etcd/registry.h"
#include "policy/lease_tag.h"
#include "support/pb_build.h"

enum { STORE_KEYS = 64, STORE_BYTES = 128, CREATED = 7 };

static struct {
    size_t n, touched;
    struct {
        char key[STORE_BYTES], value[STORE_BYTES];
        size_t key_n, value_n;
    } row[STORE_KEYS];
} store;

static void put(struct span key, struct span value)
{
    for (size_t i = 0; i < store.n; i++)
        if (span_eq(key, span_of(store.row[i].key, store.row[i].key_n)))
            store.row[i] = store.row[--store.n]; /* written anew below */
    assert_true(store.n < STORE_KEYS && key.n <= STORE_BYTES && value.n <= STORE_BYTES);
    if (key.p != NULL)
        memcpy(store.row[store.n].key, key.p, key.n);
    if (value.p != NULL)
        memcpy(store.row[store.n].value, value.p, value.n);
    store.row[store.n].key_n = key.n;
    store.row[store.n++].value_n = value.n;
}

static bool get(struct span key, struct span *value)
{
    for (size_t i = 0; i < store.n; i++)
        if (span_eq(key, span_of(store.row[i].key, store.row[i].key_n))) {
            *value = span_of(store.row[i].value, store.row[i].value_n);
            return true;
        }
    return false;
}

static struct span stored(const char *key)
{
    struct span value = SPAN_NONE;
    if (!get(span_str(key), &value))
        fail_msg("no key %s", key);
    return value;
}

static void answer_range(struct span request, struct pb_build *reply)
{
    struct span key = pb_find(request, 1, 0).s, value;
    struct pb_build kv = {0};
    if (!get(key, &value))
        return;
    pb_span(&kv, 1, key);
    pb_num(&kv, 2, CREATED);
    pb_span(&kv, 5, value);
    pb_sub(reply, 2, &kv);
    pb_num(reply, 4, 1);
}

static void answer_txn(struct span request, struct pb_build *reply)
{
    struct span value;
    bool ok = true;
    for (unsigned i = 0; pb_find(request, 1, i).field != 0; i++) {
        struct span compare = pb_find(request, 1, i).s;
        assert_int_equal(pb_find(compare, 1, 0).v, 0); /* EQUAL */
        if (pb_find(compare, 2, 0).v == 3) {           /* VALUE */
            ok = ok && get(pb_find(compare, 3, 0).s, &value) &&
                 span_eq(value, pb_find(compare, 7, 0).s);
            continue;
        }
        if (pb_find(compare, 2, 0).v == 1) { /* CREATE */
            assert_int_equal(pb_find(compare, 5, 0).v, CREATED);
            ok = ok && get(pb_find(compare, 3, 0).s, &value);
            continue;
        }
        assert_int_equal(pb_find(compare, 2, 0).v, 0); /* VERSION */
        assert_int_equal(pb_find(compare, 4, 0).field, 4);
        assert_int_equal(pb_find(compare, 4, 0).v, 0);
        ok = ok && !get(pb_find(compare, 3, 0).s, &value);
    }
    if (ok)
        pb_num(reply, 2, 1);
    for (unsigned i = 0; pb_find(request, ok ? 2 : 3, i).field != 0; i++) {
        struct span op = pb_find(request, ok ? 2 : 3, i).s;
        struct pb_build part = {0}, response = {0};
        uint32_t kind = pb_find(op, 1, 0).field != 0 ? 1 : 2;
        struct span body = pb_find(op, kind, 0).s;
        if (kind == 1)
            answer_range(body, &part);
        else if (pb_find(body, 5, 0).v == 1) /* its own value once more */
            store.touched += get(pb_find(body, 1, 0).s, &value);
        else
            put(pb_find(body, 1, 0).s, pb_find(body, 2, 0).s);
        pb_sub(&response, kind, &part);
        pb_sub(reply, 3, &response);
    }
}

/* One round trip. */
static enum err step(struct registry *r, struct etcd_ns *ns)
{
    struct buf request = {0};
    struct pb_build reply = {0}, header = {0};
    struct span method;
    enum err e = registry_next(r, &request, &method);
    assert_int_equal(e, ERR_OK);
    pb_num(&header, 1, 1);
    pb_num(&header, 2, 2);
    pb_sub(&reply, 1, &header);
    if (span_eq(method, SPAN_LIT("/etcdserverpb.KV/Range"))) {
        answer_range(buf_span(&request), &reply);
    } else {
        assert_span_equal(method, SPAN_LIT("/etcdserverpb.KV/Txn"));
        answer_txn(buf_span(&request), &reply);
    }
    buf_deinit(&request);
    return registry_feed(r, pb_built(&reply), ns);
}

static enum err settle(struct registry *r, struct etcd_ns *ns)
{
    enum err e = ERR_OK;
    for (unsigned i = 0; e == ERR_OK && r->state != REGISTRY_DONE; i++) {
        assert_true(i < 3 * REGISTRY_TAG_TRIES);
        e = step(r, ns);
    }
    return e;
}

static const uint64_t noon = UINT64_C(1787227200123); /* 2026-08-20T12:00:00.123Z */

static struct ns_path path_of(const char *text)
{
    struct ns_path path;
    assert_int_equal(ns_path_parse(span_str(text), '/', &path, NULL), ERR_OK);
    return path;
}

static void a_first_sidecar_writes_version_entry_and_tag(void **state)
{
    (void)state;
    struct ns_path path = path_of("a/b.c");
    struct registry r;
    struct etcd_ns ns = {0};
    store.n = 0;
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    assert_int_equal(settle(&r, &ns), ERR_OK);
    assert_true(ns.has_tag);
    assert_int_equal(ns.tag, lease_tag_hash(SPAN_LIT("a/b.c")));
    assert_int_equal(ns.cluster_id, 1);
    assert_int_equal(store.n, 3);
    char entry[128], tag_key[32];
    snprintf(entry, sizeof entry, "{\"created\":\"2026-08-20T12:00:00Z\",\"tag\":\"%06x\"}",
             ns.tag);
    snprintf(tag_key, sizeof tag_key, "bh/m/t/%06x", ns.tag);
    assert_span_equal(stored("bh/m/v"), SPAN_LIT("1"));
    assert_span_equal(stored("bh/m/n/a/b%2Ec."), span_str(entry));
    assert_span_equal(stored(tag_key), SPAN_LIT("a/b.c"));
}

static void a_later_sidecar_reads_what_is_there(void **state)
{
    (void)state;
    struct ns_path path = path_of("default");
    struct registry r;
    struct etcd_ns first = {0}, second = {0};
    store.n = 0;
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    assert_int_equal(settle(&r, &first), ERR_OK);
    registry_init(&r, SPAN_LIT("bh/"), &path, noon + 5000);
    assert_int_equal(settle(&r, &second), ERR_OK);
    assert_int_equal(first.tag, second.tag);
    assert_int_equal(store.n, 3);
    assert_int_equal(store.touched, 1);
}

/* Somebody has removed it, and left the tag, which leases may have. */
static void an_entry_that_was_lost_is_made_again_with_its_tag(void **state)
{
    (void)state;
    struct ns_path path = path_of("a");
    struct registry r;
    struct etcd_ns ns = {0};
    uint32_t hash = lease_tag_hash(SPAN_LIT("a"));
    char key[32];
    store.n = 0;
    put(SPAN_LIT("bh/m/v"), SPAN_LIT("1"));
    snprintf(key, sizeof key, "bh/m/t/%06x", hash);
    put(span_str(key), SPAN_LIT("b"));
    snprintf(key, sizeof key, "bh/m/t/%06x", (hash + 1) % LEASE_TAG_COUNT);
    put(span_str(key), SPAN_LIT("a"));
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    assert_int_equal(settle(&r, &ns), ERR_OK);
    assert_int_equal(ns.tag, (hash + 1) % LEASE_TAG_COUNT);
    assert_int_equal(store.n, 4);
}

/* `gc` has removed it between the read and the touch. */
static void an_entry_that_goes_meanwhile_is_made_again(void **state)
{
    (void)state;
    struct ns_path path = path_of("a");
    struct registry r;
    struct etcd_ns ns = {0};
    store.n = 0;
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    assert_int_equal(settle(&r, &ns), ERR_OK);
    ns.has_tag = false;
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    while (r.state != REGISTRY_TOUCH)
        assert_int_equal(step(&r, &ns), ERR_OK);
    store.n = 1; /* the version alone */
    assert_int_equal(step(&r, &ns), ERR_OK);
    assert_false(ns.has_tag);
    assert_int_equal(settle(&r, &ns), ERR_OK);
    assert_true(ns.has_tag);
    assert_int_equal(store.n, 3);
}

static void a_taken_tag_makes_it_try_the_next(void **state)
{
    (void)state;
    struct ns_path path = path_of("a");
    struct registry r;
    struct etcd_ns ns = {0};
    uint32_t hash = lease_tag_hash(SPAN_LIT("a"));
    char key[32];
    store.n = 0;
    for (uint32_t i = 0; i < 3; i++) {
        snprintf(key, sizeof key, "bh/m/t/%06x", (hash + i) % LEASE_TAG_COUNT);
        put(span_str(key), SPAN_LIT("z"));
    }
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    assert_int_equal(settle(&r, &ns), ERR_OK);
    assert_int_equal(ns.tag, (hash + 3) % LEASE_TAG_COUNT);
}

/* Two sidecars, every interleaving of their first steps. */
static void racing_sidecars_agree(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 1 << 12; order++)
        for (int same = 0; same < 2; same++) {
            struct ns_path path[2] = {path_of("a"), path_of(same == 1 ? "a" : "b")};
            struct registry r[2];
            struct etcd_ns ns[2];
            memset(ns, 0, sizeof ns);
            store.n = 0;
            for (int i = 0; i < 2; i++)
                registry_init(&r[i], SPAN_LIT("bh/"), &path[i], noon);
            r[0].patterns = 5;
            r[1].patterns = 6;
            if (same == 0)
                r[1].tag = r[0].tag; /* as if their hashes were equal */
            for (unsigned s = 0; s < 12; s++) {
                unsigned who = order >> s & 1;
                if (r[who].state != REGISTRY_DONE)
                    assert_int_equal(step(&r[who], &ns[who]), ERR_OK);
            }
            for (int i = 0; i < 2; i++)
                assert_int_equal(settle(&r[i], &ns[i]), ERR_OK);
            assert_int_equal(ns[0].tag == ns[1].tag, same);
            assert_int_equal(store.n, same == 1 ? 4 : 6);
            assert_int_equal(r[0].patterns_differ + r[1].patterns_differ, 1); /* the later one */
        }
}

static void settle_with(uint64_t patterns, const char *path_text, bool *ret_differ)
{
    struct ns_path path = path_of(path_text);
    struct registry r;
    struct etcd_ns ns = {0};
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    r.patterns = patterns;
    while (r.state != REGISTRY_COMPARE && r.state != REGISTRY_DONE)
        assert_int_equal(step(&r, &ns), ERR_OK);
    assert_true(ns.has_tag); /* it serves before it compares */
    assert_int_equal(settle(&r, &ns), ERR_OK);
    *ret_differ = r.patterns_differ;
}

static void the_first_sidecars_patterns_are_what_others_are_compared_with(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint64_t patterns;
        bool differ;
        const char *stored;
    } rows[] = {
        {"z", 0, false, NULL}, /* its NATS plane is off: nothing to compare */
        {"a", 0xab, false, "00000000000000ab"},
        {"a", 0xab, false, "00000000000000ab"},
        {"a/b", 0xab, false, "00000000000000ab"},
        {"b", UINT64_MAX, true, "00000000000000ab"},
        {"b", 0, false, "00000000000000ab"},
        {"b", 0xab, false, "00000000000000ab"},
    };
    store.n = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool differ;
        struct span value;
        settle_with(rows[i].patterns, rows[i].path, &differ);
        assert_int_equal(differ, rows[i].differ);
        assert_int_equal(get(SPAN_LIT("bh/m/view"), &value), rows[i].stored != NULL);
        if (rows[i].stored != NULL)
            assert_span_equal(value, span_str(rows[i].stored));
    }
    store.n = 0;
    bool differ;
    put(SPAN_LIT("bh/m/view"), SPAN_LIT("by hand")); /* no hash of anybody's */
    settle_with(0xab, "a", &differ);
    assert_true(differ);
}

static void a_comparison_that_does_not_parse_leaves_the_tag(void **state)
{
    (void)state;
    struct ns_path path = path_of("a");
    struct pb_build op = {0}, range = {0}, reply = {0};
    pb_sub(&op, 1, &range);
    pb_sub(&reply, 3, &op); /* not succeeded, and it is absent */
    const struct span rows[] = {SPAN_NONE, SPAN_LIT("\x12"), pb_built(&reply)};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct registry r;
        struct etcd_ns ns = {.has_tag = true, .tag = 7};
        registry_init(&r, SPAN_LIT("bh/"), &path, noon);
        r.patterns = 1;
        r.state = REGISTRY_COMPARE;
        assert_int_equal(registry_feed(&r, rows[i], &ns), ERR_UPSTREAM_PROTOCOL);
        assert_int_equal(r.state, REGISTRY_COMPARE);
        assert_true(ns.has_tag && ns.tag == 7);
    }
}

static void another_layout_version_is_a_configuration_error(void **state)
{
    (void)state;
    struct ns_path path = path_of("a");
    struct registry r;
    struct etcd_ns ns = {0};
    store.n = 0;
    put(SPAN_LIT("bh/m/v"), SPAN_LIT("2"));
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    assert_int_equal(settle(&r, &ns), ERR_REGISTRY);
    assert_false(ns.has_tag);
    assert_int_equal(store.n, 1);
}

static void tags_that_are_all_taken_end_it(void **state)
{
    (void)state;
    struct ns_path path = path_of("a");
    struct registry r;
    struct etcd_ns ns = {0};
    struct pb_build op = {0}, range = {0}, reply = {0};
    pb_sub(&op, 1, &range);
    pb_sub(&reply, 3, &op); /* not succeeded, and the entry is absent */
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    r.state = REGISTRY_CLAIM;
    unsigned tries = 1;
    enum err e;
    for (; (e = registry_feed(&r, pb_built(&reply), &ns)) == ERR_OK; tries++)
        assert_true(tries < 2 * REGISTRY_TAG_TRIES);
    assert_int_equal(e, ERR_REGISTRY_TAGS);
    assert_int_equal(tries, 2 * REGISTRY_TAG_TRIES); /* each: is it absent? is it ours? */
    assert_int_equal(r.tag, (lease_tag_hash(SPAN_LIT("a")) + REGISTRY_TAG_TRIES) % LEASE_TAG_COUNT);
}

static void a_damaged_entry_is_told_apart(void **state)
{
    (void)state;
    struct ns_path path = path_of("a");
    struct registry r;
    struct etcd_ns ns = {0};
    store.n = 0;
    put(SPAN_LIT("bh/m/v"), SPAN_LIT("1"));
    put(SPAN_LIT("bh/m/n/a."), SPAN_LIT("{\"tag\":7}"));
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    assert_int_equal(settle(&r, &ns), ERR_REGISTRY_ENTRY);
    assert_false(ns.has_tag);
}

static void a_store_that_contradicts_itself_ends_it(void **state)
{
    (void)state;
    struct ns_path path = path_of("a");
    struct registry r;
    struct etcd_ns ns = {0};
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    unsigned rounds = 0;
    /* The version is absent to a Range, present to a Txn. */
    while (registry_feed(&r, SPAN_NONE, &ns) == ERR_OK)
        assert_true(++rounds < 100);
    assert_false(ns.has_tag);
}

static void replies_that_do_not_parse_are_upstreams_fault(void **state)
{
    (void)state;
    static const struct span rows[] = {SPAN_LIT("\x12"), SPAN_LIT("\x10\x01"),
                                       SPAN_LIT("\x12\x02\x2a\x05"), SPAN_LIT("\x0a\x01\x08")};
    struct ns_path path = path_of("a");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct registry r;
        struct etcd_ns ns = {0};
        registry_init(&r, SPAN_LIT("bh/"), &path, noon);
        assert_int_equal(registry_feed(&r, rows[i], &ns), ERR_UPSTREAM_PROTOCOL);
    }
    struct registry r;
    struct etcd_ns ns = {0};
    registry_init(&r, SPAN_LIT("bh/"), &path, noon);
    r.state = REGISTRY_CLAIM;
    assert_int_equal(registry_feed(&r, SPAN_NONE, &ns), ERR_UPSTREAM_PROTOCOL);
}

static void entries_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        uint32_t tag;
    } rows[] = {
        {"{\"created\":\"2026-08-20T12:00:00Z\",\"tag\":\"0a1b2c\"}", true, 0x0a1b2c},
        {" { \"tag\" : \"ffffff\" , \"later\" : {\"tag\":[1,\"}\\\"\"]} } ", true, 0xffffff},
        {"{\"x\":1.5e3,\"y\":null,\"tag\":\"000000\"}", true, 0},
        {"", false, 0},
        {"{}", false, 0},
        {"{\"created\":1}", false, 0},
        {"{\"tag\":\"0a1b2\"}", false, 0},
        {"{\"tag\":\"0a1b2c3\"}", false, 0},
        {"{\"tag\":\"0A1B2C\"}", false, 0},
        {"{\"tag\":662316}", false, 0},
        {"{\"tag\":\"0a1b2c\",\"tag\":\"0a1b2d\"}", false, 0},
        {"{\"tag\":\"0a1b2c\"", false, 0},
        {"{\"tag\":\"0a1b2c\"} x", false, 0},
        {"{\"tag\":\"0a1b2c\",}", false, 0},
        {"{\"x\":,\"tag\":\"0a1b2c\"}", false, 0},
        {"{\"x\":],\"tag\":\"0a1b2c\"}", false, 0},
        {"{\"x\":\"unclosed,\"tag\":\"0a1b2c\"}", false, 0},
        {"[\"tag\"]", false, 0},
        {"{\"x\\", false, 0},
        {"{\"x\":\"\\", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t tag = 0;
        enum err e = registry_parse_entry(span_str(rows[i].text), &tag);
        if (e != (rows[i].ok ? ERR_OK : ERR_CONFIG) || tag != rows[i].tag)
            fail_msg("%s: %s %06x", rows[i].text, err_info(e)->name, tag);
    }
    struct buf out = {0};
    uint32_t tag;
    assert_int_equal(registry_write_entry(noon, 0xabc, &out), ERR_OK);
    assert_int_equal(registry_parse_entry(buf_span(&out), &tag), ERR_OK);
    assert_int_equal(tag, 0xabc);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_sidecar_writes_version_entry_and_tag),
        cmocka_unit_test(a_later_sidecar_reads_what_is_there),
        cmocka_unit_test(an_entry_that_was_lost_is_made_again_with_its_tag),
        cmocka_unit_test(an_entry_that_goes_meanwhile_is_made_again),
        cmocka_unit_test(a_taken_tag_makes_it_try_the_next),
        cmocka_unit_test(racing_sidecars_agree),
        cmocka_unit_test(the_first_sidecars_patterns_are_what_others_are_compared_with),
        cmocka_unit_test(a_comparison_that_does_not_parse_leaves_the_tag),
        cmocka_unit_test(another_layout_version_is_a_configuration_error),
        cmocka_unit_test(tags_that_are_all_taken_end_it),
        cmocka_unit_test(a_damaged_entry_is_told_apart),
        cmocka_unit_test(a_store_that_contradicts_itself_ends_it),
        cmocka_unit_test(replies_that_do_not_parse_are_upstreams_fault),
        cmocka_unit_test(entries_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
