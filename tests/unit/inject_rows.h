/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject_rows - rules of injection as rows: a pod, what becomes of it, and what the patched pod
 * holds. Every row that is injected is injected again: nothing may change.
 */
#ifndef TESTS_UNIT_INJECT_ROWS_H
#define TESTS_UNIT_INJECT_ROWS_H

#include <stdio.h>
#include <stdlib.h>

#include "inject/inject.h"
#include "inject/json_patch.h"
#include "support/support.h"

#define MINIMAL "\"image\":\"i/b:1\",\"etcd-upstream\":[\"e:2379\"],\"nats-upstream\":[\"n:4222\"]"
#define CONFIG  "{" MINIMAL "}"
#define POLICY                                                                                     \
    "{" MINIMAL ",\"policy\":[{\"kubernetes-namespaces\":[\"k\"],\"claims\":[\"llama\",\"{"        \
    "kubernetes-namespace}-*\"],\"view\":\"subtree\"},"                                            \
    "{\"kubernetes-namespaces\":[\"own-*\"],\"claims\":[\"*\"]}]}"
/* What is below is seen in etcd alone by plane-*, in NATS alone by reverse-*. */
#define PLANES                                                                                     \
    "{" MINIMAL ",\"policy\":[{\"kubernetes-namespaces\":[\"plane-*\"],\"claims\":[\"*\"],"        \
    "\"etcd-view\":\"subtree\"},{\"kubernetes-namespaces\":[\"reverse-*\"],\"claims\":[\"*\"],"    \
    "\"etcd-view\":\"own\",\"view\":\"subtree\"}]}"
#define REDIRECT "{" MINIMAL ",\"tier\":\"redirect\",\"enforce\":true}"
#define CLASSIC  "{" MINIMAL ",\"native\":false}"
/* A pod with metadata, spec and one container's more. */
#define POD(meta, spec, container)                                                                 \
    "{\"metadata\":{" meta "},\"spec\":{" spec                                                     \
    "\"containers\":[{\"name\":\"main\",\"image\":\"x\"" container "}]}}"
#define WANT                  "\"labels\":{\"bulkhead.dev/inject\":\"true\"}"
#define NOTE(name, v)         WANT ",\"annotations\":{\"bulkhead.dev/" name "\":\"" v "\"}"
#define NOTES(one, v, two, w) NOTE(one, v "\",\"bulkhead.dev/" two "\":\"" w)
#define ENV(name, v)          ",\"env\":[{\"name\":\"" name "\",\"value\":\"" v "\"}]"
#define COMPONENT(type)                                                                            \
    "\"labels\":{\"bulkhead.dev/inject\":\"true\",\"nvidia.com/dynamo-component-type\":\"" type    \
    "\"}"

struct row {
    const char *what, *config, *pod, *kubernetes; /* NULL: CONFIG, "k" */
    enum outcome_kind kind;
    enum outcome_reason reason;
    const char *has[4]; /* texts that the injected pod, or the denial, or a warning holds */
    const char *not_in; /* text that the injected pod does not hold */
    bool selected, job;
};

#define IN    .kind = OUTCOME_INJECTED
#define NO(r) .kind = OUTCOME_DENIED, .reason = REASON_##r
#define SK    .kind = OUTCOME_SKIPPED

static inline struct inject_config *load(const char *json)
{
    struct inject_config *c = calloc(1, sizeof *c);
    assert_non_null(c);
    if (inject_config_parse(c, span_str(json)) != ERR_OK)
        fail_msg("%s", c->error);
    return c;
}

static inline bool holds(const struct outcome *o, const char *pod, const char *text)
{
    bool found = strstr(pod, text) != NULL || strstr(o->message, text) != NULL;
    for (unsigned i = 0; i < o->warnings; i++)
        found = found || strstr(o->warning[i], text) != NULL;
    return found;
}

/* An index as every applier reads it: no leading zero, no "-", which means the end. */
static inline bool is_plain_token(struct span token)
{
    bool is_number = token.n != 0;
    for (size_t i = 0; i < token.n; i++)
        is_number = is_number && token.p[i] >= '0' && token.p[i] <= '9';
    return !(token.n == 1 && token.p[0] == '-') && !(is_number && token.n > 1 && token.p[0] == '0');
}

/* Only what all appliers take in one sense; nothing is moved or copied, and no operation fails a
 * pod on purpose ("test"). */
