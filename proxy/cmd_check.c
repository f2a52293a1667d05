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
    enum err e = subject_map_init(&subjects, span_str(c->subject_root), &c->ns, c->requests,
                                  c->request_patterns);
    if (e != ERR_OK)
        return e;
    printf("  NATS subject \"events.x\" is published as \"%.*sevents.x\"\n", subjects.slice[0].n,
           subjects.slice[0].text);
    for (unsigned i = 1; i < subjects.slices; i++)
        printf("  requests are %s \"%.*s>\"\n", i == 1 ? "heard on" : "also heard on",
               subjects.slice[i].n, subjects.slice[i].text);
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
    struct buf error = {0};
    if (e == ERR_OK)
        e = sidecar_check_tls(c, &error);
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
