/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Watch over several namespaces, message by message: what goes upstream and when, what is read,
 * what waits meanwhile. Law V at large is etcd_view_test.c.
 */
#include <stdio.h>

#include "support/etcd_rig.h"

#include "etcd/etcd_family.h"

enum { CREATED = 3, CANCELED = 4, COMPACTED = 5, OK = 0, INVALID = 3, OUT_OF_RANGE = 11 };

static struct etcd_rig rig;
static struct etcd_family family;
static struct span asked; /* the side read's message; in side_request */
static struct buf side_request;

static int setup(void **state)
{
    static const struct span prefixes[] = {{(const uint8_t *)"v1/", 3}};
    const uint64_t seed[] = {1, 2};
    struct ns_path path;
    (void)state;
    rig_open(&rig, "/etcdserverpb.Watch/Watch");
    assert_int_equal(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL), ERR_OK);
    assert_int_equal(family_init(&family, SPAN_LIT("bh/"), &path, seed), ERR_OK);
    family.prefixes = prefixes;
    family.prefix_count = 1;
    rig.ns.family = &family;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    family_deinit(&family);
    buf_deinit(&side_request);
    return 0;
}

/* ---- messages ---- */
static void header(struct pb_build *m, int64_t revision)
{
    static struct pb_build h;
    h.n = 0;
    pb_num(&h, 3, (uint64_t)revision);
    pb_sub(m, 1, &h);
}

static enum err create_at(const char *end, uint64_t start, uint64_t id, bool wants_prev)
{
    static struct pb_build c, m;
    c.n = m.n = 0;
    pb_str(&c, 1, "v1/");
    pb_str(&c, 2, end);
    if (start != 0)
        pb_num(&c, 3, start);
    if (wants_prev)
        pb_num(&c, 6, 1);
    if (id != 0)
        pb_num(&c, 7, id);
    pb_sub(&m, 1, &c);
    return rig_ask(&rig, &m);
}

static enum err create(uint64_t start)
{
    return create_at("v10", start, 0, false);
}

/* From upstream: a flag, and no events. */
static enum err says(uint64_t id, int64_t revision, unsigned flag, uint64_t v)
{
    static struct pb_build m;
    m.n = 0;
    header(&m, revision);
    if (id != 0)
        pb_num(&m, 2, id);
    if (flag != 0)
        pb_num(&m, flag, v);
    return rig_reply(&rig, &m);
}

static void write_kv(struct pb_build *out, uint32_t field, const char *key, int64_t mod,
                     bool is_there)
{
    static struct pb_build kv;
    kv.n = 0;
    pb_str(&kv, 1, key);
    if (is_there)
        pb_num(&kv, 2, (uint64_t)mod);
    pb_num(&kv, 3, (uint64_t)mod);
    if (is_there)
        pb_str(&kv, 5, "x");
    pb_sub(out, field, &kv);
}

static void add_event(struct pb_build *m, const char *key, int64_t mod, bool is_delete)
{
    static struct pb_build event;
    event.n = 0;
    if (is_delete)
        pb_num(&event, 1, 1);
    write_kv(&event, 2, key, mod, !is_delete);
    pb_sub(m, 11, &event);
}

static enum err one_event(const char *key, int64_t mod, bool is_delete)
{
    static struct pb_build m;
    m.n = 0;
    header(&m, mod);
    add_event(&m, key, mod, is_delete);
    return rig_reply(&rig, &m);
}

/* ---- reads ---- */
static unsigned ops_asked(void)
{
    unsigned n = 0;
    while (pb_find(asked, 2, n).field != 0)
        n++;
    return n;
}

static struct span range_asked(unsigned nth)
{
    return pb_find(pb_find(asked, 2, nth).s, 1, 0).s;
}

static void begin_side(const char *method)
{
    struct span got;
    assert_true(etcd_call_wants_side(&rig.call));
    assert_int_equal(etcd_call_begin_side(&rig.call, &side_request, &got), ERR_OK);
    assert_span_equal(got, span_str(method));
    asked = rig_message(&side_request, 0);
}

static enum err end_side(const struct pb_build *answer, int status)
{
    static struct pb_build wire;
    wire.n = 0;
    if (answer != NULL) {
        rig_frame(&wire, pb_built(answer));
        assert_int_equal(etcd_call_feed_side(&rig.call, pb_built(&wire)), ERR_OK);
    }
    return etcd_call_end_side(&rig.call, status);
}

