/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/environment.h"

#include <stdio.h>

#include "inject/dynamo.h"
#include "inject/sidecar_text.h"
#include "wire/json_text.h"

/* What all containers of one pod get. */
struct setting {
    const struct inject_config *c;
    const struct options *options;
    const struct pod *p;
    const struct ns_path *ns;
    struct edit *e;
    struct outcome *o;
    bool is_frontend;
};

/* ---- one variable of one container ---- */

static void write_variable(struct edit *e, const char *name, const char *value, struct buf *out)
{
    if (e->err == ERR_OK)
        e->err = buf_printf(out, "{\"name\":\"%s\",\"value\":", name);
    if (e->err == ERR_OK)
        e->err = json_text_append(out, span_str(value));
    if (e->err == ERR_OK)
        e->err = buf_append_byte(out, '}');
}

/* A plain {name, value}: only its value is changed. */
static void set_element(struct edit *e, const struct spot *env, size_t i, const struct buf *whole,
                        const char *value)
{
    struct spot at = spot_index(env, i);
    if (json_member(at.node, SPAN_LIT("valueFrom")) != NULL) {
        edit_replace(e, env, i, buf_span(whole));
        return;
    }
    struct buf text = {0};
    if (e->err == ERR_OK)
        e->err = json_text_append(&text, span_str(value));
    edit_set(e, &at, "value", buf_span(&text));
    buf_deinit(&text);
}

static void set_variable(struct edit *e, const struct spot *container, const char *name,
                         const char *value, bool is_always)
{
    struct spot env = spot_member(container, "env");
    struct buf whole = {0};
    bool found = false;
    size_t i = 0;
    write_variable(e, name, value, &whole);
    for (struct json_node *v = env.node == NULL ? NULL : env.node->child;
         v != NULL && e->err == ERR_OK; v = v->next, i++) {
        if (!json_is(json_get(v, "name"), name))
            continue;
        found = true;
        set_element(e, &env, i, &whole, value);
    }
    if (!found && is_always && e->err == ERR_OK) {
        env = edit_list(e, container, "env");
        if (e->err == ERR_OK)
            edit_insert(e, &env, 0, buf_span(&whole));
    }
    buf_deinit(&whole);
}

static bool name_matches(struct span name, const char *pattern)
{
    struct span p = span_str(pattern);
    if (p.n != 0 && p.p[p.n - 1] == '*')
        return span_has_prefix(name, span_head(p, p.n - 1));
    return span_eq(name, p);
}

static void remove_variables(struct edit *e, const struct spot *container, const char *pattern)
{
    struct spot env = spot_member(container, "env");
    size_t i = 0;
    struct json_node *next;
    for (struct json_node *v = env.node == NULL ? NULL : env.node->child;
         v != NULL && e->err == ERR_OK; v = next) {
        next = v->next;
        if (name_matches(json_string(json_get(v, "name")), pattern))
            edit_remove_index(e, &env, i);
        else
            i++;
    }
}

/* ---- where the stores are ---- */

/* The value with {etcd} and {nats} filled in. False: of a plane that is off, or too long. */
static bool expand(const struct inject_config *c, const char *value, char text[POD_VALUE_BYTES])
{
    static const char *const marks[] = {"{etcd}", "{nats}"};
    const unsigned port[] = {c->etcd_port, c->nats_port};
    const bool is_on[] = {c->etcd_upstream.n != 0, c->nats_upstream.n != 0};
    size_t n = 0;
    while (*value != '\0' && n + 32 < POD_VALUE_BYTES) {
        unsigned m = strncmp(value, marks[0], 6) == 0   ? 0
                     : strncmp(value, marks[1], 6) == 0 ? 1
                                                        : 2;
        if (m == 2) {
            text[n++] = *value++;
            continue;
        }
        if (!is_on[m])
            return false;
        n += (size_t)snprintf(text + n, 32, "127.0.0.1:%u", port[m]);
        value += 6;
    }
    text[n] = '\0';
    return *value == '\0';
}

static void point_at_sidecar(const struct setting *s, const struct spot *container)
{
    char text[POD_VALUE_BYTES];
    for (unsigned i = s->c->variables; i-- != 0;) /* the last one is put in first */
        if (expand(s->c, s->c->variable[i].value, text))
            set_variable(s->e, container, s->c->variable[i].name, text,
                         s->c->variable[i].is_always);
    for (unsigned i = 0; i < s->c->remove_environment.n; i++)
        remove_variables(s->e, container, s->c->remove_environment.item[i]);
    const struct json_node *from = json_get(container->node, "envFrom");
    char shown[OUTCOME_SHOWN_BYTES];
    if (from != NULL && from->count != 0 && s->c->remove_environment.n != 0)
        outcome_warn(s->o,
                     "bulkhead: %.40s: envFrom is not read; TLS or passwords for stores in it stay",
                     outcome_show(container_name(container->node), shown));
}

/* ---- what the program is told of its namespace ---- */

static void tell_dyn_namespace(const struct setting *s, const struct spot *container)
{
    char value[POD_VALUE_BYTES], name[DYNAMO_NAME_BYTES];
    if (s->options->keep_dyn_namespace)
        return;
    if (s->is_frontend) {
        remove_variables(s->e, container, "DYN_NAMESPACE_PREFIX*");
        set_variable(s->e, container, "DYN_NAMESPACE", "dynamo", true);
        return;
    }
    const struct json_node *v = container_variable(container->node, "DYN_NAMESPACE");
    if (pod_variable_value(s->p, v, value) == VALUE_READ && !dynamo_name_is_usable(value))
        set_variable(s->e, container, "DYN_NAMESPACE", dynamo_name(s->ns, name), false);
}

/* The path, with what stands between segments in this cluster: it is read again as a claim. */
static void tell_namespace(const struct setting *s, const struct spot *container)
{
    char text[NS_PATH_BYTES_MAX + 1];
    snprintf(text, sizeof text, "%s", ns_path_name(s->ns));
    for (char *c = text; *c != '\0'; c++)
        if (*c == '/')
            *c = s->c->separator;
    set_variable(s->e, container, "DYNAMO_NAMESPACE", text, true);
}

static void edit_container(const struct setting *s, const struct spot *container)
{
    const char *discovery = dynamo_discovery_word(s->options->discovery);
    if (discovery != NULL)
        set_variable(s->e, container, "DYN_DISCOVERY_BACKEND", discovery,
                     dynamo_says_kubernetes(s->p));
    tell_dyn_namespace(s, container);
    tell_namespace(s, container);
    if (s->options->tier >= TIER_ENVIRONMENT)
        point_at_sidecar(s, container);
}

static bool is_ours(const struct json_node *container)
{
    struct span name = container_name(container);
    return span_eq(name, SPAN_LIT(SIDECAR_NAME)) || span_eq(name, SPAN_LIT(SIDECAR_REDIRECT_NAME));
}

static void edit_list_of(const struct setting *s, const char *name)
{
    struct spot list = spot_member(&s->p->spec, name);
    size_t n = list.node == NULL ? 0 : list.node->count;
    for (size_t i = 0; i < n && s->e->err == ERR_OK; i++) {
        struct spot container = spot_index(&list, i);
        if (!is_ours(container.node))
            edit_container(s, &container);
    }
}

void environment_edit(const struct inject_config *c, const struct options *options,
                      const struct pod *p, const struct ns_path *ns, struct edit *e,
                      struct outcome *o)
{
    const struct setting s = {c, options, p, ns, e, o, dynamo_is_frontend(p)};
    edit_list_of(&s, "containers");
    edit_list_of(&s, "initContainers");
}
