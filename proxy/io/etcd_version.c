/* SPDX-License-Identifier: Apache-2.0 */
#include "io/etcd_version.h"

#include <string.h>

#include "wire/pb_wire.h"

/* One member's numbers and a few alarms. StatusResponse.version: etcd rpc.proto. */
enum { REPLY_BYTES_MAX = 64 * 1024, STATUS_VERSION = 2 };

static struct etcd_version *of(struct etcd_ask *ask)
{
    return (struct etcd_version *)(void *)((char *)ask - offsetof(struct etcd_version, ask));
}

void etcd_version_deinit(struct etcd_version *v)
{
    etcd_ask_forget(&v->ask);
}

/* What a JSON string may hold as it is: the bytes come from upstream. */
static bool is_version(struct span text)
{
    if (text.n == 0 || text.n >= ETCD_VERSION_BYTES || text.p[0] < '0' || text.p[0] > '9')
        return false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_alnum && c != '.' && c != '-' && c != '+')
            return false;
    }
    return true;
}

static void learn(struct etcd_version *v, struct span message)
{
    const uint8_t *p = message.p, *end = span_end(message);
    struct pb_item it;
    while (p != end && pb_item_next(&p, end, &it))
        if (it.number == STATUS_VERSION && it.wire == PB_WIRE_BYTES && is_version(it.bytes)) {
            memcpy(v->text, it.bytes.p, it.bytes.n);
            v->text[it.bytes.n] = '\0';
        }
}

void etcd_version_of_cluster(const struct etcd_version *v, char ret[ETCD_VERSION_BYTES])
{
    const char *minor = strchr(v->text, '.');
    size_t n = 0;
    if (minor != NULL)
        n = (size_t)(minor - v->text) + 1 + strspn(minor + 1, "0123456789");
    memcpy(ret, v->text, n);
    ret[n] = '\0';
    if (n != 0 && n + sizeof ".0" <= ETCD_VERSION_BYTES)
        memcpy(ret + n, ".0", sizeof ".0");
}

/* -- asking -- */
static enum err on_message(struct etcd_ask *ask, struct span message)
{
    learn(of(ask), message);
    return ERR_OK;
}

static void on_refused(struct etcd_ask *ask, int status, struct span text)
{
    (void)ask, (void)status, (void)text;
}

static void on_failed(struct etcd_ask *ask, enum err e)
{
    (void)ask, (void)e;
}

static void on_end(struct etcd_ask *ask)
{
    (void)ask;
}

static const struct etcd_ask_handler asking = {.message_bytes = REPLY_BYTES_MAX,
                                               .on_message = on_message,
                                               .on_answer = on_end,
                                               .on_refused = on_refused,
                                               .on_failed = on_failed,
                                               .on_lost = on_end};

void etcd_version_ask(struct etcd_version *v)
{
    if (v->ask.state != ETCD_ASK_IDLE || !etcd_auth_allows(v->auth, ETCD_LANE_UNARY))
        return;
    v->ask.handler = &asking;
    v->ask.link = v->link;
    v->ask.auth = v->auth;
    if (etcd_ask_begin(&v->ask) != ERR_OK || /* an empty message */
        etcd_ask_send(&v->ask, SPAN_LIT("/etcdserverpb.Maintenance/Status")) != ERR_OK)
        etcd_ask_forget(&v->ask); /* the next connection asks again */
}
