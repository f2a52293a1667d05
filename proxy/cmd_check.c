/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_check - what would be served, where each value comes from, and what it means for the stores.
 */
#include <stdio.h>

#include "cmd.h"
#include "policy/key_map.h"
#include "sidecar.h"

static enum err print_keys(const struct config *c)
{
    struct key_map keys;
    enum err e = key_map_init(&keys, span_str(c->key_root), &c->ns);
    if (e == ERR_OK)
        printf("  etcd key \"models/x\" is stored as \"%.*smodels/x\"\n", (int)keys.n,
               (const char *)keys.prefix);
    return e;
}

static enum err print_subjects(const struct config *c)
{
    static struct subject_map subjects;
    enum err e = check_subject_map(c, &subjects);
    if (e != ERR_OK)
        return e;
    printf("  NATS subject \"events.x\" is published as \"%.*sevents.x\"\n", subjects.slice[0].n,
           subjects.slice[0].text);
    for (unsigned i = 1; i < subjects.slices; i++)
        printf("  requests are %s \"%.*s>\"\n", i == 1 ? "heard on" : "also heard on",
               subjects.slice[i].n, subjects.slice[i].text);
    return ERR_OK;
}

static void print_bytes(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '"' || s.p[i] == '\\')
            printf("\\%c", s.p[i]);
        else
            printf(s.p[i] >= ' ' && s.p[i] < 0x7f ? "%c" : "\\x%02x", s.p[i]);
}

void check_print(struct span before, struct span s)
{
    putchar('"');
    print_bytes(before);
    print_bytes(s);
    putchar('"');
}

/* The prefix of view.keys that the key lies in; NULL: none. */
static const struct span *find_view_prefix(const struct config *c)
{
    for (unsigned i = 0; i < c->view_key_prefixes; i++)
        if (span_has_prefix(c->key, c->view_keys[i]))
            return &c->view_keys[i];
    return NULL;
}

static void print_sight(const struct config *c, const struct span *prefix)
{
    if (prefix == NULL) {
        printf("  Range, Watch: this namespace's alone, in every view: no prefix of view-keys\n");
        return;
    }
    if (c->etcd_view == VIEW_OWN)
        printf("  Range, Watch: this namespace's alone: the view of etcd is own\n");
    else
        printf("  Range, Watch: this namespace's; where it has none, the nearest descendant's. A\n"
               "    Range or Watch of many keys shows descendants' if all of it begins \"%.*s\"\n",
               (int)prefix->n, (const char *)prefix->p);
    for (unsigned i = c->ns.segments; i-- != 0;) {
        struct ns_path above = ns_path_head(&c->ns, i);
        printf("  seen from %s, where the view is subtree and no nearer namespace has it\n",
               ns_path_name(&above));
    }
}

/* --key: what happens to it, and who sees it. */
static enum err explain_key(const struct config *c)
{
    struct key_map keys;
    enum err e = key_map_init(&keys, span_str(c->key_root), &c->ns);
    if (e != ERR_OK)
        return e;
    printf("\netcd key ");
    check_print(SPAN_NONE, c->key);
    printf("\n  stored as ");
    check_print(span_of(keys.prefix, keys.n), c->key);
    printf("\n  Put, DeleteRange, a Txn and all that it reads, locks, elections, leases: on that "
           "alone\n");
    print_sight(c, find_view_prefix(c));
    return ERR_OK;
}

int cmd_check(const struct config *c)
{
    fwrite(buf_span(&c->effective).p, 1, buf_len(&c->effective), stdout);
    printf("\nnamespace %s in the stores:\n", ns_path_name(&c->ns));
    enum err e = c->etcd_upstream.n == 0 ? ERR_OK : print_keys(c);
    if (e == ERR_OK && c->nats_upstream.n != 0)
        e = print_subjects(c);
    if (c->etcd_upstream.n == 0)
        printf("  the etcd plane is off: no --etcd-upstream\n");
    if (c->nats_upstream.n == 0)
        printf("  the NATS plane is off: no --nats-upstream\n");
    if (e == ERR_OK && c->key.n != 0)
        e = explain_key(c);
    if (e == ERR_OK && c->subject.n != 0)
        e = check_explain_subject(c);
    if (e == ERR_OK && c->stream.n != 0)
        e = check_explain_stream(c);
    struct buf error = {0};
    if (e == ERR_OK)
        e = sidecar_check_files(c, &error);
    int status = e == ERR_OK ? CMD_CLEAN : cmd_fail(e, &error);
    buf_deinit(&error);
    if (status != CMD_CLEAN)
        return status;
    if (fflush(stdout) != 0) {
        perror("bulkhead: standard output");
        return CMD_FAILED;
    }
    return CMD_CLEAN;
}
