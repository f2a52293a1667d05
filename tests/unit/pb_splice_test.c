/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small message of our own, so that the engine is tested without etcd:
 *
 *   Root { key 1 map "P"+key | child 2 repeated droppable | number 3 +1000 | text 4 | once 5 Child,
 *          not droppable }
 *   Child { name 1 strip "P" | child 2 Child | lease 3 droppable number | raw 9 }
 */
#include "support/support.h"

#include <stdlib.h>

#include "base/rng.h"
#include "limit.h"
#include "support/pb_build.h"
#include "wire/pb_splice.h"
#include "wire/pb_wire.h"

static unsigned begun, ended, peeked;

static enum err add_p(void *ctx, struct pb_frame *f, struct span value, struct buf *out)
{
    (void)ctx;
    f->note[0] = value.n != 0;
    enum err e = buf_append(out, SPAN_LIT("P"));
    return e == ERR_OK ? buf_append(out, value) : e;
}

static enum err cut_p(void *ctx, struct pb_frame *f, struct span value, struct span *ret_rest)
{
    (void)ctx;
    (void)f;
    if (value.n == 0 || value.p[0] != 'P')
        return ERR_FOREIGN;
    *ret_rest = span_skip(value, 1);
    return ERR_OK;
}

static enum err add_1000(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    (void)f;
    *ret_v = v == 0 ? 0 : v + 1000;
    return v == 13 ? ERR_LIMIT : ERR_OK;
}

static enum err halve(void *ctx, struct pb_frame *f, uint64_t v, uint64_t *ret_v)
{
    (void)ctx;
    (void)f;
    *ret_v = v / 2;
    return v % 2 == 1 ? ERR_FOREIGN : ERR_OK;
}

static enum err peek(void *ctx, struct pb_frame *f, struct span value)
{
    (void)ctx;
    (void)f;
    (void)value;
    peeked++;
    return ERR_OK;
}

static enum err begin(void *ctx, struct pb_frame *f, struct pb_frame *up)
{
    (void)ctx;
    (void)f;
    (void)up;
    begun++;
    return ERR_OK;
}

static enum err end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    (void)ctx;
    (void)f;
    (void)up;
    (void)out;
    ended++;
    return ERR_OK;
}

/* The root gets field 7 "tail" when its last key was empty. */
static enum err root_end(void *ctx, struct pb_frame *f, struct pb_frame *up, struct buf *out)
{
    (void)ctx;
    assert_null(up);
    if (out == NULL || f->note[0] != 0)
        return ERR_OK;
    return buf_append(out, SPAN_LIT("\x3a\x04tail"));
}

static const struct pb_message child;
static const struct pb_field child_fields[] = {
    [1] = {.action = PB_STRIP, .strip = cut_p},
    [2] = {.action = PB_MESSAGE, .sub = &child},
    [3] = {.action = PB_NUMBER, .droppable = true, .number = halve},
};
static const struct pb_message child = {child_fields, ARRAY_LEN(child_fields), begin, end, false};
static const struct pb_field root_fields[] = {
    [1] = {.action = PB_MAP, .map = add_p},
    [2] = {.action = PB_MESSAGE, .droppable = true, .sub = &child},
    [3] = {.action = PB_NUMBER, .number = add_1000},
    [5] = {.action = PB_MESSAGE, .sub = &child},
    [6] = {.action = PB_PEEK, .peek = peek},
};
static const struct pb_message root = {root_fields, ARRAY_LEN(root_fields), NULL, root_end, false};
static const struct pb_field list_fields[] = {
    [2] = {.action = PB_MESSAGE, .droppable = true, .sub = &child},
};
static const struct pb_message list = {list_fields, ARRAY_LEN(list_fields), NULL, NULL, false};
static const struct pb_field closed_fields[] = {
    [1] = {.action = PB_KEEP},
    [3] = {.action = PB_NUMBER, .number = halve},
};
static const struct pb_message closed = {closed_fields, ARRAY_LEN(closed_fields), NULL, NULL, true};

static struct buf out;

static enum err append(struct span in)
{
    buf_deinit(&out);
    assert_int_equal(buf_append(&out, SPAN_LIT("before")), ERR_OK);
    enum err e = pb_splice(&root, NULL, in, &out);
    assert_true(span_has_prefix(buf_span(&out), SPAN_LIT("before")));
    if (e != ERR_OK)
        assert_int_equal(buf_len(&out), 6);
    return e;
}