/* A read of the table at `want` (0: the latest) is answered: who holds v1/k. */
static void fill(int64_t want, int64_t now, const char *const *holders, unsigned n)
{
    static struct pb_build txn, range, op, entry;
    for (bool is_first = true;
         etcd_call_wants_side(&rig.call) && (is_first || !etcd_call_is_answered(&rig.call));
         is_first = false) {
        begin_side("/etcdserverpb.KV/Txn");
        unsigned ops = ops_asked();
        txn.n = 0;
        header(&txn, now);
        for (unsigned i = 0; i < ops; i++) {
            struct span key = pb_find(range_asked(i), 1, 0).s;
            bool is_registry = span_has_prefix(key, SPAN_LIT("bh/m/n"));
            if (!is_registry && want != 0)
                assert_int_equal(pb_find(range_asked(i), 4, 0).v, want);
            if (!is_registry && is_first && want == 0)
                assert_int_equal(pb_find(range_asked(i), 4, 0).v, 0);
            range.n = op.n = 0;
            header(&range, now);
            for (unsigned k = 0; k < n; k++) {
                /* "bh/d/a/b/c.v1/k": its entry, or it if its slice is read. */
                const char *dot = strchr(holders[k], '.');
                size_t ns = (size_t)(dot - holders[k]) + 1;
                if (is_registry) {
                    char text[80];
                    snprintf(text, sizeof text, "bh/m/n%.*s", (int)ns - 4, holders[k] + 4);
                    entry.n = 0;
                    pb_str(&entry, 1, text);
                    pb_sub(&range, 2, &entry);
                } else if (key.n > ns && memcmp(key.p, holders[k], ns) == 0) {
                    write_kv(&range, 2, holders[k], 3, true);
                }
            }
            if (is_registry)
                pb_num(&range, 4, n);
            pb_sub(&op, 1, &range);
            pb_sub(&txn, 3, &op);
        }
        assert_int_equal(end_side(&txn, OK), ERR_OK);
        if (buf_len(&rig.call.to_app) != 0 || buf_len(&rig.call.to_up) != 0)
            return;
    }
}

static void sent_up(int64_t start)
{
    struct span c = pb_find(rig_asked(&rig, 0), 1, 0).s;
    assert_span_equal(pb_find(c, 1, 0).s, SPAN_LIT("bh/d/a/b."));
    assert_span_equal(pb_find(c, 2, 0).s, SPAN_LIT("bh/d/a/b0"));
    assert_int_equal(pb_find(c, 3, 0).v, start);
    buf_consume(&rig.call.to_up, rig_asked(&rig, 0).n + 5);
}

/* The next message that the application sees. */
static struct span shown(void)
{
    static struct pb_build m;
    struct span s = rig_replied(&rig, 0);
    m.n = 0;
    pb_raw(&m, s.p, s.n);
    buf_consume(&rig.call.to_app, s.n + 5);
    return pb_built(&m);
}

static void shows_created(int64_t revision)
{
    struct span m = shown();
    assert_int_equal(pb_find(m, CREATED, 0).v, 1);
    assert_int_equal(pb_find(m, CANCELED, 0).v, 0);
    assert_int_equal(pb_find(pb_find(m, 1, 0).s, 3, 0).v, revision);
}

static void shows_event(struct span m, unsigned nth, const char *key, int64_t mod, bool is_delete)
{
    struct span event = pb_find(m, 11, nth).s, kv = pb_find(event, 2, 0).s;
    assert_span_equal(pb_find(kv, 1, 0).s, span_str(key));
    assert_int_equal(pb_find(kv, 3, 0).v, mod);
    assert_int_equal(pb_find(event, 1, 0).v, is_delete);
}

static void shows_nothing(void)
{
    assert_int_equal(buf_len(&rig.call.to_app), 0);
}

static const char *const near_and_far[] = {"bh/d/a/b/c.v1/k", "bh/d/a/b/c/d.v1/k"};

/* ---- creates ---- */
static void open_now(const char *const *holders, unsigned n)
{
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    fill(10, 10, holders, n);
    shows_created(10);
}

static void a_watch_that_begins_now_is_created_first_and_shown_with_its_table(void **state)
{
    (void)state;
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_false(etcd_call_wants_side(&rig.call));
    assert_true(etcd_call_has_later(&rig.call)); /* another create would come before its turn */
    assert_int_equal(create_at("v1/z", 0, 0, false), ERR_OK);
    assert_int_equal(buf_len(&rig.call.to_up), 0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    shows_nothing();
    assert_true(etcd_call_is_held(&rig.call));
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 11, true), ERR_OK); /* waits */
    fill(10, 11, near_and_far, 2);
    shows_created(10);
    begin_side("/etcdserverpb.KV/Range"); /* who is left */
    assert_span_equal(pb_find(asked, 1, 0).s, SPAN_LIT("bh/d/a/b/c/d.v1/k"));
    assert_int_equal(pb_find(asked, 4, 0).v, 11);
    sent_up(0); /* the second one */
}

