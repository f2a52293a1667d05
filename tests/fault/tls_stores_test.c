/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program with TLS, between other people's: etcd and etcdctl (Go's TLS), nats-server, and an
 * application of the test's own.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "fault/certs.h"
#include "fault/end.h"
#include "fault/port.h"
#include "fault/process.h"
#include "io/listener.h"
#include "io/tls_context.h"

static struct certs certs;
static struct process p;

/* ---- servers ---- */

struct server {
    pid_t pid;
    unsigned port;
};

/* In the directory of the certificates; nobody waits: the sidecar dials until it answers. */
static void server_start(struct server *s, const char *const *argv)
{
    pid_t parent = getpid();
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 1);
    dup2(null, 2);
    if (getppid() == parent && chdir(certs.dir) == 0)
        execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

static void server_stop(struct server *s)
{
    kill(s->pid, SIGKILL);
    assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
    s->pid = 0;
}

/* stem: whose certificate it shows. It asks for one of ca's. */
static void etcd_start(struct server *s, const char *stem)
{
    char client[64], peer[64], cluster[80], data[80], cert[40], key[40];
    s->port = held_port();
    snprintf(client, sizeof client, "https://127.0.0.1:%u", s->port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%u", held_port());
    snprintf(cluster, sizeof cluster, "t=%s", peer);
    snprintf(data, sizeof data, "etcd-%u", s->port);
    snprintf(cert, sizeof cert, "%s.pem", stem);
    snprintf(key, sizeof key, "%s.key", stem);
    server_start(s, (const char *const[]){"etcd",   "--name",
                                          "t",      "--data-dir",
                                          data,     "--listen-client-urls",
                                          client,   "--advertise-client-urls",
                                          client,   "--listen-peer-urls",
                                          peer,     "--initial-advertise-peer-urls",
                                          peer,     "--initial-cluster",
                                          cluster,  "--cert-file",
                                          cert,     "--key-file",
                                          key,      "--trusted-ca-file",
                                          "ca.pem", "--client-cert-auth",
                                          NULL});
}

static void nats_start(struct server *s, const char *stem, bool asks)
{
    char port[8], cert[40], key[40];
    s->port = held_port();
    snprintf(port, sizeof port, "%u", s->port);
    snprintf(cert, sizeof cert, "%s.pem", stem);
    snprintf(key, sizeof key, "%s.key", stem);
    server_start(s, (const char *const[]){"nats-server", "-a", "127.0.0.1", "-p", port, "--tls",
                                          "--tlscert", cert, "--tlskey", key, "--tlscacert",
                                          "ca.pem", asks ? "--tlsverify" : NULL, NULL});
}

/* ---- the program ---- */

enum { WORDS_MAX = 24 };

/* serve, for one plane; files are names in the directory of the certificates, NULL = not given. */
struct setting {
    const char *plane, *scheme, *ca, *client, *name, *listener, *when;
};

static void program_start(const struct setting *s, unsigned port)
{
    static char text[WORDS_MAX][160];
    const char *words[WORDS_MAX] = {"serve", "--namespace", "a"};
    size_t n = 3, t = 0;
#define WORD(...) (snprintf(text[t], sizeof text[t], __VA_ARGS__), words[n] = text[t], n++, t++)
    WORD("--%s-upstream=%s127.0.0.1:%u", s->plane, s->scheme, port);
    WORD("--%s-listen=127.0.0.1:0", s->plane);
    if (s->ca != NULL)
        WORD("--%s-ca=%s/%s.pem", s->plane, certs.dir, s->ca);
    if (s->client != NULL) {
        WORD("--%s-cert=%s/%s.pem", s->plane, certs.dir, s->client);
        WORD("--%s-key=%s/%s.key", s->plane, certs.dir, s->client);
    }
    if (s->name != NULL)
        WORD("--%s-server-name=%s", s->plane, s->name);
    if (s->listener != NULL) {
        WORD("--%s-listen-cert=%s/%s.pem", s->plane, certs.dir, s->listener);
        WORD("--%s-listen-key=%s/%s.key", s->plane, certs.dir, s->listener);
    }
    if (s->when != NULL)
        WORD("--nats-tls=%s", s->when);
#undef WORD
    char system_store[128]; /* OpenSSL's own variable for it */
    snprintf(system_store, sizeof system_store, "SSL_CERT_FILE=%s/ca.pem", certs.dir);
    process_start_with(&p, words, (const char *const[]){system_store, NULL});
    process_wait_for(&p, OUT, "\n");
}

static void program_stop(void)
{
    kill(p.pid, SIGTERM);
    int status = process_end(&p);
    if (status != 0)
        fail_msg("ended with %d: %s", status, p.text[ERR]);
}

/* ---- etcd ---- */

/* What etcdctl says, with its exit status. */
static int etcdctl(const char *options, const char *words, char text[1024])
{
    char place[128], command[700];
    snprintf(command, sizeof command,
             "cd %s && ETCDCTL_API=3 etcdctl --command-timeout=10s --endpoints=%s%s %s %s 2>&1",
             certs.dir, *options == '\0' ? "http://" : "https://",
             process_place(&p, "etcd=", place), options, words);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, 1023, f);
    text[n] = '\0';
    return pclose(f);
}

