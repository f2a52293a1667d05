/* SPDX-License-Identifier: Apache-2.0 */
/*
 * makers - namespaces, keys and subjects that are hostile to each other, from a seed.
 *
 * Namespaces are neighbours in every way that a prefix, a case or an encoding could confuse; keys
 * and subjects are short and over few bytes, so that they meet; stored bytes are true ones with a
 * wound.
 */
#ifndef TESTS_LAW_MAKERS_H
#define TESTS_LAW_MAKERS_H

#include "base/rng.h"
#include "law/model.h"
#include "policy/key_map.h"
#include "policy/lease_tag.h"
#include "policy/subject_map.h"

enum { MODEL_NAMES = 64 };

struct model_ns {
    struct model_name name;
    struct ns_path path;
    struct key_map keys;
    struct subject_map subjects;
    uint32_t tag;
};

static const char *const model_hostile_names[] = {
    "",          "a",
    "ab",        "a-b",
    "a0",        "a/b",
    "A",         "a/B",
    "a.b",       "a_b",
    "a/b/c",     "a/b/c/d",
    "a/bc",      "a-",
    "a/-",       "aa",
    "a/a",       "b",
    "b/a",       "ab/c",
    "a.b/c",     "a..b",
    "a2Eb",      "a2Fb",
    "d",         "m",
    "e",         "bh",
    "a/default", "a/b/a/b",
    "0",         "a/0",
    "default0",  "defaulta",
    "Default",   "a/b-",
    "llama-8b",  "llama-8b/version-A",
};

static inline void model_ns_init(struct model_ns *ns, const char *text, uint32_t tag)
{
    struct ns_path_error error;
    struct span input = span_str(text);
    if (!model_name_parse(input, '/', &ns->name) ||
        ns_path_parse(input, '/', &ns->path, &error) != ERR_OK ||
        key_map_init(&ns->keys, MODEL_ROOT, &ns->path) != ERR_OK ||
        subject_map_init(&ns->subjects, MODEL_B, &ns->path, subject_map_default_requests, 2) !=
            ERR_OK)
        abort();
    ns->tag = tag;
}

static inline void model_random_name(struct rng *rng, char text[32])
{
    static const char alphabet[] = "aaabA0-_.b";
    size_t n = 0;
    unsigned segments = 1 + (unsigned)rng_below(rng, 4);
    for (unsigned i = 0; i < segments; i++) {
        if (i != 0)
            text[n++] = '/';
        size_t from = n, length = 1 + (size_t)rng_below(rng, 3);
        while (n - from < length)
            text[n++] = alphabet[rng_below(rng, sizeof alphabet - 1)];
        if (text[from] == '.')
            text[from] = 'a';
        if (text[n - 1] == '.')
            text[n - 1] = 'b';
    }
    text[n] = '\0';
}

/* All different: the hostile ones, then random ones; the tags too. */
static inline void model_names_init(struct rng *rng, struct model_ns names[MODEL_NAMES])
{
    static const uint32_t hostile_tags[] = {0, 1, 2, 0x800000, 0xffffff, 0xfffffe, 0x7fffff};
    for (unsigned n = 0; n < MODEL_NAMES;) {
        char text[32];
        bool again = false;
        model_random_name(rng, text);
        uint32_t tag = n < ARRAY_LEN(hostile_tags) ? hostile_tags[n]
                                                   : (uint32_t)rng_below(rng, LEASE_TAG_COUNT);
        model_ns_init(&names[n], n < ARRAY_LEN(model_hostile_names) ? model_hostile_names[n] : text,
                      tag);
        for (unsigned i = 0; i < n; i++)
            again |= model_name_equal(&names[i].name, &names[n].name) ||
                     names[i].tag == names[n].tag;
        n += again ? 0 : 1;
    }
}

static inline const struct model_ns *model_any(struct rng *rng, const struct model_ns *names)
{
    return &names[rng_below(rng, MODEL_NAMES)];
}

/* A key: short ones over few bytes, so that they meet each other; sometimes any bytes at all. */
static inline void model_any_key(struct rng *rng, struct model_bytes *out)
{
    static const uint8_t few[] = {0, 1, '-', '.', '/', '0', 'a', 'b', 'd', 0xfe, 0xff, '%'};
    static const char *const fixed[] = {
        "k",        ".",      "/",       "0",          "./a", "/a.k", "a/", "\xff\xff",    "bh/d.k",
        "bh/d/a.k", "bh/m/v", "bh/m/n.", "bh/d/a/b.k", "bh/", "/b.k", ".k", "instances/x",
    };
    out->n = 0;
    uint64_t dice = rng_below(rng, 16);
    if (dice < 3) {
        model_add_str(out, fixed[rng_below(rng, ARRAY_LEN(fixed))]);
        return;
    }
    size_t n = (size_t)rng_below(rng, dice == 15 ? 64 : 5);
    for (; out->n < n; out->n++)
        out->p[out->n] = dice >= 14 ? (uint8_t)rng_next(rng) : few[rng_below(rng, sizeof few)];
}

/* Stored bytes as an enemy or an accident would leave them: a true key with one wound, or a raw
 * one. */
