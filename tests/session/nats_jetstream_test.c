/* SPDX-License-Identifier: Apache-2.0 */
/* JetStream in one session: requests and answers, acknowledgements, headers, lists. */
#include "session/nats_transcript.h"

static void a_request_is_mapped_and_its_answer_is_stripped(void **state)
{
    (void)state;
    PLAY("a", HELLO,
         APP("PUB $JS.API.STREAM.CREATE.ORDERS _INBOX.1 91\r\n{\"name\":\"ORDERS\",\"subjects"
             "\":[\"orders.*\",\"x.1\"],\"max_age\":1e400, \"new\" : {\"name\":[1.50, 2]}}\r\n"),
         UP_HEARS(
             "SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.CREATE.a~~ORDERS bh.r.a~~.N.0."
             "1 120\r\n{\"name\":\"a~~ORDERS\",\"subjects\":[\"bh.*.a.~.~.~.orders.*\",\"bh.e.a.~"
             ".~.~.x.1\"],\"max_age\":1e400, \"new\" : {\"name\":[1.50, 2]}}\r\n"),
         UP("MSG bh.r.a~~.N.0.1 r0 174\r\n{\"type\":\"t\",\"config\":{\"name\":\"a~~ORDERS\",\"sub"
            "jects\":[\"bh.*.a.~.~.~.orders.*\",\"bh.e.a.~.~.~.x.1\"]},\"state\":{\"subjects\""
            ":{\"bh.e.a.~.~.~.x.1\":18446744073709551615}},\"new\":[1.50]}\r\n"),
         UP_HEARS(
             "PUB bh.e.a.~.~.~._INBOX.1 132\r\n{\"type\":\"t\",\"config\":{\"name\":\"ORDERS\",\"su"
             "bjects\":[\"orders.*\",\"x.1\"]},\"state\":{\"subjects\":{\"x.1\":18446744073709551"
             "615}},\"new\":[1.50]}\r\n"));
}

static void requests_share_one_inbox_and_answers_find_theirs(void **state)
{
    (void)state;
    PLAY("a", HELLO,
         APP("PUB $JS.API.INFO r.1 0\r\n\r\nPUB $JS.hub.API.CONSUMER.INFO.S.C r.2 0\r\n\r\n"),
         UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.INFO bh.r.a~~.N.0.1 0\r\n\r\nPUB $JS.hub."
                  "API.CONSUMER.INFO.a~~S.C bh.r.a~~.N.0.2 0\r\n\r\n"),
         UP("MSG bh.r.a~~.N.0.2 r0 108\r\n{\"stream_name\":\"a~~S\",\"name\":\"C\",\"config\":{\"d"
            "eliver_subject\":\"bh.e.a.~.~.~._INBOX.9\",\"deliver_group\":\"g~a\"}}\r\n"),
         UP_HEARS(
             "PUB bh.e.a.~.~.~.r.2 90\r\n{\"stream_name\":\"S\",\"name\":\"C\",\"config\":{\"delive"
             "r_subject\":\"_INBOX.9\",\"deliver_group\":\"g\"}}\r\n"),
         UP("MSG bh.r.a~~.N.0.1 r0 111\r\n{\"memory\":5,\"streams\":77,\"limits\":{\"max_strea"
            "ms\":-1},\"api\":{\"total\":9,\"errors\":1},\"tiers\":{\"R1\":{\"storage\":3}}}\r\n"),
         UP_HEARS(
             "PUB bh.e.a.~.~.~.r.1 110\r\n{\"memory\":0,\"streams\":0,\"limits\":{\"max_streams"
             "\":-1},\"api\":{\"total\":0,\"errors\":0},\"tiers\":{\"R1\":{\"storage\":0}}}\r\n"),
         UP("MSG bh.r.a~~.N.0.1 r0 11\r\n{\"again\":1}\r\nMSG bh.r.a~~.N.0.x r0 0\r\n\r\n"));
}

