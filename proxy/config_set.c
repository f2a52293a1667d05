/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_set - from text to values: one setter an option (named in config.def), then what must fit
 * together. Every error says what was wrong, where it stood and what would be right.
 */
#include <stdio.h>

#include "base/check.h"
#include "config_option.h"
#include "limit.h"

static struct span only_item(const struct config_loader *l, enum option o)
{
    return l->value[o].item[0];
}

static enum err fail_only(struct config_loader *l, enum option o, const char *rule)
{
    return config_fail_item(l, o, only_item(l, o), rule);
}

static bool is_word(const struct config_loader *l, enum option o, const char *word)
{
    return span_eq(only_item(l, o), span_str(word));
}

static enum err set_separator(struct config_loader *l, enum option o)
{
    if (!is_word(l, o, "/") && !is_word(l, o, "."))
        return fail_only(l, o, "the separator is / or .");
    l->separator = (char)only_item(l, o).p[0];
    return ERR_OK;
}

static enum err set_namespace(struct config_loader *l, enum option o)
{
    struct ns_path_error why;
    if (ns_path_parse(only_item(l, o), l->separator, &l->c->ns, &why) == ERR_OK)
        return ERR_OK;
    char rule[256];
    snprintf(rule, sizeof rule, "at byte %zu: %s", why.position, why.rule);
    return fail_only(l, o, rule);
}

static enum err take_view(struct config_loader *l, enum option o, enum config_view *ret)
{
    *ret = is_word(l, o, "subtree") ? VIEW_SUBTREE : VIEW_OWN;
    return *ret == VIEW_SUBTREE || is_word(l, o, "own")
               ? ERR_OK
               : fail_only(l, o, "the view is own or subtree");
}

/* Of both planes; the options of one follow. */
static enum err set_view(struct config_loader *l, enum option o)
{
    enum err e = take_view(l, o, &l->c->etcd_view);
    l->c->nats_view = l->c->etcd_view;
    return e;
}

static enum err set_etcd_view(struct config_loader *l, enum option o)
{
    return take_view(l, o, &l->c->etcd_view);
}

static enum err set_nats_view(struct config_loader *l, enum option o)
{
    return take_view(l, o, &l->c->nats_view);
}

static enum err set_profile(struct config_loader *l, enum option o)
{
    l->c->etcd_rules.is_trusted = is_word(l, o, "trusted");
    return l->c->etcd_rules.is_trusted || is_word(l, o, "strict")
               ? ERR_OK
               : fail_only(l, o, "the profile is strict or trusted");
}

static enum err set_compact(struct config_loader *l, enum option o)
{
    static const char *const words[] = {[ETCD_COMPACT_DENY] = "deny",
                                        [ETCD_COMPACT_IGNORE] = "ignore",
                                        [ETCD_COMPACT_FORWARD] = "forward"};
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (is_word(l, o, words[i])) {
            l->c->etcd_rules.compact = (enum etcd_compact)i;
            return ERR_OK;
        }
    return fail_only(l, o, "deny, ignore or forward is possible");
}

static enum err set_lease_markers(struct config_loader *l, enum option o)
{
    static const char *const words[] = {
        [ETCD_MARKERS_AUTO] = "auto", [ETCD_MARKERS_ON] = "on", [ETCD_MARKERS_OFF] = "off"};
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (is_word(l, o, words[i])) {
            l->c->etcd_rules.markers = (enum etcd_markers)i;
            return ERR_OK;
        }
    return fail_only(l, o, "auto, on or off is possible");
}

static enum err set_status(struct config_loader *l, enum option o)
{
    l->c->etcd_rules.mask_status = is_word(l, o, "mask");
    return l->c->etcd_rules.mask_status || is_word(l, o, "forward")
               ? ERR_OK
               : fail_only(l, o, "forward or mask is possible");
}

