/* SPDX-License-Identifier: Apache-2.0 */
/*
 * environment - the variables of every container and init container that is not ours (design.md 6b,
 * 2.7): where the stores are, what the namespace is, what must not be there.
 *
 * All occurrences of a name are replaced (the last one would win), whatever they were: a value, a
 * valueFrom. A name that is missing is put first, so that $(NAME) in others means ours, and it wins
 * over an envFrom.
 */
#ifndef INJECT_ENVIRONMENT_H
#define INJECT_ENVIRONMENT_H

#include "inject/options.h"

void environment_edit(const struct inject_config *c, const struct options *options,
                      const struct pod *p, const struct ns_path *ns, struct edit *e,
                      struct outcome *o);

#endif
