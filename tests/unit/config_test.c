/* SPDX-License-Identifier: Apache-2.0 */
/* config: every error text, the order of the sources, and documents that may not rot. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>

#include "config_option.h"
#include "limit.h"
#include "support/config_rig.h"

/* ---- errors ---- */

static const struct mistake bads[] = {
    /* namespaces */
    {{.argv = {"--namespace", "llama//b", UP}},
     "--namespace \"llama//b\": at byte 6: empty segment; write names between single separators, "
     "none at the start or the end"},
    {{.argv = {"--namespace", "a b", UP}},
     "--namespace \"a b\": at byte 1: illegal byte; a segment holds only A-Z a-z 0-9 . _ -"},
    {{.argv = {"--namespace", "a\n", UP}},
     "--namespace \"a\\x0a\": at byte 1: illegal byte; a segment holds only A-Z a-z 0-9 . _ -"},
    {{.argv = {UP}, .env = {"BULKHEAD_NAMESPACE=/a"}},
     "BULKHEAD_NAMESPACE \"/a\": at byte 0: empty segment; write names between single separators, "
     "none at the start or the end"},
    {{.argv = {UP}, .env = {"DYN_NAMESPACE=a/b/c/d/e"}},
     "DYN_NAMESPACE \"a/b/c/d/e\": at byte 8: path too deep; at most 4 segments"},
    {{.argv = {UP, "--config", "FILE"}, .file = "{\"namespace\": \".a\"}"},
     "FILE: \"namespace\" \".a\": at byte 0: a segment may not start with '.'"},
    {{.argv = {UP, "--namespace-separator", ":"}},
     "--namespace-separator \":\": the separator is / or ."},
    /* flags */
    {{.argv = {"--namspace", "a"}},
     "unknown flag --namspace; the nearest is --namespace (see `bulkhead serve --help`)"},
    {{.argv = {"--etcd-upstraem=e"}},
     "unknown flag --etcd-upstraem; the nearest is --etcd-upstream (see `bulkhead serve --help`)"},
    {{.argv = {"--\x01"}}, NULL},
    {{.command = COMMAND_HEALTH, .argv = {"--lvie"}},
     "unknown flag --lvie; the nearest is --live (see `bulkhead health --help`)"},
    {{.argv = {"--namespace"}}, "--namespace needs a value: --namespace PATH"},
    {{.argv = {"--namespace", "--view", "own"}}, "--namespace needs a value: --namespace PATH"},
    {{.argv = {"--namespace=a", "--namespace=b"}}, "--namespace is given twice"},
    {{.argv = {"--help=yes"}}, "--help takes no value"},
    {{.argv = {"--dyn-namespace", "keep"}},
     "--dyn-namespace is not a flag of `bulkhead serve` but of `bulkhead run`"},
    {{.argv = {"--live"}}, "--live is not a flag of `bulkhead serve` but of `bulkhead health`"},
    {{.command = COMMAND_HEALTH, .argv = {UP}},
     "--etcd-upstream is not a flag of `bulkhead health` but of `bulkhead serve`"},
    {{.argv = {"--nats-password", "x"}},
     "--nats-password is not taken from the command line, which every process of this machine can "
     "read: set BULKHEAD_NATS_PASSWORD, or \"nats-password\" in the --config file"},
    {{.argv = {"-namespace", "a"}},
     "\"-namespace\": `bulkhead serve` takes options only, and each begins with --"},
    {{.argv = {UP, "x"}}, "\"x\": `bulkhead serve` takes options only, and each begins with --"},
    {{.argv = {UP, "--", "x"}},
     "\"x\": `bulkhead serve` takes options only, and each begins with --"},
    /* run */
    {{.command = COMMAND_RUN, .argv = {UP}},
     "there is no command to run: bulkhead run [OPTION...] -- CMD [ARG...]"},
    {{.command = COMMAND_RUN, .argv = {UP, "--"}},
     "there is no command to run: bulkhead run [OPTION...] -- CMD [ARG...]"},
    {{.command = COMMAND_RUN, .argv = {UP, "python3"}},
     "\"python3\": write -- before the command: bulkhead run [OPTION...] -- python3"},
    {{.command = COMMAND_RUN, .argv = {UP, "--dyn-namespace", "x", "--", "y"}},
     "--dyn-namespace \"x\": dynamo or keep is possible"},
    /* environment */
    {{.argv = {UP}, .env = {"BULKHEAD_NAMESPCE=a"}},
     "unknown environment variable BULKHEAD_NAMESPCE; the nearest is BULKHEAD_NAMESPACE"},
    {{.argv = {UP}, .env = {"BULKHEAD_LOG_LEVEL=loud"}},
     "BULKHEAD_LOG_LEVEL \"loud\": the level is error, warn, info or debug"},
    /* file */
    {{.argv = {"--config", "NONE"}}, "--config \"NONE\": No such file or directory"},
    {{.env = {"BULKHEAD_CONFIG=NONE"}}, "BULKHEAD_CONFIG \"NONE\": No such file or directory"},
    {{.argv = {"--config=FILE"}, .file = ""}, "FILE:1:1: this is not JSON"},
    {{.argv = {"--config=FILE"}, .file = "{\n  \"view\": own\n}"}, "FILE:2:11: this is not JSON"},
    {{.argv = {"--config=FILE"}, .file = "{} {}"}, "FILE:1:4: something follows the JSON object"},
    {{.argv = {"--config=FILE"}, .file = "[]"},
     "FILE:1:1: the file is not a JSON object: { \"namespace\": ..., ... }"},
    {{.argv = {"--config=FILE"}, .file = "{\n  \"etcd_upstream\": \"e\"\n}"},
     "FILE:2:3: unknown key \"etcd_upstream\"; the nearest is \"etcd-upstream\""},
    {{.argv = {"--config=FILE"}, .file = "{\"Namespace\": \"a\"}"},
     "FILE:1:2: unknown key \"Namespace\"; the nearest is \"namespace\""},
    {{.argv = {"--config=FILE"}, .file = "{\"config\": \"a\"}"},
     "FILE:1:2: unknown key \"config\"; the nearest is \"profile\""},
    {{.argv = {"--config=FILE"}, .file = "{\"view\": \"own\",\n\"view\": \"own\"}"},
     "FILE:2:1: the key \"view\" stands twice"},
    {{.argv = {"--config=FILE"}, .file = "{\"namespace\": \"a\\u0000b\"}"},
     "FILE:1:17: a NUL is not possible here"},
    {{.argv = {"--config=FILE"}, .file = "{\"namespace\": 5}"},
     "FILE: \"namespace\": the value is not a string"},
    {{.argv = {"--config=FILE"}, .file = "{\"namespace\": [\"a\"]}"},
     "FILE: \"namespace\": the value is not a string"},
    {{.argv = {"--config=FILE"}, .file = "{\"etcd-upstream\": {}}"},
     "FILE: \"etcd-upstream\": the value is neither a string nor an array of strings"},
    {{.argv = {"--config=FILE"}, .file = "{\"etcd-upstream\": [1]}"},
     "FILE: \"etcd-upstream\": the value is neither a string nor an array of strings"},
    {{.argv = {"--config=FILE"}, .file = "{\"max-connections\": 1.5}"},
     "FILE: \"max-connections\": the value is not a whole number"},
    {{.argv = {"--config=FILE"}, .file = "{\"max-connections\": \"1\"}"},
     "FILE: \"max-connections\": the value is not a whole number"},
    {{.argv = {"--config=FILE"}, .file = "{\"max-connections\": 1e300}"},
     "FILE: \"max-connections\": the value is not a whole number"},
    {{.argv = {UP, "--config=FILE"}, .file = "{\"etcd-listen\": []}"},
     "FILE: \"etcd-listen\": the list is empty; name an address to listen on"},
    /* what this version does not have */
    {{.argv = {UP, "--profile", "open"}}, "--profile \"open\": the profile is strict or trusted"},
    {{.argv = {UP, "--compact", "maybe"}},
     "--compact \"maybe\": deny, ignore or forward is possible"},
    {{.argv = {UP, "--status=hide"}}, "--status \"hide\": forward or mask is possible"},
    {{.argv = {UP, "--credentials=none"}}, "--credentials \"none\": sidecar or client is possible"},
    {{.argv = {UP, "--lease-markers=1"}}, "--lease-markers \"1\": auto, on or off is possible"},
    {{.argv = {"--etcd-upstream", "http://e", "--etcd-ca=c"}},
     "etcd-ca, etcd-cert or etcd-server-name is given, but every etcd-upstream is http://; write "
     "https://, or leave them out"},
    {{.argv = {UP, "--nats-cert=c"}},
     "nats-cert and nats-key belong together; nats-key is missing"},
    {{.argv = {UP, "--etcd-listen-key=k"}},
     "etcd-listen-cert and etcd-listen-key belong together; etcd-listen-cert is missing"},
    {{.argv = {UP, "--nats-listen-ca=c"}},
     "nats-listen-ca is given without nats-listen-cert: applications would not be asked for "
     "theirs"},
    {{.argv = {UP, "--etcd-listen-ca=c"}},
     "etcd-listen-ca is given without etcd-listen-cert: applications would not be asked for "
     "theirs"},
    {{.argv = {UP, "--nats-tls=never"}}, "--nats-tls \"never\": auto or first is possible"},
    {{.argv = {"--nats-upstream", "https://n"}},
     "--nats-upstream \"https://n\": the scheme of a NATS server is nats or tls"},
    {{.argv = {UP, "--admin-listen", ":1"}},
     "--admin-listen \":1\": only this pod may reach it; write unix:PATH or 127.0.0.1:PORT"},
    /* addresses */
    {{.argv = {NULL}},
     "there is no upstream: give --etcd-upstream, --nats-upstream or both, for example "
     "--etcd-upstream 10.0.0.5:2379"},
    {{.argv = {"--etcd-upstream", "e:70000"}},
     "--etcd-upstream \"e:70000\": the port is not a number from 0 to 65535"},
    {{.argv = {"--etcd-upstream", "e:0"}}, "--etcd-upstream \"e:0\": a server has no port 0"},
    {{.argv = {"--etcd-upstream", ""}}, "--etcd-upstream \"\": the list has an empty item"},
    {{.argv = {"--etcd-upstream", "a,,b"}}, "--etcd-upstream \"a,,b\": the list has an empty item"},
    {{.argv = {"--etcd-upstream", "nats://e"}},
     "--etcd-upstream \"nats://e\": the scheme of an etcd server is http or https"},
    {{.argv = {"--etcd-upstream", "http://secret@e"}},
     "--etcd-upstream \"http://***@e\": a user of etcd has a password: https://user:password@host"},
    {{.argv = {"--etcd-upstream", "http://u:secret@e,http://u:other@f"}},
     "the URLs of etcd-upstream name different users or passwords; the servers of one cluster have "
     "the same"},
    {{.argv = {"--etcd-upstream", "http://u:secret@e", "--credentials", "client"}},
     "etcd-user and credentials \"client\" exclude each other: a call has one token; leave one "
     "out"},
    {{.argv = {UP, "--etcd-user", "u"}},
     "etcd-user and etcd-password belong together; etcd-password is missing"},
    {{.argv = {UP}, .env = {"BULKHEAD_ETCD_PASSWORD=p"}},
     "etcd-user and etcd-password belong together; etcd-user is missing"},
    {{.argv = {UP, "--etcd-password", "x"}},
     "--etcd-password is not taken from the command line, which every process of this machine can "
     "read: set BULKHEAD_ETCD_PASSWORD, or \"etcd-password\" in the --config file"},
    {{.argv = {"--nats-upstream", "http://n"}},
     "--nats-upstream \"http://n\": the scheme of a NATS server is nats or tls"},
    {{.argv = {"--nats-upstream", "nats://u:secret@n:0"}},
     "--nats-upstream \"nats://***@n:0\": a server has no port 0"},
    {{.argv = {UP, "--etcd-listen", "localhost"}},
     "--etcd-listen \"localhost\": there is no port; write HOST:PORT, port 0 = any free one"},
    {{.argv = {UP, "--etcd-listen", "http://127.0.0.1:1"}},
     "--etcd-listen \"http://127.0.0.1:1\": an address to listen on has no scheme; write "
     "HOST:PORT, [IPV6]:PORT or unix:PATH"},
    {{.argv = {UP, "--nats-listen", "u@127.0.0.1:1"}},
     "--nats-listen \"***@127.0.0.1:1\": an address to listen on has no user"},
    {{.argv = {"--etcd-upstream", "localhost:2379"}},
     "--etcd-upstream \"localhost:2379\": the sidecar itself listens there; choose another port "
     "with --etcd-listen"},
    {{.argv = {"--nats-upstream", "n:1", "--nats-listen", "n:1"}},
     "--nats-upstream \"n:1\": the sidecar itself listens there; choose another port with "
     "--nats-listen"},
    /* the rest */
    {{.argv = {UP, "--max-connections", "-1"}},
     "--max-connections \"-1\": a whole number from 0 to 8192 is possible"},
    {{.argv = {UP, "--max-connections", "8193"}},
     "--max-connections \"8193\": a whole number from 0 to 8192 is possible"},
    {{.argv = {UP, "--nats-max-control-line", "4095"}},
     "--nats-max-control-line \"4095\": a whole number from 4096 to 32000 is possible"},
    {{.argv = {UP, "--nats-max-control-line", "32001"}},
     "--nats-max-control-line \"32001\": a whole number from 4096 to 32000 is possible"},
    {{.argv = {UP, "--drain-ms", "5s"}},
     "--drain-ms \"5s\": a whole number from 0 to 3600000 is possible"},
    {{.argv = {UP, "--ready-fd", "x"}},
     "--ready-fd \"x\": a whole number from 0 to 65535 is possible"},
    {{.argv = {UP, "--log-format", "xml"}}, "--log-format \"xml\": the format is logfmt or json"},
    {{.argv = {UP, "--key-root", ""}}, "--key-root \"\": 1 to 64 bytes are possible"},
    {{.argv = {UP, "--key-root", "a b"}},
     "--key-root \"a b\": only printable ASCII without blanks is possible"},
    {{.argv = {UP, "--subject-root", "a.b"}},
     "--subject-root \"a.b\": one NATS token is possible, without . * > blanks, not beginning with "
     "$ or _"},
    {{.argv = {UP}, .env = {"BULKHEAD_NATS_USER=u"}},
     "nats-user and nats-password belong together; nats-password is missing"},
    {{.argv = {UP, "--nats-user=u"}, .env = {"BULKHEAD_NATS_TOKEN=t"}},
     "nats-token and nats-user exclude each other; leave one out"},
    {{.argv = {UP, "--nats-user=u", "--nats-creds=/f"}},
     "nats-creds excludes nats-user, passwords and tokens; leave it or them out"},
    {{.argv = {UP, "--nats-token-file=/f"}, .env = {"BULKHEAD_NATS_TOKEN=t"}},
     "a secret and its -file exclude each other; leave one out"},
    {{.argv = {UP, "--nats-password-file=/f"}},
     "nats-user and nats-password belong together; nats-user is missing"},
    {{.command = COMMAND_HEALTH, .argv = {NULL}},
     "which sidecar? name its health listener with --health-listen ADDR or "
     "BULKHEAD_HEALTH_LISTEN"},
};

