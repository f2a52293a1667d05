/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject_review_fuzz - any body of POST /mutate. Laws: the answer to what is a review is JSON with
 * its uid; a patch only where nothing is denied; the injector never refuses its own patch; what our
 * reader takes it writes so that it reads the same again.
 *
 * The first byte chooses the configuration.
 */
#include <stdlib.h>

#include "base/check.h"
#include "inject/json_tree.h"
#include "inject/review.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const configs[] = {
    "{\"image\":\"i\",\"etcd-upstream\":[\"e\"],\"nats-upstream\":[\"n\"]}",
    "{\"image\":\"i\",\"etcd-upstream\":[\"e\"],\"native\":false,\"conflicts\":\"deny\","
    "\"dynamo-discovery\":\"etcd\",\"namespace-separator\":\".\"}",
    "{\"image\":\"i\",\"nats-upstream\":[\"n\"],\"tier\":\"redirect\",\"host-names\":[\"h\"],"
    "\"image-pull-secrets\":[\"p\"],\"sidecar-volumes\":[{\"name\":\"v\",\"secret\":{}}],"
    "\"policy\":[{\"kubernetes-namespaces\":[\"*\"],\"claims\":[\"*\"],"
    "\"nats-view\":\"subtree\"}]}",
};

static void judge_tree(struct span body)
{
    struct json_tree a = {0}, b = {0};
    struct buf text = {0};
    if (json_tree_parse(&a, body) == ERR_OK && json_tree_write(a.root, &text) == ERR_OK) {
        CHECK(json_tree_parse(&b, buf_span(&text)) == ERR_OK);
        CHECK(json_equal(a.root, b.root));
        struct json_node *copy = json_tree_clone(&b, a.root);
        CHECK(copy != NULL && json_equal(copy, b.root));
    }
    buf_deinit(&text);
    json_tree_deinit(&a);
    json_tree_deinit(&b);
}

static void judge_answer(const struct review *r)
{
    struct json_tree t = {0};
    CHECK(json_tree_parse(&t, buf_span(&r->body)) == ERR_OK);
    const struct json_node *response = json_get(t.root, "response");
    CHECK(json_string(json_get(response, "uid")).n != 0);
    CHECK(json_true(json_get(response, "allowed")) == (r->outcome.kind != OUTCOME_DENIED));
    CHECK((json_get(response, "patch") != NULL) == (r->outcome.kind == OUTCOME_INJECTED));
    CHECK((json_get(response, "patch") != NULL) == (json_get(response, "patchType") != NULL));
    CHECK(r->outcome.reason != REASON_SELF_CHECK);
    json_tree_deinit(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct inject_config *all[ARRAY_LEN(configs)];
    for (size_t i = 0; i < ARRAY_LEN(configs) && all[i] == NULL; i++) {
        all[i] = calloc(1, sizeof *all[i]); /* for the life of the process */
        CHECK(all[i] != NULL && inject_config_parse(all[i], span_str(configs[i])) == ERR_OK);
    }
    if (n == 0)
        return 0;
    struct span body = span_of(data + 1, n - 1);
    struct review *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    judge_tree(body);
    enum err e = review_answer(all[data[0] % ARRAY_LEN(configs)], body, (data[0] & 0x80) != 0, r);
    CHECK(e == ERR_OK || e == ERR_NOMEM);
    CHECK(e != ERR_OK || r->status == 200 || r->status == 400);
    if (e == ERR_OK && r->status == 200)
        judge_answer(r);
    review_deinit(r);
    free(r);
    return 0;
}