static void etcdctl_works_through_tls_on_both_sides(void **state)
{
    (void)state;
    static const char *const options[] = {"", "--cacert=ca.pem"};
    static const char *const listeners[] = {NULL, "server"};
    static const char *const schemes[] = {"", "https://"}; /* --etcd-ca makes "" TLS */
    struct server etcd;
    char text[1024];
    etcd_start(&etcd, "server");
    for (int i = 0; i < 2; i++) {
        program_start(&(struct setting){.plane = "etcd",
                                        .scheme = schemes[i],
                                        .ca = "ca",
                                        .client = "client",
                                        .listener = listeners[i]},
                      etcd.port);
        process_wait_for(&p, ERR, "namespace registered");
        assert_int_equal(etcdctl(options[i], "put key value", text), 0);
        assert_string_equal(text, "OK\n");
        assert_int_equal(etcdctl(options[i], "get key", text), 0);
        assert_string_equal(text, "key\nvalue\n");
        assert_int_equal(etcdctl(options[i], "member list", text), 0);
        assert_non_null(strstr(text, i == 0 ? "http://" : "https://"));
        if (i == 1)
            assert_int_not_equal(etcdctl("--cacert=other.pem", "get key", text), 0);
        program_stop();
        if (i == 1)
            assert_non_null(strstr(p.text[ERR], "the application does not accept our certificate"));
    }
    server_stop(&etcd);
}

