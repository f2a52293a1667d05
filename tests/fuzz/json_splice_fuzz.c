/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws: members lie in the input, in order, and do not overlap; an object put together from them is
 * one again, with the same members.
 */
#include "base/check.h"
#include "wire/json_splice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Members of in, put together into out. */
static enum err copy(struct span in, struct buf *out, unsigned *ret_members)
{
    struct json_walk w;
    struct json_member m;
    struct json_out o;
    bool more = true;
    const uint8_t *last = in.p;
    *ret_members = 0;
    enum err e = json_walk_begin(&w, in);
    if (e == ERR_OK)
        e = json_out_open(&o, out);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        CHECK(m.raw.p >= last && m.raw.p + m.raw.n <= in.p + in.n && m.raw.p[0] == '"');
        CHECK(m.value.n != 0 && m.value.p + m.value.n == m.raw.p + m.raw.n);
        CHECK(m.name_bytes <= JSON_NAME_BYTES_MAX);
        last = m.raw.p + m.raw.n;
        ++*ret_members;
        e = json_out_raw(&o, m.raw);
    }
    return e == ERR_OK ? json_out_close(&o) : e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct buf once = {0}, twice = {0};
    unsigned members, again;
    if (copy(span_of(data, n), &once, &members) == ERR_OK) {
        CHECK(copy(buf_span(&once), &twice, &again) == ERR_OK);
        CHECK(members == again && span_eq(buf_span(&once), buf_span(&twice)));
    }
    buf_deinit(&once);
    buf_deinit(&twice);
    return 0;
}
