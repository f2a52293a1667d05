/* SPDX-License-Identifier: Apache-2.0 */
#include "pb_text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 64, DEPTH_MAX = 1000 };
/* Ids from here up are chosen by a server or carry a namespace's tag; smaller ones are the test's.
 */
static const int64_t chosen_id = INT64_C(1) << 37;

void pb_bytes_add(struct pb_bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->room) {
        b->room = (b->n + n) * 2 + 64;
        void *moved = realloc(b->data, b->room);
        if (moved == NULL) {
            abort();
        }
        b->data = moved;
    }
    if (n > 0) {
        memcpy(b->data + b->n, data, n);
    }
    b->n += n;
}

static void add_varint(struct pb_bytes *b, uint64_t v)
{
    unsigned char byte;

    do {
        byte = (unsigned char)(v & 0x7f);
        v >>= 7;
        if (v != 0) {
            byte |= 0x80;
        }
        pb_bytes_add(b, &byte, 1);
    } while (v != 0);
}

static void skip_blanks(const char **at)
{
    while (isspace((unsigned char)**at)) {
        (*at)++;
    }
}

static bool read_word(const char **at, char *word)
{
    size_t n = 0;

    skip_blanks(at);
    while (**at != '\0' && !isspace((unsigned char)**at)) {
        if (n + 1 >= NAME_BYTES) {
            return false;
        }
        word[n++] = *(*at)++;
    }
    word[n] = '\0';
    return n > 0;
}

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = strchr(digits, tolower((unsigned char)c));

    return c == '\0' || found == NULL ? -1 : (int)(found - digits);
}

/* "…" with \xHH, \\ and \". */
static bool read_string(const char **at, struct pb_bytes *out)
{
    skip_blanks(at);
    if (**at != '"') {
        return false;
    }
    for ((*at)++; **at != '"'; (*at)++) {
        char c = **at;
        if (c == '\0') {
            return false;
        }
        if (c == '\\') {
            (*at)++;
            c = **at;
            if (c == 'x') {
                int high = hex_value((*at)[1]);
                int low = high < 0 ? -1 : hex_value((*at)[2]);
                if (low < 0) {
                    return false;
                }
                c = (char)(high * 16 + low);
                *at += 2;
            } else if (c != '\\' && c != '"') {
                return false;
            }
        }
        pb_bytes_add(out, &c, 1);
    }
    (*at)++;
    return true;
}

static bool encode_number(const char **at, const ProtobufCFieldDescriptor *f, struct pb_bytes *out)
{
    char word[NAME_BYTES];
    char *end;
    int64_t v;

    if (!read_word(at, word)) {
        return false;
    }
    if (f->type == PROTOBUF_C_TYPE_ENUM) {
        const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value_by_name(
            (const ProtobufCEnumDescriptor *)f->descriptor, word);
        if (value != NULL) {
            add_varint(out, (uint64_t)value->value);
            return true;
        }
    }
    errno = 0;
    v = strtoll(word, &end, 0);
    if (errno != 0 || *end != '\0') {
        return false;
    }
    add_varint(out, (uint64_t)v);
    return true;
}

static bool encode_fields(const char **at, const ProtobufCMessageDescriptor *type, unsigned depth,
                          struct pb_bytes *out);

static bool encode_value(const char **at, const ProtobufCFieldDescriptor *f, unsigned depth,
                         struct pb_bytes *out)
{
    struct pb_bytes inner = {0};
    bool ok;

    if (f->type != PROTOBUF_C_TYPE_MESSAGE && f->type != PROTOBUF_C_TYPE_BYTES &&
        f->type != PROTOBUF_C_TYPE_STRING) {
        add_varint(out, (uint64_t)f->id << 3);
        return encode_number(at, f, out);
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        skip_blanks(at);
        ok = **at == '{';
        if (ok) {
            (*at)++;
            ok = encode_fields(at, f->descriptor, depth + 1, &inner) && **at == '}';
            (*at) += ok ? 1 : 0;
        }
    } else {
        ok = read_string(at, &inner);
    }
    add_varint(out, (uint64_t)f->id << 3 | 2);
    add_varint(out, inner.n);
    pb_bytes_add(out, inner.data, inner.n);
    free(inner.data);
    return ok;
}

static bool encode_fields(const char **at, const ProtobufCMessageDescriptor *type, unsigned depth,
                          struct pb_bytes *out)
{
    char word[NAME_BYTES];

    if (depth > DEPTH_MAX) {
        return false;
    }
    for (skip_blanks(at); **at != '\0' && **at != '}'; skip_blanks(at)) {
        const ProtobufCFieldDescriptor *f;
        if (!read_word(at, word)) {
            return false;
        }
        f = protobuf_c_message_descriptor_get_field_by_name(type, word);
        if (f == NULL) {
            fprintf(stderr, "%s has no field %s\n", type->name, word);
            return false;
        }
        if (!encode_value(at, f, depth, out)) {
            fprintf(stderr, "%s.%s: no value at: %s\n", type->name, word, *at);
            return false;
        }
    }
    return true;
}