static void an_answer_waits_for_the_end_of_a_payload(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("PUB $JS.API.INFO r 0\r\n\r\nPUB foo 4\r\nab"),
         UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.INFO bh.r.a~~.N.0.1 0\r\n\r\nPUB bh.e.a.~"
                  ".~.~.foo 4\r\nab"),
         UP("MSG bh.r.a~~.N.0.1 r0 2\r\n{}\r\n"), APP("cd\r\n"),
         UP_HEARS("cd\r\nPUB bh.e.a.~.~.~.r 2\r\n{}\r\n"));
}

static void a_server_without_jetstream_is_heard(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("PUB $JS.API.INFO r 0\r\n\r\n"),
         UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.INFO bh.r.a~~.N.0.1 0\r\n\r\n"),
         UP("HMSG bh.r.a~~.N.0.1 r0 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"),
         UP_HEARS("HPUB bh.e.a.~.~.~.r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"));
}

/* From 2.12 on a server says in its 503 what nobody listens to, as it is stored. */
static void nobody_listens_to_a_subject_of_ones_own(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("PUB $JS.API.STREAM.INFO.S r 0\r\n\r\n"),
         UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.INFO.a~~S bh.r.a~~.N.0.1 0\r\n\r\n"),
         UP("HMSG bh.r.a~~.N.0.1 r0 56 56\r\nNATS/1.0 503\r\nNats-Subject: "
            "$JS.API.STREAM.INFO.a~~S\r\n\r\n\r\n"),
         UP_HEARS("HPUB bh.e.a.~.~.~.r 53 53\r\nNATS/1.0 503\r\nNats-Subject: "
                  "$JS.API.STREAM.INFO.S\r\n\r\n\r\n"));
    /* Denied, and so sent to where nobody listens. */
    PLAY("a", HELLO,
         UP("HMSG bh.e.a.~.~.~.i e1 52 52\r\nNATS/1.0 503\r\nNats-Subject: "
            "bh.r.a~~.$JS.API.NEW\r\n\r\n\r\n"),
         APP_HEARS("HMSG i 1 43 43\r\nNATS/1.0 503\r\nNats-Subject: $JS.API.NEW\r\n\r\n\r\n"),
         UP("HMSG bh.e.a.~.~.~.i e1 52 52\r\nNATS/1.0 503\r\nNats-Subject: "
            "bh.r.c~~.$JS.API.NEW\r\n\r\n\r\n"),
         APP_HEARS(
             "HMSG i 1 52 52\r\nNATS/1.0 503\r\nNats-Subject: bh.r.c~~.$JS.API.NEW\r\n\r\n\r\n"));
    PLAY("a", HELLO,
         UP("HMSG bh.e.a.~.~.~.i e1 78 78\r\nNATS/1.0 503\r\nNats-Subject: "
            "$JS.hub.API.DIRECT.GET.a~~S.bh.e.a.~.~.~.foo.1\r\n\r\n\r\n"),
         APP_HEARS("HMSG i 1 62 62\r\nNATS/1.0 503\r\nNats-Subject: "
                   "$JS.hub.API.DIRECT.GET.S.foo.1\r\n\r\n\r\n"),
         UP("HMSG bh.e.a.~.~.~.i e1 67 67\r\nNATS/1.0 503\r\nNats-Subject: "
            "$JS.API.CONSUMER.MSG.NEXT.a~~b~~S.C\r\n\r\n\r\n"),
         APP_HEARS("HMSG i 1 64 64\r\nNATS/1.0 503\r\nNats-Subject: "
                   "$JS.API.CONSUMER.MSG.NEXT.b~~S.C\r\n\r\n\r\n"),
         UP("HMSG bh.e.a.~.~.~.i e1 56 56\r\nNATS/1.0 503\r\nNats-Subject: "
            "$JS.ACK.a~~S.C.1.1.1.1.0\r\n\r\n\r\n"),
         APP_HEARS(
             "HMSG i 1 53 53\r\nNATS/1.0 503\r\nNats-Subject: $JS.ACK.S.C.1.1.1.1.0\r\n\r\n\r\n"));
}

/* A member that the table does not know could name a stream of another namespace: one server does
 * not look at it, another one refuses it, of a later one nobody knows. */
