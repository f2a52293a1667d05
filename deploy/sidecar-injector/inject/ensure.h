/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ensure - make something ours be in the pod: put it in, or put right what is there. What the API
 * server adds to it (defaults) stays; whatever else is not ours goes, whoever put it there, because
 * it could make the sidecar's user do something else.
 */
#ifndef INJECT_ENSURE_H
#define INJECT_ENSURE_H

#include "inject/edit.h"

/* A container of that name, first in the list if it must be put in. */
void ensure_container(struct edit *e, const struct spot *spec, const char *list, const char *name,
                      struct span json);
/* The same, and it stands first, moved if need be: no container before it escapes its rules. */
void ensure_first(struct edit *e, const struct spot *spec, const char *list, const char *name,
                  struct span json);
/* No element of that name in the list. */
void ensure_absent(struct edit *e, const struct spot *spec, const char *list, const char *name);
/* An element of that name that is json; one that is not is replaced. */
void ensure_named(struct edit *e, const struct spot *spec, const char *list, const char *name,
                  struct span json);

#endif
