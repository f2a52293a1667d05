/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sidecar as a user of a real etcd that has authentication on: tokens got, lost and got again;
 * a wrong password; and that neither token nor password is ever logged. The user may do what
 * design.md 4.1 gives one namespace.
 */
#include <fcntl.h>

#include "fault/etcd_world.h"
#include "io/etcd_plane_private.h"

#define USER     "side"
#define PASSWORD "pw-7391-secret"
#define WRONG    "wrong-5512-secret"

enum { TOKENS_MAX = 16, TOKEN_BYTES = 128 };

static char tokens[TOKENS_MAX][TOKEN_BYTES]; /* all that were used */
static unsigned tokens_n;
static int log_fd, stderr_fd;

/* -- etcdctl -- */
static void ctl(const char *const *words)
{
    char endpoint[64];
    /* Its own two seconds are little on a busy machine. */
    const char *program = etcd_program("E2E_ETCDCTL", "etcdctl");
    const char *argv[20] = {program, "--endpoints", endpoint, "--dial-timeout=60s",
                            "--command-timeout=60s"};
    size_t n = 5;
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", etcd.port);
    while (*words != NULL)
        argv[n++] = *words++;
    argv[n] = NULL;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (freopen("/dev/null", "w", stdout) == NULL || setenv("ETCDCTL_API", "3", 1) != 0)
            _exit(127);
        execvp(program, (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}
#define CTL(...)  ctl((const char *const[]){__VA_ARGS__, NULL})
#define ROOT(...) CTL("--user", "root:root", __VA_ARGS__)

/* The user anew: etcd forgets all its tokens at once. (A restart alone may bring them back: they
 * are in its log.) */
static void set_password(const char *password)
{
    char both[64];
    snprintf(both, sizeof both, "%s:%s", USER, password);
    ROOT("user", "delete", USER);
    ROOT("user", "add", both);
    ROOT("user", "grant-role", USER, "ns");
}

static void allow(const char *what, const char *from, const char *to)
{
    CTL("role", "grant-permission", "ns", what, from, to);
}

/* -- the sidecar -- */
static void begin_as(struct world *w, const char *password)
{
    struct buf error = {0};
    *w = (struct world){.upstream = {etcd_app_addr("127.0.0.1", etcd.port)}};
    assert_int_equal(loop_init(&w->l), ERR_OK);
    assert_int_equal(ns_path_parse(SPAN_LIT("auth"), '/', &w->ns, NULL), ERR_OK);
    w->listen = etcd_app_addr("127.0.0.1", 0);
    struct etcd_plane_options o = {.ns = &w->ns,
                                   .key_root = SPAN_LIT("bh/"),
                                   .user = USER,
                                   .password = password,
                                   .patterns = 1, /* "m/view" needs no permission of its own */
                                   .upstream = w->upstream,
                                   .upstreams = 1,
                                   .listen = &w->listen,
                                   .listens = 1};
    assert_int_equal(etcd_plane_open(&w->l, &o, &w->plane, &error), ERR_OK);
    struct addr at = etcd_plane_addr(w->plane);
    app_open(&w->app, &w->l, &at, 0);
}

static bool is_ready(const struct world *w)
{
    const char *why;
    return etcd_plane_is_ready(w->plane, &why);
}

/* The token in use, noted for the search in the log; there must be one. */
static unsigned note_token(const struct world *w)
{
    const struct etcd_auth *a = &w->plane->auth;
    struct span token = buf_span(&a->token);
    assert_true(a->has_token && token.n > 8 && token.n < TOKEN_BYTES && tokens_n < TOKENS_MAX);
    memcpy(tokens[tokens_n++], token.p, token.n);
    return a->number;
}

static void open_watch(struct world *w, struct app_call *c)
{
    app_call_open(&w->app, c, "/etcdserverpb.Watch/Watch");
    app_message(c, watch_all(), false);
    WAIT_FOR(&w->l, app_reply(c, 0).p != NULL);
    assert_int_equal(pb_find(app_reply(c, 0), 3, 0).v, 1); /* created */
    assert_int_equal(pb_find(app_reply(c, 0), 4, 0).v, 0); /* not canceled */
}

/* -- tests, in the order of one etcd's life -- */
static void an_etcd_that_asks_nobody_is_used_without_a_token(void **state)
{
    (void)state;
    struct world w;
    begin_as(&w, PASSWORD);
    put(&w, "k", "early");
    assert_true(is_ready(&w));
    assert_int_equal(buf_len(&w.plane->auth.token), 0);
    CTL("user", "add", "root:root");
    CTL("user", "grant-role", "root", "root");
    CTL("user", "add", USER ":" PASSWORD);
    CTL("role", "add", "ns");
    allow("readwrite", "bh/d/auth.", "bh/d/auth/");
    allow("readwrite", "bh/m/n/auth.", "bh/m/n/auth/");
    allow("readwrite", "bh/m/l/auth.", "bh/m/l/auth/");
    allow("readwrite", "bh/m/t/", "bh/m/t0");
    allow("readwrite", "bh/m/v", "bh/m/w");
    CTL("user", "grant-role", USER, "ns");
    CTL("auth", "enable");
    put(&w, "k", "late"); /* "user name is empty" */
    note_token(&w);
    end(&w);
}

static void everything_goes_with_the_sidecars_token_and_not_with_the_applications(void **state)
{
    (void)state;
    static const struct app_field mine = {"token", "forged.1"};
    struct world w;
    struct app_call watch, c, keep;
    struct pb_build m = {0};
    begin_as(&w, PASSWORD);
    open_watch(&w, &watch);
    note_token(&w);
    put(&w, "k", "v");
    expect_one(&w, "k", "v");
    WAIT_FOR(&w.l, app_reply(&watch, 1).p != NULL);
    app_call_with(&w.app, &c, "/etcdserverpb.KV/Range", &mine, 1);
    app_message(&c, range_all(), true);
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    app_call_end(&c);

    pb_num(&m, 1, 60);
    app_unary(&w.app, &c, "/etcdserverpb.Lease/LeaseGrant", pb_built(&m));
    WAIT_FOR(&w.l, c.closed);
    assert_int_equal(c.grpc_status, 0);
    uint64_t id = pb_find(app_reply(&c, 0), 2, 0).v;
    app_call_end(&c);
    m.n = 0;
    pb_num(&m, 1, id);
    app_call_open(&w.app, &keep, "/etcdserverpb.Lease/LeaseKeepAlive");
    app_message(&keep, pb_built(&m), false);
    WAIT_FOR(&w.l, app_reply(&keep, 0).p != NULL);
    assert_int_equal(pb_find(app_reply(&keep, 0), 3, 0).v, 60);
    assert_int_equal(w.plane->auth.number, 1); /* one login was enough */
    end(&w);
    app_call_end(&keep);
    app_call_end(&watch);
}

static void a_token_that_etcd_forgot_is_replaced_and_nobody_notices(void **state)
{
    (void)state;
    struct world w;
    struct app_call watch, old, big;
    begin_as(&w, PASSWORD);
    open_watch(&w, &old);
    unsigned first = note_token(&w);
    etcd_server_signal(&etcd, SIGKILL);
    WAIT_FOR(&w.l, !is_ready(&w));
    etcd_server_start(&etcd);
    WAIT_FOR(&w.l, is_ready(&w));
    put(&w, "k", "again");
    WAIT_FOR(&w.l, app_reply(&old, 1).p != NULL); /* the watch was opened again */
    assert_int_equal(pb_find(app_reply(&old, 1), 4, 0).v, 0);
    assert_true(note_token(&w) > first); /* with a token that was given since */
    open_watch(&w, &watch);
    put(&w, "k", "v");
    expect_one(&w, "k", "v");

    first = note_token(&w);
    set_password(PASSWORD);
    put(&w, "k", "once more"); /* sent twice, the second time with another token */
    assert_true(note_token(&w) > first);
    set_password(PASSWORD);
    put_kib(&w, "big", 100, &big); /* too long to be kept */
    expect_status(&w, &big, 14, "there is no connection available");
    put(&w, "k", "v");
    assert_true(note_token(&w) > first);
    end(&w);
    app_call_end(&old);
    app_call_end(&watch);
}

/* One more on a stream that was opened with a token that etcd has forgotten since, while the
 * connection lives on. etcd 3.4 says "permission denied" then, later ones "invalid auth token". */
static void a_watch_on_an_old_stream_is_created_all_the_same(void **state)
{
    (void)state;
    struct world w;
    struct app_call watch;
    for (int renewed = 0; renewed < 2; renewed++) {
        begin_as(&w, PASSWORD);
        open_watch(&w, &watch);
        unsigned first = note_token(&w);
        set_password(PASSWORD);
        if (renewed != 0) {
            put(&w, "k", "with another token"); /* the stream's is the old one */
            WAIT_FOR(&w.l, app_reply(&watch, 1).p != NULL);
        } else { /* a token that was just given is believed */
            WAIT_FOR(&w.l, etcd_auth_is_old(&w.plane->auth, first));
        }
        app_message(&watch, watch_all(), false);
        unsigned at = renewed != 0 ? 2 : 1;
        WAIT_FOR(&w.l, app_reply(&watch, at).p != NULL);
        assert_int_equal(pb_find(app_reply(&watch, at), 3, 0).v, 1); /* created */
        assert_int_equal(pb_find(app_reply(&watch, at), 4, 0).v, 0); /* not canceled */
        assert_int_equal(pb_find(app_reply(&watch, at), 2, 0).v, 1); /* the second one's id */
        assert_true(note_token(&w) > first);
        put(&w, "k", "v");
        WAIT_FOR(&w.l, app_reply(&watch, at + 2).p != NULL);
        for (unsigned i = 1; i <= 2; i++) /* each shows it, once */
            assert_span_equal(
                pb_find(pb_find(pb_find(app_reply(&watch, at + i), 11, 0).s, 2, 0).s, 5, 0).s,
                SPAN_LIT("v"));
        assert_int_equal(pb_find(app_reply(&watch, at + 1), 2, 0).v +
                             pb_find(app_reply(&watch, at + 2), 2, 0).v,
                         1);
        assert_false(watch.closed);
        end(&w);
        app_call_end(&watch);
    }
}

/* The role does not let it: that is told, after one token more or a few. The other watch of the
 * stream goes the same way, because it is created again. */
static void a_watch_that_is_not_permitted_is_told_so(void **state)
{
    (void)state;
    struct world w;
    struct app_call watch;
    begin_as(&w, PASSWORD);
    open_watch(&w, &watch);
    unsigned first = note_token(&w);
    ROOT("role", "revoke-permission", "ns", "bh/d/auth.", "bh/d/auth/");
    WAIT_FOR(&w.l, etcd_auth_is_old(&w.plane->auth, first));
    app_message(&watch, watch_all(), false);
    WAIT_FOR(&w.l, app_reply(&watch, 2).p != NULL);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(pb_find(app_reply(&watch, i), 3, 0).v, i - 1); /* created */
        assert_int_equal(pb_find(app_reply(&watch, i), 4, 0).v, 1);     /* canceled */
    }
    assert_true(w.plane->auth.number <= first + 9); /* on a busy machine a new one ages, too */
    ROOT("role", "grant-permission", "ns", "readwrite", "bh/d/auth.", "bh/d/auth/");
    end(&w);
    app_call_end(&watch);
}

static void a_wrong_password_is_said_everywhere_and_mended_without_a_restart(void **state)
{
    (void)state;
    struct world w;
    struct app_call c, watch;
    const char *why = NULL;
    begin_as(&w, WRONG);
    app_call_open(&w.app, &watch, "/etcdserverpb.Watch/Watch");
    app_message(&watch, watch_all(), false);
    app_unary(&w.app, &c, "/etcdserverpb.KV/Range", range_all());
    expect_status(&w, &c, 14, "bulkhead: etcd refuses the sidecar's user or password");
    expect_status(&w, &watch, 14, "bulkhead: etcd refuses the sidecar's user or password");
    assert_false(etcd_plane_is_ready(w.plane, &why));
    assert_string_equal(why,
                        "etcd refuses the sidecar's user or password (etcd-user, etcd-password)");
    set_password(WRONG);
    WAIT_FOR(&w.l, is_ready(&w));
    put(&w, "k", "mended");
    note_token(&w);
    end(&w);
}

static void neither_token_nor_password_is_in_the_log(void **state)
{
    (void)state;
    static char text[1024 * 1024];
    ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
    assert_true(n > 0 && n < (ssize_t)sizeof text - 1);
    assert_true(tokens_n > 4);
    for (unsigned i = 0; i < tokens_n; i++)
        assert_null(strstr(text, tokens[i]));
    assert_null(strstr(text, "-secret"));
    assert_non_null(strstr(text, "authenticated to etcd"));
    assert_non_null(strstr(text, "see --etcd-user and BULKHEAD_ETCD_PASSWORD"));
}

/* Standard error goes to a file, and is shown at the end. */
static int start_logged(void **state)
{
    char path[] = "/tmp/bulkhead-test-XXXXXX";
    (void)start(state);
    log_set(LOG_DEBUG, LOG_LOGFMT);
    log_fd = mkstemp(path);
    stderr_fd = dup(2);
    assert_true(log_fd >= 0 && stderr_fd >= 0 && unlink(path) == 0);
    assert_int_equal(fcntl(log_fd, F_SETFL, O_APPEND), 0);
    assert_int_equal(dup2(log_fd, 2), 2);
    return 0;
}

static int stop_logged(void **state)
{
    char text[4096];
    off_t at = 0;
    assert_int_equal(dup2(stderr_fd, 2), 2);
    for (ssize_t n; (n = pread(log_fd, text, sizeof text, at)) > 0; at += n)
        if (write(2, text, (size_t)n) != n)
            break;
    close(log_fd);
    close(stderr_fd);
    return stop(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_etcd_that_asks_nobody_is_used_without_a_token),
        cmocka_unit_test(everything_goes_with_the_sidecars_token_and_not_with_the_applications),
        cmocka_unit_test(a_token_that_etcd_forgot_is_replaced_and_nobody_notices),
        cmocka_unit_test(a_watch_on_an_old_stream_is_created_all_the_same),
        cmocka_unit_test(a_watch_that_is_not_permitted_is_told_so),
        cmocka_unit_test(a_wrong_password_is_said_everywhere_and_mended_without_a_restart),
        cmocka_unit_test(neither_token_nor_password_is_in_the_log),
    };
    return cmocka_run_group_tests(tests, start_logged, stop_logged);
}
