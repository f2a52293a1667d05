/* SPDX-License-Identifier: Apache-2.0 */
/* injector_inject.c - `inject`: manifests in, manifests out. Nothing is written unless all can be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "inject/workload.h"
#include "injector.h"

enum { MANIFEST_BYTES_MAX = 64 * 1024 * 1024 };

static int fail(const char *path, const char *why)
{
    fprintf(stderr, "bulkhead-injector: %s: %s\n", path, why);
    return INJECTOR_FAILED;
}

/* One file's text, injected, behind what out holds. */
static int inject_file(const struct inject_config *c, const struct injector_options *o,
                       const char *path, struct buf *out)
{
    struct buf text = {0};
    struct workload_report report = {.pods = 0};
    const char *why;
    enum err e = injector_read_file(path, MANIFEST_BYTES_MAX, &text, &why);
    if (e == ERR_OK) {
        why = err_info(ERR_NOMEM)->text;
        e = workload_inject(c, buf_span(&text), span_str(o->kubernetes_namespace), out, &report);
    }
    struct span rest = buf_span(&report.messages);
    while (rest.n != 0) {
        const uint8_t *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl == NULL ? rest.n : (size_t)(nl - rest.p);
        fprintf(stderr, "bulkhead-injector: %s: %.*s\n", path, (int)n, (const char *)rest.p);
        rest = span_skip(rest, nl == NULL ? n : n + 1);
    }
    if (e != ERR_OK && e != ERR_SYNTAX)
        fail(path, why);
    workload_report_deinit(&report);
    buf_deinit(&text);
    return e == ERR_OK ? INJECTOR_CLEAN : INJECTOR_FAILED;
}

static int write_file(const char *path, struct span text)
{
    FILE *f = fopen(path, "w");
    bool ok = f != NULL && fwrite(text.p, 1, text.n, f) == text.n;
    int error = errno;
    if (f != NULL && fclose(f) != 0)
        ok = false;
    return ok ? INJECTOR_CLEAN : fail(path, strerror(error));
}

/* Two files behind one another are one stream of documents. */
static enum err separate(struct buf *all)
{
    struct span s = buf_span(all);
    if (s.n == 0)
        return ERR_OK;
    return buf_printf(all, s.p[s.n - 1] == '\n' ? "---\n" : "\n---\n");
}

static int inject_files(const struct inject_config *c, const struct injector_options *o)
{
    struct buf all = {0};
    int status = INJECTOR_CLEAN;
    for (unsigned i = 0; i < o->file_count && status == INJECTOR_CLEAN; i++) {
        struct buf one = {0};
        status = inject_file(c, o, o->files[i], &one);
        if (status == INJECTOR_CLEAN && o->in_place)
            status = write_file(o->files[i], buf_span(&one));
        else if (status == INJECTOR_CLEAN &&
                 (separate(&all) != ERR_OK || buf_append(&all, buf_span(&one)) != ERR_OK))
            status = fail(o->files[i], err_info(ERR_NOMEM)->text);
        buf_deinit(&one);
    }
    size_t n = buf_len(&all);
    if (status == INJECTOR_CLEAN && n != 0 &&
        (fwrite(buf_span(&all).p, 1, n, stdout) != n || fflush(stdout) != 0))
        status = fail("standard output", strerror(errno));
    buf_deinit(&all);
    return status;
}

int injector_inject(const struct injector_options *o)
{
    struct inject_config *c = NULL;
    struct buf error = {0};
    enum err e = injector_load_config(o->config, &c, &error);
    int status = e == ERR_CONFIG ? INJECTOR_USAGE : INJECTOR_FAILED;
    if (e == ERR_OK)
        status = inject_files(c, o);
    else
        fprintf(stderr, "bulkhead-injector: %.*s\n", (int)buf_len(&error),
                (const char *)buf_span(&error).p);
    injector_free_config(&c);
    buf_deinit(&error);
    return status;
}
