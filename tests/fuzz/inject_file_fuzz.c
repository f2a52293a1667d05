/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject_file_fuzz - any file for `inject`. Laws: what comes out says the same as the tree that was
 * edited (workload_inject proves it, or refuses); injected again it does not change by a byte.
 */
#include <stdlib.h>

#include "base/check.h"
#include "inject/workload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct inject_config *c;
    static const char config[] =
        "{\"image\":\"i\",\"etcd-upstream\":[\"e\"],\"nats-upstream\":[\"n\"]}";
    if (c == NULL) {
        c = calloc(1, sizeof *c); /* for the life of the process */
        CHECK(c != NULL && inject_config_parse(c, span_str(config)) == ERR_OK);
    }
    struct buf once = {0}, twice = {0};
    struct workload_report first, second;
    struct span name = SPAN_LIT("k");
    enum err e = workload_inject(c, span_of(data, n), name, &once, &first);
    CHECK(e == ERR_OK || buf_len(&once) == 0);
    if (e == ERR_OK) {
        enum err again = workload_inject(c, buf_span(&once), name, &twice, &second);
        CHECK(again == ERR_OK && span_eq(buf_span(&once), buf_span(&twice)));
        workload_report_deinit(&second);
    }
    workload_report_deinit(&first);
    buf_deinit(&once);
    buf_deinit(&twice);
    return 0;
}
