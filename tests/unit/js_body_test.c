/* SPDX-License-Identifier: Apache-2.0 */
/* Each row of the API table and each listed member, both ways, in namespace a/b. */
#include "support/support.h"

#include "base/attr.h"
#include "nats/js_api.h"
#include "nats/js_body.h"
#include "nats/js_subject.h"

static struct counters counters;

static struct nats_ns namespace(const char *path)
{
    struct nats_ns ns = {.counters = &counters};
    struct ns_path p;
    assert_int_equal(ns_path_parse(span_str(path), '/', &p, NULL), ERR_OK);
    js_names_init(&ns.names, &p);
    assert_int_equal(subject_map_init(&ns.map, SPAN_LIT("bh"), &p, subject_map_default_requests,
                                      ARRAY_LEN(subject_map_default_requests)),
                     ERR_OK);
    return ns;
}

#define E "bh.e.a.b.~.~."
#define X "bh.*.a.b.~.~."

static void every_subject_of_the_api(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; /* NULL: denied */
    } rows[] = {
        {"INFO", "INFO"},
        {"STREAM.NAMES", "STREAM.NAMES"},
        {"STREAM.LIST", "STREAM.LIST"},
        {"STREAM.CREATE.S", "STREAM.CREATE.a~b~~S"},
        {"STREAM.UPDATE.S", "STREAM.UPDATE.a~b~~S"},
        {"STREAM.INFO.S", "STREAM.INFO.a~b~~S"},
        {"STREAM.DELETE.S", "STREAM.DELETE.a~b~~S"},
        {"STREAM.PURGE.S", "STREAM.PURGE.a~b~~S"},
        {"STREAM.MSG.GET.S", "STREAM.MSG.GET.a~b~~S"},
        {"STREAM.MSG.DELETE.S", "STREAM.MSG.DELETE.a~b~~S"},
        {"STREAM.LEADER.STEPDOWN.S", "STREAM.LEADER.STEPDOWN.a~b~~S"},
        {"STREAM.PEER.REMOVE.S", "STREAM.PEER.REMOVE.a~b~~S"},
        {"DIRECT.GET.S", "DIRECT.GET.a~b~~S"},
        {"DIRECT.GET.S.x.y", "DIRECT.GET.a~b~~S." E "x.y"},
        {"CONSUMER.CREATE.S", "CONSUMER.CREATE.a~b~~S"},
        {"CONSUMER.CREATE.S.C", "CONSUMER.CREATE.a~b~~S.C"},
        {"CONSUMER.CREATE.S.C.x", "CONSUMER.CREATE.a~b~~S.C." E "x"},
        {"CONSUMER.CREATE.S.C.x.>", "CONSUMER.CREATE.a~b~~S.C." X "x.>"},
        {"CONSUMER.DURABLE.CREATE.S.C", "CONSUMER.DURABLE.CREATE.a~b~~S.C"},
        {"CONSUMER.INFO.S.C", "CONSUMER.INFO.a~b~~S.C"},
        {"CONSUMER.NAMES.S", "CONSUMER.NAMES.a~b~~S"},
        {"CONSUMER.LIST.S", "CONSUMER.LIST.a~b~~S"},
        {"CONSUMER.DELETE.S.C", "CONSUMER.DELETE.a~b~~S.C"},
        {"CONSUMER.PAUSE.S.C", "CONSUMER.PAUSE.a~b~~S.C"},
        {"CONSUMER.UNPIN.S.C", "CONSUMER.UNPIN.a~b~~S.C"},
        {"CONSUMER.RESET.S.C", "CONSUMER.RESET.a~b~~S.C"},
        {"CONSUMER.LEADER.STEPDOWN.S.C", "CONSUMER.LEADER.STEPDOWN.a~b~~S.C"},
        {"CONSUMER.MSG.NEXT.S.C", "CONSUMER.MSG.NEXT.a~b~~S.C"},
        {"STREAM.PEER.EVACUATE.S", "STREAM.PEER.EVACUATE.a~b~~S"},
        {"STREAM.CANCEL_MOVE.S", "STREAM.CANCEL_MOVE.a~b~~S"},
        {"CONSUMER.PEER.REMOVE.S.C", "CONSUMER.PEER.REMOVE.a~b~~S.C"},
        {"CONSUMER.PEER.EVACUATE.S.C", "CONSUMER.PEER.EVACUATE.a~b~~S.C"},
        {"STREAM.INFO.*", "STREAM.INFO.a~b~~*"},
        {"STREAM.SNAPSHOT.S", NULL},
        {"STREAM.RESTORE.S", NULL},
        {"STREAM.TEMPLATE.CREATE.S", NULL},
        {"META.LEADER.STEPDOWN", NULL},
        {"SERVER.REMOVE", NULL},
        {"SERVER.EVACUATE", NULL},
        {"META.RESCUE", NULL},
        {"ACCOUNT.PURGE.A", NULL},
        {"ACCOUNT.STREAM.MOVE.A.S", NULL},
        {"INFO.S", NULL},
        {"STREAM.NAMES.S", NULL},
        {"STREAM.INFO", NULL},
        {"STREAM.INFO.", NULL},
        {"STREAM.INFO.S.T", NULL},
        {"STREAM.INFOS.S", NULL},
        {"CONSUMER.INFO.S", NULL},
        {"CONSUMER.INFO.S.", NULL},
        {"CONSUMER.INFO.S.C.D", NULL},
        {"CONSUMER.CREATE.S.C.", NULL},
        {"", NULL},
    };
    static const char *const heads[] = {"$JS.API.", "$JS.hub.API."};
    struct nats_ns ns = namespace("a/b");
    for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
        struct buf in = {0}, want = {0}, got = {0};
        struct js_call call;
        assert_int_equal(buf_printf(&in, "%s%s", heads[i & 1], rows[i / 2].in), ERR_OK);
        assert_true(js_api_is(buf_span(&in)));
        bool known = js_api_parse(buf_span(&in), &call) && call.row->policy != JS_DENY;
        assert_int_equal(known, rows[i / 2].out != NULL);
        if (known) {
            assert_int_equal(buf_printf(&want, "%s%s", heads[i & 1], rows[i / 2].out), ERR_OK);
            assert_int_equal(js_api_map(&ns, &call, &got), ERR_OK);
            assert_span_equal(buf_span(&got), buf_span(&want));
        }
        buf_deinit(&in);
        buf_deinit(&want);
        buf_deinit(&got);
    }
}

