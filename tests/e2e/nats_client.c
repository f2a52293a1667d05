/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_client - a NATS client with nothing in common with the sidecar: the CNCF's nats.c.
 *
 * For people:
 *   nats_client URL pub SUBJECT TEXT            publish one message
 *   nats_client URL sub SUBJECT [COUNT [GROUP]] print what arrives; COUNT 0: until Ctrl-C
 *   nats_client URL request SUBJECT TEXT        print the answer
 *   nats_client URL reply SUBJECT TEXT [COUNT]  answer requests
 *
 * For the tests, `nats_client URL`: commands from standard input, one a line, one line of answer:
 *   sub NAME SUBJECT [GROUP] | max NAME N | drain NAME | unsub NAME
 *   complete NAME          waits until a drained subscription is finished
 *   next NAME              -> GOT SUBJECT [reply] [{header: value}] "payload" | SUB CLOSED
 *   pub SUBJECT TEXT | pubreply SUBJECT REPLY TEXT | hpub SUBJECT KEY VALUE TEXT
 *   big SUBJECT BYTES      a payload of that size
 *   req SUBJECT TEXT       -> GOT ... | NO RESPONDERS | ERR text
 *   answer NAME TEXT       to the last message that NAME got
 *   flush                  a PING and its PONG
 *   stream NAME SUBJECT    JetStream: make a stream -> OK | ERR text
 *   kv VERB [KEY [VALUE]]  key-value: see nats_kv.c
 *   errors                 what the server said with -ERR since the last time
 *
 * Exit status: 0 well, 1 something was not understood or took too long, 2 usage.
 */
#include "nats_kv.h"

#include <inttypes.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUBS_MAX = 32, NAME_BYTES = 32, WORDS_MAX = 5, PATIENCE_MS = 20000, TEXT_MAX = 64 };

struct sub {
    char name[NAME_BYTES]; /* "" = free */
    natsSubscription *nats;
    natsMsg *last;
};

static natsConnection *connection;
static struct sub subs[SUBS_MAX];
static pthread_mutex_t errors_lock = PTHREAD_MUTEX_INITIALIZER;
static char errors[1024]; /* under errors_lock */

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *closure)
{
    const char *text = NULL;

    (void)sub;
    (void)closure;
    natsConnection_GetLastError(nc, &text);
    pthread_mutex_lock(&errors_lock);
    if (strlen(errors) + 200 < sizeof errors) {
        snprintf(errors + strlen(errors), sizeof errors - strlen(errors), " [%s: %.120s]",
                 natsStatus_GetText(status), text != NULL ? text : "");
    }
    pthread_mutex_unlock(&errors_lock);
}

static bool report(natsStatus status)
{
    if (status == NATS_OK) {
        fputs("OK", stdout);
    } else {
        printf("ERR %s", natsStatus_GetText(status));
    }
    return true;
}

static void print_headers(natsMsg *m)
{
    const char **keys = NULL;
    int n = 0, i;

    if (natsMsgHeader_Keys(m, &keys, &n) != NATS_OK) {
        return;
    }
    fputs(" {", stdout);
    for (i = 0; i < n; i++) {
        const char *value = "";
        natsMsgHeader_Get(m, keys[i], &value);
        printf("%s%s: %s", i > 0 ? ", " : "", keys[i], value);
    }
    fputs("}", stdout);
    free(keys);
}

/* Inbox names are chosen by the library: printed as _INBOX. */
static const char *stable_name(const char *subject)
{
    return strncmp(subject, "_INBOX.", 7) == 0 ? "_INBOX" : subject;
}

static void print_message(natsMsg *m)
{
    int n = natsMsg_GetDataLength(m);
    const char *reply = natsMsg_GetReply(m);

    printf("GOT %s", stable_name(natsMsg_GetSubject(m)));
    if (reply != NULL) {
        printf(" (reply to %s)", stable_name(reply));
    }
    print_headers(m);
    if (n > TEXT_MAX) {
        unsigned long sum = 0;
        const char *data = natsMsg_GetData(m);
        int i;
        for (i = 0; i < n; i++) {
            sum = sum * 31 + (unsigned char)data[i];
        }
        printf(" %d bytes, sum %016lx", n, sum);
    } else {
        printf(" \"%.*s\"", n, natsMsg_GetData(m));
    }
}

