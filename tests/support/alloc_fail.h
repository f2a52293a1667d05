/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc_fail - make the nth allocation of this program fail.
 *
 * Include it in one source of a test program: it replaces malloc, calloc and realloc of the whole
 * program. Under a sanitizer it does nothing (alloc_fail_works is false), because there the
 * allocator is the sanitizer's.
 */
#ifndef TESTS_ALLOC_FAIL_H
#define TESTS_ALLOC_FAIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

/* 0: none fails; n: the nth from now. Counts down. */
static unsigned long alloc_fail_at;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALLOC_FAIL_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ALLOC_FAIL_SANITIZED
#endif

#ifdef ALLOC_FAIL_SANITIZED
static const bool alloc_fail_works = false;
#else
static const bool alloc_fail_works = true;

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t count, size_t n);
extern void *__libc_realloc(void *p, size_t n);

static bool alloc_fails(void)
{
    if (alloc_fail_at == 0 || --alloc_fail_at != 0)
        return false;
    errno = ENOMEM;
    return true;
}

__attribute__((visibility("default"))) void *malloc(size_t n)
{
    return alloc_fails() ? NULL : __libc_malloc(n);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t n)
{
    return alloc_fails() ? NULL : __libc_calloc(count, n);
}

__attribute__((visibility("default"))) void *realloc(void *p, size_t n)
{
    return alloc_fails() ? NULL : __libc_realloc(p, n);
}
#endif

#endif
