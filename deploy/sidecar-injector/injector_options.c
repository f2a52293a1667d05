/* SPDX-License-Identifier: Apache-2.0 */
#include "injector_options.h"

#include <stdio.h>
#include <stdlib.h>

#include "config.h"

enum { DRAIN_MS_MAX = 60000, CONNECTIONS_MAX = 65536 };

struct reading {
    struct injector_options *o;
    struct buf *error;
    const char *name; /* of the flag being read */
};

static enum err fail(struct reading *r, const char *what, const char *value)
{
    enum err e = buf_printf(r->error, "%s \"%.200s\": %s", r->name, value, what);
    return e == ERR_OK ? ERR_CONFIG : e;
}

static enum err set_config(struct reading *r, const char *v)
{
    r->o->config = v;
    return ERR_OK;
}

static enum err set_cert(struct reading *r, const char *v)
{
    r->o->tls_cert = v;
    return ERR_OK;
}

static enum err set_key(struct reading *r, const char *v)
{
    r->o->tls_key = v;
    return ERR_OK;
}

static enum err set_kubernetes_namespace(struct reading *r, const char *v)
{
    r->o->kubernetes_namespace = v;
    return *v == '\0' ? fail(r, "a Kubernetes namespace has a name", v) : ERR_OK;
}

static enum err add_addr(struct reading *r, const char *v, struct addr *all, unsigned *n)
{
    const char *rule;
    if (*n == INJECTOR_ADDRS_MAX)
        return fail(r, "too many addresses", v);
    if (addr_parse(span_str(v), 0, &all[*n], &rule) != ERR_OK)
        return fail(r, rule, v);
    if (all[*n].scheme != ADDR_NO_SCHEME)
        return fail(r, "an address to listen on has no scheme: host:port", v);
    ++*n;
    return ERR_OK;
}

static enum err set_listen(struct reading *r, const char *v)
{
    return add_addr(r, v, r->o->listen, &r->o->listens);
}

static enum err set_health_listen(struct reading *r, const char *v)
{
    return add_addr(r, v, r->o->health_listen, &r->o->health_listens);
}

static enum err number(struct reading *r, const char *v, unsigned min, unsigned max, unsigned *ret)
{
    size_t digits = strspn(v, "0123456789");
    unsigned long n = strtoul(v, NULL, 10);
    char what[64];
    snprintf(what, sizeof what, "not a whole number from %u to %u", min, max);
    if (digits == 0 || digits > 9 || v[digits] != '\0' || n < min || n > max)
        return fail(r, what, v);
    *ret = (unsigned)n;
    return ERR_OK;
}

static enum err set_max_connections(struct reading *r, const char *v)
{
    return number(r, v, 1, CONNECTIONS_MAX, &r->o->max_connections);
}

static enum err set_drain_ms(struct reading *r, const char *v)
{
    return number(r, v, 0, DRAIN_MS_MAX, &r->o->drain_ms);
}

static enum err set_log_level(struct reading *r, const char *v)
{
    return log_level_parse(v, &r->o->log_level) ? ERR_OK
                                                : fail(r, "not error, warn, info or debug", v);
}

static enum err set_log_format(struct reading *r, const char *v)
{
    r->o->log_format = strcmp(v, "json") == 0 ? LOG_JSON : LOG_LOGFMT;
    bool ok = r->o->log_format == LOG_JSON || strcmp(v, "logfmt") == 0;
    return ok ? ERR_OK : fail(r, "not logfmt or json", v);
}

static enum err add_file(struct reading *r, const char *v)
{
    if (r->o->file_count == INJECTOR_FILES_MAX)
        return fail(r, "too many files", v);
    r->o->files[r->o->file_count++] = v;
    return ERR_OK;
}

static enum err set_in_place(struct reading *r, const char *v)
{
    (void)v;
    r->o->in_place = true;
    return ERR_OK;
}

static enum err set_help(struct reading *r, const char *v)
{
    (void)v;
    r->o->help = true;
    return ERR_OK;
}

static enum err set_version(struct reading *r, const char *v)
{
    (void)v;
    r->o->version = true;
    return ERR_OK;
}

