/* SPDX-License-Identifier: Apache-2.0 */
/*
 * alloc - make the n-th allocation fail. Only for programs named *_alloc_test: they are linked with
 * malloc, calloc and realloc wrapped, so that all of our code is counted and no library is.
 */
#ifndef TESTS_FAULT_ALLOC_H
#define TESTS_FAULT_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

static struct {
    unsigned left;   /* allocations until one fails; 0 = none will */
    bool has_failed; /* it came to that */
    int paused;      /* the test's own are not meant */
    unsigned count;  /* allocations that were not the test's own */
    size_t bytes;    /* asked for by them */
} alloc_state;

static inline void alloc_fail_at(unsigned n)
{
    alloc_state.left = n;
    alloc_state.has_failed = false;
}

static inline bool alloc_fails(size_t n)
{
    if (alloc_state.paused != 0)
        return false;
    alloc_state.count++;
    alloc_state.bytes += n;
    if (alloc_state.left == 0)
        return false;
    alloc_state.has_failed = --alloc_state.left == 0;
    return alloc_state.has_failed;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    return alloc_fails(n) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return alloc_fails(n * size) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return alloc_fails(n) ? NULL : __real_realloc(p, n);
}

#endif