static const struct js_asked asked = {.stream = SPAN_LIT("S")};

/* NOLINTNEXTLINE(readability-function-size): a table */
static void requests_are_mapped_and_configurations_come_back(void **state)
{
    (void)state;
    static const struct {
        const struct js_member *schema;
        const char *in, *out;
        bool back; /* the schema is that of an answer, too */
    } rows[] = {
        {js_stream_config, "{ \"name\" : \"S\" , \"subjects\":[\"x\", \"y.*\" ], \"n\":1.50e+9}",
         "{ \"name\" : \"a~b~~S\" , \"subjects\":[\"" E "x\",\"" X "y.*\"], \"n\":1.50e+9}", false},
        {js_stream_config, "{\"name\":\"S\",\"subjects\":[\"x\"],\"metadata\":{\"name\":\"S\"}}",
         "{\"name\":\"a~b~~S\",\"subjects\":[\"" E "x\"],\"metadata\":{\"name\":\"S\"}}", true},
        /* Without subjects the server takes the name: it must be the one in the slice. */
        {js_stream_config, "{}", "{\"subjects\":[\"" E "S\"]}", false},
        {js_stream_config, "{\"subjects\":null}", "{\"subjects\":null,\"subjects\":[\"" E "S\"]}",
         false},
        {js_stream_config, "{\"subjects\":[\"x\"],\"subjects\":[]}",
         "{\"subjects\":[\"" E "x\"],\"subjects\":[],\"subjects\":[\"" E "S\"]}", false},
        {js_stream_config, "{\"mirror\":{\"name\":\"M\",\"filter_subject\":\"x\"}}",
         "{\"mirror\":{\"name\":\"a~b~~M\",\"filter_subject\":\"" E "x\"}}", true},
        /* Members of a later server that hold no text. */
        {js_stream_config,
         "{\"mirror\":{\"name\":\"M\",\"new\":{\"max_x\": [1,-2.5e3,null,true], \"none\" : \"\"}}}",
         "{\"mirror\":{\"name\":\"a~b~~M\",\"new\":{\"max_x\": [1,-2.5e3,null,true], \"none\" : "
         "\"\"}}}",
         true},
        {js_stream_config, "{\"mirror\":{\"name\":\"M\"},\"mirror\":null}",
         "{\"mirror\":{\"name\":\"a~b~~M\"},\"mirror\":null,\"subjects\":[\"" E "S\"]}", false},
        {js_stream_config,
         "{\"sources\":[{\"name\":\"M\",\"external\":null,\"subject_transforms\":[{\"src\":\"x.*\","
         "\"dest\":\"y.{{wildcard(1)}}\"},{\"src\":\"z\",\"dest\":\"\"}]}]}",
         "{\"sources\":[{\"name\":\"a~b~~M\",\"external\":null,\"subject_transforms\":[{\"src\":"
         "\"" E "x.*\",\"dest\":\"" E "y.{{wildcard(1)}}\"},{\"src\":\"" E "z\",\"dest\":\"\"}]}]}",
         true},
        {js_stream_config, "{\"subjects\":[\"x\"],\"republish\":{\"dest\":\"r.>\"}}",
         "{\"subjects\":[\"" E "x\"],\"republish\":{\"dest\":\"" E "r.>\",\"src\":\"" E ">\"}}",
         false},
        {js_stream_config,
         "{\"subjects\":[\"x\"],\"subject_transform\":{\"src\":\"\",\"dest\":\"r.>\"}}",
         "{\"subjects\":[\"" E "x\"],\"subject_transform\":{\"src\":\"" E ">\",\"dest\":\"" E
         "r.>\"}}",
         false},
        /* Escapes, case and duplicates are what Go's decoder makes of them. */
        {js_stream_config,
         "{\"NAME\":\"\\u0053\\u00e9\\ud83d\\ude00\",\"\\u006eame\":\"T\",\"subjects\":[\"x\"]}",
         "{\"NAME\":\"a~b~~S\xc3\xa9\xf0\x9f\x98\x80\",\"\\u006eame\":\"a~b~~T\",\"subjects\":[\"" E
         "x\"]}",
         false},
        {js_stream_config, "{\"name\":7,\"subjects\":{\"x\":1}}",
         "{\"name\":7,\"subjects\":{\"x\":1},\"subjects\":[\"" E "S\"]}", false},
        /* Not objects: nothing in them that a server could read. */
        {js_stream_config, "", "", false},
        {js_stream_info_request, " null", " null", false},
        {js_stream_info_request, "[{\"subjects_filter\":\"x\"}]", "[{\"subjects_filter\":\"x\"}]",
         false},
        {js_consumer_request,
         "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"D\",\"deliver_subject\":\"_INBOX."
         "1\","
         "\"deliver_group\":\"g\",\"filter_subject\":\"\",\"filter_subjects\":[\"x\",\"$SRV.>\"],"
         "\"opt_start_seq\":18446744073709551615},\"action\":\"create\"}",
         "{\"stream_name\":\"a~b~~S\",\"config\":{\"durable_name\":\"D\",\"deliver_subject\":\"" E
         "_INBOX.1\",\"deliver_group\":\"g~a/b\",\"filter_subject\":\"\",\"filter_subjects\":[\"" E
         "x\",\"" X "$SRV.>\"],\"opt_start_seq\":18446744073709551615},\"action\":\"create\"}",
         true},
        {js_stream_info_request, "{\"subjects_filter\":\">\",\"offset\":3}",
         "{\"subjects_filter\":\"" X ">\",\"offset\":3}", true},
        {js_purge_request, "{\"filter\":\"x\",\"keep\":1}", "{\"filter\":\"" E "x\",\"keep\":1}",
         true},
        {js_get_request,
         "{\"next_by_subj\":\"x\",\"seq\":1,\"multi_last\":[\"x\"],\"last_by_subj\":\"y\"}",
         "{\"next_by_subj\":\"" E "x\",\"seq\":1,\"multi_last\":[\"" E "x\"],\"last_by_subj\":\"" E
         "y\"}",
         true},
    };
    struct nats_ns ns = namespace("a/b");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf got = {0}, back = {0};
        struct js_refused refused = {.why = JS_BAD_JSON};
        assert_int_equal(
            js_body_map(&ns, rows[i].schema, span_str(rows[i].in), &asked, &got, &refused), ERR_OK);
        assert_int_equal(refused.why, JS_FINE);
        assert_span_equal(buf_span(&got), span_str(rows[i].out));
        if (rows[i].back) {
            assert_int_equal(js_body_strip(&ns, rows[i].schema, buf_span(&got), &back), ERR_OK);
            assert_span_equal(buf_span(&back), span_str(rows[i].in));
        }
        buf_deinit(&got);
        buf_deinit(&back);
    }
}

