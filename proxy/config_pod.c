/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_pod - what a pod needs besides the planes: redirected connections, the rules that redirect
 * them, and how the sidecar ends (design.md 6, 7.5).
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "config_option.h"
#include "limit.h"

enum { UID_MAX = 4294967294 };

bool config_is_loopback(const char *host)
{
    struct in_addr in;
    return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (inet_pton(AF_INET, host, &in) == 1 && ntohl(in.s_addr) >> 24 == 127);
}

/* ---- numbers ---- */

static enum err take_number(struct config_loader *l, enum option o, struct span item,
                            const uint64_t range[2], uint64_t *ret_n)
{
    uint64_t n = 0;
    bool is_number = item.n != 0 && item.n <= 10;
    for (size_t i = 0; i < item.n && is_number; i++) {
        is_number = item.p[i] >= '0' && item.p[i] <= '9';
        n = n * 10 + (uint64_t)(item.p[i] - '0');
    }
    if (is_number && n >= range[0] && n <= range[1]) {
        *ret_n = n;
        return ERR_OK;
    }
    char rule[80];
    snprintf(rule, sizeof rule, "a whole number from %llu to %llu is possible",
             (unsigned long long)range[0], (unsigned long long)range[1]);
    return config_fail_item(l, o, item, rule);
}

static enum err take_ms(struct config_loader *l, enum option o, uint64_t most, unsigned *to)
{
    const uint64_t range[2] = {0, most};
    uint64_t n;
    enum err e = take_number(l, o, l->value[o].item[0], range, &n);
    if (e == ERR_OK)
        *to = (unsigned)n;
    return e;
}

enum err config_set_drain_ms(struct config_loader *l, enum option o)
{
    return take_ms(l, o, LIMIT_DRAIN_MAX_MS,
                   o == OPTION_DRAIN_MS ? &l->c->drain_ms : &l->c->drain_quiet_ms);
}

enum err config_set_timeout_ms(struct config_loader *l, enum option o)
{
    return take_ms(l, o, LIMIT_DRAIN_MAX_MS, &l->c->timeout_ms);
}

/* Not of a pod, but a number with a least value. */
enum err config_set_control_line(struct config_loader *l, enum option o)
{
    static const uint64_t range[2] = {LIMIT_NATS_CONTROL_LINE, LIMIT_NATS_CONTROL_LINE_MAX};
    uint64_t n;
    enum err e = take_number(l, o, l->value[o].item[0], range, &n);
    if (e == ERR_OK)
        l->c->nats_control_line = (unsigned)n;
    return e;
}

enum err config_set_drain_mode(struct config_loader *l, enum option o)
{
    struct span item = l->value[o].item[0];
    l->c->drain_is_classic = span_eq(item, SPAN_LIT("classic"));
    return l->c->drain_is_classic || span_eq(item, SPAN_LIT("native"))
               ? ERR_OK
               : config_fail_item(l, o, item, "the mode is native or classic");
}

/* ---- ports and users ---- */

static bool has_port(const struct config_ports *ports, uint16_t port)
{
    for (unsigned i = 0; i < ports->n; i++)
        if (ports->p[i] == port)
            return true;
    return false;
}

enum err config_set_ports(struct config_loader *l, enum option o)
{
    static const uint64_t range[2] = {1, 65535};
    const struct option_value *v = &l->value[o];
    struct config_ports *to = o == OPTION_ETCD_PORTS   ? &l->c->etcd_ports
                              : o == OPTION_NATS_PORTS ? &l->c->nats_ports
                                                       : &l->c->redirect.enforce_ports;
    to->n = 0;
    for (unsigned i = 0; i < v->n; i++) {
        uint64_t port;
        enum err e = take_number(l, o, v->item[i], range, &port);
        if (e != ERR_OK)
            return e;
        if (has_port(to, (uint16_t)port))
            return config_fail_item(l, o, v->item[i], "the port stands there twice");
        if (to->n == CONFIG_PORTS_MAX)
            return config_fail_item(l, o, v->item[i], "there are more than 16 ports");
        to->p[to->n++] = (uint16_t)port;
    }
    return ERR_OK;
}

/* The sidecar's own is the first one. */
enum err config_set_uids(struct config_loader *l, enum option o)
{
    static const uint64_t range[2] = {1, UID_MAX};
    const struct option_value *v = &l->value[o];
    struct config_redirect *r = &l->c->redirect;
    if (o == OPTION_SIDECAR_UID)
        r->uid_count = 0;
    for (unsigned i = 0; i < v->n; i++) {
        uint64_t uid = 0;
        enum err e = take_number(l, o, v->item[i], range, &uid);
        if (e != ERR_OK)
            return e;
        if (r->uid_count == ARRAY_LEN(r->uids))
            return config_fail_item(l, o, v->item[i], "there are more than 8 users");
        r->uids[r->uid_count++] = (uint32_t)uid;
    }
    return ERR_OK;
}

/* "ADDRESS" or "ADDRESS/BITS". What does not parse here never reaches the text of the rules.
 * *ret_is_mapped: IPv4 in IPv6's form, which no packet carries: a rule for it would match nothing.
 */