static void a_compaction_before_the_table_is_read_is_not_seen(void **state)
{
    static struct pb_build m;
    (void)state;
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    begin_side("/etcdserverpb.KV/Txn");
    assert_int_equal(pb_find(range_asked(0), 4, 0).v, 10);
    assert_int_equal(end_side(NULL, OUT_OF_RANGE), ERR_OK);
    fill(0, 14, near_and_far, 2);
    shows_created(14); /* and what happened until then is in the table */
    m.n = 0;
    header(&m, 15);
    add_event(&m, "bh/d/a/b/c.v1/k", 12, true);
    add_event(&m, "bh/d/a/b/c.v1/k", 13, false);
    add_event(&m, "bh/d/a/b/c.v1/n", 15, false);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    struct span got = shown();
    shows_event(got, 0, "v1/n", 15, false);
    assert_int_equal(pb_find(got, 11, 1).field, 0);
    /* Lost: it goes on behind what the application was told. */
    assert_true(etcd_call_resume(&rig.call));
    sent_up(15);
    assert_int_equal(says(0, 15, CREATED, 1), ERR_OK);
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 15, false), ERR_OK);
    shows_nothing(); /* it is known */
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 16, false), ERR_OK);
    shows_event(shown(), 0, "v1/n", 16, false);
}

static void a_watch_that_is_refused_lets_go_of_what_waited(void **state)
{
    static struct pb_build m;
    (void)state;
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_int_equal(create_at("v1/z", 0, 0, false), ERR_OK);
    m.n = 0;
    header(&m, 10);
    pb_num(&m, CREATED, 1);
    pb_num(&m, CANCELED, 1);
    pb_str(&m, 6, "no");
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_int_equal(pb_find(shown(), CANCELED, 0).v, 1);
    sent_up(0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    fill(10, 10, near_and_far, 2);
    shows_created(10);
    assert_false(etcd_call_has_later(&rig.call));
}

static void a_loss_while_the_table_is_read_is_not_seen(void **state)
{
    (void)state;
    assert_int_equal(create(0), ERR_OK);
    sent_up(0);
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 11, false), ERR_OK);
    assert_true(etcd_call_resume(&rig.call));
    sent_up(10);
    fill(10, 12, near_and_far, 2);
    shows_created(10);
    assert_int_equal(says(0, 12, CREATED, 1), ERR_OK);
    shows_nothing();
    assert_int_equal(one_event("bh/d/a/b/c.v1/n", 11, false), ERR_OK);
    shows_event(shown(), 0, "v1/n", 11, false);
}

static void a_watch_of_history_asks_for_one_revision_more(void **state)
{
    static struct pb_build m;
    (void)state;
    assert_int_equal(create(8), ERR_OK);
    fill(7, 10, near_and_far, 2);
    sent_up(7); /* if that is compacted, so may be a deletion at 8 */
    assert_int_equal(says(0, 10, CREATED, 1), ERR_OK);
    shows_created(10);
    m.n = 0;
    header(&m, 10);
    add_event(&m, "bh/d/a/b/c.v1/k", 7, false);
    add_event(&m, "bh/d/a/b/c.v1/n", 8, false);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    struct span got = shown();
    shows_event(got, 0, "v1/n", 8, false);
    assert_int_equal(pb_find(got, 11, 1).field, 0);
    /* Resumed, the same; in the middle of fragments from where they began. */
    m.n = 0;
    header(&m, 12);
    pb_num(&m, 7, 1);
    add_event(&m, "bh/d/a/b/c.v1/n", 11, false);
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    shows_event(shown(), 0, "v1/n", 11, false);
    assert_true(etcd_call_resume(&rig.call));
    sent_up(9);
}

static void a_watch_of_what_has_not_happened_yet_begins_there(void **state)
{
    (void)state;
    assert_int_equal(create(11), ERR_OK);
    fill(10, 10, near_and_far, 2);
    sent_up(11); /* etcd tells at once what it makes */
}

/* ---- reads ---- */
enum { KEYS = 12 };