static struct sub *find_sub(const char *name)
{
    size_t i;

    for (i = 0; i < SUBS_MAX; i++) {
        if (strcmp(subs[i].name, name) == 0) {
            return &subs[i];
        }
    }
    return NULL;
}

static bool do_sub(char **w)
{
    struct sub *s = find_sub("");
    natsStatus status;

    if (s == NULL || w[2] == NULL || strlen(w[1]) >= NAME_BYTES) {
        return false;
    }
    status = w[3] == NULL ? natsConnection_SubscribeSync(&s->nats, connection, w[2])
                          : natsConnection_QueueSubscribeSync(&s->nats, connection, w[2], w[3]);
    if (status == NATS_OK) {
        snprintf(s->name, sizeof s->name, "%s", w[1]);
        status = natsConnection_FlushTimeout(connection, PATIENCE_MS);
    }
    return report(status);
}

static bool do_max(char **w)
{
    struct sub *s = find_sub(w[1]);

    return s != NULL && w[2] != NULL &&
           report(natsSubscription_AutoUnsubscribe(s->nats, (int)strtol(w[2], NULL, 10)));
}

static bool do_drain(char **w)
{
    struct sub *s = find_sub(w[1]);

    return s != NULL && report(natsSubscription_DrainTimeout(s->nats, PATIENCE_MS));
}

static bool do_complete(char **w)
{
    struct sub *s = find_sub(w[1]);

    return s != NULL && report(natsSubscription_WaitForDrainCompletion(s->nats, PATIENCE_MS));
}

static void forget(struct sub *s)
{
    natsMsg_Destroy(s->last);
    natsSubscription_Destroy(s->nats);
    memset(s, 0, sizeof *s);
}

static bool do_unsub(char **w)
{
    struct sub *s = find_sub(w[1]);

    if (s == NULL || !report(natsSubscription_Unsubscribe(s->nats))) {
        return false;
    }
    forget(s);
    return natsConnection_FlushTimeout(connection, PATIENCE_MS) == NATS_OK;
}

static bool do_next(char **w)
{
    struct sub *s = find_sub(w[1]);
    natsStatus status;

    if (s == NULL) {
        return false;
    }
    natsMsg_Destroy(s->last);
    s->last = NULL;
    status = natsSubscription_NextMsg(&s->last, s->nats, PATIENCE_MS);
    if (status == NATS_OK) {
        print_message(s->last);
    } else {
        printf("SUB %s", status == NATS_TIMEOUT ? "TIMEOUT" : "CLOSED");
    }
    return status != NATS_TIMEOUT;
}

static bool do_pub(char **w)
{
    return w[2] != NULL && report(natsConnection_PublishString(connection, w[1], w[2]));
}

static bool do_pubreply(char **w)
{
    return w[3] != NULL &&
           report(natsConnection_PublishRequestString(connection, w[1], w[2], w[3]));
}

static bool do_hpub(char **w)
{
    natsMsg *m = NULL;
    natsStatus status;

    if (w[4] == NULL) {
        return false;
    }
    status = natsMsg_Create(&m, w[1], NULL, w[4], (int)strlen(w[4]));
    if (status == NATS_OK) {
        status = natsMsgHeader_Set(m, w[2], w[3]);
    }
    if (status == NATS_OK) {
        status = natsConnection_PublishMsg(connection, m);
    }
    natsMsg_Destroy(m);
    return report(status);
}

static bool do_big(char **w)
{
    size_t n = w[2] != NULL ? strtoul(w[2], NULL, 10) : 0;
    char *data = n > 0 ? malloc(n) : NULL;
    size_t i;
    natsStatus status;

    if (data == NULL) {
        return false;
    }
    for (i = 0; i < n; i++) {
        data[i] = (char)(i * 7 + i / 251);
    }
    status = natsConnection_Publish(connection, w[1], data, (int)n);
    free(data);
    return report(status);
}

