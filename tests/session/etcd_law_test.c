/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The laws of design.md 2.6 on whole messages: what etcd_call makes of a random message is what a
 * slow oracle makes of it, which decodes every field and builds the message anew.
 *
 * The oracle knows the messages from tables of its own and shares no code with wire/ or etcd/.
 */
#include "support/etcd_rig.h"

enum role {
    BYTES,     /* any; passes */
    NUMBER,    /* any; passes */
    SUB,       /* message */
    KEY,       /* P k */
    END,       /* "", "\0" or P e */
    USE_LEASE, /* request */
    REVISION,
    SORT,       /* request; not 0 */
    STORED_KEY, /* reply: cut, or foreign */
    STORED_LEASE,
};

struct table;
struct row {
    uint32_t field;
    enum role role;
    const struct table *sub;
    bool droppable;
};
struct table {
    enum { PLAIN, NEEDS_KEY, WATCH_CREATE, TXN, OP, KEY_VALUE } kind;
    bool closed;
    unsigned most; /* occurrences of one field, in a generated message */
    struct row rows[8];
};

static const struct table range = {NEEDS_KEY,
                                   false,
                                   2,
                                   {{1, KEY, 0, 0},
                                    {2, END, 0, 0},
                                    {3, NUMBER, 0, 0},
                                    {4, REVISION, 0, 0},
                                    {5, SORT, 0, 0},
                                    {6, SORT, 0, 0}}};
static const struct table put = {
    NEEDS_KEY, false, 2, {{1, KEY, 0, 0}, {2, BYTES, 0, 0}, {3, USE_LEASE, 0, 0}}};
static const struct table delete = {
    NEEDS_KEY, false, 2, {{1, KEY, 0, 0}, {2, END, 0, 0}, {3, NUMBER, 0, 0}}};
static const struct table compare = {NEEDS_KEY,
                                     false,
                                     2,
                                     {{1, NUMBER, 0, 0},
                                      {2, NUMBER, 0, 0},
                                      {3, KEY, 0, 0},
                                      {7, BYTES, 0, 0},
                                      {8, USE_LEASE, 0, 0},
                                      {64, END, 0, 0}}};
static const struct table txn;
static const struct table op = {
    OP, true, 1, {{1, SUB, &range, 0}, {2, SUB, &put, 0}, {3, SUB, &delete, 0}, {4, SUB, &txn, 0}}};
static const struct table txn = {
    TXN, false, 3, {{1, SUB, &compare, 0}, {2, SUB, &op, 0}, {3, SUB, &op, 0}}};
static const struct table watch_create = {
    WATCH_CREATE, false, 2, {{1, KEY, 0, 0}, {2, END, 0, 0}, {3, NUMBER, 0, 0}}};
static const struct table watch = {
    PLAIN, true, 1, {{1, SUB, &watch_create, 0}, {2, BYTES, 0, 0}, {3, BYTES, 0, 0}}};

static const struct table kv = {KEY_VALUE,
                                false,
                                1,
                                {{1, STORED_KEY, 0, 0},
                                 {2, NUMBER, 0, 0},
                                 {3, NUMBER, 0, 0},
                                 {5, BYTES, 0, 0},
                                 {6, STORED_LEASE, 0, true}}};
static const struct table header = {PLAIN, false, 1, {{1, NUMBER, 0, 0}, {3, NUMBER, 0, 0}}};
static const struct table range_reply = {
    PLAIN, false, 4, {{1, SUB, &header, 0}, {2, SUB, &kv, true}, {4, NUMBER, 0, 0}}};
static const struct table put_reply = {
    PLAIN, false, 1, {{1, SUB, &header, 0}, {2, SUB, &kv, true}}};
static const struct table delete_reply = {
    PLAIN, false, 4, {{1, SUB, &header, 0}, {2, NUMBER, 0, 0}, {3, SUB, &kv, true}}};
static const struct table txn_reply;
static const struct table op_reply = {PLAIN,
                                      true,
                                      1,
                                      {{1, SUB, &range_reply, 0},
                                       {2, SUB, &put_reply, 0},
                                       {3, SUB, &delete_reply, 0},
                                       {4, SUB, &txn_reply, 0}}};
