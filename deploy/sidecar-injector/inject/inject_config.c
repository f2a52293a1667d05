/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject_config.c - a table of keys, one reader a kind of value, then what no single key can tell.
 *
 * Adding a key: a member in struct inject_config, a row in keys[], a line in docs/injection.md.
 */
#include "inject/inject_config.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/addr.h"
#include "base/check.h"
#include "base/log.h"
#include "config.h"
#include "inject/claim.h"

/* ---- errors ---- */

static enum err fail(struct inject_config *c, const char *fmt, ...) ATTR_PRINTF(2, 3);
static enum err fail(struct inject_config *c, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(c->error, sizeof c->error, fmt, args);
    va_end(args);
    return ERR_CONFIG;
}

/* ---- kinds of values ---- */

struct key;
typedef enum err (*read_fn)(struct inject_config *c, const struct key *k, const cJSON *item);

struct key {
    const char *name;
    read_fn take;
    size_t member;      /* offset in struct inject_config */
    const char *choice; /* words separated by |, for read_choice; the index is the value */
    unsigned min, max;  /* for read_number */
};

static void *member(struct inject_config *c, const struct key *k)
{
    return (char *)c + k->member;
}

static enum err read_string(struct inject_config *c, const struct key *k, const cJSON *item)
{
    if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
        return fail(c, "\"%s\": the value is not a text", k->name);
    *(const char **)member(c, k) = item->valuestring;
    return ERR_OK;
}

static enum err read_bool(struct inject_config *c, const struct key *k, const cJSON *item)
{
    if (!cJSON_IsBool(item))
        return fail(c, "\"%s\": the value is neither true nor false", k->name);
    *(bool *)member(c, k) = cJSON_IsTrue(item);
    return ERR_OK;
}

static enum err read_number(struct inject_config *c, const struct key *k, const cJSON *item)
{
    double d = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(d >= k->min && d <= k->max) || d != (double)(unsigned)d)
        return fail(c, "\"%s\": the value is not a whole number from %u to %u", k->name, k->min,
                    k->max);
    *(unsigned *)member(c, k) = (unsigned)d;
    return ERR_OK;
}

static enum err read_choice(struct inject_config *c, const struct key *k, const cJSON *item)
{
    const char *word = k->choice;
    for (unsigned i = 0; cJSON_IsString(item); i++) {
        size_t n = strcspn(word, "|");
        if (strlen(item->valuestring) == n && memcmp(item->valuestring, word, n) == 0) {
            *(unsigned *)member(c, k) = i;
            return ERR_OK;
        }
        if (word[n] == '\0')
            break;
        word += n + 1;
    }
    return fail(c, "\"%s\": the value is none of %s", k->name, k->choice);
}

static enum err list_of(struct inject_config *c, const char *name, const cJSON *item,
                        struct inject_list *ret_list)
{
    if (!cJSON_IsArray(item))
        return fail(c, "\"%s\": the value is not a list of texts", name);
    ret_list->n = 0;
    for (const cJSON *i = item->child; i != NULL; i = i->next) {
        if (!cJSON_IsString(i) || i->valuestring[0] == '\0')
            return fail(c, "\"%s\": the value is not a list of texts", name);
        if (ret_list->n == INJECT_LIST_MAX)
            return fail(c, "\"%s\": more than %d entries", name, INJECT_LIST_MAX);
        ret_list->item[ret_list->n++] = i->valuestring;
    }
    return ERR_OK;
}

static enum err read_list(struct inject_config *c, const struct key *k, const cJSON *item)
{
    return list_of(c, k->name, item, member(c, k));
}

