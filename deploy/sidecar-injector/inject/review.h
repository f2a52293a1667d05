/* SPDX-License-Identifier: Apache-2.0 */
/*
 * review - the body of POST /mutate to the body of its answer (admission.k8s.io/v1
 * AdmissionReview).
 *
 * Only what is a review gets a 200; a denial is a 200 with allowed: false. Everything else is a
 * status of HTTP with a sentence, and the API server then follows the webhook's failure policy.
 * What is not ours to change (another kind, an update, a subresource) is allowed as it is.
 */
#ifndef INJECT_REVIEW_H
#define INJECT_REVIEW_H

#include "inject/inject_config.h"
#include "inject/outcome.h"

struct review {
    int status;      /* of HTTP: 200, 400, 500 */
    struct buf body; /* owned: the answer */
    struct outcome outcome;
    char pod[OUTCOME_SHOWN_BYTES], kubernetes_namespace[OUTCOME_SHOWN_BYTES]; /* for the log */
    bool is_dry_run;
};

/* is_selected: the webhook of namespaces that carry our label. *r is zeroed by the caller, who
 * calls review_deinit in any case. ERR_NOMEM: answer 500. */
enum err review_answer(const struct inject_config *c, struct span body, bool is_selected,
                       struct review *r) ATTR_MUST_USE;
void review_deinit(struct review *r);

#endif
