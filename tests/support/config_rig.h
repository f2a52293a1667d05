/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_rig - one load of a configuration from flags, environment and a file that are all written
 * in one row of a table. FILE is the only file there is.
 */
#ifndef TESTS_CONFIG_RIG_H
#define TESTS_CONFIG_RIG_H

#include "support/support.h"

#include <stdlib.h>

#include "config.h"
#include "support/alloc_fail.h"

enum { WORDS_MAX = 12 };
#define UP "--etcd-upstream", "e"

/* One load, all of it in one row. */
struct load {
    enum config_command command; /* 0 = serve */
    const char *argv[WORDS_MAX];
    const char *env[WORDS_MAX];
    const char *file; /* what FILE holds; NULL: there is no such file */
};

static const char *file_text;

static enum err read_fake(const char *path, struct buf *out, const char **ret_why)
{
    if (file_text == NULL || strcmp(path, "FILE") != 0) {
        *ret_why = "No such file or directory";
        return ERR_CONFIG;
    }
    return buf_append(out, span_str(file_text));
}

static struct config config;
static unsigned long fail_at; /* the nth allocation while loading */

static enum err load(const struct load *from)
{
    char *argv[WORDS_MAX + 1] = {NULL}, *env[WORDS_MAX + 1] = {NULL};
    int argc = 0;
    for (; argc < WORDS_MAX && from->argv[argc] != NULL; argc++)
        argv[argc] = strdup(from->argv[argc]);
    for (int i = 0; i < WORDS_MAX && from->env[i] != NULL; i++)
        env[i] = strdup(from->env[i]);
    file_text = from->file;
    config_deinit(&config);
    struct config_input in = {
        .command = from->command == 0 ? COMMAND_SERVE : from->command,
        .argc = argc,
        .argv = argv,
        .env = env,
        .read_file = read_fake,
    };
    alloc_fail_at = fail_at;
    enum err e = config_load(&config, &in);
    fail_at = alloc_fail_at; /* 0: it failed */
    alloc_fail_at = 0;
    config.command = NULL; /* borrowed argv */
    for (int i = 0; i < WORDS_MAX; i++) {
        free(argv[i]);
        free(env[i]);
    }
    return e;
}

/* A load that fails, and what it says; NULL: anything. */
struct mistake {
    struct load load;
    const char *error;
};

static void expect_mistakes(const struct mistake *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (load(&rows[i].load) != ERR_CONFIG)
            fail_msg("row %zu was taken: %s", i, rows[i].error);
        if (rows[i].error != NULL)
            assert_string_equal(config.error, rows[i].error);
    }
}

#endif