static enum err read_ports(struct inject_config *c, const struct key *k, const cJSON *item)
{
    struct inject_list *list = member(c, k);
    enum err e = list_of(c, k->name, item, list);
    for (unsigned i = 0; i < list->n && e == ERR_OK; i++) {
        size_t n = strspn(list->item[i], "0123456789");
        unsigned long port = strtoul(list->item[i], NULL, 10);
        if (list->item[i][n] != '\0' || n > 5 || port == 0 || port > 65535)
            e = fail(c, "\"%s\": \"%.20s\" is no port; as [\"2379\"]", k->name, list->item[i]);
    }
    return e;
}

/* item as JSON text that lives as long as c. NULL: no memory. */
static const char *json_text(struct inject_config *c, const cJSON *item)
{
    char *text = c->owned.n == INJECT_LIST_MAX ? NULL : cJSON_PrintUnformatted(item);
    if (text != NULL)
        c->owned.item[c->owned.n++] = text;
    return text;
}

static enum err read_json_list(struct inject_config *c, const struct key *k, const cJSON *item)
{
    const char *text = NULL;
    if (!cJSON_IsArray(item))
        return fail(c, "\"%s\": the value is not a list", k->name);
    for (const cJSON *i = item->child; i != NULL; i = i->next)
        if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(i, "name")))
            return fail(c, "\"%s\": an entry has no name", k->name);
    text = json_text(c, item);
    *(const char **)member(c, k) = text;
    return text == NULL ? ERR_NOMEM : ERR_OK;
}

static enum err read_volumes(struct inject_config *c, const struct key *k, const cJSON *item)
{
    (void)k;
    for (const cJSON *i = cJSON_IsArray(item) ? item->child : NULL; i != NULL; i = i->next) {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(i, "name");
        if (!cJSON_IsString(name))
            return fail(c, "\"sidecar-volumes\": an entry has no name");
        if (c->sidecar_volumes.n == INJECT_LIST_MAX / 4)
            return fail(c, "\"sidecar-volumes\": more than %d entries", INJECT_LIST_MAX / 4);
        const char *text = json_text(c, i);
        if (text == NULL)
            return ERR_NOMEM;
        c->sidecar_volumes.item[c->sidecar_volumes.n++] = text;
        c->sidecar_volume_names.item[c->sidecar_volume_names.n++] = name->valuestring;
    }
    return cJSON_IsArray(item) ? ERR_OK : fail(c, "\"sidecar-volumes\": the value is not a list");
}

/* ---- resources ---- */

