/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err - every error this program knows, from one table (err.def), with what each side is told.
 *
 * Functions that can fail return enum err and write their ret_ parameters only on ERR_OK.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

#include "base/attr.h"

enum err {
#define ERR(code, fault, grpc, msg, nats, survives, text) ERR_##code,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

enum err_fault { FAULT_APP, FAULT_UPSTREAM, FAULT_CONFIG, FAULT_US };

struct err_info {
    const char *name; /* "KEY_EMPTY": the reason label of metrics and logs */
    enum err_fault fault;
    int grpc_status;          /* the number in grpc-status */
    const char *grpc_message; /* not yet percent-encoded */
    const char *nats_text;    /* inside -ERR '…'; NULL where NATS has no such error */
    bool survives;            /* the connection of whoever is at fault goes on */
    const char *text;         /* for the log */
};

const struct err_info *err_info(enum err e);

#endif