static bool is_net(const char *text, bool *ret_is_mapped)
{
    char host[64];
    struct in6_addr bytes = {0};
    snprintf(host, sizeof host, "%s", text);
    char *bits = strchr(host, '/');
    if (bits != NULL)
        *bits++ = '\0';
    int most = inet_pton(AF_INET, host, &bytes) == 1    ? 32
               : inet_pton(AF_INET6, host, &bytes) == 1 ? 128
                                                        : -1;
    *ret_is_mapped = most == 128 && IN6_IS_ADDR_V4MAPPED(&bytes);
    if (most < 0 || bits == NULL)
        return most >= 0;
    int n = 0;
    size_t digits = strspn(bits, "0123456789");
    if (digits == 0 || digits > 3 || bits[digits] != '\0' || (digits > 1 && bits[0] == '0'))
        return false;
    for (const char *p = bits; *p != '\0'; p++)
        n = n * 10 + (*p - '0');
    return n <= most;
}

enum err config_set_enforce_to(struct config_loader *l, enum option o)
{
    const struct option_value *v = &l->value[o];
    struct config_redirect *r = &l->c->redirect;
    for (unsigned i = 0; i < v->n; i++) {
        struct span item = v->item[i];
        char text[sizeof r->nets[0]] = "";
        if (r->net_count == CONFIG_NETS_MAX)
            return config_fail_item(l, o, item, "there are more than 16 networks");
        if (item.n != 0 && item.n < sizeof text)
            memcpy(text, item.p, item.n);
        bool is_mapped = false;
        if (!is_net(text, &is_mapped) || strlen(text) != item.n)
            return config_fail_item(l, o, item,
                                    "this is no address or network; write 10.0.0.5, 10.0.0.0/8 or "
                                    "fd00::/8");
        if (is_mapped)
            return config_fail_item(l, o, item,
                                    "packets to it are IPv4's; write it without the ::ffff:");
        memcpy(r->nets[r->net_count++], text, sizeof text);
    }
    return ERR_OK;
}

/* ---- listeners ---- */

static enum err take_listen(struct config_loader *l, enum option o, bool may_be_unix,
                            struct config_addrs *to)
{
    const struct option_value *v = &l->value[o];
    if (v->n > CONFIG_ADDRS_MAX)
        return config_fail_item(l, o, v->item[CONFIG_ADDRS_MAX],
                                "there are more than 16 addresses");
    for (unsigned i = 0; i < v->n; i++) {
        struct addr *a = &to->a[i];
        const char *rule = NULL;
        if (addr_parse(v->item[i], 0, a, &rule) != ERR_OK)
            return config_fail_item(l, o, v->item[i], rule);
        if (a->scheme != ADDR_NO_SCHEME || a->user[0] != '\0')
            rule = "an address to listen on has no scheme and no user";
        else if (a->kind == ADDR_UNIX && !may_be_unix)
            rule = "redirected connections do not arrive on a unix socket; write 127.0.0.1:PORT";
        else if (a->kind == ADDR_TCP && !config_is_loopback(a->host))
            rule = may_be_unix ? "only this pod may reach it; write unix:PATH or 127.0.0.1:PORT"
                               : "only this pod may reach it; write 127.0.0.1:PORT or [::1]:PORT";
        if (rule != NULL)
            return config_fail_item(l, o, v->item[i], rule);
    }
    to->n = v->n;
    return ERR_OK;
}

enum err config_set_admin_listen(struct config_loader *l, enum option o)
{
    return take_listen(l, o, true, &l->c->admin_listen);
}

enum err config_set_intercept_listen(struct config_loader *l, enum option o)
{
    struct config_addrs *to = &l->c->intercept_listen;
    enum err e = take_listen(l, o, false, to);
    for (unsigned i = 1; i < to->n && e == ERR_OK; i++)
        if (to->a[i].port != to->a[0].port)
            e = config_fail_item(l, o, l->value[o].item[i],
                                 "all addresses have one port, the one that the rules name");
    return e;
}

/* ---- together ---- */

enum err config_check_ports(struct config_loader *l)
{
    const struct config *c = l->c;
    for (unsigned i = 0; i < c->nats_ports.n; i++)
        if (has_port(&c->etcd_ports, c->nats_ports.p[i]))
            return config_fail_item(l, OPTION_NATS_PORTS, l->value[OPTION_NATS_PORTS].item[i],
                                    "the port is one of etcd-ports too; a port is etcd's or "
                                    "NATS's");
    uint16_t port = c->intercept_listen.n == 0 ? 0 : c->intercept_listen.a[0].port;
    if (port != 0 && (has_port(&c->etcd_ports, port) || has_port(&c->nats_ports, port)))
        return config_fail_item(l, OPTION_INTERCEPT_LISTEN,
                                l->value[OPTION_INTERCEPT_LISTEN].item[0],
                                "the port is itself redirected; choose another");
    return ERR_OK;
}

enum err config_check_redirect(struct config_loader *l)
{
    const struct config *c = l->c;
    const struct config_redirect *r = &c->redirect;
    if (r->verify + r->dry_run + r->remove > 1)
        return config_fail(l, "--verify, --dry-run and --remove exclude each other");
    if (c->intercept_listen.n == 0 || c->intercept_listen.a[0].port == 0)
        return config_fail(l, "intercept-listen names no port to redirect to; write "
                              "127.0.0.1:15379");
    if (c->etcd_ports.n + c->nats_ports.n == 0)
        return config_fail(l, "there is no port to redirect: etcd-ports and nats-ports are empty");
    return config_check_ports(l);
}
