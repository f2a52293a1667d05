/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/outcome.h"

#include <stdarg.h>
#include <stdio.h>

void outcome_deinit(struct outcome *o)
{
    buf_deinit(&o->patch);
}

bool outcome_deny(struct outcome *o, enum outcome_reason reason, const char *fmt, ...)
{
    if (o->kind == OUTCOME_DENIED)
        return false;
    va_list args;
    va_start(args, fmt);
    vsnprintf(o->message, sizeof o->message, fmt, args);
    va_end(args);
    o->kind = OUTCOME_DENIED;
    o->reason = reason;
    o->code = reason == REASON_POLICY || reason == REASON_CONFLICT ? 403
              : reason == REASON_SELF_CHECK                        ? 500
                                                                   : 422;
    return false;
}

void outcome_warn(struct outcome *o, const char *fmt, ...)
{
    char text[OUTCOME_WARNING_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    for (unsigned i = 0; i < o->warnings; i++)
        if (strcmp(o->warning[i], text) == 0)
            return;
    if (o->warnings == OUTCOME_WARNINGS_MAX)
        snprintf(o->warning[OUTCOME_WARNINGS_MAX - 1], OUTCOME_WARNING_BYTES,
                 "bulkhead: there are more warnings");
    else
        memcpy(o->warning[o->warnings++], text, sizeof text);
}

const char *outcome_reason_name(enum outcome_reason reason)
{
    static const char *const names[REASON_COUNT] = {
        [REASON_NONE] = "none",     [REASON_SHAPE] = "shape",
        [REASON_CLAIM] = "claim",   [REASON_ANNOTATION] = "annotation",
        [REASON_POLICY] = "policy", [REASON_CONFLICT] = "conflict",
        [REASON_LIMIT] = "limit",   [REASON_SELF_CHECK] = "self_check",
    };
    return names[reason];
}

const char *outcome_kind_name(enum outcome_kind kind)
{
    static const char *const names[OUTCOME_KINDS] = {"skipped", "unchanged", "injected", "denied"};
    return names[kind];
}

const char *outcome_show(struct span s, char text[OUTCOME_SHOWN_BYTES])
{
    size_t n = s.n < OUTCOME_SHOWN_BYTES - 4 ? s.n : OUTCOME_SHOWN_BYTES - 4;
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(s.p[i] >= ' ' && s.p[i] < 0x7f ? s.p[i] : (uint8_t)'?');
    snprintf(text + n, 4, "%s", n < s.n ? "..." : "");
    return text;
}
