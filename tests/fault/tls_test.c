/* SPDX-License-Identifier: Apache-2.0 */
/* TLS under struct tcp: two ends of a connection, and files that are wrong or change. */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "fault/certs.h"
#include "fault/end.h"
#include "io/listener.h"
#include "io/tls_context.h"

static struct certs certs;

struct world {
    struct loop l;
    struct tls_context *up, *app;
    struct listener *listener;
    struct addr addr;
    struct end client, server;
    bool is_accepted;
};

static enum err new_context(struct world *w, bool is_server, struct tls_names names,
                            struct tls_context **ret_context, struct buf *error)
{
    const struct tls_options o = {.is_server = is_server,
                                  .plane = "etcd",
                                  .names = names,
                                  .is_http2 = true,
                                  .counters = &w->l.counters,
                                  .refused = COUNTER_BAD_ETCD_TLS};
    return tls_context_new(&o, ret_context, error);
}

static struct tls_names server_names(const char *stem)
{
    static char cert[CERTS_PATH_BYTES], key[CERTS_PATH_BYTES];
    char name[32];
    snprintf(name, sizeof name, "%s.pem", stem);
    certs_path(&certs, name, cert);
    snprintf(name, sizeof name, "%s.key", stem);
    certs_path(&certs, name, key);
    return (struct tls_names){.listen_cert = cert, .listen_key = key};
}

static void on_accept(void *arg, uv_stream_t *pending)
{
    struct world *w = arg;
    assert_false(w->is_accepted);
    w->is_accepted = true;
    assert_int_equal(tcp_accept(&w->server.t, &w->l, pending, &end_handler), ERR_OK);
    assert_int_equal(tcp_start_tls(&w->server.t, w->app, NULL), ERR_OK);
    tcp_read(&w->server.t, true);
}

/* A listener that shows stem's certificate, and a client that trusts authority. */
static void world_open(struct world *w, const char *stem, const char *authority, const char *name)
{
    static char ca[CERTS_PATH_BYTES];
    struct buf error = {0};
    const char *rule;
    *w = (struct world){0};
    assert_int_equal(loop_init(&w->l), ERR_OK);
    assert_int_equal(new_context(w, true, server_names(stem), &w->app, &error), ERR_OK);
    const struct tls_names names = {.ca = certs_path(&certs, authority, ca), .server_name = name};
    assert_int_equal(new_context(w, false, names, &w->up, &error), ERR_OK);
    assert_int_equal(addr_parse(SPAN_LIT("127.0.0.1:0"), 0, &w->addr, &rule), ERR_OK);
    const struct listener_options o = {
        .addrs = &w->addr, .n = 1, .option = "--etcd-listen", .accept = on_accept, .arg = w};
    assert_int_equal(listener_open(&w->l, &o, &w->listener, &error), ERR_OK);
    w->addr = listener_addr(w->listener);
}

static void dial(struct world *w)
{
    assert_int_equal(tcp_dial_tls(&w->client.t, &w->l, &w->addr, w->up, &end_handler), ERR_OK);
}

static void end_close(struct world *w, struct end *e)
{
    if (e->t.state == TCP_STATE_NEW)
        return;
    tcp_close(&e->t);
    WAIT_FOR(&w->l, e->closed);
    buf_deinit(&e->in);
}

/* Both ends anew. */
static void hang_up(struct world *w)
{
    end_close(w, &w->client);
    end_close(w, &w->server);
    w->client = w->server = (struct end){0};
    w->is_accepted = false;
}

static void world_close(struct world *w)
{
    hang_up(w);
    listener_close(&w->listener);
    assert_int_equal(loop_deinit(&w->l), 0);
    tls_context_free(&w->up);
    tls_context_free(&w->app);
}

