/* SPDX-License-Identifier: Apache-2.0 */
/* injector_inject.c - `inject`: manifests in, manifests out. */
#include <stdio.h>

#include "injector.h"

int injector_inject(const struct injector_options *o)
{
    fprintf(stderr, "bulkhead-injector: inject is not part of this build (%u files)\n",
            o->file_count);
    return INJECTOR_FAILED;
}
