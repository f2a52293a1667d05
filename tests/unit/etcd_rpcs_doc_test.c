/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/etcd-rpcs.md is what the route table says. Where it is not, the test writes the table as it
 * should be to standard output: paste it between the two marks of the page.
 */
#include <stdio.h>
#include <stdlib.h>

#include "support/support.h"

#include "etcd/etcd_call.h"

#define BEGIN "<!-- the table: written by tests/unit/etcd_rpcs_doc_test -->\n"
#define END   "<!-- end of the table -->\n"

enum { PAGE_BYTES = 64 * 1024 };

static const struct {
    struct etcd_rules rules;
    const char *option;
} options[] = {
    {{.compact = ETCD_COMPACT_IGNORE}, "compact: ignore"},
    {{.compact = ETCD_COMPACT_FORWARD}, "compact: forward"},
    {{.mask_status = true}, "status: mask"},
    {{.client_credentials = true}, "credentials: client"},
    {{.is_trusted = true}, "profile: trusted"},
};

static const char *word(const struct etcd_route *r)
{
    switch (r->policy) {
    case ETCD_REWRITE:
        return "rewritten";
    case ETCD_FORWARD:
        return r->request != NULL    ? "forwarded, in part"
               : r->response != NULL ? "forwarded, masked"
                                     : "forwarded";
    case ETCD_LOCAL:
        return "answered here";
    case ETCD_DENY:
        return "denied";
    }
    return "";
}

static const char *kind(const struct etcd_route *r)
{
    return r->client_streams ? "both ways" : r->server_streams ? "answers" : "one call";
}

/* "/etcdserverpb.KV/Range": service by service, methods in the order of the alphabet. */
static int by_path(const void *a, const void *b)
{
    return span_cmp((*(const struct etcd_route *const *)a)->path,
                    (*(const struct etcd_route *const *)b)->path);
}

static void put_row(const struct etcd_route *r, struct buf *out)
{
    static struct etcd_routes routes;
    assert_int_equal(
        buf_printf(out, "| `%s` | %s | %s |", (const char *)r->path.p + 1, kind(r), word(r)),
        ERR_OK);
    const char *between = " ";
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        etcd_routes_init(&routes, &options[i].rules);
        const struct etcd_route *with = etcd_routes_find(&routes, r->path);
        if (strcmp(word(with), word(r)) == 0)
            continue;
        assert_int_equal(buf_printf(out, "%s`%s`: %s", between, options[i].option, word(with)),
                         ERR_OK);
        between = "; ";
    }
    assert_int_equal(buf_printf(out, " |\n"), ERR_OK);
}

static void write_table(struct buf *out)
{
    const struct etcd_route *sorted[ETCD_ROUTES_MAX];
    size_t n;
    const struct etcd_route *table = etcd_route_table(&n);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &table[i];
    qsort(sorted, n, sizeof(const struct etcd_route *), by_path);
    assert_int_equal(buf_printf(out, "| method | streams | what happens | with an option |\n"
                                     "|---|---|---|---|\n"),
                     ERR_OK);
    for (size_t i = 0; i < n; i++)
        put_row(sorted[i], out);
}

static void the_page_says_what_the_table_does(void **state)
{
    (void)state;
    static char page[PAGE_BYTES];
    struct buf want = {0};
    write_table(&want);
    char path[4096];
    const char *dir = getenv("SOURCE_DIR");
    if (dir == NULL) /* started by hand */
        skip();
    snprintf(path, sizeof path, "%s/docs/etcd-rpcs.md", dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(page, 1, sizeof page - 1, f);
    fclose(f);
    page[n] = '\0';
    const char *begin = strstr(page, BEGIN), *end = strstr(page, END);
    assert_non_null(begin);
    assert_non_null(end);
    begin += strlen(BEGIN);
    bool same = span_eq(span_of(begin, (size_t)(end - begin)), buf_span(&want));
    if (!same)
        printf("%.*s", (int)buf_len(&want), (const char *)buf_span(&want).p);
    buf_deinit(&want);
    if (!same)
        fail_msg("docs/etcd-rpcs.md does not show the route table; it is printed above");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_page_says_what_the_table_does)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
