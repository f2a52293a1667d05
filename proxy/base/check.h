/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check - contracts between our own functions. On in every build; a broken one ends the process.
 *
 * Never for bytes from a peer: those get an enum err.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include "base/attr.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            check_failed(#cond, __FILE__, __LINE__);                                               \
    } while (0)

_Noreturn ATTR_COLD void check_failed(const char *cond, const char *file, int line);

#endif
