/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: byte 0 chooses the namespace, bytes 1 and 2 say how long the keys x and y are, the rest is
 * a stored key. Laws 1 to 3 and 5 of design.md 2.6 against the model.
 */
#include "base/check.h"
#include "law/makers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct span cut(struct span *rest, size_t n)
{
    struct span head = span_head(*rest, n);
    *rest = span_skip(*rest, head.n);
    return head;
}

static int sign(int r)
{
    return (r > 0) - (r < 0);
}

static void map_laws(const struct model_ns *ns, struct span x, struct span y, struct span stored)
{
    struct buf from = {0}, key = {0}, end = {0};
    struct span back = SPAN_NONE;
    CHECK(key_map_key(&ns->keys, x, &from) == ERR_OK && key_map_key(&ns->keys, y, &key) == ERR_OK);
    CHECK(key_map_end(&ns->keys, y, &end) == ERR_OK);
    CHECK(key_map_strip(&ns->keys, buf_span(&from), &back) && span_eq(back, x));
    CHECK(sign(span_cmp(buf_span(&from), buf_span(&key))) == sign(span_cmp(x, y)));

    struct model_name owner;
    bool own = model_key_read(stored, &owner, &back) && model_name_equal(&owner, &ns->name);
    bool inside = own && model_in_range(back, x, y);
    CHECK(model_in_range(stored, buf_span(&from), buf_span(&end)) == inside);
    struct span got = SPAN_NONE;
    CHECK(key_map_strip(&ns->keys, stored, &got) == own);
    CHECK(!own || span_eq(got, back));
    buf_deinit(&from);
    buf_deinit(&key);
    buf_deinit(&end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct span rest = span_of(data, n);
    if (n < 4)
        return 0;
    struct model_ns ns;
    model_ns_init(&ns, model_hostile_names[data[0] % ARRAY_LEN(model_hostile_names)], 1);
    cut(&rest, 3);
    struct span x = cut(&rest, data[1]), y = cut(&rest, data[2]);
    if (rest.n != 0) /* etcd holds no empty key */
        map_laws(&ns, x, y, rest);
    return 0;
}
