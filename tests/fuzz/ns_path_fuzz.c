/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a namespace's name: the model's verdict, a true position, a text that fits. */
#include "base/check.h"
#include "law/model.h"
#include "policy/ns_enc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void holds_for_legal(const struct ns_path *path, const struct model_name *want)
{
    struct ns_path again;
    CHECK(path->segments == want->segments);
    for (unsigned i = 0; i < path->segments; i++) {
        char encoded[NS_ENC_SEGMENT_BYTES_MAX], back[NS_SEGMENT_BYTES_MAX];
        struct span segment = ns_path_segment(path, i);
        size_t m = 0;
        CHECK(span_eq(segment, span_str(want->segment[i])));
        CHECK(ns_enc_decode(span_of(encoded, ns_enc_segment(segment, encoded)), back, &m) ==
              ERR_OK);
        CHECK(span_eq(span_of(back, m), segment));
    }
    CHECK(ns_path_parse(span_str(ns_path_name(path)), '/', &again, NULL) == ERR_OK);
    CHECK(ns_path_equal(path, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char separators[] = {'/', '.'};
    struct span text = span_of(data, n);
    for (unsigned i = 0; i < 2; i++) {
        struct ns_path path;
        struct ns_path_error error;
        struct model_name want;
        enum err e = ns_path_parse(text, separators[i], &path, &error);
        CHECK((e == ERR_OK) == model_name_parse(text, separators[i], &want));
        if (e == ERR_OK) {
            holds_for_legal(&path, &want);
            continue;
        }
        char shown[64];
        CHECK(error.position < n && error.rule != NULL);
        CHECK(strlen(ns_path_explain(text, &error, shown, sizeof shown)) < sizeof shown);
    }
    char back[NS_SEGMENT_BYTES_MAX], model_back[64];
    size_t m = 0;
    bool ok = n < 1000 && ns_enc_decode(text, back, &m) == ERR_OK;
    CHECK(n >= 1000 || ok == model_read_enc(text, model_back));
    CHECK(!ok || span_eq(span_of(back, m), span_str(model_back)));
    return 0;
}