static void what_reaches_out_or_does_not_parse_is_refused(void **state)
{
    (void)state;
    static const char x251[252] = {[0 ... 250] = 'x'};
    struct buf long_name = {0};
    assert_int_equal(buf_printf(&long_name, "{\"name\":\"%s\"}", x251), ERR_OK);
    assert_int_equal(buf_append_byte(&long_name, '\0'), ERR_OK);
    const struct {
        const char *in;
        enum js_refusal why;
    } rows[] = {
        {(const char *)buf_span(&long_name).p, JS_NAME_TOO_LONG},
        {"{\"mirror\":{\"name\":\"M\",\"external\":{}}}", JS_EXTERNAL},
        {"{\"sources\":[{\"External\":{\"api\":\"$JS.x.API\"}}]}", JS_EXTERNAL},
        {"{\"mirror\":{\"domain\":\"d\"}}", JS_EXTERNAL},
        {"{\"template_owner\":\"t\"}", JS_EXTERNAL},
        {"{\"name\":\"S\"}}", JS_BAD_JSON},
        {"{\"name\":\"S}", JS_BAD_JSON},
        /* Two letters that Go folds onto ASCII. */
        {"{\"\xc5\xbfubjects\":[\"bh.e.c.>\"]}", JS_BAD_JSON},
        {"{\"\\u017fubjects\":[\"bh.e.c.>\"]}", JS_BAD_JSON},
        {"{\"mirror\":{\"name\":\"M\",\"e\xe2\x84\xaa\":1}}", JS_BAD_JSON},
        /* Members of a later server: text in them could be a name. */
        {"{\"copy_to\":\"c~~S\"}", JS_UNKNOWN},
        {"{\"copy_to\":[1,\"c~~S\"]}", JS_UNKNOWN},
        {"{\"copy_to\":{\"to\":{\"n\":[{\"s\":\"\\u0053\"}]}}}", JS_UNKNOWN},
        {"{\"limits\":{\"bh.e.c.~.~.~.x\":1}}", JS_UNKNOWN},
        {"{\"limits\":{\"\\u0053\" :1}}", JS_UNKNOWN},
        {"{\"mirror\":{\"name\":\"M\",\"also\":\"c~~S\"}}", JS_UNKNOWN},
        {"{\"subject_transform\":{\"also\":\"x\"}}", JS_UNKNOWN},
    };
    struct nats_ns ns = namespace("a/b");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf got = {0};
        struct js_refused refused = {.why = JS_FINE};
        assert_int_equal(
            js_body_map(&ns, js_stream_config, span_str(rows[i].in), &asked, &got, &refused),
            ERR_OK);
        assert_int_equal(refused.why, rows[i].why);
        assert_int_equal(buf_len(&got), 0);
        buf_deinit(&got);
    }
    buf_deinit(&long_name);
}