static void text_in_an_unknown_member_reaches_no_server(void **state)
{
    (void)state;
#define SERVER(version)                                                                            \
    UP("INFO {\"version\":\"" version "\"}\r\n"),                                                  \
        APP_HEARS("INFO {\"version\":\"" version "\",\"host\":\"127.0.0.1\",\"port\":4222}\r\n"),  \
        APP("CONNECT {\"verbose\":false}\r\n"), UP_HEARS("CONNECT {\"verbose\":false}\r\n"),       \
        APP("PUB $JS.API.STREAM.CREATE.S r 52\r\n"                                                 \
            "{\"name\":\"S\",\"subjects\":[\"x\"],\"copy\":[{\"to\":\"b~~S\"}]}\r\n")
#define IGNORED                                                                                    \
    UP_HEARS("SUB bh.r.a~~.0.0.* r0\r\nPUB $JS.API.STREAM.CREATE.a~~S bh.r.a~~.0.0.1 57\r\n"       \
             "{\"name\":\"a~~S\",\"subjects\":[\"bh.e.a.~.~.~.x\"],\"copy\":null}\r\n")
#define REFUSED(n, code, words)                                                                    \
    UP_HEARS("PUB bh.e.a.~.~.~.r " n "\r\n{\"type\":\"io.nats.jetstream.api.v1."                   \
             "stream_create_response\",\"error\":{\"code\":400,\"err_code\":" code                 \
             ",\"description\":\"" words "\"}}\r\n")
#define BY_SERVER REFUSED("155", "10025", "invalid JSON: json: unknown field \\\"copy\\\"")
#define BY_US                                                                                      \
    REFUSED("191", "10052",                                                                        \
            "bulkhead: \\\"copy\\\" is not known to this sidecar and could name what is outside")
    PLAY("a", SERVER("2.9.10"), IGNORED);
    PLAY("a", SERVER("2.11.17"), IGNORED);
    PLAY("a", SERVER("2.12.0-RC.1"), BY_SERVER);
    PLAY("a", SERVER("2.15.2"), BY_SERVER);
    PLAY("a", SERVER("2.16.0"), BY_US);
    PLAY("a", SERVER("2.300.0"), BY_US);
    PLAY("a", SERVER("3.1.0"), BY_US);
    PLAY("a", SERVER("2."), BY_US);
    PLAY("a", SERVER(""), BY_US);
}

/* It does not hear what its own connection publishes; what the server answers by itself it hears.
 */
static void a_client_without_echo_is_answered_by_its_voice(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("CONNECT {\"echo\":false}\r\n"), UP_HEARS("CONNECT {\"echo\":false}\r\n"),
         APP("PUB $JS.API.CONSUMER.MSG.NEXT.S.C i 1\r\n1\r\nPUB $JS.API.DIRECT.GET.S i 22\r\n"
             "{\"last_by_subj\":\"foo\"}\r\nPUB $JS.API.STREAM.PURGE.S i 2\r\n{}\r\n"),
         UP_HEARS("PUB $JS.API.CONSUMER.MSG.NEXT.a~~S.C bh.e.a.~.~.~.i 1\r\n1\r\n"
                  "PUB $JS.API.DIRECT.GET.a~~S bh.e.a.~.~.~.i 35\r\n"
                  "{\"last_by_subj\":\"bh.e.a.~.~.~.foo\"}\r\n"
                  "SUB bh.r.a~~.N.0.* r0\r\n"
                  "PUB $JS.API.STREAM.PURGE.a~~S bh.r.a~~.N.0.1 2\r\n{}\r\n"),
         UP("MSG bh.r.a~~.N.0.1 r0 16\r\n{\"success\":true}\r\n"),
         HEARD_ASIDE("PUB bh.e.a.~.~.~.i 16\r\n{\"success\":true}\r\n"),
         APP("PUB $JS.API.STREAM.TEMPLATE.NAMES i 0\r\n\r\n"),
         HEARD_ASIDE(
             "PUB bh.e.a.~.~.~.i 148\r\n{\"type\":\"io.nats.jetstream.api.v1.error\",\"error\":{"
             "\"code\":403,\"err_code\":10075,\"description\":\"bulkhead: this request is not "
             "allowed in a namespace\"}}\r\n"));
}

