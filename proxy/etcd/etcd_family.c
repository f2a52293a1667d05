/* SPDX-License-Identifier: Apache-2.0 */
#include "etcd/etcd_family.h"

#include <stdlib.h>

#include "limit.h"
#include "wire/pb_wire.h"

/* -- hash: SipHash-1-3 (Aumasson, Bernstein 2012) -- */
static inline uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

struct sip {
    uint64_t a, b, c, d;
};

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->b = rotate(s->b, 13) ^ s->a;
    s->a = rotate(s->a, 32);
    s->c += s->d;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a += s->d;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c += s->b;
    s->b = rotate(s->b, 17) ^ s->c;
    s->c = rotate(s->c, 32);
}

uint64_t family_hash(const struct etcd_family *f, struct span s)
{
    struct sip v = {
        f->seed[0] ^ UINT64_C(0x736f6d6570736575), f->seed[1] ^ UINT64_C(0x646f72616e646f6d),
        f->seed[0] ^ UINT64_C(0x6c7967656e657261), f->seed[1] ^ UINT64_C(0x7465646279746573)};
    uint64_t word = (uint64_t)s.n << 56;
    for (; s.n >= 8; s = span_skip(s, 8)) {
        uint64_t m = pb_load_8(s.p);
        v.d ^= m;
        sip_round(&v);
        v.a ^= m;
    }
    for (size_t i = 0; i < s.n; i++)
        word |= (uint64_t)s.p[i] << 8 * i;
    v.d ^= word;
    sip_round(&v);
    v.a ^= word;
    v.c ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&v);
    return v.a ^ v.b ^ v.c ^ v.d;
}

/* -- life -- */
enum err family_init(struct etcd_family *f, struct span root, const struct ns_path *path,
                     const uint64_t seed[2])
{
    uint32_t own;
    *f = (struct etcd_family){.seed = {seed[0], seed[1]}, .page_ops = LIMIT_TXN_OPS};
    enum err e = key_view_init(&f->view, root, path);
    if (e == ERR_OK)
        e = family_number(f, SPAN_NONE, &own);
    if (e == ERR_OK)
        family_list(f, own);
    else
        family_deinit(f);
    return e;
}

void family_deinit(struct etcd_family *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        free(f->member[i].path);
    free(f->member);
    free(f->slot);
    free(f->listed);
    *f = (struct etcd_family){0};
}

/* -- numbers -- */
static uint32_t *find_slot(const struct etcd_family *f, struct span path)
{
    uint32_t mask = f->slots - 1, i = (uint32_t)family_hash(f, path) & mask;
    while (f->slot[i] != 0 && !span_eq(family_path(f, f->slot[i] - 1), path))
        i = (i + 1) & mask;
    return &f->slot[i];
}

/* Room for one more: members, slots (at most half full) and the list. */
static enum err make_room(struct etcd_family *f)
{
    if (f->n < f->cap)
        return ERR_OK;
    uint32_t cap = f->cap == 0 ? 16 : 2 * f->cap;
    struct family_member *member = realloc(f->member, cap * sizeof *member);
    if (member == NULL)
        return ERR_NOMEM;
    f->member = member;
    uint32_t *listed = realloc(f->listed, cap * sizeof *listed);
    if (listed == NULL)
        return ERR_NOMEM;
    f->listed = listed;
    uint32_t *slot = calloc(2 * (size_t)cap, sizeof *slot);
    if (slot == NULL)
        return ERR_NOMEM;
    free(f->slot);
    f->slot = slot;
    f->slots = 2 * cap;
    f->cap = cap;
    for (uint32_t i = 0; i < f->n; i++)
        *find_slot(f, family_path(f, i)) = i + 1;
    return ERR_OK;
}

enum err family_number(struct etcd_family *f, struct span path, uint32_t *ret_number)
{
    unsigned segments;
    if (f->slots != 0) {
        uint32_t found = *find_slot(f, path);
        if (found != 0)
            return *ret_number = found - 1, ERR_OK;
    }
    if (!key_view_path_is_valid(&f->view, path, &segments))
        return ERR_FOREIGN;
    if (f->n == LIMIT_FAMILY)
        return ERR_LIMIT;
    enum err e = make_room(f);
    if (e != ERR_OK)
        return e;
    uint8_t *copy = malloc(path.n + 1);
    if (copy == NULL)
        return ERR_NOMEM;
    if (path.n != 0)
        memcpy(copy, path.p, path.n);
    f->member[f->n] = (struct family_member){
        .path = copy, .path_n = (uint16_t)path.n, .segments = (uint8_t)segments};
    *find_slot(f, path) = ++f->n;
    *ret_number = f->n - 1;
    return ERR_OK;
}

/* In the order of the paths as they are written, which is also that of ns_path_is_nearer(): a
 * segment's only byte that is stored otherwise is `.`, as `%2E`. */
static int compare_paths(struct span a, struct span b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++)
        if (a.p[i] != b.p[i])
            return (a.p[i] == '%' ? '.' : a.p[i]) - (b.p[i] == '%' ? '.' : b.p[i]);
    return (a.n > b.n) - (a.n < b.n);
}

int family_compare(const struct etcd_family *f, uint32_t a, uint32_t b)
{
    const struct family_member *x = &f->member[a], *y = &f->member[b];
    if (a == b || x->segments != y->segments)
        return (int)x->segments - (int)y->segments;
    return compare_paths(family_path(f, a), family_path(f, b));
}

/* -- the list -- */
void family_list_anew(struct etcd_family *f)
{
    for (uint32_t i = 1; i < f->n; i++)
        f->member[i].is_listed = false;
    f->listed[0] = FAMILY_OWN;
    f->listed_n = 1;
    f->invalid_n = 0;
    f->known = 0;
}

void family_list(struct etcd_family *f, uint32_t number)
{
    if (f->member[number].is_listed)
        return;
    f->member[number].is_listed = true;
    f->listed[f->listed_n++] = number;
    f->is_sorted = false;
}

static int compare_numbers(const void *a, const void *b, void *family)
{
    return family_compare(family, *(const uint32_t *)a, *(const uint32_t *)b);
}

const uint32_t *family_listed(struct etcd_family *f, uint32_t *ret_n)
{
    if (!f->is_sorted)
        qsort_r(f->listed, f->listed_n, sizeof *f->listed, compare_numbers, f);
    f->is_sorted = true;
    *ret_n = f->listed_n;
    return f->listed;
}

bool family_sees(const struct etcd_family *f, struct span key, struct span end)
{
    for (unsigned i = 0; i < f->prefix_count; i++)
        if (key_interval_is_inside(key, end, f->prefixes[i]))
            return true;
    return false;
}
