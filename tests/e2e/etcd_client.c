/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
/*
 * etcd_client HOST:PORT - an etcd client with nothing in common with the sidecar: gRPC C core and
 * protobuf-c. Reads commands from standard input, one a line, and answers each with one line:
 *
 *   call KV.Range key "a" limit 3        one call -> "OK kvs { key ... }" | "NotFound \"text\""
 *   raw /any.Service/Method 0a0161       these bytes as the message; the answer in hexadecimal
 *   open w Watch.Watch                   a stream called w; of /any.Service/Method: in hexadecimal
 *   send w create_request { key "a" }
 *   recv w                               waits for one message; "END" when there is none to come
 *   half w | cancel w                    half close; cancel the call
 *   status w                             waits for the end of the call; forgets w
 *   deadline MS                          of the calls from here on; 0: none
 *   metadata NAME VALUE                  likewise; no VALUE: none
 *
 * Exit status: 0 all commands were understood, 1 one was not or an answer took too long.
 */
/* clang-format on */
#include "pb_text.h"
#include "rpc.pb-c.h"
#include "v3election.pb-c.h"
#include "v3lock.pb-c.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STREAMS_MAX = 16, NAME_MAX_BYTES = 32, PATH_BYTES = 256, PATIENCE_MS = 30000 };

struct stream {
    char name[NAME_MAX_BYTES];               /* "" = free */
    const ProtobufCMethodDescriptor *method; /* NULL: raw */
    grpc_call *call;
    grpc_metadata_array headers, trailers;
    grpc_status_code status;
    grpc_slice details;
};

static grpc_channel *channel;
static grpc_completion_queue *queue;
static struct stream streams[STREAMS_MAX];
static long deadline_ms;
static grpc_metadata metadata; /* its slices are owned */
static bool has_metadata;

/* "KV.Range": its path and descriptors. */
static const ProtobufCMethodDescriptor *find_method(const char *word, char *path)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &etcdserverpb__kv__descriptor,          &etcdserverpb__watch__descriptor,
        &etcdserverpb__lease__descriptor,       &etcdserverpb__cluster__descriptor,
        &etcdserverpb__maintenance__descriptor, &v3lockpb__lock__descriptor,
        &v3electionpb__election__descriptor,    &etcdserverpb__auth__descriptor};
    size_t i;

    for (i = 0; i < sizeof services / sizeof services[0]; i++) {
        const char *service = services[i]->short_name;
        size_t n = strlen(service);
        const ProtobufCMethodDescriptor *m;
        if (strncmp(word, service, n) != 0 || word[n] != '.') {
            continue;
        }
        m = protobuf_c_service_descriptor_get_method_by_name(services[i], word + n + 1);
        if (m != NULL) {
            snprintf(path, PATH_BYTES, "/%s/%s", services[i]->name, m->name);
            return m;
        }
    }
    return NULL;
}

static gpr_timespec in_ms(long ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

static bool run_batch(grpc_call *call, const grpc_op *ops, size_t n)
{
    static char tag;
    grpc_event event;

    if (grpc_call_start_batch(call, ops, n, &tag, NULL) != GRPC_CALL_OK) {
        return false;
    }
    event = grpc_completion_queue_pluck(queue, &tag, in_ms(PATIENCE_MS), NULL);
    if (event.type != GRPC_OP_COMPLETE) {
        fputs("no answer in time\n", stderr);
        exit(1);
    }
    return event.success != 0;
}

static grpc_call *make_call(const char *path)
{
    return grpc_channel_create_call(
        channel, NULL, GRPC_PROPAGATE_DEFAULTS, queue, grpc_slice_from_copied_string(path), NULL,
        deadline_ms > 0 ? in_ms(deadline_ms) : gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
}

static void add_metadata(grpc_op *op)
{
    op->data.send_initial_metadata.count = has_metadata ? 1 : 0;
    op->data.send_initial_metadata.metadata = &metadata;
}

static const char *status_name(grpc_status_code code)
{
    static const char *const names[] = {
        "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
        "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
        "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
        "DataLoss", "Unauthenticated"};

    return (size_t)code < sizeof names / sizeof *names ? names[code] : "?";
}

static void print_status(grpc_status_code code, grpc_slice details)
{
    fputs(status_name(code), stdout);
    if (code != GRPC_STATUS_OK) {
        fputc(' ', stdout);
        pb_quoted_print(stdout, GRPC_SLICE_START_PTR(details), GRPC_SLICE_LENGTH(details));
    }
}

static void print_message(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type)
{
    grpc_byte_buffer_reader reader;
    grpc_slice all;

    if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
        fputs(" UNREADABLE", stdout);
        return;
    }
    all = grpc_byte_buffer_reader_readall(&reader);
    if (type == NULL) {
        size_t i;
        fputc(' ', stdout);
        for (i = 0; i < GRPC_SLICE_LENGTH(all); i++) {
            printf("%02x", GRPC_SLICE_START_PTR(all)[i]);
        }
    } else {
        ProtobufCMessage *m = protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(all),
                                                        GRPC_SLICE_START_PTR(all));
        if (m == NULL) {
            fputs(" UNREADABLE", stdout);
        } else {
            pb_text_print(stdout, m);
            protobuf_c_message_free_unpacked(m, NULL);
        }
    }
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
}