/* As for a server that does not know the member: it is not there. */
static void text_in_unknown_members_is_null_for_a_server_that_ignores_them(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"{\"subjects\":[\"x\"],\"to\":\"c~~S\"}", "{\"subjects\":[\"" E "x\"],\"to\":null}"},
        {"{\"to\" : [1,\"c~~S\"] , \"subjects\":[\"x\"]}",
         "{\"to\" : null , \"subjects\":[\"" E "x\"]}"},
        {"{\"mirror\":{\"a\":{\"b\":\"c\"},\"name\":\"M\",\"n\":{\"x\":1}}}",
         "{\"mirror\":{\"a\":null,\"name\":\"a~b~~M\",\"n\":{\"x\":1}}}"},
    };
    const struct js_asked ignoring = {.stream = SPAN_LIT("S"), .ignores_unknown = true};
    struct nats_ns ns = namespace("a/b");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf got = {0};
        struct js_refused refused = {.why = JS_BAD_JSON};
        assert_int_equal(
            js_body_map(&ns, js_stream_config, span_str(rows[i].in), &ignoring, &got, &refused),
            ERR_OK);
        assert_int_equal(refused.why, JS_FINE);
        assert_span_equal(buf_span(&got), span_str(rows[i].out));
        buf_deinit(&got);
    }
}

