/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_check_nats - what a subject or a stream's name would do and see: the rows of design.md 5.2
 * and 5.5 that hold for it. */
#include <stdio.h>

#include "cmd.h"
#include "nats/js_api.h"
#include "nats/js_event.h"
#include "nats/js_subject.h"
#include "policy/js_names.h"
#include "policy/subject_map.h"

static void print_above(const struct config *c, const char *what)
{
    for (unsigned i = c->ns.segments; i-- != 0;) {
        struct ns_path above = ns_path_head(&c->ns, i);
        printf("    %s %s, where the view is subtree\n", what, ns_path_name(&above));
    }
}

static bool is_in(const struct config_patterns *list, struct span filter)
{
    for (unsigned i = 0; i < list->n; i++)
        if (subject_pattern_covers(list->item[i], filter))
            return true;
    return false;
}

/* Who hears what this namespace publishes there. */
static void print_publish(const struct config *c, const struct subject_map *map)
{
    bool is_request = subject_map_is_request(map, c->subject);
    bool goes_down = subject_map_goes_down(map, c->subject);
    const struct subject_prefix *to = &map->slice[goes_down ? SUBJECT_REQUESTS : SUBJECT_EVENTS];
    printf("  class %s: %s\n", is_request ? "down" : "event",
           is_request ? "a pattern of view-requests matches it" : "no pattern of view-requests");
    printf("  PUB goes to ");
    check_print(span_of((const uint8_t *)to->text, to->n), c->subject);
    printf("; heard by this namespace");
    if (goes_down) {
        printf("\n    and by every descendant that subscribes to exactly it\n");
    } else if (is_request && !is_in(&c->events, c->subject)) {
        printf(" alone: the view of NATS is own\n");
    } else if (is_request) {
        printf("; the view of NATS is own\n");
        print_above(c, "and, by wildcards inside a pattern of view-events, by");
    } else if (is_in(&c->events, c->subject)) {
        printf("\n");
        print_above(c, "and by");
    } else {
        printf(" alone: no pattern of view-events\n");
    }
}

static void print_subscribe(const struct config *c, const struct subject_map *map)
{
    unsigned slices = subject_map_sub_slices(map, c->subject);
    for (unsigned i = 0; i < SUBJECT_SLICES_MAX; i++) {
        const struct subject_prefix *p = subject_map_sub_prefix(map, slices, i);
        if ((slices >> i & 1) == 0)
            continue;
        const char *why = "what an ancestor asks";
        if (i == SUBJECT_EVENTS)
            why = slices & SUBJECT_BELOW ? "events of this namespace and all descendants"
                                         : "events of this namespace";
        else if (i == SUBJECT_REQUESTS)
            why = "requests of this namespace";
        else if (i == SUBJECT_DELIVERY)
            why = "what push consumers deliver";
        printf("  SUB listens to ");
        check_print(span_of((const uint8_t *)p->text, p->n), c->subject);
        printf(": %s\n", why);
    }
    printf("  a queue group q is \"q%s\" among events, \"q\" among requests\n", map->group_suffix);
}

enum err check_subject_map(const struct config *c, struct subject_map *map)
{
    enum err e = subject_map_init(map, span_str(c->subject_root), &c->ns, c->requests.item,
                                  c->requests.n);
    if (e != ERR_OK)
        return e;
    return (c->nats_view == VIEW_SUBTREE ? subject_map_see_below : subject_map_hear_deliveries)(
        map, c->events.item, c->events.n);
}

/* What is published to JetStream itself. False: to an ordinary subject. */
static bool print_jetstream(struct span subject)
{
    struct js_call call;
    struct span stream;
    bool is_api = js_api_is(subject);
    if (is_api && (!js_api_parse(subject, &call) || call.row->policy == JS_DENY))
        printf("  PUB is refused: no request to JetStream that a namespace may make\n");
    else if (is_api)
        printf("  PUB is a request to JetStream: the names in it are mapped; see --stream\n");
    else if (js_subject_stream(subject, &stream))
        printf("  PUB goes to JetStream, with the stream's name mapped; see --stream\n");
    else
        return false;
    return true;
}

static enum err print_advisories(const struct config *c)
{
    static struct nats_ns ns;
    struct buf filter = {0};
    enum err e = ERR_OK;
    js_names_init(&ns.names, &c->ns);
    if (js_event_filter(&ns, c->subject, &filter, &e) && e == ERR_OK) {
        printf("  SUB listens to ");
        check_print(SPAN_NONE, buf_span(&filter));
        printf(": advisories; those of own streams are shown\n");
    }
    buf_deinit(&filter);
    return e;
}

enum err check_explain_subject(const struct config *c)
{
    static struct subject_map map;
    enum err e = check_subject_map(c, &map);
    if (e != ERR_OK)
        return e;
    printf("\nNATS subject ");
    check_print(SPAN_NONE, c->subject);
    printf("\n");
    if (subject_is_sys(c->subject)) {
        printf("  denied: the server's own subjects\n");
        return ERR_OK;
    }
    if (subject_is_literal(c->subject) && !print_jetstream(c->subject))
        print_publish(c, &map);
    print_subscribe(c, &map);
    return print_advisories(c);
}

enum err check_explain_stream(const struct config *c)
{
    struct js_names names;
    struct buf stored = {0};
    js_names_init(&names, &c->ns);
    enum err e = js_names_map(&names, c->stream, &stored);
    printf("\nstream ");
    check_print(SPAN_NONE, c->stream);
    printf("\n");
    if (e == ERR_LIMIT)
        printf("  too long in this namespace: at most %zu bytes\n", js_names_room(&names));
    if (e == ERR_OK) {
        printf("  stored as ");
        check_print(SPAN_NONE, buf_span(&stored));
        printf("\n  every write, purge, delete and list: on that alone\n");
        bool is_listed = is_in(&c->streams, c->stream);
        if (!is_listed || c->nats_view == VIEW_OWN)
            printf("  reads: on that alone: %s\n",
                   is_listed ? "the view of NATS is own" : "no pattern of view-streams");
        else
            printf("  reads: that; where it is missing, the nearest descendant's of this name, by "
                   "consumers\n    that are called \"~~%.*sNAME\" there\n",
                   (int)names.n, names.text);
        if (is_listed)
            print_above(c, "read by");
    }
    buf_deinit(&stored);
    return e == ERR_LIMIT ? ERR_OK : e;
}