static const struct table txn_reply = {
    PLAIN, false, 3, {{1, SUB, &header, 0}, {2, NUMBER, 0, 0}, {3, SUB, &op_reply, 0}}};
static const struct table event = {
    PLAIN, false, 1, {{1, NUMBER, 0, 0}, {2, SUB, &kv, 0}, {3, SUB, &kv, 0}}};
static const struct table watch_reply = {
    PLAIN, false, 4, {{1, SUB, &header, 0}, {2, NUMBER, 0, 0}, {11, SUB, &event, true}}};
static const struct table leases_status = {PLAIN, false, 1, {{1, STORED_LEASE, 0, 0}}};
static const struct table leases_reply = {
    PLAIN, false, 6, {{1, SUB, &header, 0}, {2, SUB, &leases_status, true}}};

/* ---- random messages ---- */

static void random_bytes(struct rng *rng, struct pb_build *out, uint32_t field, const char *prefix)
{
    uint8_t bytes[400];
    size_t n = strlen(prefix);
    memcpy(bytes, prefix, n);
    size_t more = rng_below(rng, 8) == 0 ? rng_below(rng, 300) : rng_below(rng, 12);
    for (size_t i = 0; i < more; i++)
        bytes[n++] = (uint8_t)rng_below(rng, rng_below(rng, 2) == 0 ? 256 : 3);
    pb_span(out, field, span_of(bytes, n));
}

static uint64_t random_number(struct rng *rng)
{
    return rng_next(rng) >> rng_below(rng, 64);
}

static void random_key(struct rng *rng, struct pb_build *out, uint32_t field)
{
    random_bytes(rng, out, field, rng_below(rng, 16) == 0 ? "" : "k");
}

static void random_stored_key(struct rng *rng, struct pb_build *out, uint32_t field)
{
    static const char *const foreign[] = {"",        "bh/d/a/b",   "bh/d/a/c.", "bh/d/a/b/c.",
                                          "bh/d/a.", "bh/m/n/a/b."};
    bool own = rng_below(rng, 6) != 0;
    random_bytes(rng, out, field, own ? RIG_P : foreign[rng_below(rng, ARRAY_LEN(foreign))]);
}

static void random_end(struct rng *rng, struct pb_build *out, uint32_t field)
{
    if (rng_below(rng, 4) == 0)
        pb_span(out, field, SPAN_LIT("\0"));
    else
        random_bytes(rng, out, field, "");
}

static uint64_t random_lease(struct rng *rng)
{
    const uint64_t ids[] = {0,
                            rng_below(rng, 1000),
                            RIG_ALIAS(1 + rng_below(rng, 1000)),
                            RIG_ALIAS(7),
                            RIG_GIVEN + rng_below(rng, 99),
                            RIG_OTHER,
                            random_number(rng)};
    return ids[rng_below(rng, ARRAY_LEN(ids))];
}

static void random_unknown(struct rng *rng, struct pb_build *out)
{
    uint32_t field = 100 + (uint32_t)rng_below(rng, 3000);
    switch (rng_below(rng, 4)) {
    case 0:
        pb_num(out, field, random_number(rng));
        break;
    case 1:
        random_bytes(rng, out, field, "unknown");
        break;
    case 2:
        pb_var(out, (uint64_t)field * 8 + 1);
        pb_raw(out, "12345678", 8);
        break;
    default:
        pb_var(out, (uint64_t)field * 8 + 5);
        pb_raw(out, "1234", 4);
    }
}

static void generate(struct rng *rng, const struct table *t, unsigned depth, struct pb_build *out);

