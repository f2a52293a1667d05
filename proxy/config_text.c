/* SPDX-License-Identifier: Apache-2.0 */
/* config_text - what people read: error texts, nearest names, the listing of `check`. */
#include <stdarg.h>
#include <stdio.h>

#include "config_option.h"

enum { NAME_BYTES_MAX = 64, SHOWN_BYTES_MAX = 120 };

enum option config_find(struct span name)
{
    for (enum option o = 0; o < OPTION_COUNT; o++)
        if (span_eq(name, span_str(option_table[o].name)))
            return o;
    return OPTION_COUNT;
}

/* Edit distance with swaps of neighbours (optimal string alignment). Names are cut to
 * NAME_BYTES_MAX: what differs beyond that is no typing error. */
static unsigned distance(struct span a, struct span b)
{
    unsigned row[3][NAME_BYTES_MAX + 1];
    a = span_head(a, NAME_BYTES_MAX);
    b = span_head(b, NAME_BYTES_MAX);
    for (unsigned j = 0; j <= b.n; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.n; j++) {
            unsigned best = last[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            if (swapped && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[a.n % 3][b.n];
}

const char *config_nearest(struct span name, const char *const *known, size_t n)
{
    const char *nearest = "";
    unsigned least = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        unsigned d = distance(name, span_str(known[i]));
        if (d < least) {
            least = d;
            nearest = known[i];
        }
    }
    return nearest;
}

const char *config_nearest_option(struct span name, unsigned commands)
{
    const char *known[OPTION_COUNT];
    size_t n = 0;
    for (enum option o = 0; o < OPTION_COUNT; o++) {
        const struct option_row *row = &option_table[o];
        bool fits = commands == 0 ? (row->traits & (TRAIT_SWITCH | TRAIT_NO_FILE)) == 0
                                  : (row->commands & commands) != 0;
        if (fits)
            known[n++] = row->name;
    }
    return config_nearest(name, known, n);
}

const char *config_origin(const struct config_loader *l, enum option o, char *text, size_t size)
{
    const struct option_value *v = &l->value[o];
    if (v->source == SOURCE_FILE)
        snprintf(text, size, "%s: \"%s\"", l->file, option_table[o].name);
    else if (v->source == SOURCE_ENVIRONMENT)
        snprintf(text, size, "%s", v->variable);
    else
        snprintf(text, size, "--%s", option_table[o].name);
    return text;
}

/* nats://user:password@host becomes nats://@host with three stars before the @. */
static struct span mask_user(struct span item, char *masked, size_t size)
{
    const uint8_t *at = item.n == 0 ? NULL : memrchr(item.p, '@', item.n);
    if (at == NULL)
        return item;
    const uint8_t *slashes = memmem(item.p, (size_t)(at - item.p), "://", 3);
    int scheme = slashes == NULL ? 0 : (int)(slashes - item.p) + 3;
    struct span host = span_skip(item, (size_t)(at - item.p));
    int n = snprintf(masked, size, "%.*s***%.*s", scheme, (const char *)item.p, (int)host.n,
                     (const char *)host.p);
    return span_of(masked, (size_t)n < size ? (size_t)n : size - 1);
}

const char *config_quote(struct span item, unsigned traits, char *text, size_t size)
{
    char masked[512], *to = text, *end = text + size - 8; /* room for \xNN, "...", NUL */
    const char *quote = traits & TRAIT_SWITCH ? "" : "\"";
    if (traits & TRAIT_SECRET)
        item = SPAN_LIT("***");
    if (traits & TRAIT_ADDRS)
        item = mask_user(item, masked, sizeof masked);
    to += snprintf(to, 2, "%s", quote);
    size_t i = 0;
    for (; i < item.n && i < SHOWN_BYTES_MAX && to < end; i++) {
        bool prints = item.p[i] >= ' ' && item.p[i] < 0x7f;
        to += snprintf(to, 5, prints ? "%c" : "\\x%02x", item.p[i]);
    }
    snprintf(to, 6, "%s%s", i < item.n ? "..." : "", quote);
    return text;
}

enum err config_fail(struct config_loader *l, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(l->c->error, sizeof l->c->error, fmt, args);
    va_end(args);
    return ERR_CONFIG;
}

enum err config_fail_item(struct config_loader *l, enum option o, struct span item,
                          const char *rule)
{
    char where[256], shown[256];
    return config_fail(l, "%s %s: %s", config_origin(l, o, where, sizeof where),
                       config_quote(item, option_table[o].traits, shown, sizeof shown), rule);
}

static enum err list_source(struct config_loader *l, enum option o, struct buf *out)
{
    const struct option_value *v = &l->value[o];
    switch (v->source) {
    case SOURCE_FLAG:
        return buf_printf(out, " (flag)\n");
    case SOURCE_ENVIRONMENT:
        return buf_printf(out, " (environment %s)\n", v->variable);
    case SOURCE_FILE:
        return buf_printf(out, " (file %s)\n", l->file);
    case SOURCE_DEFAULT:
        break;
    }
    return buf_printf(out, " (default)\n");
}

static enum err list_value(struct config_loader *l, enum option o, struct buf *out)
{
    const struct option_value *v = &l->value[o];
    char shown[512];
    enum err e = buf_printf(out, "%s =", option_table[o].name);
    for (unsigned i = 0; i < v->n && e == ERR_OK; i++) {
        config_quote(v->item[i], option_table[o].traits | TRAIT_SWITCH, shown, sizeof shown);
        if (o == OPTION_NAMESPACE) /* as it is understood: "default/a" is a */
            snprintf(shown, sizeof shown, "%s", ns_path_name(&l->c->ns));
        e = buf_printf(out, "%s%s", i == 0 ? " " : ",", shown);
    }
    return e != ERR_OK ? e : list_source(l, o, out);
}

enum err config_list_effective(struct config_loader *l)
{
    struct buf *out = &l->c->effective;
    for (enum option o = 0; o < OPTION_COUNT; o++) {
        const struct option_row *row = &option_table[o];
        if (row->traits & TRAIT_SWITCH)
            continue;
        enum err e = l->value[o].is_set ? list_value(l, o, out)
                                        : buf_printf(out, "%s is not set\n", row->name);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}
