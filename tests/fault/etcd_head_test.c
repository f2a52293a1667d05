/* SPDX-License-Identifier: Apache-2.0 */
/* Header fields of calls: which pass, which are ours, which go nowhere. */
#include "io/etcd_head.h"

#include "fault/wait.h"

struct fixture {
    struct loop l;
    struct etcd_plane plane;
    struct etcd_stream s;
    struct h2_client client;
    struct buf block;
    nghttp2_nv nv[H2_FIELDS_MAX + ETCD_HEAD_OWN_FIELDS];
    size_t n;
};

static void begin(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    assert_int_equal(loop_init(&f->l), ERR_OK);
    f->plane.loop = &f->l;
    etcd_routes_init(&f->plane.routes, &f->plane.options.rules);
    f->s.plane = &f->plane;
    memcpy(f->client.authority, "etcd:2379", sizeof "etcd:2379");
}

static void end(struct fixture *f)
{
    buf_deinit(&f->s.head);
    buf_deinit(&f->block);
    assert_int_equal(loop_deinit(&f->l), 0);
}

static void add(struct fixture *f, const char *name, const char *value)
{
    struct h2_field field = {.name = span_str(name), .value = span_str(value)};
    assert_int_equal(h2_field_add(&f->block, &field), ERR_OK);
}

static void add_call(struct fixture *f, const char *path)
{
    add(f, ":method", "POST");
    add(f, ":scheme", "http");
    add(f, ":path", path);
    add(f, ":authority", "127.0.0.1:2379");
    add(f, "content-type", "application/grpc");
    add(f, "te", "trailers");
}

static struct etcd_head read_head(struct fixture *f)
{
    struct etcd_head head;
    assert_int_equal(etcd_head_read(&f->s, buf_span(&f->block), &head), ERR_OK);
    f->s.call.route = head.route;
    if (head.route != NULL)
        f->n = etcd_head_request(&f->s, &f->client, f->nv);
    return head;
}

/* The value that goes upstream; "" = the field does not. */
static struct span sent(const struct fixture *f, const char *name)
{
    struct span found = SPAN_NONE;
    for (size_t i = 0; i < f->n; i++)
        if (span_eq(span_of(f->nv[i].name, f->nv[i].namelen), span_str(name))) {
            assert_null(found.p); /* never twice */
            found = span_of(f->nv[i].value, f->nv[i].valuelen);
        }
    return found;
}

static void metadata_passes_and_credentials_go_nowhere(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    add_call(&f, "/etcdserverpb.KV/Range");
    add(&f, "user-agent", "grpc-go/1.60");
    add(&f, "hasleader", "true");
    add(&f, "client-api-version", "3.5.9");
    add(&f, "x-custom-bin", "AAEC");
    add(&f, "grpc-timeout", "4999m");
    add(&f, "grpc-accept-encoding", "gzip");
    add(&f, "token", "secret");
    add(&f, "authorization", "Bearer secret");
    add(&f, "grpcgateway-accept", "*/*");
    add(&f, "grpcgateway-authorization", "secret");
    add(&f, "content-length", "7");
    struct etcd_head head = read_head(&f);
    assert_int_equal(head.http_status, 0);
    assert_span_equal(sent(&f, ":path"), SPAN_LIT("/etcdserverpb.KV/Range"));
    assert_span_equal(sent(&f, ":authority"), SPAN_LIT("etcd:2379"));
    assert_span_equal(sent(&f, "user-agent"), SPAN_LIT("grpc-go/1.60"));
    assert_span_equal(sent(&f, "hasleader"), SPAN_LIT("true"));
    assert_span_equal(sent(&f, "client-api-version"), SPAN_LIT("3.5.9"));
    assert_span_equal(sent(&f, "x-custom-bin"), SPAN_LIT("AAEC"));
    assert_span_equal(sent(&f, "grpc-timeout"), SPAN_LIT("4999m"));
    assert_span_equal(sent(&f, "grpc-accept-encoding"), SPAN_LIT("identity"));
    assert_span_equal(sent(&f, "te"), SPAN_LIT("trailers"));
    for (size_t i = 0; i < f.n; i++)
        assert_null(memmem(f.nv[i].value, f.nv[i].valuelen, "secret", 6));
    assert_null(sent(&f, "grpcgateway-accept").p);
    assert_null(sent(&f, "content-length").p);
    assert_int_equal(f.s.deadline_ms, loop_now_ms(&f.l) + 4999);
    end(&f);
}