static enum err set_credentials(struct config_loader *l, enum option o)
{
    l->c->etcd_rules.client_credentials = is_word(l, o, "client");
    return l->c->etcd_rules.client_credentials || is_word(l, o, "sidecar")
               ? ERR_OK
               : fail_only(l, o, "sidecar or client is possible");
}

static enum err set_config(struct config_loader *l, enum option o)
{
    (void)l; /* it was read long ago */
    (void)o;
    return ERR_OK;
}

/* What is wrong with an address in the place where it stands; NULL if nothing. */
typedef const char *(*addr_rule_fn)(const struct addr *a);

static const char *listen_rule(const struct addr *a)
{
    if (a->scheme != ADDR_NO_SCHEME)
        return "an address to listen on has no scheme; write HOST:PORT, [IPV6]:PORT or unix:PATH";
    return a->user[0] != '\0' ? "an address to listen on has no user" : NULL;
}

static const char *etcd_rule(const struct addr *a)
{
    if (a->scheme == ADDR_NATS || a->scheme == ADDR_TLS)
        return "the scheme of an etcd server is http or https";
    if (a->user[0] != '\0' && a->password[0] == '\0')
        return "a user of etcd has a password: https://user:password@host";
    return a->kind == ADDR_TCP && a->port == 0 ? "a server has no port 0" : NULL;
}

static const char *nats_rule(const struct addr *a)
{
    if (a->scheme == ADDR_HTTP || a->scheme == ADDR_HTTPS)
        return "the scheme of a NATS server is nats or tls";
    return a->kind == ADDR_TCP && a->port == 0 ? "a server has no port 0" : NULL;
}

static enum err set_addrs(struct config_loader *l, enum option o, uint16_t default_port,
                          addr_rule_fn rule_of, struct config_addrs *to)
{
    const struct option_value *v = &l->value[o];
    if (v->n > CONFIG_ADDRS_MAX)
        return config_fail_item(l, o, v->item[CONFIG_ADDRS_MAX],
                                "there are more than 16 addresses");
    for (unsigned i = 0; i < v->n; i++) {
        const char *rule = NULL;
        if (addr_parse(v->item[i], default_port, &to->a[i], &rule) == ERR_OK)
            rule = rule_of(&to->a[i]);
        if (rule != NULL)
            return config_fail_item(l, o, v->item[i], rule);
    }
    to->n = v->n;
    return ERR_OK;
}

static enum err set_etcd_upstream(struct config_loader *l, enum option o)
{
    return set_addrs(l, o, 2379, etcd_rule, &l->c->etcd_upstream);
}

static enum err set_etcd_listen(struct config_loader *l, enum option o)
{
    return set_addrs(l, o, 0, listen_rule, &l->c->etcd_listen);
}

static enum err set_nats_upstream(struct config_loader *l, enum option o)
{
    return set_addrs(l, o, 4222, nats_rule, &l->c->nats_upstream);
}

static enum err set_nats_listen(struct config_loader *l, enum option o)
{
    return set_addrs(l, o, 0, listen_rule, &l->c->nats_listen);
}

static enum err set_health_listen(struct config_loader *l, enum option o)
{
    return set_addrs(l, o, 0, listen_rule, &l->c->health_listen);
}

enum err config_set_text(struct config_loader *l, enum option o, char *to, size_t size)
{
    struct span item = only_item(l, o);
    char rule[64];
    if (item.n == 0 || item.n >= size) {
        snprintf(rule, sizeof rule, "1 to %zu bytes are possible", size - 1);
        return fail_only(l, o, rule);
    }
    memcpy(to, item.p, item.n);
    to[item.n] = '\0';
    return ERR_OK;
}

static enum err set_etcd_user(struct config_loader *l, enum option o)
{
    return config_set_text(l, o, l->c->etcd_user, sizeof l->c->etcd_user);
}

static enum err set_etcd_password(struct config_loader *l, enum option o)
{
    return config_set_text(l, o, l->c->etcd_password, sizeof l->c->etcd_password);
}