/* c and c/d hold v1/00 .. v1/11; c's go, all in one response, one revision each. */
static void lose_nearest(int64_t first)
{
    static struct pb_build m;
    m.n = 0;
    header(&m, first + KEYS);
    for (int i = 0; i < KEYS; i++) {
        char key[40];
        snprintf(key, sizeof key, "bh/d/a/b/c.v1/%02d", i);
        add_event(&m, key, first + i, true);
        if (i == 5) /* something that needs no read keeps its place */
            add_event(&m, "bh/d/a/b/c.v1/n", first + i, false);
    }
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
}

static void open_many(void)
{
    static char text[2 * KEYS][40];
    static const char *holders[2 * KEYS];
    for (int i = 0; i < 2 * KEYS; i++) {
        snprintf(text[i], sizeof text[i], "bh/d/a/b/c%s.v1/%02d", i < KEYS ? "" : "/d", i % KEYS);
        holders[i] = text[i];
    }
    open_now(holders, 2 * KEYS);
}

/* Answers every read that was asked for with the key at revision 3. */
static enum err answer_ops(bool is_txn)
{
    static struct pb_build m, range, op;
    m.n = 0;
    header(&m, 50);
    for (unsigned i = 0; i < (is_txn ? ops_asked() : 1); i++) {
        char key[80];
        struct span k = pb_find(is_txn ? range_asked(i) : asked, 1, 0).s;
        snprintf(key, sizeof key, "%.*s", (int)k.n, (const char *)k.p);
        if (!is_txn) {
            write_kv(&m, 2, key, 3, true);
            break;
        }
        range.n = op.n = 0;
        write_kv(&range, 2, key, 3, true);
        pb_sub(&op, 1, &range);
        pb_sub(&m, 3, &op);
    }
    return end_side(&m, OK);
}

static void shows_survivors(void)
{
    struct span got = shown();
    for (unsigned i = 0, n = 0; i < KEYS; i++) {
        char key[16];
        snprintf(key, sizeof key, "v1/%02u", i);
        shows_event(got, n++, key, 3, false);
        if (i == 5)
            shows_event(got, n++, "v1/n", 20 + 5, false);
    }
    assert_int_equal(pb_find(got, 11, KEYS + 1).field, 0);
}

static void survivors_are_read_many_at_a_time(void **state)
{
    (void)state;
    open_many();
    lose_nearest(20);
    begin_side("/etcdserverpb.KV/Txn");
    assert_int_equal(ops_asked(), 8);
    for (unsigned i = 0; i < 8; i++) {
        char key[40];
        snprintf(key, sizeof key, "bh/d/a/b/c/d.v1/%02u", i);
        assert_span_equal(pb_find(range_asked(i), 1, 0).s, span_str(key));
        assert_int_equal(pb_find(range_asked(i), 4, 0).v, 20 + i);
    }
    shows_nothing();
    assert_int_equal(answer_ops(true), ERR_OK);
    begin_side("/etcdserverpb.KV/Txn");
    assert_int_equal(ops_asked(), 4);
    assert_int_equal(answer_ops(true), ERR_OK);
    assert_false(etcd_call_wants_side(&rig.call));
    shows_survivors();
}

static void an_etcd_that_takes_fewer_is_asked_for_fewer(void **state)
{
    (void)state;
    open_many();
    lose_nearest(20);
    for (unsigned most = 8; most != 0; most /= 2) {
        begin_side(most > 1 ? "/etcdserverpb.KV/Txn" : "/etcdserverpb.KV/Range");
        if (most > 1) {
            assert_int_equal(ops_asked(), most);
            assert_int_equal(end_side(NULL, INVALID), ERR_OK);
        }
    }
    assert_int_equal(answer_ops(false), ERR_OK);
    while (etcd_call_wants_side(&rig.call)) {
        struct span method;
        assert_int_equal(etcd_call_begin_side(&rig.call, &side_request, &method), ERR_OK);
        asked = rig_message(&side_request, 0);
        assert_int_equal(answer_ops(method.n == SPAN_LIT("/etcdserverpb.KV/Txn").n), ERR_OK);
    }
    shows_survivors();
}

/* At 20 the nearest goes; the other one is written at 23 and 40; 22 is compacted. */
static void of_what_is_compacted_the_first_that_is_left_is_looked_for(void **state)
{
    static struct pb_build m;
    unsigned reads = 0;
    (void)state;
    open_now(near_and_far, 2);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 20, true), ERR_OK);
    while (etcd_call_wants_side(&rig.call)) {
        begin_side("/etcdserverpb.KV/Range");
        uint64_t at = pb_find(asked, 4, 0).v;
        assert_true(++reads < 10);
        m.n = 0;
        header(&m, 60);
        write_kv(&m, 2, "bh/d/a/b/c/d.v1/k", at == 0 || at >= 40 ? 40 : at >= 23 ? 23 : 3, true);
        bool is_there = at == 0 || at >= 22;
        assert_int_equal(end_side(is_there ? &m : NULL, is_there ? OK : OUT_OF_RANGE), ERR_OK);
    }
    shows_event(shown(), 0, "v1/k", 3, false); /* as it is at 22 */
}

