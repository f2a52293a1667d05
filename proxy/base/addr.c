/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addr.c - one pass from the left: scheme, user info, host, port, and nothing may be left over.
 *
 *   [ scheme "://" ] [ user [ ":" password ] "@" ] host [ ":" port ] [ "/" ]
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

#define RULE_NO_HOST "there is no host; write HOST:PORT, [IPV6]:PORT or unix:PATH"
#define RULE_PORT    "the port is not a number from 0 to 65535"

static const struct {
    const char *prefix; /* matched without case, as RFC 3986 3.1 asks */
    enum addr_scheme scheme;
} schemes[] = {
    {"http://", ADDR_HTTP},
    {"https://", ADDR_HTTPS},
    {"nats://", ADDR_NATS},
    {"tls://", ADDR_TLS},
};

static bool has_prefix_nocase(struct span s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && strncasecmp((const char *)s.p, prefix, n) == 0;
}

static const uint8_t *find_first(struct span s, char c)
{
    return s.n == 0 ? NULL : memchr(s.p, c, s.n);
}

static const uint8_t *find_last(struct span s, char c)
{
    return s.n == 0 ? NULL : memrchr(s.p, c, s.n);
}

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Copies s as a C string; s fits and holds no NUL. */
static void copy_text(char *to, struct span s)
{
    if (s.n != 0)
        memcpy(to, s.p, s.n);
    to[s.n] = '\0';
}

static const char *parse_unix(struct span path, struct addr *a)
{
    if (has_prefix_nocase(path, "//")) /* unix:///run/x, as etcd's clients write it */
        path = span_skip(path, 2);
    if (path.n == 0)
        return "there is no path; write unix:/run/bulkhead.sock";
    if (path.n > ADDR_PATH_BYTES_MAX)
        return "the path of a unix socket is at most 107 bytes long";
    if (find_first(path, '\0') != NULL)
        return "the path holds a NUL byte";
    a->kind = ADDR_UNIX;
    copy_text(a->path, path);
    return NULL;
}

static const char *parse_scheme(struct span *s, struct addr *a)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (has_prefix_nocase(*s, schemes[i].prefix)) {
            a->scheme = schemes[i].scheme;
            *s = span_skip(*s, strlen(schemes[i].prefix));
            return NULL;
        }
    for (size_t i = 0; i + 2 < s->n; i++)
        if (memcmp(s->p + i, "://", 3) == 0)
            return "the scheme before :// is none of http, https, nats, tls";
    return NULL;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %XX is decoded (RFC 3986 2.1), so that a password may hold any byte but NUL. */
static const char *parse_secret(struct span s, char out[ADDR_SECRET_BYTES_MAX + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        int c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
            int low = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return "a % in the user or password is not followed by two hexadecimal digits; "
                       "write % itself as %25";
            c = high << 4 | low;
            i += 2;
        }
        if (c == '\0')
            return "the user or password holds a NUL byte";
        if (n == ADDR_SECRET_BYTES_MAX)
            return "the user or password is longer than 255 bytes";
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return NULL;
}

static const char *parse_userinfo(struct span *s, struct addr *a)
{
    const uint8_t *at = find_last(*s, '@');
    if (at == NULL)
        return NULL;
    struct span info = span_of(s->p, (size_t)(at - s->p));
    *s = span_of(at + 1, (size_t)(span_end(*s) - (at + 1)));
    const uint8_t *colon = find_first(info, ':');
    struct span user = colon == NULL ? info : span_head(info, (size_t)(colon - info.p));
    struct span password = colon == NULL ? SPAN_NONE : span_skip(info, user.n + 1);
    if (user.n == 0)
        return "there is no user before the @";
    const char *rule = parse_secret(user, a->user);
    return rule != NULL ? rule : parse_secret(password, a->password);
}

static const char *parse_ipv6(struct span host, struct addr *a)
{
    if (host.n > ADDR_HOST_BYTES_MAX || find_first(host, '\0') != NULL)
        return "what stands in brackets is not an IPv6 address";
    copy_text(a->host, host);
    char literal[ADDR_HOST_BYTES_MAX + 1];
    size_t n = strcspn(a->host, "%"); /* fe80::1%eth0: the zone is the resolver's business */
    memcpy(literal, a->host, n);
    literal[n] = '\0';
    struct in6_addr in6;
    if (inet_pton(AF_INET6, literal, &in6) != 1)
        return "what stands in brackets is not an IPv6 address";
    return NULL;
}

