/* SPDX-License-Identifier: Apache-2.0 */
/* injector_files.c - files, the configuration among them; `check`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "injector.h"

enum err injector_read_file(const char *path, size_t max, struct buf *out, const char **ret_why)
{
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    enum err e = fd < 0 ? ERR_CONFIG : ERR_OK;
    *ret_why = strerror(errno);
    while (e == ERR_OK) {
        e = buf_reserve(out, 64 * 1024);
        if (e != ERR_OK)
            break;
        ssize_t n = read(fd, out->data + out->tail, 64 * 1024);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            *ret_why = strerror(errno);
            e = ERR_CONFIG;
        } else if (n == 0) {
            break;
        } else {
            out->tail += (size_t)n;
        }
        if (e == ERR_OK && buf_len(out) > max) {
            *ret_why = "it is too long";
            e = ERR_CONFIG;
        }
    }
    if (fd >= 0 && !is_stdin)
        close(fd);
    return e;
}

void injector_free_config(struct inject_config **config)
{
    struct inject_config *c = *config;
    *config = NULL;
    if (c == NULL)
        return;
    inject_config_deinit(c);
    free(c);
}

enum err injector_load_config(const char *path, struct inject_config **ret_config,
                              struct buf *ret_error)
{
    struct buf text = {0};
    const char *why;
    struct inject_config *c = calloc(1, sizeof *c);
    enum err e = c == NULL ? ERR_NOMEM : injector_read_file(path, INJECT_FILE_BYTES, &text, &why);
    if (e == ERR_CONFIG) {
        e = buf_printf(ret_error, "%s: %s", path, why);
        e = e == ERR_OK ? ERR_CONFIG : e;
    } else if (e == ERR_OK) {
        e = inject_config_parse(c, buf_span(&text));
        if (e == ERR_CONFIG && buf_printf(ret_error, "%s: %s", path, c->error) != ERR_OK)
            e = ERR_NOMEM;
    }
    buf_deinit(&text);
    if (e != ERR_OK)
        injector_free_config(&c);
    else
        *ret_config = c;
    return e;
}

int injector_check(const struct injector_options *o)
{
    struct inject_config *c = NULL;
    struct buf error = {0};
    enum err e = injector_load_config(o->config, &c, &error);
    if (e != ERR_OK)
        fprintf(stderr, "bulkhead-injector: %.*s\n", (int)buf_len(&error),
                (const char *)buf_span(&error).p);
    else
        printf("%s can be used: image %s, tier %s, %s\n", o->config, c->image,
               inject_tier_name(c->tier),
               c->has_policy ? "with a policy"
                             : "no policy: every Kubernetes namespace may claim anything");
    injector_free_config(&c);
    buf_deinit(&error);
    return e == ERR_OK ? INJECTOR_CLEAN : e == ERR_CONFIG ? INJECTOR_USAGE : INJECTOR_FAILED;
}