static void generate_field(struct rng *rng, const struct row *r, unsigned depth,
                           struct pb_build *out)
{
    struct pb_build sub;
    switch (r->role) {
    case BYTES:
        random_bytes(rng, out, r->field, "");
        break;
    case NUMBER:
        pb_num(out, r->field, random_number(rng));
        break;
    case REVISION:
        pb_num(out, r->field, rng_below(rng, 8) == 0 ? random_number(rng) : 0);
        break;
    case SORT:
        pb_num(out, r->field, rng_below(rng, 30) == 0 ? random_number(rng) : rng_below(rng, 3));
        break;
    case KEY:
        random_key(rng, out, r->field);
        break;
    case STORED_KEY:
        random_stored_key(rng, out, r->field);
        break;
    case END:
        random_end(rng, out, r->field);
        break;
    case USE_LEASE:
    case STORED_LEASE:
        pb_num(out, r->field, random_lease(rng));
        break;
    case SUB:
        sub.n = 0;
        generate(rng, r->sub, depth + 1, &sub);
        if (sub.n + out->n < PB_BUILD_BYTES - 4000)
            pb_sub(out, r->field, &sub);
        break;
    }
}

static unsigned row_count(const struct table *t)
{
    unsigned n = 0;
    while (n < ARRAY_LEN(t->rows) && t->rows[n].field != 0)
        n++;
    return n;
}

/* Fields in any order, some twice, some missing, some unknown. */
static void generate(struct rng *rng, const struct table *t, unsigned depth, struct pb_build *out)
{
    unsigned n = row_count(t), first = (unsigned)rng_below(rng, n);
    if (t->kind == OP) {
        /* One operation, nearly always; nested Txns not too deep. */
        unsigned which = (unsigned)rng_below(rng, depth > 6 ? n - 1 : n);
        if (rng_below(rng, 50) != 0)
            generate_field(rng, &t->rows[which], depth, out);
    }
    for (unsigned i = 0; i < n && t->kind != OP; i++) {
        const struct row *r = &t->rows[(first + i) % n];
        bool must = r->role == KEY || r->role == STORED_KEY;
        uint64_t times = must && rng_below(rng, 40) != 0 ? 1 : rng_below(rng, t->most + 1);
        if (r->role == SUB && depth > 8)
            times = 0;
        while (times-- != 0)
            generate_field(rng, r, depth, out);
    }
    if (rng_below(rng, 4) == 0)
        random_unknown(rng, out);
}

/* ---- the oracle ---- */

struct verdict {
    bool key_empty, bad_sort, op_unset, writes, reads_at_revision;
    unsigned ops;
    unsigned events, kept;
};

static uint64_t oracle_use(uint64_t id)
{
    if (id == 0)
        return 0;
    if (id < (UINT64_C(1) << 37))
        return RIG_ALIAS(id);
    bool own = id >> 38 == RIG_TAG && (id & ((UINT64_C(1) << 38) - 1)) != 0;
    return own ? id : RIG_NOWHERE;
}

static bool oracle_strip_lease(uint64_t stored, uint64_t *id)
{
    for (*id = stored; stored != 0;) {
        if (stored >> 38 == RIG_TAG && (stored & ((UINT64_C(1) << 38) - 1)) != 0)
            return true;
        *id = stored - RIG_ALIAS(0);
        return stored > RIG_ALIAS(0) && *id < (UINT64_C(1) << 37);
    }
    return true;
}

static const struct row *find_row(const struct table *t, uint32_t field)
{
    for (unsigned i = 0; i < row_count(t); i++)
        if (t->rows[i].field == field)
            return &t->rows[i];
    return NULL;
}

static bool oracle(const struct table *t, struct span in, struct pb_build *out, struct verdict *v);

