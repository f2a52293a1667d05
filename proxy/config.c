/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - the order of the sources: strongest first, so that a weaker one is never even read
 * where a stronger one spoke.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_option.h"
#include "limit.h"

const struct option_row option_table[OPTION_COUNT] = {
#define OPTION(id, name, env, value, fallback, commands, traits, set, help)                        \
    [OPTION_##id] = {name, env, value, fallback, commands, traits, help},
#include "config.def"
#undef OPTION
};

static enum err append_item(struct config_loader *l, enum option o, struct span item)
{
    struct option_value *v = &l->value[o];
    if (v->n == OPTION_ITEMS_MAX)
        return config_fail_item(l, o, item, "there are more values than one list may hold");
    v->item[v->n++] = item;
    return ERR_OK;
}

enum err config_take(struct config_loader *l, enum option o, struct option_origin origin,
                     struct span text, bool split)
{
    struct option_value *v = &l->value[o];
    if (v->is_set && v->source > origin.source)
        return ERR_OK;
    v->is_set = true;
    v->source = origin.source;
    v->variable = origin.variable;
    if ((option_table[o].traits & TRAIT_LIST) == 0 || !split)
        return append_item(l, o, text);
    struct span rest = text;
    for (;;) {
        const uint8_t *comma = rest.n == 0 ? NULL : memchr(rest.p, ',', rest.n);
        struct span item = comma == NULL ? rest : span_head(rest, (size_t)(comma - rest.p));
        if (item.n == 0)
            return config_fail_item(l, o, text, "the list has an empty item");
        enum err e = append_item(l, o, item);
        if (e != ERR_OK || comma == NULL)
            return e;
        rest = span_skip(rest, item.n + 1);
    }
}

/* What the command, or another option, changes about the defaults of config.def. */
static const char *default_of(const struct config_loader *l, enum option o)
{
    const struct option_value *mode = &l->value[OPTION_DRAIN_MODE];
    bool is_run = l->in->command == COMMAND_RUN;
    if (is_run && (o == OPTION_ETCD_LISTEN || o == OPTION_NATS_LISTEN))
        return "127.0.0.1:0"; /* somebody else may have the usual ports of this machine */
    if ((is_run || l->in->command == COMMAND_GC) && o == OPTION_LOG_LEVEL)
        return "warn"; /* standard error is the command's too */
    if (l->in->command == COMMAND_REDIRECT && o == OPTION_INTERCEPT_LISTEN)
        return "127.0.0.1:15379,[::1]:15379";
    if (o == OPTION_DRAIN_MS && mode->is_set && span_eq(mode->item[0], SPAN_LIT("classic")))
        return "25000"; /* 5 s below Kubernetes' usual grace period */
    return option_table[o].fallback;
}

static enum err take_defaults(struct config_loader *l)
{
    for (enum option o = 0; o < OPTION_COUNT; o++) {
        const char *text = default_of(l, o);
        if (text == NULL || l->value[o].is_set)
            continue;
        enum err e = config_take(l, o, (struct option_origin){SOURCE_DEFAULT, NULL}, span_str(text),
                                 true);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

/* The file's path is itself an option; its bytes stay in *text and *document. */
static enum err take_file(struct config_loader *l, struct buf *text, void **document)
{
    const struct option_value *v = &l->value[OPTION_CONFIG];
    if (!v->is_set)
        return ERR_OK;
    char where[160];
    const char *path = (const char *)v->item[0].p, *why = "";
    enum err e = l->in->read_file(path, text, &why);
    if (e == ERR_CONFIG)
        return config_fail(l, "%s \"%s\": %s", config_origin(l, OPTION_CONFIG, where, sizeof where),
                           path, why);
    if (e != ERR_OK)
        return e;
    l->file = l->c->file = path;
    return config_take_file(l, buf_span(text), document);
}

static enum err load_rest(struct config_loader *l)
{
    struct buf text = {0};
    void *document = NULL;
    enum err e = config_take_env(l);
    if (e == ERR_OK)
        e = take_file(l, &text, &document);
    if (e == ERR_OK)
        e = config_take_dynamo(l);
    if (e == ERR_OK)
        e = take_defaults(l);
    if (e == ERR_OK)
        e = config_set_all(l);
    config_note_values(l);
    if (e == ERR_OK && (l->in->command & (COMMAND_CHECK | COMMAND_SERVE | COMMAND_RUN)) != 0)
        e = config_list_effective(l);
    config_file_free(document);
    buf_deinit(&text);
    return e;
}

enum err config_load(struct config *c, const struct config_input *in)
{
    *c = (struct config){.ready_fd = -1, .input = *in};
    struct config_loader l = {.c = c, .in = in, .separator = '/'};
    enum err e = config_take_flags(&l);
    if (e != ERR_OK || c->help || c->version)
        return e;
    return load_rest(&l);
}

void config_deinit(struct config *c)
{
    buf_deinit(&c->text);
    buf_deinit(&c->effective);
}

static enum err read_all(int fd, struct buf *out, const char **ret_why)
{
    for (;;) {
        enum err e = buf_reserve(out, 4096);
        if (e != ERR_OK)
            return e;
        ssize_t n = read(fd, out->data + out->tail, 4096);
        if (n < 0) {
            *ret_why = strerror(errno);
            return ERR_CONFIG;
        }
        if (n == 0)
            return ERR_OK;
        out->tail += (size_t)n;
        if (buf_len(out) > LIMIT_CONFIG_BYTES) {
            *ret_why = "the file is longer than 256 KiB";
            return ERR_CONFIG;
        }
    }
}

enum err config_read_file(const char *path, struct buf *out, const char **ret_why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        *ret_why = strerror(errno);
        return ERR_CONFIG;
    }
    struct stat st;
    enum err e = ERR_CONFIG;
    if (fstat(fd, &st) != 0)
        *ret_why = strerror(errno);
    else if (!S_ISREG(st.st_mode)) /* a FIFO or a terminal would make the start wait */
        *ret_why = "this is not a regular file";
    else
        e = read_all(fd, out, ret_why);
    close(fd);
    return e;
}