static void every_mistake_has_a_text_that_says_what_where_and_what_would_be_right(void **state)
{
    (void)state;
    expect_mistakes(bads, ARRAY_LEN(bads));
}

static void secrets_are_in_no_error_text(void **state)
{
    (void)state;
    static char password[] = "BULKHEAD_NATS_PASSWORD=hunter2-"
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_int_equal(load(&(struct load){.argv = {UP}, .env = {password}}), ERR_CONFIG);
    assert_string_equal(config.error,
                        "BULKHEAD_NATS_PASSWORD \"***\": 1 to 255 bytes are possible");
    struct load url = {.argv = {"--nats-upstream", "nats://hunter2:hunter2@n:99999"}};
    assert_int_equal(load(&url), ERR_CONFIG);
    assert_null(strstr(config.error, "hunter2"));
}

/* ---- values ---- */

static void defaults_are_those_of_the_design(void **state)
{
    (void)state;
    char text[ADDR_TEXT_BYTES];
    assert_int_equal(load(&(struct load){.argv = {UP}}), ERR_OK);
    assert_string_equal(ns_path_name(&config.ns), "default");
    assert_string_equal(config.key_root, "bh/");
    assert_string_equal(config.subject_root, "bh");
    assert_int_equal(config.etcd_listen.n, 2);
    assert_string_equal(addr_print(&config.etcd_listen.a[0], text), "127.0.0.1:2379");
    assert_string_equal(addr_print(&config.etcd_listen.a[1], text), "[::1]:2379");
    assert_string_equal(addr_print(&config.nats_listen.a[0], text), "127.0.0.1:4222");
    assert_string_equal(addr_print(&config.etcd_upstream.a[0], text), "e:2379");
    assert_int_equal(config.nats_upstream.n, 0);
    assert_int_equal(config.health_listen.n, 0);
    assert_int_equal(config.requests.n, ARRAY_LEN(subject_map_default_requests));
    for (unsigned i = 0; i < config.requests.n; i++)
        assert_span_equal(config.requests.item[i], subject_map_default_requests[i]);
    assert_int_equal(config.events.n, ARRAY_LEN(subject_map_default_events));
    for (unsigned i = 0; i < config.events.n; i++)
        assert_span_equal(config.events.item[i], subject_map_default_events[i]);
    assert_int_equal(config.streams.n, 2);
    assert_span_equal(config.streams.item[0], SPAN_LIT("OBJ_*"));
    assert_span_equal(config.streams.item[1], SPAN_LIT("*-kv-events"));
    assert_int_equal(config.max_connections, LIMIT_CONNECTIONS);
    assert_int_equal(config.nats_control_line, 4096);
    assert_int_equal(config.drain_ms, 1500);
    assert_false(config.drain_is_classic);
    assert_int_equal(config.intercept_listen.n, 0);
    assert_int_equal(config.etcd_ports.p[0], 2379);
    assert_int_equal(config.nats_ports.p[0], 4222);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_int_equal(config.log_format, LOG_LOGFMT);
    assert_int_equal(config.ready_fd, -1);
}