static grpc_byte_buffer *to_buffer(struct pb_bytes *bytes)
{
    grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes->data, bytes->n);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);

    grpc_slice_unref(slice);
    free(bytes->data);
    return buffer;
}

static void unary(const char *path, struct pb_bytes *request,
                  const ProtobufCMessageDescriptor *type)
{
    grpc_call *call = make_call(path);
    grpc_byte_buffer *sent = to_buffer(request), *received = NULL;
    grpc_metadata_array headers, trailers;
    grpc_status_code status = GRPC_STATUS_UNKNOWN;
    grpc_slice details = grpc_empty_slice();
    grpc_op ops[6];

    grpc_metadata_array_init(&headers);
    grpc_metadata_array_init(&trailers);
    memset(ops, 0, sizeof ops);
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    add_metadata(&ops[0]);
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = sent;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata = &headers;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &received;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &trailers;
    ops[5].data.recv_status_on_client.status = &status;
    ops[5].data.recv_status_on_client.status_details = &details;
    run_batch(call, ops, 6);
    print_status(status, details);
    if (received != NULL) {
        print_message(received, type);
        grpc_byte_buffer_destroy(received);
    }
    grpc_byte_buffer_destroy(sent);
    grpc_slice_unref(details);
    grpc_metadata_array_destroy(&headers);
    grpc_metadata_array_destroy(&trailers);
    grpc_call_unref(call);
}

static bool do_call(const char *word, const char *rest)
{
    char path[PATH_BYTES];
    const ProtobufCMethodDescriptor *m = find_method(word, path);
    struct pb_bytes bytes = {0};

    if (m == NULL || !pb_text_encode(rest, m->input, &bytes)) {
        free(bytes.data);
        return false;
    }
    unary(path, &bytes, m->output);
    return true;
}

static bool do_raw(const char *word, const char *rest)
{
    struct pb_bytes bytes = {0};

    if (!pb_hex_decode(rest, &bytes)) {
        free(bytes.data);
        return false;
    }
    unary(word, &bytes, NULL);
    return true;
}

static struct stream *find_stream(const char *name)
{
    size_t i;

    for (i = 0; i < STREAMS_MAX; i++) {
        if (strcmp(streams[i].name, name) == 0) {
            return &streams[i];
        }
    }
    return NULL;
}

