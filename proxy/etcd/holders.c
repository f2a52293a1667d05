/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/holders.h"

#include <stdlib.h>

enum { FIRST_PLACES = 16 };

void holders_deinit(struct holders *h)
{
    free(h->hash);
    free(h->number);
    *h = (struct holders){0};
}

size_t holders_bytes(const struct holders *h)
{
    return h->cap * (sizeof *h->hash + sizeof *h->number);
}

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
    struct holders more = {.n = h->n, .cap = h->cap == 0 ? FIRST_PLACES : 2 * h->cap};
    more.hash = calloc(more.cap, sizeof *more.hash);
    more.number = malloc(more.cap * sizeof *more.number);
    if (more.hash == NULL || more.number == NULL) {
        holders_deinit(&more);
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < h->cap; i++)
        if (h->hash[i] != 0)
            put(&more, h->hash[i], h->number[i]);
    free(h->hash);
    free(h->number);
    *h = more;
    return ERR_OK;
}

static bool find(const struct holders *h, uint64_t key, uint32_t number, size_t *ret_at)
{
    if (h->cap == 0)
        return false;
    for (size_t i = home(h, key); h->hash[i] != 0; i = step(h, i))
        if (h->hash[i] == key && h->number[i] == number)
            return *ret_at = i, true;
    return false;
}

enum err holders_add(struct holders *h, uint64_t key, uint32_t number, bool *ret_is_new)
{
    size_t at;
    *ret_is_new = !find(h, key, number, &at);
    if (!*ret_is_new)
        return ERR_OK;
    if (4 * (h->n + 1) > 3 * h->cap) {
        enum err e = grow(h);
        if (e != ERR_OK)
            return e;
    }
    put(h, key, number);
    h->n++;
    return ERR_OK;
}

bool holders_remove(struct holders *h, uint64_t key, uint32_t number)
{
    size_t gap;
    if (!find(h, key, number, &gap))
        return false;
    /* What stands behind the gap moves into it, unless that is before its home. */
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
    return true;
}

uint32_t holders_nearest(const struct holders *h, const struct etcd_family *f, uint64_t key)
{
    uint32_t best = FAMILY_NONE;
    if (h->cap == 0)
        return best;
    for (size_t i = home(h, key); h->hash[i] != 0; i = step(h, i))
        if (h->hash[i] == key && (best == FAMILY_NONE || family_compare(f, h->number[i], best) < 0))
            best = h->number[i];
    return best;
}