static void run_takes_free_ports_unless_told_otherwise(void **state)
{
    (void)state;
    char text[ADDR_TEXT_BYTES];
    struct load run = {.command = COMMAND_RUN, .argv = {UP, "--", "true", "--namespace"}};
    assert_int_equal(load(&run), ERR_OK);
    assert_int_equal(config.etcd_listen.n, 1);
    assert_string_equal(addr_print(&config.etcd_listen.a[0], text), "127.0.0.1:0");
    assert_false(config.keep_dyn_namespace);
    /* A server of this machine on the usual port is no loop then. */
    run = (struct load){
        .command = COMMAND_RUN,
        .argv = {"--etcd-upstream=localhost:2379", "--dyn-namespace=keep", "--", "x"},
        .env = {"BULKHEAD_ETCD_LISTEN=127.0.0.1:1"}};
    assert_int_equal(load(&run), ERR_OK);
    assert_string_equal(addr_print(&config.etcd_listen.a[0], text), "127.0.0.1:1");
    assert_true(config.keep_dyn_namespace);
}

/* One bit a source; the strongest that is set decides. */
static void the_strongest_source_wins_in_every_combination(void **state)
{
    (void)state;
    for (unsigned set = 0; set < 8; set++) {
        struct load one = {.argv = {UP, "--config=FILE"}, .file = "{}"};
        if (set & 1)
            one.file = "{\"log-level\": \"error\", \"etcd-listen\": [\"f:1\", \"f:2\"]}";
        if (set & 2) {
            one.env[0] = "BULKHEAD_LOG_LEVEL=warn";
            one.env[1] = "BULKHEAD_ETCD_LISTEN=e:1,e:2,e:3";
        }
        if (set & 4) {
            one.argv[3] = "--log-level=debug";
            one.argv[4] = "--etcd-listen=a:1,a:2";
            one.argv[5] = "--etcd-listen=a:3,a:4";
        }
        assert_int_equal(load(&one), ERR_OK);
        static const enum log_level level[] = {LOG_INFO,  LOG_ERROR, LOG_WARN,  LOG_WARN,
                                               LOG_DEBUG, LOG_DEBUG, LOG_DEBUG, LOG_DEBUG};
        static const unsigned listens[] = {2, 2, 3, 3, 4, 4, 4, 4};
        assert_int_equal(config.log_level, level[set]);
        assert_int_equal(config.etcd_listen.n, listens[set]);
    }
}

