/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject - one pod in, one decision and one patch out. Pure: no files, no clock, no network.
 *
 *   look at the pod > wanted? > its annotations > its namespace > may it? > conflicts > edit
 *   > the patch, applied to the pod as it came, gives what was edited, and asks for nothing more
 *
 * Laws: a pod is changed by operations on what is ours or must change, never written anew. The
 * result of an injection, injected again, is unchanged; so is one that the API server filled with
 * defaults. A sidecar that somebody changed or stripped is put right again. A patch that fails the
 * check at the end is not sent: the pod is denied, because the API server would refuse it in words
 * that nobody understands, whatever the failure policy.
 */
#ifndef INJECT_INJECT_H
#define INJECT_INJECT_H

#include "inject/inject_config.h"
#include "inject/pod.h"

/*
 * Decide about the pod at request->base of t's document and edit it. Fills o (zeroed by the caller,
 * who calls outcome_deinit); o->patch belongs to the document. ERR_NOMEM; everything else is in o.
 * After a denial t is half edited.
 */
enum err inject_pod(const struct inject_config *c, const struct pod_request *request,
                    struct json_tree *t, struct outcome *o) ATTR_MUST_USE;

#endif
