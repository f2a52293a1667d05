/* SPDX-License-Identifier: Apache-2.0 */
/* tls_why - what OpenSSL's errors mean to whoever runs the sidecar, and what mends them. */

#include "io/tls_private.h"

enum { KNOWN_TEXT_BYTES = 160 };

/* The server's certificate did not pass: which rule, and what mends it. */
static void explain_verify(const struct tls *t, long result, char text[TLS_WHY_BYTES])
{
    const struct tls_context *c = t->ctx;
    const char *ca = tls_context_path(c, TLS_FILE_CA);
    char option[TLS_OPTION_BYTES];
    tls_context_option(c, TLS_FILE_CA, option);
    switch (result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        snprintf(text, TLS_WHY_BYTES,
                 "TLS: the server's certificate is not signed by an authority of %s; name its "
                 "authority with %s",
                 ca == NULL ? "this system" : ca, option);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        snprintf(text, TLS_WHY_BYTES,
                 "TLS: the server's certificate is not for %s; dial a name it is for, or say one "
                 "with --%s-server-name",
                 t->name, c->options.plane);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        snprintf(text, TLS_WHY_BYTES,
                 "TLS: the server's certificate, or its authority's, has expired; renew it");
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        snprintf(text, TLS_WHY_BYTES,
                 "TLS: the server's certificate is not valid yet; compare the clocks");
        break;
    default:
        snprintf(text, TLS_WHY_BYTES, "TLS: the server's certificate cannot be accepted: %s",
                 c->lib->X509_verify_cert_error_string(result));
    }
}

/* The server refused us: with a certificate of ours, or because there is none. */
static void explain_refusal(const struct tls *t, const char *reason, char text[TLS_WHY_BYTES])
{
    const struct tls_context *c = t->ctx;
    if (tls_context_path(c, TLS_FILE_CERT) == NULL)
        snprintf(text, TLS_WHY_BYTES,
                 "TLS: the server asks for a client certificate; give one with --%s-cert and "
                 "--%s-key",
                 c->options.plane, c->options.plane);
    else
        snprintf(text, TLS_WHY_BYTES,
                 "TLS: the server does not accept our certificate %s (%s); give another with "
                 "--%s-cert",
                 tls_context_path(c, TLS_FILE_CERT), reason, c->options.plane);
}

static void explain_client(const struct tls *t, int code, const char *reason,
                           char text[TLS_WHY_BYTES])
{
    switch (code) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
        explain_refusal(t, reason, text);
        break;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
        snprintf(
            text, TLS_WHY_BYTES,
            "TLS: the server does not speak TLS on this port; dial it in plaintext, or another "
            "port");
        break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        snprintf(text, TLS_WHY_BYTES, "TLS: the server speaks nothing newer than TLS 1.1");
        break;
    default:
        snprintf(text, TLS_WHY_BYTES, "TLS: %s", reason);
    }
}

static void explain_server(const struct tls *t, int code, const char *reason,
                           char text[TLS_WHY_BYTES])
{
    const char *plane = t->ctx->options.plane;
    switch (code) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
        snprintf(text, TLS_WHY_BYTES,
                 "TLS: the application speaks plaintext to a TLS port; let it use %s, or leave "
                 "--%s-listen-cert out",
                 t->ctx->options.is_http2 ? "https://" : "tls://", plane);
        break;
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        snprintf(text, TLS_WHY_BYTES,
                 "TLS: the application does not accept our certificate %s (%s); give it the "
                 "authority that signed it",
                 tls_context_path(t->ctx, TLS_FILE_CERT), reason);
        break;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        snprintf(text, TLS_WHY_BYTES,
                 "TLS: the application must show a valid certificate that is signed by an "
                 "authority of %s (%s)",
                 tls_context_path(t->ctx, TLS_FILE_CA), reason);
        break;
    default:
        snprintf(text, TLS_WHY_BYTES, "TLS: %s", reason);
    }
}

void tls_explain(const struct tls *t, char text[TLS_WHY_BYTES])
{
    const struct tls_lib *lib = t->ctx->lib;
    unsigned long error = lib->ERR_peek_last_error();
    long verified = lib->SSL_get_verify_result(t->ssl);
    const char *reason = lib->ERR_reason_error_string(error);
    if (reason == NULL)
        reason = "the connection cannot go on";
    int code = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    if (tls_is_server(t))
        explain_server(t, code, reason, text);
    else if (code == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
        explain_verify(t, verified, text);
    else
        explain_client(t, code, reason, text);
}
