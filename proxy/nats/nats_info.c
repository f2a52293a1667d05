/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_info - INFO is a list of what must not be seen; CONNECT is a list of what may pass.
 *
 * The server is the operator's, so what it newly says is shown unless it is an address, an identity
 * or about security. The application is not, so of what it says only known members go on.
 */
#include "nats/nats_info.h"

#include "wire/json_splice.h"

static bool is_listed(const struct json_member *m, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (json_name_is(m, names[i]))
            return true;
    return false;
}

/* Not shown: ways around the sidecar, and who we are to the server. Names that we cannot read are
 * not shown either. */
static bool is_hidden(const struct json_member *m)
{
    static const char *const names[] = {"nonce", "client_ip", "ip", "xkey", "domain"};
    return m->name_bytes == 0 || is_listed(m, names, ARRAY_LEN(names)) ||
           json_name_starts(m, "cluster") || json_name_starts(m, "tls_") ||
           json_name_starts(m, "auth") || json_name_contains(m, "url");
}

static void read_info(const struct json_member *m, struct nats_info *info)
{
    if (json_name_is(m, "tls_required"))
        info->tls_required = json_is_true(m->value);
    else if (json_name_is(m, "tls_available"))
        info->tls_available = json_is_true(m->value);
    else if (json_name_is(m, "headers"))
        info->headers = json_is_true(m->value);
    else if (json_name_is(m, "max_payload") &&
             !json_get_uint(m->value, UINT32_MAX - 2, &info->max_payload))
        info->max_payload = 0;
    else if (json_name_is(m, "server_id") && m->value.n <= NATS_SERVER_ID_BYTES_MAX + 2)
        info->server_id = m->value;
    else if (json_name_is(m, "version"))
        info->version = m->value;
    else if (json_name_is(m, "connect_urls"))
        info->connect_urls = m->value;
    else if (json_name_is(m, "nonce"))
        info->nonce = m->value;
    else if (json_name_is(m, "client_id") && m->value.n <= NATS_CLIENT_ID_BYTES_MAX)
        info->client_id = m->value;
}

static enum err write_info_members(const struct nats_ns *ns, struct span json, struct json_out *o,
                                   struct nats_info *info)
{
    struct json_walk w;
    struct json_member m;
    bool more = true;
    enum err e = json_walk_begin(&w, json);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        read_info(&m, info);
        if (!is_hidden(&m) && !json_name_is(&m, "host") && !json_name_is(&m, "port"))
            e = json_out_raw(o, m.raw);
    }
    if (e == ERR_OK && ns->tls_app)
        e = json_out_raw(o, SPAN_LIT("\"tls_required\":true"));
    if (e == ERR_OK)
        e = json_out_string(o, "host", span_str(ns->host));
    return e == ERR_OK ? json_out_uint(o, "port", ns->port) : e;
}

enum err nats_info_write(const struct nats_ns *ns, struct span json, struct buf *out,
                         struct nats_info *ret_info)
{
    struct nats_info info = {0};
    struct json_out o;
    size_t before = buf_len(out);
    enum err e = buf_append(out, SPAN_LIT("INFO "));
    if (e == ERR_OK)
        e = json_out_open(&o, out);
    if (e == ERR_OK)
        e = write_info_members(ns, json, &o, &info);
    if (e == ERR_OK)
        e = json_out_close(&o);
    if (e == ERR_OK)
        e = buf_append(out, SPAN_LIT("\r\n"));
    if (e == ERR_OK)
        *ret_info = info;
    else
        buf_truncate(out, before);
    return e;
}

bool nats_has_credentials(const struct nats_ns *ns)
{
    return ns->user[0] != '\0' || ns->password[0] != '\0' || ns->token[0] != '\0' ||
           ns->signer != NULL;
}

static void read_bool(struct span value, bool *flag)
{
    if (json_is_true(value))
        *flag = true;
    else if (json_is_false(value))
        *flag = false;
}

static void read_connect(const struct json_member *m, struct nats_connect *connect)
{
    if (json_name_is(m, "verbose"))
        read_bool(m->value, &connect->verbose);
    else if (json_name_is(m, "echo"))
        read_bool(m->value, &connect->echo);
    else if (json_name_is(m, "headers"))
        read_bool(m->value, &connect->headers);
}

static enum err write_connect_members(struct span json, struct json_out *o,
                                      struct nats_connect *connect)
{
    static const char *const passed[] = {"verbose", "pedantic", "name",
                                         "lang",    "version",  "protocol",
                                         "echo",    "headers",  "no_responders"};
    struct json_walk w;
    struct json_member m;
    bool more = true;
    if (span_eq(json, SPAN_LIT("null")))
        return ERR_OK; /* to the server's decoder, too, an object without members */
    enum err e = json_walk_begin(&w, json);
    while (e == ERR_OK) {
        e = json_walk_next(&w, &m, &more);
        if (e != ERR_OK || !more)
            break;
        read_connect(&m, connect);
        if (is_listed(&m, passed, ARRAY_LEN(passed)))
            e = json_out_raw(o, m.raw);
    }
    return e;
}

/* A server without a nonce knows no keys: it is told who we are all the same, and refuses us. */
static enum err write_signed(const struct nats_signer *signer, struct span nonce,
                             struct json_out *o)
{
    char signature[NKEY_SIGNATURE_TEXT_BYTES];
    enum err e = signer->jwt.n != 0 ? json_out_string(o, "jwt", signer->jwt)
                                    : json_out_string(o, "nkey", span_str(signer->public_key));
    if (e != ERR_OK || nonce.n == 0 || !signer->sign(signer, nonce, signature))
        return e;
    return json_out_string(o, "sig", span_str(signature));
}

static enum err write_credentials(const struct nats_ns *ns, struct span nonce, struct json_out *o)
{
    enum err e = ERR_OK;
    if (ns->user[0] != '\0')
        e = json_out_string(o, "user", span_str(ns->user));
    if (e == ERR_OK && ns->password[0] != '\0')
        e = json_out_string(o, "pass", span_str(ns->password));
    if (e == ERR_OK && ns->token[0] != '\0')
        e = json_out_string(o, "auth_token", span_str(ns->token));
    return e == ERR_OK && ns->signer != NULL ? write_signed(ns->signer, nonce, o) : e;
}

enum err nats_connect_write(const struct nats_ns *ns, struct span json, struct buf *out,
                            struct nats_connect *connect)
{
    struct json_out o;
    size_t before = buf_len(out);
    enum err e = buf_append(out, SPAN_LIT("CONNECT "));
    if (e == ERR_OK)
        e = json_out_open(&o, out);
    if (e == ERR_OK)
        e = write_connect_members(json, &o, connect);
    if (e == ERR_OK)
        e = write_credentials(ns, connect->nonce, &o);
    if (e == ERR_OK)
        e = json_out_close(&o);
    if (e == ERR_OK)
        e = buf_append(out, SPAN_LIT("\r\n"));
    if (e != ERR_OK)
        buf_truncate(out, before);
    return e;
}