#define ALL (INJECTOR_SERVE | INJECTOR_INJECT | INJECTOR_CHECK)
static const struct flag {
    const char *name, *letter, *value; /* letter: "-f"; NULL value: a switch */
    unsigned commands;
    enum err (*set)(struct reading *r, const char *v);
    const char *text;
} flags[] = {
    {"--config", "-c", "FILE", ALL, set_config,
     "The configuration, JSON (docs/injection.md). Needed."},
    {"--tls-cert", NULL, "FILE", INJECTOR_SERVE, set_cert,
     "PEM file of the webhook's certificate and its chain. Needed; looked at again when it "
     "changes."},
    {"--tls-key", NULL, "FILE", INJECTOR_SERVE, set_key, "PEM file of its private key. Needed."},
    {"--listen", NULL, "ADDR", INJECTOR_SERVE, set_listen,
     "Where the API server finds POST /mutate; repeatable. Default :9443"},
    {"--health-listen", NULL, "ADDR", INJECTOR_SERVE, set_health_listen,
     "Where /livez, /readyz and /metrics are answered, without TLS; repeatable. Default :9080"},
    {"--max-connections", NULL, "NUMBER", INJECTOR_SERVE, set_max_connections,
     "Connections to --listen at a time. Default 2048"},
    {"--drain-ms", NULL, "MS", INJECTOR_SERVE, set_drain_ms,
     "After SIGTERM: how long requests are still taken, each on a connection that then ends. "
     "Default 10000"},
    {"--log-level", NULL, "LEVEL", INJECTOR_SERVE, set_log_level,
     "error, warn, info or debug. Default info"},
    {"--log-format", NULL, "FORMAT", INJECTOR_SERVE, set_log_format,
     "logfmt or json. Default logfmt"},
    {"--file", "-f", "FILE", INJECTOR_INJECT, add_file,
     "A file of manifests, YAML or JSON; repeatable; - is standard input."},
    {"--in-place", "-i", NULL, INJECTOR_INJECT, set_in_place,
     "Write each file back instead of to standard output."},
    {"--kubernetes-namespace", "-n", "NAME", INJECTOR_INJECT, set_kubernetes_namespace,
     "Where a manifest that does not say it will be applied. Default default"},
    {"--help", "-h", NULL, ALL, set_help, "Show this text."},
    {"--version", "-V", NULL, ALL, set_version, "Show the version."},
};
#undef ALL

/* The flag that word names, with or without =VALUE, which *ret_value is then. */
static const struct flag *find(const char *word, enum injector_command command,
                               const char **ret_value)
{
    size_t n = strcspn(word, "=");
    *ret_value = word[n] == '=' ? word + n + 1 : NULL;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        bool is_long = strlen(flags[i].name) == n && memcmp(flags[i].name, word, n) == 0;
        bool is_short = flags[i].letter != NULL && strcmp(flags[i].letter, word) == 0;
        if ((is_long || is_short) && (flags[i].commands & command) != 0)
            return &flags[i];
    }
    return NULL;
}

static enum err unknown(const char *word, enum injector_command command, struct buf *error)
{
    const char *names[ARRAY_LEN(flags)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        if ((flags[i].commands & command) != 0)
            names[n++] = flags[i].name;
    enum err e = buf_printf(error, "unknown argument \"%.80s\"; the nearest is %s", word,
                            config_nearest(span_of(word, strcspn(word, "=")), names, n));
    return e == ERR_OK ? ERR_CONFIG : e;
}

static enum err check(enum injector_command command, const struct injector_options *o,
                      struct buf *error)
{
    const char *missing = o->config == NULL                                  ? "--config FILE"
                          : command == INJECTOR_SERVE && o->tls_cert == NULL ? "--tls-cert FILE"
                          : command == INJECTOR_SERVE && o->tls_key == NULL  ? "--tls-key FILE"
                          : command == INJECTOR_INJECT && o->file_count == 0
                              ? "--file FILE (- is standard input)"
                              : NULL;
    if (o->help || o->version || missing == NULL)
        return ERR_OK;
    enum err e = buf_printf(error, "%s is missing", missing);
    return e == ERR_OK ? ERR_CONFIG : e;
}

static void defaults(enum injector_command command, struct injector_options *o)
{
    const char *rule;
    if (o->listens == 0 && command == INJECTOR_SERVE)
        o->listens = addr_parse(SPAN_LIT(":9443"), 0, &o->listen[0], &rule) == ERR_OK;
    if (o->health_listens == 0 && command == INJECTOR_SERVE)
        o->health_listens = addr_parse(SPAN_LIT(":9080"), 0, &o->health_listen[0], &rule) == ERR_OK;
}

enum err injector_options_parse(enum injector_command command, int argc, char **argv,
                                struct injector_options *o, struct buf *ret_error)
{
    *o = (struct injector_options){.max_connections = 2048,
                                   .drain_ms = 10000,
                                   .log_level = LOG_INFO,
                                   .kubernetes_namespace = "default"};
    struct reading r = {.o = o, .error = ret_error};
    for (int i = 0; i < argc; i++) {
        const char *value;
        const struct flag *f = find(argv[i], command, &value);
        if (f == NULL)
            return unknown(argv[i], command, ret_error);
        r.name = f->name;
        if (f->value != NULL && value == NULL) {
            if (i + 1 == argc)
                return fail(&r, "a value is missing", "");
            value = argv[++i];
        } else if (f->value == NULL && value != NULL) {
            return fail(&r, "this takes no value", value);
        }
        enum err e = f->set(&r, value);
        if (e != ERR_OK)
            return e;
    }
    defaults(command, o);
    return check(command, o, ret_error);
}

enum err injector_options_help(enum injector_command command, struct buf *out)
{
    enum err e = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(flags) && e == ERR_OK; i++) {
        if ((flags[i].commands & command) == 0)
            continue;
        e = buf_printf(out, "  %s%s%s %s\n      %s\n",
                       flags[i].letter == NULL ? "" : flags[i].letter,
                       flags[i].letter == NULL ? "" : ", ", flags[i].name,
                       flags[i].value == NULL ? "" : flags[i].value, flags[i].text);
    }
    return e;
}