/* Every line has its own +OK, and what is said aside brings none. */
static void a_verbose_client_without_echo_hears_one_ok_a_line(void **state)
{
    (void)state;
    PLAY(
        "a", HELLO_VERBOSE, APP("CONNECT {\"verbose\":true,\"echo\":false}\r\n"),
        UP_HEARS("CONNECT {\"verbose\":true,\"echo\":false}\r\n"), UP("+OK\r\n"),
        APP_HEARS("+OK\r\n"), APP("PUB $JS.API.STREAM.PURGE.S i 2\r\n{}\r\nPUB foo 0\r\n\r\n"),
        UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.PURGE.a~~S bh.r.a~~.N.0.1 2\r\n{}\r\n"
                 "PUB bh.e.a.~.~.~.foo 0\r\n\r\n"),
        UP("+OK\r\n+OK\r\nMSG bh.r.a~~.N.0.1 r0 16\r\n{\"success\":true}\r\n"),
        HEARD_ASIDE("PUB bh.e.a.~.~.~.i 16\r\n{\"success\":true}\r\n"), APP_HEARS("+OK\r\n"),
        UP("+OK\r\n"), APP_HEARS("+OK\r\n"),
        APP("PUB $JS.API.STREAM.PURGE.S i 1\r\n{\r\nPUB foo 0\r\n\r\n"),
        HEARD_ASIDE("PUB bh.e.a.~.~.~.i "
                    "135\r\n{\"type\":\"io.nats.jetstream.api.v1.stream_purge_response\","
                    "\"error\":{\"code\":400,\"err_code\":10025,\"description\":\"invalid "
                    "JSON\"},\"purged\":0}\r\n"),
        UP_HEARS("PUB bh.r.a~~.ok 0\r\n\r\nPUB bh.e.a.~.~.~.foo 0\r\n\r\n"), UP("+OK\r\n+OK\r\n"),
        APP_HEARS("+OK\r\n+OK\r\n"));
}

static void what_is_not_for_a_namespace_is_denied(void **state)
{
    (void)state;
    PLAY(
        "a", HELLO,
        APP("PUB $JS.API.META.LEADER.STEPDOWN r 2\r\n{}\r\nPUB $JS.API.STREAM.SNAPSHOT.S "
            "r 0\r\n\r\nPUB $JS.API.STREAM.INFO.S.b~~S r 0\r\n\r\nPUB $JS.API.NEW 1\r\nx\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.r 148\r\n{\"type\":\"io.nats.jetstream.api.v1.error\",\"error\""
                 ":{\"code\":403,\"err_code\":10075,\"description\":\"bulkhead: this request is n"
                 "ot allowed in a namespace\"}}\r\nPUB bh.e.a.~.~.~.r 167\r\n{\"type\":\"io.nats.j"
                 "etstream.api.v1.stream_snapshot_response\",\"error\":{\"code\":403,\"err_code\""
                 ":10075,\"description\":\"bulkhead: this request is not allowed in a namespa"
                 "ce\"}}\r\nPUB bh.e.a.~.~.~.r 148\r\n{\"type\":\"io.nats.jetstream.api.v1.error\","
                 "\"error\":{\"code\":403,\"err_code\":10075,\"description\":\"bulkhead: this reque"
                 "st is not allowed in a namespace\"}}\r\nPUB bh.r.a~~.$JS.API.NEW 0\r\n\r\n"),
        APP("PUB $JS.API.STREAM.CREATE.M r 57\r\n{\"name\":\"M\",\"mirror\":{\"name\":\"X\",\"EXTE"
            "RNAL\":{\"api\":\"x\"}}}\r\n"),
        UP_HEARS(
            "PUB bh.e.a.~.~.~.r 178\r\n{\"type\":\"io.nats.jetstream.api.v1.stream_create_"
            "response\",\"error\":{\"code\":403,\"err_code\":10052,\"description\":\"bulkhead: "
            "external mirrors and sources are outside this namespace\"}}\r\n"),
        APP("PUB $JS.API.STREAM.CREATE.M r 37\r\n{\"name\":\"M\",\"\xc5\xbf"
            "ubjects\":[\"bh.e.b.>\"]}\r"
            "\nPUB $JS.API.STREAM.CREATE.M r 8\r\n{\"name\":\r\n"),
        UP_HEARS(
            "PUB bh.e.a.~.~.~.r 125\r\n{\"type\":\"io.nats.jetstream.api.v1.stream_create_"
            "response\",\"error\":{\"code\":400,\"err_code\":10025,\"description\":\"invalid JS"
            "ON\"}}\r\nPUB bh.e.a.~.~.~.r 125\r\n{\"type\":\"io.nats.jetstream.api.v1.stream_"
            "create_response\",\"error\":{\"code\":400,\"err_code\":10025,\"description\":\"inv"
            "alid JSON\"}}\r\n"),
        APP("PUB $JS.API.STREAM.INFO.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx r 0\r\n\r\n"),
        UP_HEARS(
            "PUB bh.e.a.~.~.~.r 207\r\n{\"type\":\"io.nats.jetstream.api.v1.stream_info_re"
            "sponse\",\"error\":{\"code\":400,\"err_code\":10052,\"description\":\"stream name "
            "is too long, maximum allowed is 252 in this "
            "namespace\"},\"total\":0,\"offset\":0,\"limit\":0}\r\n"));
}

