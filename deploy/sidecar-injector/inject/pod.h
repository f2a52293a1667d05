/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pod - looking at a pod: its lists of containers, their variables, its labels and annotations.
 *
 * Shape is checked once (pod_look): after it, what is a list is a list of objects with names.
 */
#ifndef INJECT_POD_H
#define INJECT_POD_H

#include "inject/edit.h"
#include "inject/outcome.h"

#define POD_PREFIX "bulkhead.dev/" /* of our labels and annotations */

enum {
    POD_CONTAINERS_MAX = 256, /* both lists together; the API server's practice is below 50 */
    POD_VALUE_BYTES = 512     /* of a variable that is read here */
};

/* What is known besides the object itself. */
struct pod_request {
    struct span kubernetes_namespace; /* of the request, never of the object */
    bool is_selected; /* somebody chose this pod: its namespace's label, or a person with a file */
    bool is_job;      /* belongs to a Job */
    const char *base; /* JSON pointer to the pod in its document */
};

struct pod {
    const struct pod_request *request;
    struct spot root, metadata, spec;
    const struct json_node *labels, *annotations; /* NULL: none */
    const struct json_node *init, *containers;    /* lists; init may be NULL */
    char name[OUTCOME_SHOWN_BYTES];               /* for texts: name, or generateName */
};

/* False: denied, with the reason in o. */
bool pod_look(struct pod *p, const struct pod_request *request, struct json_node *root,
              struct outcome *o);

struct span pod_label(const struct pod *p, const char *name);
struct span pod_annotation(const struct pod *p, const char *name);

struct span container_name(const struct json_node *container);
/* The container of that name in list, its index in *ret_index; NULL. */
const struct json_node *container_find(const struct json_node *list, const char *name,
                                       size_t *ret_index);
/* The last variable of that name, which is the one that counts; NULL. */
const struct json_node *container_variable(const struct json_node *container, const char *name);

enum value_state { VALUE_ABSENT, VALUE_READ, VALUE_HIDDEN };
/* What variable (an element of env, or NULL) will be at run time, if that can be told from the
 * object: a plain value, or the pod's own fields. HIDDEN: a ConfigMap, a Secret, $(…). */
enum value_state pod_variable_value(const struct pod *p, const struct json_node *variable,
                                    char value[POD_VALUE_BYTES]);
/* As the process will see it: the last of its name in env; HIDDEN if only envFrom could set it. */
enum value_state pod_container_value(const struct pod *p, const struct json_node *container,
                                     const char *name, char value[POD_VALUE_BYTES]);

#endif