bool inject_quantity_is_valid(struct span text)
{
    static const char *const suffixes[] = {"", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"};
    size_t n = 0, digits = 0;
    bool is_zero = true;
    for (; n < text.n && ((text.p[n] >= '0' && text.p[n] <= '9') || text.p[n] == '.'); n++) {
        digits += text.p[n] != '.';
        is_zero = is_zero && (text.p[n] == '0' || text.p[n] == '.');
    }
    if (digits == 0 || n - digits > 1 || digits > 15 || is_zero || text.p[n - 1] == '.')
        return false;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
        if (span_eq(span_skip(text, n), span_str(suffixes[i])))
            return true;
    return false;
}

static enum err read_resources(struct inject_config *c, const struct key *k, const cJSON *item)
{
    static const char *const part[] = {"requests", "limits"}, *const what[] = {"cpu", "memory"};
    const char **const to[2][2] = {{&c->cpu_request, &c->memory_request},
                                   {&c->cpu_limit, &c->memory_limit}};
    for (unsigned p = 0; p < 2; p++)
        for (unsigned w = 0; w < 2; w++) {
            const cJSON *q = cJSON_GetObjectItemCaseSensitive(
                cJSON_GetObjectItemCaseSensitive(item, part[p]), what[w]);
            if (!cJSON_IsString(q) || !inject_quantity_is_valid(span_str(q->valuestring)))
                return fail(c, "\"%s\": %s.%s is not a quantity as \"100m\" or \"64Mi\"", k->name,
                            part[p], what[w]);
            *to[p][w] = q->valuestring;
        }
    return ERR_OK;
}

/* ---- variables ---- */

static bool is_variable_name(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return n != 0 && name[n] == '\0';
}

static enum err read_environment(struct inject_config *c, const struct key *k, const cJSON *item)
{
    if (!cJSON_IsArray(item))
        return fail(c, "\"%s\": the value is not a list", k->name);
    c->variables = 0;
    for (const cJSON *i = item->child; i != NULL; i = i->next) {
        const cJSON *name = cJSON_GetObjectItemCaseSensitive(i, "name");
        const cJSON *value = cJSON_GetObjectItemCaseSensitive(i, "value");
        const cJSON *when = cJSON_GetObjectItemCaseSensitive(i, "when");
        if (!cJSON_IsString(name) || !is_variable_name(name->valuestring) || !cJSON_IsString(value))
            return fail(c, "\"%s\": an entry has no name or no value", k->name);
        const char *word = cJSON_IsString(when) ? when->valuestring : "";
        if (when != NULL && strcmp(word, "always") != 0 && strcmp(word, "present") != 0)
            return fail(c, "\"%s\": %s: \"when\" is neither always nor present", k->name,
                        name->valuestring);
        if (c->variables == INJECT_LIST_MAX)
            return fail(c, "\"%s\": more than %d entries", k->name, INJECT_LIST_MAX);
        c->variable[c->variables++] = (struct inject_variable){
            name->valuestring, value->valuestring, strcmp(word, "present") != 0};
    }
    return ERR_OK;
}

/* ---- the policy table ---- */

/* "own" or "subtree" of the plane that the key names, or of both. */
static bool read_rule_view(struct inject_rule *rule, struct inject_views *said, const cJSON *item)
{
    bool own = cJSON_IsString(item) && strcmp(item->valuestring, "own") == 0;
    bool subtree = cJSON_IsString(item) && strcmp(item->valuestring, "subtree") == 0;
    bool etcd = strcmp(item->string, "etcd-view") == 0;
    bool nats = strcmp(item->string, "nats-view") == 0;
    bool both = strcmp(item->string, "view") == 0;
    if ((!own && !subtree) || (!etcd && !nats && !both))
        return false;
    if (etcd || (both && !said->etcd))
        rule->may_see.etcd = subtree;
    if (nats || (both && !said->nats))
        rule->may_see.nats = subtree;
    said->etcd = said->etcd || etcd;
    said->nats = said->nats || nats;
    return true;
}

static enum err read_rule(struct inject_config *c, const cJSON *item, unsigned number)
{
    struct inject_rule *rule = &c->rule[c->rules++];
    char name[64];
    bool seen[2] = {false};
    struct inject_views said = {false, false};
    *rule = (struct inject_rule){.may_see = {false, false}};
    for (const cJSON *i = cJSON_IsObject(item) ? item->child : NULL; i != NULL; i = i->next) {
        enum err e = ERR_OK;
        snprintf(name, sizeof name, "policy[%u].%.30s", number, i->string);
        if (strcmp(i->string, "kubernetes-namespaces") == 0 && (seen[0] = true)) {
            e = list_of(c, name, i, &rule->kubernetes_namespaces);
        } else if (strcmp(i->string, "claims") == 0 && (seen[1] = true)) {
            e = list_of(c, name, i, &rule->claims);
        } else if (!read_rule_view(rule, &said, i)) {
            e = fail(c,
                     "\"%s\": a rule has kubernetes-namespaces, claims and view, etcd-view, "
                     "nats-view (own, subtree)",
                     name);
        }
        if (e != ERR_OK)
            return e;
    }
    if (!seen[0] || !seen[1])
        return fail(c, "policy[%u]: a rule needs kubernetes-namespaces and claims", number);
    for (unsigned i = 0; i < rule->claims.n; i++)
        if (!claim_pattern_is_valid(rule->claims.item[i]))
            return fail(c,
                        "policy[%u].claims: \"%.80s\" is no pattern; as \"llama/version-A\", "
                        "\"team-*\", \"{kubernetes-namespace}-*\", \"default\" or \"*\"",
                        number, rule->claims.item[i]);
    return ERR_OK;
}

static enum err read_policy(struct inject_config *c, const struct key *k, const cJSON *item)
{
    if (!cJSON_IsArray(item))
        return fail(c, "\"%s\": the value is not a list of rules", k->name);
    c->has_policy = true;
    for (const cJSON *i = item->child; i != NULL; i = i->next) {
        if (c->rules == INJECT_LIST_MAX)
            return fail(c, "\"%s\": more than %d rules", k->name, INJECT_LIST_MAX);
        enum err e = read_rule(c, i, c->rules);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* ---- the table ---- */

#define AT(m) offsetof(struct inject_config, m)
static const struct key keys[] = {
    {"image", read_string, AT(image), NULL, 0, 0},
    {"image-pull-policy", read_string, AT(image_pull_policy), NULL, 0, 0},
    {"image-pull-secrets", read_list, AT(image_pull_secrets), NULL, 0, 0},
    {"binary", read_string, AT(binary), NULL, 0, 0},
    {"etcd-upstream", read_list, AT(etcd_upstream), NULL, 0, 0},
    {"nats-upstream", read_list, AT(nats_upstream), NULL, 0, 0},
    {"etcd-port", read_number, AT(etcd_port), NULL, 1, 65535},
    {"nats-port", read_number, AT(nats_port), NULL, 1, 65535},
    {"health-port", read_number, AT(health_port), NULL, 1, 65535},
    {"intercept-port", read_number, AT(intercept_port), NULL, 1, 65535},
    {"etcd-ports", read_ports, AT(etcd_ports), NULL, 0, 0},
    {"nats-ports", read_ports, AT(nats_ports), NULL, 0, 0},
    {"uid", read_number, AT(uid), NULL, 0, 2147483647},
    {"gid", read_number, AT(gid), NULL, 0, 2147483647},
    {"redirect-uid", read_number, AT(redirect_uid), NULL, 1, 2147483647},
    {"native", read_bool, AT(native), NULL, 0, 0},
    {"tier", read_choice, AT(tier), "loopback|environment|hosts|redirect", 0, 0},
    {"enforce", read_bool, AT(enforce), NULL, 0, 0},
    {"host-names", read_list, AT(host_names), NULL, 0, 0},
    {"conflicts", read_choice, AT(conflicts), "auto|deny|warn", 0, 0},
    {"automatic", read_bool, AT(automatic), NULL, 0, 0},
    {"dynamo-discovery", read_choice, AT(discovery), "keep|etcd|kv_store", 0, 0},
    {"keep-dyn-namespace", read_bool, AT(keep_dyn_namespace), NULL, 0, 0},
    {"namespace-separator", read_string, 0, NULL, 0, 0},
    {"environment", read_environment, 0, NULL, 0, 0},
    {"remove-environment", read_list, AT(remove_environment), NULL, 0, 0},
    {"resources", read_resources, 0, NULL, 0, 0},
    {"sidecar-args", read_list, AT(sidecar_args), NULL, 0, 0},
    {"redirect-args", read_list, AT(redirect_args), NULL, 0, 0},
    {"sidecar-env", read_json_list, AT(sidecar_env), NULL, 0, 0},
    {"sidecar-volumes", read_volumes, 0, NULL, 0, 0},
    {"sidecar-volume-mounts", read_json_list, AT(sidecar_mounts), NULL, 0, 0},
    {"log-level", read_string, AT(sidecar_log_level), NULL, 0, 0},
    {"log-format", read_string, AT(sidecar_log_format), NULL, 0, 0},
    {"policy", read_policy, 0, NULL, 0, 0},
};
#undef AT

static void set_defaults(struct inject_config *c)
{
    static const struct inject_variable variables[] = {
        {"ETCD_ENDPOINTS", "http://{etcd}", true},
        {"NATS_SERVER", "nats://{nats}", true},
        {"ETCDCTL_ENDPOINTS", "http://{etcd}", false},
        {"NATS_URL", "nats://{nats}", false},
    };
    static const char *const remove[] = {"ETCD_AUTH_*", "NATS_AUTH_*", "NATS_TLS_*"};
    *c = (struct inject_config){
        .image_pull_policy = "IfNotPresent",
        .binary = "bulkhead",
        .etcd_port = 2379,
        .nats_port = 4222,
        .health_port = 15480,
        .intercept_port = 15379,
        .etcd_ports = {1, {"2379"}},
        .nats_ports = {1, {"4222"}},
        .uid = 7077,
        .gid = 7077,
        .redirect_uid = 65534,
        .native = true,
        .automatic = true,
        .tier = TIER_ENVIRONMENT,
        .separator = '/',
        .cpu_request = "50m",
        .memory_request = "32Mi",
        .cpu_limit = "1",
        .memory_limit = "256Mi",
        .sidecar_env = "[]",
        .sidecar_mounts = "[]",
        .sidecar_log_level = "info",
        .sidecar_log_format = "json",
        .variables = ARRAY_LEN(variables),
    };
    memcpy(c->variable, variables, sizeof variables);
    for (size_t i = 0; i < ARRAY_LEN(remove); i++)
        c->remove_environment.item[c->remove_environment.n++] = remove[i];
}

static enum err unknown(struct inject_config *c, const char *name)
{
    const char *names[ARRAY_LEN(keys)];
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        names[i] = keys[i].name;
    return fail(c, "unknown key \"%.60s\"; the nearest is \"%s\"", name,
                config_nearest(span_str(name), names, ARRAY_LEN(names)));
}

static enum err read_separator(struct inject_config *c, const cJSON *item)
{
    if (!cJSON_IsString(item) ||
        (strcmp(item->valuestring, "/") != 0 && strcmp(item->valuestring, ".") != 0))
        return fail(c, "\"namespace-separator\": the value is neither \"/\" nor \".\"");
    c->separator = item->valuestring[0];
    return ERR_OK;
}

static enum err read_keys(struct inject_config *c, const cJSON *document)
{
    bool seen[ARRAY_LEN(keys)] = {false};
    for (const cJSON *item = document->child; item != NULL; item = item->next) {
        size_t k = 0;
        while (k < ARRAY_LEN(keys) && strcmp(keys[k].name, item->string) != 0)
            k++;
        if (k == ARRAY_LEN(keys))
            return unknown(c, item->string);
        if (seen[k])
            return fail(c, "the key \"%s\" stands twice", item->string);
        seen[k] = true;
        enum err e = strcmp(keys[k].name, "namespace-separator") == 0
                         ? read_separator(c, item)
                         : keys[k].take(c, &keys[k], item);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* ---- what no single key can tell ---- */

/* The stores under the names that tier c turns to loopback would be the sidecar itself. */
static enum err check_upstreams(struct inject_config *c, const struct inject_list *list,
                                const char *name, uint16_t port)
{
    for (unsigned i = 0; i < list->n; i++) {
        struct addr a;
        const char *rule;
        if (addr_parse(span_str(list->item[i]), port, &a, &rule) != ERR_OK)
            return fail(c, "\"%s\": %.100s: %s", name, list->item[i], rule);
        if (a.user[0] != '\0')
            return fail(c,
                        "\"%s\": a password would stand in every pod; give it to sidecar-env from "
                        "a Secret",
                        name);
        for (unsigned h = 0; h < c->host_names.n; h++)
            if (a.kind == ADDR_TCP && strcmp(a.host, c->host_names.item[h]) == 0)
                return fail(c,
                            "\"host-names\": %s is also an upstream, and the sidecar would dial "
                            "itself; give the upstream another name",
                            a.host);
    }
    return ERR_OK;
}

static enum err check_all(struct inject_config *c)
{
    enum log_level level;
    const unsigned ports[] = {c->etcd_port, c->nats_port, c->health_port, c->intercept_port};
    if (c->image == NULL)
        return fail(c, "\"image\" is missing: the sidecar's image");
    if (c->etcd_upstream.n == 0 && c->nats_upstream.n == 0)
        return fail(c, "\"etcd-upstream\" or \"nats-upstream\" is needed: where the stores are");
    for (size_t i = 0; i < ARRAY_LEN(ports); i++)
        for (size_t k = 0; k < i; k++)
            if (ports[i] == ports[k])
                return fail(c, "two ports are both %u", ports[i]);
    if (!log_level_parse(c->sidecar_log_level, &level))
        return fail(c, "\"log-level\": the value is none of error, warn, info, debug");
    if (strcmp(c->sidecar_log_format, "json") != 0 && strcmp(c->sidecar_log_format, "logfmt") != 0)
        return fail(c, "\"log-format\": the value is none of json, logfmt");
    if (c->enforce && c->tier != TIER_REDIRECT)
        return fail(c, "\"enforce\" needs \"tier\": \"redirect\"");
    if (c->tier == TIER_REDIRECT && c->uid == 0)
        return fail(c, "\"uid\": redirection exempts the sidecar by its uid; 0 cannot be used");
    enum err e = check_upstreams(c, &c->etcd_upstream, "etcd-upstream", 2379);
    return e == ERR_OK ? check_upstreams(c, &c->nats_upstream, "nats-upstream", 4222) : e;
}

/* FNV-1a: tells two configurations apart in a pod's status; no secret, no proof. */
static void set_hash(struct inject_config *c, struct span json)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < json.n; i++)
        h = (h ^ json.p[i]) * 0x100000001b3u;
    snprintf(c->hash, sizeof c->hash, "%016llx", (unsigned long long)h);
}

enum err inject_config_parse(struct inject_config *c, struct span json)
{
    set_defaults(c);
    set_hash(c, json);
    /* cJSON ends a string at an escaped NUL. */
    if (json.n == 0 || memmem(json.p, json.n, "\\u0000", 6) != NULL ||
        memchr(json.p, 0, json.n) != NULL)
        return fail(c, json.n == 0 ? "the file is empty" : "a NUL is not possible here");
    const char *end = NULL;
    cJSON *document = cJSON_ParseWithLengthOpts((const char *)json.p, json.n, &end, false);
    c->document = document;
    size_t at = end == NULL ? 0 : (size_t)(end - (const char *)json.p);
    if (document == NULL) {
        unsigned line = 1;
        for (size_t i = 0; i < at && i < json.n; i++)
            line += json.p[i] == '\n';
        return fail(c, "line %u: this is not JSON", line);
    }
    for (; at < json.n; at++)
        if (strchr(" \t\r\n", json.p[at]) == NULL)
            return fail(c, "something follows the JSON object");
    if (!cJSON_IsObject(document))
        return fail(c, "the file is not a JSON object: { \"image\": ..., ... }");
    enum err e = read_keys(c, document);
    return e == ERR_OK ? check_all(c) : e;
}

void inject_config_deinit(struct inject_config *c)
{
    for (unsigned i = 0; i < c->owned.n; i++)
        cJSON_free((void *)(uintptr_t)c->owned.item[i]);
    c->owned.n = 0;
    cJSON_Delete(c->document);
    c->document = NULL;
}

/* ---- words ---- */

static const char *const tiers[TIER_COUNT] = {"loopback", "environment", "hosts", "redirect"};

const char *inject_tier_name(enum inject_tier tier)
{
    return tiers[tier];
}

bool inject_tier_parse(struct span text, enum inject_tier *ret_tier)
{
    for (enum inject_tier t = 0; t < TIER_COUNT; t++)
        if (span_eq(text, span_str(tiers[t]))) {
            *ret_tier = t;
            return true;
        }
    return false;
}
