/* SPDX-License-Identifier: Apache-2.0 */
#include "args.h"

#include "net.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t read_number(const char *name, const char *text, uint64_t max, const char **ret_end)
{
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (end == text || errno != 0 || v > max || text[0] == '-') {
        die("%s: '%s' is no number up to %llu", name, text, (unsigned long long)max);
    }
    *ret_end = end;
    return v;
}

static void read_pids(const char *name, const char *text, struct pids *p)
{
    while (*text != '\0') {
        if (p->n == ARGS_PIDS_MAX) {
            die("%s: more than %d", name, ARGS_PIDS_MAX);
        }
        p->pid[p->n++] = (int)read_number(name, text, INT_MAX, &text);
        if (*text == ',') {
            text++;
        }
    }
}

static void usage(const struct arg *table, const char *program)
{
    (void)fprintf(stderr, "usage: %s", program);
    for (const struct arg *a = table; a->name != NULL; a++) {
        (void)fprintf(stderr, "\n  %-14s %s", a->name, a->help);
    }
    die("%s", "");
}

static void set_value(const struct arg *a, const char *value)
{
    const char *end = "";
    if (a->text != NULL) {
        *a->text = value;
    } else if (a->pids != NULL) {
        read_pids(a->name, value, a->pids);
    } else {
        *a->number = read_number(a->name, value, a->max, &end);
    }
    if (*end != '\0') {
        die("%s: '%s' has something after the number", a->name, value);
    }
}

void args_read(const struct arg *table, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const struct arg *a = table;
        while (a->name != NULL && strcmp(a->name, argv[i]) != 0) {
            a++;
        }
        if (a->name == NULL || i + 1 == argc) {
            usage(table, argv[0]);
        }
        set_value(a, argv[i + 1]);
    }
}
