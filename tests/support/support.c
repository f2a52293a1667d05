/* SPDX-License-Identifier: Apache-2.0 */
#include "support/support.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void print_span(const char *what, struct span s)
{
    print_error("%s (%zu bytes): ", what, s.n);
    for (size_t i = 0; i < s.n; i++)
        if (isprint(s.p[i]))
            print_error("%c", s.p[i]);
        else
            print_error("\\x%02x", s.p[i]);
    print_error("\n");
}

void support_span_equal(struct span got, struct span want, const char *file, int line)
{
    if (span_eq(got, want))
        return;
    print_span("got ", got);
    print_span("want", want);
    _fail(file, line);
}

void support_fill(struct buf *out)
{
    while (out->tail < out->cap || out->cap == 0)
        assert_int_equal(buf_append_byte(out, 'x'), ERR_OK);
}

char *support_string(struct span s)
{
    char *text = calloc(1, s.n + 1);
    assert_non_null(text);
    if (s.n != 0)
        memcpy(text, s.p, s.n);
    return text;
}

static uint64_t from_environment(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text == NULL || *text == '\0' ? fallback : strtoull(text, NULL, 0);
}

uint64_t support_cases(uint64_t fallback)
{
    /* What ctest sets is only a default: LAW_CASES of whoever runs it wins. */
    return from_environment("LAW_CASES", from_environment("LAW_CASES_DEFAULT", fallback));
}

struct rng support_rng(const char *law)
{
    struct timespec now = {.tv_nsec = 1};
    const char *seeds = getenv("SEEDS");
    if (seeds != NULL && strcmp(seeds, "new") == 0)
        clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed = from_environment("LAW_SEED",
                                     (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20);
    print_message("%s: LAW_SEED=%llu\n", law, (unsigned long long)seed);
    return (struct rng){seed};
}