/* False: foreign. */
static bool oracle_field(const struct row *r, const struct pb_got *got, struct pb_build *out,
                         struct verdict *v, bool *has_key)
{
    struct pb_build sub;
    struct span prefix = SPAN_LIT(RIG_P);
    uint64_t id;
    sub.n = 0;
    switch (r->role) {
    case BYTES:
        pb_span(out, r->field, got->s);
        return true;
    case REVISION:
        v->reads_at_revision = v->reads_at_revision || got->v != 0;
        pb_num(out, r->field, got->v);
        return true;
    case SORT: /* NONE ASCEND DESCEND; KEY VERSION CREATE MOD VALUE */
        v->bad_sort = v->bad_sort || got->v > (r->field == 5 ? 2 : 4);
        pb_num(out, r->field, got->v);
        return true;
    case NUMBER:
        pb_num(out, r->field, got->v);
        return true;
    case USE_LEASE:
        pb_num(out, r->field, oracle_use(got->v));
        return true;
    case KEY:
    case END:
        if (r->role == KEY)
            *has_key = got->s.n != 0;
        if (r->role == END && span_eq(got->s, SPAN_LIT("\0"))) {
            pb_str(out, r->field, RIG_END);
            return true;
        }
        if (r->role == END && got->s.n == 0) /* would mean the end of the store */
            return true;
        pb_raw(&sub, prefix.p, prefix.n);
        pb_raw(&sub, got->s.p, got->s.n);
        pb_sub(out, r->field, &sub);
        return true;
    case STORED_KEY:
        *has_key = true;
        if (!span_has_prefix(got->s, prefix))
            return false;
        pb_span(out, r->field, span_skip(got->s, prefix.n));
        return true;
    case STORED_LEASE:
        if (!oracle_strip_lease(got->v, &id))
            return false;
        pb_num(out, r->field, id);
        return true;
    case SUB:
        if (!oracle(r->sub, got->s, &sub, v))
            return false;
        pb_sub(out, r->field, &sub);
        return true;
    }
    return false;
}

/* Rebuild a message of kind t. False: it is foreign as a whole. */
static bool oracle(const struct table *t, struct span in, struct pb_build *out, struct verdict *v)
{
    bool has_key = false, op_set = false;
    unsigned list[4] = {0}, deepest = 0, outer_ops = v->ops;
    struct pb_got got;
    struct span before = in;
    v->events += t == &event;
    for (; pb_get(&in, &got) == 1; before = in) {
        const struct row *r = find_row(t, got.field);
        size_t keep = out->n;
        if (r == NULL) {
            if (!t->closed)
                pb_raw(out, before.p, before.n - in.n);
            continue;
        }
        v->ops = 0;
        if (!oracle_field(r, &got, out, v, &has_key)) {
            if (!r->droppable)
                return false;
            out->n = keep;
        }
        deepest = v->ops > deepest ? v->ops : deepest;
        op_set = true;
        if (t == &txn)
            list[got.field]++;
    }
    v->ops = outer_ops;
    v->writes = v->writes || t == &put || t == &delete;
    if (t->kind == NEEDS_KEY)
        v->key_empty = v->key_empty || !has_key;
    if (t->kind == WATCH_CREATE && !has_key)
        pb_span(out, 1, SPAN_LIT(RIG_P "\0"));
    if (t->kind == OP) {
        v->op_unset = v->op_unset || !op_set;
        v->ops = deepest;
    }
    if (t == &txn) {
        unsigned widest = list[1] > list[2] ? list[1] : list[2];
        v->ops = (widest > list[3] ? widest : list[3]) + deepest;
    }
    if (t == &event) {
        bool has_pair = pb_find(pb_built(out), 2, 0).field != 0 ||
                        pb_find(pb_built(out), 3, 0).field != 0;
        v->kept += has_pair;
        return has_pair;
    }
    if (t == &leases_status)
        return pb_find(pb_built(out), 1, 0).v != 0;
    return t->kind != KEY_VALUE || has_key;
}

/* ---- the laws ---- */

static const struct {
    const char *method;
    const struct table *request, *reply;
} calls[] = {
    {"/etcdserverpb.KV/Range", &range, &range_reply},
    {"/etcdserverpb.KV/Put", &put, &put_reply},
    {"/etcdserverpb.KV/DeleteRange", &delete, &delete_reply},
    {"/etcdserverpb.KV/Txn", &txn, &txn_reply},
    {"/etcdserverpb.Watch/Watch", &watch, &watch_reply},
    {"/etcdserverpb.Lease/LeaseLeases", NULL, &leases_reply},
};