static enum err set_nats_user(struct config_loader *l, enum option o)
{
    return config_set_text(l, o, l->c->nats_user, sizeof l->c->nats_user);
}

static enum err set_nats_password(struct config_loader *l, enum option o)
{
    return config_set_text(l, o, l->c->nats_password, sizeof l->c->nats_password);
}

static enum err set_nats_token(struct config_loader *l, enum option o)
{
    return config_set_text(l, o, l->c->nats_token, sizeof l->c->nats_token);
}

static enum err set_nats_file(struct config_loader *l, enum option o)
{
    struct span item = only_item(l, o);
    char *path = o == OPTION_NATS_CREDS        ? l->c->nats_creds
                 : o == OPTION_NATS_TOKEN_FILE ? l->c->nats_token_file
                                               : l->c->nats_password_file;
    if (item.n != 0 && memchr(item.p, '\0', item.n) != NULL)
        return fail_only(l, o, "there is a NUL byte in it");
    return config_set_text(l, o, path, sizeof l->c->nats_creds);
}

static enum err set_key_root(struct config_loader *l, enum option o)
{
    struct span item = only_item(l, o);
    for (size_t i = 0; i < item.n; i++)
        if (item.p[i] <= ' ' || item.p[i] >= 0x7f)
            return fail_only(l, o, "only printable ASCII without blanks is possible");
    return config_set_text(l, o, l->c->key_root, sizeof l->c->key_root);
}

static enum err set_subject_root(struct config_loader *l, enum option o)
{
    struct span item = only_item(l, o);
    bool has_dot = item.n != 0 && memchr(item.p, '.', item.n) != NULL;
    if (!subject_is_literal(item) || has_dot || item.p[0] == '$' || item.p[0] == '_')
        return fail_only(l, o,
                         "one NATS token is possible, without . * > blanks, not beginning "
                         "with $ or _");
    return config_set_text(l, o, l->c->subject_root, sizeof l->c->subject_root);
}

/* Copies item to where it stays: reserve_lists() has made room, so earlier items do not move. */
static enum err keep_item(struct config_loader *l, struct span item, struct span *ret_kept)
{
    struct buf *text = &l->c->text;
    size_t at = buf_len(text);
    CHECK(text->cap - text->tail >= item.n);
    enum err e = buf_append(text, item);
    if (e == ERR_OK)
        *ret_kept = span_skip(buf_span(text), at);
    return e;
}

static enum err reserve_lists(struct config_loader *l)
{
    size_t n = 1;
    for (enum option o = 0; o < OPTION_COUNT; o++)
        for (unsigned i = 0; i < l->value[o].n; i++)
            n += l->value[o].item[i].n;
    return buf_reserve(&l->c->text, n);
}

static enum err take_patterns(struct config_loader *l, enum option o, const char *rule,
                              struct config_patterns *to)
{
    const struct option_value *v = &l->value[o];
    for (unsigned i = 0; i < v->n; i++) {
        if (!subject_pattern_is_valid(v->item[i]))
            return config_fail_item(l, o, v->item[i], rule);
        enum err e = keep_item(l, v->item[i], &to->item[i]);
        if (e != ERR_OK)
            return e;
    }
    to->n = v->n;
    return ERR_OK;
}

static enum err set_view_keys(struct config_loader *l, enum option o)
{
    const struct option_value *v = &l->value[o];
    for (unsigned i = 0; i < v->n; i++) {
        if (v->item[i].n == 0)
            return config_fail_item(l, o, v->item[i],
                                    "every key has this prefix, those of locks and queues too; "
                                    "name what is to be shown");
        if (i == CONFIG_KEYS_MAX)
            return config_fail_item(l, o, v->item[i], "at most 16 prefixes are possible");
        enum err e = keep_item(l, v->item[i], &l->c->view_keys[i]);
        if (e != ERR_OK)
            return e;
    }
    l->c->view_key_prefixes = v->n;
    return ERR_OK;
}

