/* SPDX-License-Identifier: Apache-2.0 */
/* support - what every cmocka program includes first, and a few helpers. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "base/span.h"

/* Fails the running test, showing both as escaped text, unless they are equal. */
#define assert_span_equal(got, want) support_span_equal((got), (want), __FILE__, __LINE__)
void support_span_equal(struct span got, struct span want, const char *file, int line);

/* Appends until there is no room for one byte more. */
void support_fill(struct buf *out);

/* A copy of s as a string; free it. */
char *support_string(struct span s);

/* Cases per law: environment LAW_CASES, else LAW_CASES_DEFAULT, else fallback. */
uint64_t support_cases(uint64_t fallback);
/* Seed: environment LAW_SEED, else the same in every run, else (SEEDS=new) from the clock; printed.
 */
struct rng support_rng(const char *law);

#endif
