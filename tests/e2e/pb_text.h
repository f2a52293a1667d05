/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb_text - protobuf from a line of text and back to one, by protobuf-c's descriptors.
 *
 * Text: `key "a\x00" limit 3 create_request { watch_id 7 }`. Fields are written in the order of the
 * text, so a repeated or misplaced field is what it says. The output leaves out what differs from
 * one store to the next: headers are dropped, revisions and chosen ids become `#`.
 */
#ifndef E2E_PB_TEXT_H
#define E2E_PB_TEXT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdio.h>

struct pb_bytes {
    unsigned char *data; /* owned; free() */
    size_t n, room;
};

void pb_bytes_add(struct pb_bytes *b, const void *data, size_t n);

/* Appends the wire form of text to out; false: text is wrong, and why is on stderr. */
bool pb_text_encode(const char *text, const ProtobufCMessageDescriptor *type, struct pb_bytes *out);
/* Hexadecimal digits, blanks allowed between bytes. */
bool pb_hex_decode(const char *text, struct pb_bytes *out);
/* One line without its end. */
void pb_text_print(FILE *to, const ProtobufCMessage *message);
void pb_quoted_print(FILE *to, const unsigned char *data, size_t n);

#endif