static void tls_that_fails_is_logged_with_the_reason(const char *plane, const char *scheme,
                                                     void (*start)(struct server *, const char *))
{
    static const struct {
        const char *stem, *ca, *client, *name, *text;
    } rows[] = {
        {"server", "other", "client", NULL, "not signed by an authority of"},
        {"expired", "ca", "client", NULL, "has expired"},
        {"elsewhere", "ca", "client", NULL, "is not for 127.0.0.1"},
        {"server", "ca", "client", "elsewhere", "is not for elsewhere"},
        {"server", "ca", NULL, NULL, "the server asks for a client certificate"},
        {"server", "ca", "other", NULL, "the server does not accept our certificate"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server s;
        start(&s, rows[i].stem);
        program_start(&(struct setting){.plane = plane,
                                        .scheme = scheme,
                                        .ca = rows[i].ca,
                                        .client = rows[i].client,
                                        .name = rows[i].name},
                      s.port);
        process_wait_for(&p, ERR, rows[i].text);
        program_stop();
        server_stop(&s);
    }
}

static void etcd_without_trust_is_unavailable_and_logged(void **state)
{
    (void)state;
    struct server etcd;
    char text[1024];
    tls_that_fails_is_logged_with_the_reason("etcd", "https://", etcd_start);
    etcd_start(&etcd, "server");
    program_start(&(struct setting){.plane = "etcd", .scheme = "https://", .ca = "other"},
                  etcd.port);
    process_wait_for(&p, ERR, "not signed by an authority of");
    assert_int_not_equal(etcdctl("", "--command-timeout=1s get key", text), 0);
    program_stop();
    server_stop(&etcd);
}

static void authorities_are_replaced_without_a_restart(void **state)
{
    (void)state;
    struct server etcd;
    certs_run(&certs, "cp other.pem trust.pem; cp other.pem mine.pem; cp other.key mine.key");
    etcd_start(&etcd, "server");
    program_start(
        &(struct setting){.plane = "etcd", .scheme = "https://", .ca = "trust", .client = "mine"},
        etcd.port);
    process_wait_for(&p, ERR, "not signed by an authority of");
    certs_run(&certs, "cp ca.pem new && mv new trust.pem");
    process_wait_for(&p, ERR, "the server does not accept our certificate");
    certs_run(&certs, "cp client.key new && mv new mine.key");
    process_wait_for(&p, ERR, "the last good ones stay");
    certs_run(&certs, "cp client.pem new && mv new mine.pem");
    process_wait_for(&p, ERR, "namespace registered");
    program_stop();
    server_stop(&etcd);
}

/* ---- NATS ---- */

static void nats_dial(struct loop *l, struct end *e)
{
    char place[128];
    struct addr a;
    const char *rule;
    assert_int_equal(addr_parse(span_str(process_place(&p, "nats=", place)), 0, &a, &rule), ERR_OK);
    *e = (struct end){0};
    assert_int_equal(tcp_dial(&e->t, l, &a, &end_handler), ERR_OK);
}

static void nats_hang_up(struct loop *l, struct end *e)
{
    tcp_close(&e->t);
    WAIT_FOR(l, e->closed);
    buf_deinit(&e->in);
}

static struct tls_context *new_context(struct tls_names names, bool is_server)
{
    static struct counters counters;
    const struct tls_options o = {.is_server = is_server,
                                  .plane = "nats",
                                  .names = names,
                                  .counters = &counters,
                                  .refused = COUNTER_BAD_NATS_TLS};
    struct tls_context *context;
    struct buf error = {0};
    assert_int_equal(tls_context_new(&o, &context, &error), ERR_OK);
    return context;
}

/* Until its words arrive: the server may not listen yet. */
static void nats_greet(struct loop *l, struct end *e, struct tls_context *tls)
{
    for (;;) {
        nats_dial(l, e);
        WAIT_FOR(l, has(e, "\r\n") || e->ended);
        if (has(e, "INFO "))
            break;
        nats_hang_up(l, e);
    }
    assert_int_equal(has(e, "\"tls_required\":true"), tls != NULL);
    hear(l, e, "\r\n");
    if (tls != NULL)
        assert_int_equal(tcp_start_tls(&e->t, tls, "localhost"), ERR_OK);
}

static void nats_messages_pass_through_tls_on_both_sides(void **state)
{
    (void)state;
    static const struct setting settings[] = {
        {.plane = "nats", .scheme = "tls://", .ca = "ca", .client = "client"},
        {.plane = "nats",
         .scheme = "nats://",
         .ca = "ca",
         .client = "client",
         .listener = "server"},
    };
    struct loop l;
    struct server nats;
    char path[CERTS_PATH_BYTES];
    assert_int_equal(loop_init(&l), ERR_OK);
    struct tls_context *tls = new_context(
        (struct tls_names){.ca = certs_path(&certs, "ca.pem", path)}, false);
    nats_start(&nats, "server", true);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        struct end e;
        program_start(&settings[i], nats.port);
        nats_greet(&l, &e, settings[i].listener == NULL ? NULL : tls);
        say(&e, "CONNECT {\"verbose\":false}\r\nSUB foo 1\r\nPING\r\n");
        hear(&l, &e, "PONG\r\n");
        say(&e, "PUB foo 5\r\nhello\r\n");
        hear(&l, &e, "MSG foo 1 5\r\nhello\r\n");
        process_wait_for(&p, ERR, "NATS upstream answers");
        nats_hang_up(&l, &e);
        program_stop();
    }
    server_stop(&nats);
    assert_int_equal(loop_deinit(&l), 0);
    tls_context_free(&tls);
}