/* design.md 2.4, strongest first: flag, variable, file, DYNAMO_NAMESPACE, DYN_NAMESPACE. */
static void the_namespace_comes_from_the_first_place_that_names_one(void **state)
{
    (void)state;
    for (unsigned set = 0; set < 32; set++) {
        struct load one = {.argv = {UP, "--config=FILE"}, .file = "{}"};
        unsigned variables = 0;
        if (set & 1)
            one.env[variables++] = "DYN_NAMESPACE=dyn";
        if (set & 2)
            one.env[variables++] = "DYNAMO_NAMESPACE=dynamo-ns";
        if (set & 4)
            one.file = "{\"namespace\": \"file\"}";
        if (set & 8)
            one.env[variables++] = "BULKHEAD_NAMESPACE=variable";
        if (set & 16)
            one.argv[3] = "--namespace=flag";
        const char *want = set & 16  ? "flag"
                           : set & 8 ? "variable"
                           : set & 4 ? "file"
                           : set & 2 ? "dynamo-ns"
                           : set & 1 ? "dyn"
                                     : "default";
        assert_int_equal(load(&one), ERR_OK);
        assert_string_equal(ns_path_name(&config.ns), want);
    }
}

static const struct {
    struct load load;
    const char *ns;
} claims[] = {
    {{.argv = {UP}, .env = {"DYN_NAMESPACE=dynamo"}}, "default"},
    {{.argv = {UP}, .env = {"DYNAMO_NAMESPACE=dynamo"}}, "dynamo"},
    {{.argv = {UP}, .env = {"DYNAMO_NAMESPACE=", "DYN_NAMESPACE=a"}}, "a"},
    {{.argv = {UP}, .env = {"BULKHEAD_NAMESPACE=", "DYN_NAMESPACE=a"}}, "a"},
    {{.argv = {UP, "--namespace="}, .env = {"DYN_NAMESPACE=a"}}, "default"},
    {{.argv = {UP, "--namespace", "default/model1"}}, "model1"},
    {{.argv = {UP, "--namespace", "a.b", "--namespace-separator", "."}}, "a/b"},
    {{.argv = {UP, "--namespace", "a.b"}}, "a.b"},
};