static bool do_open(const char *name, const char *rest)
{
    char path[PATH_BYTES];
    bool is_raw = *rest == '/' && strlen(rest) < sizeof path;
    const ProtobufCMethodDescriptor *m = is_raw ? NULL : find_method(rest, path);
    struct stream *s = find_stream("");
    grpc_op op;

    if (is_raw) {
        snprintf(path, sizeof path, "%s", rest);
    }
    if ((m == NULL && !is_raw) || s == NULL || *name == '\0' || strlen(name) >= NAME_MAX_BYTES) {
        return false;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
    s->method = m;
    s->call = make_call(path);
    s->details = grpc_empty_slice();
    grpc_metadata_array_init(&s->headers);
    grpc_metadata_array_init(&s->trailers);
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_SEND_INITIAL_METADATA;
    add_metadata(&op);
    run_batch(s->call, &op, 1);
    op.op = GRPC_OP_RECV_INITIAL_METADATA;
    op.data.recv_initial_metadata.recv_initial_metadata = &s->headers;
    grpc_call_start_batch(s->call, &op, 1, &s->headers, NULL);
    memset(&op, 0, sizeof op);
    op.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    op.data.recv_status_on_client.trailing_metadata = &s->trailers;
    op.data.recv_status_on_client.status = &s->status;
    op.data.recv_status_on_client.status_details = &s->details;
    grpc_call_start_batch(s->call, &op, 1, &s->trailers, NULL);
    fputs("OK", stdout);
    return true;
}

static bool do_send(const char *name, const char *rest)
{
    struct stream *s = find_stream(name);
    struct pb_bytes bytes = {0};
    grpc_op op = {0};

    if (s == NULL || !(s->method != NULL ? pb_text_encode(rest, s->method->input, &bytes)
                                         : pb_hex_decode(rest, &bytes))) {
        free(bytes.data);
        return false;
    }
    op.op = GRPC_OP_SEND_MESSAGE;
    op.data.send_message.send_message = to_buffer(&bytes);
    fputs(run_batch(s->call, &op, 1) ? "OK" : "CLOSED", stdout);
    grpc_byte_buffer_destroy(op.data.send_message.send_message);
    return true;
}

static bool do_recv(const char *name, const char *rest)
{
    struct stream *s = find_stream(name);
    grpc_byte_buffer *received = NULL;
    grpc_op op = {0};

    if (s == NULL || *rest != '\0') {
        return false;
    }
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &received;
    run_batch(s->call, &op, 1);
    if (received == NULL) {
        fputs("END", stdout);
        return true;
    }
    fputs("GOT", stdout);
    print_message(received, s->method != NULL ? s->method->output : NULL);
    grpc_byte_buffer_destroy(received);
    return true;
}

static bool do_half(const char *name, const char *rest)
{
    struct stream *s = find_stream(name);
    grpc_op op = {0};

    if (s == NULL || *rest != '\0') {
        return false;
    }
    op.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    fputs(run_batch(s->call, &op, 1) ? "OK" : "CLOSED", stdout);
    return true;
}

static bool do_cancel(const char *name, const char *rest)
{
    struct stream *s = find_stream(name);

    if (s == NULL || *rest != '\0') {
        return false;
    }
    grpc_call_cancel(s->call, NULL);
    fputs("OK", stdout);
    return true;
}

static bool do_status(const char *name, const char *rest)
{
    struct stream *s = find_stream(name);
    gpr_timespec end = in_ms(PATIENCE_MS);

    if (s == NULL || *rest != '\0') {
        return false;
    }
    if (grpc_completion_queue_pluck(queue, &s->trailers, end, NULL).type != GRPC_OP_COMPLETE ||
        grpc_completion_queue_pluck(queue, &s->headers, end, NULL).type != GRPC_OP_COMPLETE) {
        fputs("the call does not end\n", stderr);
        exit(1);
    }
    print_status(s->status, s->details);
    grpc_slice_unref(s->details);
    grpc_metadata_array_destroy(&s->headers);
    grpc_metadata_array_destroy(&s->trailers);
    grpc_call_unref(s->call);
    memset(s, 0, sizeof *s);
    return true;
}

static bool do_deadline(const char *name, const char *rest)
{
    deadline_ms = strtol(name, NULL, 10);
    fputs("OK", stdout);
    return *rest == '\0';
}

static bool do_metadata(const char *name, const char *rest)
{
    if (has_metadata) {
        grpc_slice_unref(metadata.key);
        grpc_slice_unref(metadata.value);
    }
    has_metadata = *rest != '\0';
    if (has_metadata) {
        metadata.key = grpc_slice_from_copied_string(name);
        metadata.value = grpc_slice_from_copied_string(rest);
    }
    fputs("OK", stdout);
    return true;
}

static bool do_line(char *line)
{
    static const struct {
        const char *verb;
        bool (*run)(const char *name, const char *rest);
    } verbs[] = {{"call", do_call},        {"raw", do_raw},       {"open", do_open},
                 {"send", do_send},        {"recv", do_recv},     {"half", do_half},
                 {"cancel", do_cancel},    {"status", do_status}, {"deadline", do_deadline},
                 {"metadata", do_metadata}};
    char *verb, *name, *rest = line;
    size_t i;

    line[strcspn(line, "\n")] = '\0';
    verb = strsep(&rest, " ");
    name = rest != NULL ? strsep(&rest, " ") : NULL;
    for (i = 0; name != NULL && i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verb, verbs[i].verb) == 0) {
            bool ok = verbs[i].run(name, rest != NULL ? rest : "");
            fputs(ok ? "\n" : "", stdout);
            fflush(stdout);
            return ok;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    grpc_channel_credentials *plain;
    char *line = NULL;
    size_t room = 0;
    int status = 0;

    if (argc != 2) {
        fputs("usage: etcd_client HOST:PORT\n", stderr);
        return 2;
    }
    grpc_init();
    plain = grpc_insecure_credentials_create();
    channel = grpc_channel_create(argv[1], plain, NULL);
    queue = grpc_completion_queue_create_for_pluck(NULL);
    while (status == 0 && getline(&line, &room, stdin) > 0) {
        char *copy = strdup(line);
        if (copy == NULL || !do_line(line)) {
            fprintf(stderr, "not understood: %s\n", copy);
            status = 1;
        }
        free(copy);
    }
    free(line);
    grpc_channel_destroy(channel);
    grpc_channel_credentials_release(plain);
    return status;
}