static enum err set_key(struct config_loader *l, enum option o)
{
    struct span item = only_item(l, o);
    return item.n == 0 ? fail_only(l, o, "etcd has no empty keys") : keep_item(l, item, &l->c->key);
}

static enum err set_requests(struct config_loader *l, enum option o)
{
    return take_patterns(l, o, "this is not a pattern of NATS subjects", &l->c->requests);
}

static enum err set_events(struct config_loader *l, enum option o)
{
    return take_patterns(l, o, "this is not a pattern of NATS subjects", &l->c->events);
}

static enum err set_streams(struct config_loader *l, enum option o)
{
    for (unsigned i = 0; i < l->value[o].n; i++)
        if (memchr(l->value[o].item[i].p, '.', l->value[o].item[i].n) != NULL)
            return config_fail_item(l, o, l->value[o].item[i], "a stream's name has no dot");
    return take_patterns(l, o, "this is not a pattern of streams' names", &l->c->streams);
}

static enum err set_subject(struct config_loader *l, enum option o)
{
    return subject_is_valid_filter(only_item(l, o))
               ? keep_item(l, only_item(l, o), &l->c->subject)
               : fail_only(l, o, "this is neither a NATS subject nor a filter");
}

static enum err set_stream(struct config_loader *l, enum option o)
{
    struct span item = only_item(l, o);
    bool is_name = subject_is_literal(item);
    for (size_t i = 0; i < item.n; i++)
        is_name = is_name && strchr(".*>/\\", item.p[i]) == NULL;
    return is_name ? keep_item(l, item, &l->c->stream)
                   : fail_only(l, o, "a stream's name has no dots, blanks, slashes, * or >");
}

static enum err set_number(struct config_loader *l, enum option o, unsigned most, unsigned *to)
{
    struct span item = only_item(l, o);
    unsigned long n = 0;
    bool is_number = item.n != 0 && item.n <= 9;
    for (size_t i = 0; i < item.n && is_number; i++) {
        is_number = item.p[i] >= '0' && item.p[i] <= '9';
        n = n * 10 + (item.p[i] - '0');
    }
    if (!is_number || n > most) {
        char rule[64];
        snprintf(rule, sizeof rule, "a whole number from 0 to %u is possible", most);
        return fail_only(l, o, rule);
    }
    *to = (unsigned)n;
    return ERR_OK;
}

static enum err set_max_connections(struct config_loader *l, enum option o)
{
    enum err e = set_number(l, o, LIMIT_CONNECTIONS, &l->c->max_connections);
    if (e == ERR_OK && l->c->max_connections == 0)
        l->c->max_connections = LIMIT_CONNECTIONS;
    return e;
}

static enum err set_ready_fd(struct config_loader *l, enum option o)
{
    unsigned fd = 0;
    enum err e = set_number(l, o, 65535, &fd);
    if (e == ERR_OK)
        l->c->ready_fd = (int)fd;
    return e;
}

static enum err set_log_level(struct config_loader *l, enum option o)
{
    char word[8] = "";
    struct span item = only_item(l, o);
    if (item.n < sizeof word && item.n != 0)
        memcpy(word, item.p, item.n);
    if (!log_level_parse(word, &l->c->log_level))
        return fail_only(l, o, "the level is error, warn, info or debug");
    return ERR_OK;
}

static enum err set_log_format(struct config_loader *l, enum option o)
{
    if (!is_word(l, o, "json") && !is_word(l, o, "logfmt"))
        return fail_only(l, o, "the format is logfmt or json");
    l->c->log_format = is_word(l, o, "json") ? LOG_JSON : LOG_LOGFMT;
    return ERR_OK;
}