static struct span appended(void)
{
    return span_skip(buf_span(&out), 6);
}

static struct span in_place(struct pb_build *m)
{
    size_t n;
    assert_int_equal(pb_splice_in_place(&child, NULL, m->b, m->n, &n), ERR_OK);
    assert_true(n <= m->n);
    return span_of(m->b, n);
}

static void what_is_not_listed_passes_byte_for_byte(void **state)
{
    (void)state;
    struct pb_build m = {0};
    pb_str(&m, 1, "k");
    pb_num(&m, 4, 300);
    pb_var(&m, 8 * 8 + 1);
    pb_raw(&m, "12345678", 8);
    pb_var(&m, 8 * 8 + 5);
    pb_raw(&m, "1234", 4);
    pb_str(&m, 536870911, "the highest field number");
    pb_raw(&m, "\x20\x80\x80\x00", 4); /* field 4 = 0 in three bytes */
    assert_int_equal(append(pb_built(&m)), ERR_OK);
    struct pb_build want = {0};
    pb_str(&want, 1, "Pk");
    pb_raw(&want, m.b + 3, m.n - 3);
    assert_span_equal(appended(), pb_built(&want));
}

static void an_unchanged_message_is_the_same_bytes(void **state)
{
    (void)state;
    /* Lengths in more bytes than needed stay so, since nothing in them changed. */
    struct pb_build m = {0};
    pb_raw(&m, "\x12\x85\x80\x00\x4a\x03xyz", 9); /* Child.child { 9: "xyz" } */
    struct pb_build copy = m;
    assert_span_equal(in_place(&m), pb_built(&copy));
}

static void every_occurrence_is_rewritten(void **state)
{
    (void)state;
    struct pb_build m = {0}, want = {0};
    pb_str(&m, 1, "a");
    pb_str(&m, 1, "");
    pb_num(&m, 3, 5);
    pb_str(&m, 1, "b");
    pb_num(&m, 3, 0);
    pb_str(&want, 1, "Pa");
    pb_str(&want, 1, "P");
    pb_num(&want, 3, 1005);
    pb_str(&want, 1, "Pb");
    pb_num(&want, 3, 0);
    assert_int_equal(append(pb_built(&m)), ERR_OK);
    assert_span_equal(appended(), pb_built(&want));
}

static void a_hook_at_the_end_appends_a_field(void **state)
{
    (void)state;
    struct pb_build m = {0}, want = {0};
    pb_str(&m, 1, "a");
    pb_str(&m, 1, "");
    pb_str(&want, 1, "Pa");
    pb_str(&want, 1, "P");
    pb_str(&want, 7, "tail");
    assert_int_equal(append(pb_built(&m)), ERR_OK);
    assert_span_equal(appended(), pb_built(&want));
    assert_int_equal(append(SPAN_NONE), ERR_OK);
    assert_span_equal(appended(), SPAN_LIT("\x3a\x04tail"));
}

static void lengths_grow_over_each_size_class(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 128, 16381, 16382, 16383, 16384};
    static uint8_t bytes[16384];
    memset(bytes, 'x', sizeof bytes);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct pb_build m = {0}, want = {0};
        pb_span(&m, 1, span_of(bytes, sizes[i]));
        pb_num(&m, 4, 1);
        pb_var(&want, 1 * 8 + 2);
        pb_var(&want, sizes[i] + 1);
        pb_raw(&want, "P", 1);
        pb_raw(&want, bytes, sizes[i]);
        pb_num(&want, 4, 1);
        if (sizes[i] == 0)
            pb_str(&want, 7, "tail");
        assert_int_equal(append(pb_built(&m)), ERR_OK);
        assert_span_equal(appended(), pb_built(&want));
    }
}