static inline void check_shape(const char *what, const struct json_node *patch)
{
    for (const struct json_node *op = patch->child; op != NULL; op = op->next) {
        struct span path = json_string(json_get(op, "path")),
                    kind = json_string(json_get(op, "op"));
        bool is_remove = span_eq(kind, SPAN_LIT("remove"));
        bool is_known = is_remove || span_eq(kind, SPAN_LIT("add")) ||
                        span_eq(kind, SPAN_LIT("replace"));
        bool is_good = is_known && path.n > 1 && path.p[0] == '/' &&
                       (json_member(op, SPAN_LIT("value")) == NULL) == is_remove;
        for (size_t at = 0, n = 0; is_good && at < path.n; at += n + 1) {
            struct span rest = span_skip(path, at + 1);
            const uint8_t *slash = rest.n == 0 ? NULL : memchr(rest.p, '/', rest.n);
            n = slash == NULL ? rest.n : (size_t)(slash - rest.p);
            is_good = is_plain_token(span_head(rest, n));
        }
        if (!is_good)
            fail_msg("%s: %.*s %.*s", what, (int)kind.n, (const char *)kind.p, (int)path.n,
                     (const char *)path.p);
    }
}

/* The pod with o's patch, by an applier's way alone. */
static inline char *patched(const char *pod, const struct outcome *o)
{
    struct json_tree t = {0};
    struct json_node *patch = NULL;
    struct buf out = {0};
    const char *why = "";
    assert_int_equal(json_tree_parse(&t, span_str(pod)), ERR_OK);
    if (buf_len(&o->patch) != 0) {
        assert_int_equal(json_tree_parse_value(&t, buf_span(&o->patch), &patch), ERR_OK);
        check_shape(pod, patch);
        assert_int_equal(json_patch_apply(&t, patch, &why), ERR_OK);
    }
    assert_int_equal(json_tree_write(t.root, &out), ERR_OK);
    char *text = support_string(buf_span(&out));
    buf_deinit(&out);
    json_tree_deinit(&t);
    return text;
}

static inline void inject(const struct row *r, const struct inject_config *c, const char *pod,
                          struct outcome *o)
{
    const struct pod_request request = {span_str(r->kubernetes == NULL ? "k" : r->kubernetes),
                                        r->selected, r->job, ""};
    struct json_tree t = {0};
    *o = (struct outcome){.kind = OUTCOME_SKIPPED};
    assert_int_equal(json_tree_parse(&t, span_str(pod)), ERR_OK);
    assert_int_equal(inject_pod(c, &request, &t, o), ERR_OK);
    json_tree_deinit(&t);
}

static inline void rows_check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct row *r = &rows[i];
        struct inject_config *c = load(r->config == NULL ? CONFIG : r->config);
        struct outcome o, again;
        inject(r, c, r->pod, &o);
        if (o.kind != r->kind || o.reason != r->reason)
            fail_msg("%s: %s, %s: %s", r->what, outcome_kind_name(o.kind),
                     outcome_reason_name(o.reason), o.message);
        char *pod = patched(r->pod, &o);
        for (size_t k = 0; k < ARRAY_LEN(r->has) && r->has[k] != NULL; k++)
            if (!holds(&o, pod, r->has[k]))
                fail_msg("%s: no %s in %s; %s", r->what, r->has[k], pod, o.message);
        if (r->not_in != NULL && strstr(pod, r->not_in) != NULL)
            fail_msg("%s: %s in %s", r->what, r->not_in, pod);
        inject(r, c, pod, &again);
        if (o.kind == OUTCOME_INJECTED && again.kind != OUTCOME_UNCHANGED)
            fail_msg("%s: injected again it is %s: %.*s %s", r->what, outcome_kind_name(again.kind),
                     (int)buf_len(&again.patch), (const char *)buf_span(&again.patch).p,
                     again.message);
        outcome_deinit(&o);
        outcome_deinit(&again);
        free(pod);
        inject_config_deinit(c);
        free(c);
    }
}

static inline void rows_check_texts(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct inject_config *c = load(rows[i].config == NULL ? CONFIG : rows[i].config);
        struct outcome o;
        inject(&rows[i], c, rows[i].pod, &o);
        for (unsigned k = 0; k < o.warnings; k++) /* not cut: a sentence that ends */
            assert_true(strlen(o.warning[k]) < OUTCOME_WARNING_BYTES - 1);
        assert_true(strlen(o.message) < OUTCOME_MESSAGE_BYTES - 1);
        outcome_deinit(&o);
        inject_config_deinit(c);
        free(c);
    }
}

#endif
