/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_fuzz - the first byte says where the rest goes: the file, flags, or the environment (words
 * end at NUL bytes). Laws: an error has a text that prints; what is taken is a legal namespace.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { WORDS_MAX = 16 };

static struct config config;
static struct span file_bytes;

static enum err read_bytes(const char *path, struct buf *out, const char **ret_why)
{
    (void)path;
    (void)ret_why;
    return buf_append(out, file_bytes);
}

/* Cuts bytes, which end in NUL, into words; returns how many. */
static int cut_words(char *bytes, size_t n, char **words)
{
    int count = 0;
    for (size_t i = 0; i < n && count < WORDS_MAX; i += strlen(bytes + i) + 1)
        words[count++] = bytes + i;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    char with_file[] = "--config=f", *flags[WORDS_MAX + 1] = {with_file}, *env[WORDS_MAX + 1] = {0};
    int argc = 1;
    char *bytes = malloc(n);
    CHECK(bytes != NULL);
    memcpy(bytes, data + 1, n - 1);
    bytes[n - 1] = '\0';
    file_bytes = SPAN_NONE;
    if (data[0] % 3 == 0)
        file_bytes = span_of(data + 1, n - 1);
    else if (data[0] % 3 == 1)
        argc = cut_words(bytes, n, flags);
    else
        cut_words(bytes, n, env);
    struct config_input in = {
        .command = (enum config_command)(1 << data[0] / 3 % 7),
        .argc = argc,
        .argv = flags,
        .env = env,
        .read_file = read_bytes,
    };
    enum err e = config_load(&config, &in);
    if (e == ERR_CONFIG) {
        CHECK(config.error[0] != '\0');
    } else if (e == ERR_OK && !config.help && !config.version) {
        struct ns_path again;
        CHECK(ns_path_parse(span_str(config.ns.text), '/', &again, NULL) == ERR_OK);
        CHECK(ns_path_equal(&again, &config.ns));
    }
    config_deinit(&config);
    free(bytes);
    return 0;
}