static void nested_lengths_shrink_over_each_size_class(void **state)
{
    (void)state;
    static const size_t sizes[] = {1,     100,   120,   121,   122,   123,   124,   125,   126,
                                   127,   128,   129,   130,   131,   16370, 16375, 16376, 16377,
                                   16378, 16379, 16380, 16381, 16382, 16383, 16384, 16385, 16390};
    static uint8_t bytes[16400];
    memset(bytes, 'P', sizeof bytes);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct pb_build leaf = {0}, middle = {0}, m = {0}, want_leaf = {0}, want_middle = {0},
                        want = {0};
        pb_span(&leaf, 1, span_of(bytes, sizes[i]));
        pb_sub(&middle, 2, &leaf);
        pb_sub(&m, 2, &middle);
        pb_num(&m, 9, 7);
        pb_span(&want_leaf, 1, span_of(bytes, sizes[i] - 1));
        pb_sub(&want_middle, 2, &want_leaf);
        pb_sub(&want, 2, &want_middle);
        pb_num(&want, 9, 7);
        assert_span_equal(in_place(&m), pb_built(&want));
    }
}

static void lengths_in_too_many_bytes_are_mended(void **state)
{
    (void)state;
    struct pb_build m = {0}, want = {0}, leaf = {0};
    pb_raw(&m, "\x12\x87\x80\x00\x0a\x84\x00Pabc", 11); /* child, 3-byte length; name, 2-byte */
    pb_str(&leaf, 1, "abc");
    pb_sub(&want, 2, &leaf);
    assert_span_equal(in_place(&m), pb_built(&want));
}

static void a_foreign_value_drops_its_nearest_droppable_element(void **state)
{
    (void)state;
    struct pb_build own = {0}, other = {0}, deep = {0}, m = {0}, want = {0}, want_own = {0};
    pb_str(&own, 1, "Pyes");
    pb_num(&own, 3, 7); /* odd: this field is dropped */
    pb_num(&own, 3, 8);
    pb_str(&other, 9, "a value nobody may see");
    pb_str(&other, 1, "no");
    pb_str(&deep, 1, "Pown");
    pb_sub(&deep, 2, &other); /* not droppable: the whole of deep goes */
    pb_str(&m, 1, "k");
    pb_sub(&m, 2, &other);
    pb_sub(&m, 2, &own);
    pb_sub(&m, 2, &deep);
    pb_sub(&m, 2, &other);
    pb_num(&m, 4, 1);
    pb_str(&want_own, 1, "yes");
    pb_num(&want_own, 3, 4);
    pb_str(&want, 1, "Pk");
    pb_sub(&want, 2, &want_own);
    pb_num(&want, 4, 1);
    begun = ended = 0;
    assert_int_equal(append(pb_built(&m)), ERR_OK);
    assert_span_equal(appended(), pb_built(&want));
    assert_int_equal(begun, 5);
    assert_int_equal(ended, 1); /* not of what was dropped */
}

static void a_foreign_value_with_nothing_to_drop_is_an_error(void **state)
{
    (void)state;
    struct pb_build other = {0}, m = {0};
    pb_str(&other, 1, "no");
    pb_sub(&m, 5, &other);
    assert_int_equal(append(pb_built(&m)), ERR_FOREIGN);
}

static void an_error_of_a_hook_ends_the_walk(void **state)
{
    (void)state;
    struct pb_build m = {0};
    pb_str(&m, 1, "k");
    pb_num(&m, 3, 13);
    assert_int_equal(append(pb_built(&m)), ERR_LIMIT);
}

static void a_closed_message_keeps_only_what_is_listed(void **state)
{
    (void)state;
    struct pb_build m = {0}, want = {0};
    pb_str(&m, 2, "gap in the table");
    pb_str(&m, 1, "kept");
    pb_str(&m, 99, "beyond the table");
    pb_num(&m, 3, 10);
    pb_str(&m, 4, "last");
    pb_str(&want, 1, "kept");
    pb_num(&want, 3, 5);
    size_t n;
    assert_int_equal(pb_splice_in_place(&closed, NULL, m.b, m.n, &n), ERR_OK);
    assert_span_equal(span_of(m.b, n), pb_built(&want));
}

static void peeking_changes_nothing(void **state)
{
    (void)state;
    struct pb_build m = {0};
    pb_str(&m, 6, "look");
    pb_str(&m, 7, "tail");
    peeked = 0;
    assert_int_equal(append(span_of(m.b, 6)), ERR_OK);
    assert_int_equal(peeked, 1);
    assert_span_equal(appended(), pb_built(&m));
}