static void a_server_that_demands_tls_gets_it_unasked(void **state)
{
    (void)state;
    struct loop l;
    struct server nats;
    struct end e;
    assert_int_equal(loop_init(&l), ERR_OK);
    nats_start(&nats, "server", false);
    program_start(&(struct setting){.plane = "nats", .scheme = "nats://"}, nats.port);
    nats_greet(&l, &e, NULL);
    say(&e, "CONNECT {\"verbose\":false}\r\nPING\r\n");
    hear(&l, &e, "PONG\r\n");
    nats_hang_up(&l, &e);
    program_stop();
    server_stop(&nats);
    assert_int_equal(loop_deinit(&l), 0);
}

static void nats_start_asking(struct server *s, const char *stem)
{
    nats_start(s, stem, true);
}

static void nats_without_trust_is_an_error_and_logged(void **state)
{
    (void)state;
    struct loop l;
    struct server nats;
    tls_that_fails_is_logged_with_the_reason("nats", "tls://", nats_start_asking);
    assert_int_equal(loop_init(&l), ERR_OK);
    nats_start(&nats, "server", true);
    static const struct setting settings[] = {
        {.plane = "nats", .scheme = "tls://", .ca = "other", .client = "client"},
        {.plane = "nats", .scheme = "tls://", .ca = "ca"},
    };
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        struct end e;
        program_start(&settings[i], nats.port);
        nats_greet(&l, &e, NULL);
        say(&e, "CONNECT {}\r\nPING\r\n");
        hear(&l, &e, "-ERR 'bulkhead: TLS with the NATS server failed'\r\n");
        WAIT_FOR(&l, e.ended);
        nats_hang_up(&l, &e);
        process_wait_for(&p, ERR, "msg=\"TLS with the NATS server failed\"");
        program_stop();
        assert_null(strstr(p.text[ERR], "NATS upstream answers reason"));
    }
    server_stop(&nats);
    assert_int_equal(loop_deinit(&l), 0);
}

/* A server that shakes hands before it says anything. */
struct first {
    struct loop *l;
    struct tls_context *tls;
    struct end ends[8];
    unsigned n;
};

static void first_secured(struct tcp *t)
{
    end_connected(t);
    say((struct end *)t, "INFO {\"tls_required\":true,\"max_payload\":1024}\r\n");
}

static void on_first(void *arg, uv_stream_t *pending)
{
    static struct tcp_handler handler;
    struct first *f = arg;
    handler = end_handler;
    handler.on_connected = first_secured;
    assert_true(f->n < ARRAY_LEN(f->ends));
    struct end *e = &f->ends[f->n++];
    assert_int_equal(tcp_accept(&e->t, f->l, pending, &handler), ERR_OK);
    assert_int_equal(tcp_start_tls(&e->t, f->tls, NULL), ERR_OK);
}

static bool first_heard(struct first *f, const char *text)
{
    for (unsigned i = 0; i < f->n; i++)
        if (has(&f->ends[i], text))
            return true;
    return false;
}

