/* SPDX-License-Identifier: Apache-2.0 */
/* Keys as text, against values that another implementation made, and the files they come in. */
#include "support/support.h"

#include "base/attr.h"
#include "wire/nkey.h"

/* 32 bytes 0, 1, … 31 as a user's seed, and as a public key. */
static const char seed_text[] = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y";
static const char public_text[] = "UAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB63NN";

static void a_seed_is_32_bytes(void **state)
{
    (void)state;
    uint8_t seed[NKEY_BYTES];
    assert_int_equal(nkey_seed_parse(span_str(seed_text), seed), ERR_OK);
    for (unsigned i = 0; i < NKEY_BYTES; i++)
        assert_int_equal(seed[i], i);
}

static void what_is_no_seed_of_a_user_is_refused(void **state)
{
    (void)state;
    uint8_t seed[NKEY_BYTES];
    char text[sizeof seed_text + 1];
    /* Every single letter changed: the checksum or the kind says so. */
    for (size_t i = 0; i < sizeof seed_text - 1; i++) {
        memcpy(text, seed_text, sizeof seed_text);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        assert_int_equal(nkey_seed_parse(span_str(text), seed), ERR_SYNTAX);
        text[i] = '1'; /* not in the alphabet */
        assert_int_equal(nkey_seed_parse(span_str(text), seed), ERR_SYNTAX);
    }
    for (size_t n = 0; n < sizeof seed_text - 1; n++)
        assert_int_equal(nkey_seed_parse(span_of(seed_text, n), seed), ERR_SYNTAX);
    assert_int_equal(nkey_seed_parse(span_of(seed_text, sizeof seed_text), seed), ERR_SYNTAX);
    assert_int_equal(
        nkey_seed_parse(span_str("SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHI"),
                        seed),
        ERR_SYNTAX);
    assert_int_equal(nkey_seed_parse(span_str(public_text), seed), ERR_SYNTAX);
}

static void a_public_key_and_a_signature_are_written(void **state)
{
    (void)state;
    uint8_t key[NKEY_BYTES], signature[NKEY_SIGNATURE_BYTES];
    char text[NKEY_PUBLIC_TEXT_BYTES], signed_text[NKEY_SIGNATURE_TEXT_BYTES];
    for (unsigned i = 0; i < NKEY_BYTES; i++)
        key[i] = (uint8_t)i;
    for (unsigned i = 0; i < NKEY_SIGNATURE_BYTES; i++)
        signature[i] = (uint8_t)(255 - i);
    nkey_public_write(key, text);
    assert_string_equal(text, public_text);
    nkey_signature_write(signature, signed_text);
    assert_string_equal(
        signed_text,
        "__79_Pv6-fj39vX08_Lx8O_u7ezr6uno5-bl5OPi4eDf3t3c29rZ2NfW1dTT0tHQz87NzMvKycjHxsXEw8LBwA");
}

static void files_of_both_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *file, *jwt, *seed; /* seed NULL: refused */
    } rows[] = {
        {"-----BEGIN NATS USER JWT-----\nJ.W.T\n------END NATS USER JWT------\n\n*** words ***\n"
         "-----BEGIN USER NKEY SEED-----\nSUX\n------END USER NKEY SEED------\n\n***\n",
         "J.W.T", "SUX"},
        {"---BEGIN---\r\n  J.W.T \r\n---END---\r\n---BEGIN---\r\n\r\nSUX\r\n---END---", "J.W.T",
         "SUX"},
        {"SUX", "", "SUX"},
        {"# my key\n\n\tSUX \n", "", "SUX"},
        {"-----BEGIN USER NKEY SEED-----\nSUX\n------END USER NKEY SEED------\n", "", "SUX"},
        {"", NULL, NULL},
        {"SAX\n", NULL, NULL},
        {"-----BEGIN NATS USER JWT-----\nJ.W.T\n------END NATS USER JWT------\n", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span jwt = SPAN_NONE, seed = SPAN_NONE;
        assert_int_equal(nkey_file_parse(span_str(rows[i].file), &jwt, &seed),
                         rows[i].seed == NULL ? ERR_SYNTAX : ERR_OK);
        if (rows[i].seed == NULL)
            continue;
        assert_span_equal(jwt, span_str(rows[i].jwt));
        assert_span_equal(seed, span_str(rows[i].seed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_is_32_bytes),
        cmocka_unit_test(what_is_no_seed_of_a_user_is_refused),
        cmocka_unit_test(a_public_key_and_a_signature_are_written),
        cmocka_unit_test(files_of_both_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