static void what_was_written_before_that_is_shown_by_its_own_event(void **state)
{
    static struct pb_build m;
    (void)state;
    open_now(near_and_far, 2);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 20, true), ERR_OK);
    while (etcd_call_wants_side(&rig.call)) {
        begin_side("/etcdserverpb.KV/Range");
        uint64_t at = pb_find(asked, 4, 0).v;
        m.n = 0;
        header(&m, 60);
        write_kv(&m, 2, "bh/d/a/b/c/d.v1/k", 21, true);
        bool is_there = at == 0 || at >= 22;
        assert_int_equal(end_side(is_there ? &m : NULL, is_there ? OK : OUT_OF_RANGE), ERR_OK);
    }
    shows_event(shown(), 0, "v1/k", 20, true);
    assert_int_equal(one_event("bh/d/a/b/c/d.v1/k", 21, false), ERR_OK);
    shows_event(shown(), 0, "v1/k", 21, false);
}

static void a_progress_waits_for_the_read_that_stands_before_it(void **state)
{
    static struct pb_build m;
    (void)state;
    open_now(near_and_far, 2);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 20, true), ERR_OK);
    m.n = 0;
    header(&m, 21);
    pb_num(&m, 2, UINT64_MAX); /* -1: of all watches, asked for */
    assert_int_equal(rig_reply(&rig, &m), ERR_OK);
    assert_int_equal(says(0, 22, 0, 0), ERR_OK); /* of this one, by itself */
    shows_nothing();                             /* it would say that nothing happened */
    begin_side("/etcdserverpb.KV/Range");
    assert_int_equal(answer_ops(false), ERR_OK);
    shows_event(shown(), 0, "v1/k", 3, false);
    struct span got = shown();
    assert_int_equal(pb_find(got, 2, 0).v, UINT64_MAX);
    assert_int_equal(pb_find(pb_find(got, 1, 0).s, 3, 0).v, 21);
    got = shown();
    assert_int_equal(pb_find(got, 2, 0).v, 0);
    assert_int_equal(pb_find(pb_find(got, 1, 0).s, 3, 0).v, 22);
    /* A progress that is asked for goes upstream while a read is held. */
    assert_int_equal(one_event("bh/d/a/b/c/d.v1/k", 23, true), ERR_OK);
    shows_event(shown(), 0, "v1/k", 23, true);
}

static void a_progress_that_is_asked_for_is_sent_while_a_read_is_held(void **state)
{
    static struct pb_build m, empty;
    (void)state;
    open_now(near_and_far, 2);
    assert_int_equal(one_event("bh/d/a/b/c.v1/k", 20, true), ERR_OK);
    m.n = empty.n = 0;
    pb_sub(&m, 3, &empty);
    assert_int_equal(rig_ask(&rig, &m), ERR_OK);
    assert_asked(&rig, &m);
    assert_true(etcd_call_is_held(&rig.call));
    /* Lost before it was answered: asked for again, behind the watch. */
    assert_true(etcd_call_resume(&rig.call));
    assert_int_equal(pb_find(pb_find(rig_asked(&rig, 0), 1, 0).s, 3, 0).v, 20);
    assert_span_equal(rig_asked(&rig, 1), pb_built(&m));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_watch_that_begins_now_is_created_first_and_shown_with_its_table),
        TEST(a_compaction_before_the_table_is_read_is_not_seen),
        TEST(a_watch_that_is_refused_lets_go_of_what_waited),
        TEST(a_loss_while_the_table_is_read_is_not_seen),
        TEST(a_watch_of_history_asks_for_one_revision_more),
        TEST(a_watch_of_what_has_not_happened_yet_begins_there),
        TEST(survivors_are_read_many_at_a_time),
        TEST(an_etcd_that_takes_fewer_is_asked_for_fewer),
        TEST(of_what_is_compacted_the_first_that_is_left_is_looked_for),
        TEST(what_was_written_before_that_is_shown_by_its_own_event),
        TEST(a_progress_waits_for_the_read_that_stands_before_it),
        TEST(a_progress_that_is_asked_for_is_sent_while_a_read_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
