/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sidecar_text - the containers and volumes that are put into a pod, as JSON.
 *
 * They satisfy the pod security standard `restricted`, but for the one capability of the redirect
 * container (NET_ADMIN). Requests and limits are always there, or a ResourceQuota would refuse the
 * pod. The API token is masked: an empty directory lies where the API server would mount it.
 */
#ifndef INJECT_SIDECAR_TEXT_H
#define INJECT_SIDECAR_TEXT_H

#include "inject/options.h"

#define SIDECAR_NAME          "bulkhead"
#define SIDECAR_REDIRECT_NAME "bulkhead-redirect"
#define SIDECAR_VOLUME_NAME   "bulkhead-no-token"

struct sidecar_order {
    const struct inject_config *config;
    const struct options *options;
    const struct ns_path *ns;
    struct inject_views sees;
    uint64_t grace_s; /* terminationGracePeriodSeconds of the pod */
};

enum err sidecar_write(const struct sidecar_order *s, struct buf *out) ATTR_MUST_USE;
enum err sidecar_write_redirect(const struct sidecar_order *s, struct buf *out) ATTR_MUST_USE;
enum err sidecar_write_volume(struct buf *out) ATTR_MUST_USE;
/* "view":"own", or a member for each plane where they differ: of the annotations that say what was
 * decided. Returns text. */
enum { SIDECAR_VIEWS_BYTES = 64 };
const char *sidecar_views(struct inject_views sees, char text[SIDECAR_VIEWS_BYTES]);
/* The status annotation: what was decided, as JSON in a JSON string. */
enum err sidecar_write_status(const struct sidecar_order *s, struct buf *out) ATTR_MUST_USE;

#endif
