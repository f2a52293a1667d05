/* SPDX-License-Identifier: Apache-2.0 */
#include "io/redirect_rules.h"

#include <string.h>

#include "base/check.h"

enum { NUMBERS_MAX = 32 }; /* in one set: two lists of ports; the configuration has 16 each */

/* Priorities in the output hook. Chains of type nat stand in order among themselves; the kernel
 * does all of their work at -100, so a filter before that sees where the application wanted to go,
 * one behind it where the connection really goes. */
#define BEFORE_NAT "-120"
#define OUR_NAT    "-110" /* a mesh has -100, and the first that translates decides */
#define AFTER_NAT  "0"

/* Numbers in order, as nft lists them: `1`, or `{ 1, 2 }`. values is put in order. */
static enum err put_numbers(struct buf *out, uint32_t *values, unsigned n)
{
    for (unsigned i = 1; i < n; i++)
        for (unsigned k = i; k != 0 && values[k - 1] > values[k]; k--) {
            uint32_t v = values[k];
            values[k] = values[k - 1];
            values[k - 1] = v;
        }
    enum err e = ERR_OK;
    for (unsigned i = 0; i < n && e == ERR_OK; i++)
        e = buf_printf(out, "%s%lu", i != 0 ? ", " : n > 1 ? "{ " : "", (unsigned long)values[i]);
    return e == ERR_OK && n > 1 ? buf_printf(out, " }") : e;
}

static enum err put_ports(struct buf *out, const struct redirect_ports *lists, unsigned n)
{
    uint32_t all[NUMBERS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < lists[i].n; j++) {
            CHECK(count < NUMBERS_MAX);
            all[count++] = lists[i].p[j];
        }
    enum err e = buf_printf(out, "tcp dport ");
    return e == ERR_OK ? put_numbers(out, all, count) : e;
}

static enum err put_exempt(const struct redirect_rules *r, struct buf *out)
{
    uint32_t all[NUMBERS_MAX];
    unsigned count = 0;
    for (; count < r->uid_count; count++) {
        CHECK(count < NUMBERS_MAX);
        all[count] = r->uids[count];
    }
    enum err e = buf_printf(out, "    meta skuid ");
    if (e == ERR_OK)
        e = put_numbers(out, all, count);
    return e == ERR_OK ? buf_printf(out, " return\n") : e;
}

static enum err put_head(const struct redirect_rules *r, struct buf *out, const char *name,
                         const char *type, const char *priority)
{
    enum err e = buf_printf(out,
                            "  chain %s {\n    type %s hook output priority %s; policy accept;\n",
                            name, type, priority);
    return e == ERR_OK ? put_exempt(r, out) : e;
}

static enum err put_redirect(const struct redirect_rules *r, struct buf *out)
{
    const struct redirect_ports lists[] = {r->etcd, r->nats};
    enum err e = put_head(r, out, "to_sidecar", "nat", OUR_NAT);
    if (e == ERR_OK)
        e = buf_printf(out, "    ");
    if (e == ERR_OK)
        e = put_ports(out, lists, ARRAY_LEN(lists));
    return e == ERR_OK ? buf_printf(out, " counter redirect to :%u\n  }\n", r->to_port) : e;
}

/* net: NULL = every address. */
static enum err put_reject(struct buf *out, const char *net, const struct redirect_ports *lists,
                           unsigned n)
{
    enum err e = buf_printf(out, "    ");
    if (net != NULL)
        e = buf_printf(out, "%s daddr %s ", strchr(net, ':') == NULL ? "ip" : "ip6", net);
    if (e == ERR_OK)
        e = put_ports(out, lists, n);
    return e == ERR_OK ? buf_printf(out, " counter reject with tcp reset\n") : e;
}

static enum err put_enforce(const struct redirect_rules *r, struct buf *out,
                            const struct redirect_ports *lists, unsigned n)
{
    /* What the application itself serves on loopback is nobody's store. */
    enum err e = buf_printf(out, "    oifname \"lo\" return\n");
    for (unsigned i = 0; i < r->net_count && e == ERR_OK; i++)
        e = put_reject(out, r->nets[i], lists, n);
    if (e == ERR_OK && r->net_count == 0)
        e = put_reject(out, NULL, lists, n);
    return e == ERR_OK ? buf_printf(out, "  }\n") : e;
}

static bool has_port(const struct redirect_ports *list, uint16_t port)
{
    for (unsigned i = 0; i < list->n; i++)
        if (list->p[i] == port)
            return true;
    return false;
}

/* Ports that are redirected must come through the first of the two chains. */
static struct redirect_ports not_redirected(const struct redirect_rules *r, uint16_t to[16])
{
    struct redirect_ports left = {.p = to};
    for (unsigned i = 0; i < r->more.n && left.n < 16; i++)
        if (!has_port(&r->etcd, r->more.p[i]) && !has_port(&r->nats, r->more.p[i]))
            to[left.n++] = r->more.p[i];
    return left;
}

static enum err put_enforce_chains(const struct redirect_rules *r, struct buf *out)
{
    const struct redirect_ports redirected[] = {r->etcd, r->nats};
    uint16_t space[16];
    const struct redirect_ports others = not_redirected(r, space);
    enum err e = ERR_OK;
    if (others.n != 0) {
        e = put_head(r, out, "enforce_before", "filter", BEFORE_NAT);
        if (e == ERR_OK)
            e = put_enforce(r, out, &others, 1);
    }
    if (e == ERR_OK)
        e = put_head(r, out, "enforce", "filter", AFTER_NAT);
    return e == ERR_OK ? put_enforce(r, out, redirected, ARRAY_LEN(redirected)) : e;
}

static enum err put_table(const struct redirect_rules *r, struct buf *out)
{
    enum err e = buf_printf(out, "table " REDIRECT_TABLE " {\n");
    if (e == ERR_OK)
        e = put_redirect(r, out);
    if (e == ERR_OK && r->enforce)
        e = put_enforce_chains(r, out);
    return e == ERR_OK ? buf_printf(out, "}\n") : e;
}

enum err redirect_rules_write(const struct redirect_rules *r, struct buf *out)
{
    enum err e = redirect_rules_remove(out);
    return e == ERR_OK ? put_table(r, out) : e;
}

enum err redirect_rules_write_table(const struct redirect_rules *r, struct buf *out)
{
    return put_table(r, out);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

/* Blanks in front are cut off; were there any? */
static bool cut_blanks(struct span *s)
{
    size_t n = 0;
    while (n < s->n && is_blank(s->p[n]))
        n++;
    *s = span_skip(*s, n);
    return n != 0;
}

bool redirect_rules_are_same(struct span listed, struct span table)
{
    (void)cut_blanks(&listed);
    (void)cut_blanks(&table);
    while (listed.n != 0 && table.n != 0) {
        if (listed.p[0] != table.p[0])
            return false;
        listed = span_skip(listed, 1);
        table = span_skip(table, 1);
        bool one = cut_blanks(&listed), other = cut_blanks(&table);
        if (one != other && listed.n != 0 && table.n != 0)
            return false;
    }
    return listed.n == 0 && table.n == 0;
}

/* To delete what is not there is an error; to add what is there is none. */
enum err redirect_rules_remove(struct buf *out)
{
    return buf_printf(out, "add table " REDIRECT_TABLE "\ndelete table " REDIRECT_TABLE "\n");
}

bool redirect_rules_exempt(const struct redirect_rules *r, uint32_t uid)
{
    for (unsigned i = 0; i < r->uid_count; i++)
        if (r->uids[i] == uid)
            return true;
    return false;
}
