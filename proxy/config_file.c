/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_file - what the JSON file says: one object, the options' names as keys.
 *
 *   { "namespace": "llama-8b", "etcd-upstream": ["10.0.0.5:2379", "10.0.0.6:2379"] }
 *
 * Keys are compared as they are, case included; a key that is unknown or stands twice is an error.
 */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>

#include "config_option.h"

/* Line and column of an offset, both from 1, as editors count. */
static void position(struct span text, size_t offset, unsigned *ret_line, unsigned *ret_column)
{
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < offset && i < text.n; i++) {
        column++;
        if (text.p[i] == '\n') {
            line++;
            column = 1;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

static enum err fail_at(struct config_loader *l, struct span text, size_t offset, const char *what)
{
    unsigned line, column;
    position(text, offset, &line, &column);
    return config_fail(l, "%s:%u:%u: %s", l->file, line, column, what);
}

/* Where the key stands for the last time, as written; 0 if it is written with escapes. */
static size_t find_key(struct span text, const char *key)
{
    size_t n = strlen(key), found = 0;
    for (size_t i = 0; i + n + 2 <= text.n; i++) {
        if (text.p[i] != '"' || text.p[i + n + 1] != '"' || memcmp(text.p + i + 1, key, n) != 0)
            continue;
        size_t after = i + n + 2;
        while (after < text.n && isspace(text.p[after]))
            after++;
        if (after < text.n && text.p[after] == ':')
            found = i;
    }
    return found;
}

static enum err unknown_key(struct config_loader *l, struct span text, const char *key)
{
    char shown[96], what[256];
    snprintf(what, sizeof what, "unknown key %s; the nearest is \"%s\"",
             config_quote(span_str(key), 0, shown, sizeof shown),
             config_nearest_option(span_str(key), 0));
    return fail_at(l, text, find_key(text, key), what);
}

static enum err take_string(struct config_loader *l, enum option o, const cJSON *item, bool split)
{
    return config_take(l, o, (struct option_origin){SOURCE_FILE, NULL}, span_str(item->valuestring),
                       split);
}

static enum err wrong_type(struct config_loader *l, enum option o)
{
    unsigned traits = option_table[o].traits;
    char where[256];
    config_origin(l, o, where, sizeof where);
    if (traits & TRAIT_NUMBER)
        return config_fail(l, "%s: the value is not a whole number", where);
    if (traits & TRAIT_LIST)
        return config_fail(l, "%s: the value is neither a string nor an array of strings", where);
    return config_fail(l, "%s: the value is not a string", where);
}

static enum err take_number(struct config_loader *l, enum option o, const cJSON *item)
{
    struct option_value *v = &l->value[o];
    double d = item->valuedouble;
    if (!(d >= -1e10 && d <= 1e10) || d != (double)(long)d)
        return wrong_type(l, o);
    snprintf(v->number, sizeof v->number, "%ld", (long)d);
    return config_take(l, o, (struct option_origin){SOURCE_FILE, NULL}, span_str(v->number), false);
}

static enum err take_array(struct config_loader *l, enum option o, const cJSON *array)
{
    l->value[o].is_set = true; /* an empty list is a list */
    for (const cJSON *item = array->child; item != NULL; item = item->next) {
        if (!cJSON_IsString(item))
            return wrong_type(l, o);
        enum err e = take_string(l, o, item, false);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

static enum err take_item(struct config_loader *l, enum option o, const cJSON *item)
{
    struct option_value *v = &l->value[o];
    if (v->is_set && v->source > SOURCE_FILE)
        return ERR_OK;
    v->source = SOURCE_FILE; /* for the texts of errors */
    unsigned traits = option_table[o].traits;
    if (traits & TRAIT_NUMBER)
        return cJSON_IsNumber(item) ? take_number(l, o, item) : wrong_type(l, o);
    if (cJSON_IsString(item))
        return take_string(l, o, item, true);
    return (traits & TRAIT_LIST) && cJSON_IsArray(item) ? take_array(l, o, item) : wrong_type(l, o);
}

static enum err take_keys(struct config_loader *l, struct span text, const cJSON *document)
{
    bool seen[OPTION_COUNT] = {false};
    for (const cJSON *item = document->child; item != NULL; item = item->next) {
        enum option o = config_find(span_str(item->string));
        if (o == OPTION_COUNT || (option_table[o].traits & (TRAIT_SWITCH | TRAIT_NO_FILE)))
            return unknown_key(l, text, item->string);
        if (seen[o]) {
            char what[128];
            snprintf(what, sizeof what, "the key \"%s\" stands twice", item->string);
            return fail_at(l, text, find_key(text, item->string), what);
        }
        seen[o] = true;
        enum err e = take_item(l, o, item);
        if (e != ERR_OK)
            return e;
    }
    return ERR_OK;
}

enum err config_take_file(struct config_loader *l, struct span json, void **ret_document)
{
    /* cJSON ends a string at an escaped NUL, and a namespace that is cut is another namespace. */
    const uint8_t *nul = json.n == 0 ? NULL : memmem(json.p, json.n, "\\u0000", 6);
    if (nul == NULL && json.n != 0)
        nul = memchr(json.p, '\0', json.n);
    if (nul != NULL)
        return fail_at(l, json, (size_t)(nul - json.p), "a NUL is not possible here");
    const char *end = NULL;
    cJSON *document = cJSON_ParseWithLengthOpts((const char *)json.p, json.n, &end, false);
    size_t offset = end == NULL ? 0 : (size_t)(end - (const char *)json.p);
    if (document == NULL)
        return fail_at(l, json, offset, "this is not JSON");
    *ret_document = document;
    while (offset < json.n && isspace(json.p[offset]))
        offset++;
    if (offset < json.n)
        return fail_at(l, json, offset, "something follows the JSON object");
    if (!cJSON_IsObject(document))
        return fail_at(l, json, 0, "the file is not a JSON object: { \"namespace\": ..., ... }");
    return take_keys(l, json, document);
}

void config_file_free(void *document)
{
    cJSON_Delete(document);
}