static void a_request_is_mapped_as_the_oracle_maps_it(void **state)
{
    (void)state;
    struct rng rng = support_rng("a_request_is_mapped_as_the_oracle_maps_it");
    uint64_t cases = support_cases(20000) / 10, good = 0;
    for (uint64_t i = 0; i < cases; i++) {
        size_t c = i % (ARRAY_LEN(calls) - 1);
        struct pb_build m, want;
        struct etcd_rig rig;
        struct verdict v = {0};
        m.n = want.n = 0;
        generate(&rng, calls[c].request, 0, &m);
        assert_true(oracle(calls[c].request, pb_built(&m), &want, &v));
        rig_open(&rig, calls[c].method);
        enum err e = rig_ask(&rig, &m), expect = ERR_OK;
        bool is_txn = calls[c].request == &txn;
        if (v.ops > 128)
            expect = ERR_TOO_MANY_OPS;
        else if (v.key_empty || v.op_unset || v.bad_sort) /* the first that is wrong */
            expect = e == ERR_TXN_OP_UNSET && v.op_unset  ? ERR_TXN_OP_UNSET
                     : e == ERR_SORT_OPTION && v.bad_sort ? ERR_SORT_OPTION
                                                          : ERR_KEY_EMPTY;
        else if (is_txn && v.writes && v.reads_at_revision)
            expect = ERR_TXN_REVISION;
        assert_int_equal(e, expect);
        if (e == ERR_OK) {
            assert_asked(&rig, &want);
            good++;
        }
        rig_close(&rig);
    }
    assert_true(good > cases / 4);
}

static void a_reply_is_stripped_as_the_oracle_strips_it(void **state)
{
    (void)state;
    struct rng rng = support_rng("a_reply_is_stripped_as_the_oracle_strips_it");
    uint64_t cases = support_cases(20000) / 10;
    for (uint64_t i = 0; i < cases; i++) {
        size_t c = i % ARRAY_LEN(calls);
        struct pb_build m, want;
        struct etcd_rig rig;
        struct verdict v = {0};
        m.n = want.n = 0;
        generate(&rng, calls[c].reply, 0, &m);
        assert_true(oracle(calls[c].reply, pb_built(&m), &want, &v));
        rig_open(&rig, calls[c].method);
        assert_int_equal(rig_reply(&rig, &m), ERR_OK);
        if (v.events != 0 && v.kept == 0)
            assert_int_equal(buf_len(&rig.call.to_app), 0);
        else
            assert_replied(&rig, &want);
        assert_true(want.n <= m.n);
        rig_close(&rig);
    }
}

/* L1 and L5 on messages: nothing of the mapping is left, and nothing but it was taken. */
static void strip_undoes_map(void **state)
{
    (void)state;
    struct rng rng = support_rng("strip_undoes_map");
    uint64_t cases = support_cases(20000) / 10;
    for (uint64_t i = 0; i < cases; i++) {
        struct pb_build reply, stored;
        struct etcd_rig rig;
        reply.n = stored.n = 0;
        for (uint64_t k = rng_below(&rng, 20); k != 0; k--) {
            struct pb_build pair, pair_stored, key, key_stored;
            uint64_t lease = rng_below(&rng, 3) == 0 ? 1 + rng_below(&rng, 1000) : 0;
            pair.n = pair_stored.n = key.n = key_stored.n = 0;
            pb_raw(&key_stored, RIG_P, sizeof RIG_P - 1);
            for (uint64_t b = rng_below(&rng, 150); b != 0; b--) {
                uint8_t byte = (uint8_t)rng_next(&rng);
                pb_raw(&key, &byte, 1);
                pb_raw(&key_stored, &byte, 1);
            }
            pb_sub(&pair, 1, &key);
            pb_sub(&pair_stored, 1, &key_stored);
            size_t from = pair.n;
            random_bytes(&rng, &pair, 5, "");
            pb_raw(&pair_stored, pair.b + from, pair.n - from);
            if (lease != 0) {
                pb_num(&pair, 6, lease);
                pb_num(&pair_stored, 6, RIG_ALIAS(lease));
            }
            pb_sub(&reply, 2, &pair);
            pb_sub(&stored, 2, &pair_stored);
        }
        rig_open(&rig, "/etcdserverpb.KV/Range");
        assert_int_equal(rig_reply(&rig, &stored), ERR_OK);
        assert_replied(&rig, &reply);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_mapped_as_the_oracle_maps_it),
        cmocka_unit_test(a_reply_is_stripped_as_the_oracle_strips_it),
        cmocka_unit_test(strip_undoes_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