static void what_is_said_arrives_in_both_directions(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "server", "ca.pem", NULL);
    dial(&w);
    say(&w.client, "early "); /* before there is even a socket */
    WAIT_FOR(&w.l, w.client.connected && w.server.connected);
    say(&w.client, "and late");
    hear(&w.l, &w.server, "early and late");
    say(&w.server, "answer");
    hear(&w.l, &w.client, "answer");
    tcp_close_when_sent(&w.client.t);
    WAIT_FOR(&w.l, w.server.ended);
    hang_up(&w);
    world_close(&w);
}

enum { BULK_BYTES = 16 * 1024 * 1024 };

static void much_passes_whole_while_the_reader_stops_and_goes(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, "server", "ca.pem", NULL);
    dial(&w);
    uint8_t *bulk = malloc(BULK_BYTES);
    assert_non_null(bulk);
    for (size_t i = 0; i < BULK_BYTES; i++)
        bulk[i] = (uint8_t)(i * 2654435761u >> 24);
    WAIT_FOR(&w.l, w.server.connected);
    assert_int_equal(tcp_write(&w.server.t, span_of(bulk, BULK_BYTES)), ERR_OK);
    assert_true(tcp_queued(&w.server.t) != 0);
    while (w.client.bytes < BULK_BYTES) {
        uint64_t before = w.client.bytes;
        tcp_read(&w.client.t, true);
        WAIT_FOR(&w.l, w.client.bytes != before);
        tcp_read(&w.client.t, false);
        before = w.client.bytes;
        for (int i = 0; i < 3; i++)
            uv_run(&w.l.uv, UV_RUN_NOWAIT);
        assert_int_equal(w.client.bytes, before); /* who does not read is told nothing */
    }
    assert_int_equal(w.client.bytes, BULK_BYTES);
    assert_memory_equal(buf_span(&w.client.in).p, bulk, BULK_BYTES);
    WAIT_FOR(&w.l, tcp_queued(&w.server.t) == 0);
    free(bulk);
    world_close(&w);
}

static char why[512];

static void keep_why(struct tcp *t, int status)
{
    assert_true(status < 0);
    snprintf(why, sizeof why, "%s", tcp_why(t, status));
    ((struct end *)t)->ended = true;
}

static void a_server_that_is_not_to_be_trusted_is_left_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *stem, *authority, *name, *text;
    } rows[] = {
        {"server", "other.pem", NULL, "not signed by an authority of"},
        {"expired", "ca.pem", NULL, "has expired"},
        {"elsewhere", "ca.pem", NULL, "is not for 127.0.0.1"},
        {"server", "ca.pem", "elsewhere", "--etcd-server-name"},
    };
    struct tcp_handler handler = end_handler;
    handler.on_end = keep_why;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_open(&w, rows[i].stem, rows[i].authority, rows[i].name);
        assert_int_equal(tcp_dial_tls(&w.client.t, &w.l, &w.addr, w.up, &handler), ERR_OK);
        say(&w.client, "secret");
        WAIT_FOR(&w.l, w.client.ended && w.server.ended);
        print_message("%s\n", why);
        assert_non_null(strstr(why, rows[i].text));
        assert_false(w.client.connected || w.server.connected);
        assert_int_equal(w.server.bytes, 0);
        assert_int_equal(w.l.counters.n[COUNTER_BAD_ETCD_TLS], 1);
        world_close(&w);
    }
    struct world w;
    world_open(&w, "elsewhere", "ca.pem", "elsewhere"); /* the name that was said counts */
    dial(&w);
    WAIT_FOR(&w.l, w.client.connected);
    world_close(&w);
}

