/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_tls - whom to speak TLS to, and with what. The files themselves are io's to read
 * (proxy/io/tls_context.h): they change while the sidecar runs.
 */
#include "config_option.h"

/* Where the text of a TLS option goes. */
static char *place_of(struct config *c, enum option o)
{
    const struct {
        enum option option;
        char *text;
    } places[] = {
        {OPTION_ETCD_CA, c->etcd_tls.ca},
        {OPTION_ETCD_CERT, c->etcd_tls.cert},
        {OPTION_ETCD_KEY, c->etcd_tls.key},
        {OPTION_ETCD_SERVER_NAME, c->etcd_tls.server_name},
        {OPTION_ETCD_LISTEN_CERT, c->etcd_tls.listen_cert},
        {OPTION_ETCD_LISTEN_KEY, c->etcd_tls.listen_key},
        {OPTION_ETCD_LISTEN_CA, c->etcd_tls.listen_ca},
        {OPTION_NATS_CA, c->nats_tls.ca},
        {OPTION_NATS_CERT, c->nats_tls.cert},
        {OPTION_NATS_KEY, c->nats_tls.key},
        {OPTION_NATS_SERVER_NAME, c->nats_tls.server_name},
        {OPTION_NATS_LISTEN_CERT, c->nats_tls.listen_cert},
        {OPTION_NATS_LISTEN_KEY, c->nats_tls.listen_key},
        {OPTION_NATS_LISTEN_CA, c->nats_tls.listen_ca},
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (places[i].option == o)
            return places[i].text;
    return NULL;
}

enum err config_set_tls(struct config_loader *l, enum option o)
{
    struct span item = l->value[o].item[0];
    if (item.n != 0 && memchr(item.p, '\0', item.n) != NULL)
        return config_fail_item(l, o, item, "there is a NUL byte in it");
    return config_set_text(l, o, place_of(l->c, o), sizeof l->c->etcd_tls.ca);
}

enum err config_set_nats_tls(struct config_loader *l, enum option o)
{
    struct span item = l->value[o].item[0];
    l->c->nats_tls_first = span_eq(item, SPAN_LIT("first"));
    if (!l->c->nats_tls_first && !span_eq(item, SPAN_LIT("auto")))
        return config_fail_item(l, o, item, "auto or first is possible");
    return ERR_OK;
}

/* A certificate without its key, or the other way round. */
static enum err check_pair(struct config_loader *l, enum option cert, enum option key)
{
    bool has_cert = l->value[cert].is_set, has_key = l->value[key].is_set;
    if (has_cert == has_key)
        return ERR_OK;
    return config_fail(l, "%s and %s belong together; %s is missing", option_table[cert].name,
                       option_table[key].name, option_table[has_cert ? key : cert].name);
}

/* Without TLS on the listener nobody would be asked for a certificate. */
static enum err check_listen_ca(struct config_loader *l, enum option ca, enum option cert)
{
    if (!l->value[ca].is_set || l->value[cert].is_set)
        return ERR_OK;
    return config_fail(l, "%s is given without %s: applications would not be asked for theirs",
                       option_table[ca].name, option_table[cert].name);
}

static bool is_asked_for(const struct config_tls *t)
{
    return t->ca[0] != '\0' || t->cert[0] != '\0' || t->server_name[0] != '\0';
}

/* As etcd's own clients: an address without a scheme is spoken TLS to if a TLS option is given, one
 * with http:// never. */
static enum err check_etcd(struct config_loader *l)
{
    struct config_addrs *up = &l->c->etcd_upstream;
    unsigned secure = 0, plain = 0;
    if (!is_asked_for(&l->c->etcd_tls))
        return ERR_OK;
    for (unsigned i = 0; i < up->n; i++) {
        if (up->a[i].scheme == ADDR_NO_SCHEME && up->a[i].kind == ADDR_TCP)
            up->a[i].scheme = ADDR_HTTPS;
        secure += up->a[i].scheme == ADDR_HTTPS;
        plain += up->a[i].scheme == ADDR_HTTP;
    }
    if (plain == 0 || secure != 0)
        return ERR_OK;
    return config_fail(l,
                       "etcd-ca, etcd-cert or etcd-server-name is given, but every etcd-upstream "
                       "is http://; write https://, or leave them out");
}

/* As NATS's own clients: a TLS option asks for TLS, whatever the scheme. */
static void mark_nats(struct config *c)
{
    if (!is_asked_for(&c->nats_tls) && !c->nats_tls_first)
        return;
    for (unsigned i = 0; i < c->nats_upstream.n; i++)
        if (c->nats_upstream.a[i].kind == ADDR_TCP)
            c->nats_upstream.a[i].scheme = ADDR_TLS;
}

enum err config_check_tls(struct config_loader *l)
{
    static const enum option pairs[][2] = {
        {OPTION_ETCD_CERT, OPTION_ETCD_KEY},
        {OPTION_ETCD_LISTEN_CERT, OPTION_ETCD_LISTEN_KEY},
        {OPTION_NATS_CERT, OPTION_NATS_KEY},
        {OPTION_NATS_LISTEN_CERT, OPTION_NATS_LISTEN_KEY},
    };
    enum err e = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(pairs) && e == ERR_OK; i++)
        e = check_pair(l, pairs[i][0], pairs[i][1]);
    if (e == ERR_OK)
        e = check_listen_ca(l, OPTION_ETCD_LISTEN_CA, OPTION_ETCD_LISTEN_CERT);
    if (e == ERR_OK)
        e = check_listen_ca(l, OPTION_NATS_LISTEN_CA, OPTION_NATS_LISTEN_CERT);
    mark_nats(l->c);
    return e == ERR_OK ? check_etcd(l) : e;
}
