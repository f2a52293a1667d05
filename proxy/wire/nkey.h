/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nkey - NATS's Ed25519 keys as text, and the files that carry them. No cryptography: that is io's.
 *
 *   seed     base32( 'S' << 3 | kind >> 5, kind << 3 | 0, 32 bytes, CRC-16 )    "SU…", 58 letters
 *   public   base32( kind, 32 bytes, CRC-16 )                                   "U…", 56 letters
 *
 * base32 is RFC 4648's without padding; the CRC is XMODEM's, low byte first. The kinds that log in
 * are users. Source: NATS nkeys and JWT design records.
 */
#ifndef WIRE_NKEY_H
#define WIRE_NKEY_H

#include "base/err.h"
#include "base/span.h"

enum {
    NKEY_BYTES = 32,
    NKEY_SIGNATURE_BYTES = 64,
    NKEY_PUBLIC_TEXT_BYTES = 56 + 1,   /* with its NUL */
    NKEY_SIGNATURE_TEXT_BYTES = 86 + 1 /* likewise */
};

/* A user's seed. ERR_SYNTAX: no base32, another kind, another length, a wrong checksum. */
enum err nkey_seed_parse(struct span text, uint8_t ret_seed[NKEY_BYTES]) ATTR_MUST_USE;
/* A user's public key. */
void nkey_public_write(const uint8_t key[NKEY_BYTES], char ret_text[NKEY_PUBLIC_TEXT_BYTES]);
/* As CONNECT carries it: base64url without padding. */
void nkey_signature_write(const uint8_t signature[NKEY_SIGNATURE_BYTES],
                          char ret_text[NKEY_SIGNATURE_TEXT_BYTES]);

/* A credentials file (its first two lines behind lines of hyphens are the JWT and the seed), or a
 * file whose first line that is a seed is one (no JWT). Spans borrow the file. ERR_SYNTAX: neither;
 * the seed itself is nkey_seed_parse's to judge. */
enum err nkey_file_parse(struct span file, struct span *ret_jwt,
                         struct span *ret_seed) ATTR_MUST_USE;

#endif
