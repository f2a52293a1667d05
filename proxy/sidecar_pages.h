/* SPDX-License-Identifier: Apache-2.0 */
/* sidecar_pages - what the admin listener answers (design.md 8.2): for people in the pod, as text.
 */
#ifndef SIDECAR_PAGES_H
#define SIDECAR_PAGES_H

#include "io/admin.h"

/* Their arg is a struct sidecar. */
const struct admin_page *sidecar_pages(unsigned *ret_n);

#endif