static void credentials_of_the_client_pass_if_they_count(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.plane.options.rules.client_credentials = true;
    add_call(&f, "/etcdserverpb.KV/Range");
    add(&f, "token", "mine");
    add(&f, "authorization", "Bearer mine");
    add(&f, "grpcgateway-authorization", "not mine");
    (void)read_head(&f);
    assert_span_equal(sent(&f, "token"), SPAN_LIT("mine"));
    assert_span_equal(sent(&f, "authorization"), SPAN_LIT("Bearer mine"));
    assert_null(sent(&f, "grpcgateway-authorization").p);
    end(&f);
}

static void what_is_no_grpc_call_is_refused_below_grpc(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        int http_status;
    } rows[] = {
        {"grpc-timeout", "soon", 400},
        {"grpc-timeout", "123456789m", 400},
        {"grpc-timeout", "99999999999999999999999999999m", 400},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        begin(&f);
        add_call(&f, "/etcdserverpb.KV/Range");
        add(&f, rows[i].name, rows[i].value);
        struct etcd_head head = read_head(&f);
        assert_int_equal(head.http_status, rows[i].http_status);
        assert_null(head.route);
        struct buf out = {0};
        assert_int_equal(etcd_head_refusal(&head, &out), ERR_OK);
        assert_span_equal(h2_field_find(buf_span(&out), SPAN_LIT(":status")), SPAN_LIT("400"));
        assert_span_equal(h2_field_find(buf_span(&out), SPAN_LIT("grpc-status")), SPAN_LIT("13"));
        buf_deinit(&out);
        end(&f);
    }
}

static void unknown_paths_get_grpc_gos_words(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text;
    } rows[] = {
        {"/etcdserverpb.KV/Nope", "unknown method Nope for service etcdserverpb.KV"},
        {"/a.B/C", "unknown service a.B"},
        {"/a/b/C", "unknown service a/b"},
        {"/x", "malformed method name: \"/x\""},
        {"/", "malformed method name: \"/\""},
        {"//", "unknown service "},
        {"", "malformed method name: \"\""},
        {"*", "malformed method name: \"*\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[ETCD_DETAIL_BYTES];
        etcd_head_unknown(span_str(rows[i].path), text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
}

static void a_response_loses_only_its_accepted_encodings(void **state)
{
    (void)state;
    struct buf block = {0}, filtered = {0};
    const struct h2_field fields[] = {
        {SPAN_LIT(":status"), SPAN_LIT("200"), 0},
        {SPAN_LIT("grpc-accept-encoding"), SPAN_LIT("gzip"), 0},
        {SPAN_LIT("x"), SPAN_NONE, NGHTTP2_NV_FLAG_NO_INDEX},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        assert_int_equal(h2_field_add(&block, &fields[i]), ERR_OK);
    struct span rest = buf_span(&block);
    assert_int_equal(etcd_head_response(&rest, &filtered), ERR_OK);
    struct h2_field f;
    assert_true(h2_field_next(&rest, &f));
    assert_span_equal(f.name, SPAN_LIT(":status"));
    assert_true(h2_field_next(&rest, &f));
    assert_span_equal(f.name, SPAN_LIT("x"));
    assert_int_equal(f.value.n, 0);
    assert_int_equal(f.flags, NGHTTP2_NV_FLAG_NO_INDEX);
    assert_false(h2_field_next(&rest, &f));
    buf_deinit(&block);
    buf_deinit(&filtered);
}

static void a_status_is_found_and_written_percent_encoded(void **state)
{
    (void)state;
    struct buf block = {0};
    assert_int_equal(etcd_head_find_status(SPAN_NONE), -1);
    assert_int_equal(etcd_head_ok(&block), ERR_OK);
    assert_int_equal(etcd_head_find_status(buf_span(&block)), -1);
    assert_int_equal(etcd_head_status(&block, 14, "100 % \xc3\xa4"), ERR_OK);
    assert_int_equal(etcd_head_find_status(buf_span(&block)), 14);
    assert_span_equal(h2_field_find(buf_span(&block), SPAN_LIT("grpc-message")),
                      SPAN_LIT("100 %25 %C3%A4"));
    buf_deinit(&block);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_passes_and_credentials_go_nowhere),
        cmocka_unit_test(credentials_of_the_client_pass_if_they_count),
        cmocka_unit_test(what_is_no_grpc_call_is_refused_below_grpc),
        cmocka_unit_test(unknown_paths_get_grpc_gos_words),
        cmocka_unit_test(a_response_loses_only_its_accepted_encodings),
        cmocka_unit_test(a_status_is_found_and_written_percent_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
