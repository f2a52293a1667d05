/* SPDX-License-Identifier: Apache-2.0 */
/* config_flags - what the command line and the environment say. */
#include <stdio.h>

#include "config_option.h"

static const char *command_name(unsigned commands)
{
    static const char *const names[] = {"serve", "run",   "check",   "health",
                                        "wait",  "drain", "redirect"};
    unsigned i = 0;
    while (i + 1 < ARRAY_LEN(names) && (commands & 1u << i) == 0)
        i++;
    return names[i];
}

static enum err unknown_flag(struct config_loader *l, struct span name)
{
    char shown[96];
    enum option o = config_find(name);
    const char *command = command_name(l->in->command);
    if (o != OPTION_COUNT && option_table[o].commands != 0)
        return config_fail(l, "--%s is not a flag of `bulkhead %s` but of `bulkhead %s`",
                           option_table[o].name, command, command_name(option_table[o].commands));
    if (o != OPTION_COUNT)
        return config_fail(l,
                           "--%s is not taken from the command line, which every process of this "
                           "machine can read: set %s, or \"%s\" in the --config file",
                           option_table[o].name, option_table[o].env, option_table[o].name);
    return config_fail(l, "unknown flag --%s; the nearest is --%s (see `bulkhead %s --help`)",
                       config_quote(name, TRAIT_SWITCH, shown, sizeof shown),
                       config_nearest_option(name, l->in->command), command);
}

static void set_switch(struct config *c, enum option o)
{
    c->help = c->help || o == OPTION_HELP;
    c->version = c->version || o == OPTION_VERSION;
    c->live = c->live || o == OPTION_LIVE;
    c->stores = c->stores || o == OPTION_STORES;
    c->redirect.enforce = c->redirect.enforce || o == OPTION_ENFORCE;
    c->redirect.verify = c->redirect.verify || o == OPTION_VERIFY;
    c->redirect.dry_run = c->redirect.dry_run || o == OPTION_DRY_RUN;
    c->redirect.remove = c->redirect.remove || o == OPTION_REMOVE;
}

/* One --name, --name=value or --name value at argv[*i]; *i is left on the last word taken. */
static enum err take_flag(struct config_loader *l, int *i)
{
    const char *word = l->in->argv[*i] + 2;
    size_t n = strcspn(word, "=");
    struct span name = span_of(word, n);
    enum option o = config_find(name);
    if (o == OPTION_COUNT || (option_table[o].commands & (unsigned)l->in->command) == 0)
        return unknown_flag(l, name);
    const struct option_row *row = &option_table[o];
    if (row->traits & TRAIT_SWITCH) {
        if (word[n] == '=')
            return config_fail(l, "--%s takes no value", row->name);
        set_switch(l->c, o);
        return ERR_OK;
    }
    const char *value = word[n] == '=' ? word + n + 1 : NULL;
    if (value == NULL && *i + 1 < l->in->argc)
        value = l->in->argv[++*i];
    if (value == NULL || (word[n] != '=' && strncmp(value, "--", 2) == 0))
        return config_fail(l, "--%s needs a value: --%s %s", row->name, row->name, row->value);
    if (l->value[o].is_set && (row->traits & TRAIT_LIST) == 0)
        return config_fail(l, "--%s is given twice", row->name);
    return config_take(l, o, (struct option_origin){SOURCE_FLAG, NULL}, span_str(value), true);
}

static enum err bare_word(struct config_loader *l, const char *word)
{
    char shown[96];
    config_quote(span_str(word), 0, shown, sizeof shown);
    if (l->in->command == COMMAND_RUN)
        return config_fail(l, "%s: write -- before the command: bulkhead run [OPTION...] -- %s",
                           shown, word[0] == '-' ? "CMD" : word);
    return config_fail(l, "%s: `bulkhead %s` takes options only, and each begins with --", shown,
                       command_name(l->in->command));
}