bool pb_text_encode(const char *text, const ProtobufCMessageDescriptor *type, struct pb_bytes *out)
{
    const char *at = text;

    return encode_fields(&at, type, 0, out) && *at == '\0';
}

bool pb_hex_decode(const char *text, struct pb_bytes *out)
{
    for (skip_blanks(&text); *text != '\0'; skip_blanks(&text)) {
        int high = hex_value(text[0]);
        int low = high < 0 ? -1 : hex_value(text[1]);
        unsigned char byte;
        if (low < 0) {
            return false;
        }
        byte = (unsigned char)(high * 16 + low);
        pb_bytes_add(out, &byte, 1);
        text += 2;
    }
    return true;
}

void pb_quoted_print(FILE *to, const unsigned char *data, size_t n)
{
    size_t i;

    fputc('"', to);
    for (i = 0; i < n; i++) {
        if (data[i] < 0x20 || data[i] >= 0x7f || data[i] == '"' || data[i] == '\\') {
            fprintf(to, "\\x%02x", data[i]);
        } else {
            fputc(data[i], to);
        }
    }
    fputc('"', to);
}

static bool is_of_the_store(const char *name)
{
    static const char *const names[] = {
        "create_revision",  "mod_revision", "compact_revision", "member_id",   "raftIndex",
        "raftAppliedIndex", "raftTerm",     "dbSize",           "dbSizeInUse", "leader"};
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void print_number(FILE *to, const ProtobufCFieldDescriptor *f, int64_t v)
{
    bool is_id = strcmp(f->name, "lease") == 0 || strcmp(f->name, "ID") == 0;

    if ((is_of_the_store(f->name) && v != 0) || (is_id && (v >= chosen_id || v < 0))) {
        fputs("#", to);
    } else if (f->type == PROTOBUF_C_TYPE_ENUM) {
        const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(f->descriptor,
                                                                               (int)v);
        fputs(value != NULL ? value->name : "?", to);
    } else {
        fprintf(to, "%" PRId64, v);
    }
}

/* member: where the value lies. False: it is the default and nothing was printed. */
static bool print_value(FILE *to, const ProtobufCFieldDescriptor *f, const void *member,
                        bool always, unsigned depth);

static void print_fields(FILE *to, const ProtobufCMessage *m, unsigned depth);

static bool print_message(FILE *to, const ProtobufCFieldDescriptor *f, const void *member,
                          unsigned depth)
{
    const ProtobufCMessage *inner = *(ProtobufCMessage *const *)member;

    if (inner == NULL || depth >= DEPTH_MAX) {
        return false;
    }
    fprintf(to, " %s {", f->name);
    print_fields(to, inner, depth + 1);
    fputs(" }", to);
    return true;
}

static bool print_value(FILE *to, const ProtobufCFieldDescriptor *f, const void *member,
                        bool always, unsigned depth)
{
    int64_t v;

    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return print_message(to, f, member, depth);
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *b = member;
        if (b->len == 0 && !always) {
            return false;
        }
        fprintf(to, " %s ", f->name);
        pb_quoted_print(to, b->data, b->len);
        return true;
    }
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(const char *const *)member;
        if (!always && (s == NULL || *s == '\0')) {
            return false;
        }
        fprintf(to, " %s ", f->name);
        pb_quoted_print(to, (const unsigned char *)s, strlen(s));
        return true;
    }
    case PROTOBUF_C_TYPE_INT64:
        v = *(const int64_t *)member;
        break;
    case PROTOBUF_C_TYPE_UINT64:
        v = (int64_t) * (const uint64_t *)member;
        break;
    default: /* bool and enum are int-sized in protobuf-c */
        v = *(const int *)member;
        break;
    }
    if (v == 0 && !always) {
        return false;
    }
    fprintf(to, " %s ", f->name);
    print_number(to, f, v);
    return true;
}

static size_t element_bytes(const ProtobufCFieldDescriptor *f)
{
    switch ((int)f->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_STRING:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(int64_t);
    default:
        return sizeof(int);
    }
}

static void print_fields(FILE *to, const ProtobufCMessage *m, unsigned depth)
{
    unsigned i;

    for (i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *member = (const char *)m + f->offset;
        if (strcmp(f->name, "header") == 0) {
            continue;
        }
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n, k;
            const char *first;
            memcpy(&first, member, sizeof first);
            memcpy(&n, (const char *)m + f->quantifier_offset, sizeof n);
            for (k = 0; k < n; k++) {
                print_value(to, f, first + k * element_bytes(f), true, depth);
            }
            continue;
        }
        if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
            uint32_t which;
            memcpy(&which, (const char *)m + f->quantifier_offset, sizeof which);
            if (which != f->id) {
                continue;
            }
        }
        print_value(to, f, member, false, depth);
    }
}

void pb_text_print(FILE *to, const ProtobufCMessage *message)
{
    print_fields(to, message, 0);
}