/* The listener asks for one; stem: the application's, NULL: it has none. */
static void an_application_without_a_certificate_of_the_authority_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *stem;
        bool is_let_in;
    } rows[] = {{NULL, false}, {"stranger", false}, {"expired", false}, {"client", true}};
    certs_make(&certs, "stranger", "other", "DNS:client", 2);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char ca[CERTS_PATH_BYTES], cert[CERTS_PATH_BYTES], key[CERTS_PATH_BYTES], file[32];
        struct world w;
        struct buf error = {0};
        world_open(&w, "server", "ca.pem", NULL);
        tls_context_free(&w.app);
        tls_context_free(&w.up);
        struct tls_names names = server_names("server");
        names.ca = names.listen_ca = certs_path(&certs, "ca.pem", ca);
        assert_int_equal(new_context(&w, true, names, &w.app, &error), ERR_OK);
        if (rows[i].stem != NULL) {
            snprintf(file, sizeof file, "%s.pem", rows[i].stem);
            names.cert = certs_path(&certs, file, cert);
            snprintf(file, sizeof file, "%s.key", rows[i].stem);
            names.key = certs_path(&certs, file, key);
        }
        assert_int_equal(new_context(&w, false, names, &w.up, &error), ERR_OK);
        dial(&w);
        say(&w.client, "secret");
        if (rows[i].is_let_in) {
            hear(&w.l, &w.server, "secret");
        } else {
            WAIT_FOR(&w.l, w.client.ended && w.server.ended);
            assert_false(w.server.connected);
            assert_int_equal(w.server.bytes, 0);
        }
        assert_int_equal(w.l.counters.n[COUNTER_BAD_ETCD_TLS], !rows[i].is_let_in);
        world_close(&w);
    }
}

static void a_peer_without_tls_is_told_apart(void **state)
{
    (void)state;
    struct world w;
    struct tcp_handler handler = end_handler;
    handler.on_end = keep_why;
    world_open(&w, "server", "ca.pem", NULL);
    assert_int_equal(tcp_dial(&w.client.t, &w.l, &w.addr, &end_handler), ERR_OK);
    say(&w.client, "GET / HTTP/1.1\r\n\r\n");
    WAIT_FOR(&w.l, w.server.ended);
    assert_int_equal(w.l.counters.n[COUNTER_BAD_ETCD_TLS], 1);
    hang_up(&w);

    struct tls_context *app = w.app;
    w.app = NULL; /* the server speaks plaintext */
    w.is_accepted = true;
    listener_close(&w.listener);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one;
    struct sockaddr_storage sa = {0};
    socklen_t n = sizeof sa;
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    w.addr.port = ntohs(((struct sockaddr_in *)(void *)&sa)->sin_port);
    assert_int_equal(tcp_dial_tls(&w.client.t, &w.l, &w.addr, w.up, &handler), ERR_OK);
    WAIT_FOR(&w.l, w.client.t.state == TCP_STATE_SECURING);
    one = accept(fd, NULL, NULL);
    assert_int_equal(write(one, "INFO {}\r\n", 9), 9);
    WAIT_FOR(&w.l, w.client.ended);
    assert_non_null(strstr(why, "does not speak TLS on this port"));
    end_close(&w, &w.client);
    w.client = (struct end){0};

    /* one that hears and says nothing */
    assert_int_equal(tcp_dial_tls(&w.client.t, &w.l, &w.addr, w.up, &handler), ERR_OK);
    WAIT_FOR(&w.l, w.client.ended);
    assert_non_null(strstr(why, "not finished in time"));
    close(one);
    close(fd);
    w.app = app;
    world_close(&w);
}

static void closing_works_at_every_moment(void **state)
{
    (void)state;
    for (int moment = 0; moment < 8; moment++) {
        struct world w;
        world_open(&w, "server", "ca.pem", NULL);
        dial(&w);
        say(&w.client, "x");
        if (moment % 4 == 1)
            WAIT_FOR(&w.l, w.client.t.state == TCP_STATE_SECURING);
        if (moment % 4 == 2)
            WAIT_FOR(&w.l, w.client.connected);
        if (moment % 4 == 3)
            WAIT_FOR(&w.l, w.server.bytes != 0);
        if (moment < 4)
            tcp_close(&w.client.t);
        else
            tcp_close_when_sent(&w.client.t);
        WAIT_FOR(&w.l, w.client.closed);
        world_close(&w);
    }
}

