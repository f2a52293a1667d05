/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span - bytes that somebody else owns: how bytes travel in this tree.
 *
 * A span is valid as long as the owner named by the function that handed it out says so. It may
 * hold any byte, NUL included; p may be NULL only when n == 0.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *p;
    size_t n;
};

/* A span over a string literal, without its NUL. Inner NULs count. */
#define SPAN_LIT(s) ((struct span){(const uint8_t *)("" s), sizeof(s) - 1})
#define SPAN_NONE   ((struct span){NULL, 0})

static inline struct span span_of(const void *p, size_t n)
{
    return (struct span){(const uint8_t *)p, n};
}

/* Over a NUL-terminated string; borrows it. */
static inline struct span span_str(const char *s)
{
    return (struct span){(const uint8_t *)s, s == NULL ? 0 : strlen(s)};
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool span_has_prefix(struct span s, struct span prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

/* Without its first n bytes; n must not exceed s.n. */
static inline struct span span_skip(struct span s, size_t n)
{
    /* NULL + 0 is undefined before C23; to ask for p here would tell the analyser of the `tidy`
     * preset that it may be NULL whatever n is, and it would say so in every caller. */
    return n == 0 ? s : (struct span){s.p + n, s.n - n};
}

/* Behind its last byte. NULL + 0 as in span_skip(). */
static inline const uint8_t *span_end(struct span s)
{
    return s.n == 0 ? s.p : s.p + s.n;
}

static inline struct span span_head(struct span s, size_t n)
{
    return (struct span){s.p, n < s.n ? n : s.n};
}

/* As memcmp, shorter first when one is the other's prefix. */
static inline int span_cmp(struct span a, struct span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int r = n == 0 ? 0 : memcmp(a.p, b.p, n);
    return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

/* For people: as much of it as fits, and a NUL. size is not 0. */
static inline void span_text(struct span s, char *text, size_t size)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    if (n != 0)
        memcpy(text, s.p, n);
    text[n] = '\0';
}

#endif