enum err config_take_flags(struct config_loader *l)
{
    int i = 0;
    for (; i < l->in->argc; i++) {
        const char *word = l->in->argv[i];
        enum err e = ERR_OK;
        if (strcmp(word, "--") == 0)
            break;
        if (strcmp(word, "-h") == 0)
            l->c->help = true;
        else if (strcmp(word, "-V") == 0)
            l->c->version = true;
        else if (strncmp(word, "--", 2) == 0)
            e = take_flag(l, &i);
        else
            e = bare_word(l, word);
        if (e != ERR_OK)
            return e;
    }
    if (i + 1 < l->in->argc && l->in->command == COMMAND_RUN)
        l->c->command = l->in->argv + i + 1;
    else if (i + 1 < l->in->argc)
        return bare_word(l, l->in->argv[i + 1]);
    if (l->in->command == COMMAND_RUN && l->c->command == NULL && !l->c->help && !l->c->version)
        return config_fail(l,
                           "there is no command to run: bulkhead run [OPTION...] -- CMD [ARG...]");
    return ERR_OK;
}

/*
 * Kubernetes sets variables for every Service of the pod's namespace: one named "bulkhead" brings
 * BULKHEAD_SERVICE_HOST, BULKHEAD_PORT, BULKHEAD_PORT_2379_TCP_ADDR. They are not meant for us.
 */
static bool is_service_link(struct span name)
{
    static const char *const parts[] = {"_SERVICE_HOST", "_SERVICE_PORT", "_PORT"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const uint8_t *at = memmem(name.p, name.n, parts[i], strlen(parts[i]));
        if (at == NULL)
            continue;
        struct span rest = span_skip(name, (size_t)(at - name.p) + strlen(parts[i]));
        if (rest.n == 0 || (rest.p[0] == '_' && i != 0))
            return true;
    }
    return false;
}

static enum err unknown_variable(struct config_loader *l, struct span name)
{
    static const char *const known[] = {
#define OPTION(id, name, env, value, fallback, commands, traits, set, help) env,
#include "config.def"
#undef OPTION
    };
    const char *names[OPTION_COUNT];
    size_t n = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (known[i] != NULL)
            names[n++] = known[i];
    char shown[96];
    return config_fail(l, "unknown environment variable %s; the nearest is %s",
                       config_quote(name, TRAIT_SWITCH, shown, sizeof shown),
                       config_nearest(name, names, n));
}

static enum err take_variable(struct config_loader *l, struct span name, const char *value)
{
    for (enum option o = 0; o < OPTION_COUNT; o++) {
        const char *env = option_table[o].env;
        if (env == NULL || !span_eq(name, span_str(env)))
            continue;
        if (*value == '\0' || (l->value[o].is_set && l->value[o].source == SOURCE_ENVIRONMENT))
            return ERR_OK;
        return config_take(l, o, (struct option_origin){SOURCE_ENVIRONMENT, env}, span_str(value),
                           true);
    }
    return is_service_link(name) ? ERR_OK : unknown_variable(l, name);
}

enum err config_take_env(struct config_loader *l)
{
    for (char **entry = l->in->env; *entry != NULL; entry++) {
        struct span name = span_of(*entry, strcspn(*entry, "="));
        if (!span_has_prefix(name, SPAN_LIT("BULKHEAD_")) || (*entry)[name.n] == '\0')
            continue;
        enum err e = take_variable(l, name, *entry + name.n + 1);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static const char *environment(const struct config_loader *l, const char *name)
{
    size_t n = strlen(name);
    for (char **entry = l->in->env; *entry != NULL; entry++)
        if (strncmp(*entry, name, n) == 0 && (*entry)[n] == '=')
            return *entry + n + 1;
    return "";
}

enum err config_take_dynamo(struct config_loader *l)
{
    static const char *const names[] = {"DYNAMO_NAMESPACE", "DYN_NAMESPACE"};
    for (size_t i = 0; i < ARRAY_LEN(names) && !l->value[OPTION_NAMESPACE].is_set; i++) {
        const char *value = environment(l, names[i]);
        if (*value == '\0' || (i == 1 && strcmp(value, "dynamo") == 0)) /* "dynamo": no claim */
            continue;
        enum err e = config_take(l, OPTION_NAMESPACE,
                                 (struct option_origin){SOURCE_ENVIRONMENT, names[i]},
                                 span_str(value), true);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}