static void files_that_cannot_be_used_are_named_with_what_mends_it(void **state)
{
    (void)state;
    certs_run(&certs, "echo nonsense >garbage.pem; : >empty.pem; "
                      "openssl ec -in client.key -aes128 -passout pass:x -out locked.key");
    char ca[CERTS_PATH_BYTES], cert[CERTS_PATH_BYTES], key[CERTS_PATH_BYTES];
    static const struct {
        const char *ca, *cert, *key, *text;
    } rows[] = {
        {"nowhere.pem", NULL, NULL, "nowhere.pem: No such file or directory; name a PEM file"},
        {"garbage.pem", NULL, NULL, "garbage.pem: there is no usable certificate"},
        {"empty.pem", NULL, NULL, "--etcd-ca "},
        {NULL, "garbage.pem", "client.key", "--etcd-cert "},
        {NULL, "client.pem", "nowhere.key", "--etcd-key "},
        {NULL, "client.pem", "server.key", "the key does not belong to the certificate in"},
        {NULL, "client.pem", "locked.key", "without a passphrase"},
        {NULL, "client.pem", "garbage.pem", "there is no usable private key"},
    };
    struct world w = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tls_names names = {0};
        struct tls_context *context = NULL;
        struct buf error = {0};
        if (rows[i].ca != NULL)
            names.ca = certs_path(&certs, rows[i].ca, ca);
        if (rows[i].cert != NULL) {
            names.cert = certs_path(&certs, rows[i].cert, cert);
            names.key = certs_path(&certs, rows[i].key, key);
        }
        assert_int_equal(new_context(&w, false, names, &context, &error), ERR_CONFIG);
        assert_null(context);
        char *text = support_string(buf_span(&error));
        print_message("%s\n", text);
        assert_non_null(strstr(text, rows[i].text));
        free(text);
        buf_deinit(&error);
    }
}

/* What the client makes of the server now: true = it is accepted. */
static bool is_accepted(struct world *w)
{
    struct tcp_handler handler = end_handler;
    handler.on_end = keep_why;
    assert_int_equal(tcp_dial_tls(&w->client.t, &w->l, &w->addr, w->up, &handler), ERR_OK);
    WAIT_FOR(&w->l, w->client.connected || w->client.ended);
    bool accepted = w->client.connected;
    WAIT_FOR(&w->l, w->server.connected || w->server.ended);
    hang_up(w);
    return accepted;
}

static void files_are_replaced_without_a_restart(void **state)
{
    (void)state;
    struct world w;
    certs_run(&certs, "cp expired.pem now.pem; cp expired.key now.key; cp other.pem trust.pem");
    world_open(&w, "now", "trust.pem", NULL);
    assert_false(is_accepted(&w));
    assert_non_null(strstr(why, "not signed by"));
    certs_run(&certs, "cp ca.pem trust.new && mv trust.new trust.pem");
    assert_false(is_accepted(&w));
    assert_non_null(strstr(why, "has expired"));
    /* half of the pair: the last good one stays */
    certs_run(&certs, "cp server.pem now.new && mv now.new now.pem");
    assert_false(is_accepted(&w));
    assert_non_null(strstr(why, "has expired"));
    certs_run(&certs, "cp server.key now.new && mv now.new now.key");
    assert_true(is_accepted(&w));
    /* taken away: the last good ones stay */
    certs_run(&certs, "rm trust.pem now.pem");
    assert_true(is_accepted(&w));
    world_close(&w);
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
        cmocka_unit_test(what_is_said_arrives_in_both_directions),
        cmocka_unit_test(much_passes_whole_while_the_reader_stops_and_goes),
        cmocka_unit_test(a_server_that_is_not_to_be_trusted_is_left_with_the_reason),
        cmocka_unit_test(an_application_without_a_certificate_of_the_authority_is_refused),
        cmocka_unit_test(a_peer_without_tls_is_told_apart),
        cmocka_unit_test(closing_works_at_every_moment),
        cmocka_unit_test(files_that_cannot_be_used_are_named_with_what_mends_it),
        cmocka_unit_test(files_are_replaced_without_a_restart),
    };
    return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