/* As a server of 2.15.2 lists the consumer by which the stream `by` copies from `stream`. */
#define COPIED(stream, by)                                                                         \
    "{\"type\":\"io.nats.jetstream.api.v1.consumer_list_response\",\"total\":1,\"offset\":0,"      \
    "\"limit\":256,\"consumers\":[{\"stream_name\":\"" stream "\",\"name\":\"d0aTg5Bz\","          \
    "\"config\":{\"deliver_policy\":\"all\",\"metadata\":{\"_nats.src.acc\":\"$G\","               \
    "\"_nats.src.stream\":\"" by "\"}},\"num_pending\":0}]}"
#define IS_SHOWN(by, shown)                                                                        \
    {                                                                                              \
        js_consumer_list_answer, COPIED("a~b~~S", by), COPIED("S", shown)                          \
    }

static void answers_show_own_names_only(void **state)
{
    (void)state;
    static const struct {
        const struct js_member *schema;
        const char *in, *out;
    } rows[] = {
        {js_stream_answer,
         "{\"alternates\":[{\"name\":\"c~~S\"},{\"name\":\"a~b~~S\",\"n\":1}],\"mirror\":{\"name\":"
         "\"c~~S\"}}",
         "{\"alternates\":[{\"name\":\"S\",\"n\":1}],\"mirror\":null}"},
        {js_stream_answer,
         "{\"state\":{\"subjects\":{\"bh.e.c.~.~.~.x\":1,\"" E "x\":2,\"bh.d.a.b.~.~.y\":3}}}",
         "{\"state\":{\"subjects\":{\"x\":2,\"y\":3}}}"},
        {js_consumer_list_answer,
         "{\"total\":1,\"consumers\":[{\"stream_name\":\"a~b~~S\",\"config\":{\"filter_subject\":"
         "\"bh.e.c.~.~.~.x\"}}]}",
         "{\"total\":1,\"consumers\":[{\"stream_name\":\"S\",\"config\":{\"filter_subject\":\"\"}}]"
         "}"},
        /* What a server of 2.15 shows of a source's consumer, and what only looks like it. */
        {js_consumer_answer,
         "{\"stream_name\":\"a~b~~S\",\"config\":{\"deliver_subject\":\"$JS.S.YJPTv1A8\","
         "\"metadata\":{\"_nats.src.acc\":\"$G\",\"_nats.src.stream\":\"a~b~~SRC\","
         "\"mine\":\"a~b~~x\"}}}",
         "{\"stream_name\":\"S\",\"config\":{\"deliver_subject\":\"$JS.S.YJPTv1A8\","
         "\"metadata\":{\"_nats.src.acc\":\"$G\",\"_nats.src.stream\":\"SRC\","
         "\"mine\":\"a~b~~x\"}}}"},
        {js_consumer_answer,
         "{\"stream_name\":\"a~b~~S\",\"config\":{\"deliver_subject\":\"$JS.S.c~~x\","
         "\"metadata\":{\"_nats.src.stream\":\"c~~S\",\"mine\":\"c~~x\"}}}",
         "{\"stream_name\":\"S\",\"config\":{\"deliver_subject\":\"\","
         "\"metadata\":{\"_nats.src.stream\":\"\",\"mine\":\"c~~x\"}}}"},
        /* A sibling's, the parent's, a child's, the root's, one of no namespace; escapes. */
        IS_SHOWN("a~c~~S", ""),
        IS_SHOWN("a~~S", ""),
        IS_SHOWN("a~b~c~~S", ""),
        IS_SHOWN("~S", ""),
        IS_SHOWN("S", ""),
        IS_SHOWN("x a~b~~S", ""),
        IS_SHOWN("bh.e.c.~.~.~.x", ""),
        IS_SHOWN("\\u0063~~S", ""),
        IS_SHOWN("a~b~~S", "S"),
        IS_SHOWN("\\u0061~b~~S", "S"),
        {js_error_answer,
         "{\"error\":{\"code\":400,\"err_code\":10058,\"description\":\"a~b~~S, '" E
         "x' and x.a~b~~S\"}}",
         "{\"error\":{\"code\":400,\"err_code\":10058,\"description\":\"S, 'x' and x.a~b~~S\"}}"},
        {js_error_answer, "{\"error\":{\"description\":\"overlaps with bh.e.c.~.~.~.x\"}}",
         "{\"error\":{\"description\":\"not possible in this namespace\"}}"},
        {js_get_answer,
         "{\"message\":{\"subject\":\"" E
         "x\",\"hdrs\":\"TkFUUy8xLjANCk5hdHMtU3RyZWFtOiBhfmJ+flMNCg0K\"}}",
         "{\"message\":{\"subject\":\"x\",\"hdrs\":\"TkFUUy8xLjANCk5hdHMtU3RyZWFtOiBTDQoNCg==\"}}"},
    };
    struct nats_ns ns = namespace("a/b");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf got = {0};
        assert_int_equal(js_body_strip(&ns, rows[i].schema, span_str(rows[i].in), &got), ERR_OK);
        assert_span_equal(buf_span(&got), span_str(rows[i].out));
        buf_deinit(&got);
    }
    struct buf got = {0};
    assert_int_equal(
        js_body_strip(&ns, js_consumer_answer, SPAN_LIT("{\"stream_name\":\"c~~S\"}"), &got),
        ERR_FOREIGN);
    assert_int_equal(buf_len(&got), 0);
    buf_deinit(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_subject_of_the_api),
        cmocka_unit_test(requests_are_mapped_and_configurations_come_back),
        cmocka_unit_test(what_reaches_out_or_does_not_parse_is_refused),
        cmocka_unit_test(text_in_unknown_members_is_null_for_a_server_that_ignores_them),
        cmocka_unit_test(answers_show_own_names_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
