/* SPDX-License-Identifier: Apache-2.0 */
/* nkey - base32 and its checksum, then the two kinds of file. */
#include "wire/nkey.h"

enum {
    KIND_SEED = 18 << 3, /* 'S' */
    KIND_USER = 20 << 3, /* 'U' */
    CRC_BYTES = 2,
    SEED_RAW_BYTES = 2 + NKEY_BYTES + CRC_BYTES,
    PUBLIC_RAW_BYTES = 1 + NKEY_BYTES + CRC_BYTES,
};

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* CRC-16 of XMODEM: polynomial 0x1021, starts at 0. */
static uint16_t crc16(const uint8_t *p, size_t n)
{
    unsigned crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned)p[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 0x8000u) != 0 ? crc << 1 ^ 0x1021u : crc << 1;
        crc &= 0xffffu;
    }
    return (uint16_t)crc;
}

/* Exactly n bytes, or false. Bits left over must be 0: one key has one text. */
static bool base32_decode(struct span text, uint8_t *out, size_t n)
{
    unsigned bits = 0, held = 0;
    size_t done = 0;
    if (text.n != (n * 8 + 4) / 5)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        const char *at = text.p[i] == '\0' ? NULL : strchr(base32, text.p[i]);
        if (at == NULL)
            return false;
        held = held << 5 | (unsigned)(at - base32);
        bits += 5;
        if (bits < 8)
            continue;
        bits -= 8;
        out[done++] = (uint8_t)(held >> bits);
        held &= (1u << bits) - 1;
    }
    return done == n && held == 0;
}

/* Letters of width bits each, out of n bytes; NUL-terminated. */
static void encode(const uint8_t *in, size_t n, const char *letters, unsigned width, char *out)
{
    unsigned bits = 0, held = 0;
    for (size_t i = 0; i < n; i++) {
        held = held << 8 | in[i];
        bits += 8;
        for (; bits >= width; held &= (1u << bits) - 1) {
            bits -= width;
            *out++ = letters[held >> bits];
        }
    }
    if (bits != 0)
        *out++ = letters[held << (width - bits)];
    *out = '\0';
}

static bool crc_fits(const uint8_t *raw, size_t n)
{
    uint16_t crc = crc16(raw, n - CRC_BYTES);
    return raw[n - 2] == (crc & 0xff) && raw[n - 1] == crc >> 8;
}

enum err nkey_seed_parse(struct span text, uint8_t ret_seed[NKEY_BYTES])
{
    uint8_t raw[SEED_RAW_BYTES];
    if (!base32_decode(text, raw, sizeof raw) || !crc_fits(raw, sizeof raw))
        return ERR_SYNTAX;
    if (raw[0] != (KIND_SEED | KIND_USER >> 5) || raw[1] != (KIND_USER << 3 & 0xff))
        return ERR_SYNTAX;
    memcpy(ret_seed, raw + 2, NKEY_BYTES);
    return ERR_OK;
}

void nkey_public_write(const uint8_t key[NKEY_BYTES], char ret_text[NKEY_PUBLIC_TEXT_BYTES])
{
    uint8_t raw[PUBLIC_RAW_BYTES] = {KIND_USER};
    memcpy(raw + 1, key, NKEY_BYTES);
    uint16_t crc = crc16(raw, 1 + NKEY_BYTES);
    raw[1 + NKEY_BYTES] = (uint8_t)(crc & 0xff);
    raw[2 + NKEY_BYTES] = (uint8_t)(crc >> 8);
    encode(raw, sizeof raw, base32, 5, ret_text);
}

void nkey_signature_write(const uint8_t signature[NKEY_SIGNATURE_BYTES],
                          char ret_text[NKEY_SIGNATURE_TEXT_BYTES])
{
    encode(signature, NKEY_SIGNATURE_BYTES, base64url, 6, ret_text);
}

/* ---- files ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line without blanks around it. False: the end. */
static bool next_line(struct span *rest, struct span *ret_line)
{
    if (rest->n == 0)
        return false;
    const uint8_t *end = memchr(rest->p, '\n', rest->n);
    struct span line = end == NULL ? *rest : span_head(*rest, (size_t)(end - rest->p));
    *rest = span_skip(*rest, line.n + (end != NULL));
    while (line.n != 0 && is_blank(line.p[0]))
        line = span_skip(line, 1);
    while (line.n != 0 && is_blank(line.p[line.n - 1]))
        line.n--;
    *ret_line = line;
    return true;
}

enum err nkey_file_parse(struct span file, struct span *ret_jwt, struct span *ret_seed)
{
    struct span line, found[2] = {SPAN_NONE, SPAN_NONE};
    size_t n = 0;
    bool behind_fence = false;
    for (struct span rest = file; n < 2 && next_line(&rest, &line);) {
        bool is_fence = span_has_prefix(line, SPAN_LIT("---"));
        if (behind_fence && !is_fence && line.n != 0) {
            found[n++] = line;
            behind_fence = false;
        } else if (is_fence) {
            /* BEGIN and END alternate. */
            behind_fence = memmem(line.p, line.n, "BEGIN", 5) != NULL;
        }
    }
    if (n == 2) {
        *ret_jwt = found[0];
        *ret_seed = found[1];
        return ERR_OK;
    }
    for (struct span rest = file; next_line(&rest, &line);) {
        if (!span_has_prefix(line, SPAN_LIT("SU")))
            continue;
        *ret_jwt = SPAN_NONE;
        *ret_seed = line;
        return ERR_OK;
    }
    return ERR_SYNTAX;
}
