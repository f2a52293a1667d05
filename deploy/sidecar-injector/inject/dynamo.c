/* SPDX-License-Identifier: Apache-2.0 */
#include "inject/dynamo.h"

#include <stdio.h>

#include "inject/sidecar_text.h"

static bool component_type_is(const struct pod *p, const char *type)
{
    return span_eq(pod_label(p, "nvidia.com/dynamo-component-type"), span_str(type));
}

bool dynamo_is_frontend(const struct pod *p)
{
    return component_type_is(p, "frontend");
}

bool dynamo_needs_subtree(const struct pod *p)
{
    return component_type_is(p, "frontend") || component_type_is(p, "default") ||
           component_type_is(p, "epp");
}

static bool is_usable_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool dynamo_name_is_usable(const char *name)
{
    size_t n = 0;
    while (is_usable_byte(name[n]))
        n++;
    return n != 0 && name[n] == '\0';
}

const char *dynamo_name(const struct ns_path *path, char text[DYNAMO_NAME_BYTES])
{
    snprintf(text, DYNAMO_NAME_BYTES, "%s", ns_path_name(path));
    for (char *c = text; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
        if (!is_usable_byte(*c))
            *c = '-';
    }
    return text;
}

const char *dynamo_discovery_word(enum inject_discovery discovery)
{
    return discovery == DISCOVERY_ETCD       ? "etcd"
           : discovery == DISCOVERY_KV_STORE ? "kv_store"
                                             : NULL;
}

bool dynamo_says_kubernetes(const struct pod *p)
{
    return span_eq(pod_label(p, "nvidia.com/dynamo-discovery-backend"), SPAN_LIT("kubernetes"));
}

/* ---- what goes past the stores ---- */

enum { WORD_BYTES = 24 };

static void take_word(struct span from, char word[WORD_BYTES])
{
    size_t n = 0;
    while (n < from.n && n + 1 < WORD_BYTES && is_usable_byte((char)from.p[n]))
        n++;
    if (n != 0)
        memcpy(word, from.p, n);
    word[n] = '\0';
}

/* The value of --flag in a list of words, also inside one (sh -c "…"). */
static bool find_flag(const struct json_node *list, const char *flag, char word[WORD_BYTES])
{
    size_t n = strlen(flag);
    for (const struct json_node *a = list == NULL ? NULL : list->child; a != NULL; a = a->next) {
        struct span text = json_string(a);
        const uint8_t *at = text.n == 0 ? NULL : memmem(text.p, text.n, flag, n);
        if (at == NULL)
            continue;
        struct span rest = span_skip(text, (size_t)(at - text.p) + n);
        if (rest.n == 0)
            rest = json_string(a->next);
        else if (rest.p[0] == '=' || rest.p[0] == ' ')
            rest = span_skip(rest, 1);
        else
            continue;
        take_word(rest, word);
        return true;
    }
    return false;
}

/* A setting of Dynamo: its flag wins over its variable. False: not said. */
static bool setting(const struct pod *p, const struct json_node *k, const char *variable,
                    const char *flag, char word[WORD_BYTES], bool *ret_by_flag)
{
    char value[POD_VALUE_BYTES];
    *ret_by_flag = find_flag(json_get(k, "args"), flag, word) ||
                   find_flag(json_get(k, "command"), flag, word);
    if (*ret_by_flag)
        return true;
    if (pod_container_value(p, k, variable, value) != VALUE_READ || value[0] == '\0')
        return false;
    take_word(span_str(value), word);
    return true;
}

/* What is said of discovery in container k: the word, and whether it stays so. */
static bool discovery(const struct pod *p, const struct options *options, const struct json_node *k,
                      const char *name, struct outcome *o)
{
    char word[WORD_BYTES];
    bool by_flag, is_kubernetes = dynamo_says_kubernetes(p);
    const char *to = dynamo_discovery_word(options->discovery);
    if (setting(p, k, "DYN_DISCOVERY_BACKEND", "--discovery-backend", word, &by_flag))
        is_kubernetes = strcmp(word, "kubernetes") == 0;
    if (!is_kubernetes)
        return false;
    if (to != NULL && by_flag)
        outcome_warn(o,
                     "bulkhead: %.30s: --discovery-backend wins over the switch to %s; take it out",
                     name, to);
    if (to != NULL && !by_flag)
        outcome_warn(o, "bulkhead: %.40s: discovery is switched from kubernetes to %s", name, to);
    if (to == NULL || by_flag)
        outcome_warn(o,
                     "bulkhead: %.30s: Kubernetes discovery does not go through etcd: NOT isolated",
                     name);
    return to == NULL || by_flag;
}

static void plane(struct outcome *o, const char *name, const char *what, bool past_etcd)
{
    if (past_etcd)
        outcome_warn(o, "bulkhead: %.30s: %s finds peers by Kubernetes discovery: NOT isolated",
                     name, what);
    else
        outcome_warn(o, "bulkhead: %.30s: %s goes past NATS, isolated only as far as discovery is",
                     name, what);
}

static void warn_of(const struct pod *p, const struct options *options, const struct json_node *k,
                    struct outcome *o)
{
    char name[OUTCOME_SHOWN_BYTES], word[WORD_BYTES];
    bool by_flag;
    outcome_show(container_name(k), name);
    bool past_etcd = discovery(p, options, k, name, o);
    if (setting(p, k, "DYN_REQUEST_PLANE", "--request-plane", word, &by_flag) &&
        strcmp(word, "nats") != 0)
        plane(o, name, strcmp(word, "tcp") == 0 ? "the TCP request plane" : "its request plane",
              past_etcd);
    if (setting(p, k, "DYN_EVENT_PLANE", "--event-plane", word, &by_flag) &&
        strcmp(word, "nats") != 0)
        plane(o, name, strcmp(word, "zmq") == 0 ? "the ZMQ event plane" : "its event plane",
              past_etcd);
}

void dynamo_warn(const struct pod *p, const struct options *options, struct outcome *o)
{
    for (const struct json_node *k = p->containers->child; k != NULL; k = k->next)
        if (!span_eq(container_name(k), SPAN_LIT(SIDECAR_NAME)))
            warn_of(p, options, k, o);
}