static void empty_variables_and_dynamos_word_for_none_are_no_claim(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(claims); i++) {
        assert_int_equal(load(&claims[i].load), ERR_OK);
        assert_string_equal(ns_path_name(&config.ns), claims[i].ns);
    }
}

static void a_services_variables_are_not_meant_for_us(void **state)
{
    (void)state;
    struct load one = {.argv = {UP},
                       .env = {"BULKHEAD_SERVICE_HOST=10.0.0.1", "BULKHEAD_SERVICE_PORT=1",
                               "BULKHEAD_SERVICE_PORT_HTTP=1", "BULKHEAD_PORT=tcp://10.0.0.1:1",
                               "BULKHEAD_PORT_1_TCP_ADDR=10.0.0.1",
                               "BULKHEAD_INJECTOR_PORT_443_TCP=tcp://10.0.0.1:443"}};
    assert_int_equal(load(&one), ERR_OK);
}

static void the_file_says_everything_that_flags_can_say(void **state)
{
    (void)state;
    struct load one = {
        .argv = {"--config", "FILE"},
        .file = "\xef\xbb\xbf{\"namespace\": \"a/b\", \"etcd-upstream\": [\"e1\", \"http://e2:5\"],"
                "\"nats-upstream\": \"nats://u:p@n1,n2\", \"nats-listen\": \"unix:/x\","
                "\"health-listen\": \":9090\", \"max-connections\": 7, \"nats-max-control-line\": "
                "8192, \"drain-ms\": 0,"
                "\"view-requests\": [\"a.>\", \"b,c\"], \"log-format\": \"json\","
                "\"nats-user\": \"u\", \"nats-password\": \"p\"}\n"};
    assert_int_equal(load(&one), ERR_OK);
    assert_string_equal(ns_path_name(&config.ns), "a/b");
    assert_int_equal(config.etcd_upstream.n, 2);
    assert_int_equal(config.etcd_upstream.a[1].port, 5);
    assert_int_equal(config.nats_upstream.n, 2);
    assert_string_equal(config.nats_upstream.a[0].password, "p");
    assert_int_equal(config.nats_listen.a[0].kind, ADDR_UNIX);
    assert_int_equal(config.health_listen.n, 1);
    assert_int_equal(config.max_connections, 7);
    assert_int_equal(config.nats_control_line, 8192);
    assert_int_equal(config.drain_ms, 0);
    assert_int_equal(config.requests.n, 2);
    assert_span_equal(config.requests.item[1], SPAN_LIT("b,c"));
    assert_int_equal(config.log_format, LOG_JSON);
    assert_string_equal(config.nats_password, "p");
}

