/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_reload - the same sources once more, and whether a running process can take what they say
 * now. Flags and environment are those of the start; it is the file that changes.
 */
#include "config_option.h"

_Static_assert((int)OPTION_COUNT <= (int)CONFIG_OPTIONS_MAX, "one hash an option");

/* FNV-1a, 64 bits; each item ends with a byte that none holds. */
static uint64_t hash_value(const struct option_value *v)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (unsigned i = 0; v->is_set && i < v->n; i++) {
        for (size_t k = 0; k < v->item[i].n; k++)
            h = (h ^ v->item[i].p[k]) * UINT64_C(0x100000001b3);
        h = (h ^ 0x100) * UINT64_C(0x100000001b3);
    }
    return h;
}

void config_note_values(struct config_loader *l)
{
    for (enum option o = 0; o < OPTION_COUNT; o++)
        l->c->values[o] = hash_value(&l->value[o]);
}

static enum err needs_restart(struct config *next, const char *name, const char *what)
{
    struct config_loader l = {.c = next};
    return config_fail(&l, "%s: %s needs a restart", name, what);
}

/* A plane is opened or closed at the start only. */
static enum err check_planes(const struct config *c, struct config *next)
{
    static const char what[] = "to switch the plane on or off";
    if ((c->etcd_upstream.n == 0) != (next->etcd_upstream.n == 0))
        return needs_restart(next, "etcd-upstream", what);
    if ((c->nats_upstream.n == 0) != (next->nats_upstream.n == 0))
        return needs_restart(next, "nats-upstream", what);
    return ERR_OK;
}

enum err config_reload(const struct config *c, struct config *next)
{
    enum err e = config_load(next, &c->input);
    if (e != ERR_OK)
        return e;
    for (enum option o = 0; o < OPTION_COUNT; o++)
        if (c->values[o] != next->values[o] && (option_table[o].traits & TRAIT_RELOADS) == 0)
            return needs_restart(next, option_table[o].name, "another value");
    return check_planes(c, next);
}
