/* SPDX-License-Identifier: Apache-2.0 */
/* main - which command, its configuration, its help. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd.h"

static const struct command {
    const char *name;
    enum config_command id;
    int (*run)(const struct config *c);
    const char *usage, *what;
} commands[] = {
    {"serve", COMMAND_SERVE, cmd_serve, "bulkhead [serve] [OPTION...]",
     "Give a pod its own slice of a shared etcd and NATS: listen where its programs\n"
     "look, and move every key, subject, lease and reply into the namespace and back.\n"},
    {"run", COMMAND_RUN, cmd_run, "bulkhead run [OPTION...] -- CMD [ARG...]",
     "Start a sidecar on free ports, and CMD with ETCD_ENDPOINTS, ETCDCTL_ENDPOINTS,\n"
     "NATS_SERVER, NATS_URL and DYNAMO_NAMESPACE pointing at it. Signals are passed\n"
     "on; the exit status is that of CMD.\n"},
    {"check", COMMAND_CHECK, cmd_check, "bulkhead check [OPTION...]",
     "Load the configuration, print every value with where it comes from, and how keys\n"
     "and subjects of the namespace are stored. Starts nothing.\n"},
    {"health", COMMAND_HEALTH, cmd_health, "bulkhead health [--live] [--health-listen ADDR]",
     "Ask a running sidecar whether it is ready, print its answer. Exit status 0: yes.\n"},
    {"wait", COMMAND_WAIT, cmd_wait,
     "bulkhead wait [--stores] [--timeout-ms MS] [--health-listen ADDR]",
     "Wait until a sidecar listens, for a container's postStart hook. Exit status 0:\n"
     "it does; 1: not in time.\n"},
    {"drain", COMMAND_DRAIN, cmd_drain, "bulkhead drain [--admin-listen ADDR]",
     "Tell a running sidecar to drain, as SIGTERM does. Exit status 0: it does.\n"},
    {"redirect", COMMAND_REDIRECT, cmd_redirect, "bulkhead redirect [OPTION...]",
     "Install the rules that redirect a pod's connections to stores to its sidecar, and\n"
     "prove them. Needs the capability NET_ADMIN and the pod's network namespace, so it\n"
     "is for an init container. Can be run again.\n"},
    {"gc", COMMAND_GC, cmd_gc, "bulkhead gc [--dry-run] [OPTION...]",
     "Remove a namespace that is over from the store's registry, if it holds no key and\n"
     "no lease, and no sidecar of it objects. Exit status 0: it is removed; 1: it is\n"
     "not, and standard output says why.\n"},
};

static int help(const struct command *command)
{
    struct buf out = {0};
    enum err e = buf_printf(&out, "usage: %s\n\n%s\n", command->usage, command->what);
    if (e == ERR_OK)
        e = buf_printf(&out, "Options. Each can also be given as a variable, or as a key of the "
                             "--config file.\nFlags win over variables, variables over the file.\n"
                             "\n");
    if (e == ERR_OK)
        e = config_help(command->id, &out);
    if (e == ERR_OK)
        fwrite(buf_span(&out).p, 1, buf_len(&out), stdout);
    buf_deinit(&out);
    return e == ERR_OK && fflush(stdout) == 0 ? CMD_CLEAN : CMD_FAILED;
}

static int help_all(void)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("%s%s\n", i == 0 ? "usage: " : "       ", commands[i].usage);
    printf("       bulkhead --version | --help\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("\n%s\n%s", commands[i].name, commands[i].what);
    printf("\n`bulkhead COMMAND --help` lists its options; bulkhead(1) explains them.\n");
    return fflush(stdout) == 0 ? CMD_CLEAN : CMD_FAILED;
}

/* The command that argv[1] names, `serve` if it is an option or nothing; NULL if unknown. */
static const struct command *find(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-')
        return &commands[0];
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *word)
{
    const char *names[ARRAY_LEN(commands)];
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        names[i] = commands[i].name;
    fprintf(stderr,
            "bulkhead: unknown command \"%.80s\"; the nearest is %s (see `bulkhead --help`)\n",
            word, config_nearest(span_str(word), names, ARRAY_LEN(names)));
    return CMD_USAGE;
}

static int run(const struct command *command, struct config *c, int argc, char **argv)
{
    const struct config_input in = {
        .command = command->id,
        .argc = argc,
        .argv = argv,
        .env = environ,
        .read_file = config_read_file,
    };
    enum err e = config_load(c, &in);
    if (e != ERR_OK) {
        fprintf(stderr, "bulkhead: %s\n", e == ERR_CONFIG ? c->error : err_info(e)->text);
        return e == ERR_CONFIG ? CMD_USAGE : CMD_FAILED;
    }
    if (c->version)
        return printf("bulkhead %s\n", BULKHEAD_VERSION) > 0 ? CMD_CLEAN : CMD_FAILED;
    if (c->help)
        return help(command);
    log_set(c->log_level, c->log_format);
    return command->run(c);
}

int main(int argc, char **argv)
{
    static struct config config;
    bool alone = argc == 2;
    if (alone && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return help_all();
    const struct command *command = find(argc, argv);
    if (command == NULL)
        return unknown_command(argv[1]);
    int skip = argc < 2 || argv[1][0] == '-' ? 1 : 2;
    int status = run(command, &config, argc - skip < 0 ? 0 : argc - skip, argv + skip);
    config_deinit(&config);
    return status;
}