static void the_user_for_etcd_is_an_option_or_in_the_url_and_the_option_wins(void **state)
{
    (void)state;
    assert_int_equal(
        load(&(struct load){.argv = {"--etcd-upstream", "e1,http://u:p%21@e2,http://u:p!@e3"}}),
        ERR_OK);
    assert_string_equal(config.etcd_user, "u");
    assert_string_equal(config.etcd_password, "p!");
    assert_int_equal(
        load(&(struct load){.argv = {"--etcd-upstream", "http://u:p@e"},
                            .env = {"BULKHEAD_ETCD_USER=v", "BULKHEAD_ETCD_PASSWORD=q"}}),
        ERR_OK);
    assert_string_equal(config.etcd_user, "v");
    assert_string_equal(config.etcd_password, "q");
}

static void check_lists_every_value_with_its_source_and_no_secret(void **state)
{
    (void)state;
    struct load one = {.command = COMMAND_CHECK,
                       .argv = {"--namespace", "default/a", "--config", "FILE"},
                       .env = {"BULKHEAD_NATS_PASSWORD=hunter2", "BULKHEAD_LOG_LEVEL=warn"},
                       .file = "{\"nats-upstream\": [\"nats://hunter2:hunter2@n\", \"m\"],"
                               "\"nats-user\": \"me\"}"};
    assert_int_equal(load(&one), ERR_OK);
    char *text = support_string(buf_span(&config.effective));
    static const char *const lines[] = {
        "namespace = a (flag)\n",
        "view = subtree (default)\n",
        "config = FILE (flag)\n",
        "etcd-upstream is not set\n",
        "etcd-listen = 127.0.0.1:2379,[::1]:2379 (default)\n",
        "nats-upstream = nats://***@n,m (file FILE)\n",
        "nats-user = me (file FILE)\n",
        "nats-password = *** (environment BULKHEAD_NATS_PASSWORD)\n",
        "nats-token is not set\n",
        "log-level = warn (environment BULKHEAD_LOG_LEVEL)\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("%snot in\n%s", lines[i], text);
    assert_null(strstr(text, "hunter2"));
    free(text);
}

static void help_and_version_need_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(load(&(struct load){.argv = {"-h"}}), ERR_OK);
    assert_true(config.help);
    assert_int_equal(load(&(struct load){.command = COMMAND_RUN, .argv = {"--version"}}), ERR_OK);
    assert_true(config.version);
    struct load live = {.command = COMMAND_HEALTH, .argv = {"--live", "--health-listen=:1"}};
    assert_int_equal(load(&live), ERR_OK);
    assert_true(config.live);
}

