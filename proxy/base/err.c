/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stddef.h>

#include "base/check.h"

static const struct err_info table[ERR_COUNT] = {
#define ERR(code, fault, grpc, msg, nats, survives, text)                                          \
    [ERR_##code] = {#code, FAULT_##fault, grpc, msg, nats, survives, text},
#include "base/err.def"
#undef ERR
};

const struct err_info *err_info(enum err e)
{
    CHECK((size_t)e < ARRAY_LEN(table));
    return &table[e];
}