static enum err set_dyn_namespace(struct config_loader *l, enum option o)
{
    if (!is_word(l, o, "dynamo") && !is_word(l, o, "keep"))
        return fail_only(l, o, "dynamo or keep is possible");
    l->c->keep_dyn_namespace = is_word(l, o, "keep");
    return ERR_OK;
}

static bool is_same_place(const struct addr *listen, const struct addr *upstream)
{
    if (listen->kind != upstream->kind)
        return false;
    if (listen->kind == ADDR_UNIX)
        return strcmp(listen->path, upstream->path) == 0;
    bool all = strcmp(listen->host, "0.0.0.0") == 0 || strcmp(listen->host, "::") == 0;
    return listen->port == upstream->port &&
           (strcmp(listen->host, upstream->host) == 0 ||
            (config_is_loopback(upstream->host) && (all || config_is_loopback(listen->host))));
}

/* A sidecar that dials itself would answer itself until its connections run out. */
static enum err check_no_loop(struct config_loader *l, enum option listens, enum option upstreams,
                              const struct config_addrs *listen,
                              const struct config_addrs *upstream)
{
    for (unsigned u = 0; u < upstream->n; u++)
        for (unsigned i = 0; i < listen->n; i++) {
            if (!is_same_place(&listen->a[i], &upstream->a[u]))
                continue;
            char rule[256];
            snprintf(rule, sizeof rule,
                     "the sidecar itself listens there; choose another port with --%s",
                     option_table[listens].name);
            return config_fail_item(l, upstreams, l->value[upstreams].item[u], rule);
        }
    return ERR_OK;
}

static enum err check_plane(struct config_loader *l, enum option listens, enum option upstreams)
{
    bool etcd = upstreams == OPTION_ETCD_UPSTREAM;
    const struct config_addrs *listen = etcd ? &l->c->etcd_listen : &l->c->nats_listen;
    const struct config_addrs *upstream = etcd ? &l->c->etcd_upstream : &l->c->nats_upstream;
    char where[256];
    if (upstream->n != 0 && listen->n == 0)
        return config_fail(l, "%s: the list is empty; name an address to listen on",
                           config_origin(l, listens, where, sizeof where));
    enum err e = check_no_loop(l, listens, upstreams, listen, upstream);
    return e != ERR_OK ? e
                       : check_no_loop(l, OPTION_INTERCEPT_LISTEN, upstreams,
                                       &l->c->intercept_listen, upstream);
}

/* The options win over the URLs; a cluster has one set of users, and we are one of them. */
static enum err take_etcd_user(struct config_loader *l)
{
    struct config *c = l->c;
    const struct addr *named = NULL;
    for (unsigned i = 0; i < c->etcd_upstream.n; i++) {
        const struct addr *a = &c->etcd_upstream.a[i];
        if (a->user[0] == '\0')
            continue;
        if (named == NULL)
            named = a;
        else if (strcmp(a->user, named->user) != 0 || strcmp(a->password, named->password) != 0)
            return config_fail(l, "the URLs of etcd-upstream name different users or passwords; "
                                  "the servers of one cluster have the same");
    }
    if (named == NULL || c->etcd_user[0] != '\0')
        return ERR_OK;
    _Static_assert(sizeof c->etcd_user == sizeof named->user &&
                       sizeof c->etcd_password == sizeof named->password,
                   "one fits the other");
    memcpy(c->etcd_user, named->user, sizeof c->etcd_user);
    memcpy(c->etcd_password, named->password, sizeof c->etcd_password);
    return ERR_OK;
}

static enum err check_etcd_user(struct config_loader *l)
{
    const struct config *c = l->c;
    if ((c->etcd_user[0] == '\0') != (c->etcd_password[0] == '\0'))
        return config_fail(l, "etcd-user and etcd-password belong together; %s is missing",
                           c->etcd_user[0] == '\0' ? "etcd-user" : "etcd-password");
    enum err e = take_etcd_user(l);
    if (e == ERR_OK && c->etcd_user[0] != '\0' && c->etcd_rules.client_credentials)
        return config_fail(l, "etcd-user and credentials \"client\" exclude each other: a call "
                              "has one token; leave one out");
    return e;
}

