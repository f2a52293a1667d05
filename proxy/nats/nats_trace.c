/* SPDX-License-Identifier: Apache-2.0 */
/* nats_trace - a matcher of one name at the start of a line, across pieces. */
#include "nats/nats_trace.h"

static const char name[] = "\nnats-trace-";
enum { NAME_BYTES = sizeof name - 1 };

static bool is_next(const struct nats_trace *t, uint8_t byte)
{
    uint8_t lower = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
    return lower == (uint8_t)name[t->matched];
}

unsigned nats_trace_blunt(struct nats_trace *t, uint8_t *bytes, size_t n)
{
    unsigned blunted = 0;
    n = n < t->left ? n : t->left;
    t->left -= (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        if (t->matched == 0) {
            const uint8_t *lf = memchr(bytes + i, '\n', n - i);
            if (lf == NULL)
                break;
            i = (size_t)(lf - bytes);
        }
        /* The LF stands nowhere else in the name: a mismatch begins anew with this byte. */
        t->matched = is_next(t, bytes[i]) ? t->matched + 1 : bytes[i] == '\n';
        if (t->matched == NAME_BYTES) {
            bytes[i] = '_';
            t->matched = 0;
            blunted++;
        }
    }
    return blunted;
}
