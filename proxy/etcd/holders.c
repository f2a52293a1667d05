/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/holders.h"

#include <stdlib.h>

#include "base/check.h"
#include "limit.h"

enum { FIRST_PLACES = 16, FIRST_CROWD = 4, FIRST_CROWDS = 4 };
#define HOLDERS_CROWD (UINT32_C(1) << 31)
_Static_assert(LIMIT_FAMILY < HOLDERS_CROWD, "a number is no crowd");

void holders_deinit(struct holders *h)
{
    for (uint32_t i = 0; i < h->crowds; i++)
        free(h->crowd[i].number);
    free(h->crowd);
    free(h->hash);
    free(h->number);
    *h = (struct holders){0};
}

size_t holders_bytes(const struct holders *h)
{
    return h->cap * (sizeof *h->hash + sizeof *h->number) + h->crowds_cap * sizeof *h->crowd +
           h->crowd_bytes;
}

/* -- places -- */
static size_t step(const struct holders *h, size_t i)
{
    return (i + 1) & (h->cap - 1);
}

static size_t home(const struct holders *h, uint64_t key)
{
    return (size_t)key & (h->cap - 1);
}

static void put(struct holders *h, uint64_t key, uint32_t number)
{
    size_t i = home(h, key);
    while (h->hash[i] != 0)
        i = step(h, i);
    h->hash[i] = key;
    h->number[i] = number;
}

static enum err grow(struct holders *h)
{
    size_t cap = h->cap == 0 ? FIRST_PLACES : 2 * h->cap, old_cap = h->cap;
    uint64_t *hash = calloc(cap, sizeof *hash), *old_hash = h->hash;
    uint32_t *number = malloc(cap * sizeof *number), *old_number = h->number;
    if (hash == NULL || number == NULL) {
        free(hash);
        free(number);
        return ERR_NOMEM;
    }
    h->hash = hash;
    h->number = number;
    h->cap = cap;
    for (size_t i = 0; i < old_cap; i++)
        if (old_hash[i] != 0)
            put(h, old_hash[i], old_number[i]);
    free(old_hash);
    free(old_number);
    return ERR_OK;
}

static bool find(const struct holders *h, uint64_t key, size_t *ret_at)
{
    if (h->cap == 0)
        return false;
    for (size_t i = home(h, key); h->hash[i] != 0; i = step(h, i))
        if (h->hash[i] == key)
            return *ret_at = i, true;
    return false;
}

/* What stands behind the gap moves into it, unless that is before its home. */
static void close_gap(struct holders *h, size_t gap)
{
    for (size_t i = step(h, gap); h->hash[i] != 0; i = step(h, i)) {
        size_t from_home = (i - home(h, h->hash[i])) & (h->cap - 1);
        if (from_home < ((i - gap) & (h->cap - 1)))
            continue;
        h->hash[gap] = h->hash[i];
        h->number[gap] = h->number[i];
        gap = i;
    }
    h->hash[gap] = 0;
    h->n--;
}

/* -- crowds -- */
static struct holders_crowd *crowd_at(const struct holders *h, size_t place)
{
    uint32_t number = h->number[place];
    return (number & HOLDERS_CROWD) != 0 ? &h->crowd[number & ~HOLDERS_CROWD] : NULL;
}