#define BAD(bytes)                                                                                 \
    {                                                                                              \
        SPAN_LIT(bytes), #bytes                                                                    \
    }
static void what_does_not_parse_strictly_is_malformed(void **state)
{
    (void)state;
    static const struct {
        struct span bytes;
        const char *name;
    } rows[] = {
        BAD("\x0a"),                                          /* no length */
        BAD("\x0a\x02k"),                                     /* length beyond the end */
        BAD("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k"), /* length 2^64 - 1 */
        BAD("\x0a\x80"),                                      /* length cut off */
        BAD("\x80"),                                          /* tag cut off */
        BAD("\x02\x01k"),                                     /* field number 0 */
        BAD("\x00\x01"),                                      /* the same, varint */
        BAD("\x80\x00\x01"),                                  /* the same, in two bytes */
        BAD("\x83\x80\x80\x80\x10\x01"),                      /* tag over 32 bits */
        BAD("\x8a\x80\x80\x80\x10\x01k"), /* the same; cut to 32 bits it would be field 1 */
        BAD("\x0b\x0c"),                  /* group */
        BAD("\x4b\x4c"),                  /* group, unknown field */
        BAD("\x4c"),                      /* end of a group */
        BAD("\x0e"),                      /* wire type 6 */
        BAD("\x4f"),                      /* wire type 7, unknown field */
        BAD("\x08\x01"),                  /* key as a varint */
        BAD("\x09\x31\x32\x33\x34\x35\x36\x37\x38"),         /* key as fixed64 */
        BAD("\x10\x01"),                                     /* child as a varint */
        BAD("\x1a\x01k"),                                    /* number as bytes */
        BAD("\x30\x01"),                                     /* peeked sub-message as a varint */
        BAD("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), /* varint over 64 bits */
        BAD("\x18\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), /* eleven bytes */
        BAD("\x20\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), /* the same, unknown field */
        BAD("\x18\x80"),                                         /* varint cut off */
        BAD("\x41\x31\x32"),                                     /* fixed64 cut off */
        BAD("\x45\x31\x32"),                                     /* fixed32 cut off */
        BAD("\x12\x02\x0a\x05Pabcd"), /* a field longer than the message it is in */
        BAD("\x12\x01\x0a\x01P"),     /* a sub-message that ends within a field */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum err e = append(rows[i].bytes);
        if (e != ERR_PB_MALFORMED)
            fail_msg("%s: %s", rows[i].name, err_info(e)->name);
    }
}

/* depth messages around "name", built from the inside. */
static size_t nest(uint8_t *bytes, size_t cap, unsigned depth)
{
    size_t n = 3;
    memcpy(bytes + cap - n, "\x0a\x01P", n);
    for (unsigned i = 0; i < depth; i++) {
        struct pb_build head = {0};
        pb_var(&head, 2 * 8 + 2);
        pb_var(&head, n);
        n += head.n;
        memcpy(bytes + cap - n, head.b, head.n);
    }
    memmove(bytes, bytes + cap - n, n);
    return n;
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    size_t n = nest(bytes, sizeof bytes, LIMIT_PB_DEPTH - 1), out_n;
    assert_int_equal(pb_splice_in_place(&child, NULL, bytes, n, &out_n), ERR_OK);
    assert_true(out_n < n);
    n = nest(bytes, sizeof bytes, LIMIT_PB_DEPTH);
    assert_int_equal(pb_splice_in_place(&child, NULL, bytes, n, &out_n), ERR_PB_MALFORMED);
}

/* Every cut of a message with a foreign element, lengths that become shorter and unlisted fields.
 */
static void a_message_that_arrives_in_two_pieces_comes_out_the_same(void **state)
{
    (void)state;
    static uint8_t bytes[126];
    memset(bytes, 'P', sizeof bytes);
    struct pb_build own = {0}, other = {0}, m = {0}, want = {0}, want_own = {0};
    pb_span(&own, 1, span_of(bytes, sizeof bytes));
    pb_str(&other, 1, "x");
    pb_span(&want_own, 1, span_of(bytes, sizeof bytes - 1));
    pb_num(&m, 9, 300);
    pb_num(&want, 9, 300);
    for (unsigned i = 0; i < 3; i++) {
        pb_sub(&m, 2, &own);
        pb_sub(&m, 2, &other);
        pb_sub(&want, 2, &want_own);
    }
    pb_str(&m, 4096, "not listed");
    pb_str(&want, 4096, "not listed");
    for (size_t cut = 0; cut <= m.n; cut++) {
        struct pb_build copy = m;
        size_t read = 0, written = 0, n;
        if (cut != 0)
            assert_int_equal(pb_splice_arrived(&list, NULL, copy.b, cut, &read, &written), ERR_OK);
        assert_true(written <= read && read <= cut);
        if (cut == m.n)
            assert_int_equal(read, m.n);
        memmove(copy.b + written, copy.b + read, m.n - read);
        assert_int_equal(pb_splice_in_place(&list, NULL, copy.b + written, m.n - read, &n), ERR_OK);
        assert_span_equal(span_of(copy.b, written + n), pb_built(&want));
    }
}

static void what_has_arrived_must_parse_inside(void **state)
{
    (void)state;
    uint8_t bytes[] = "\x12\x03\x0a\x05P"; /* the length inside leads out of its message */
    size_t read, written;
    assert_int_equal(pb_splice_arrived(&list, NULL, bytes, 4, &read, &written), ERR_OK);
    assert_int_equal(read, 0);
    assert_int_equal(pb_splice_arrived(&list, NULL, bytes, 5, &read, &written), ERR_PB_MALFORMED);
}

/* The short way over a field takes no other bytes for one than the long way. */
static void a_skipped_field_is_the_one_that_is_read(void **state)
{
    (void)state;
    struct rng rng = {20260701};
    unsigned skipped = 0, left_to_the_reader = 0;
    for (unsigned round = 0; round < 300000; round++) {
        uint8_t bytes[24];
        size_t n = 1 + rng_next(&rng) % sizeof bytes;
        /* Half of the bytes go on, as in long varints; small ones are tags and lengths. */
        for (size_t i = 0; i < n; i++) {
            uint64_t r = rng_next(&rng);
            bytes[i] = (uint8_t)(r % 3 == 0 ? r >> 32 : r % 3 == 1 ? 0x80 | r >> 32 : r >> 32 & 31);
        }
        if (n > 10 && round % 8 == 0) { /* the longest varint: its last byte decides */
            for (size_t i = 1; i < 10; i++)
                bytes[i] |= 0x80;
            bytes[10] &= 3;
        }
        /* Of its exact size, so that a sanitizer sees a byte too many. */
        uint8_t *exact = malloc(n);
        assert_non_null(exact);
        memcpy(exact, bytes, n);
        const uint8_t *p = exact, *next = pb_skip_usual(exact, exact + n);
        struct pb_item it;
        bool parses = pb_item_next(&p, exact + n, &it);
        if (next != NULL) {
            assert_true(parses);
            assert_ptr_equal(next, p);
        }
        skipped += next != NULL;
        left_to_the_reader += next == NULL && parses;
        free(exact);
    }
    assert_true(skipped > 10000 && left_to_the_reader > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_listed_passes_byte_for_byte),
        cmocka_unit_test(an_unchanged_message_is_the_same_bytes),
        cmocka_unit_test(every_occurrence_is_rewritten),
        cmocka_unit_test(a_hook_at_the_end_appends_a_field),
        cmocka_unit_test(lengths_grow_over_each_size_class),
        cmocka_unit_test(nested_lengths_shrink_over_each_size_class),
        cmocka_unit_test(lengths_in_too_many_bytes_are_mended),
        cmocka_unit_test(a_foreign_value_drops_its_nearest_droppable_element),
        cmocka_unit_test(a_foreign_value_with_nothing_to_drop_is_an_error),
        cmocka_unit_test(an_error_of_a_hook_ends_the_walk),
        cmocka_unit_test(a_closed_message_keeps_only_what_is_listed),
        cmocka_unit_test(peeking_changes_nothing),
        cmocka_unit_test(what_does_not_parse_strictly_is_malformed),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_message_that_arrives_in_two_pieces_comes_out_the_same),
        cmocka_unit_test(what_has_arrived_must_parse_inside),
        cmocka_unit_test(a_skipped_field_is_the_one_that_is_read),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&out);
    return failed;
}
