/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin - the health listener (design.md 8.2): GET and HEAD of
 *
 *   /livez     200: the loop turns
 *   /readyz    200 when every plane is ready; else 503 with one line a plane that says what is
 * missing /startupz  200: the listeners are bound. It does not wait for the stores, or their
 * absence would keep pods from starting /metrics   Prometheus text
 *
 * and the admin listener, another one of the same kind, which only the pod itself can reach:
 *
 *   pages that its owner gives it
 *
 * Their connections are not those of applications: they do not count against the connection limit,
 * but have one of their own, LIMIT_HEALTH_CONNECTIONS.
 */
#ifndef IO_ADMIN_H
#define IO_ADMIN_H

#include "base/addr.h"
#include "base/buf.h"
#include "io/loop.h"
#include "io/web.h"

struct admin;

enum { ADMIN_CHECKS_MAX = 4 };

/* One plane, as far as readiness goes. */
struct admin_check {
    const char *plane;                                       /* "etcd"; static */
    bool (*is_ready)(const void *arg, const char **ret_why); /* why: static text */
    const void *arg;
};

/* A page of the admin listener. It appends to r->body, text; r->status is 200. ERR_NOMEM. */
typedef enum err (*admin_answer_fn)(void *arg, const struct web_request *request,
                                    struct web_answer *r);
struct admin_page {
    const char *path;
    admin_answer_fn get, post; /* NULL: 405 */
};

struct admin_options {
    const struct addr *listen; /* borrowed for the call */
    unsigned listens;
    struct admin_check checks[ADMIN_CHECKS_MAX];
    unsigned check_count;
    const char *namespace_name;     /* borrowed for the admin's life */
    const char *option;             /* static; named in errors: "--health-listen" */
    const struct admin_page *pages; /* shares; NULL: a health listener */
    unsigned page_count;
    void *arg; /* of the pages */
};

/* ERR_CONFIG: *ret_error says what and how to mend it; ERR_NOMEM. */
enum err admin_open(struct loop *l, const struct admin_options *options, struct admin **ret_admin,
                    struct buf *ret_error) ATTR_MUST_USE;
struct addr admin_addr(const struct admin *a);
/* From now on /readyz says 503 "draining". The planes are not asked any more. */
void admin_drain(struct admin *a);
/* End all connections; memory is released by the loop. Nulls *a; nothing happens to NULL. */
void admin_close(struct admin **a);

#endif