static void acknowledgements_and_flow_control_name_the_stream(void **state)
{
    (void)state;
    PLAY("a", HELLO,
         UP("MSG bh.e.a.~.~.~.orders.1 e5 $JS.ACK.a~~ORDERS.C.1.2.3.4.5 1\r\nx\r\nMSG bh."
            "e.a.~.~.~.orders.1 e5 $JS.ACK.hub.HASH.a~~ORDERS.C.1.2.3.4.5.RND 1\r\nx\r\nM"
            "SG bh.e.a.~.~.~.orders.1 e5 $JS.ACK.b~~ORDERS.C.1.2.3.4.5 1\r\nx\r\n"),
         APP_HEARS("MSG orders.1 5 $JS.ACK.ORDERS.C.1.2.3.4.5 1\r\nx\r\nMSG orders.1 5 $JS.ACK.h"
                   "ub.HASH.ORDERS.C.1.2.3.4.5.RND 1\r\nx\r\n"),
         APP("PUB $JS.ACK.ORDERS.C.1.2.3.4.5 4\r\n+ACK\r\nPUB $JS.ACK.hub.HASH.ORDERS.C.1."
             "2.3.4.5.RND i 4\r\n+NXT\r\nPUB $JS.FC.ORDERS.C.id 0\r\n\r\n"),
         UP_HEARS("PUB $JS.ACK.a~~ORDERS.C.1.2.3.4.5 4\r\n+ACK\r\nPUB $JS.ACK.hub.HASH.a~~ORDER"
                  "S.C.1.2.3.4.5.RND bh.e.a.~.~.~.i 4\r\n+NXT\r\nPUB $JS.FC.a~~ORDERS.C.id 0\r\n\r"
                  "\n"),
         APP("PUB $JS.ACK.ORDERS.C 1\r\nx\r\nPUB $JS.ACK.b~~S.C.ORDERS.C.1.2.3.4.5 1\r\nx\r\n"),
         UP_HEARS("PUB bh.e.a.~.~.~.$JS.ACK.ORDERS.C 1\r\nx\r\nPUB bh.e.a.~.~.~.$JS.ACK.b~~S.C."
                  "ORDERS.C.1.2.3.4.5 1\r\nx\r\n"));
}

