/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Laws: lines and errors do not depend on how the input is cut; fields hold no blanks; a line that
 * was parsed, written and parsed again is the same line.
 * Input: 1 byte (bit 0: from the server; the rest: how to cut), then the stream.
 */
#include <stdlib.h>

#include "base/check.h"
#include "wire/nats_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_field(struct span f)
{
    for (size_t i = 0; i < f.n; i++)
        CHECK(strchr(" \t\r\n", f.p[i]) == NULL || f.p[i] == '\0');
}

static void check_again(const struct nats_line *l)
{
    struct buf out = {0};
    bool up = l->op == NATS_OP_PUB || l->op == NATS_OP_HPUB;
    CHECK((up ? nats_write_pub(&out, SPAN_NONE, l) : nats_write_msg(&out, l)) == ERR_OK);
    struct nats_line again;
    CHECK(nats_parse_line(up ? NATS_FROM_CLIENT : NATS_FROM_SERVER,
                          span_head(buf_span(&out), buf_len(&out) - 2), &again) == ERR_OK);
    CHECK(again.op == l->op && again.payload_bytes == l->payload_bytes);
    CHECK(span_eq(again.subject, l->subject) && span_eq(again.reply, l->reply));
    CHECK(span_eq(again.sid, l->sid) && span_eq(again.header_text, l->header_text));
    CHECK(span_eq(again.payload_text, l->payload_text));
    buf_deinit(&out);
}

static enum err check_line(enum nats_from from, struct span line)
{
    struct nats_line l;
    enum err e = nats_parse_line(from, line, &l);
    if (e != ERR_OK)
        return e;
    const struct span fields[] = {l.subject, l.reply, l.queue, l.sid, l.max, l.header_text};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        check_field(fields[i]);
    if (l.payload_text.n != 0) {
        CHECK(l.payload_bytes <= 999999999 && l.subject.n != 0);
        check_again(&l);
    }
    return ERR_OK;
}

/* All lines, with a LF each, into out; then how it ended. */
static enum err read_all(enum nats_from from, struct span in, size_t piece, struct buf *out)
{
    struct nats_reader r = {0};
    enum err e = ERR_OK;
    while (in.n != 0 && e == ERR_OK) {
        struct span now = span_head(in, piece), line;
        in = span_skip(in, now.n);
        while (e == ERR_OK && nats_reader_next(&r, from, &now, &line, &e)) {
            e = check_line(from, line);
            if (e == ERR_OK)
                CHECK(buf_append(out, line) == ERR_OK && buf_append_byte(out, '\n') == ERR_OK);
            nats_reader_release(&r);
        }
        CHECK(e != ERR_OK || now.n == 0);
    }
    nats_reader_release(&r);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    enum nats_from from = data[0] & 1 ? NATS_FROM_SERVER : NATS_FROM_CLIENT;
    struct span in = span_of(data + 1, n - 1);
    struct buf whole = {0}, cut = {0};
    enum err e = read_all(from, in, SIZE_MAX, &whole);
    CHECK(read_all(from, in, 1u + (data[0] >> 1) % 16, &cut) == e);
    CHECK(span_eq(buf_span(&whole), buf_span(&cut)));
    buf_deinit(&whole);
    buf_deinit(&cut);
    return 0;
}
