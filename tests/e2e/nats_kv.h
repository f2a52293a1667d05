/* SPDX-License-Identifier: Apache-2.0 */
/* nats_kv - the key-value commands of nats_client; nats_kv.c says which. */
#ifndef TESTS_E2E_NATS_KV_H
#define TESTS_E2E_NATS_KV_H

#include <nats/nats.h>
#include <stdbool.h>

/* Prints one line's answer. False: not understood. key, value: NULL where there is none. */
bool nats_kv_do(natsConnection *connection, const char *verb, const char *key, const char *value);
/* Forgets bucket and watcher. */
void nats_kv_close(void);

#endif
