/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_redirect - the rules that lead a pod's connections to its sidecar: print, install, prove,
 * remove (design.md 6, tier d; docs/redirect.md).
 *
 * Installing ends with the proof, unless the sidecar already has the port. Whatever goes wrong ends
 * with a status other than 0, so that an init container keeps the pod from starting.
 */
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"
#include "io/redirect.h"
#include "io/redirect_verify.h"

static struct redirect_ports ports_of(const struct config_ports *p)
{
    return (struct redirect_ports){.p = p->p, .n = p->n};
}

static struct redirect_rules rules_of(const struct config *c)
{
    const struct config_redirect *r = &c->redirect;
    return (struct redirect_rules){
        .etcd = ports_of(&c->etcd_ports),
        .nats = ports_of(&c->nats_ports),
        .to_port = c->intercept_listen.a[0].port,
        .uids = r->uids,
        .uid_count = r->uid_count,
        .enforce = r->enforce,
        .more = ports_of(&r->enforce_ports),
        .nets = r->nets,
        .net_count = r->net_count,
    };
}

static int print(const struct buf *text)
{
    fwrite(buf_span(text).p, 1, buf_len(text), stdout);
    return fflush(stdout) == 0 ? CMD_CLEAN : CMD_FAILED;
}

/* must_prove: it does not do that the port is in use. */
static int prove(const struct redirect_rules *r, bool must_prove)
{
    struct buf text = {0};
    enum redirect_verdict verdict;
    enum err e = redirect_verify(r, &verdict, &text);
    int n = (int)buf_len(&text);
    const char *what = n == 0 ? "" : (const char *)buf_span(&text).p;
    int status = CMD_FAILED;
    if (e != ERR_OK) {
        status = cmd_fail(e, &text);
    } else if (verdict == REDIRECT_PROVEN) {
        printf("redirect: proven for %.*s\n", n, what);
        status = CMD_CLEAN;
    } else if (verdict == REDIRECT_NOT_PROVEN) {
        fprintf(stderr, "bulkhead: redirect: %.*s\n", n, what);
    } else if (must_prove) {
        fprintf(stderr, "bulkhead: redirect: %.*s; verify before the sidecar starts\n", n, what);
    } else {
        printf("redirect: not proven: %.*s, by a sidecar that runs already\n", n, what);
        status = CMD_CLEAN;
    }
    buf_deinit(&text);
    return status;
}

/* table: SPAN_NONE = none, see redirect_install(). */
static int install(struct span table, const struct buf *rules, const char *done)
{
    struct buf error = {0};
    enum err e = redirect_install(table, buf_span(rules), &error);
    if (e == ERR_OK)
        printf("redirect: %s\n", done);
    int status = e == ERR_OK ? CMD_CLEAN : cmd_fail(e, &error);
    buf_deinit(&error);
    return status;
}

static int install_rules(const struct redirect_rules *r, const struct buf *rules)
{
    struct buf table = {0};
    enum err e = redirect_rules_write_table(r, &table);
    const struct buf none = {0};
    int status = e == ERR_OK ? install(buf_span(&table), rules,
                                       r->enforce ? "installed, enforced" : "installed")
                             : cmd_fail(e, &none);
    buf_deinit(&table);
    return status;
}

/* The kernel tells users apart: as one that is exempt nothing can be proven. */
static bool is_exempt(const struct redirect_rules *r)
{
    if (!redirect_rules_exempt(r, geteuid()))
        return false;
    fprintf(stderr,
            "bulkhead: redirect: this runs as user %lu, whose connections the rules leave alone, "
            "so it can prove nothing; run it as another, 65534 for example\n",
            (unsigned long)geteuid());
    return true;
}

static int act(const struct config *c, const struct redirect_rules *r, const struct buf *text)
{
    if (c->redirect.dry_run)
        return print(text);
    if (c->redirect.remove)
        return install(SPAN_NONE, text, "removed");
    if (is_exempt(r))
        return CMD_USAGE;
    if (c->redirect.verify)
        return prove(r, true);
    int status = install_rules(r, text);
    return status == CMD_CLEAN ? prove(r, false) : status;
}

int cmd_redirect(const struct config *c)
{
    const struct redirect_rules rules = rules_of(c);
    struct buf text = {0};
    enum err e = c->redirect.remove ? redirect_rules_remove(&text)
                                    : redirect_rules_write(&rules, &text);
    const struct buf none = {0};
    int status = e == ERR_OK ? act(c, &rules, &text) : cmd_fail(e, &none);
    buf_deinit(&text);
    return status;
}