/* Where number is in it, or would be. */
static uint32_t place_in(const struct holders_crowd *c, const struct etcd_family *f,
                         uint32_t number)
{
    uint32_t low = 0, high = c->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (family_compare(f, c->number[middle], number) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum err reserve(struct holders *h, struct holders_crowd *c)
{
    if (c->n < c->cap)
        return ERR_OK;
    uint32_t cap = c->cap == 0 ? FIRST_CROWD : 2 * c->cap;
    uint32_t *number = realloc(c->number, cap * sizeof *number);
    if (number == NULL)
        return ERR_NOMEM;
    h->crowd_bytes += (cap - c->cap) * sizeof *number;
    c->number = number;
    c->cap = cap;
    return ERR_OK;
}

/* A crowd of one, of whom the place spoke. */
static enum err make_crowd(struct holders *h, size_t place)
{
    uint32_t i = 0;
    if (h->crowds_free == 0 && h->crowds == h->crowds_cap) {
        uint32_t cap = h->crowds_cap == 0 ? FIRST_CROWDS : 2 * h->crowds_cap;
        struct holders_crowd *crowd = realloc(h->crowd, cap * sizeof *crowd);
        if (crowd == NULL)
            return ERR_NOMEM;
        h->crowd = crowd;
        h->crowds_cap = cap;
    }
    if (h->crowds_free == 0) {
        i = h->crowds;
        h->crowd[i] = (struct holders_crowd){0};
    } else { /* n of a free one: the next free one, and one more */
        i = h->crowds_free - 1;
    }
    struct holders_crowd made = {0};
    enum err e = reserve(h, &made);
    if (e != ERR_OK)
        return e;
    if (h->crowds_free == 0)
        h->crowds++;
    else
        h->crowds_free = h->crowd[i].n;
    made.number[made.n++] = h->number[place];
    h->crowd[i] = made;
    h->number[place] = HOLDERS_CROWD | i;
    return ERR_OK;
}

/* One is left: the place speaks of him again. */
static void end_crowd(struct holders *h, size_t place)
{
    uint32_t i = h->number[place] & ~HOLDERS_CROWD;
    struct holders_crowd *c = &h->crowd[i];
    h->number[place] = c->number[0];
    h->crowd_bytes -= c->cap * sizeof *c->number;
    free(c->number);
    *c = (struct holders_crowd){.n = h->crowds_free};
    h->crowds_free = i + 1;
}

/* -- holders -- */
enum err holders_add(struct holders *h, const struct etcd_family *f, uint64_t key, uint32_t number,
                     bool *ret_is_new)
{
    size_t at;
    enum err e = ERR_OK;
    *ret_is_new = true;
    if (!find(h, key, &at)) {
        if (4 * (h->n + 1) > 3 * h->cap)
            e = grow(h);
        if (e != ERR_OK)
            return e;
        put(h, key, number);
        h->n++;
        return ERR_OK;
    }
    if (crowd_at(h, at) == NULL) {
        *ret_is_new = h->number[at] != number;
        e = *ret_is_new ? make_crowd(h, at) : ERR_OK;
        if (e != ERR_OK || !*ret_is_new)
            return e;
    }
    struct holders_crowd *c = crowd_at(h, at);
    uint32_t i = place_in(c, f, number);
    *ret_is_new = i == c->n || c->number[i] != number;
    if (!*ret_is_new)
        return ERR_OK;
    e = reserve(h, c);
    if (e != ERR_OK)
        return e;
    memmove(&c->number[i + 1], &c->number[i], (c->n - i) * sizeof *c->number);
    c->number[i] = number;
    c->n++;
    return ERR_OK;
}

bool holders_remove(struct holders *h, const struct etcd_family *f, uint64_t key, uint32_t number)
{
    size_t at;
    if (!find(h, key, &at))
        return false;
    struct holders_crowd *c = crowd_at(h, at);
    if (c == NULL) {
        if (h->number[at] != number)
            return false;
        close_gap(h, at);
        return true;
    }
    uint32_t i = place_in(c, f, number);
    if (i == c->n || c->number[i] != number)
        return false;
    memmove(&c->number[i], &c->number[i + 1], (c->n - i - 1) * sizeof *c->number);
    if (--c->n == 1)
        end_crowd(h, at);
    return true;
}

uint32_t holders_nearest(const struct holders *h, uint64_t key)
{
    size_t at;
    if (!find(h, key, &at))
        return FAMILY_NONE;
    const struct holders_crowd *c = crowd_at(h, at);
    return c == NULL ? h->number[at] : c->number[0];
}

uint32_t holders_second(const struct holders *h, uint64_t key)
{
    size_t at;
    if (!find(h, key, &at))
        return FAMILY_NONE;
    const struct holders_crowd *c = crowd_at(h, at);
    return c == NULL || c->n < 2 ? FAMILY_NONE : c->number[1];
}
