/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_kv - the key-value commands of nats_client, by nats.c's own key-value store.
 *
 *   kv make BUCKET | kv open BUCKET       makes it, with a history of 5; opens one that there is
 *   kv put KEY VALUE | kv get KEY         of the bucket that was opened last
 *   kv keys | kv history KEY              keys sorted
 *   kv watch | kv next | kv stop          next: one entry, or NOTHING MORE after those that there
 * were
 *
 * An entry is printed as KEY=VALUE@REVISION.
 */
#include "nats_kv.h"

#include <inttypes.h>
#include <nats/nats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 20000, BUCKET_HISTORY = 5 };

static jsCtx *js;
static kvStore *store;
static kvWatcher *watcher;

static void print_entry(kvEntry *e)
{
    if (kvEntry_Operation(e) != kvOp_Put) {
        printf(" %s gone@%" PRIu64, kvEntry_Key(e), kvEntry_Revision(e));
    } else {
        printf(" %s=%s@%" PRIu64, kvEntry_Key(e), kvEntry_ValueString(e), kvEntry_Revision(e));
    }
}

static natsStatus open_bucket(natsConnection *connection, const char *bucket, bool is_new)
{
    natsStatus status = js != NULL ? NATS_OK : natsConnection_JetStream(&js, connection, NULL);
    kvConfig config;

    kvStore_Destroy(store);
    store = NULL;
    if (status != NATS_OK || !is_new) {
        return status != NATS_OK ? status : js_KeyValue(&store, js, bucket);
    }
    kvConfig_Init(&config);
    config.Bucket = bucket;
    config.History = BUCKET_HISTORY;
    return js_CreateKeyValue(&store, js, &config);
}

static natsStatus print_get(const char *key)
{
    kvEntry *e = NULL;
    natsStatus status = kvStore_Get(&e, store, key);

    if (status == NATS_OK) {
        fputs("GOT", stdout);
        print_entry(e);
    }
    kvEntry_Destroy(e);
    return status;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static natsStatus print_keys(void)
{
    kvKeysList list = {0};
    natsStatus status = kvStore_Keys(&list, store, NULL);
    int i;

    if (status == NATS_OK) {
        fputs("KEYS", stdout);
        qsort(list.Keys, (size_t)list.Count, sizeof *list.Keys, by_text);
        for (i = 0; i < list.Count; i++) {
            printf(" %s", list.Keys[i]);
        }
    }
    kvKeysList_Destroy(&list);
    return status;
}

static natsStatus print_history(const char *key)
{
    kvEntryList list = {0};
    natsStatus status = kvStore_History(&list, store, key, NULL);
    int i;

    if (status == NATS_OK) {
        fputs("HISTORY", stdout);
        for (i = 0; i < list.Count; i++) {
            print_entry(list.Entries[i]);
        }
    }
    kvEntryList_Destroy(&list);
    return status;
}

static natsStatus print_next(void)
{
    kvEntry *e = NULL;
    natsStatus status = kvWatcher_Next(&e, watcher, PATIENCE_MS);

    if (status == NATS_OK && e == NULL) {
        fputs("NOTHING MORE", stdout);
    } else if (status == NATS_OK) {
        fputs("GOT", stdout);
        print_entry(e);
    }
    kvEntry_Destroy(e);
    return status;
}

static natsStatus stop_watching(void)
{
    natsStatus status = kvWatcher_Stop(watcher);

    kvWatcher_Destroy(watcher);
    watcher = NULL;
    return status;
}

void nats_kv_close(void)
{
    kvWatcher_Destroy(watcher);
    kvStore_Destroy(store);
    jsCtx_Destroy(js);
}

bool nats_kv_do(natsConnection *connection, const char *verb, const char *key, const char *value)
{
    natsStatus status = NATS_OK;
    bool says_ok = true;

    if (key != NULL && (strcmp(verb, "make") == 0 || strcmp(verb, "open") == 0)) {
        status = open_bucket(connection, key, *verb == 'm');
    } else if (store == NULL) {
        return false;
    } else if (strcmp(verb, "put") == 0 && value != NULL) {
        status = kvStore_PutString(NULL, store, key, value);
    } else if (strcmp(verb, "watch") == 0) {
        status = kvStore_WatchAll(&watcher, store, NULL);
    } else if (strcmp(verb, "stop") == 0 && watcher != NULL) {
        status = stop_watching();
    } else {
        says_ok = false;
        if (strcmp(verb, "get") == 0 && key != NULL) {
            status = print_get(key);
        } else if (strcmp(verb, "keys") == 0) {
            status = print_keys();
        } else if (strcmp(verb, "history") == 0 && key != NULL) {
            status = print_history(key);
        } else if (strcmp(verb, "next") == 0 && watcher != NULL) {
            status = print_next();
        } else {
            return false;
        }
    }
    if (status != NATS_OK) {
        printf("ERR %s", natsStatus_GetText(status));
    } else if (says_ok) {
        fputs("OK", stdout);
    }
    return true;
}
