/* SPDX-License-Identifier: Apache-2.0 */
/* js_schema - the members of requests, then of answers. */
#include "nats/js_schema.h"

#include <stddef.h>

#define END                                                                                        \
    {                                                                                              \
        NULL, JS_TEXT, NULL                                                                        \
    }

static const struct js_member transform[] = {
    {"src", JS_SOURCE, NULL},
    {"dest", JS_EVENT, NULL},
    END,
};

static const struct js_member error[] = {
    {"description", JS_TEXT, NULL},
    END,
};

static const struct js_member source_consumer[] = {
    {"deliver_subject", JS_DELIVER, NULL},
    {"name", JS_PASS, NULL}, /* a consumer's: they live inside streams */
    END,
};

/* Of a configuration, and, with an error of its own, of an answer. */
static const struct js_member source[] = {
    {"name", JS_NAME, NULL},
    {"filter_subject", JS_FILTER, NULL},
    {"subject_transforms", JS_OBJECTS, transform},
    {"consumer", JS_OBJECT, source_consumer},
    {"opt_start_time", JS_PASS, NULL},
    {"external", JS_DENIED, NULL}, /* another account's or domain's: outside every slice */
    {"domain", JS_DENIED, NULL},
    {"error", JS_OBJECT, error},
    END,
};

const struct js_member js_stream_config[] = {
    {"name", JS_NAME, NULL},
    {"subjects", JS_SUBJECTS, NULL},
    {"mirror", JS_MIRROR, source},
    {"sources", JS_SOURCES, source},
    {"subject_transform", JS_OBJECT, transform},
    {"republish", JS_OBJECT, transform},
    {"template_owner", JS_DENIED, NULL},
    {"description", JS_PASS, NULL},
    {"retention", JS_PASS, NULL},
    {"discard", JS_PASS, NULL},
    {"storage", JS_PASS, NULL},
    {"compression", JS_PASS, NULL},
    {"placement", JS_PASS, NULL},
    {"persist_mode", JS_PASS, NULL},
    {"metadata", JS_PASS, NULL},
    END,
};

/* Since 2.15 the consumer of a stream that has sources says which stream that is. The server writes
 * it; an application that writes it itself meets it empty. */
static const struct js_member consumer_metadata[] = {
    {"_nats.src.stream", JS_SERVERS_NAME, NULL},
    END,
};

static const struct js_member consumer_config[] = {
    {"filter_subject", JS_FILTER, NULL},
    {"filter_subjects", JS_FILTERS, NULL},
    {"deliver_subject", JS_DELIVER, NULL},
    {"deliver_group", JS_GROUP, NULL},
    {"durable_name", JS_CONSUMER, NULL},
    {"name", JS_CONSUMER, NULL},
    {"description", JS_PASS, NULL},
    {"deliver_policy", JS_PASS, NULL},
    {"opt_start_time", JS_PASS, NULL},
    {"ack_policy", JS_PASS, NULL},
    {"replay_policy", JS_PASS, NULL},
    {"sample_freq", JS_PASS, NULL},
    {"pause_until", JS_PASS, NULL},
    {"priority_groups", JS_PASS, NULL},
    {"priority_policy", JS_PASS, NULL},
    {"metadata", JS_METADATA, consumer_metadata},
    END,
};

const struct js_member js_consumer_request[] = {
    {"stream_name", JS_NAME, NULL},
    {"config", JS_OBJECT, consumer_config},
    {"action", JS_PASS, NULL},
    END,
};

const struct js_member js_stream_info_request[] = {
    {"subjects_filter", JS_FILTER, NULL},
    END,
};

const struct js_member js_purge_request[] = {
    {"filter", JS_FILTER, NULL},
    END,
};

/* STREAM.MSG.GET and DIRECT.GET. A literal is looked up where this view publishes it. */
const struct js_member js_get_request[] = {
    {"last_by_subj", JS_LOOKUP, NULL}, {"next_by_subj", JS_FILTER, NULL},
    {"multi_last", JS_FILTERS, NULL},  {"start_time", JS_PASS, NULL},
    {"up_to_time", JS_PASS, NULL},     END,
};

const struct js_member js_error_answer[] = {
    {"error", JS_OBJECT, error},
    END,
};

/* Limits stay; what all namespaces use together does not. */
static const struct js_member usage[] = {
    {"memory", JS_ZERO, NULL},
    {"storage", JS_ZERO, NULL},
    {"reserved_memory", JS_ZERO, NULL},
    {"reserved_storage", JS_ZERO, NULL},
    {"streams", JS_ZERO, NULL},
    {"consumers", JS_ZERO, NULL},
    END,
};

static const struct js_member api_usage[] = {
    {"total", JS_ZERO, NULL},
    {"errors", JS_ZERO, NULL},
    {"inflight", JS_ZERO, NULL},
    END,
};

static const struct js_member tiers[] = {
    {"*", JS_OBJECT, usage}, /* named by their number of replicas: R1, R3 */
    END,
};

const struct js_member js_account_answer[] = {
    {"memory", JS_ZERO, NULL},          {"storage", JS_ZERO, NULL},
    {"reserved_memory", JS_ZERO, NULL}, {"reserved_storage", JS_ZERO, NULL},
    {"streams", JS_ZERO, NULL},         {"consumers", JS_ZERO, NULL},
    {"api", JS_OBJECT, api_usage},      {"tiers", JS_OBJECT, tiers},
    {"error", JS_OBJECT, error},        END,
};

static const struct js_member state[] = {
    {"subjects", JS_BY_SUBJECT, NULL},
    END,
};

static const struct js_member alternate[] = {
    {"name", JS_NAME, NULL},
    END,
};

const struct js_member js_stream_answer[] = {
    {"config", JS_OBJECT, js_stream_config}, {"state", JS_OBJECT, state},
    {"mirror", JS_OBJECT, source},           {"sources", JS_OBJECTS, source},
    {"alternates", JS_OBJECTS, alternate},   {"error", JS_OBJECT, error},
    {"offline_reason", JS_TEXT, NULL},       END,
};

const struct js_member js_consumer_answer[] = {
    {"stream_name", JS_NAME, NULL},         {"name", JS_CONSUMER, NULL},
    {"config", JS_OBJECT, consumer_config}, {"error", JS_OBJECT, error},
    {"offline_reason", JS_TEXT, NULL},      END,
};

const struct js_member js_consumer_names_answer[] = {
    {"consumers", JS_CONSUMERS, NULL},
    {"total", JS_TOTAL, NULL},
    {"error", JS_OBJECT, error},
    END,
};

const struct js_member js_consumer_list_answer[] = {
    {"total", JS_TOTAL, NULL},
    {"consumers", JS_OBJECTS, js_consumer_answer},
    {"error", JS_OBJECT, error},
    END,
};

static const struct js_member message[] = {
    {"subject", JS_EVENT, NULL},
    {"hdrs", JS_HEADERS, NULL},
    END,
};

const struct js_member js_get_answer[] = {
    {"message", JS_OBJECT, message},
    {"error", JS_OBJECT, error},
    END,
};

const struct js_member js_pub_ack[] = {
    {"stream", JS_NAME, NULL},
    {"error", JS_OBJECT, error},
    END,
};
