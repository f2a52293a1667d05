/* SPDX-License-Identifier: Apache-2.0 */
/* injector_main - which command, its flags, its help. */
#include <stdio.h>

#include "base/log.h"
#include "config.h"
#include "injector.h"

static const struct command {
    const char *name;
    enum injector_command id;
    int (*run)(const struct injector_options *o);
    const char *usage, *what;
} commands[] = {
    {"serve", INJECTOR_SERVE, injector_serve,
     "bulkhead-injector serve --config FILE --tls-cert FILE --tls-key FILE [OPTION...]",
     "Answer the API server's admission reviews: put the sidecar into pods that belong\n"
     "to a namespace, and point their programs at it.\n"},
    {"inject", INJECTOR_INJECT, injector_inject,
     "bulkhead-injector inject --config FILE -f FILE... [OPTION...]",
     "Do the same to files of manifests. What is not ours stays as it is, byte for byte.\n"},
    {"check", INJECTOR_CHECK, injector_check, "bulkhead-injector check --config FILE",
     "Say whether the configuration can be used. Exit status 0: yes.\n"},
};

static int help(const struct command *command)
{
    struct buf out = {0};
    enum err e = buf_printf(&out, "usage: %s\n\n%s\n", command->usage, command->what);
    if (e == ERR_OK)
        e = injector_options_help(command->id, &out);
    if (e == ERR_OK)
        fwrite(buf_span(&out).p, 1, buf_len(&out), stdout);
    buf_deinit(&out);
    return e == ERR_OK && fflush(stdout) == 0 ? INJECTOR_CLEAN : INJECTOR_FAILED;
}

static int help_all(void)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("%s%s\n", i == 0 ? "usage: " : "       ", commands[i].usage);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("\n%s\n%s", commands[i].name, commands[i].what);
    printf("\n`bulkhead-injector COMMAND --help` lists its options; bulkhead-injector(1) explains "
           "them.\n");
    return fflush(stdout) == 0 ? INJECTOR_CLEAN : INJECTOR_FAILED;
}

static int run(const struct command *command, int argc, char **argv)
{
    static struct injector_options options;
    struct buf error = {0};
    enum err e = injector_options_parse(command->id, argc, argv, &options, &error);
    if (e != ERR_OK) {
        fprintf(stderr, "bulkhead-injector: %.*s (see `bulkhead-injector %s --help`)\n",
                (int)buf_len(&error), (const char *)buf_span(&error).p, command->name);
        buf_deinit(&error);
        return e == ERR_CONFIG ? INJECTOR_USAGE : INJECTOR_FAILED;
    }
    buf_deinit(&error);
    if (options.version)
        return printf("bulkhead-injector %s\n", BULKHEAD_VERSION) > 0 ? INJECTOR_CLEAN
                                                                      : INJECTOR_FAILED;
    if (options.help)
        return help(command);
    log_set(options.log_level, options.log_format);
    return command->run(&options);
}

int main(int argc, char **argv)
{
    const char *names[ARRAY_LEN(commands)];
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        int status = help_all();
        return argc < 2 ? INJECTOR_USAGE : status;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return printf("bulkhead-injector %s\n", BULKHEAD_VERSION) > 0 ? INJECTOR_CLEAN
                                                                      : INJECTOR_FAILED;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        names[i] = commands[i].name;
        if (strcmp(argv[1], names[i]) == 0)
            return run(&commands[i], argc - 2, argv + 2);
    }
    fprintf(stderr, "bulkhead-injector: unknown command \"%.80s\"; the nearest is %s\n", argv[1],
            config_nearest(span_str(argv[1]), names, ARRAY_LEN(names)));
    return INJECTOR_USAGE;
}
