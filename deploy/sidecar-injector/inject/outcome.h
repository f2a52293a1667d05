/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome - what became of one pod, in words for the person who made it.
 *
 * Denials name the field, the value and what would be right; warnings are shown by kubectl, which
 * cuts them at 120 bytes, so they are made to fit.
 */
#ifndef INJECT_OUTCOME_H
#define INJECT_OUTCOME_H

#include "base/attr.h"
#include "base/buf.h"
#include "inject/inject_config.h"
#include "policy/ns_path.h"

enum {
    OUTCOME_MESSAGE_BYTES = 400,
    OUTCOME_WARNING_BYTES = 121, /* with its NUL; API server: "recommended to be 120 characters" */
    OUTCOME_WARNINGS_MAX = 12,
    OUTCOME_SHOWN_BYTES = 80 /* of a name or a value that a pod brought */
};

enum outcome_kind {
    OUTCOME_SKIPPED,
    OUTCOME_UNCHANGED,
    OUTCOME_INJECTED,
    OUTCOME_DENIED,
    OUTCOME_KINDS
};

/* Why a pod was denied; labels of a metric. */
enum outcome_reason {
    REASON_NONE,
    REASON_SHAPE,      /* the pod is none */
    REASON_ANNOTATION, /* a label or an annotation of ours is wrong */
    REASON_CLAIM,      /* no namespace, or two */
    REASON_POLICY,     /* not yours to claim */
    REASON_CONFLICT,   /* the sidecar cannot live in this pod */
    REASON_LIMIT,      /* too much to change */
    REASON_SELF_CHECK, /* the patch did not do what it should: our defect */
    REASON_COUNT
};

struct outcome {
    enum outcome_kind kind;
    enum outcome_reason reason;
    int code; /* HTTP-like, of a denial */
    char message[OUTCOME_MESSAGE_BYTES];
    unsigned warnings;
    char warning[OUTCOME_WARNINGS_MAX][OUTCOME_WARNING_BYTES];
    char skipped[OUTCOME_WARNING_BYTES]; /* why, if SKIPPED */
    struct ns_path ns;
    struct inject_views sees;
    bool native;
    const char *tier; /* static */
    struct buf patch; /* owned: a JSON array; empty = none */
};

void outcome_deinit(struct outcome *o);
/* The first denial stays. Returns false, for `return outcome_deny(…)`. */
bool outcome_deny(struct outcome *o, enum outcome_reason reason, const char *fmt, ...)
    ATTR_PRINTF(3, 4);
/* Cut to size; said once only; beyond OUTCOME_WARNINGS_MAX the last one says that there are more.
 */
void outcome_warn(struct outcome *o, const char *fmt, ...) ATTR_PRINTF(2, 3);
const char *outcome_reason_name(enum outcome_reason reason);
const char *outcome_kind_name(enum outcome_kind kind);

/* s for a text: printable ASCII as it is, the rest as '?', cut with "...". Returns text. */
const char *outcome_show(struct span s, char text[OUTCOME_SHOWN_BYTES]);

#endif