static void a_failing_allocation_is_an_error(void **state)
{
    (void)state;
    const struct load one = {
        .command = COMMAND_CHECK,
        .argv = {"--config", "FILE", "--view-requests", "a,b"},
        .env = {"BULKHEAD_NAMESPACE=a"},
        .file = "{\"etcd-upstream\": [\"e\", \"f\"], \"log-level\": \"debug\"}"};
    if (!alloc_fail_works)
        skip();
    unsigned failed = 0;
    for (unsigned long n = 1;; n++) {
        fail_at = n;
        enum err e = load(&one);
        if (fail_at != 0) { /* fewer than n */
            fail_at = 0;
            assert_int_equal(e, ERR_OK);
            break;
        }
        /* cJSON does not tell a lack of memory from a lack of JSON. */
        assert_true(e == ERR_NOMEM || e == ERR_CONFIG);
        failed++;
    }
    assert_true(failed > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_has_a_text_that_says_what_where_and_what_would_be_right),
        cmocka_unit_test(secrets_are_in_no_error_text),
        cmocka_unit_test(defaults_are_those_of_the_design),
        cmocka_unit_test(run_takes_free_ports_unless_told_otherwise),
        cmocka_unit_test(the_strongest_source_wins_in_every_combination),
        cmocka_unit_test(the_namespace_comes_from_the_first_place_that_names_one),
        cmocka_unit_test(empty_variables_and_dynamos_word_for_none_are_no_claim),
        cmocka_unit_test(a_services_variables_are_not_meant_for_us),
        cmocka_unit_test(the_file_says_everything_that_flags_can_say),
        cmocka_unit_test(the_user_for_etcd_is_an_option_or_in_the_url_and_the_option_wins),
        cmocka_unit_test(check_lists_every_value_with_its_source_and_no_secret),
        cmocka_unit_test(help_and_version_need_nothing_else),
        cmocka_unit_test(a_failing_allocation_is_an_error),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    config_deinit(&config);
    return failed;
}