/* A DNS name or an IPv4 literal. "_" is no host name by RFC 952 but is met in compose files. */
static const char *parse_name(struct span host, struct addr *a)
{
    if (host.n > ADDR_HOST_BYTES_MAX)
        return "the host name is longer than 253 bytes";
    bool numeric = true;
    size_t label = 0;
    for (size_t i = 0; i < host.n; i++) {
        uint8_t c = host.p[i];
        numeric = numeric && (c == '.' || (c >= '0' && c <= '9'));
        if (c == '.') {
            if (label == 0)
                return "the host name has an empty label";
            label = 0;
            continue;
        }
        if (!is_alnum(c) && c != '-' && c != '_')
            return "the host name holds a character other than letters, digits, - . _";
        if (++label > 63)
            return "a label of the host name is longer than 63 bytes";
    }
    copy_text(a->host, host);
    struct in_addr in;
    if (numeric && inet_pton(AF_INET, a->host, &in) != 1)
        return "the host is not an IPv4 address: four numbers from 0 to 255";
    return NULL;
}

static const char *parse_port(struct span digits, struct addr *a)
{
    unsigned port = 0;
    if (digits.n == 0 || digits.n > 5)
        return RULE_PORT;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return RULE_PORT;
        port = port * 10 + (digits.p[i] - '0');
    }
    if (port > UINT16_MAX)
        return RULE_PORT;
    a->port = (uint16_t)port;
    return NULL;
}

static const char *parse_host_port(struct span s, uint16_t default_port, struct addr *a)
{
    struct span host, rest; /* rest: "" or ":port" */
    const char *rule;
    if (s.n != 0 && s.p[0] == '[') {
        const uint8_t *close = find_first(s, ']');
        if (close == NULL)
            return "the [ of the IPv6 address is not closed";
        host = span_of(s.p + 1, (size_t)(close - s.p) - 1);
        rest = span_skip(s, host.n + 2);
        rule = parse_ipv6(host, a);
    } else {
        const uint8_t *colon = find_first(s, ':');
        if (colon != NULL && find_last(s, ':') != colon)
            return "an IPv6 address stands in brackets: [::1]:2379";
        host = colon == NULL ? s : span_head(s, (size_t)(colon - s.p));
        rest = span_skip(s, host.n);
        if (host.n == 0 && (rest.n == 0 || default_port != 0))
            return RULE_NO_HOST;
        /* ":9090" asks for every IPv4 address of the machine */
        rule = parse_name(host.n == 0 ? SPAN_LIT("0.0.0.0") : host, a);
    }
    if (rule != NULL)
        return rule;
    a->port = default_port;
    if (rest.n == 0)
        return default_port == 0 ? "there is no port; write HOST:PORT, port 0 = any free one"
                                 : NULL;
    if (rest.p[0] != ':')
        return "only :PORT may follow the ] of an IPv6 address";
    return parse_port(span_skip(rest, 1), a);
}

/* NULL, or which rule was broken. */
static const char *parse(struct span s, uint16_t default_port, struct addr *a)
{
    if (s.n == 0)
        return RULE_NO_HOST;
    if (has_prefix_nocase(s, "unix:"))
        return parse_unix(span_skip(s, 5), a);
    const char *rule = parse_scheme(&s, a);
    if (rule != NULL)
        return rule;
    if (a->scheme != ADDR_NO_SCHEME && s.n != 0 && s.p[s.n - 1] == '/')
        s.n--;
    rule = parse_userinfo(&s, a);
    if (rule != NULL)
        return rule;
    if (find_first(s, '/') != NULL || find_first(s, '?') != NULL || find_first(s, '#') != NULL)
        return "there is more than a host and a port; leave out the path";
    return parse_host_port(s, default_port, a);
}

enum err addr_parse(struct span text, uint16_t default_port, struct addr *ret_addr,
                    const char **ret_rule)
{
    struct addr a = {.kind = ADDR_TCP};
    const char *rule = parse(text, default_port, &a);
    if (rule != NULL) {
        *ret_rule = rule;
        return ERR_CONFIG;
    }
    *ret_addr = a;
    return ERR_OK;
}

const char *addr_print(const struct addr *a, char text[ADDR_TEXT_BYTES])
{
    if (a->kind == ADDR_UNIX)
        snprintf(text, ADDR_TEXT_BYTES, "unix:%s", a->path);
    else
        snprintf(text, ADDR_TEXT_BYTES, strchr(a->host, ':') == NULL ? "%s:%u" : "[%s]:%u", a->host,
                 a->port);
    return text;
}
