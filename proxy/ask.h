/* SPDX-License-Identifier: Apache-2.0 */
/* ask - one request to a running sidecar's health or admin listener, for the commands that do. */
#ifndef ASK_H
#define ASK_H

#include "base/addr.h"
#include "base/buf.h"

struct ask {
    struct addr to;
    const char *method, *path;
    unsigned timeout_ms;
};

/* The HTTP status, with the body appended; 0: there was no answer, *ret_why says why (static text).
 */
int ask(const struct ask *question, struct buf *ret_body, const char **ret_why);

#endif