static bool do_req(char **w)
{
    natsMsg *m = NULL;
    natsStatus status;

    if (w[2] == NULL) {
        return false;
    }
    status = natsConnection_RequestString(&m, connection, w[1], w[2], PATIENCE_MS);
    if (status == NATS_OK) {
        print_message(m);
    } else if (status == NATS_NO_RESPONDERS) {
        fputs("NO RESPONDERS", stdout);
    } else {
        printf("ERR %s", natsStatus_GetText(status));
    }
    natsMsg_Destroy(m);
    return true;
}

static bool do_answer(char **w)
{
    struct sub *s = find_sub(w[1]);

    if (s == NULL || s->last == NULL || natsMsg_GetReply(s->last) == NULL || w[2] == NULL) {
        return false;
    }
    return report(natsConnection_PublishString(connection, natsMsg_GetReply(s->last), w[2]));
}

static bool do_flush(char **w)
{
    (void)w;
    return report(natsConnection_FlushTimeout(connection, PATIENCE_MS));
}

static bool do_stream(char **w)
{
    jsCtx *js = NULL;
    jsStreamConfig config;
    jsErrCode code = 0;
    const char *subject = w[2];
    natsStatus status;

    if (subject == NULL) {
        return false;
    }
    jsStreamConfig_Init(&config);
    config.Name = w[1];
    config.Subjects = &subject;
    config.SubjectsLen = 1;
    status = natsConnection_JetStream(&js, connection, NULL);
    if (status == NATS_OK) {
        status = js_AddStream(NULL, js, &config, NULL, &code);
    }
    jsCtx_Destroy(js);
    if (status != NATS_OK) {
        printf("ERR %s (%d)", natsStatus_GetText(status), (int)code);
        return true;
    }
    return report(status);
}

static bool do_kv(char **w)
{
    return nats_kv_do(connection, w[1], w[2], w[3]);
}

static bool do_errors(char **w)
{
    (void)w;
    pthread_mutex_lock(&errors_lock);
    printf("ERRORS%s", errors);
    errors[0] = '\0';
    pthread_mutex_unlock(&errors_lock);
    return true;
}

static bool do_line(char *line)
{
    static const struct {
        const char *verb;
        bool (*run)(char **words);
        int words; /* the last one may hold blanks */
    } verbs[] = {{"sub", do_sub, 4},       {"max", do_max, 3},
                 {"drain", do_drain, 2},   {"complete", do_complete, 2},
                 {"unsub", do_unsub, 2},   {"next", do_next, 2},
                 {"pub", do_pub, 3},       {"pubreply", do_pubreply, 4},
                 {"hpub", do_hpub, 5},     {"big", do_big, 3},
                 {"req", do_req, 3},       {"answer", do_answer, 3},
                 {"flush", do_flush, 1},   {"stream", do_stream, 3},
                 {"errors", do_errors, 1}, {"kv", do_kv, 4}};
    char *words[WORDS_MAX + 1] = {0};
    size_t i;
    int n;

    line[strcspn(line, "\n")] = '\0';
    words[0] = strsep(&line, " ");
    for (i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(words[0], verbs[i].verb) != 0) {
            continue;
        }
        for (n = 1; n < verbs[i].words && line != NULL; n++) {
            words[n] = n + 1 < verbs[i].words ? strsep(&line, " ") : line;
        }
        if (verbs[i].words > 1 && words[1] == NULL) {
            return false;
        }
        bool ok = verbs[i].run(words);
        putchar('\n');
        fflush(stdout);
        return ok;
    }
    return false;
}

static int run_lines(void)
{
    char *line = NULL;
    size_t room = 0, i;
    int status = 0;

    while (status == 0 && getline(&line, &room, stdin) > 0) {
        char *copy = strdup(line);
        if (copy == NULL || !do_line(line)) {
            fprintf(stderr, "not understood or too late: %s\n", copy);
            status = 1;
        }
        free(copy);
    }
    free(line);
    nats_kv_close();
    for (i = 0; i < SUBS_MAX; i++) {
        if (subs[i].nats != NULL) {
            forget(&subs[i]);
        }
    }
    return status;
}