static void a_server_that_shakes_hands_first_is_served(void **state)
{
    (void)state;
    struct loop l;
    struct first f = {.l = &l};
    struct listener *listener;
    struct addr a;
    struct end e;
    struct buf error = {0};
    const char *rule;
    char cert[CERTS_PATH_BYTES], key[CERTS_PATH_BYTES];
    assert_int_equal(loop_init(&l), ERR_OK);
    f.tls = new_context((struct tls_names){.listen_cert = certs_path(&certs, "server.pem", cert),
                                           .listen_key = certs_path(&certs, "server.key", key)},
                        true);
    assert_int_equal(addr_parse(SPAN_LIT("127.0.0.1:0"), 0, &a, &rule), ERR_OK);
    const struct listener_options o = {
        .addrs = &a, .n = 1, .option = "--nats-listen", .accept = on_first, .arg = &f};
    assert_int_equal(listener_open(&l, &o, &listener, &error), ERR_OK);
    program_start(&(struct setting){.plane = "nats", .scheme = "", .ca = "ca", .when = "first"},
                  listener_addr(listener).port);
    nats_dial(&l, &e);
    hear(&l, &e, "INFO {\"max_payload\":1024");
    say(&e, "CONNECT {\"verbose\":false}\r\nPUB foo 2\r\nhi\r\n");
    WAIT_FOR(&l, first_heard(&f, "PUB bh.e.a.~.~.~.foo 2\r\nhi\r\n"));
    process_wait_for(&p, ERR, "NATS upstream answers");
    nats_hang_up(&l, &e);
    program_stop();
    for (unsigned i = 0; i < f.n; i++)
        nats_hang_up(&l, &f.ends[i]);
    listener_close(&listener);
    assert_int_equal(loop_deinit(&l), 0);
    tls_context_free(&f.tls);
}

/* ---- without ---- */

static void openssl_is_not_loaded_where_tls_is_not_spoken(void **state)
{
    (void)state;
    static const char *const cas[] = {NULL, "ca"};
    for (int i = 0; i < 2; i++) {
        program_start(&(struct setting){.plane = "etcd", .scheme = "", .ca = cas[i]}, 1);
        char path[64], line[512];
        snprintf(path, sizeof path, "/proc/%d/maps", (int)p.pid);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        bool is_loaded = false;
        while (fgets(line, sizeof line, f) != NULL)
            is_loaded = is_loaded || strstr(line, "libssl") != NULL;
        fclose(f);
        assert_int_equal(is_loaded, i == 1);
        program_stop();
    }
}

static void check_says_which_file_is_wrong(void **state)
{
    (void)state;
    process_start(&p, "check", "--etcd-upstream", "https://e", "--etcd-ca", "/nowhere/ca.pem");
    assert_int_equal(process_end(&p), 2);
    assert_non_null(strstr(p.text[OUT], "etcd-ca = /nowhere/ca.pem (flag)\n"));
    assert_string_equal(p.text[ERR], "bulkhead: --etcd-ca /nowhere/ca.pem: No such file or "
                                     "directory; name a PEM file that may be read\n");
    process_start(&p, "serve", "--nats-upstream", "tls://n", "--nats-listen", "127.0.0.1:0",
                  "--nats-ca", "/nowhere/ca.pem");
    assert_int_equal(process_end(&p), 2);
    assert_non_null(strstr(p.text[ERR], "--nats-ca /nowhere/ca.pem: No such file"));
}

static int make_certs(void **state)
{
    (void)state;
    certs_open(&certs);
    return 0;
}

static int remove_certs(void **state)
{
    (void)state;
    certs_close(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(etcdctl_works_through_tls_on_both_sides),
        cmocka_unit_test(etcd_without_trust_is_unavailable_and_logged),
        cmocka_unit_test(authorities_are_replaced_without_a_restart),
        cmocka_unit_test(nats_messages_pass_through_tls_on_both_sides),
        cmocka_unit_test(a_server_that_demands_tls_gets_it_unasked),
        cmocka_unit_test(nats_without_trust_is_an_error_and_logged),
        cmocka_unit_test(a_server_that_shakes_hands_first_is_served),
        cmocka_unit_test(openssl_is_not_loaded_where_tls_is_not_spoken),
        cmocka_unit_test(check_says_which_file_is_wrong),
    };
    return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
