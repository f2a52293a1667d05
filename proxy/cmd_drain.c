/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_drain - tell a running sidecar to drain, in images without a shell, kill or curl. */
#include <stdio.h>

#include "ask.h"
#include "cmd.h"
#include "limit.h"

int cmd_drain(const struct config *c)
{
    const struct ask q = {.to = c->admin_listen.a[0],
                          .method = "POST",
                          .path = "/drain",
                          .timeout_ms = LIMIT_DIAL_MS};
    struct buf body = {0};
    const char *why;
    char text[ADDR_TEXT_BYTES];
    int status = ask(&q, &body, &why);
    if (status == 0)
        fprintf(stderr, "bulkhead: no answer from %s: %s\n", addr_print(&q.to, text), why);
    else
        printf("%.*s", (int)buf_len(&body), (const char *)buf_span(&body).p);
    buf_deinit(&body);
    return status == 202 ? CMD_CLEAN : CMD_FAILED;
}