static inline void model_any_stored_key(struct rng *rng, const struct model_ns *names,
                                        const struct model_ns *near, struct model_bytes *out)
{
    static const char *const raw[] = {
        "",
        "bh",
        "bh/",
        "bh/d",
        "bh/d/",
        "bh/d/a",
        "bh/d/a/",
        "bh/d/a%2Fb.k",
        "bh/d/a%2fb.k",
        "bh/d/a%2eb.k",
        "bh/d/%61.k",
        "bh/d//a.k",
        "bh/d/a%.k",
        "bh/d/a%2.k",
        "bh/d/a/b/c/d/e.k",
        "bh/d/~.k",
        "bh/m/n/a.",
        "bh/m/t/000001",
        "bh/m/v",
        "k",
        "bh/e/a.k",
        "Bh/d/a.k",
        "bh/d/a\xc3\xa9.k",
        "bh/d/%2E.k",
        "bh/d/a/default.k",
    };
    struct model_bytes key;
    if (rng_below(rng, 4) == 0) {
        out->n = 0;
        model_add_str(out, raw[rng_below(rng, ARRAY_LEN(raw))]);
        return;
    }
    model_any_key(rng, &key);
    const struct model_ns *owner = rng_below(rng, 2) == 0 ? near : model_any(rng, names);
    model_key_write(&owner->name, model_span(&key), out);
    if (out->n == 0 || rng_below(rng, 2) == 0)
        return;
    size_t at = (size_t)rng_below(rng, out->n);
    static const uint8_t wounds[] = {'.', '/', '0', '%', 'a', 0, 0xff, '-'};
    switch (rng_below(rng, 3)) {
    case 0:
        out->p[at] = wounds[rng_below(rng, sizeof wounds)];
        break;
    case 1:
        out->n = at;
        break;
    default:
        memmove(out->p + at, out->p + at + 1, out->n - at - 1);
        out->n--;
        break;
    }
}

/* A subject or, with wildcards, a filter; always legal. */
static inline void model_any_subject(struct rng *rng, bool wildcards, struct model_bytes *out)
{
    static const char *const tokens[] = {
        "a",          "b",         "ab",        "A",
        "~",          "bh",        "e",         "d",
        "_INBOX",     "$SRV",      "PING",      "a*",
        "**",         ">>",        "*b",        "x-0123456789abcdef",
        "x-01234567", "x-0123456", "-01234567", "y-0123456789abcdef0",
        "%7E",        "\xff",      "$SYS",      "$JS",
        "a%2Eb",
    };
    out->n = 0;
    unsigned n = 1 + (unsigned)rng_below(rng, 4);
    if (rng_below(rng, 4) == 0) /* the shapes of requests, so that they come up */
        n = 2;
    for (unsigned i = 0; i < n; i++) {
        uint64_t dice = rng_below(rng, 8);
        if (i != 0)
            model_add_str(out, ".");
        if (wildcards && dice == 0)
            model_add_str(out, "*");
        else if (wildcards && dice == 1 && i + 1 == n)
            model_add_str(out, ">");
        else
            model_add_str(out, tokens[rng_below(rng, dice < 4 ? 4 : ARRAY_LEN(tokens))]);
    }
}

/* A filter that has a fair chance to match `subject`: some of its tokens become wildcards. */
static inline void model_filter_near(struct rng *rng, struct span subject, struct model_bytes *out)
{
    struct model_tokens t = model_split(subject);
    out->n = 0;
    for (unsigned i = 0; i < t.n; i++) {
        uint64_t dice = rng_below(rng, 8);
        if (i != 0)
            model_add_str(out, ".");
        if (dice == 0) {
            model_add_str(out, ">");
            return;
        }
        if (dice < 3)
            model_add_str(out, "*");
        else
            model_add(out, t.token[i]);
    }
}

static inline void model_any_stored_subject(struct rng *rng, const struct model_ns *names,
                                            const struct model_ns *near, struct model_bytes *out)
{
    static const char *const raw[] = {
        "bh",
        "bh.e",
        "bh.e.a.~.~.~",
        "bh.e.a.~.~.~.",
        "bh.e.~.a.~.~.x",
        "bh.e.a%2eb.~.~.~.x",
        "bh.f.a.~.~.~.x",
        "bh.j.a.~.~.~.x",
        "bh.E.a.~.~.~.x",
        "bh.e.%61.~.~.~.x",
        "bh..a.~.~.~.x",
        "b.e.a.~.~.~.x",
        "a.b",
        "_INBOX.x",
        "$SYS.x",
        "bh.e.a.b.c.d.e",
        "bh.e.a%2Fb.~.~.~.x",
        "bh.e.~.~.~.a.x",
        "xbh.e.a.~.~.~.x",
    };
    static const char *const classes[] = {"e", "d", "j"};
    struct model_bytes s;
    if (rng_below(rng, 4) == 0) {
        out->n = 0;
        model_add_str(out, raw[rng_below(rng, ARRAY_LEN(raw))]);
        return;
    }
    model_any_subject(rng, false, &s);
    const struct model_ns *owner = rng_below(rng, 2) == 0 ? near : model_any(rng, names);
    model_subject_write(&owner->name, classes[rng_below(rng, 3)], model_span(&s), out);
    if (rng_below(rng, 2) == 0)
        return;
    static const char wounds[] = "~.ab%Ae*";
    size_t at = (size_t)rng_below(rng, out->n);
    if (rng_below(rng, 2) == 0)
        out->p[at] = (uint8_t)wounds[rng_below(rng, sizeof wounds - 1)];
    else
        out->n = at;
}

#endif