static enum err check_credentials(struct config_loader *l)
{
    const struct config *c = l->c;
    bool has_file = c->nats_password_file[0] != '\0';
    bool has_password = c->nats_password[0] != '\0' || has_file;
    bool has_user = c->nats_user[0] != '\0';
    bool has_token = c->nats_token[0] != '\0' || c->nats_token_file[0] != '\0';
    if (c->nats_creds[0] != '\0' && (has_token || has_user || has_password))
        return config_fail(l, "nats-creds excludes nats-user, passwords and tokens; leave it or "
                              "them out");
    if (has_token && (has_user || has_password))
        return config_fail(l, "nats-token and nats-user exclude each other; leave one out");
    if ((has_file && c->nats_password[0] != '\0') ||
        (c->nats_token_file[0] != '\0' && c->nats_token[0] != '\0'))
        return config_fail(l, "a secret and its -file exclude each other; leave one out");
    if (has_user != has_password)
        return config_fail(l, "nats-user and nats-password belong together; %s is missing",
                           has_user ? "nats-password" : "nats-user");
    return ERR_OK;
}

/* `health`, `wait` and `drain` have to be told where it is. */
static enum err check_asked(struct config_loader *l)
{
    const struct config *c = l->c;
    if (l->in->command == COMMAND_DRAIN)
        return c->admin_listen.n != 0
                   ? ERR_OK
                   : config_fail(l, "which sidecar? name its admin listener with --admin-listen "
                                    "ADDR or BULKHEAD_ADMIN_LISTEN");
    return c->health_listen.n != 0
               ? ERR_OK
               : config_fail(l, "which sidecar? name its health listener with --health-listen "
                                "ADDR or BULKHEAD_HEALTH_LISTEN");
}

static enum err check_whole(struct config_loader *l)
{
    const struct config *c = l->c;
    if ((l->in->command & (COMMAND_HEALTH | COMMAND_WAIT | COMMAND_DRAIN)) != 0)
        return check_asked(l);
    if (l->in->command == COMMAND_REDIRECT)
        return config_check_redirect(l);
    if (l->in->command == COMMAND_GC && c->etcd_upstream.n == 0)
        return config_fail(l, "which etcd? name it with --etcd-upstream URL or "
                              "BULKHEAD_ETCD_UPSTREAM");
    if (c->etcd_upstream.n == 0 && c->nats_upstream.n == 0)
        return config_fail(l,
                           "there is no upstream: give --etcd-upstream, --nats-upstream or both, "
                           "for example --etcd-upstream 10.0.0.5:2379");
    enum err e = config_check_ports(l);
    if (e == ERR_OK)
        e = check_plane(l, OPTION_ETCD_LISTEN, OPTION_ETCD_UPSTREAM);
    if (e == ERR_OK)
        e = check_plane(l, OPTION_NATS_LISTEN, OPTION_NATS_UPSTREAM);
    if (e == ERR_OK)
        e = check_etcd_user(l);
    if (e == ERR_OK)
        e = check_credentials(l);
    return e == ERR_OK ? config_check_tls(l) : e;
}

static const option_set_fn setters[OPTION_COUNT] = {
#define OPTION(id, name, env, value, fallback, commands, traits, set, help) [OPTION_##id] = (set),
#include "config.def"
#undef OPTION
};

enum err config_set_all(struct config_loader *l)
{
    /* The separator says how the namespace is read. */
    enum err e = reserve_lists(l);
    if (e == ERR_OK)
        e = set_separator(l, OPTION_NAMESPACE_SEPARATOR);
    for (enum option o = 0; o < OPTION_COUNT && e == ERR_OK; o++)
        if (l->value[o].is_set)
            e = setters[o](l, o);
    return e == ERR_OK ? check_whole(l) : e;
}
