/* SPDX-License-Identifier: Apache-2.0 */
/* js_names - one prefix, built at start; names are compared with it and cut. */
#include "policy/js_names.h"

void js_names_init(struct js_names *m, const struct ns_path *path)
{
    *m = (struct js_names){0};
    for (unsigned i = 0; i < path->segments; i++) {
        m->n = (uint16_t)(m->n + ns_enc_segment(ns_path_segment(path, i), m->text + m->n));
        m->text[m->n++] = '~';
    }
    m->text[m->n++] = '~';
}

enum err js_names_map(const struct js_names *m, struct span name, struct buf *out)
{
    if (name.n > js_names_room(m))
        return ERR_LIMIT;
    enum err e = buf_reserve(out, m->n + name.n);
    if (e == ERR_OK)
        e = buf_append(out, js_names_prefix(m));
    return e == ERR_OK ? buf_append(out, name) : e;
}

bool js_names_strip(const struct js_names *m, struct span stored, struct span *ret_name)
{
    if (stored.n <= m->n || !span_has_prefix(stored, js_names_prefix(m)))
        return false;
    *ret_name = span_skip(stored, m->n);
    return true;
}