static void acknowledgements_of_publishes_are_known_by_their_shape(void **state)
{
    (void)state;
    PLAY("a", HELLO,
         UP("MSG bh.e.a.~.~.~.i e1 45\r\n{\"stream\":\"a~~S\", \"seq\":18446744073709551615}\r"
            "\n"),
         APP_HEARS("MSG i 1 42\r\n{\"stream\":\"S\", \"seq\":18446744073709551615}\r\n"),
         UP("MSG bh.e.a.~.~.~.i e1 93\r\n{\"error\":{\"code\":400,\"err_code\":10060,\"descrip"
            "tion\":\"expected a~~S\"},\"stream\":\"a~~S\",\"seq\":0}\r\n"),
         APP_HEARS(
             "MSG i 1 87\r\n{\"error\":{\"code\":400,\"err_code\":10060,\"description\":\"expecte"
             "d S\"},\"stream\":\"S\",\"seq\":0}\r\n"),
         UP("MSG bh.e.a.~.~.~.i e1 14\r\n{\"stream\":\"S\"}\r\nMSG bh.e.a.~.~.~.i e1 13\r\n{\"st"
            "ream\":\"a~\r\nMSG bh.e.a.~.~.~.i e1 13\r\n{\"error\":{}}x\r\nMSG bh.e.a.~.~.~.i e"
            "1 bh.e.a.~.~.~.r 17\r\n{\"stream\":\"a~~S\"}\r\nMSG bh.e.a.~.~.~.i e1 30\r\n{\"erro"
            "r\":{\"x\":1},\"stream\":\"T\"}\r\n"),
         APP_HEARS("MSG i 1 14\r\n{\"stream\":\"S\"}\r\nMSG i 1 13\r\n{\"stream\":\"a~\r\nMSG i 1 "
                   "13\r\n{\"err"
                   "or\":{}}x\r\nMSG i 1 r 17\r\n{\"stream\":\"a~~S\"}\r\nMSG i 1 "
                   "30\r\n{\"error\":{\"x\":1},"
                   "\"stream\":\"T\"}\r\n"));
}

static void headers_that_name_things_are_edited(void **state)
{
    (void)state;
    PLAY(
        "a", HELLO,
        APP("HPUB foo r 147 149\r\nNATS/1.0\r\nNats-Expected-Stream: S\r\nnats-expected-str"
            "eam: S\r\nNats-Msg-Id: S\r\nNats-Expected-Last-Subject-Sequence-Subject:foo\r"
            "\nNats-Trace-Dest: x\r\n\r\nhi\r\n"),
        UP_HEARS("HPUB bh.e.a.~.~.~.foo bh.e.a.~.~.~.r 163 165\r\nNATS/1.0\r\nNats-Expected-St"
                 "ream: a~~S\r\nnats-expected-stream: S\r\nNats-Msg-Id: S\r\nNats-Expected-Last-"
                 "Subject-Sequence-Subject:bh.e.a.~.~.~.foo\r\nNats-Trace_Dest: x\r\n\r\nhi\r\n"),
        UP("HMSG bh.e.a.~.~.~.i e1 143 145\r\nNATS/1.0\r\nNats-Stream: a~~S\r\nNats-Subjec"
           "t: bh.e.a.~.~.~.foo\r\nNats-Sequence: 7\r\nNats-Stream-Source: a~~S 7 bh.*.a"
           ".~.~.~.> > bh.e.a.~.~.~.foo\r\n\r\nhi\r\n"),
        APP_HEARS("HMSG i 1 98 100\r\nNATS/1.0\r\nNats-Stream: S\r\nNats-Subject: foo\r\nNats-Seque"
                  "nce: 7\r\nNats-Stream-Source: S 7 > > foo\r\n\r\nhi\r\n"),
        UP("HMSG bh.e.a.~.~.~.i e1 94 94\r\nNATS/1.0 100 Idle Heartbeat\r\nNats-Last-Con"
           "sumer: 1\r\nNats-Consumer-Stalled: $JS.FC.a~~S.C.x\r\n\r\n\r\nHMSG bh.e.a.~.~.~."
           "i e1 47 48\r\nNATS/1.0\r\nNats-Stream: b~~S\r\nNats-Own: a~~S\r\n\r\nx\r\n"),
        APP_HEARS(
            "HMSG i 1 91 91\r\nNATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats"
            "-Consumer-Stalled: $JS.FC.S.C.x\r\n\r\n\r\nHMSG i 1 47 48\r\nNATS/1.0\r\nNats-Stre"
            "am: b~~S\r\nNats-Own: a~~S\r\n\r\nx\r\n"));
}

