/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_header: a header block. Laws: an edit that changes nothing gives the block; one that changes
 * values changes nothing else, and a second reader finds the same names with the new values; a
 * stream that JetStream acts upon is one of this namespace; stripping makes nothing longer.
 */
#include "base/check.h"
#include "nats/js_headers.h"
#include "wire/nats_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct seen {
    struct buf names; /* each with a LF */
    size_t headers, value_bytes;
    bool all_new;
};

static enum err keep(void *arg, const struct nats_header *h, struct buf *ret_value,
                     bool *ret_changed)
{
    struct seen *s = arg;
    (void)ret_value;
    (void)ret_changed;
    s->headers++;
    s->value_bytes += h->value.n;
    s->all_new = s->all_new && span_eq(h->value, SPAN_LIT("new"));
    enum err e = buf_append(&s->names, h->name);
    return e == ERR_OK ? buf_append_byte(&s->names, '\n') : e;
}

static enum err renew(void *arg, const struct nats_header *h, struct buf *ret_value,
                      bool *ret_changed)
{
    (void)arg;
    (void)h;
    *ret_changed = true;
    return buf_append(ret_value, SPAN_LIT("new"));
}

static void edits(struct span block)
{
    struct seen before = {0}, after = {.all_new = true};
    struct buf same = {0}, renewed = {0}, again = {0};
    bool changed;
    CHECK(nats_header_edit(block, keep, &before, &same, &changed) == ERR_OK && !changed);
    CHECK(span_eq(buf_span(&same), block));
    CHECK(nats_header_edit(block, renew, NULL, &renewed, &changed) == ERR_OK);
    CHECK(changed == (before.headers != 0));
    CHECK(buf_len(&renewed) == block.n - before.value_bytes + 3 * before.headers);
    CHECK(nats_header_edit(buf_span(&renewed), keep, &after, &again, &changed) == ERR_OK);
    CHECK(after.all_new && after.headers == before.headers);
    CHECK(span_eq(buf_span(&after.names), buf_span(&before.names)));
    CHECK(span_eq(nats_header_status(block), nats_header_status(buf_span(&renewed))));
    buf_deinit(&before.names);
    buf_deinit(&after.names);
    buf_deinit(&same);
    buf_deinit(&renewed);
    buf_deinit(&again);
}

/* Names near the server's limit stay as they are: there is no such stream. */
static enum err is_mapped(void *arg, const struct nats_header *h, struct buf *ret_value,
                          bool *ret_changed)
{
    const struct nats_ns *ns = arg;
    struct span name;
    (void)ret_value;
    (void)ret_changed;
    if (span_eq(h->name, SPAN_LIT("Nats-Expected-Stream")) && h->value.n != 0 && h->value.n < 200)
        CHECK(js_names_strip(&ns->names, h->value, &name));
    return ERR_OK;
}

static void slices(const struct nats_ns *ns, struct span block)
{
    struct buf mapped = {0}, back = {0}, checked = {0};
    bool changed, was_undone;
    CHECK(js_headers_map(ns, block, &mapped, &changed) == ERR_OK);
    CHECK(changed || span_eq(buf_span(&mapped), block));
    CHECK(!changed || js_headers_may_change(block));
    CHECK(nats_header_edit(buf_span(&mapped), is_mapped, (void *)(uintptr_t)ns, &checked,
                           &was_undone) == ERR_OK);
    CHECK(js_headers_strip(ns, buf_span(&mapped), &back, &was_undone) == ERR_OK);
    CHECK(buf_len(&back) <= buf_len(&mapped));
    buf_deinit(&mapped);
    buf_deinit(&back);
    buf_deinit(&checked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct nats_ns ns;
    struct ns_path path;
    if (ns.port == 0) {
        ns.port = 4222;
        CHECK(ns_path_parse(SPAN_LIT("a/b"), '/', &path, NULL) == ERR_OK);
        js_names_init(&ns.names, &path);
        CHECK(subject_map_init(&ns.map, SPAN_LIT("bh"), &path, subject_map_default_requests,
                               ARRAY_LEN(subject_map_default_requests)) == ERR_OK);
    }
    edits(span_of(data, n));
    slices(&ns, span_of(data, n));
    return 0;
}