/* The commands for people. COUNT 0: for ever. */
static int listen_to(const char *subject, const char *answer, long count, const char *group)
{
    natsSubscription *sub = NULL;
    natsStatus status = group != NULL
                            ? natsConnection_QueueSubscribeSync(&sub, connection, subject, group)
                            : natsConnection_SubscribeSync(&sub, connection, subject);
    long i;

    if (status == NATS_OK) {
        status = natsConnection_FlushTimeout(connection, PATIENCE_MS);
    }
    if (status == NATS_OK) {
        printf("listening on %s\n", subject);
        fflush(stdout);
    }
    for (i = 0; status == NATS_OK && (count == 0 || i < count); i++) {
        natsMsg *m = NULL;
        do {
            status = natsSubscription_NextMsg(&m, sub, PATIENCE_MS);
        } while (status == NATS_TIMEOUT);
        if (status != NATS_OK) {
            break;
        }
        printf("%s: %.*s\n", natsMsg_GetSubject(m), natsMsg_GetDataLength(m), natsMsg_GetData(m));
        fflush(stdout);
        if (answer != NULL && natsMsg_GetReply(m) != NULL) {
            status = natsConnection_PublishString(connection, natsMsg_GetReply(m), answer);
        }
        natsMsg_Destroy(m);
    }
    if (status == NATS_OK) {
        status = natsConnection_FlushTimeout(connection, PATIENCE_MS);
    }
    natsSubscription_Destroy(sub);
    if (status != NATS_OK) {
        fprintf(stderr, "%s\n", natsStatus_GetText(status));
    }
    return status == NATS_OK ? 0 : 1;
}

static int run_command(int n, char **a)
{
    natsStatus status = NATS_OK;
    natsMsg *m = NULL;

    if (strcmp(a[0], "sub") == 0 && n >= 2) {
        return listen_to(a[1], NULL, n > 2 ? strtol(a[2], NULL, 10) : 0, n > 3 ? a[3] : NULL);
    }
    if (strcmp(a[0], "reply") == 0 && n >= 3) {
        return listen_to(a[1], a[2], n > 3 ? strtol(a[3], NULL, 10) : 0, NULL);
    }
    if (strcmp(a[0], "pub") == 0 && n == 3) {
        status = natsConnection_PublishString(connection, a[1], a[2]);
        if (status == NATS_OK) {
            status = natsConnection_FlushTimeout(connection, PATIENCE_MS);
        }
        printf("%s", status == NATS_OK ? "published\n" : "");
    } else if (strcmp(a[0], "request") == 0 && n == 3) {
        status = natsConnection_RequestString(&m, connection, a[1], a[2], 2000);
        if (status == NATS_OK) {
            printf("%.*s\n", natsMsg_GetDataLength(m), natsMsg_GetData(m));
        }
        natsMsg_Destroy(m);
    } else {
        fputs("pub SUBJECT TEXT | sub SUBJECT [COUNT [GROUP]] | request SUBJECT TEXT | "
              "reply SUBJECT TEXT [COUNT]\n",
              stderr);
        return 2;
    }
    if (status != NATS_OK) {
        fprintf(stderr, "%s\n",
                status == NATS_NO_RESPONDERS ? "no responders" : natsStatus_GetText(status));
    }
    return status == NATS_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    natsOptions *options = NULL;
    natsStatus status;
    int result;

    if (argc < 2) {
        fputs("usage: nats_client URL [pub|sub|request|reply ...]\n", stderr);
        return 2;
    }
    status = natsOptions_Create(&options);
    if (status == NATS_OK) {
        status = natsOptions_SetURL(options, argv[1]);
    }
    if (status == NATS_OK) {
        status = natsOptions_SetErrorHandler(options, on_error, NULL);
    }
    if (status == NATS_OK) {
        status = natsOptions_SetMaxReconnect(options, 3);
    }
    if (status == NATS_OK) {
        status = natsConnection_Connect(&connection, options);
    }
    if (status != NATS_OK) {
        fprintf(stderr, "%s: %s\n", argv[1], natsStatus_GetText(status));
        natsOptions_Destroy(options);
        return 1;
    }
    result = argc > 2 ? run_command(argc - 2, argv + 2) : run_lines();
    natsConnection_Destroy(connection);
    natsOptions_Destroy(options);
    nats_Close();
    return result;
}