static void pulls_and_direct_gets_are_answered_straight(void **state)
{
    (void)state;
    PLAY("a", HELLO,
         APP("PUB $JS.API.CONSUMER.MSG.NEXT.S.C i 11\r\n{\"batch\":9}\r\nPUB $JS.API.DIRECT."
             "GET.S.foo.1 i 0\r\n\r\nPUB $JS.API.DIRECT.GET.S i 44\r\n{\"last_by_subj\":\"foo\","
             " \"multi_last\":[\"f.>\"]}\r\n"),
         UP_HEARS("PUB $JS.API.CONSUMER.MSG.NEXT.a~~S.C bh.e.a.~.~.~.i 11\r\n{\"batch\":9}\r\nPUB"
                  " $JS.API.DIRECT.GET.a~~S.bh.e.a.~.~.~.foo.1 bh.e.a.~.~.~.i 0\r\n\r\nPUB $JS."
                  "API.DIRECT.GET.a~~S bh.e.a.~.~.~.i 70\r\n{\"last_by_subj\":\"bh.e.a.~.~.~.foo"
                  "\", \"multi_last\":[\"bh.*.a.~.~.~.f.>\"]}\r\n"));
}

static void lists_are_read_to_their_end_and_hold_own_names_only(void **state)
{
    (void)state;
    PLAY("a", HELLO, APP("PUB $JS.hub.API.STREAM.NAMES i 12\r\n{\"offset\":1}\r\n"),
         UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.hub.API.STREAM.NAMES bh.r.a~~.N.0.1 12\r\n{"
                  "\"offset\":0}\r\n"),
         UP("MSG bh.r.a~~.N.0.1 r0 78\r\n{\"type\":\"t\",\"total\":5,\"offset\":0,\"limit\":3,\"st"
            "reams\":[\"a~~A\",\"a~~B\",\"a~b~~C\"]}\r\n"),
         UP_HEARS("PUB $JS.hub.API.STREAM.NAMES bh.r.a~~.N.0.2 12\r\n{\"offset\":3}\r\n"),
         UP("MSG bh.r.a~~.N.0.2 r0 75\r\n{\"type\":\"t\",\"total\":5,\"offset\":3,\"limit\":3,\"st"
            "reams\":[\"a~~D\",\"~A\"],\"x\":1.0}\r\n"),
         UP_HEARS(
             "PUB bh.e.a.~.~.~.i 71\r\n{\"type\":\"t\",\"total\":3,\"offset\":1,\"limit\":3,\"strea"
             "ms\":[\"B\",\"D\"],\"x\":1.0}\r\n"),
         APP("PUB $JS.API.STREAM.LIST i 17\r\n{\"subject\":\"o.*\"}\r\n"),
         UP_HEARS("PUB $JS.API.STREAM.LIST bh.r.a~~.N.0.3 41\r\n{\"offset\":0,\"subject\":\"bh.*.a"
                  ".~.~.~.o.*\"}\r\n"),
         UP("MSG bh.r.a~~.N.0.3 r0 155\r\n{\"total\":2,\"offset\":0,\"limit\":256,\"streams\":["
            "{\"config\":{\"name\":\"b~~S\"}},{\"config\":{\"name\":\"a~~S\"},\"n\":1}],"
            "\"missing\":["
            "\"b~~M\",\"a~~M\"],\"offline\":{\"b~~O\":\"x\"}}\r\n"),
         UP_HEARS(
             "PUB bh.e.a.~.~.~.i 92\r\n{\"total\":1,\"offset\":0,\"limit\":256,\"streams\":[{\"co"
             "nfig\":{\"name\":\"S\"},\"n\":1}],\"missing\":[\"M\"]}\r\n"),
         /* As the server's own empty lists: null for names, and the offset is at most the total. */
         APP("PUB $JS.API.STREAM.NAMES i 12\r\n{\"offset\":9}\r\n"),
         UP_HEARS("PUB $JS.API.STREAM.NAMES bh.r.a~~.N.0.4 12\r\n{\"offset\":0}\r\n"),
         UP("MSG bh.r.a~~.N.0.4 r0 "
            "48\r\n{\"total\":2,\"offset\":0,\"streams\":[\"b~~S\",\"a~~S\"]}\r\n"),
         UP_HEARS("PUB bh.e.a.~.~.~.i 37\r\n{\"total\":1,\"offset\":1,\"streams\":null}\r\n"),
         APP("PUB $JS.API.STREAM.LIST i 0\r\n\r\n"),
         UP_HEARS("PUB $JS.API.STREAM.LIST bh.r.a~~.N.0.5 12\r\n{\"offset\":0}\r\n"),
         UP("MSG bh.r.a~~.N.0.5 r0 "
            "61\r\n{\"total\":1,\"offset\":0,\"streams\":[{\"config\":{\"name\":\"b~~S\"}}]}\r\n"),
         UP_HEARS("PUB bh.e.a.~.~.~.i 35\r\n{\"total\":0,\"offset\":0,\"streams\":[]}\r\n"));
}

static void the_root_has_its_own_names(void **state)
{
    (void)state;
    PLAY(
        "default", HELLO, APP("PUB $JS.API.STREAM.DELETE.S i 0\r\n\r\n"),
        UP_HEARS("SUB bh.r.~.N.0.* r0\r\nPUB $JS.API.STREAM.DELETE.~S bh.r.~.N.0.1 0\r\n\r\n"),
        UP("MSG bh.r.~.N.0.1 r0 72\r\n{\"error\":{\"code\":404,\"err_code\":10059,\"descripti"
           "on\":\"stream not found\"}}\r\n"),
        UP_HEARS("PUB bh.e.~.~.~.~.i 72\r\n{\"error\":{\"code\":404,\"err_code\":10059,\"descriptio"
                 "n\":\"stream not found\"}}\r\n"));
}

static void a_verbose_client_hears_the_oks_of_its_own_lines(void **state)
{
    (void)state;
    PLAY(
        "a", HELLO_VERBOSE,
        APP("PUB $JS.API.STREAM.DELETE.S i 0\r\n\r\nPUB $JS.API.NEW i 1\r\nx\r\nPING\r\n"),
        UP_HEARS("SUB bh.r.a~~.N.0.* r0\r\nPUB $JS.API.STREAM.DELETE.a~~S bh.r.a~~.N.0.1 0\r\n"
                 "\r\nPUB bh.e.a.~.~.~.i 148\r\n{\"type\":\"io.nats.jetstream.api.v1.error\",\"erro"
                 "r\":{\"code\":403,\"err_code\":10075,\"description\":\"bulkhead: this request is"
                 " not allowed in a namespace\"}}\r\nPING\r\n"),
        UP("+OK\r\n+OK\r\n"), APP_HEARS("+OK\r\n"),
        UP("MSG bh.r.a~~.N.0.1 r0 16\r\n{\"success\":true}\r\n"),
        UP_HEARS("PUB bh.e.a.~.~.~.i 16\r\n{\"success\":true}\r\n"), UP("+OK\r\nPONG\r\n+OK\r\n"),
        APP_HEARS("+OK\r\nPONG\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_mapped_and_its_answer_is_stripped),
        cmocka_unit_test(requests_share_one_inbox_and_answers_find_theirs),
        cmocka_unit_test(an_answer_waits_for_the_end_of_a_payload),
        cmocka_unit_test(a_server_without_jetstream_is_heard),
        cmocka_unit_test(nobody_listens_to_a_subject_of_ones_own),
        cmocka_unit_test(text_in_an_unknown_member_reaches_no_server),
        cmocka_unit_test(a_client_without_echo_is_answered_by_its_voice),
        cmocka_unit_test(a_verbose_client_without_echo_hears_one_ok_a_line),
        cmocka_unit_test(what_is_not_for_a_namespace_is_denied),
        cmocka_unit_test(acknowledgements_and_flow_control_name_the_stream),
        cmocka_unit_test(acknowledgements_of_publishes_are_known_by_their_shape),
        cmocka_unit_test(headers_that_name_things_are_edited),
        cmocka_unit_test(pulls_and_direct_gets_are_answered_straight),
        cmocka_unit_test(lists_are_read_to_their_end_and_hold_own_names_only),
        cmocka_unit_test(the_root_has_its_own_names),
        cmocka_unit_test(a_verbose_client_hears_the_oks_of_its_own_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
